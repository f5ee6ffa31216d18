#include "proxy/tls/tls_policy.h"

namespace genkan::tls {

Result<Profile> ParseProfile(std::string_view name) {
  if (name == "modern") return Profile::kModern;
  if (name == "intermediate") return Profile::kIntermediate;
  if (name == "old") return Profile::kOld;
  return Fail(ErrorCode::kInvalid, "\"{}\" is no TLS profile (modern, intermediate, old)", name);
}

Result<int> ParseTlsVersion(std::string_view text) {
  if (text == "1.0") return 0x0301;
  if (text == "1.1") return 0x0302;
  if (text == "1.2") return 0x0303;
  if (text == "1.3") return 0x0304;
  return Fail(ErrorCode::kInvalid, "\"{}\" is no TLS version (1.0, 1.1, 1.2, 1.3)", text);
}

int MinVersionOf(const TlsPolicy& policy) {
  return policy.profile == Profile::kModern ? 0x0304 : policy.min_version;
}

int SecurityLevelOf(const TlsPolicy& policy) { return MinVersionOf(policy) < 0x0303 ? 0 : 2; }

}  // namespace genkan::tls
