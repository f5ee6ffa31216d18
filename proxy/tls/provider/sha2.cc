// The functions below are the only way to OpenSSL's SHA-2 that costs no fetch. They are deprecated
// for being that direct; every OpenSSL 3 has them.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "proxy/tls/provider/sha2.h"

#include <openssl/crypto.h>

#include <array>
#include <cstring>

#include "proxy/base/text.h"
#include "proxy/tls/provider/wipe.h"

namespace genkan::tls::provider {
namespace {

constexpr unsigned char kInnerPad = 0x36, kOuterPad = 0x5c;

// Takes in the key's block, padded with `pad`.
void StartWith(Sha2Hash& hash, size_t size, Bytes key, unsigned char pad) {
  std::array<unsigned char, SHA512_CBLOCK> block;
  for (size_t i = 0; i < key.size(); ++i) block[i] = key[i] ^ pad;
  std::memset(block.data() + key.size(), pad, size - key.size());
  hash.Update({block.data(), size});
  Wipe(block.data(), key.size());
}

}  // namespace

size_t DigestSize(Sha2 kind) {
  switch (kind) {
    case Sha2::kSha256:
      return SHA256_DIGEST_LENGTH;
    case Sha2::kSha384:
      return SHA384_DIGEST_LENGTH;
    case Sha2::kSha512:
      return SHA512_DIGEST_LENGTH;
  }
  return SHA512_DIGEST_LENGTH;
}

size_t BlockSize(Sha2 kind) { return kind == Sha2::kSha256 ? SHA256_CBLOCK : SHA512_CBLOCK; }

const char* NameOf(Sha2 kind) {
  switch (kind) {
    case Sha2::kSha256:
      return "SHA2-256";
    case Sha2::kSha384:
      return "SHA2-384";
    case Sha2::kSha512:
      return "SHA2-512";
  }
  return "";
}

std::optional<Sha2> Sha2Named(std::string_view name) {
  struct Name {
    std::string_view text;
    Sha2 kind;
  };
  // libssl's own spellings first.
  static constexpr Name kNames[] = {
      {"SHA256", Sha2::kSha256},   {"SHA384", Sha2::kSha384},
      {"SHA2-256", Sha2::kSha256}, {"SHA2-384", Sha2::kSha384},
      {"SHA-256", Sha2::kSha256},  {"2.16.840.1.101.3.4.2.1", Sha2::kSha256},
      {"SHA-384", Sha2::kSha384},  {"2.16.840.1.101.3.4.2.2", Sha2::kSha384},
      {"SHA512", Sha2::kSha512},   {"SHA2-512", Sha2::kSha512},
      {"SHA-512", Sha2::kSha512},  {"2.16.840.1.101.3.4.2.3", Sha2::kSha512},
  };
  for (const Name& known : kNames)
    if (EqualsIgnoreCase(known.text, name)) return known.kind;
  return std::nullopt;
}

Sha2Hash::Sha2Hash(Sha2 kind) : kind_(kind) {
  switch (kind) {
    case Sha2::kSha256:
      SHA256_Init(&small_);
      break;
    case Sha2::kSha384:
      SHA384_Init(&large_);
      break;
    case Sha2::kSha512:
      SHA512_Init(&large_);
      break;
  }
}

void Sha2Hash::Update(Bytes bytes) {
  if (kind_ == Sha2::kSha256) {
    SHA256_Update(&small_, bytes.data(), bytes.size());
  } else {
    SHA512_Update(&large_, bytes.data(), bytes.size());
  }
}

void Sha2Hash::Finish(unsigned char* out) {
  // What makes it 384 bits is in the context.
  if (kind_ == Sha2::kSha256) {
    SHA256_Final(out, &small_);
  } else {
    SHA512_Final(out, &large_);
  }
}

void Sha2Hash::Forget() {
  if (kind_ == Sha2::kSha256) {
    Wipe(&small_, sizeof small_);
  } else {
    Wipe(&large_, sizeof large_);
  }
}

HmacSha2::HmacSha2(Sha2 kind, Bytes key) : kind_(kind), inner_(kind), outer_(kind), running_(kind) {
  std::array<unsigned char, kMaxDigest> hashed;
  const size_t block_size = BlockSize(kind);
  const bool is_long = key.size() > block_size;
  if (is_long) {
    running_.Update(key);
    running_.Finish(hashed.data());
    key = {hashed.data(), DigestSize(kind)};
  }
  StartWith(inner_, block_size, key, kInnerPad);
  StartWith(outer_, block_size, key, kOuterPad);
  running_ = inner_;
  if (is_long) Wipe(hashed.data(), hashed.size());
}

HmacSha2::~HmacSha2() {
  inner_.Forget();
  outer_.Forget();
  running_.Forget();
}

void HmacSha2::Finish(unsigned char* out) {
  std::array<unsigned char, kMaxDigest> inner;
  running_.Finish(inner.data());
  running_ = outer_;
  running_.Update({inner.data(), DigestSize(kind_)});
  running_.Finish(out);
  Wipe(inner.data(), DigestSize(kind_));
}

}  // namespace genkan::tls::provider
