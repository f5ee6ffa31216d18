#include "proxy/control/listener_sockets.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "proxy/net/acceptor.h"

namespace genkan::control {
namespace {

Result<net::Fd> Copy(int fd) {
  net::Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.is_open()) return Fail(ErrorCode::kIo, "dup: {}", std::strerror(errno));
  return copy;
}

// Each worker has one at least, and each socket somebody who accepts from it: closing one would
// reset what waits in its queue. More workers than sockets share them.
Result<std::vector<net::Fd>> Share(std::vector<net::Fd> sockets, size_t workers) {
  const size_t distinct = sockets.size();
  for (size_t i = distinct; i < workers; ++i) {
    auto copy = Copy(sockets[i % distinct].get());
    if (!copy) return PassOn(copy);
    sockets.push_back(*std::move(copy));
  }
  return sockets;
}

}  // namespace

void ListenerSockets::Inherit(std::vector<HandOver::Socket> sockets) {
  std::map<size_t, std::vector<HandOver::Socket>> by_listener;
  for (auto& socket : sockets) by_listener[socket.listener].push_back(std::move(socket));
  for (auto& [listener, its] : by_listener) inherited_.push_back(std::move(its));
}

std::vector<net::Fd> ListenerSockets::TakeInherited(const net::Address& wanted) {
  std::vector<net::Fd> sockets;
  for (size_t i = 0; i < inherited_.size(); ++i) {
    auto address = net::Address::Parse(inherited_[i].front().address);
    if (!address || !(*address == wanted)) continue;
    for (auto& socket : inherited_[i]) sockets.push_back(std::move(socket.fd));
    inherited_.erase(inherited_.begin() + static_cast<ptrdiff_t>(i));
    break;
  }
  return sockets;
}

std::vector<HandOver::Socket> ListenerSockets::Copies(const server::Snapshot& snapshot) const {
  std::vector<HandOver::Socket> copies;
  size_t number = 0;
  for (const server::ListenerSpec& spec : snapshot.listeners) {
    ++number;
    auto kept = kept_.find(spec.id);
    if (kept == kept_.end()) continue;
    for (const net::Fd& fd : kept->second) {
      if (auto copy = Copy(fd.get()))
        copies.push_back({spec.config.address, number, *std::move(copy)});
    }
  }
  return copies;
}

Result<std::vector<net::Fd>> ListenerSockets::OpenOne(const server::ListenerSpec& spec,
                                                      size_t workers) {
  if (auto inherited = TakeInherited(spec.address); !inherited.empty()) return inherited;
  if (auto given = service_manager_.FindSocket(spec.address)) {
    std::vector<net::Fd> one;
    one.push_back(*std::move(given));
    return one;
  }
  constexpr unsigned kMode = 0666;
  return opener_->Open(spec.config.address, workers, kMode);
}

tl::expected<ListenerSockets::PerWorker, std::vector<std::string>> ListenerSockets::Open(
    const server::Snapshot& snapshot, size_t workers) {
  PerWorker per_worker(workers);
  std::vector<std::string> errors;
  std::map<uint32_t, net::Address> opened;
  std::map<uint32_t, std::vector<net::Fd>> kept;
  for (const server::ListenerSpec& spec : snapshot.listeners) {
    if (addresses_.count(spec.id) != 0) continue;
    auto sockets = OpenOne(spec, workers);
    std::vector<net::Fd> copies;
    for (size_t i = 0; sockets && i < sockets->size(); ++i) {
      auto copy = Copy((*sockets)[i].get());
      if (copy) {
        copies.push_back(*std::move(copy));
      } else {
        sockets = PassOn(copy);
      }
    }
    if (sockets) sockets = Share(*std::move(sockets), workers);
    if (!sockets) {
      std::string at = spec.config.position.ToString();
      std::string what =
          fmt::format("cannot listen on {}: {}", spec.config.address, sockets.error().detail);
      errors.push_back(at.empty() ? what : at + ": " + what);
      continue;
    }
    auto local = net::Acceptor::LocalAddress(sockets->front().get());
    opened[spec.id] = local ? *local : spec.address;
    for (size_t i = 0; i < sockets->size(); ++i)
      per_worker[i % workers].push_back({spec.id, std::move((*sockets)[i])});
    kept[spec.id] = std::move(copies);
  }
  if (!errors.empty()) return tl::unexpected<std::vector<std::string>>(std::move(errors));
  addresses_.merge(opened);
  kept_.merge(kept);
  return per_worker;
}

void ListenerSockets::Keep(const server::Snapshot& snapshot) {
  std::set<uint32_t> ids;
  for (const server::ListenerSpec& spec : snapshot.listeners) ids.insert(spec.id);
  std::erase_if(addresses_, [&](const auto& entry) { return ids.count(entry.first) == 0; });
  std::erase_if(kept_, [&](const auto& entry) { return ids.count(entry.first) == 0; });
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
