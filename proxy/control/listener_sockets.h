// Opens the listening sockets of a snapshot, one for each worker (SO_REUSEPORT), and remembers
// where they really listen (port 0). The sockets are the workers' then. Control thread; owned by
// the Supervisor.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "proxy/base/result.h"
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

  std::vector<ListenerStatus> Addresses(const server::Snapshot& snapshot) const;

 private:
  Result<std::vector<net::Fd>> OpenOne(const server::ListenerSpec& spec, size_t workers);

  ServiceManager& service_manager_;
  SocketOpener* opener_ = &DirectSocketOpener();
  std::map<uint32_t, net::Address> addresses_;  // by listener id
};

}  // namespace genkan::control
