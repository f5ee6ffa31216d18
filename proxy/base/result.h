// Errors as values. A function that can fail returns Result<T> or Status; whoever calls it must look.
// Thread-safe as any value. An Error says whose fault it was, which decides the answer (4xx, 502, 500),
// the metric and whether a retry makes sense.
#pragma once

#include <fmt/core.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace genkan {

enum class ErrorCode {
  kInvalid,      // input that breaks a rule: a message, a file, a configuration
  kTooLarge,     // over a stated limit
  kNotFound,     // no such file, name, route
  kPermission,   // the operating system says no
  kUnsupported,  // well-formed, but nothing we do
  kTimeout,      // a stated time ran out
  kClosed,       // the other side went away
  kTls,          // the TLS or X.509 layer refused
  kIo,           // any other failure of a system call
  kBusy,         // a stated number is under way already
  kInternal,     // ours
};

enum class Side { kLocal, kDownstream, kUpstream };

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string detail;
  Side side = Side::kLocal;
};

std::string_view ToString(ErrorCode code);

template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
 public:
  using tl::expected<void, Error>::expected;
};

using Status = Result<void>;

// Fail(ErrorCode::kTls, "{}: no private key", path) converts to any Result.
template <class... Args>
tl::unexpected<Error> Fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

template <class... Args>
tl::unexpected<Error> FailAt(Side side, ErrorCode code, fmt::format_string<Args...> format,
                             Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...), side});
}

// Passes an error of `result` on, as the failure of another Result.
template <class T>
tl::unexpected<Error> PassOn(const Result<T>& result) {
  return tl::unexpected<Error>(result.error());
}

// The same with what was being done in front: "site a.test: leaf.pem: no certificate".
template <class T, class... Args>
tl::unexpected<Error> PassOn(const Result<T>& result, fmt::format_string<Args...> format,
                             Args&&... args) {
  Error error = result.error();
  error.detail = fmt::format(format, std::forward<Args>(args)...) + ": " + error.detail;
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace genkan
