#include "proxy/control/ticket_rotator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proxy/base/log.h"

namespace genkan::control {
namespace {

constexpr std::string_view kRotate = "rotate";

}  // namespace
Result<tls::TicketKeysPtr> ParseTicketKeys(std::string_view bytes) {
  constexpr size_t kSize = TicketRotator::kBytesPerKey;
  if (bytes.empty() || bytes.size() % kSize != 0 ||
      bytes.size() > kSize * tls::TicketKeys::kAccepted) {
    return Fail(ErrorCode::kInvalid,
                "{} bytes are no ticket keys: 1 to {} keys of {} random bytes each; "
                "make one with: openssl rand {}",
                bytes.size(), tls::TicketKeys::kAccepted, kSize, kSize);
  }
  std::vector<tls::TicketKey> keys;
  for (; !bytes.empty(); bytes.remove_prefix(kSize)) {
    tls::TicketKey key;
    std::copy_n(bytes.begin(), 16, key.name.begin());
    std::copy_n(bytes.begin() + 16, 32, key.aes_key.begin());
    std::copy_n(bytes.begin() + 48, 32, key.hmac_key.begin());
    keys.push_back(key);
  }
  return tls::TicketKeysPtr(std::make_shared<tls::TicketKeys>(std::move(keys)));
}

std::string PackTicketKeys(const tls::TicketKeys& keys) {
  std::string bytes;
  for (const tls::TicketKey& key : keys.keys()) {
    bytes.append(key.name.begin(), key.name.end());
    bytes.append(key.aes_key.begin(), key.aes_key.end());
    bytes.append(key.hmac_key.begin(), key.hmac_key.end());
  }
  return bytes;
}

TicketRotator::TicketRotator(event::EventLoop& loop, FileAccess& files,
                             std::function<void(tls::TicketKeysPtr)> publish, event::FileView& view)
    : files_(files), publish_(std::move(publish)), loop_(loop), view_(view), timer_(loop, [this] {
        source_ == kRotate ? Rotate() : OnFile();
      }) {}

Status TicketRotator::Configure(const std::string& source) {
  if (source == kRotate) {
    if (source_ == source) return {};
    source_ = source;
    watcher_.reset();
    Rotate();
    return {};
  }
  if (auto read = ReadFile(source); !read) return read;
  timer_.Cancel();
  if (source_ == source) return {};
  source_ = source;
  watcher_ = std::make_unique<event::FileWatcher>(
      loop_, [this](const std::vector<std::string>&) { OnFile(); }, event::FileWatcherTimes{},
      view_);
  watcher_->Watch({source_});
  return {};
}

Status TicketRotator::ReadFile(const std::string& path) {
  auto bytes = files_.Read(path, kBytesPerKey * tls::TicketKeys::kAccepted);
  if (!bytes) return PassOn(bytes, "ticket_keys");
  auto keys = ParseTicketKeys(*bytes);
  if (!keys) return PassOn(keys, "ticket_keys: {}", path);
  trouble_.clear();
  if (keys_ != nullptr && PackTicketKeys(**keys) == PackTicketKeys(*keys_)) return {};
  keys_ = *std::move(keys);
  publish_(keys_);
  return {};
}

void TicketRotator::OnFile() {
  const tls::TicketKeysPtr before = keys_;
  auto read = ReadFile(source_);
  if (read) {
    timer_.Cancel();
    if (keys_ != before)
      LOG_INFO("ticket_keys_read", "file={} keys={}", source_, keys_->keys().size());
    return;
  }
  timer_.Start(kRetry);
  if (trouble_ == read.error().detail) return;
  trouble_ = read.error().detail;
  LOG_WARN("ticket_keys_refused", "error=\"{}\" those of before stay", trouble_);
}

net::Fd TicketRotator::Export() const {
  if (source_ != kRotate || keys_ == nullptr) return {};
  net::Fd memory(memfd_create("genkan-ticket-keys", MFD_CLOEXEC));
  const std::string bytes = PackTicketKeys(*keys_);
  if (!memory.is_open() ||
      write(memory.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    LOG_WARN("ticket_keys_stay", "error=\"{}\" the new process makes its own",
             std::strerror(errno));
    return {};
  }
  return memory;
}

Millis TicketRotator::rotation_due() const {
  if (!timer_.is_running()) return kRotation;
  return std::max(std::chrono::duration_cast<Millis>(timer_.deadline() - loop_.now()), Millis(0));
}

Status TicketRotator::Adopt(const net::Fd& memory, Millis rotation_due) {
  std::string bytes(kBytesPerKey * tls::TicketKeys::kAccepted, '\0');
  const ssize_t size = pread(memory.get(), bytes.data(), bytes.size(), 0);
  if (size < 0) return Fail(ErrorCode::kIo, "ticket keys: {}", std::strerror(errno));
  bytes.resize(static_cast<size_t>(size));
  auto keys = ParseTicketKeys(bytes);
  if (!keys) return PassOn(keys);
  source_ = kRotate;
  keys_ = *std::move(keys);
  publish_(keys_);
  timer_.Start(std::min(rotation_due, kRotation));
  return {};
}

void TicketRotator::Rotate() {
  keys_ = tls::TicketKeys::Rotate(keys_.get());
  publish_(keys_);
  timer_.Start(kRotation);
}

}  // namespace genkan::control
