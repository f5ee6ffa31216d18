#include "proxy/server/worker.h"

#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include "proxy/base/allocator.h"
#include "proxy/base/log.h"
#include "proxy/event/timer.h"
#include "proxy/net/acceptor.h"
#include "proxy/server/downstream_connection.h"
#include "proxy/server/listener.h"
#include "proxy/server/worker_core.h"

namespace genkan::server {
namespace {

constexpr size_t kMostOldSnapshots = 16;
// Five hundred requests under way at a time, which end in one turn.
constexpr size_t kMostKept = 2 * 1024 * 1024;
constexpr Millis kTick{1'000};
// How long a socket that is given up still takes what had connected before: closing it would reset
// them.
constexpr Millis kLastAccepts{100};
// How far apart a busy worker's turns begin: so late, at most, is what came meanwhile.
constexpr std::chrono::microseconds kPace{200};

// Client connections that the descriptors suffice for: each may need a second one to its origin.
uint32_t ConnectionsFromDescriptors() {
  constexpr rlim_t kReserved = 64;
  constexpr rlim_t kMost = 1'000'000;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 480;
  rlim_t descriptors = std::min(limit.rlim_cur, kMost * 2 + kReserved);
  if (descriptors <= kReserved * 2)
    return static_cast<uint32_t>(std::max<rlim_t>(descriptors / 4, 1));
  return static_cast<uint32_t>((descriptors - kReserved) / 2);
}

class WorkerImpl final : public Worker {
 public:
  WorkerImpl(uint32_t index, WorkerShared& shared);
  ~WorkerImpl() override;

  void Start() override;
  void ApplySnapshot(SnapshotPtr snapshot, std::vector<ListenerSocket> new_sockets, tls::CertStorePtr store,
                     std::shared_ptr<const std::vector<std::string>> revoked_leaves) override;
  void ApplyCertStore(tls::CertStorePtr store,
                      std::shared_ptr<const std::vector<std::string>> revoked_leaves) override;
  void ApplyTicketKeys(tls::TicketKeysPtr keys) override;
  void Drain(const DrainTimes& times, std::function<void()> done) override;
  void Stop() override { loop_.Stop(); }

  const WorkerMetrics& metrics() const override { return core_->metrics(); }
  event::EventLoop& loop() override { return loop_; }

 private:
  struct Socket {
    std::shared_ptr<Listener> listener;
    std::unique_ptr<net::Acceptor> acceptor;
    bool is_ending = false;
  };

  void Run();
  void TakeSnapshot(SnapshotPtr snapshot, std::vector<ListenerSocket>& sockets);
  void Replace(WorkerSnapshotPtr next);
  std::shared_ptr<Listener> FindListener(uint32_t id) const;
  void RemoveListeners(const Snapshot& snapshot);
  void EndSockets();
  void OnAccept(const std::shared_ptr<Listener>& listener, net::Fd fd, const net::Address& peer,
                const net::Address& local);
  bool IsFull() const;
  void PauseWhenFull();
  void OnTick();
  void BeginDrain(const DrainTimes& times, std::function<void()> done);
  void CutEndless();
  void CutAll();
  void FinishDrainWhenEmpty();
  void CleanUp();

  event::EventLoop loop_;
  WorkerShared& shared_;
  std::unique_ptr<WorkerCore> core_;
  WorkerSnapshotPtr current_;
  std::vector<std::weak_ptr<WorkerSnapshot>> older_;  // oldest first
  std::vector<std::shared_ptr<Listener>> listeners_;
  std::vector<Socket> sockets_;
  event::Timer tick_, last_accepts_, endless_timer_, drain_timer_;
  MonotonicTime tick_due_;
  uint32_t most_connections_ = 0;
  bool is_paused_ = false;
  std::function<void()> drained_;
  std::thread thread_;
};

WorkerImpl::WorkerImpl(uint32_t index, WorkerShared& shared)
    : Worker(index),
      shared_(shared),
      core_(std::make_unique<WorkerCore>(index, loop_, shared)),
      tick_(loop_, [this] { OnTick(); }),
      last_accepts_(loop_, [this] { EndSockets(); }),
      endless_timer_(loop_, [this] { CutEndless(); }),
      drain_timer_(loop_, [this] { CutAll(); }) {
  core_->on_removed = [this] {
    if (is_paused_) PauseWhenFull();
    FinishDrainWhenEmpty();
  };
}

WorkerImpl::~WorkerImpl() {
  loop_.Stop();
  if (thread_.joinable()) {
    thread_.join();
  } else {
    CleanUp();
  }
}

void WorkerImpl::Start() {
  thread_ = std::thread([this] { Run(); });
}

void WorkerImpl::Run() {
  SetLogThreadName(fmt::format("w{}", index_));
  KeepAtMost(kMostKept);
  tick_due_ = std::chrono::steady_clock::now() + kTick;
  tick_.Start(kTick);
  loop_.SetPace(kPace);
  loop_.Run();
  CleanUp();
}

void WorkerImpl::CleanUp() {
  drained_ = nullptr;
  sockets_.clear();
  CutAll();
  // Destroys what was retired.
  loop_.RunOnce(false);
  listeners_.clear();
  older_.clear();
  current_.reset();
  loop_.RunOnce(false);
}

// ---- snapshots

// One post: with two, a store that is published next might come between them, and be lost.
void WorkerImpl::ApplySnapshot(SnapshotPtr snapshot, std::vector<ListenerSocket> new_sockets,
                               tls::CertStorePtr store,
                               std::shared_ptr<const std::vector<std::string>> revoked_leaves) {
  auto sockets = std::make_shared<std::vector<ListenerSocket>>(std::move(new_sockets));
  loop_.Post([this, snapshot = std::move(snapshot), sockets, store = std::move(store),
              revoked = std::move(revoked_leaves)] {
    TakeSnapshot(snapshot, *sockets);
    if (store != nullptr) core_->SetCertStore(store, revoked);
  });
}

std::shared_ptr<Listener> WorkerImpl::FindListener(uint32_t id) const {
  for (const auto& listener : listeners_) {
    if (listener->id() == id) return listener;
  }
  return nullptr;
}

void WorkerImpl::TakeSnapshot(SnapshotPtr snapshot, std::vector<ListenerSocket>& sockets) {
  WorkerSnapshotPtr next =
      MakeWorkerSnapshot(std::move(snapshot), current_.get(), loop_, shared_.blocking);
  const Snapshot& settings = *next->snapshot;
  uint32_t configured = settings.config->limits.connections;
  most_connections_ = configured != 0 ? configured : ConnectionsFromDescriptors();
  for (const ListenerSpec& spec : settings.listeners) {
    std::shared_ptr<Listener> listener = FindListener(spec.id);
    if (listener == nullptr) {
      listener = std::make_shared<Listener>(*core_, spec.id);
      listeners_.push_back(listener);
    }
    listener->Apply(next, spec);
  }
  RemoveListeners(settings);
  Replace(std::move(next));
  for (ListenerSocket& socket : sockets) {
    std::shared_ptr<Listener> listener = FindListener(socket.listener_id);
    if (listener == nullptr || !socket.fd.is_open()) continue;
    auto acceptor = std::make_unique<net::Acceptor>(
        loop_, std::move(socket.fd),
        [this, listener](net::Fd fd, const net::Address& peer, const net::Address& local) {
          OnAccept(listener, std::move(fd), peer, local);
        });
    if (is_paused_) acceptor->Pause();
    sockets_.push_back({std::move(listener), std::move(acceptor), core_->is_draining()});
  }
  if (core_->is_draining()) last_accepts_.Start(kLastAccepts);
}

void WorkerImpl::Replace(WorkerSnapshotPtr next) {
  if (current_ != nullptr) older_.push_back(current_);
  current_ = std::move(next);
  std::erase_if(older_, [](const auto& old) { return old.expired(); });
  while (older_.size() > kMostOldSnapshots) {
    // Its requests end by themselves; what never ends by itself is ended.
    if (auto oldest = older_.front().lock(); oldest != nullptr) {
      LOG_INFO("snapshot_drained", "generation={}", oldest->snapshot->generation);
      core_->ForEachConnection(
          [&](DownstreamConnection& connection) { connection.CutHolders(oldest.get()); });
    }
    older_.erase(older_.begin());
  }
  core_->metrics().snapshots_alive.Set(older_.size() + 1);
}

void WorkerImpl::RemoveListeners(const Snapshot& snapshot) {
  std::vector<std::shared_ptr<Listener>> gone;
  std::erase_if(listeners_, [&](const std::shared_ptr<Listener>& listener) {
    bool stays = std::any_of(snapshot.listeners.begin(), snapshot.listeners.end(),
                             [&](const ListenerSpec& spec) { return spec.id == listener->id(); });
    if (!stays) gone.push_back(listener);
    return !stays;
  });
  if (gone.empty()) return;
  for (Socket& socket : sockets_) {
    if (std::find(gone.begin(), gone.end(), socket.listener) != gone.end()) socket.is_ending = true;
  }
  last_accepts_.Start(kLastAccepts);
  core_->ForEachConnection([&](DownstreamConnection& connection) {
    for (const auto& listener : gone) {
      // Nothing waits for their end.
      if (&connection.listener() == listener.get()) connection.Drain(Millis::max());
    }
  });
}

void WorkerImpl::EndSockets() {
  std::erase_if(sockets_, [](const Socket& socket) { return socket.is_ending; });
  FinishDrainWhenEmpty();
}

void WorkerImpl::ApplyCertStore(tls::CertStorePtr store,
                                std::shared_ptr<const std::vector<std::string>> revoked_leaves) {
  loop_.Post([this, store = std::move(store), revoked = std::move(revoked_leaves)] {
    core_->SetCertStore(store, revoked);
  });
}

void WorkerImpl::ApplyTicketKeys(tls::TicketKeysPtr keys) {
  loop_.Post([this, keys = std::move(keys)] {
    core_->SetTicketKeys(keys);
    for (auto& listener : listeners_) listener->SetTicketKeys(keys);
  });
}

// ---- accepting

bool WorkerImpl::IsFull() const {
  return most_connections_ != 0 &&
         shared_.connections.load(std::memory_order_relaxed) >= most_connections_;
}

void WorkerImpl::PauseWhenFull() {
  bool is_full = IsFull();
  if (is_full == is_paused_) return;
  is_paused_ = is_full;
  if (is_full) LOG_WARN("connections_full", "most={}", most_connections_);
  for (Socket& socket : sockets_) is_full ? socket.acceptor->Pause() : socket.acceptor->Resume();
}

void WorkerImpl::OnAccept(const std::shared_ptr<Listener>& listener, net::Fd fd,
                          const net::Address& peer, const net::Address& local) {
  core_->metrics().connections_accepted.Add();
  DownstreamConnection& connection = core_->Adopt(
      std::make_unique<DownstreamConnection>(*core_, listener, std::move(fd), peer, local));
  connection.Start();
  // The kernel's queue keeps those that come now until others have gone.
  PauseWhenFull();
}

void WorkerImpl::OnTick() {
  auto now = std::chrono::steady_clock::now();
  auto lag = std::chrono::duration_cast<std::chrono::microseconds>(now - tick_due_).count();
  core_->metrics().loop_lag_micros.Set(static_cast<uint64_t>(std::max<int64_t>(lag, 0)));
  tick_due_ = now + kTick;
  tick_.Start(kTick);
  std::erase_if(older_, [](const auto& old) { return old.expired(); });
  core_->metrics().snapshots_alive.Set(older_.size() + (current_ != nullptr ? 1 : 0));
  // Connections of other workers count too, and nobody tells us of their ends.
  PauseWhenFull();
  TrimBlocks();
}

// ---- the end

void WorkerImpl::Drain(const DrainTimes& times, std::function<void()> done) {
  loop_.Post([this, times, done = std::move(done)] { BeginDrain(times, done); });
}

void WorkerImpl::BeginDrain(const DrainTimes& times, std::function<void()> done) {
  drained_ = std::move(done);
  core_->set_draining(times.idle);
  for (Socket& socket : sockets_) socket.is_ending = true;
  last_accepts_.Start(std::min(kLastAccepts, times.deadline));
  drain_timer_.Start(times.deadline);
  if (times.endless < times.deadline) endless_timer_.Start(times.endless);
  core_->ForEachConnection([&](DownstreamConnection& connection) { connection.Drain(times.idle); });
  FinishDrainWhenEmpty();
}

void WorkerImpl::CutEndless() {
  core_->ForEachConnection([](DownstreamConnection& connection) { connection.CutEndless(); });
}

void WorkerImpl::CutAll() {
  core_->ForEachConnection([](DownstreamConnection& connection) { connection.Cut(); });
  if (drained_) {
    sockets_.clear();
    FinishDrainWhenEmpty();
  }
}

void WorkerImpl::FinishDrainWhenEmpty() {
  if (!drained_ || core_->connection_count() > 0 || !sockets_.empty()) return;
  drain_timer_.Cancel();
  endless_timer_.Cancel();
  std::exchange(drained_, nullptr)();
}

}  // namespace

std::unique_ptr<Worker> Worker::Make(uint32_t index, WorkerShared& shared) {
  return std::make_unique<WorkerImpl>(index, shared);
}

}  // namespace genkan::server
