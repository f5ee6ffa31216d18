#include "proxy/tls/aes_gcm.h"

#include <algorithm>
#include <cstring>

#include "proxy/base/check.h"
#include "proxy/tls/provider/wipe.h"

#if defined(__x86_64__)
// GCC's own header leaves what no lane takes unset, and warns of it where it is inlined.
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace genkan::tls {

AesGcm::~AesGcm() { provider::Wipe(static_cast<void*>(this), sizeof(*this)); }

#if defined(__x86_64__)

// The program is built for any x86-64; what is marked so is for processors that have it.
#define GENKAN_VECTORS \
  __attribute__((target("sse4.1,aes,pclmul,avx2,avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")))
// Parts of a loop whose state stays in registers.
#define GENKAN_VECTORS_INLINE GENKAN_VECTORS __attribute__((always_inline)) inline

namespace {

// Clang 14 does not know the two of them by name. The registers are the system's to save: that is
// in avx512f.
bool HasWideAes() {
  constexpr unsigned kVaes = 1U << 9, kVpclmulqdq = 1U << 10;  // of ecx
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ecx & kVaes) != 0 &&
         (ecx & kVpclmulqdq) != 0;
}

}  // namespace

bool AesGcm::IsSupported() {
  static const bool is_supported =
      __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") &&
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && HasWideAes();
  return is_supported;
}

// GHASH reads a block's bits in the order opposite to an integer's. With the bytes reversed and the
// hash key multiplied by x once beforehand, what carry-less multiplication of integers gives is
// right as it is, and is reduced from below: modulo x^128 + x^127 + x^126 + x^121 + 1.
struct AesGcm::Vectors {
  static constexpr long long kPolynomial = static_cast<long long>(0xc200000000000000);

  GENKAN_VECTORS_INLINE static __m128i Load(const void* at) {
    return _mm_loadu_si128(static_cast<const __m128i*>(at));
  }
  GENKAN_VECTORS_INLINE static void Store(void* at, __m128i value) {
    _mm_storeu_si128(static_cast<__m128i*>(at), value);
  }
  GENKAN_VECTORS_INLINE static __m128i Reversing() {
    return _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  }

  // The 256 bits of a product, its middle not yet added in.
  struct Product {
    __m512i low, middle, high;
  };

  GENKAN_VECTORS_INLINE static void AddProduct(Product& sum, __m512i a, __m512i b) {
    sum.low = _mm512_xor_si512(sum.low, _mm512_clmulepi64_epi128(a, b, 0x00));
    sum.high = _mm512_xor_si512(sum.high, _mm512_clmulepi64_epi128(a, b, 0x11));
    // 0x96: the sum of three.
    sum.middle = _mm512_ternarylogic_epi64(sum.middle, _mm512_clmulepi64_epi128(a, b, 0x01),
                                           _mm512_clmulepi64_epi128(a, b, 0x10), 0x96);
  }

  GENKAN_VECTORS_INLINE static __m512i SwapHalves(__m512i value) {
    return _mm512_alignr_epi8(value, value, 8);
  }

  // Each of the four products reduced, and their sum.
  GENKAN_VECTORS_INLINE static __m128i Reduce(const Product& sum) {
    __m512i polynomial = _mm512_set1_epi64(kPolynomial);
    __m512i middle = _mm512_ternarylogic_epi64(
        sum.middle, SwapHalves(sum.low), _mm512_clmulepi64_epi128(sum.low, polynomial, 0x00), 0x96);
    __m512i all = _mm512_ternarylogic_epi64(
        sum.high, SwapHalves(middle), _mm512_clmulepi64_epi128(middle, polynomial, 0x00), 0x96);
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  }

  GENKAN_VECTORS_INLINE static __m128i Multiply(__m128i a, __m128i b) {
    Product product{};
    AddProduct(product, _mm512_zextsi128_si512(a), _mm512_zextsi128_si512(b));
    return Reduce(product);
  }

