#include "proxy/control/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>

#include "proxy/base/log.h"
#include "proxy/base/text.h"
#include "proxy/config/state_dir.h"
#include "proxy/control/admin.h"
#include "proxy/control/barred_leaves.h"
#include "proxy/control/cert_manager.h"
#include "proxy/control/certificate_watchers.h"
#include "proxy/control/fetcher.h"
#include "proxy/control/hook_runner.h"
#include "proxy/control/keeper_process.h"
#include "proxy/control/last_good.h"
#include "proxy/control/listener_sockets.h"
#include "proxy/control/module_files.h"
#include "proxy/control/privileges.h"
#include "proxy/control/reloader.h"
#include "proxy/control/revocation_drill.h"
#include "proxy/control/service_manager.h"
#include "proxy/control/state_dir.h"
#include "proxy/control/succession.h"
#include "proxy/control/system_calls.h"
#include "proxy/control/ticket_rotator.h"
#include "proxy/control/version.h"
#include "proxy/control/worker_team.h"
#include "proxy/event/signal_watcher.h"
#include "proxy/event/timer.h"
#include "proxy/module/file_reader.h"
#include "proxy/server/access_log.h"

namespace genkan::control {
namespace {

using Errors = std::vector<std::string>;

// A stop is waited for: a connection that rests has this long for a request that is on its way.
constexpr Millis kStopIdle{1'000};

Status StartLogAs(const config::Log& log) {
  auto level = ParseLogLevel(log.level);
  if (!level) return PassOn(level);
  return StartLog({*level, log.output});
}

size_t WorkersOf(const config::Config& config) {
  return config.workers != 0 ? config.workers : std::max(1u, std::thread::hardware_concurrency());
}

bool IsFile(const std::string& output) {
  return output != "stderr" && output != "stdout" && output != "off";
}

class Supervisor final : public AdminTarget {
 public:
  explicit Supervisor(RunOptions options)
      : options_(std::move(options)),
        service_manager_(loop_),
        sockets_(service_manager_),
        stop_soon_(loop_, [this] { Stop(stops_now_); }) {}
  ~Supervisor();

  // Empty: it is on its way; Run then.
  Errors Start();
  // The exit code.
  int Run() {
    loop_.Run();
    return exit_code_;
  }

  RunStatus Status() override;
  ReloadResult Reload(bool force) override;
  server::ChallengeBoard& Challenges() override { return shared_->challenges; }
  void Refresh() override {
    if (certificates_ != nullptr) certificates_->Refresh();
  }
  void StopSoon(bool now) override;
  genkan::Status StartDrill(const std::string& site) override {
    if (certificates_ == nullptr) return Fail(ErrorCode::kBusy, "another process has taken over");
    return certificates_->StartDrill(site);
  }
  DrillReport Drill() override {
    return certificates_ != nullptr ? certificates_->Drill() : DrillReport{};
  }

 private:
  enum class State { kStarting, kServing, kDraining };

  Errors StartKeeperFor(const config::Checked& checked);
  Errors StartLogs();
  Errors StartAdmin();
  Errors StartState();
  void StartWorkers();
  Errors StartCertificates();
  void WatchSignals();
  void BeginToServe();

  Errors ReloadKeeper();
  Errors TakeOver(server::SnapshotPtr snapshot, bool force);
  void OnHangUp();
  void OnStopSignal(const char* name);
  void ReopenLogs();
  HandOver MakeHandOver() const;
  void OnSuccessorReady(pid_t pid);
  void Stop(bool now);
  void BeginDrain(const server::DrainTimes& times);
  // Somebody else has the sockets: nothing waits for the end of what is under way, and a resting
  // connection need not be closed on its client.
  server::DrainTimes HandOverTimes() const {
    const Millis longest = snapshot_->config->handover_timeout;
    return {longest, longest, longest};
  }
  FileAccess& files() { return keeper_ ? keeper_->files() : *direct_files_; }
  void TellKeeperOfLog();

  RunOptions options_;
  // In the order in which they are needed; destroyed in reverse.
  event::EventLoop loop_;
  ServiceManager service_manager_;
  ListenerSockets sockets_;
  Privileges privileges_;
  std::unique_ptr<KeeperClient> keeper_;  // null: everything works directly
  const Program program_ = OwnProgram();
  std::unique_ptr<Inheritance> inheritance_;  // null: nobody handed over to us
  std::unique_ptr<Succession> succession_;
  std::unique_ptr<server::AccessLog> access_log_;
  std::unique_ptr<event::BlockingPool> blocking_, fetching_;
  server::AddressLimiter addresses_;
  std::string state_path_;
  std::unique_ptr<StateDir> state_dir_;
  std::unique_ptr<server::WorkerShared> shared_;
  server::SnapshotPtr snapshot_;
  ListenerSockets::PerWorker waiting_sockets_;  // until it serves
  std::unique_ptr<WorkerTeam> workers_;
  const std::unique_ptr<FileAccess> direct_files_ = MakeDirectFileAccess();
  std::unique_ptr<Fetcher> fetcher_;
  std::unique_ptr<HookRunner> hooks_;
  std::unique_ptr<CertificateWatchers> watchers_;  // has the modules of what certificates_ runs
  std::unique_ptr<CertManager> certificates_;
  std::unique_ptr<ModuleFiles> module_files_;
  std::unique_ptr<TicketRotator> tickets_;
  std::unique_ptr<Admin> admin_;
  std::vector<std::unique_ptr<event::SignalWatcher>> signals_;
  event::Timer stop_soon_;
  bool stops_now_ = false;
  int exit_code_ = 0;

  State state_ = State::kStarting;
  WallTime started_{}, configured_{};
};

Supervisor::~Supervisor() {
  // Nothing may publish to workers that are going, and no worker may post to a loop that is gone.
  if (admin_ != nullptr) admin_->Close();
  signals_.clear();
  admin_.reset();
  tickets_.reset();
  module_files_.reset();
  certificates_.reset();
  hooks_.reset();
  workers_.reset();
  fetcher_.reset();
  fetching_.reset();
  blocking_.reset();
  SetFileReader({});
  if (access_log_ != nullptr) access_log_->Flush();
}

// ---- start

Errors Supervisor::Start() {
  auto inheritance = Inheritance::Take();
  if (!inheritance) return {inheritance.error().detail};
  inheritance_ = *std::move(inheritance);
  auto checked = options_.load(BuiltinModuleNames());
  if (!checked) return checked.error();
  auto privileges = Privileges::Choose(checked->config.user, options_.default_user);
  if (!privileges) return {privileges.error().detail};
  privileges_ = *std::move(privileges);
  state_path_ = config::StateDir(checked->config, geteuid() == 0, config::ProcessEnvironment());
  if (Errors errors = StartKeeperFor(*checked); !errors.empty()) return errors;
  if (auto forbidden = privileges_.ForbidNewPrivileges(); !forbidden)
    return {forbidden.error().detail};
  auto loaded = LoadSnapshot(*std::move(checked), nullptr);
  if (!loaded) return loaded.error();
  snapshot_ = loaded->snapshot;
  const config::Config& config = *snapshot_->config;

  if (Errors errors = StartLogs(); !errors.empty()) return errors;
  for (const std::string& warning : loaded->warnings) LOG_WARN("config_warning", "{}", warning);
  if (!privileges_.warning().empty()) LOG_WARN("privileges", "{}", privileges_.warning());
  signal(SIGPIPE, SIG_IGN);
  started_ = configured_ = SystemClock().Wall();

  service_manager_.TakeSockets();
  if (inheritance_) sockets_.Inherit(std::move(inheritance_->hand_over().listeners));
  auto sockets = sockets_.Open(*snapshot_, WorkersOf(config));
  if (!sockets) return sockets.error();
  waiting_sockets_ = *std::move(sockets);
  for (const std::string& address : service_manager_.UnusedSockets())
    LOG_WARN("activation_socket_unused", "address={} no [[listener]] has this address", address);

  if (Errors errors = StartAdmin(); !errors.empty()) return errors;
  privileges_.PrepareDirectory(state_path_, 0700);
  if (auto dropped = privileges_.DropForGood(); !dropped) return {dropped.error().detail};
  if (keeper_) {
    if (auto restricted = RestrictSystemCalls(); !restricted) return {restricted.error().detail};
  }
  if (Errors errors = StartState(); !errors.empty()) return errors;
  StartWorkers();
  if (Errors errors = StartCertificates(); !errors.empty()) return errors;
  WatchSignals();
  return {};
}

// Before anything that has threads: of what a fork copies, only the thread that forks goes on.
Errors Supervisor::StartKeeperFor(const config::Checked& checked) {
  if (!privileges_.will_drop() || !options_.has_keeper) return {};
  auto load = [load = options_.load] { return load(BuiltinModuleNames()); };
  auto keeper = StartKeeper(
      {checked.config, load, state_path_, privileges_.uid(), privileges_.gid(), program_});
  if (!keeper) return {keeper.error().detail};
  keeper_ = *std::move(keeper);
  sockets_.SetOpener(keeper_->sockets());
  SetFileReader([this](const std::string& path, size_t most_bytes) {
    return keeper_->files().Read(path, most_bytes);
  });
  return {};
}

Errors Supervisor::StartLogs() {
  const config::Config& config = *snapshot_->config;
  auto log = StartLogAs(config.log);
  if (!log) return {"log: " + log.error().detail};
  SetLogThreadName("control");
  auto access_log = server::AccessLog::Open(config.access_log.output, config.access_log.format);
  if (!access_log) return {"access_log: " + access_log.error().detail};
  access_log_ = *std::move(access_log);
  if (IsFile(config.log.output)) privileges_.GiveAway(config.log.output);
  if (IsFile(config.access_log.output)) privileges_.GiveAway(config.access_log.output);
  TellKeeperOfLog();
  return {};
}

Errors Supervisor::StartAdmin() {
  const config::Admin& settings = snapshot_->config->admin;
  SocketOpener& opener = keeper_ ? keeper_->sockets() : DirectSocketOpener();
  admin_ = std::make_unique<Admin>(loop_, *this,
                                   inheritance_ ? inheritance_->AdminSockets(opener) : opener);
  for (const std::string& address : settings.listen) {
    if (!address.starts_with("unix:")) continue;
    auto folder = std::filesystem::path(address.substr(5)).parent_path();
    if (!folder.empty()) privileges_.PrepareDirectory(folder, 0755);
  }
  auto listening = admin_->Listen(settings.listen,
                                  [this](const std::string& path) { privileges_.GiveAway(path); });
  if (listening) return {};
  if (!(settings == config::Admin{})) return {"[admin] listen: " + listening.error().detail};
  LOG_WARN("admin_off", "error=\"{}\" name another socket with [admin] listen, or none with []",
           listening.error().detail);
  return {};
}

Errors Supervisor::StartState() {
  net::Fd lock;
  if (inheritance_ && inheritance_->hand_over().state_path == state_path_)
    lock = std::move(inheritance_->hand_over().state_lock);
  auto state = StateDir::Open(state_path_, std::move(lock));
  if (!state) return {state.error().detail};
  state_dir_ = *std::move(state);
  if (keeper_) {
    state_dir_->Delegate("last_good", keeper_->last_good());
  } else if (state_dir_->is_writable()) {
    PrivateFolder last_good(state_path_ + "/last_good");
    MoveFlatLastGood(last_good);
  }
  return {};
}

void Supervisor::StartWorkers() {
  blocking_ = std::make_unique<event::BlockingPool>();
  module_files_ =
      std::make_unique<ModuleFiles>(loop_, *blocking_, event::FileWatcherTimes(),
                                    keeper_ ? keeper_->view() : event::DirectFileView());
  // Threads of their own: a responder that hangs must not keep names and challenge files waiting.
  fetching_ = std::make_unique<event::BlockingPool>(Fetcher::kMaxUnderWay);
  fetcher_ = std::make_unique<Fetcher>(loop_, *fetching_);
  shared_.reset(new server::WorkerShared{*blocking_, *access_log_, addresses_, SystemClock()});
  workers_ = std::make_unique<WorkerTeam>(loop_, *shared_);
  workers_->Start(waiting_sockets_.size());
}

Errors Supervisor::StartCertificates() {
  const config::Config& config = *snapshot_->config;
  tickets_ = std::make_unique<TicketRotator>(
      loop_, files(), [this](const tls::TicketKeysPtr& keys) { workers_->ApplyTicketKeys(keys); },
      keeper_ ? keeper_->view() : event::DirectFileView());
  hooks_ = keeper_ ? keeper_->MakeHookRunner(loop_) : MakeDirectHookRunner(loop_);
  certificates_ = CertManager::Make(
      {loop_, *fetcher_, *blocking_, *hooks_, *state_dir_, files(), SystemClock(),
       [this](tls::CertStorePtr store, std::shared_ptr<const std::vector<std::string>> revoked) {
         workers_->ApplyCertStore(std::move(store), std::move(revoked));
       },
       keeper_ ? keeper_->view() : event::DirectFileView()});
  watchers_ = std::make_unique<CertificateWatchers>(*certificates_);
  if (Errors errors = watchers_->Configure(config); !errors.empty()) return errors;
  if (inheritance_ && inheritance_->hand_over().ticket_keys.is_open()) {
    const HandOver& given = inheritance_->hand_over();
    if (auto adopted = tickets_->Adopt(given.ticket_keys, given.rotation_due); !adopted)
      LOG_WARN("ticket_keys_lost", "error=\"{}\"", adopted.error().detail);
  }
  if (inheritance_ && inheritance_->hand_over().barred.is_open()) {
    auto barred = ReadBarred(inheritance_->hand_over().barred);
    if (barred) certificates_->RestoreBarred(*std::move(barred));
    if (!barred) LOG_WARN("barred_leaves_lost", "error=\"{}\"", barred.error().detail);
  }
  auto tickets = tickets_->Configure(config.tls.ticket_keys);
  if (!tickets) return {tickets.error().detail};

  certificates_->Apply(snapshot_, [this] { loop_.Post([this] { BeginToServe(); }); });
  return {};
}

void Supervisor::WatchSignals() {
  auto watch = [this](int number, std::function<void()> on_signal) {
    signals_.push_back(std::make_unique<event::SignalWatcher>(loop_, number, std::move(on_signal)));
  };
  watch(SIGHUP, [this] { OnHangUp(); });
  watch(SIGUSR1, [this] { ReopenLogs(); });
  watch(SIGTERM, [this] { OnStopSignal("SIGTERM"); });
  watch(SIGQUIT, [this] { OnStopSignal("SIGQUIT"); });
  watch(SIGINT, [this] { OnStopSignal("SIGINT"); });
  succession_ = std::make_unique<Succession>(Succession::Options{
      loop_, keeper_.get(), program_, options_.may_hand_over, [this] { return MakeHandOver(); },
      [this](pid_t pid) { OnSuccessorReady(pid); }});
  watch(SIGUSR2, [this] {
    LOG_INFO("signal", "name=SIGUSR2");
    succession_->Begin(state_ == State::kServing);
  });
}

void Supervisor::BeginToServe() {
  if (state_ != State::kStarting) return;
  state_ = State::kServing;
  workers_->ApplySnapshot(snapshot_, std::exchange(waiting_sockets_, {}), HandOverTimes());
  workers_->Await();
  module_files_->Apply(snapshot_);
  std::vector<ListenerStatus> listeners = sockets_.Addresses(*snapshot_);
  std::string addresses;
  for (const ListenerStatus& listener : listeners) {
    addresses += fmt::format("{}{}{}", addresses.empty() ? "" : ",", listener.address,
                             listener.tls ? "(tls)" : "");
  }
  LOG_INFO("ready", "listeners={} workers={} sites={} pid={} version={}", addresses,
           workers_->size(), snapshot_->sites.size(), getpid(), Version());
  auto tell = [this] {
    service_manager_.Notify("READY=1");
    service_manager_.StartWatchdog([this] { return workers_->AreAlive(); });
  };
  if (!inheritance_) {
    tell();
  } else if (auto served = inheritance_->Serve(loop_, tell); !served) {
    // The old process goes on: two would be one too many.
    LOG_ERROR("handover_failed", "error=\"{}\"", served.error().detail);
    exit_code_ = 2;
    return loop_.Stop();
  }
  if (options_.on_ready) options_.on_ready(listeners);
}

// ---- while it runs

AdminTarget::ReloadResult Supervisor::Reload(bool force) {
  if (state_ == State::kStarting) return {false, {"it is still starting; try again in a moment"}};
  if (state_ == State::kDraining) return {false, {"it is stopping"}};
  service_manager_.NotifyReloading();
  // First: the modules' files that are new it reads for us.
  Errors errors = ReloadKeeper();
  auto loaded = LoadSnapshot(options_.load, snapshot_.get());
  if (!loaded) {
    errors = loaded.error();
  } else if (errors.empty()) {
    auto restart = NeedRestart(*snapshot_->config, *loaded->snapshot->config);
    errors = TakeOver(loaded->snapshot, force);
    if (errors.empty()) {
      if (keeper_) keeper_->Commit();
      for (const std::string& warning : loaded->warnings) LOG_WARN("config_warning", "{}", warning);
      for (const std::string& key : restart)
        LOG_WARN("config_warning", "the change of {} is taken at the next start", key);
    }
  }
  service_manager_.Notify("READY=1");
  for (const std::string& error : errors) LOG_ERROR("reload_failed", "{}", error);
  if (errors.empty()) LOG_INFO("reloaded", "generation={} force={}", snapshot_->generation, force);
  return {true, std::move(errors)};
}

// It reads the file itself: that we say so lets it open nothing.
Errors Supervisor::ReloadKeeper() {
  if (!keeper_) return {};
  auto reloaded = keeper_->Reload();
  if (reloaded) return {};
  Errors errors;
  for (std::string_view line : Split(reloaded.error().detail, '\n')) errors.emplace_back(line);
  return errors;
}

// All or nothing: what can fail comes first, and is taken back when something after it fails.
Errors Supervisor::TakeOver(server::SnapshotPtr snapshot, bool force) {
  const config::Config& before = *snapshot_->config;
  const config::Config& now = *snapshot->config;
  std::vector<std::function<void()>> undo;
  auto fail = [&](Errors errors) {
    for (auto it = undo.rbegin(); it != undo.rend(); ++it) (*it)();
    return errors;
  };
  if (!(before.log == now.log)) {
    undo.push_back([&] { static_cast<void>(StartLogAs(before.log)); });
    if (auto log = StartLogAs(now.log); !log) return fail({"log: " + log.error().detail});
  }
  if (!(before.access_log == now.access_log)) {
    auto configured = access_log_->Configure(now.access_log.output, now.access_log.format);
    undo.push_back([&] {
      static_cast<void>(access_log_->Configure(before.access_log.output, before.access_log.format));
    });
    if (!configured) return fail({"access_log: " + configured.error().detail});
  }
  undo.push_back([&] { static_cast<void>(tickets_->Configure(before.tls.ticket_keys)); });
  if (auto tickets = tickets_->Configure(now.tls.ticket_keys); !tickets)
    return fail({tickets.error().detail});
  auto sockets = sockets_.Open(*snapshot, WorkersOf(now));
  if (!sockets) return fail(sockets.error());

  // From here on nothing fails.
  snapshot_ = std::move(snapshot);
  TellKeeperOfLog();
  configured_ = SystemClock().Wall();
  sockets_.Keep(*snapshot_);
  workers_->HoldCertStore();
  certificates_->Apply(snapshot_, [] {});
  workers_->ApplySnapshot(snapshot_, *std::move(sockets), HandOverTimes());
  for (const std::string& error : watchers_->Configure(now))
    LOG_ERROR("reload_failed", "{}", error);
  certificates_->ReadAgain(force);
  module_files_->Apply(snapshot_);
  auto listening = admin_->Listen(now.admin.listen);
  if (!listening) LOG_ERROR("admin_off", "error=\"{}\"", listening.error().detail);
  // Once, for the snapshot and for the certificates that were read.
  workers_->Await();
  return {};
}

void Supervisor::TellKeeperOfLog() {
  if (!keeper_) return;
  const config::Log& log = snapshot_->config->log;
  if (auto told = keeper_->SetLog(log.level, log.output); !told)
    LOG_WARN("keeper_log", "error=\"{}\"", told.error().detail);
}

void Supervisor::OnHangUp() {
  ReloadResult result = Reload(false);
  if (!result.is_possible) LOG_WARN("reload_ignored", "{}", result.errors.front());
}

void Supervisor::ReopenLogs() {
  if (auto log = ReopenLog(); !log) LOG_ERROR("log_reopen_failed", "{}", log.error().detail);
  TellKeeperOfLog();
  auto access_log = access_log_->Reopen();
  if (!access_log) LOG_ERROR("access_log_reopen_failed", "{}", access_log.error().detail);
  LOG_INFO("logs_reopened", "signal=SIGUSR1");
}

RunStatus Supervisor::Status() {
  RunStatus status;
  status.pid = getpid();
  status.version = Version();
  status.state = state_ == State::kStarting  ? "starting"
                 : state_ == State::kServing ? "serving"
                                             : "draining";
  status.now = SystemClock().Wall();
  status.started = started_;
  status.configured = configured_;
  status.generation = snapshot_->generation;
  status.workers = workers_->size();
  status.workers_leaving = workers_->leaving();
  status.state_dir = state_dir_->path();
  status.is_state_writable = state_dir_->is_writable();
  status.listeners = sockets_.Addresses(*snapshot_);
  if (certificates_ != nullptr) {
    status.certificates = certificates_->Status();
    status.certificate_reads = certificates_->reads();
  }
  status.upstreams = UpstreamStatusOf(*snapshot_, SystemClock().Now());
  status.traffic = workers_->traffic();
  return status;
}

// ---- the next process

HandOver Supervisor::MakeHandOver() const {
  auto copy = [](int fd) { return net::Fd(fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3)); };
  HandOver hand_over;
  hand_over.listeners = sockets_.Copies(*snapshot_);
  for (const auto& [address, fd] : admin_->sockets())
    hand_over.admin.push_back({address, 0, copy(fd)});
  hand_over.state_lock = copy(state_dir_->lock_fd());
  hand_over.state_path = state_path_;
  hand_over.ticket_keys = tickets_->Export();
  hand_over.rotation_due = tickets_->rotation_due();
  if (auto barred = WriteBarred(certificates_->Barred()); barred) {
    hand_over.barred = *std::move(barred);
  } else {
    LOG_WARN("barred_leaves_lost", "error=\"{}\"", barred.error().detail);
  }
  return hand_over;
}

// It serves on the same sockets: what is under way here ends in its time.
void Supervisor::OnSuccessorReady(pid_t pid) {
  LOG_INFO("handed_over", "pid={}", pid);
  service_manager_.NameMain(pid);
  // What they write is the new one's now.
  certificates_.reset();
  tickets_.reset();
  admin_->Leave();
  // Its tunnels would keep an old binary for long.
  server::DrainTimes times = HandOverTimes();
  times.endless = snapshot_->config->drain_timeout;
  BeginDrain(times);
}

// ---- stop

void Supervisor::OnStopSignal(const char* name) {
  LOG_INFO("signal", "name={}", name);
  // The second one does not wait any more.
  Stop(state_ == State::kDraining);
}

void Supervisor::StopSoon(bool now) {
  stops_now_ = stops_now_ || now;
  stop_soon_.Start(Millis(20));
}

void Supervisor::Stop(bool now) {
  service_manager_.Notify("STOPPING=1");
  if (now || state_ == State::kStarting) {
    LOG_INFO("stopped", "drained=false");
    loop_.Stop();
    return;
  }
  const Millis deadline = snapshot_->config->drain_timeout;
  if (state_ != State::kDraining) BeginDrain({deadline, deadline, std::min(deadline, kStopIdle)});
}

void Supervisor::BeginDrain(const server::DrainTimes& times) {
  state_ = State::kDraining;
  sockets_.Close();
  LOG_INFO("draining", "timeout_ms={}", times.deadline.count());
  workers_->Drain(times, [this] {
    LOG_INFO("stopped", "drained=true");
    loop_.Stop();
  });
}

}  // namespace

int Supervise(RunOptions options) {
  // Before other threads write it: what is printed now is all that a failed start leaves behind.
  int exit_code = 0;
  {
    Supervisor supervisor(std::move(options));
    Errors errors = supervisor.Start();
    if (errors.empty()) {
      exit_code = supervisor.Run();
    } else {
      FlushLog();
      for (const std::string& error : errors) std::fprintf(stderr, "%s\n", error.c_str());
      exit_code = 2;
    }
  }
  FlushLog();
  StopLog();
  return exit_code;
}

}  // namespace genkan::control
