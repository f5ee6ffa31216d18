// What is logged while it lives. One at a time; any thread may log.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/log.h"

namespace genkan::testing {

class LogLines {
 public:
  LogLines() {
    SetLogObserver([this](LogLevel level, std::string_view event, std::string_view text) {
      std::lock_guard lock(mutex_);
      lines_.push_back({level, std::string(event), std::string(text)});
    });
  }
  ~LogLines() { SetLogObserver({}); }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;

  size_t Count(LogLevel level, std::string_view event) const {
    std::lock_guard lock(mutex_);
    size_t count = 0;
    for (const Line& line : lines_) count += line.level == level && line.event == event;
    return count;
  }
  // "event text", a line each.
  std::string Text() const {
    std::lock_guard lock(mutex_);
    std::string text;
    for (const Line& line : lines_) text += line.event + " " + line.text + "\n";
    return text;
  }

 private:
  struct Line {
    LogLevel level;
    std::string event, text;
  };
  mutable std::mutex mutex_;
  std::vector<Line> lines_;
};

}  // namespace genkan::testing
