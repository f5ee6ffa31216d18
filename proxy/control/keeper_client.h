// The proxy's end of its keeper: the same interfaces that work directly where there is none. When
// the keeper is gone everything answers with an error, once loudly; what is in service stays so.
// Ask… and files() may be used from any thread; the rest on the control thread. Owned by the
// Supervisor.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proxy/control/certificate_source.h"
#include "proxy/control/hook_runner.h"
#include "proxy/control/keeper_channel.h"
#include "proxy/control/socket_opener.h"
#include "proxy/control/state_dir.h"
#include "proxy/event/file_view.h"
#include "proxy/event/io_watcher.h"

namespace genkan::control {

class KeeperClient {
 public:
  KeeperClient(net::Fd calls, net::Fd events);
  ~KeeperClient();

  FileAccess& files() { return *files_; }
  event::FileView& view() { return *view_; }
  SocketOpener& sockets() { return *sockets_; }
  FolderStore& last_good() { return *last_good_; }
  std::unique_ptr<HookRunner> MakeHookRunner(event::EventLoop& loop);

  // The keeper reads the configuration again; what was allowed before stays so until Commit.
  Status Reload();
  void Commit();
  // Starts this program anew with a descriptor (program.h); the process's id.
  Result<pid_t> StartProgram(int descriptor);
  void EndProgram(pid_t pid);
  // Where its log lines go: as ours, opened by us.
  Status SetLog(const std::string& level, const std::string& output);

  // One question, its answer. Descriptors stay the caller's.
  Result<KeeperMail> Ask(KeeperMessage question, const std::vector<int>& descriptors = {});

 private:
  class Files;
  class View;
  class Sockets;
  class Good;
  class Hooks;

  std::mutex mutex_;
  KeeperChannel calls_;   // guarded by mutex_
  bool is_gone_ = false;  // guarded by mutex_
  net::Fd events_;        // the hook runner's, once there is one
  std::unique_ptr<FileAccess> files_;
  std::unique_ptr<event::FileView> view_;
  std::unique_ptr<SocketOpener> sockets_;
  std::unique_ptr<FolderStore> last_good_;
};

}  // namespace genkan::control
