#include "proxy/base/log.h"

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "proxy/base/text.h"

namespace genkan {
namespace {

constexpr size_t kQueueLines = 8192;

std::atomic<LogLevel> g_level{LogLevel::kInfo};
std::atomic<bool> g_has_observer{false};
thread_local std::string t_thread_name = "main";

struct State {
  std::mutex mutex;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::logger> logger;
  LogSettings settings;
  LogObserver observer;
};

State& GetState() {
  static State state;
  return state;
}

Result<std::shared_ptr<spdlog::sinks::sink>> MakeSink(const std::string& output) {
  if (output == "stderr") return std::make_shared<spdlog::sinks::stderr_sink_mt>();
  if (output == "stdout") return std::make_shared<spdlog::sinks::stdout_sink_mt>();
  try {
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(output);
  } catch (const spdlog::spdlog_ex& error) {
    return Fail(ErrorCode::kIo, "log file {}: {}", output, error.what());
  }
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kOff: return spdlog::level::off;
  }
  return spdlog::level::info;
}

constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%e%z %L %v";

}  // namespace

Result<LogLevel> ParseLogLevel(std::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warn") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  if (name == "off") return LogLevel::kOff;
  return Fail(ErrorCode::kInvalid, "\"{}\" is no log level; use debug, info, warn, error or off",
              name);
}

Status StartLog(const LogSettings& settings) {
  State& state = GetState();
  std::lock_guard lock(state.mutex);
  auto sink = MakeSink(settings.output);
  if (!sink) return PassOn(sink);
  if (!state.pool) state.pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  // A full queue drops the oldest lines rather than holding up a worker.
  auto logger = std::make_shared<spdlog::async_logger>("genkan", *sink, state.pool,
                                                       spdlog::async_overflow_policy::overrun_oldest);
  logger->set_pattern(kPattern);
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::debug);
  state.logger = std::move(logger);
  state.settings = settings;
  g_level.store(settings.level, std::memory_order_relaxed);
  return {};
}

Status ReopenLog() {
  LogSettings settings;
  {
    State& state = GetState();
    std::lock_guard lock(state.mutex);
    settings = state.settings;
  }
  return StartLog(settings);
}

void FlushLog() {
  std::shared_ptr<spdlog::logger> logger;
  {
    State& state = GetState();
    std::lock_guard lock(state.mutex);
    logger = state.logger;
  }
  if (logger) logger->flush();
}

void StopLog() {
  State& state = GetState();
  std::lock_guard lock(state.mutex);
  // The pool's destructor writes out what is queued and joins its thread.
  state.pool.reset();
  state.logger.reset();
}

void SetLogThreadName(std::string_view name) { t_thread_name = std::string(name); }

bool LogEnabled(LogLevel level) noexcept {
  return level >= g_level.load(std::memory_order_relaxed) ||
         g_has_observer.load(std::memory_order_relaxed);
}

void LogWrite(LogLevel level, std::string_view event, std::string_view text) {
  std::string clean = EscapeControl(text);
  std::shared_ptr<spdlog::logger> logger;
  {
    State& state = GetState();
    std::lock_guard lock(state.mutex);
    if (state.observer) {
      state.observer(level, event, clean);
      return;
    }
    logger = state.logger;
  }
  if (level < g_level.load(std::memory_order_relaxed)) return;
  if (logger) {
    logger->log(ToSpdlog(level), "{} {} {}", t_thread_name, event, clean);
  } else {
    fmt::print(stderr, "{} {} {}\n", t_thread_name, event, clean);
  }
}

void SetLogObserver(LogObserver observer) {
  State& state = GetState();
  std::lock_guard lock(state.mutex);
  g_has_observer.store(static_cast<bool>(observer), std::memory_order_relaxed);
  state.observer = std::move(observer);
}

}  // namespace genkan