  // One block into the hash.
  GENKAN_VECTORS_INLINE static void Hash(AesGcm& gcm, __m128i block) {
    __m128i sum = _mm_xor_si128(Load(gcm.hash_), _mm_shuffle_epi8(block, Reversing()));
    Store(gcm.hash_, Multiply(sum, Load(gcm.powers_[kBatch - 1])));
  }

  GENKAN_VECTORS_INLINE static __m128i EncryptBlock(const AesGcm& gcm, __m128i block) {
    const size_t rounds = gcm.is_wide_ ? 14 : 10;
    block = _mm_xor_si128(block, Load(gcm.round_keys_[0]));
    for (size_t i = 1; i < rounds; ++i) block = _mm_aesenc_si128(block, Load(gcm.round_keys_[i]));
    return _mm_aesenclast_si128(block, Load(gcm.round_keys_[rounds]));
  }

  // The keystream of the next block.
  GENKAN_VECTORS_INLINE static __m128i NextKeystream(AesGcm& gcm) {
    __m128i counter = Load(gcm.counter_);
    // inc32 (SP 800-38D 6.2): the last four bytes alone.
    Store(gcm.counter_, _mm_add_epi32(counter, _mm_set_epi32(0, 0, 0, 1)));
    return EncryptBlock(gcm, _mm_shuffle_epi8(counter, Reversing()));
  }

  // FIPS 197 5.2. `word` is the generator's: rotated, substituted, with the round's constant.
  GENKAN_VECTORS_INLINE static __m128i NextRoundKey(__m128i key, __m128i word) {
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    return _mm_xor_si128(key, word);
  }

