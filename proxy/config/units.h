// Durations and sizes as people write them. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"

namespace genkan::config {

// "250ms", "10s", "2m", "12h", "1d", "0". At most ten years.
std::optional<Millis> ParseDuration(std::string_view text);
// "65536", "64KiB", "10MB", "1GiB", "0": bytes. KB is 1000, KiB is 1024.
std::optional<uint64_t> ParseSize(std::string_view text);
// The shortest spelling that means the same.
std::string FormatDuration(Millis duration);

}  // namespace genkan::config
