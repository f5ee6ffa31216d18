// One request as a certificate authority makes it when it validates http-01: HTTP/1.1, certificates
// not verified, no redirect followed, no proxy. Blocks; for the command line.
#pragma once

#include <cstdint>
#include <string>

#include "proxy/base/clock.h"

namespace genkan::control {

enum class HopEnd {
  kAnswered,
  kNotResolved,  // a redirect's host has no address
  kRefused,      // nobody listens, or no way there
  kSilent,       // no connection within the time
  kMute,         // a connection, and no whole answer within the time
  kTlsFailed,
  kBroken,  // closed, reset, or no HTTP
};

struct Hop {
  std::string url;
  std::string address;  // where it went: "192.0.2.1 port 80"; "" where it came to nothing
  HopEnd end = HopEnd::kBroken;
  std::string error;  // in words, "" where it was answered
  int status = 0;
  std::string redirect;  // the absolute URL that Location leads to; "" without one
  std::string server;    // the field of that name
  std::string body;      // its first kMostBody bytes
};

struct ProbeOptions {
  std::string host;                           // the name that is validated
  std::string address;                        // where that name goes; "" = as it resolves
  bool is_for_all = false;                    // all other names go there too
  uint16_t http_port = 80, https_port = 443;  // that the URLs' 80 and 443 stand for
  std::string user_agent;
  Millis timeout{10'000};
};

inline constexpr size_t kMostBody = 4096;

Hop ProbeOnce(const std::string& url, const ProbeOptions& options);

}  // namespace genkan::control
