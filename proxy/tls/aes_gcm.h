// AES-GCM (NIST SP 800-38D) with nonces of 96 bits, by the vector instructions of recent x86
// processors: AES and the multiplication of GHASH four blocks at a time (VAES, VPCLMULQDQ,
// AVX-512). OpenSSL 3.0 does one block at a time, for which a download's sealing costs as much as
// both of its copies. No table is looked up by anything secret and no branch depends on it. One
// direction's key, of one thread; wiped with the object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace genkan::tls {

class AesGcm {
 public:
  static constexpr size_t kNonce = 12;
  static constexpr size_t kTag = 16;
  static constexpr size_t kBlock = 16;

  // This processor and its system have all that it takes. Without it nothing else may be called.
  static bool IsSupported();

  AesGcm() = default;
  ~AesGcm();
  AesGcm(const AesGcm&) = delete;
  AesGcm& operator=(const AesGcm&) = delete;

  // Of 16 or 32 bytes. False: another size.
  bool SetKey(std::span<const unsigned char> key);

  // One message: Begin, Encrypt or Decrypt for each piece of it, then Tag. `header` is
  // authenticated alone: at most a block. `data` and `out` are the same or do not overlap.
  void Begin(std::span<const unsigned char, kNonce> nonce, std::span<const unsigned char> header);
  void Encrypt(const unsigned char* data, size_t size, unsigned char* out);
  void Decrypt(const unsigned char* data, size_t size, unsigned char* out);
  // What a sealed message ends with, and what an opened one must.
  void Tag(std::span<unsigned char, kTag> tag);

 private:
  // One multiplication of GHASH is of this many blocks at most.
  static constexpr size_t kBatch = 16;
  static constexpr size_t kMostRounds = 14;
  struct Vectors;  // what works on the state with vectors (aes_gcm.cc)

  unsigned char powers_[kBatch][kBlock];  // of the hash key, the highest first
  unsigned char round_keys_[kMostRounds + 1][kBlock];
  unsigned char counter_[kBlock];     // the next block's, its bytes reversed
  unsigned char hash_[kBlock];        // bytes reversed
  unsigned char tag_mask_[kBlock];    // the first counter's keystream
  unsigned char keystream_[kBlock];   // of the block that is not whole yet …
  unsigned char ciphertext_[kBlock];  // … and as much of it as there is
  size_t partial_ = 0;
  uint64_t header_bytes_ = 0;
  uint64_t bytes_ = 0;
  bool is_wide_ = false;  // a key of 32 bytes
};

}  // namespace genkan::tls
