#include "proxy/tls/record_cipher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "proxy/base/text.h"

namespace genkan::tls {
namespace {

using By = RecordCipher::By;
using Way = RecordCipher::Way;
using Bytes = std::vector<unsigned char>;

constexpr uint16_t kAes128 = 0x1301, kAes256 = 0x1302, kChaCha = 0x1303;

Bytes FromHex(std::string_view hex) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<unsigned char>(*ParseHex(hex.substr(i, 2))));
  return bytes;
}

struct Message {
  uint16_t suite;
  Bytes key, nonce, header, text;
};

struct Sealed {
  Bytes text;
  std::array<unsigned char, RecordCipher::kTag> tag;
};

// Where the text is cut into pieces.
using Cuts = std::vector<size_t>;

void Update(RecordCipher& cipher, const Bytes& from, Bytes& to, Cuts cuts) {
  cuts.push_back(from.size());
  size_t at = 0;
  for (size_t cut : cuts) {
    ASSERT_TRUE(cipher.Update(from.data() + at, cut - at, to.data() + at));
    at = cut;
  }
}

void Begin(RecordCipher& cipher, const Message& message, Way way, By by) {
  const RecordSuite* suite = RecordSuite::Find(message.suite);
  ASSERT_NE(suite, nullptr);
  ASSERT_TRUE(cipher.SetKey(*suite, message.key, way, by));
  std::span<const unsigned char> nonce = message.nonce;
  ASSERT_TRUE(cipher.Begin(nonce.first<RecordCipher::kNonce>(), message.header));
}

Sealed Seal(const Message& message, By by, const Cuts& cuts = {}) {
  RecordCipher cipher;
  Begin(cipher, message, Way::kSeal, by);
  Sealed sealed{Bytes(message.text.size()), {}};
  Update(cipher, message.text, sealed.text, cuts);
  EXPECT_TRUE(cipher.Seal(sealed.tag));
  return sealed;
}

// Opens in place, as records are where they lie in one piece.
bool Opens(const Message& message, Sealed sealed, By by, const Cuts& cuts = {}) {
  RecordCipher cipher;
  Begin(cipher, message, Way::kOpen, by);
  Update(cipher, sealed.text, sealed.text, cuts);
  return cipher.Open(sealed.tag) && sealed.text == message.text;
}

class Random {
 public:
  size_t Below(size_t most) { return std::uniform_int_distribution<size_t>(0, most - 1)(engine_); }
  Bytes Some(size_t size) {
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<unsigned char>(engine_());
    return bytes;
  }
  Message MessageOf(uint16_t suite, size_t size) {
    return {suite, Some(RecordSuite::Find(suite)->key_size), Some(RecordCipher::kNonce), Some(5),
            Some(size)};
  }
  Cuts CutsOf(size_t size) {
    Cuts cuts(Below(5));
    for (auto& cut : cuts) cut = Below(size + 1);
    std::sort(cuts.begin(), cuts.end());
    return cuts;
  }

 private:
  std::mt19937 engine_{20'240'801};
};

struct Vector {
  uint16_t suite;
  std::string_view key, nonce, text, sealed, tag;
};

// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 1 to 3 and 13 to 15.
constexpr std::string_view kZeroNonce = "000000000000000000000000";
constexpr std::string_view kNonce = "cafebabefacedbaddecaf888";
constexpr std::string_view kText =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b5"
    "25b16aedf5aa0de657ba637b391aafd255";
