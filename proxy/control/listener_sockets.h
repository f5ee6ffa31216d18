// Opens the listening sockets of a snapshot, one for each worker (SO_REUSEPORT), and remembers
// where they really listen (port 0). The sockets are the workers' then. Control thread; owned by
// the Supervisor.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/control/hand_over.h"
#include "proxy/control/service_manager.h"
#include "proxy/control/socket_opener.h"
#include "proxy/control/supervisor.h"
#include "proxy/server/snapshot.h"
#include "proxy/server/worker.h"

namespace genkan::control {

class ListenerSockets {
 public:
  // By worker.
  using PerWorker = std::vector<std::vector<server::ListenerSocket>>;

  explicit ListenerSockets(ServiceManager& service_manager) : service_manager_(service_manager) {}
  // Who opens them; outlives this.
  void SetOpener(SocketOpener& opener) { opener_ = &opener; }

  // The listeners that have no sockets yet. All or nothing: an error for each that cannot be
  // opened.
  tl::expected<PerWorker, std::vector<std::string>> Open(const server::Snapshot& snapshot,
                                                         size_t workers);
  // Forgets the listeners that are not in this snapshot.
  void Keep(const server::Snapshot& snapshot);

  // Those that another process handed over; taken before any is opened.
  void Inherit(std::vector<HandOver::Socket> sockets);
  // Copies of all that is open, for a hand-over.
  std::vector<HandOver::Socket> Copies(const server::Snapshot& snapshot) const;
  // Forgets all: once the workers close theirs, nothing listens any more.
  void Close() { kept_.clear(); }

  std::vector<ListenerStatus> Addresses(const server::Snapshot& snapshot) const;

 private:
  // Different sockets; fewer than workers where there can be only one.
  Result<std::vector<net::Fd>> OpenOne(const server::ListenerSpec& spec, size_t workers);
  std::vector<net::Fd> TakeInherited(const net::Address& address);

  ServiceManager& service_manager_;
  SocketOpener* opener_ = &DirectSocketOpener();
  std::map<uint32_t, net::Address> addresses_;            // by listener id
  std::map<uint32_t, std::vector<net::Fd>> kept_;         // copies, one a socket
  std::vector<std::vector<HandOver::Socket>> inherited_;  // by listener of the old process
};

}  // namespace genkan::control
