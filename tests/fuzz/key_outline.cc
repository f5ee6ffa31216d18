// PublicKeyOf on edited private keys: no crash, and where it finds a public half and the key
// decodes, it is the public half that decoding gives.
#include "proxy/tls/key_outline.h"

#include <openssl/err.h>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/tls/certificate.h"
#include "tests/fuzz/edited_seed.h"

namespace genkan::fuzz {
namespace {

std::string Der(char tag, const std::string& content) {
  GENKAN_CHECK(content.size() < 0x80);
  return std::string(1, tag) + static_cast<char>(content.size()) + content;
}

// The private key 1 on P-256, whose public point is the curve's generator; RSA with 61 * 53. The
// same in every run.
std::vector<std::string> MakeSeeds() {
  const std::string curve = "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
  const std::string point =
      "\x04\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb"
      "\x33\xa0\xf4\xa1\x39\x45"
      "\xd8\x98\xc2\x96\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33"
      "\x57\x6b\x31\x5e\xce\xcb"
      "\xb6\x40\x68\x37\xbf\x51\xf5";
  const std::string bits = Der('\x03', std::string(1, '\0') + point);
  const std::string number = Der('\x04', std::string(31, '\0') + '\x01');
  const std::string version1 = Der('\x02', "\x01"), version0 = Der('\x02', std::string(1, '\0'));
  const std::string inner = Der('\x30', version1 + number + Der('\xa1', bits));
  const std::string algorithm = Der('\x30', "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01" + curve);
  // 0x81: more than 127 bytes.
  const std::string content = version0 + algorithm + Der('\x04', inner);
  const std::string pkcs8 = std::string("\x30\x81") + static_cast<char>(content.size()) + content;
  const std::string sec1 = Der('\x30', version1 + number + Der('\xa0', curve) + Der('\xa1', bits));
  // n, e, d, p, q, d mod p-1, d mod q-1, 1/q mod p
  const std::string pkcs1 =
      Der('\x30', version0 + Der('\x02', "\x0c\xa1") + Der('\x02', "\x11") +
                      Der('\x02', "\x0a\xc1") + Der('\x02', "\x3d") + Der('\x02', "\x35") +
                      Der('\x02', "\x35") + Der('\x02', "\x31") + Der('\x02', "\x26"));
  for (const std::string& seed : {pkcs8, sec1, pkcs1})
    GENKAN_CHECK(!tls::PublicKeyOf(seed).empty());
  return {pkcs8, sec1, pkcs1};
}

}  // namespace
}  // namespace genkan::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  static const std::vector<std::string> seeds = fuzz::MakeSeeds();
  const fuzz::EditedSeed input = fuzz::ReadEditedSeed(data, size, seeds);
  const std::string seen = tls::PublicKeyOf(input.bytes);
  const tls::PrivateKeyPtr key = tls::PrivateKey::Undecoded(input.bytes);
  GENKAN_CHECK((key != nullptr) == !seen.empty());
  if (key == nullptr || key->get() == nullptr) return 0;
  EVP_PKEY_up_ref(key->get());
  const tls::PrivateKey decoded{tls::EvpPkeyPtr(key->get())};
  GENKAN_CHECK(decoded.public_key() == seen);
  GENKAN_CHECK(ERR_peek_error() == 0);
  return 0;
}
