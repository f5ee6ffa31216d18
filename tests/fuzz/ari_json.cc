// The answers of ACME Renewal Information and Retry-After on any bytes: no crash, no exception, and
// what is accepted keeps its promises.
#include "proxy/base/check.h"
#include "proxy/control/ari.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto info = control::ReadRenewalInfo(text)) {
    GENKAN_CHECK(info->window_start < info->window_end);
    GENKAN_CHECK(info->window_start >= WallTime{});
    for (char c : info->explanation_url) GENKAN_CHECK(c > 0x20 && c < 0x7f);
  }
  if (const auto url = control::ReadAcmeDirectory(text))
    GENKAN_CHECK(url->empty() || url->starts_with("http"));
  const WallTime now(Seconds(1'800'000'000));
  if (const auto wait = control::ParseRetryAfter(text, now)) GENKAN_CHECK(wait->count() >= 0);
  if (const auto time = control::ParseRfc3339(text))
    GENKAN_CHECK(*time > WallTime(Seconds(-100'000)));
  return 0;
}
