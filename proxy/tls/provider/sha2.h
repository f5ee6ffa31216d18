// SHA-256, SHA-384 and SHA-512, and HMAC over them (RFC 2104), with OpenSSL's compression functions
// and nothing of EVP: no fetch, no allocation, no lock. Values, of one thread at a time.
#pragma once

#include <openssl/sha.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace genkan::tls::provider {

using Bytes = std::span<const unsigned char>;

enum class Sha2 { kSha256, kSha384, kSha512 };

inline constexpr size_t kMaxDigest = SHA512_DIGEST_LENGTH;

size_t DigestSize(Sha2 kind);
size_t BlockSize(Sha2 kind);
const char* NameOf(Sha2 kind);
// By each of the names that OpenSSL has for it ("SHA256", "SHA2-256", "SHA-256", its OID); nothing
// for another digest.
std::optional<Sha2> Sha2Named(std::string_view name);

class Sha2Hash {
 public:
  explicit Sha2Hash(Sha2 kind);
  void Update(Bytes bytes);
  // DigestSize() bytes at `out`.
  void Finish(unsigned char* out);
  void Forget();  // wipes

 private:
  Sha2 kind_;
  union {
    SHA256_CTX small_;
    SHA512_CTX large_;
  };
};

class HmacSha2 {
 public:
  HmacSha2(Sha2 kind, Bytes key);
  ~HmacSha2();  // wipes
  HmacSha2(const HmacSha2&) = default;
  HmacSha2& operator=(const HmacSha2&) = default;

  Sha2 kind() const { return kind_; }
  void Update(Bytes bytes) { running_.Update(bytes); }
  // DigestSize() bytes at `out`; then only Restart.
  void Finish(unsigned char* out);
  // For another message under the same key.
  void Restart() { running_ = inner_; }

 private:
  Sha2 kind_;
  Sha2Hash inner_, outer_;  // after the padded key
  Sha2Hash running_;
};

}  // namespace genkan::tls::provider
