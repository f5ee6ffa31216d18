#include "proxy/tls/provider/tls13_kdf.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>

#include "proxy/base/text.h"
#include "proxy/tls/provider/secret.h"
#include "proxy/tls/provider/sha2.h"
#include "proxy/tls/provider/wipe.h"
#include "proxy/tls/traffic_secrets.h"

namespace genkan::tls::provider {
namespace {

struct Derivation {
  int mode =
      EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND;  // OpenSSL's default, which this KDF then refuses
  std::optional<Sha2> digest;
  Secret key, salt, prefix, label, data;
};

bool RefuseWith(int reason) {
  ERR_raise(ERR_LIB_PROV, reason);
  return false;
}

bool SetBytes(Secret& bytes, const OSSL_PARAM& parameter) {
  return parameter.data_type == OSSL_PARAM_OCTET_STRING && parameter.data != nullptr &&
         bytes.Set({static_cast<const unsigned char*>(parameter.data), parameter.data_size});
}

bool SetMode(Derivation& derivation, const OSSL_PARAM& parameter) {
  if (parameter.data_type == OSSL_PARAM_UTF8_STRING) {
    const std::string_view name(static_cast<const char*>(parameter.data));
    if (EqualsIgnoreCase(name, "EXTRACT_ONLY")) {
      derivation.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
    } else if (EqualsIgnoreCase(name, "EXPAND_ONLY")) {
      derivation.mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    } else {
      return RefuseWith(PROV_R_INVALID_MODE);
    }
    return true;
  }
  int mode = 0;
  if (OSSL_PARAM_get_int(&parameter, &mode) != 1 ||
      (mode != EVP_KDF_HKDF_MODE_EXTRACT_ONLY && mode != EVP_KDF_HKDF_MODE_EXPAND_ONLY))
    return RefuseWith(PROV_R_INVALID_MODE);
  derivation.mode = mode;
  return true;
}

bool SetDigest(Derivation& derivation, const OSSL_PARAM& parameter) {
  if (parameter.data_type != OSSL_PARAM_UTF8_STRING) return false;
  derivation.digest = Sha2Named(static_cast<const char*>(parameter.data));
  return derivation.digest.has_value() || RefuseWith(PROV_R_INVALID_DIGEST);
}

// One walk over the parameters; a name that is not known is for somebody else.
bool SetAll(Derivation& derivation, const OSSL_PARAM* parameters) {
  if (parameters == nullptr) return true;
  // As OpenSSL has it: the context of one derivation is not that of the next.
  derivation.data.Clear();
  for (; parameters->key != nullptr; ++parameters) {
    const std::string_view name = parameters->key;
    bool is_right = true;
    if (name == OSSL_KDF_PARAM_MODE) {
      is_right = SetMode(derivation, *parameters);
    } else if (name == OSSL_KDF_PARAM_DIGEST) {
      is_right = SetDigest(derivation, *parameters);
    } else if (name == OSSL_KDF_PARAM_KEY) {
      is_right = SetBytes(derivation.key, *parameters);
    } else if (name == OSSL_KDF_PARAM_SALT) {
      is_right = SetBytes(derivation.salt, *parameters);
    } else if (name == OSSL_KDF_PARAM_PREFIX) {
      is_right = SetBytes(derivation.prefix, *parameters);
    } else if (name == OSSL_KDF_PARAM_LABEL) {
      is_right = SetBytes(derivation.label, *parameters);
    } else if (name == OSSL_KDF_PARAM_DATA) {
      is_right = SetBytes(derivation.data, *parameters);
    }
    if (!is_right) return false;
  }
  return true;
}

bool Expand(const Derivation& derivation, Sha2 digest, Bytes secret, Bytes context,
            std::span<unsigned char> out) {
  return ExpandLabel(digest, secret, derivation.prefix.bytes(), derivation.label.bytes(), context,
                     out);
}

// HKDF-Extract, its salt being Derive-Secret(the secret before, "derived", "").
bool ExtractNext(const Derivation& derivation, Sha2 digest, std::span<unsigned char> out) {
  const size_t size = DigestSize(digest);
  if (out.size() != size) return RefuseWith(PROV_R_WRONG_OUTPUT_BUFFER_SIZE);
  std::array<unsigned char, kMaxDigest> salt;
  size_t salt_size = 0;
  if (derivation.salt.is_set()) {
    std::array<unsigned char, kMaxDigest> nothing;
    Sha2Hash(digest).Finish(nothing.data());
    if (!Expand(derivation, digest, derivation.salt.bytes(), {nothing.data(), size},
                {salt.data(), size}))
      return false;
    salt_size = size;
  }
  static constexpr std::array<unsigned char, kMaxDigest> kZeros = {};
  const Bytes input = derivation.key.is_set() ? derivation.key.bytes() : Bytes(kZeros.data(), size);
  HmacSha2 hmac(digest, {salt.data(), salt_size});
  hmac.Update(input);
  hmac.Finish(out.data());
  Wipe(salt.data(), salt_size);
  return true;
}

void* New(void*) {
  void* memory = OPENSSL_malloc(sizeof(Derivation));
  return memory == nullptr ? nullptr : new (memory) Derivation;
}

void Free(void* context) {
  if (context == nullptr) return;
  static_cast<Derivation*>(context)->~Derivation();
  OPENSSL_free(context);
}

void Reset(void* context) {
  static_cast<Derivation*>(context)->~Derivation();
  new (context) Derivation;
}

int SetParameters(void* context, const OSSL_PARAM* parameters) {
  return SetAll(*static_cast<Derivation*>(context), parameters) ? 1 : 0;
}

int Derive(void* context, unsigned char* out, size_t size, const OSSL_PARAM* parameters) {
  auto& derivation = *static_cast<Derivation*>(context);
  if (!SetAll(derivation, parameters)) return 0;
  if (!derivation.digest) return RefuseWith(PROV_R_MISSING_MESSAGE_DIGEST);
  switch (derivation.mode) {
    case EVP_KDF_HKDF_MODE_EXTRACT_ONLY:
      return ExtractNext(derivation, *derivation.digest, {out, size}) ? 1 : 0;
    case EVP_KDF_HKDF_MODE_EXPAND_ONLY:
      if (!derivation.key.is_set()) return RefuseWith(PROV_R_MISSING_KEY);
      if (!Expand(derivation, *derivation.digest, derivation.key.bytes(), derivation.data.bytes(),
                  {out, size}))
        return 0;
      TrafficSecretsScope::Note(AsText(derivation.label.bytes()), AsText({out, size}));
      return 1;
    default:
      return RefuseWith(PROV_R_INVALID_MODE);
  }
}

const OSSL_PARAM* SettableParameters(void*, void*) {
  static const OSSL_PARAM kSettable[] = {
      OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_MODE, nullptr, 0),
      OSSL_PARAM_int(OSSL_KDF_PARAM_MODE, nullptr),
      OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_PROPERTIES, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_KDF_PARAM_PREFIX, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_KDF_PARAM_LABEL, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_KDF_PARAM_DATA, nullptr, 0),
      OSSL_PARAM_END,
  };
  return kSettable;
}

