// The AEADs of TLS 1.3's records (RFC 8446 5.2), called as the OpenSSL provider that has them
// offers them (provider-cipher(7)). EVP asks the provider for its lengths by parameter list with
// each nonce, and for each tag: on a small record that costs more than opening it. AES-GCM is our
// own where the processor has the instructions for it (aes_gcm.h). Suites are looked up once and
// never freed; a RecordCipher is one direction's keys, of one thread.
#pragma once

#include <openssl/core_dispatch.h>
#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "proxy/tls/aes_gcm.h"
#include "proxy/tls/provider/sha2.h"

namespace genkan::tls {

// What a cipher suite of TLS 1.3 is made of.
struct RecordSuite {
  uint16_t id;  // as on the wire: 0x1301 …
  provider::Sha2 digest;
  size_t key_size;

  // Kept, and with it the provider, whose functions these are; a context is made with the first.
  EVP_CIPHER* cipher;
  void* provider_context;
  OSSL_FUNC_cipher_newctx_fn* make;
  OSSL_FUNC_cipher_freectx_fn* free;
  OSSL_FUNC_cipher_encrypt_init_fn* seal;
  OSSL_FUNC_cipher_decrypt_init_fn* open;
  OSSL_FUNC_cipher_update_fn* update;
  OSSL_FUNC_cipher_final_fn* finish;
  OSSL_FUNC_cipher_get_ctx_params_fn* get;
  OSSL_FUNC_cipher_set_ctx_params_fn* set;

  size_t secret_size() const { return provider::DigestSize(digest); }
  bool is_aes_gcm() const { return id != 0x1303; }

  // Null: not one of the three, or no provider here has it. Any thread.
  static const RecordSuite* Find(uint16_t id);
};

class RecordCipher {
 public:
  static constexpr size_t kNonce = 12;
  static constexpr size_t kTag = 16;
  enum class Way { kSeal, kOpen };
  enum class By { kBest, kOpenSsl };  // the latter for tests: what the others' must agree with

  RecordCipher() = default;
  ~RecordCipher() { Free(); }
  RecordCipher(const RecordCipher&) = delete;
  RecordCipher& operator=(const RecordCipher&) = delete;

  // Sets or changes the key. False: the provider refuses it.
  bool SetKey(const RecordSuite& suite, std::span<const unsigned char> key, Way way,
              By by = By::kBest);

  // One record: Begin, Update for each piece of it, then Seal or Open. `data` and `out` are the
  // same or do not overlap; as many bytes come out as went in.
  bool Begin(std::span<const unsigned char, kNonce> nonce, std::span<const unsigned char> header);
  bool Update(const unsigned char* data, size_t size, unsigned char* out);
  bool Seal(std::span<unsigned char, kTag> tag);
  // False: not what was sealed, and what Update gave is worth nothing.
  bool Open(std::span<unsigned char, kTag> tag);

 private:
  void Free() {
    if (context_ != nullptr) suite_->free(context_);
  }

  const RecordSuite* suite_ = nullptr;
  std::unique_ptr<AesGcm> own_;  // or …
  void* context_ = nullptr;
  Way way_ = Way::kSeal;
};

}  // namespace genkan::tls
