#include "proxy/tls/provider/hmac.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <cstring>
#include <new>
#include <optional>
#include <string_view>

#include "proxy/base/text.h"
#include "proxy/tls/provider/borrowed.h"
#include "proxy/tls/provider/secret.h"
#include "proxy/tls/provider/sha2.h"

namespace genkan::tls::provider {
namespace {

// Written once before the first use.
struct Borrowed {
  void* context;
  const char* property_query;
  OSSL_FUNC_mac_newctx_fn* make;
  OSSL_FUNC_mac_dupctx_fn* dup;
  OSSL_FUNC_mac_freectx_fn* free;
  OSSL_FUNC_mac_init_fn* init;
  OSSL_FUNC_mac_update_fn* update;
  OSSL_FUNC_mac_final_fn* final;
  OSSL_FUNC_mac_get_ctx_params_fn* get;
  OSSL_FUNC_mac_set_ctx_params_fn* set;
};
Borrowed borrowed;

struct Mac {
  Mac() = default;
  ~Mac() {
    if (theirs != nullptr) borrowed.free(theirs);
  }
  Mac(const Mac&) = delete;
  Mac& operator=(const Mac&) = delete;

  std::optional<Sha2> digest;
  std::optional<HmacSha2> hmac;  // once there is a key
  Secret key;                    // for the case that it becomes theirs after all
  void* theirs = nullptr;        // then nothing above counts
};

bool SetKey(Mac& mac, const unsigned char* key, size_t size) {
  if (!mac.digest || !mac.key.Set({key, size})) return false;
  mac.hmac.emplace(*mac.digest, mac.key.bytes());
  return true;
}

// The default provider's from here on, with what was set so far.
bool HandOver(Mac& mac) {
  mac.theirs = borrowed.make(borrowed.context);
  if (mac.theirs == nullptr) return false;
  if (!mac.digest) return true;
  char* name = const_cast<char*>(NameOf(*mac.digest));  // OSSL_PARAM has no const; it is only read
  const OSSL_PARAM digest[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                               OSSL_PARAM_construct_end()};
  if (borrowed.set(mac.theirs, digest) != 1) return false;
  const Bytes key = mac.key.bytes();
  return !mac.key.is_set() || borrowed.init(mac.theirs, key.data(), key.size(), nullptr) == 1;
}

// Whether `parameter` asks for what only the default provider's does.
bool IsTheirs(const OSSL_PARAM& parameter) {
  const std::string_view name = parameter.key;
  if (name == OSSL_MAC_PARAM_DIGEST) {
    return parameter.data_type != OSSL_PARAM_UTF8_STRING ||
           !Sha2Named(static_cast<const char*>(parameter.data));
  }
  // Who wants the digest from elsewhere shall have it from there.
  if (name == OSSL_MAC_PARAM_PROPERTIES) {
    return parameter.data_type != OSSL_PARAM_UTF8_STRING ||
           std::strcmp(static_cast<const char*>(parameter.data), borrowed.property_query) != 0;
  }
  return name == OSSL_MAC_PARAM_TLS_DATA_SIZE || name == OSSL_ALG_PARAM_ENGINE;
}

int SetParameters(void* context, const OSSL_PARAM* parameters) {
  auto& mac = *static_cast<Mac*>(context);
  if (parameters == nullptr) return 1;
  if (mac.theirs != nullptr) return borrowed.set(mac.theirs, parameters);
  const OSSL_PARAM* key = nullptr;
  for (const OSSL_PARAM* parameter = parameters; parameter->key != nullptr; ++parameter) {
    if (IsTheirs(*parameter)) return HandOver(mac) && borrowed.set(mac.theirs, parameters) == 1;
    const std::string_view name = parameter->key;
    if (name == OSSL_MAC_PARAM_DIGEST) {
      const auto digest = Sha2Named(static_cast<const char*>(parameter->data));
      if (digest != mac.digest) mac.hmac.reset();
      mac.digest = digest;
    } else if (name == OSSL_MAC_PARAM_KEY) {
      key = parameter;
    }
  }
  if (key == nullptr) return 1;
  return key->data_type == OSSL_PARAM_OCTET_STRING &&
         SetKey(mac, static_cast<const unsigned char*>(key->data), key->data_size);
}

void* New(void*) {
  void* memory = OPENSSL_malloc(sizeof(Mac));
  return memory == nullptr ? nullptr : new (memory) Mac;
}

void Free(void* context) {
  if (context == nullptr) return;
  static_cast<Mac*>(context)->~Mac();
  OPENSSL_free(context);
}

void* Duplicate(void* context) {
  const auto& source = *static_cast<const Mac*>(context);
  void* copy = New(nullptr);
  if (copy == nullptr) return nullptr;
  auto& mac = *static_cast<Mac*>(copy);
  mac.digest = source.digest;
  mac.hmac = source.hmac;
  bool is_whole = !source.key.is_set() || mac.key.Set(source.key.bytes());
  if (source.theirs != nullptr) {
    mac.theirs = borrowed.dup(source.theirs);
    is_whole = is_whole && mac.theirs != nullptr;
  }
  if (is_whole) return copy;
  Free(copy);
  return nullptr;
}

int Init(void* context, const unsigned char* key, size_t size, const OSSL_PARAM* parameters) {
  auto& mac = *static_cast<Mac*>(context);
  if (SetParameters(context, parameters) != 1) return 0;
  if (mac.theirs != nullptr) return borrowed.init(mac.theirs, key, size, nullptr);
  if (key != nullptr) return SetKey(mac, key, size);
  if (!mac.hmac && mac.key.is_set() && mac.digest) mac.hmac.emplace(*mac.digest, mac.key.bytes());
  if (!mac.hmac) return 0;
  mac.hmac->Restart();
  return 1;
}

int Update(void* context, const unsigned char* data, size_t size) {
  auto& mac = *static_cast<Mac*>(context);
  if (mac.theirs != nullptr) return borrowed.update(mac.theirs, data, size);
  if (!mac.hmac) return 0;
  mac.hmac->Update({data, size});
  return 1;
}

int Finish(void* context, unsigned char* out, size_t* size, size_t room) {
  auto& mac = *static_cast<Mac*>(context);
  if (mac.theirs != nullptr) return borrowed.final(mac.theirs, out, size, room);
  if (!mac.hmac || room < DigestSize(mac.hmac->kind())) return 0;
  mac.hmac->Finish(out);
  *size = DigestSize(mac.hmac->kind());
  return 1;
}

int GetParameters(void* context, OSSL_PARAM* parameters) {
  const auto& mac = *static_cast<const Mac*>(context);
  if (mac.theirs != nullptr) return borrowed.get(mac.theirs, parameters);
  OSSL_PARAM* size = OSSL_PARAM_locate(parameters, OSSL_MAC_PARAM_SIZE);
  OSSL_PARAM* block = OSSL_PARAM_locate(parameters, OSSL_MAC_PARAM_BLOCK_SIZE);
  return (size == nullptr ||
          OSSL_PARAM_set_size_t(size, mac.digest ? DigestSize(*mac.digest) : 0) == 1) &&
         (block == nullptr ||
          OSSL_PARAM_set_size_t(block, mac.digest ? BlockSize(*mac.digest) : 0) == 1);
}

const OSSL_PARAM* GettableParameters(void*, void*) {
  static const OSSL_PARAM kGettable[] = {OSSL_PARAM_size_t(OSSL_MAC_PARAM_SIZE, nullptr),
                                         OSSL_PARAM_size_t(OSSL_MAC_PARAM_BLOCK_SIZE, nullptr),
                                         OSSL_PARAM_END};
  return kGettable;
}

const OSSL_PARAM* SettableParameters(void*, void*) {
  static const OSSL_PARAM kSettable[] = {
      OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_PROPERTIES, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, nullptr, 0),
      OSSL_PARAM_int(OSSL_MAC_PARAM_DIGEST_NOINIT, nullptr),
      OSSL_PARAM_int(OSSL_MAC_PARAM_DIGEST_ONESHOT, nullptr),
      OSSL_PARAM_size_t(OSSL_MAC_PARAM_TLS_DATA_SIZE, nullptr),
      OSSL_PARAM_END,
  };
  return kSettable;
}

}  // namespace