  // The instruction takes the round's constant as a part of itself.
  template <int kConstant>
  GENKAN_VECTORS_INLINE static __m128i Generate(__m128i key) {
    return _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, kConstant), 0xff);
  }
  GENKAN_VECTORS_INLINE static __m128i Substitute(__m128i key) {
    return _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, 0), 0xaa);
  }

  template <int kConstant>
  GENKAN_VECTORS_INLINE static void Step128(AesGcm& gcm, size_t round) {
    __m128i key = Load(gcm.round_keys_[round - 1]);
    Store(gcm.round_keys_[round], NextRoundKey(key, Generate<kConstant>(key)));
  }

  template <int kConstant>
  GENKAN_VECTORS_INLINE static void Step256(AesGcm& gcm, size_t round) {
    __m128i first = Load(gcm.round_keys_[round - 2]), second = Load(gcm.round_keys_[round - 1]);
    first = NextRoundKey(first, Generate<kConstant>(second));
    Store(gcm.round_keys_[round], first);
    if (round < 14) Store(gcm.round_keys_[round + 1], NextRoundKey(second, Substitute(first)));
  }

  GENKAN_VECTORS static void Expand(AesGcm& gcm) {
    if (gcm.is_wide_) {
      Step256<0x01>(gcm, 2), Step256<0x02>(gcm, 4), Step256<0x04>(gcm, 6), Step256<0x08>(gcm, 8);
      Step256<0x10>(gcm, 10), Step256<0x20>(gcm, 12), Step256<0x40>(gcm, 14);
      return;
    }
    Step128<0x01>(gcm, 1), Step128<0x02>(gcm, 2), Step128<0x04>(gcm, 3), Step128<0x08>(gcm, 4);
    Step128<0x10>(gcm, 5), Step128<0x20>(gcm, 6), Step128<0x40>(gcm, 7), Step128<0x80>(gcm, 8);
    Step128<0x1b>(gcm, 9), Step128<0x36>(gcm, 10);
  }

  GENKAN_VECTORS static void MakePowers(AesGcm& gcm) {
    __m128i key = _mm_shuffle_epi8(EncryptBlock(gcm, _mm_setzero_si128()), Reversing());
    // Times x: what leaves at the top comes back as the polynomial.
    __m128i top = _mm_srai_epi32(_mm_shuffle_epi32(key, 0xff), 31);
    __m128i carry = _mm_slli_si128(_mm_srli_epi64(key, 63), 8);
    __m128i doubled = _mm_or_si128(_mm_slli_epi64(key, 1), carry);
    key = _mm_xor_si128(doubled, _mm_and_si128(top, _mm_set_epi64x(kPolynomial, 1)));
    __m128i power = key;
    for (size_t i = kBatch; i-- > 0;) {
      Store(gcm.powers_[i], power);
      power = Multiply(power, key);
    }
  }

  GENKAN_VECTORS static void Begin(AesGcm& gcm, const unsigned char* nonce,
                                   const unsigned char* header, size_t header_size) {
    alignas(16) unsigned char block[kBlock] = {};
    std::memcpy(block, nonce, kNonce);
    block[kBlock - 1] = 1;
    Store(gcm.counter_, _mm_shuffle_epi8(Load(block), Reversing()));
    Store(gcm.tag_mask_, NextKeystream(gcm));
    Store(gcm.hash_, _mm_setzero_si128());
    if (header_size == 0) return;
    Store(block, _mm_setzero_si128());
    std::memcpy(block, header, header_size);
    Hash(gcm, Load(block));
  }

  GENKAN_VECTORS static void Finish(AesGcm& gcm, unsigned char* tag) {
    if (gcm.partial_ > 0) {
      std::memset(gcm.ciphertext_ + gcm.partial_, 0, kBlock - gcm.partial_);
      Hash(gcm, Load(gcm.ciphertext_));
    }
    __m128i lengths = _mm_set_epi64x(static_cast<long long>(gcm.header_bytes_ * 8),
                                     static_cast<long long>(gcm.bytes_ * 8));
    __m128i sum = _mm_xor_si128(Load(gcm.hash_), lengths);
    __m128i hash = Multiply(sum, Load(gcm.powers_[kBatch - 1]));
    Store(tag, _mm_xor_si128(_mm_shuffle_epi8(hash, Reversing()), Load(gcm.tag_mask_)));
  }

  // What a call of Crypt works with.
  template <size_t kRounds>
  struct Run {
    __m512i keys[kRounds + 1];
    __m512i counters;  // of the next four blocks, their bytes reversed
    __m512i hash;      // in its first block
    __m512i reversing;
  };

  GENKAN_VECTORS_INLINE static __m512i FourTimes(unsigned first, unsigned step) {
    auto at = [=](unsigned i) { return static_cast<int>(first + i * step); };
    return _mm512_set_epi32(0, 0, 0, at(3), 0, 0, 0, at(2), 0, 0, 0, at(1), 0, 0, 0, at(0));
  }

  // Four blocks' keystream; the counters go on.
  template <size_t kRounds>
  GENKAN_VECTORS_INLINE static __m512i Keystream(Run<kRounds>& run) {
    __m512i blocks = NextCounters(run);
#pragma GCC unroll 16
    for (size_t i = 1; i < kRounds; ++i) blocks = _mm512_aesenc_epi128(blocks, run.keys[i]);
    return _mm512_aesenclast_epi128(blocks, run.keys[kRounds]);
  }

  template <size_t kRounds>
  GENKAN_VECTORS_INLINE static __m512i NextCounters(Run<kRounds>& run) {
    __m512i blocks = _mm512_shuffle_epi8(run.counters, run.reversing);
    run.counters = _mm512_add_epi32(run.counters, FourTimes(4, 0));
    return _mm512_xor_si512(blocks, run.keys[0]);
  }

  // Four of sixteen blocks' part of the hash.
  template <size_t kRounds>
  GENKAN_VECTORS_INLINE static void HashFour(const AesGcm& gcm, const Run<kRounds>& run,
                                             Product& sum, const unsigned char* sealed, size_t i) {
    __m512i four = _mm512_shuffle_epi8(_mm512_loadu_si512(sealed + 4 * i * kBlock), run.reversing);
    if (i == 0) four = _mm512_xor_si512(four, run.hash);
    AddProduct(sum, four, _mm512_loadu_si512(gcm.powers_[4 * i]));
  }

  template <size_t kRounds>
  GENKAN_VECTORS_INLINE static void HashBatch(const AesGcm& gcm, Run<kRounds>& run,
                                              const unsigned char* sealed) {
    Product sum{};
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) HashFour(gcm, run, sum, sealed, i);
    run.hash = _mm512_zextsi128_si512(Reduce(sum));
  }

  // Sixteen blocks, and sixteen that are sealed into the hash: they fill each other's waits.
  template <size_t kRounds, bool kHashes>
  GENKAN_VECTORS_INLINE static void CryptBatch(const AesGcm& gcm, Run<kRounds>& run,
                                               const unsigned char* data, unsigned char* out,
                                               const unsigned char* sealed) {
    __m512i blocks[4];
    Product sum{};
#pragma GCC unroll 4
    for (__m512i& block : blocks) block = NextCounters(run);
#pragma GCC unroll 16
    for (size_t i = 1; i < kRounds; ++i) {
#pragma GCC unroll 4
      for (__m512i& block : blocks) block = _mm512_aesenc_epi128(block, run.keys[i]);
      if (kHashes && i % 2 == 0 && i <= 8) HashFour(gcm, run, sum, sealed, i / 2 - 1);
    }
    if (kHashes) run.hash = _mm512_zextsi128_si512(Reduce(sum));
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      __m512i stream = _mm512_aesenclast_epi128(blocks[i], run.keys[kRounds]);
      __m512i input = _mm512_loadu_si512(data + 4 * i * kBlock);
      _mm512_storeu_si512(out + 4 * i * kBlock, _mm512_xor_si512(input, stream));
    }
  }

  // Fewer than sixteen. The last block's power is the first, whatever their number.
  template <size_t kRounds, bool kSeals>
  GENKAN_VECTORS_INLINE static void CryptRest(const AesGcm& gcm, Run<kRounds>& run,
                                              const unsigned char* data, size_t left,
                                              unsigned char* out) {
    const auto* powers = gcm.powers_[kBatch - left];
    Product sum{};
    for (; left > 0; left -= std::min<size_t>(left, 4)) {
      const auto mask = static_cast<__mmask8>((1U << (2 * std::min<size_t>(left, 4))) - 1);
      __m512i input = _mm512_maskz_loadu_epi64(mask, data);
      __m512i output = _mm512_maskz_xor_epi64(mask, input, Keystream(run));
      _mm512_mask_storeu_epi64(out, mask, output);
      __m512i hashed = _mm512_shuffle_epi8(kSeals ? output : input, run.reversing);
      AddProduct(sum, _mm512_xor_si512(hashed, run.hash), _mm512_maskz_loadu_epi64(mask, powers));
      run.hash = _mm512_setzero_si512();
      data += 4 * kBlock, out += 4 * kBlock, powers += 4 * kBlock;
    }
    run.hash = _mm512_zextsi128_si512(Reduce(sum));
  }

  template <size_t kRounds, bool kSeals>
  GENKAN_VECTORS static void Crypt(AesGcm& gcm, const unsigned char* data, size_t blocks,
                                   unsigned char* out) {
    Run<kRounds> run;
#pragma GCC unroll 16
    for (size_t i = 0; i <= kRounds; ++i)
      run.keys[i] = _mm512_broadcast_i32x4(Load(gcm.round_keys_[i]));
    run.reversing = _mm512_broadcast_i32x4(Reversing());
    const __m512i counters = _mm512_broadcast_i32x4(Load(gcm.counter_));
    run.counters = _mm512_add_epi32(counters, FourTimes(0, 1));
    run.hash = _mm512_zextsi128_si512(Load(gcm.hash_));
    const __m512i next = _mm512_add_epi32(counters, FourTimes(static_cast<unsigned>(blocks), 0));
    Store(gcm.counter_, _mm512_castsi512_si128(next));
    constexpr size_t kBytes = kBatch * kBlock;
    // What we seal can be hashed one batch later, what is sealed at once.
    const bool is_hash_behind = kSeals && blocks >= kBatch;
    if (is_hash_behind) {
      CryptBatch<kRounds, false>(gcm, run, data, out, nullptr);
      data += kBytes, out += kBytes, blocks -= kBatch;
    }
    for (; blocks >= kBatch; blocks -= kBatch, data += kBytes, out += kBytes)
      CryptBatch<kRounds, true>(gcm, run, data, out, kSeals ? out - kBytes : data);
    if (is_hash_behind) HashBatch(gcm, run, out - kBytes);
    if (blocks > 0) CryptRest<kRounds, kSeals>(gcm, run, data, blocks, out);
    Store(gcm.hash_, _mm512_castsi512_si128(run.hash));
  }

  template <bool kSeals>
  static void CryptBlocks(AesGcm& gcm, const unsigned char* data, size_t blocks,
                          unsigned char* out) {
    if (blocks == 0) return;
    gcm.is_wide_ ? Crypt<14, kSeals>(gcm, data, blocks, out)
                 : Crypt<10, kSeals>(gcm, data, blocks, out);
  }

  // Bytes of a block whose rest comes later; hashed when it is whole.
  template <bool kSeals>
  GENKAN_VECTORS static void CryptBytes(AesGcm& gcm, const unsigned char* data, size_t size,
                                        unsigned char* out) {
    if (size == 0) return;
    if (gcm.partial_ == 0) Store(gcm.keystream_, NextKeystream(gcm));
    unsigned char in[kBlock] = {}, result[kBlock];
    std::memcpy(in + gcm.partial_, data, size);
    Store(result, _mm_xor_si128(Load(in), Load(gcm.keystream_)));
    std::memcpy(out, result + gcm.partial_, size);
    std::memcpy(gcm.ciphertext_ + gcm.partial_, (kSeals ? result : in) + gcm.partial_, size);
    gcm.partial_ += size;
    if (gcm.partial_ < kBlock) return;
    gcm.partial_ = 0;
    Hash(gcm, Load(gcm.ciphertext_));
  }

  template <bool kSeals>
  static void Update(AesGcm& gcm, const unsigned char* data, size_t size, unsigned char* out) {
    gcm.bytes_ += size;
    if (gcm.partial_ > 0) {
      const size_t first = std::min(size, kBlock - gcm.partial_);
      CryptBytes<kSeals>(gcm, data, first, out);
      data += first, out += first, size -= first;
    }
    const size_t whole = size / kBlock * kBlock;
    CryptBlocks<kSeals>(gcm, data, whole / kBlock, out);
    CryptBytes<kSeals>(gcm, data + whole, size - whole, out + whole);
  }
};

