#include "proxy/control/listener_sockets.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "proxy/net/acceptor.h"

namespace genkan::control {
namespace {

// A copy for each worker but the last, which takes the socket itself.
Result<std::vector<net::Fd>> Share(net::Fd socket, size_t workers) {
  std::vector<net::Fd> sockets;
  for (size_t i = 1; i < workers; ++i) {
    net::Fd copy(fcntl(socket.get(), F_DUPFD_CLOEXEC, 3));
    if (!copy.is_open()) return Fail(ErrorCode::kIo, "dup: {}", std::strerror(errno));
    sockets.push_back(std::move(copy));
  }
  sockets.push_back(std::move(socket));
  return sockets;
}

}  // namespace

Result<std::vector<net::Fd>> ListenerSockets::OpenOne(const server::ListenerSpec& spec,
                                                      size_t workers) {
  if (auto given = service_manager_.FindSocket(spec.address))
    return Share(*std::move(given), workers);
  constexpr unsigned kMode = 0666;
  auto sockets = opener_->Open(spec.config.address, workers, kMode);
  if (!sockets || !spec.address.is_unix()) return sockets;
  return Share(std::move(sockets->front()), workers);
}

tl::expected<ListenerSockets::PerWorker, std::vector<std::string>> ListenerSockets::Open(
    const server::Snapshot& snapshot, size_t workers) {
  PerWorker per_worker(workers);
  std::vector<std::string> errors;
  std::map<uint32_t, net::Address> opened;
  for (const server::ListenerSpec& spec : snapshot.listeners) {
    if (addresses_.count(spec.id) != 0) continue;
    auto sockets = OpenOne(spec, workers);
    if (!sockets) {
      std::string at = spec.config.position.ToString();
      std::string what =
          fmt::format("cannot listen on {}: {}", spec.config.address, sockets.error().detail);
      errors.push_back(at.empty() ? what : at + ": " + what);
      continue;
    }
    auto local = net::Acceptor::LocalAddress(sockets->front().get());
    opened[spec.id] = local ? *local : spec.address;
    for (size_t i = 0; i < workers; ++i)
      per_worker[i].push_back({spec.id, std::move((*sockets)[i])});
  }
  if (!errors.empty()) return tl::unexpected<std::vector<std::string>>(std::move(errors));
  addresses_.merge(opened);
  return per_worker;
}

void ListenerSockets::Keep(const server::Snapshot& snapshot) {
  std::set<uint32_t> ids;
  for (const server::ListenerSpec& spec : snapshot.listeners) ids.insert(spec.id);
  std::erase_if(addresses_, [&](const auto& entry) { return ids.count(entry.first) == 0; });
}

std::vector<ListenerStatus> ListenerSockets::Addresses(const server::Snapshot& snapshot) const {
  std::vector<ListenerStatus> list;
  for (const server::ListenerSpec& spec : snapshot.listeners) {
    auto it = addresses_.find(spec.id);
    const net::Address& address = it != addresses_.end() ? it->second : spec.address;
    list.push_back({address.ToString(), spec.config.tls});
  }
  return list;
}

}  // namespace genkan::control
