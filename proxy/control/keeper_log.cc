#include "proxy/control/keeper_log.h"

#include <time.h>
#include <unistd.h>

#include <memory>
#include <string>

namespace genkan::control {
namespace {

char Letter(LogLevel level) {
  constexpr std::string_view kLetters = "DIWEO";
  return kLetters[static_cast<size_t>(level)];
}

// As the log writes it: "2026-11-25T23:00:00.123+0100 I keeper event text".
std::string Line(LogLevel level, std::string_view event, std::string_view text) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm local{};
  localtime_r(&now.tv_sec, &local);
  char day[32], zone[8];
  strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &local);
  strftime(zone, sizeof(zone), "%z", &local);
  std::string_view offset(zone);
  return fmt::format("{}.{:03}{}:{} {} keeper {} {}\n", day, now.tv_nsec / 1'000'000,
                     offset.substr(0, 3), offset.substr(3), Letter(level), event, text);
}

}  // namespace

void SetKeeperLog(LogLevel least, net::Fd output) {
  auto target = std::make_shared<net::Fd>(std::move(output));
  SetLogObserver([least, target](LogLevel level, std::string_view event, std::string_view text) {
    if (level < least) return;
    const std::string line = Line(level, event, text);
    // One write: lines of two processes do not mix. Nobody is left to tell when it fails.
    [[maybe_unused]] ssize_t written = write(target->get(), line.data(), line.size());
  });
}

}  // namespace genkan::control
