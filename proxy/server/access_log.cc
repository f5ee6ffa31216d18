#include "proxy/server/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "proxy/base/log.h"

namespace genkan::server {
namespace {

constexpr size_t kFlushAt = 64 * 1024;
// What a writer may have waiting while the disk does not take it. Beyond it lines are lost, and counted: traffic goes
// on without its log, never slower because of it.
constexpr size_t kMostWaiting = 8 * 1024 * 1024;
constexpr auto kFlushEvery = std::chrono::seconds(1);

// The lines of one writing thread. Its lock is contended only while the flusher swaps the text away.
struct Shard {
  std::mutex mutex;
  std::string text;      // guarded by mutex
  uint64_t dropped = 0;  // guarded by mutex
};

std::atomic<uint64_t> g_next_log{1};

class AccessLogImpl final : public AccessLog {
 public:
  AccessLogImpl() : id_(g_next_log.fetch_add(1)) {}
  ~AccessLogImpl() override;

  void Start() {
    flusher_ = std::thread([this] { RunFlusher(); });
  }
  bool is_on() const override { return is_on_.load(std::memory_order_relaxed); }
  void Write(const AccessRecord& record) override;
  Status Configure(const std::string& output, const std::string& format) override;
  Status Reopen() override;
  void Flush() override;

 private:
  Shard& ShardOfThread();
  void RunFlusher();
  void WriteOut();

  const uint64_t id_;
  std::atomic<bool> is_on_{false};
  std::mutex settings_mutex_;
  std::shared_ptr<const std::string> format_;  // guarded by settings_mutex_
  std::string output_ = "off";                 // guarded by settings_mutex_
  std::atomic<uint64_t> format_version_{0};

  std::mutex shards_mutex_;
  std::vector<std::unique_ptr<Shard>> shards_;  // guarded by shards_mutex_

  std::mutex file_mutex_;  // one write at a time, and not while the file changes
  int fd_ = -1;            // guarded by file_mutex_
  bool owns_fd_ = false;   // guarded by file_mutex_
  bool has_failed_ = false;

  std::mutex wake_mutex_;
  std::condition_variable wake_;
  bool is_due_ = false;       // guarded by wake_mutex_
  bool is_stopping_ = false;  // guarded by wake_mutex_
  std::thread flusher_;
};

AccessLogImpl::~AccessLogImpl() {
  if (flusher_.joinable()) {
    {
      std::lock_guard lock(wake_mutex_);
      is_stopping_ = true;
    }
    wake_.notify_one();
    flusher_.join();
  }
  WriteOut();
  if (owns_fd_ && fd_ >= 0) close(fd_);
}

Shard& AccessLogImpl::ShardOfThread() {
  struct Known {
    uint64_t log = 0;
    Shard* shard = nullptr;
  };
  thread_local Known known;
  if (known.log != id_) {
    std::lock_guard lock(shards_mutex_);
    shards_.push_back(std::make_unique<Shard>());
    known = {id_, shards_.back().get()};
  }
  return *known.shard;
}

void AccessLogImpl::Write(const AccessRecord& record) {
  if (!is_on()) return;
  // The format changes with a reload; each thread looks at it again only then.
  thread_local std::shared_ptr<const std::string> format;
  thread_local std::pair<uint64_t, uint64_t> format_of{0, 0};
  std::pair<uint64_t, uint64_t> current{id_, format_version_.load(std::memory_order_acquire)};
  if (format_of != current) {
    std::lock_guard lock(settings_mutex_);
    format = format_;
    format_of = current;
  }
  std::string line = FormatAccessRecord(*format, record);
  Shard& shard = ShardOfThread();
  bool is_full;
  {
    std::lock_guard lock(shard.mutex);
    if (shard.text.size() + line.size() > kMostWaiting) {
      ++shard.dropped;
      return;
    }
    bool was_full = shard.text.size() >= kFlushAt;
    shard.text += line;
    is_full = !was_full && shard.text.size() >= kFlushAt;
  }
  if (!is_full) return;
  {
    std::lock_guard lock(wake_mutex_);
    is_due_ = true;
  }
  wake_.notify_one();
}

void AccessLogImpl::RunFlusher() {
  SetLogThreadName("access_log");
  std::unique_lock lock(wake_mutex_);
  while (!is_stopping_) {
    wake_.wait_for(lock, kFlushEvery, [this] { return is_due_ || is_stopping_; });
    is_due_ = false;
    lock.unlock();
    WriteOut();
    lock.lock();
  }
}

void AccessLogImpl::WriteOut() {
  std::lock_guard file_lock(file_mutex_);
  std::vector<Shard*> shards;
  {
    std::lock_guard lock(shards_mutex_);
    for (auto& shard : shards_) shards.push_back(shard.get());
  }
  std::string text;
  for (Shard* shard : shards) {
    uint64_t dropped;
    text.clear();
    {
      std::lock_guard lock(shard->mutex);
      text.swap(shard->text);
      dropped = std::exchange(shard->dropped, 0);
    }
    if (dropped > 0) LOG_WARN("access_log_lines_lost", "lines={}", dropped);
    std::string_view rest = text;
    while (!rest.empty() && fd_ >= 0) {
      ssize_t written = write(fd_, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        // Once, not for each second that the disk stays full.
        if (!std::exchange(has_failed_, true)) {
          LOG_WARN("access_log_failed", "error=\"{}\"", std::strerror(errno));
        }
        break;
      }
      has_failed_ = false;
      rest.remove_prefix(static_cast<size_t>(written));
    }
  }
}

void AccessLogImpl::Flush() { WriteOut(); }

Status AccessLogImpl::Configure(const std::string& output, const std::string& format) {
  if (Status status = CheckAccessFormat(format); !status) return status;
  int fd = -1;
  bool owns = false;
  if (output == "stdout") {
    fd = STDOUT_FILENO;
  } else if (output == "stderr") {
    fd = STDERR_FILENO;
  } else if (output != "off") {
    fd = open(output.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) return Fail(ErrorCode::kIo, "access log {}: {}", output, std::strerror(errno));
    owns = true;
  }
  // What was written under the old settings goes where they said.
  WriteOut();
  {
    std::lock_guard lock(file_mutex_);
    if (owns_fd_ && fd_ >= 0) close(fd_);
    fd_ = fd;
    owns_fd_ = owns;
    has_failed_ = false;
  }
  {
    std::lock_guard lock(settings_mutex_);
    format_ = std::make_shared<const std::string>(format);
    output_ = output;
  }
  format_version_.fetch_add(1, std::memory_order_release);
  is_on_.store(output != "off", std::memory_order_relaxed);
  return {};
}

Status AccessLogImpl::Reopen() {
  std::string output;
  {
    std::lock_guard lock(settings_mutex_);
    output = output_;
  }
  if (output == "off" || output == "stdout" || output == "stderr") return {};
  int fd = open(output.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return Fail(ErrorCode::kIo, "access log {}: {}", output, std::strerror(errno));
  WriteOut();
  std::lock_guard lock(file_mutex_);
  if (owns_fd_ && fd_ >= 0) close(fd_);
  fd_ = fd;
  owns_fd_ = true;
  return {};
}

}  // namespace

Result<std::unique_ptr<AccessLog>> AccessLog::Open(const std::string& output, const std::string& format) {
  auto log = std::make_unique<AccessLogImpl>();
  if (Status status = log->Configure(output, format); !status) return PassOn(status);
  log->Start();
  return std::unique_ptr<AccessLog>(std::move(log));
}

}  // namespace genkan::server
