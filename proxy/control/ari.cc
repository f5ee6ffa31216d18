#include "proxy/control/ari.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace genkan::control {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxUrl = 2048;
constexpr auto kLongestWindow = std::chrono::hours(24 * 3653);

// A fixed number of digits at the front of `text`, taken off.
std::optional<int> TakeDigits(std::string_view& text, size_t count) {
  if (text.size() < count) return std::nullopt;
  int value = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!IsDigit(text[i])) return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool Take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

std::optional<std::chrono::sys_days> DayOf(int year, int month, int day) {
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  // What a clock of nanoseconds can hold.
  if (!date.ok() || year < 1970 || year > 2200) return std::nullopt;
  return std::chrono::sys_days(date);
}

// hh:mm:ss; a leap second counts as the one before.
std::optional<Seconds> TakeClock(std::string_view& text) {
  const auto hour = TakeDigits(text, 2);
  if (!hour || !Take(text, ":")) return std::nullopt;
  const auto minute = TakeDigits(text, 2);
  if (!minute || !Take(text, ":")) return std::nullopt;
  const auto second = TakeDigits(text, 2);
  if (!second || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return Seconds(*hour * 3600 + *minute * 60 + std::min(*second, 59));
}

std::optional<Seconds> TakeOffset(std::string_view& text) {
  if (Take(text, "Z") || Take(text, "z")) return Seconds(0);
  const int sign = Take(text, "+") ? 1 : Take(text, "-") ? -1 : 0;
  if (sign == 0) return std::nullopt;
  const auto hour = TakeDigits(text, 2);
  if (!hour || !Take(text, ":")) return std::nullopt;
  const auto minute = TakeDigits(text, 2);
  if (!minute || *hour > 23 || *minute > 59) return std::nullopt;
  return Seconds(sign * (*hour * 3600 + *minute * 60));
}

std::optional<int> TakeMonth(std::string_view& text) {
  static constexpr std::array<std::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (size_t i = 0; i < kMonths.size(); ++i) {
    if (Take(text, kMonths[i])) return static_cast<int>(i) + 1;
  }
  return std::nullopt;
}

// "Sun, 06 Nov 1994 08:49:37 GMT"; "Sunday, 06-Nov-94 08:49:37 GMT"; "Sun Nov  6 08:49:37 1994"
std::optional<WallTime> ParseHttpDate(std::string_view text) {
  const size_t comma = text.find(',');
  std::optional<int> day, month, year;
  std::optional<Seconds> clock;
  if (comma != std::string_view::npos) {
    text.remove_prefix(comma + 1);
    if (!Take(text, " ")) return std::nullopt;
    day = TakeDigits(text, 2);
    const std::string_view between = text.starts_with('-') ? "-" : " ";
    if (!Take(text, between)) return std::nullopt;
    month = TakeMonth(text);
    if (!Take(text, between)) return std::nullopt;
    year = TakeDigits(text, between == "-" ? 2 : 4);
    // RFC 9110 5.6.7: two digits are of this century, or of the one before.
    if (year && between == "-") *year += *year < 70 ? 2000 : 1900;
    if (!Take(text, " ")) return std::nullopt;
    clock = TakeClock(text);
    if (!Take(text, " GMT")) return std::nullopt;
  } else {
    if (text.size() < 4) return std::nullopt;
    text.remove_prefix(3);
    if (!Take(text, " ")) return std::nullopt;
    month = TakeMonth(text);
    if (!Take(text, " ")) return std::nullopt;
    day = Take(text, " ") ? TakeDigits(text, 1) : TakeDigits(text, 2);
    if (!Take(text, " ")) return std::nullopt;
    clock = TakeClock(text);
    if (!Take(text, " ")) return std::nullopt;
    year = TakeDigits(text, 4);
  }
  if (!day || !month || !year || !clock || !text.empty()) return std::nullopt;
  const auto date = DayOf(*year, *month, *day);
  if (!date) return std::nullopt;
  return WallTime(*date) + *clock;
}

// nlohmann's parser without exceptions; null where it is no object. Depth is bounded first: its
// recursion in destructors and ours is not.
Json ParseObject(std::string_view text) {
  int depth = 0;
  auto watch = [&depth](int at, Json::parse_event_t, Json&) {
    depth = std::max(depth, at);
    return at < 16;
  };
  Json json = Json::parse(text.begin(), text.end(), watch, false);
  return json.is_object() && depth < 16 ? json : Json();
}

std::string TextOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool IsUrl(std::string_view text) {
  if (!text.starts_with("https://") && !text.starts_with("http://")) return false;
  return text.size() <= kMaxUrl && std::all_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
         });
}

}  // namespace

std::optional<WallTime> ParseRfc3339(std::string_view text) {
  const auto year = TakeDigits(text, 4);
  if (!year || !Take(text, "-")) return std::nullopt;
  const auto month = TakeDigits(text, 2);
  if (!month || !Take(text, "-")) return std::nullopt;
  const auto day = TakeDigits(text, 2);
  if (!day || !(Take(text, "T") || Take(text, "t") || Take(text, " "))) return std::nullopt;
  const auto clock = TakeClock(text);
  if (!clock) return std::nullopt;
  if (Take(text, ".")) {
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0) return std::nullopt;
    text.remove_prefix(digits);
  }
  const auto offset = TakeOffset(text);
  const auto date = DayOf(*year, *month, *day);
  if (!offset || !date || !text.empty()) return std::nullopt;
  return WallTime(*date) + *clock - *offset;
}

std::optional<Millis> ParseRetryAfter(std::string_view text, WallTime now) {
  text = Trim(text);
  if (const auto seconds = ParseDecimal(text))
    return Seconds(static_cast<int64_t>(std::min<uint64_t>(*seconds, 1'000'000'000)));
  const auto date = ParseHttpDate(text);
  if (!date) return std::nullopt;
  return std::max(Millis(0), std::chrono::duration_cast<Millis>(*date - now));
}

Result<std::string> ReadAcmeDirectory(std::string_view text) {
  const Json json = ParseObject(text);
  // RFC 8555 7.1.1: newNonce is in each.
  if (json.is_null() || TextOf(json, "newNonce").empty())
    return Fail(ErrorCode::kInvalid, "not an ACME directory");
  std::string url = TextOf(json, "renewalInfo");
  if (!url.empty() && !IsUrl(url))
    return Fail(ErrorCode::kInvalid, "the directory's renewalInfo is no URL");
  return url;
}

Result<RenewalInfo> ReadRenewalInfo(std::string_view text) {
  const Json json = ParseObject(text);
  const auto window = json.is_null() ? json.end() : json.find("suggestedWindow");
  if (window == json.end() || !window->is_object())
    return Fail(ErrorCode::kInvalid, "renewal information without a suggestedWindow");
  const auto start = ParseRfc3339(TextOf(*window, "start"));
  const auto end = ParseRfc3339(TextOf(*window, "end"));
  if (!start || !end)
    return Fail(ErrorCode::kInvalid, "renewal information with a suggestedWindow without times");
  if (*end <= *start || *end - *start > kLongestWindow)
    return Fail(ErrorCode::kInvalid, "renewal information with a window from {} to {}",
                FormatIso8601(*start), FormatIso8601(*end));
  RenewalInfo info{*start, *end, TextOf(json, "explanationURL")};
  if (!IsUrl(info.explanation_url)) info.explanation_url.clear();
  return info;
}

}  // namespace genkan::control
