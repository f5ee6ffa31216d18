// The session ticket keys of all workers: a fresh one each hour, or those of a file that a fleet
// shares. Control thread; owned by the Supervisor.
#pragma once

#include <functional>
#include <string>

#include "proxy/base/result.h"
#include "proxy/control/certificate_source.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/timer.h"
#include "proxy/tls/ticket_keys.h"

namespace genkan::control {

class TicketRotator {
 public:
  static constexpr Millis kRotation{3'600'000};
  // In a file: name, AES key and HMAC key of each key, as nginx's 80-byte ticket keys; the first
  // encrypts.
  static constexpr size_t kBytesPerKey = 80;

  TicketRotator(event::EventLoop& loop, FileAccess& files,
                std::function<void(tls::TicketKeysPtr)> publish);

  // "rotate", or the path of a file. Publishes at once where the keys are new; a file is read again
  // each time.
  Status Configure(const std::string& source);

 private:
  void Rotate();

  FileAccess& files_;
  std::function<void(tls::TicketKeysPtr)> publish_;
  std::string source_;
  tls::TicketKeysPtr keys_;
  event::Timer timer_;
};

// Pure. Whole keys only, at least one, at most TicketKeys::kAccepted.
Result<tls::TicketKeysPtr> ParseTicketKeys(std::string_view bytes);

}  // namespace genkan::control
