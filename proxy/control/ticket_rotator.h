// The session ticket keys of all workers: a fresh one each hour, or those of a file that a fleet
// shares, which is watched as certificates are. Control thread; owned by the Supervisor.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "proxy/base/result.h"
#include "proxy/control/certificate_source.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/file_watcher.h"
#include "proxy/event/timer.h"
#include "proxy/net/fd.h"
#include "proxy/tls/ticket_keys.h"

namespace genkan::control {

class TicketRotator {
 public:
  static constexpr Millis kRotation{3'600'000};
  // In a file: name, AES key and HMAC key of each key, as nginx's 80-byte ticket keys; the first
  // encrypts.
  static constexpr size_t kBytesPerKey = 80;

  TicketRotator(event::EventLoop& loop, FileAccess& files,
                std::function<void(tls::TicketKeysPtr)> publish,
                event::FileView& view = event::DirectFileView());

  static constexpr Millis kRetry{5'000};  // of a file that is half-written

  // "rotate", or the path of a file. Publishes at once where the keys are new; a file is read again
  // each time, and when it changes. What cannot be taken leaves those of before.
  Status Configure(const std::string& source);

  // The keys of "rotate" in memory that a descriptor stands for; none where a file has them.
  net::Fd Export() const;
  Millis rotation_due() const;
  // Goes on with those of another process. Before Configure.
  Status Adopt(const net::Fd& keys, Millis rotation_due);

 private:
  Status ReadFile(const std::string& path);
  void OnFile();
  void Rotate();

  FileAccess& files_;
  std::function<void(tls::TicketKeysPtr)> publish_;
  std::string source_;
  tls::TicketKeysPtr keys_;
  event::EventLoop& loop_;
  event::FileView& view_;
  std::unique_ptr<event::FileWatcher> watcher_;  // of a file
  std::string trouble_;                          // with the file, as it was told
  event::Timer timer_;  // of the next rotation, or of another look at the file
};

// Pure. Whole keys only, at least one, at most TicketKeys::kAccepted.
Result<tls::TicketKeysPtr> ParseTicketKeys(std::string_view bytes);
std::string PackTicketKeys(const tls::TicketKeys& keys);

}  // namespace genkan::control
