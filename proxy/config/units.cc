#include "proxy/config/units.h"

#include <fmt/core.h>

#include "proxy/base/text.h"

namespace genkan::config {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

constexpr Unit kDurations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr Unit kSizes[] = {{"", 1},
                           {"B", 1},
                           {"KB", 1000},
                           {"KiB", 1024},
                           {"MB", 1000 * 1000},
                           {"MiB", 1024 * 1024},
                           {"GB", 1000 * 1000 * 1000},
                           {"GiB", 1024 * 1024 * 1024},
                           {"TB", 1000ull * 1000 * 1000 * 1000},
                           {"TiB", 1024ull * 1024 * 1024 * 1024}};

template <size_t size>
std::optional<uint64_t> ParseWithUnit(std::string_view text, const Unit (&units)[size],
                                      uint64_t limit) {
  size_t digits = 0;
  while (digits < text.size() && IsDigit(text[digits])) ++digits;
  auto number = ParseDecimal(text.substr(0, digits));
  if (!number) return std::nullopt;
  std::string_view unit = text.substr(digits);
  for (const Unit& known : units) {
    if (known.name != unit) continue;
    if (*number > limit / known.factor) return std::nullopt;
    return *number * known.factor;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Millis> ParseDuration(std::string_view text) {
  if (text == "0") return Millis(0);
  constexpr uint64_t kTenYears = 3653 * uint64_t{86'400'000};
  auto millis = ParseWithUnit(text, kDurations, kTenYears);
  if (!millis) return std::nullopt;
  return Millis(static_cast<int64_t>(*millis));
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  return ParseWithUnit(text, kSizes, (uint64_t{1} << 63) - 1);
}

std::string FormatDuration(Millis duration) {
  auto millis = static_cast<uint64_t>(duration.count());
  if (millis == 0) return "0s";
  const Unit* best = &kDurations[0];
  for (const Unit& unit : kDurations) {
    if (millis % unit.factor == 0) best = &unit;
  }
  return fmt::format("{}{}", millis / best->factor, best->name);
}

}  // namespace genkan::config
