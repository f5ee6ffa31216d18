// The steps of TLS 1.3's key schedule (RFC 8446 7.1, 4.4.4), without EVP. Pure; any thread.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "proxy/tls/provider/sha2.h"
#include "proxy/tls/provider/wipe.h"

namespace genkan::tls {

// A hash or a secret, as long as the hash of the suite; wiped.
class HashValue {
 public:
  explicit HashValue(provider::Sha2 digest)
      : digest_(digest), size_(provider::DigestSize(digest)) {}
  ~HashValue() { provider::Wipe(bytes_.data(), size_); }
  HashValue(const HashValue&) = delete;
  HashValue& operator=(const HashValue&) = delete;

  provider::Sha2 digest() const { return digest_; }
  unsigned char* data() { return bytes_.data(); }
  std::span<unsigned char> room() { return std::span(bytes_).first(size_); }
  provider::Bytes bytes() const { return provider::Bytes(bytes_).first(size_); }

 private:
  provider::Sha2 digest_;
  size_t size_;
  std::array<unsigned char, provider::kMaxDigest> bytes_{};
};

// Each gives its result in `out`, with the hash that it was made for.
//
// HKDF-Expand-Label of the hash's length; with a transcript's hash as context, Derive-Secret.
void Expand(provider::Bytes secret, std::string_view label, provider::Bytes context,
            HashValue& out);
// The early secret; without a pre-shared key `psk` is empty.
void ExtractEarly(provider::Bytes psk, HashValue& out);
// The secret behind `secret`: HKDF-Extract under Derive-Secret(secret, "derived", ""). Without an
// input of its own, as the master secret, `input` is empty.
void ExtractNext(const HashValue& secret, provider::Bytes input, HashValue& out);
// The verify_data of who holds `base`; a binder, too, is one.
void Verify(provider::Bytes base, const HashValue& transcript, HashValue& out);
// Of all that `running` has seen, which may go on.
void HashOf(provider::Sha2Hash running, HashValue& out);

}  // namespace genkan::tls
