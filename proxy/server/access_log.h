// The access log: one line an exchange, combined (exactly Apache's), JSON or a format string. Workers format into a
// buffer of their own; one thread writes. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"

namespace genkan::server {

// Views into the exchange, valid during the call.
struct AccessRecord {
  WallTime time;
  std::string_view client_address, user = "-", method, target, version, host, referer, user_agent;
  int status = 0;
  uint64_t body_bytes = 0;        // sent to the client
  uint64_t request_bytes = 0;     // body received
  std::string_view site, server_name, tls_version, cipher, alpn;
  bool is_resumed = false, has_sent_staple = false;
  std::string_view upstream, answered_by, id, error;
  int64_t duration_us = 0, upstream_connect_us = -1, upstream_head_us = -1;
  std::string_view request_id;    // of the module of that name
};

// Pure: one line with its newline. `format`: "combined", "json", or a format string with {field} names.
std::string FormatAccessRecord(std::string_view format, const AccessRecord& record);
// Errors in a format string (an unknown {field}).
Status CheckAccessFormat(std::string_view format);

class AccessLog {
 public:
  // output: "stdout", "stderr", a path, "off".
  static Result<std::unique_ptr<AccessLog>> Open(const std::string& output, const std::string& format);
  virtual ~AccessLog() = default;
  virtual bool is_on() const = 0;
  virtual void Write(const AccessRecord& record) = 0;
  virtual Status Configure(const std::string& output, const std::string& format) = 0;  // reload
  virtual Status Reopen() = 0;                                                         // SIGUSR1
  virtual void Flush() = 0;
};

}  // namespace genkan::server
