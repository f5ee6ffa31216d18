// The keeper: a small process that stays root while the proxy is not. It opens the sockets, reads
// the certificates, adds the watches and runs the commands that the configuration names, and
// nothing else; the configuration it reads itself. What it is asked besides gets a refusal and a
// line in the log. Ends when the proxy does. Its process's main thread; tests run it on a thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "proxy/config/validate.h"
#include "proxy/control/keeper_channel.h"
#include "proxy/control/keeper_hooks.h"
#include "proxy/control/keeper_rules.h"
#include "proxy/control/private_folder.h"
#include "proxy/control/program.h"

namespace genkan::control {

struct KeeperSettings {
  config::Config config;  // in force
  // Reads it again.
  std::function<config::OrErrors<config::Checked>()> load;
  std::string state_dir;
  // Whom the proxy runs as.
  uid_t uid = 0;
  gid_t gid = 0;
  Program program;  // what a hand-over starts
};

class Keeper {
 public:
  // `calls`: the proxy asks and waits; `events`: what ends later is told.
  Keeper(net::Fd calls, net::Fd events, KeeperSettings settings);

  // Until the proxy is gone, or speaks another language.
  void Serve();

 private:
  struct Answer {
    KeeperMessage message;
    std::vector<net::Fd> descriptors;
  };
  using Rules = std::shared_ptr<const KeeperRules>;

  Answer Handle(KeeperMail& mail);
  Result<Answer> ReadFile(const std::string& path);
  Result<Answer> List(const std::string& directory);
  Result<Answer> Glob(const std::string& pattern);
  Result<Answer> State(const std::string& path);
  Result<Answer> Arm(uint64_t inotify, const std::string& path);
  Result<Answer> TakeInotify(KeeperMail& mail);
  Result<Answer> Listen(const std::string& address, uint64_t count);
  Result<Answer> ListenMore(const std::string& address, const std::string& port, uint64_t count);
  Result<Answer> Reload();
  Result<Answer> SetLog(KeeperMail& mail);
  PrivateFolder& last_good();
  Result<Answer> LoadGood(const std::string& name);
  Result<Answer> SaveGood(const std::string& name, const std::string& bytes);
  Result<Answer> RunHook(const KeeperMessage& message);
  Result<Answer> StartSuccessor(const KeeperMail& mail);
  Result<Answer> EndSuccessor(uint64_t pid);

  Rules MakeRules(const config::Config& config) const;
  template <class Ask>
  bool IsNamed(Ask ask) const {
    return ask(*rules_) || (next_rules_ != nullptr && ask(*next_rules_));
  }
  tl::unexpected<Error> Refuse(std::string_view what, const std::string& about);

  KeeperChannel calls_;
  KeeperSettings settings_;
  // In force, and what a reload read that is not in force yet.
  Rules rules_, next_rules_;
  std::optional<config::Config> next_config_;
  std::map<uint64_t, net::Fd> inotifies_;
  std::set<std::pair<std::string, std::string>> listening_;  // address as asked for, real port
  PrivateFolder last_good_;
  bool is_last_good_in_order_ = false;  // no files of an earlier version's layout
  KeeperHooks hooks_;
  pid_t successor_ = -1;  // started, and not seen to end
  // Refusals are logged, but not without end.
  MonotonicTime refusals_since_{};
  uint64_t refusals_ = 0;
};

}  // namespace genkan::control
