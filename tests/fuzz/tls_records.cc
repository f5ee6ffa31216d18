// Records of TLS 1.3 into the RecordLayer, whole and in drips. Byte 0 chooses: its lowest bit set,
// the rest are records as they are; clear, the rest are contents that a peer with the right keys
// seals (a byte of type, two of length, the content with its padding), the last of them cut or
// spoilt if the next bits say so. Whatever comes: no crash, no byte over the limit, nothing out of
// a record that was spoilt, and drips open to the same bytes as the whole.
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/tls/openssl_ptr.h"
#include "proxy/tls/record_layer.h"

namespace genkan::fuzz {
namespace {

using tls::RecordLayer;
using State = RecordLayer::State;

// OpenSSL's derivation and sealing, so that ours is not its own judge.
class Peer {
 public:
  explicit Peer(const std::string& secret)
      : key_(Expand(secret, "key", 16)), iv_(Expand(secret, "iv", 12)) {}

  std::string Seal(std::string_view inner) {
    std::string record("\x17\x03\x03", 3);
    size_t length = inner.size() + 16;
    record.push_back(static_cast<char>(length >> 8));
    record.push_back(static_cast<char>(length));
    std::string nonce = iv_;
    for (size_t i = 0; i < 8; ++i)
      nonce[11 - i] = static_cast<char>(nonce[11 - i] ^ static_cast<char>(sequence_ >> 8 * i));
    ++sequence_;
    tls::OpensslPtr<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> context(EVP_CIPHER_CTX_new());
    std::string sealed(inner.size() + 16, '\0');
    int made = 0;
    EVP_EncryptInit_ex(context.get(), EVP_aes_128_gcm(), nullptr, AsBytes(key_).data(),
                       AsBytes(nonce).data());
    EVP_EncryptUpdate(context.get(), nullptr, &made, AsBytes(record).data(), 5);
    auto* out = reinterpret_cast<unsigned char*>(sealed.data());
    EVP_EncryptUpdate(context.get(), out, &made, AsBytes(inner).data(),
                      static_cast<int>(inner.size()));
    EVP_EncryptFinal_ex(context.get(), out + inner.size(), &made);
    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, 16, out + inner.size());
    return record + sealed;
  }

 private:
  static std::string Expand(const std::string& secret, std::string label, size_t size) {
    std::string prefix = "tls13 ", digest = "SHA256", out(size, '\0'), key = secret;
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.data(), key.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix.data(), prefix.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, label.data(), label.size()),
        OSSL_PARAM_construct_end()};
    tls::OpensslPtr<EVP_KDF, EVP_KDF_free> kdf(
        EVP_KDF_fetch(nullptr, "TLS13-KDF", "provider=default"));
    tls::OpensslPtr<EVP_KDF_CTX, EVP_KDF_CTX_free> context(EVP_KDF_CTX_new(kdf.get()));
    GENKAN_CHECK(EVP_KDF_derive(context.get(), reinterpret_cast<unsigned char*>(out.data()), size,
                                parameters) == 1);
    return out;
  }

  std::string key_, iv_;
  uint64_t sequence_ = 0;
};

struct Outcome {
  std::string data;
  State state = State::kNeedMore;
  uint8_t alert = 0;
};

Outcome OpenAll(const std::string& secret, std::string_view bytes, size_t drip, size_t limit) {
  auto layer = RecordLayer::MakeServer(0x1301, secret, secret, 0);
  GENKAN_CHECK(layer != nullptr);
  Outcome outcome;
  Buffer in, got, answers;
  while (outcome.state == State::kNeedMore && !bytes.empty()) {
    Buffer piece(bytes.substr(0, drip));
    bytes.remove_prefix(std::min(drip, bytes.size()));
    in.Append(piece);
    RecordLayer::Opened opened;
    do {
      size_t before = got.size();
      opened = layer->Open(in, got, limit);
      GENKAN_CHECK(got.size() - before == opened.bytes && opened.bytes <= limit);
      layer->SealAnswers(answers);
    } while (opened.state == State::kOk);
    outcome.state = opened.state;
  }
  GENKAN_CHECK((outcome.state == State::kFailed) == !layer->reason().empty());
  outcome.data = got.ToText();
  outcome.alert = layer->alert_owed();
  return outcome;
}

}  // namespace
}  // namespace genkan::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  using namespace genkan::fuzz;
  if (size < 2 || size > 20'000) return 0;
  const std::string secret(32, 's');
  uint8_t choice = data[0];
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string records, expected;
  bool may_expect = true;
  if ((choice & 1) != 0) {
    records = input;
    may_expect = false;
  } else {
    Peer peer(secret);
    std::string last;
    while (input.size() >= 3) {
      char type = input[0];
      size_t length = static_cast<size_t>(static_cast<unsigned char>(input[1]) << 8 |
                                          static_cast<unsigned char>(input[2]));
      std::string inner(input.substr(3, length));
      input.remove_prefix(std::min(input.size(), 3 + length));
      if (type == 23) {
        expected += inner;
      } else {
        may_expect = false;
      }
      last = peer.Seal(inner + type);
      records += last;
    }
    if ((choice & 2) != 0 && !last.empty()) {
      records[records.size() - 1 - choice / 8 % last.size()] ^= 4;
      may_expect = false;
    }
    if ((choice & 4) != 0 && !last.empty()) records.resize(records.size() - 1), may_expect = false;
  }
  Outcome whole = OpenAll(secret, records, records.size() + 1, 70'000);
  Outcome drips = OpenAll(secret, records, 1 + choice / 4, 1 + choice);
  GENKAN_CHECK(whole.state == drips.state && whole.data == drips.data &&
               whole.alert == drips.alert);
  // Data alone, nothing spoilt: all of it, unless records without any went on for too long.
  if (may_expect && whole.state != State::kFailed) GENKAN_CHECK(whole.data == expected);
  return 0;
}
