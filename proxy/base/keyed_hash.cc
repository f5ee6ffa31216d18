#include "proxy/base/keyed_hash.h"

#include <sys/random.h>

#include <bit>
#include <cerrno>

#include "proxy/base/check.h"

namespace genkan {
namespace {

// Little-endian, at most eight bytes.
uint64_t Word(std::string_view bytes) {
  uint64_t word = 0;
  for (size_t i = 0; i < bytes.size(); ++i)
    word |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return word;
}

// The state of SipHash (Aumasson and Bernstein, 2012): two rounds a word, four at the end.
struct Sip {
  uint64_t a, b, c, d;

  explicit Sip(const std::array<uint64_t, 2>& key)
      : a(key[0] ^ 0x736f6d6570736575),
        b(key[1] ^ 0x646f72616e646f6d),
        c(key[0] ^ 0x6c7967656e657261),
        d(key[1] ^ 0x7465646279746573) {}

  void Round() {
    a += b;
    b = std::rotl(b, 13) ^ a;
    a = std::rotl(a, 32);
    c += d;
    d = std::rotl(d, 16) ^ c;
    a += d;
    d = std::rotl(d, 21) ^ a;
    c += b;
    b = std::rotl(b, 17) ^ c;
    c = std::rotl(c, 32);
  }

  void Take(uint64_t word) {
    d ^= word;
    Round();
    Round();
    a ^= word;
  }

  void TakeAll(std::string_view bytes) {
    size_t size = bytes.size();
    for (; bytes.size() >= 8; bytes.remove_prefix(8)) Take(Word(bytes.substr(0, 8)));
    Take(Word(bytes) | static_cast<uint64_t>(size) << 56);
  }

  uint64_t End() {
    for (int i = 0; i < 4; ++i) Round();
    return a ^ b ^ c ^ d;
  }
};

}  // namespace

void FillRandom(std::span<unsigned char> bytes) {
  while (!bytes.empty()) {
    ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
    // Only an interruption may fail: the flags are none, and the kernel has been up for long.
    GENKAN_CHECK(got > 0 || errno == EINTR);
    if (got > 0) bytes = bytes.subspan(static_cast<size_t>(got));
  }
}

KeyedHash::KeyedHash() : key_{} {
  FillRandom({reinterpret_cast<unsigned char*>(key_.data()), sizeof(key_)});
}

uint64_t KeyedHash::operator()(std::string_view bytes) const {
  Sip sip(key_);
  sip.TakeAll(bytes);
  sip.c ^= 0xff;
  return sip.End();
}

KeyedHash::Wide KeyedHash::Hash128(std::string_view bytes) const {
  Sip sip(key_);
  sip.b ^= 0xee;
  sip.TakeAll(bytes);
  sip.c ^= 0xee;
  uint64_t low = sip.End();
  sip.b ^= 0xdd;
  return {low, sip.End()};
}

}  // namespace genkan
