// The error log: an event's name, then key=value. LOG_INFO("cert_swapped", "site={} not_after={}", …).
// error = wake somebody, warn = degraded, info = life cycle, debug = per connection. What a peer caused
// stays at debug. Thread-safe; the writing is done by a thread of its own. Control bytes in the text are
// written as \xHH, so that a peer cannot forge a line.
#pragma once

#include <fmt/core.h>

#include <functional>
#include <string>
#include <string_view>

#include "proxy/base/result.h"

namespace genkan {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };

struct LogSettings {
  LogLevel level = LogLevel::kInfo;
  std::string output = "stderr";  // "stderr", "stdout" or a path
};

Result<LogLevel> ParseLogLevel(std::string_view name);

// Sets level and output; may be called again (reload).
Status StartLog(const LogSettings& settings);
// Opens the file again (log rotation, SIGUSR1).
Status ReopenLog();
// Writes out what is queued. Call before exit and before fork.
void FlushLog();
// Stops the writing thread; later lines go to stderr directly. Needed before fork().
void StopLog();

// The name of this thread in its log lines: "control", "w3".
void SetLogThreadName(std::string_view name);

bool LogEnabled(LogLevel level) noexcept;
void LogWrite(LogLevel level, std::string_view event, std::string_view text);

// Tests see each line instead of the output; an empty function restores it.
using LogObserver = std::function<void(LogLevel, std::string_view event, std::string_view text)>;
void SetLogObserver(LogObserver observer);

}  // namespace genkan

#define GENKAN_LOG(level, event, ...)                                  \
  do {                                                                 \
    if (::genkan::LogEnabled(level))                                   \
      ::genkan::LogWrite(level, event, ::fmt::format(__VA_ARGS__));    \
  } while (false)

#define LOG_DEBUG(event, ...) GENKAN_LOG(::genkan::LogLevel::kDebug, event, __VA_ARGS__)
#define LOG_INFO(event, ...) GENKAN_LOG(::genkan::LogLevel::kInfo, event, __VA_ARGS__)
#define LOG_WARN(event, ...) GENKAN_LOG(::genkan::LogLevel::kWarn, event, __VA_ARGS__)
#define LOG_ERROR(event, ...) GENKAN_LOG(::genkan::LogLevel::kError, event, __VA_ARGS__)
