#include "proxy/control/listener_sockets.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "proxy/net/acceptor.h"

namespace genkan::control {
namespace {

Result<net::Fd> Copy(int fd) {
  net::Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.is_open()) return Fail(ErrorCode::kIo, "dup: {}", std::strerror(errno));
  return copy;
}

// From which of so many sockets each worker accepts: from one at least, and each has somebody.
std::vector<std::set<size_t>> Distribute(size_t sockets, size_t workers) {
  std::vector<std::set<size_t>> accepts(workers);
  for (size_t i = 0; i < std::max(sockets, workers); ++i) accepts[i % workers].insert(i % sockets);
  return accepts;
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
    auto found = listening_.find(spec.id);
    if (found == listening_.end()) continue;
    for (const net::Fd& fd : found->second.sockets) {
      if (auto copy = Copy(fd.get()))
        copies.push_back({spec.config.address, number, *std::move(copy)});
    }
  }
  return copies;
}

void ListenerSockets::Close() {
  for (auto& [id, one] : listening_) one.sockets.clear();
}

Result<ListenerSockets::Listening> ListenerSockets::OpenOne(const server::ListenerSpec& spec,
                                                            size_t workers) {
  Listening listening;
  listening.address = spec.address;
  listening.sockets = TakeInherited(spec.address);
  if (listening.sockets.empty()) {
    if (auto given = service_manager_.FindSocket(spec.address))
      listening.sockets.push_back(*std::move(given));
  }
  if (listening.sockets.empty()) {
    constexpr unsigned kMode = 0666;
    auto opened = opener_->Open(spec.config.address, workers, kMode);
    if (!opened) return PassOn(opened);
    listening.sockets = *std::move(opened);
    listening.has_opener = spec.address.is_ip();
  }
  if (auto local = net::Acceptor::LocalAddress(listening.sockets.front().get()))
    listening.address = *local;
  return listening;
}

// As it will be, with the sockets that are new; what the workers get for it is added to theirs.
Result<ListenerSockets::Listening> ListenerSockets::Plan(const server::ListenerSpec& spec,
                                                         size_t workers, PerWorker& per_worker) {
  const auto found = listening_.find(spec.id);
  const Listening* before = found == listening_.end() ? nullptr : &found->second;
  Listening next;
  if (before == nullptr) {
    auto opened = OpenOne(spec, workers);
    if (!opened) return opened;
    next = *std::move(opened);
  } else {
    next.address = before->address;
    next.has_opener = before->has_opener;
    next.accepts = before->accepts;
    if (workers == next.accepts.size()) return next;
    if (next.has_opener && workers > before->sockets.size()) {
      // Where it may not any more (its port needs rights that are gone), workers share.
      auto more = opener_->OpenMore(spec.config.address, next.address.port(),
                                    workers - before->sockets.size());
      if (more) next.sockets = *std::move(more);
    }
  }
  const size_t known = before == nullptr ? 0 : before->sockets.size();
  const auto wanted = Distribute(known + next.sockets.size(), workers);
  next.accepts.resize(workers);
  for (size_t worker = 0; worker < workers; ++worker) {
    for (size_t i : wanted[worker]) {
      if (!next.accepts[worker].insert(i).second) continue;
      auto copy = Copy((i < known ? before->sockets[i] : next.sockets[i - known]).get());
      if (!copy) return PassOn(copy);
      per_worker[worker].push_back({spec.id, *std::move(copy)});
    }
  }
  return next;
}

tl::expected<ListenerSockets::PerWorker, std::vector<std::string>> ListenerSockets::Open(
    const server::Snapshot& snapshot, size_t workers) {
  PerWorker per_worker(workers);
  std::vector<std::string> errors;
  std::map<uint32_t, Listening> planned;
  for (const server::ListenerSpec& spec : snapshot.listeners) {
    auto next = Plan(spec, workers, per_worker);
    if (next) {
      planned.emplace(spec.id, *std::move(next));
      continue;
    }
    std::string at = spec.config.position.ToString();
    std::string what =
        fmt::format("cannot listen on {}: {}", spec.config.address, next.error().detail);
    errors.push_back(at.empty() ? what : at + ": " + what);
  }
  if (!errors.empty()) return tl::unexpected<std::vector<std::string>>(std::move(errors));
  for (auto& [id, next] : planned) {
    Listening& one = listening_[id];
    std::vector<net::Fd> sockets = std::move(one.sockets);
    std::move(next.sockets.begin(), next.sockets.end(), std::back_inserter(sockets));
    one = std::move(next);
    one.sockets = std::move(sockets);
  }
  return per_worker;
}

void ListenerSockets::Keep(const server::Snapshot& snapshot) {
  std::set<uint32_t> ids;
  for (const server::ListenerSpec& spec : snapshot.listeners) ids.insert(spec.id);
  std::erase_if(listening_, [&](const auto& entry) { return ids.count(entry.first) == 0; });
}

std::vector<ListenerStatus> ListenerSockets::Addresses(const server::Snapshot& snapshot) const {
  std::vector<ListenerStatus> list;
  for (const server::ListenerSpec& spec : snapshot.listeners) {
    auto it = listening_.find(spec.id);
    const net::Address& address = it != listening_.end() ? it->second.address : spec.address;
    list.push_back({address.ToString(), spec.config.tls});
  }
  return list;
}

}  // namespace genkan::control
