// The admin listeners: status as JSON and as a page, metrics, and over the Unix socket reload and
// stop. Control thread; owned by the Supervisor.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/control/http_service.h"
#include "proxy/control/revocation_drill.h"
#include "proxy/control/socket_opener.h"
#include "proxy/control/status.h"
#include "proxy/event/event_loop.h"
#include "proxy/server/challenge_board.h"

namespace genkan::control {

// What the admin asks of the proxy. Called on the control thread.
class AdminTarget {
 public:
  virtual RunStatus Status() = 0;
  // The errors; none: it is done. kBusy in words where it cannot be done now.
  struct ReloadResult {
    bool is_possible = true;
    std::vector<std::string> errors;
  };
  virtual ReloadResult Reload(bool force) = 0;
  virtual void Refresh() = 0;
  virtual server::ChallengeBoard& Challenges() = 0;
  virtual genkan::Status StartDrill(const std::string& site) = 0;
  virtual DrillReport Drill() = 0;
  // After the answer has gone out.
  virtual void StopSoon(bool now) = 0;

 protected:
  ~AdminTarget() = default;
};

class Admin {
 public:
  // `sockets` outlives it.
  Admin(event::EventLoop& loop, AdminTarget& target, SocketOpener& sockets = DirectSocketOpener());

  // Listens at all of these; those of before are closed first, their connections go on. The first
  // error; the others are listened on all the same. The sockets' files and directories are made
  // (0660), and named to `on_made`.
  genkan::Status Listen(const std::vector<std::string>& addresses,
                        const std::function<void(const std::string& path)>& on_made = {});
  // Where it really listens, for tests.
  std::vector<std::string> addresses() const;
  void Close();
  // The sockets that it listens on, each with its address as configured; they stay its own.
  const std::vector<std::pair<std::string, int>>& sockets() const { return open_; }
  // Closes them, but leaves their files to whoever has copies (hand-over).
  void Leave();

  ServiceResponse Answer(const ServiceRequest& request);
  ServiceResponse Respond(const ServiceRequest& request);

 private:
  ServiceResponse Post(std::string_view path, std::string_view query);
  ServiceResponse Events();
  // `genkan preflight` has a token watched, and answered where it says so.
  ServiceResponse Watch(std::string_view query);

  AdminTarget& target_;
  SocketOpener& sockets_;
  HttpService service_;
  std::vector<std::string> addresses_;  // as configured
  std::vector<net::Address> listening_;
  std::vector<std::pair<std::string, int>> open_;
};

// Pure. A Host that a browser sends only when a person asked for this very address: keeps other
// sites' pages from reaching the admin by a name of theirs that resolves to it (DNS rebinding).
bool IsAdminHost(std::string_view authority, const net::Address& local);

}  // namespace genkan::control
