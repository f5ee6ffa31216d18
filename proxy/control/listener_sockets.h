// Opens the listening sockets of a snapshot, one for each worker (SO_REUSEPORT), and remembers
// where they really listen (port 0) and which worker accepts from which. Each socket has somebody
// who accepts: closing one would reset what waits in its queue. The sockets are the workers' then.
// Control thread; owned by the Supervisor.
#pragma once

#include <map>
#include <set>
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

  // What each worker gets besides what it has: of listeners that have no sockets yet, and, where
  // there are more or fewer workers than before, of all. All or nothing: an error for each listener
  // that cannot be opened.
  tl::expected<PerWorker, std::vector<std::string>> Open(const server::Snapshot& snapshot,
                                                         size_t workers);
  // Forgets the listeners that are not in this snapshot.
  void Keep(const server::Snapshot& snapshot);

  // Those that another process handed over; taken before any is opened.
  void Inherit(std::vector<HandOver::Socket> sockets);
  // Copies of all that is open, for a hand-over.
  std::vector<HandOver::Socket> Copies(const server::Snapshot& snapshot) const;
  // Forgets all: once the workers close theirs, nothing listens any more.
  void Close();

  std::vector<ListenerStatus> Addresses(const server::Snapshot& snapshot) const;

 private:
  struct Listening {
    net::Address address;
    std::vector<net::Fd> sockets;           // copies, different ones
    bool has_opener = false;                // opened by opener_, which may open more
    std::vector<std::set<size_t>> accepts;  // by worker: from which of them
  };
  Result<Listening> OpenOne(const server::ListenerSpec& spec, size_t workers);
  Result<Listening> Plan(const server::ListenerSpec& spec, size_t workers, PerWorker& per_worker);
  std::vector<net::Fd> TakeInherited(const net::Address& address);

  ServiceManager& service_manager_;
  SocketOpener* opener_ = &DirectSocketOpener();
  std::map<uint32_t, Listening> listening_;               // by listener id
  std::vector<std::vector<HandOver::Socket>> inherited_;  // by listener of the old process
};

}  // namespace genkan::control
