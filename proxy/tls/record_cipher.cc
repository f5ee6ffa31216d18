#include "proxy/tls/record_cipher.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <algorithm>
#include <string_view>

#include "proxy/base/text.h"

namespace genkan::tls {
namespace {

// "AES-128-GCM:id-aes128-GCM:2.16.…" has this name.
bool HasName(std::string_view names, std::string_view wanted) {
  auto all = Split(names, ':');
  return std::any_of(all.begin(), all.end(),
                     [wanted](std::string_view name) { return EqualsIgnoreCase(name, wanted); });
}

const OSSL_DISPATCH* FindFunctions(OSSL_PROVIDER* provider, std::string_view name) {
  int must_not_keep = 0;
  const OSSL_ALGORITHM* all =
      OSSL_PROVIDER_query_operation(provider, OSSL_OP_CIPHER, &must_not_keep);
  if (all == nullptr || must_not_keep != 0) return nullptr;
  for (; all->algorithm_names != nullptr; ++all) {
    if (HasName(all->algorithm_names, name)) return all->implementation;
  }
  return nullptr;
}

RecordSuite Make(uint16_t id, const char* name, provider::Sha2 digest) {
  RecordSuite suite{};
  EVP_CIPHER* cipher = suite.cipher = EVP_CIPHER_fetch(nullptr, name, nullptr);
  if (cipher == nullptr) return suite;
  auto* provider = const_cast<OSSL_PROVIDER*>(EVP_CIPHER_get0_provider(cipher));
  const OSSL_DISPATCH* functions = provider == nullptr ? nullptr : FindFunctions(provider, name);
  if (functions == nullptr) return suite;
  for (const OSSL_DISPATCH* one = functions; one->function_id != 0; ++one) {
    switch (one->function_id) {
      case OSSL_FUNC_CIPHER_NEWCTX:
        suite.make = OSSL_FUNC_cipher_newctx(one);
        break;
      case OSSL_FUNC_CIPHER_FREECTX:
        suite.free = OSSL_FUNC_cipher_freectx(one);
        break;
      case OSSL_FUNC_CIPHER_ENCRYPT_INIT:
        suite.seal = OSSL_FUNC_cipher_encrypt_init(one);
        break;
      case OSSL_FUNC_CIPHER_DECRYPT_INIT:
        suite.open = OSSL_FUNC_cipher_decrypt_init(one);
        break;
      case OSSL_FUNC_CIPHER_UPDATE:
        suite.update = OSSL_FUNC_cipher_update(one);
        break;
      case OSSL_FUNC_CIPHER_FINAL:
        suite.finish = OSSL_FUNC_cipher_final(one);
        break;
      case OSSL_FUNC_CIPHER_GET_CTX_PARAMS:
        suite.get = OSSL_FUNC_cipher_get_ctx_params(one);
        break;
      case OSSL_FUNC_CIPHER_SET_CTX_PARAMS:
        suite.set = OSSL_FUNC_cipher_set_ctx_params(one);
        break;
      default:
        break;
    }
  }
  bool is_whole = suite.make && suite.free && suite.seal && suite.open && suite.update &&
                  suite.finish && suite.get && suite.set;
  if (!is_whole || EVP_CIPHER_get_iv_length(cipher) != static_cast<int>(RecordCipher::kNonce))
    return suite;
  suite.key_size = static_cast<size_t>(EVP_CIPHER_get_key_length(cipher));
  suite.provider_context = OSSL_PROVIDER_get0_provider_ctx(provider);
  suite.digest = digest;
  suite.id = id;
  return suite;
}

}  // namespace

const RecordSuite* RecordSuite::Find(uint16_t id) {
  static const std::array<RecordSuite, 3> suites = {
      Make(0x1301, "AES-128-GCM", provider::Sha2::kSha256),
      Make(0x1302, "AES-256-GCM", provider::Sha2::kSha384),
      Make(0x1303, "ChaCha20-Poly1305", provider::Sha2::kSha256),
  };
  for (const RecordSuite& one : suites)
    if (one.id == id && id != 0) return &one;
  return nullptr;
}

bool RecordCipher::SetKey(const RecordSuite& suite, std::span<const unsigned char> key, Way way,
                          By by) {
  way_ = way;
  if (by == By::kBest && suite.is_aes_gcm() && AesGcm::IsSupported()) {
    if (own_ == nullptr) own_ = std::make_unique<AesGcm>();
    return key.size() == suite.key_size && own_->SetKey(key);
  }
  if (context_ == nullptr) {
    context_ = suite.make(suite.provider_context);
    if (context_ == nullptr) return false;
    suite_ = &suite;
  }
  auto* init = way == Way::kSeal ? suite.seal : suite.open;
  return key.size() == suite.key_size &&
         init(context_, key.data(), key.size(), nullptr, 0, nullptr) == 1;
}

bool RecordCipher::Begin(std::span<const unsigned char, kNonce> nonce,
                         std::span<const unsigned char> header) {
  if (own_ != nullptr) {
    own_->Begin(nonce, header);
    return true;
  }
  auto* init = way_ == Way::kSeal ? suite_->seal : suite_->open;
  size_t made = 0;
  return init(context_, nullptr, 0, nonce.data(), nonce.size(), nullptr) == 1 &&
         suite_->update(context_, nullptr, &made, header.size(), header.data(), header.size()) == 1;
}

bool RecordCipher::Update(const unsigned char* data, size_t size, unsigned char* out) {
  if (own_ != nullptr) {
    way_ == Way::kSeal ? own_->Encrypt(data, size, out) : own_->Decrypt(data, size, out);
    return true;
  }
  size_t made = 0;
  return suite_->update(context_, out, &made, size, data, size) == 1 && made == size;
}

bool RecordCipher::Seal(std::span<unsigned char, kTag> tag) {
  if (own_ != nullptr) {
    own_->Tag(tag);
    return true;
  }
  size_t made = 0;
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag.data(), tag.size()),
      OSSL_PARAM_construct_end()};
  return suite_->finish(context_, tag.data(), &made, tag.size()) == 1 && made == 0 &&
         suite_->get(context_, parameters) == 1;
}

bool RecordCipher::Open(std::span<unsigned char, kTag> tag) {
  if (own_ != nullptr) {
    std::array<unsigned char, kTag> ours{};
    own_->Tag(ours);
    return CRYPTO_memcmp(ours.data(), tag.data(), kTag) == 0;
  }
  size_t made = 0;
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag.data(), tag.size()),
      OSSL_PARAM_construct_end()};
  unsigned char nothing[kTag];
  return suite_->set(context_, parameters) == 1 &&
         suite_->finish(context_, nothing, &made, sizeof nothing) == 1;
}

}  // namespace genkan::tls