bool AesGcm::SetKey(std::span<const unsigned char> key) {
  if (key.size() != 16 && key.size() != 32) return false;
  is_wide_ = key.size() == 32;
  std::memcpy(round_keys_, key.data(), key.size());
  Vectors::Expand(*this);
  Vectors::MakePowers(*this);
  return true;
}

void AesGcm::Begin(std::span<const unsigned char, kNonce> nonce,
                   std::span<const unsigned char> header) {
  GENKAN_CHECK(header.size() <= kBlock);
  partial_ = 0;
  bytes_ = 0;
  header_bytes_ = header.size();
  Vectors::Begin(*this, nonce.data(), header.data(), header.size());
}

void AesGcm::Encrypt(const unsigned char* data, size_t size, unsigned char* out) {
  Vectors::Update<true>(*this, data, size, out);
}

void AesGcm::Decrypt(const unsigned char* data, size_t size, unsigned char* out) {
  Vectors::Update<false>(*this, data, size, out);
}

void AesGcm::Tag(std::span<unsigned char, kTag> tag) { Vectors::Finish(*this, tag.data()); }

#else

bool AesGcm::IsSupported() { return false; }
bool AesGcm::SetKey(std::span<const unsigned char>) { return false; }
void AesGcm::Begin(std::span<const unsigned char, kNonce>, std::span<const unsigned char>) {}
void AesGcm::Encrypt(const unsigned char*, size_t, unsigned char*) {}
void AesGcm::Decrypt(const unsigned char*, size_t, unsigned char*) {}
void AesGcm::Tag(std::span<unsigned char, kTag>) {}

#endif

}  // namespace genkan::tls