// How much there is to have: what extracting gives, or as much as is asked for.
int GetParameters(void* context, OSSL_PARAM* parameters) {
  const auto& derivation = *static_cast<Derivation*>(context);
  OSSL_PARAM* size = OSSL_PARAM_locate(parameters, OSSL_KDF_PARAM_SIZE);
  if (size == nullptr) return -2;
  if (derivation.mode != EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
    return OSSL_PARAM_set_size_t(size, SIZE_MAX);
  if (!derivation.digest) return RefuseWith(PROV_R_MISSING_MESSAGE_DIGEST);
  return OSSL_PARAM_set_size_t(size, DigestSize(*derivation.digest));
}

const OSSL_PARAM* GettableParameters(void*, void*) {
  static const OSSL_PARAM kGettable[] = {OSSL_PARAM_size_t(OSSL_KDF_PARAM_SIZE, nullptr),
                                         OSSL_PARAM_END};
  return kGettable;
}

}  // namespace

bool ExpandLabel(Sha2 digest, Bytes secret, Bytes prefix, Bytes label, Bytes context,
                 std::span<unsigned char> out) {
  const size_t size = DigestSize(digest);
  // RFC 5869 2.3: 255 blocks are all there is.
  if (prefix.size() + label.size() > 255 || context.size() > 255 || out.size() > 255 * size ||
      out.data() == nullptr)
    return false;
  // T(n - 1), the label as it is written, n: one piece for one call of the hash.
  std::array<unsigned char, kMaxDigest + 2 + 1 + 255 + 1 + 255 + 1> message;
  unsigned char* const info = message.data() + size;
  unsigned char* end = info;
  *end++ = static_cast<unsigned char>(out.size() >> 8);
  *end++ = static_cast<unsigned char>(out.size());
  *end++ = static_cast<unsigned char>(prefix.size() + label.size());
  end = std::copy(prefix.begin(), prefix.end(), end);
  end = std::copy(label.begin(), label.end(), end);
  *end++ = static_cast<unsigned char>(context.size());
  end = std::copy(context.begin(), context.end(), end);
  HmacSha2 hmac(digest, secret);
  std::array<unsigned char, kMaxDigest> block;
  for (unsigned char counter = 1; !out.empty(); ++counter) {
    const unsigned char* begin = info;
    if (counter > 1) {
      hmac.Restart();
      begin = message.data();
      std::copy(block.data(), block.data() + size, message.data());
    }
    *end = counter;
    hmac.Update({begin, end + 1});
    hmac.Finish(block.data());
    const size_t taken = std::min(size, out.size());
    std::memcpy(out.data(), block.data(), taken);
    out = out.subspan(taken);
  }
  Wipe(block.data(), size);
  Wipe(message.data(), size);
  return true;
}

const OSSL_DISPATCH kTls13KdfFunctions[] = {
    {OSSL_FUNC_KDF_NEWCTX, reinterpret_cast<void (*)()>(&New)},
    {OSSL_FUNC_KDF_FREECTX, reinterpret_cast<void (*)()>(&Free)},
    {OSSL_FUNC_KDF_RESET, reinterpret_cast<void (*)()>(&Reset)},
    {OSSL_FUNC_KDF_DERIVE, reinterpret_cast<void (*)()>(&Derive)},
    {OSSL_FUNC_KDF_SETTABLE_CTX_PARAMS, reinterpret_cast<void (*)()>(&SettableParameters)},
    {OSSL_FUNC_KDF_SET_CTX_PARAMS, reinterpret_cast<void (*)()>(&SetParameters)},
    {OSSL_FUNC_KDF_GETTABLE_CTX_PARAMS, reinterpret_cast<void (*)()>(&GettableParameters)},
    {OSSL_FUNC_KDF_GET_CTX_PARAMS, reinterpret_cast<void (*)()>(&GetParameters)},
    {0, nullptr},
};

}  // namespace genkan::tls::provider
