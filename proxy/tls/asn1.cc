#include "proxy/tls/asn1.h"

#include <algorithm>
#include <ctime>

namespace genkan::tls {

std::optional<WallTime> ToWallTime(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  const auto whole_seconds = [](WallTime limit) {
    return std::chrono::duration_cast<Seconds>(limit.time_since_epoch()).count();
  };
  return WallTime(Seconds(std::clamp<int64_t>(timegm(&parts), whole_seconds(WallTime::min()),
                                              whole_seconds(WallTime::max()))));
}

std::string_view AsView(const ASN1_STRING* text) {
  if (text == nullptr || ASN1_STRING_length(text) <= 0) return {};
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

}  // namespace genkan::tls