bool BorrowHmac(const OSSL_PROVIDER* default_provider, const char* property_query) {
  const OSSL_ALGORITHM* theirs = FindAlgorithm(default_provider, OSSL_OP_MAC, "HMAC");
  if (theirs == nullptr) return false;
  const OSSL_DISPATCH* functions = theirs->implementation;
  borrowed.context = OSSL_PROVIDER_get0_provider_ctx(default_provider);
  borrowed.property_query = property_query;
  return Take(functions, OSSL_FUNC_MAC_NEWCTX, borrowed.make) &&
         Take(functions, OSSL_FUNC_MAC_DUPCTX, borrowed.dup) &&
         Take(functions, OSSL_FUNC_MAC_FREECTX, borrowed.free) &&
         Take(functions, OSSL_FUNC_MAC_INIT, borrowed.init) &&
         Take(functions, OSSL_FUNC_MAC_UPDATE, borrowed.update) &&
         Take(functions, OSSL_FUNC_MAC_FINAL, borrowed.final) &&
         Take(functions, OSSL_FUNC_MAC_GET_CTX_PARAMS, borrowed.get) &&
         Take(functions, OSSL_FUNC_MAC_SET_CTX_PARAMS, borrowed.set);
}

const OSSL_DISPATCH kHmacFunctions[] = {
    {OSSL_FUNC_MAC_NEWCTX, reinterpret_cast<Function>(&New)},
    {OSSL_FUNC_MAC_DUPCTX, reinterpret_cast<Function>(&Duplicate)},
    {OSSL_FUNC_MAC_FREECTX, reinterpret_cast<Function>(&Free)},
    {OSSL_FUNC_MAC_INIT, reinterpret_cast<Function>(&Init)},
    {OSSL_FUNC_MAC_UPDATE, reinterpret_cast<Function>(&Update)},
    {OSSL_FUNC_MAC_FINAL, reinterpret_cast<Function>(&Finish)},
    {OSSL_FUNC_MAC_GETTABLE_CTX_PARAMS, reinterpret_cast<Function>(&GettableParameters)},
    {OSSL_FUNC_MAC_GET_CTX_PARAMS, reinterpret_cast<Function>(&GetParameters)},
    {OSSL_FUNC_MAC_SETTABLE_CTX_PARAMS, reinterpret_cast<Function>(&SettableParameters)},
    {OSSL_FUNC_MAC_SET_CTX_PARAMS, reinterpret_cast<Function>(&SetParameters)},
    {0, nullptr},
};

}  // namespace genkan::tls::provider
