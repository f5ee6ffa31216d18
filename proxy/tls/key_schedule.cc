#include "proxy/tls/key_schedule.h"

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/tls/provider/tls13_kdf.h"

namespace genkan::tls {
namespace {

using provider::Bytes;

void Hmac(Bytes key, Bytes message, HashValue& out) {
  provider::HmacSha2 hmac(out.digest(), key);
  hmac.Update(message);
  hmac.Finish(out.data());
}

// What HKDF-Extract takes where there is no input (RFC 8446 7.1).
Bytes Zeros(const HashValue& like) {
  static constexpr std::array<unsigned char, provider::kMaxDigest> kZeros = {};
  return Bytes(kZeros).first(like.bytes().size());
}

}  // namespace

void Expand(Bytes secret, std::string_view label, Bytes context, HashValue& out) {
  // The lengths are such that it cannot fail.
  GENKAN_CHECK(provider::ExpandLabel(out.digest(), secret, AsBytes("tls13 "), AsBytes(label),
                                     context, out.room()));
}

void ExtractEarly(Bytes psk, HashValue& out) {
  // HMAC fills a salt of nothing up with the zeros that HKDF-Extract asks for.
  Hmac({}, psk.empty() ? Zeros(out) : psk, out);
}

void ExtractNext(const HashValue& secret, Bytes input, HashValue& out) {
  HashValue nothing(out.digest()), salt(out.digest());
  HashOf(provider::Sha2Hash(out.digest()), nothing);
  Expand(secret.bytes(), "derived", nothing.bytes(), salt);
  Hmac(salt.bytes(), input.empty() ? Zeros(out) : input, out);
}

void Verify(Bytes base, const HashValue& transcript, HashValue& out) {
  HashValue key(out.digest());
  Expand(base, "finished", {}, key);
  Hmac(key.bytes(), transcript.bytes(), out);
}

void HashOf(provider::Sha2Hash running, HashValue& out) { running.Finish(out.data()); }

}  // namespace genkan::tls