const Vector kVectors[] = {
    {kAes128, "00000000000000000000000000000000", kZeroNonce, "", "",
     "58e2fccefa7e3061367f1d57a4e7455a"},
    {kAes128, "00000000000000000000000000000000", kZeroNonce, "00000000000000000000000000000000",
     "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"},
    {kAes128, "feffe9928665731c6d6a8f9467308308", kNonce, kText,
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84a"
     "a051ba30b396a0aac973d58e091473f5985",
     "4d5c2af327cd64a62cf35abd2ba6fab4"},
    {kAes256, "0000000000000000000000000000000000000000000000000000000000000000", kZeroNonce, "",
     "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {kAes256, "0000000000000000000000000000000000000000000000000000000000000000", kZeroNonce,
     "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18",
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {kAes256, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", kNonce, kText,
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828"
     "838c5f61e6393ba7a0abcc9f662898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
};

TEST(RecordCipher, SealsThePublishedVectors) {
  for (By by : {By::kBest, By::kOpenSsl}) {
    for (const Vector& known : kVectors) {
      Message message{
          known.suite, FromHex(known.key), FromHex(known.nonce), {}, FromHex(known.text)};
      Sealed sealed = Seal(message, by);
      EXPECT_EQ(HexEncode(sealed.text), known.sealed);
      EXPECT_EQ(HexEncode(sealed.tag), known.tag);
      EXPECT_TRUE(Opens(message, sealed, by));
    }
  }
}

// Around each number of blocks that is done together, and at each place within a block.
TEST(RecordCipher, SealsWhatOpenSslSealsAtEveryLength) {
  Random random;
  for (uint16_t suite : {kAes128, kAes256, kChaCha}) {
    for (size_t size = 0; size < 1100; ++size) {
      Message message = random.MessageOf(suite, size);
      Sealed best = Seal(message, By::kBest), theirs = Seal(message, By::kOpenSsl);
      ASSERT_EQ(best.text, theirs.text) << suite << ' ' << size;
      ASSERT_EQ(best.tag, theirs.tag) << suite << ' ' << size;
      ASSERT_TRUE(Opens(message, theirs, By::kBest)) << suite << ' ' << size;
    }
  }
}

TEST(RecordCipher, SealsTheSameInWhateverPieces) {
  Random random;
  for (uint16_t suite : {kAes128, kAes256, kChaCha}) {
    for (int round = 0; round < 300; ++round) {
      size_t size = random.Below(round % 10 == 0 ? 16 * 1024 : 700);
      Message message = random.MessageOf(suite, size);
      Sealed theirs = Seal(message, By::kOpenSsl);
      for (By by : {By::kBest, By::kOpenSsl}) {
        Sealed pieces = Seal(message, by, random.CutsOf(size));
        ASSERT_EQ(pieces.text, theirs.text) << suite << ' ' << size;
        ASSERT_EQ(pieces.tag, theirs.tag) << suite << ' ' << size;
        ASSERT_TRUE(Opens(message, theirs, by, random.CutsOf(size))) << suite << ' ' << size;
      }
    }
  }
}

TEST(RecordCipher, OpensNothingOfWhichABitHasChanged) {
  Random random;
  for (uint16_t suite : {kAes128, kAes256, kChaCha}) {
    Message message = random.MessageOf(suite, 333);
    const Sealed sealed = Seal(message, By::kBest);
    for (By by : {By::kBest, By::kOpenSsl}) {
      for (size_t bit = 0; bit < 8 * (sealed.text.size() + sealed.tag.size()); bit += 3) {
        Sealed changed = sealed;
        size_t byte = bit / 8;
        auto& there = byte < changed.text.size() ? changed.text[byte]
                                                 : changed.tag[byte - changed.text.size()];
        there ^= static_cast<unsigned char>(1U << (bit % 8));
        ASSERT_FALSE(Opens(message, changed, by)) << bit;
      }
      for (size_t byte = 0; byte < message.header.size() + message.nonce.size(); ++byte) {
        Message other = message;
        (byte < 5 ? other.header[byte] : other.nonce[byte - 5]) ^= 0x10;
        ASSERT_FALSE(Opens(other, sealed, by)) << byte;
      }
    }
  }
}

TEST(RecordCipher, GoesOnUnderANewKey) {
  Random random;
  for (uint16_t suite : {kAes128, kAes256, kChaCha}) {
    RecordCipher cipher;
    for (int round = 0; round < 4; ++round) {
      Message message = random.MessageOf(suite, 100);
      Begin(cipher, message, Way::kSeal, By::kBest);
      Sealed sealed{Bytes(100), {}};
      Update(cipher, message.text, sealed.text, {});
      ASSERT_TRUE(cipher.Seal(sealed.tag));
      EXPECT_TRUE(Opens(message, sealed, By::kOpenSsl));
    }
  }
}

TEST(RecordCipher, TakesNoKeyOfAnotherSize) {
  for (uint16_t suite : {kAes128, kAes256, kChaCha}) {
    for (size_t size : {0U, 15U, 17U, 24U, 33U}) {
      RecordCipher cipher;
      EXPECT_FALSE(cipher.SetKey(*RecordSuite::Find(suite), Bytes(size), Way::kSeal));
    }
  }
}

}  // namespace
}  // namespace genkan::tls
