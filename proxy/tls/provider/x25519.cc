#include "proxy/tls/provider/x25519.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/prov_ssl.h>
#include <openssl/proverr.h>
#include <openssl/rand.h>
#include <sodium.h>

#include <array>
#include <span>

#include "proxy/tls/provider/borrowed.h"
#include "proxy/tls/provider/wipe.h"

namespace genkan::tls::provider {
namespace {

constexpr size_t kKeyBytes = 32;
static_assert(kKeyBytes == crypto_scalarmult_BYTES && kKeyBytes == crypto_scalarmult_SCALARBYTES);

// The default provider's X25519. Written once before the first use; no destructor, for OpenSSL lets
// go of its providers after main has returned.
struct Borrowed {
  const char* names;
  void* context;  // of the default provider
  // Key management.
  OSSL_FUNC_keymgmt_new_fn* make;
  OSSL_FUNC_keymgmt_free_fn* free;
  OSSL_FUNC_keymgmt_import_fn* import;
  OSSL_FUNC_keymgmt_gettable_params_fn* gettable;
  OSSL_FUNC_keymgmt_settable_params_fn* settable;
  OSSL_FUNC_keymgmt_gen_init_fn* gen_init;
  OSSL_FUNC_keymgmt_gen_set_params_fn* gen_set;
  OSSL_FUNC_keymgmt_gen_settable_params_fn* gen_settable;
  OSSL_FUNC_keymgmt_gen_fn* gen;
  OSSL_FUNC_keymgmt_gen_cleanup_fn* gen_cleanup;
  // Key exchange.
  OSSL_FUNC_keyexch_newctx_fn* exchange_new;
  OSSL_FUNC_keyexch_init_fn* exchange_init;
  OSSL_FUNC_keyexch_set_peer_fn* exchange_set_peer;
  OSSL_FUNC_keyexch_derive_fn* exchange_derive;
  OSSL_FUNC_keyexch_freectx_fn* exchange_free;
};
Borrowed borrowed;

constexpr size_t kMaxFunctions = 24;
std::array<OSSL_DISPATCH, kMaxFunctions> key_management, key_exchange;

// ---- key pairs

// A fresh pair as a key of the default provider, and its public half at `public_key`.
void* MakePair(unsigned char* public_key) {
  std::array<unsigned char, kKeyBytes> secret;
  void* key = nullptr;
  if (RAND_priv_bytes(secret.data(), kKeyBytes) == 1) {
    // RFC 7748 5. Multiplying does it too, but a key that is exported says what it is.
    secret[0] &= 248;
    secret[31] = static_cast<unsigned char>((secret[31] & 127) | 64);
    const OSSL_PARAM halves[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, public_key, kKeyBytes),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, secret.data(), kKeyBytes),
        OSSL_PARAM_construct_end(),
    };
    key = crypto_scalarmult_base(public_key, secret.data()) == 0 ? borrowed.make(borrowed.context)
                                                                 : nullptr;
    if (key != nullptr && borrowed.import(key, OSSL_KEYMGMT_SELECT_KEYPAIR, halves) != 1) {
      borrowed.free(key);
      key = nullptr;
    }
  }
  Wipe(secret.data(), secret.size());
  return key;
}

struct Generation {
  void* inner;  // the default provider's: it knows the parameters
  int selection;
};

void* NewKey(void*) { return borrowed.make(borrowed.context); }

void GenerateCleanup(void* context) {
  if (context == nullptr) return;
  borrowed.gen_cleanup(static_cast<Generation*>(context)->inner);
  OPENSSL_free(context);
}

void* GenerateInit(void*, int selection, const OSSL_PARAM* parameters) {
  auto* generation = static_cast<Generation*>(OPENSSL_malloc(sizeof(Generation)));
  if (generation == nullptr) return nullptr;
  *generation = {borrowed.gen_init(borrowed.context, selection, parameters), selection};
  if (generation->inner != nullptr) return generation;
  OPENSSL_free(generation);
  return nullptr;
}

int GenerateSet(void* context, const OSSL_PARAM* parameters) {
  return borrowed.gen_set(static_cast<Generation*>(context)->inner, parameters);
}

const OSSL_PARAM* GenerateSettable(void* context, void*) {
  auto* generation = static_cast<Generation*>(context);
  return borrowed.gen_settable(generation == nullptr ? nullptr : generation->inner,
                               borrowed.context);
}

void* Generate(void* context, OSSL_CALLBACK* progress, void* argument) {
  auto* generation = static_cast<Generation*>(context);
  // Parameters alone: a key without halves.
  if ((generation->selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0)
    return borrowed.gen(generation->inner, progress, argument);
  std::array<unsigned char, kKeyBytes> public_key;
  return MakePair(public_key.data());
}

const OSSL_PARAM* Gettable(void*) { return borrowed.gettable(borrowed.context); }
const OSSL_PARAM* Settable(void*) { return borrowed.settable(borrowed.context); }

// ---- key exchange: TLS 1.2

void* NewExchange(void*) { return borrowed.exchange_new(borrowed.context); }

// ---- encapsulation: TLS 1.3

struct Encapsulation {
  void* exchange;  // holds the peer's key
};

void* NewEncapsulation(void*) {
  auto* encapsulation = static_cast<Encapsulation*>(OPENSSL_malloc(sizeof(Encapsulation)));
  if (encapsulation == nullptr) return nullptr;
  encapsulation->exchange = borrowed.exchange_new(borrowed.context);
  if (encapsulation->exchange != nullptr) return encapsulation;
  OPENSSL_free(encapsulation);
  return nullptr;
}

void FreeEncapsulation(void* context) {
  if (context == nullptr) return;
  borrowed.exchange_free(static_cast<Encapsulation*>(context)->exchange);
  OPENSSL_free(context);
}

int EncapsulateInit(void* context, void* peer, const OSSL_PARAM*) {
  return borrowed.exchange_set_peer(static_cast<Encapsulation*>(context)->exchange, peer);
}

int Encapsulate(void* context, unsigned char* share, size_t* share_size, unsigned char* secret,
                size_t* secret_size) {
  if (share == nullptr) {
    if (share_size == nullptr && secret_size == nullptr) return 0;
    if (share_size != nullptr) *share_size = kKeyBytes;
    if (secret_size != nullptr) *secret_size = kKeyBytes;
    return 1;
  }
  if (secret == nullptr || (share_size != nullptr && *share_size < kKeyBytes) ||
      (secret_size != nullptr && *secret_size < kKeyBytes)) {
    ERR_raise(ERR_LIB_PROV, PROV_R_OUTPUT_BUFFER_TOO_SMALL);
    return 0;
  }
  void* exchange = static_cast<Encapsulation*>(context)->exchange;
  void* pair = MakePair(share);
  if (pair == nullptr) return 0;
  // The exchange refuses a secret of zeros (RFC 7748 6.1): a peer's point of low order.
  size_t made = 0;
  const bool is_made = borrowed.exchange_init(exchange, pair, nullptr) == 1 &&
                       borrowed.exchange_derive(exchange, secret, &made, kKeyBytes) == 1 &&
                       made == kKeyBytes;
  borrowed.free(pair);  // the exchange holds on to it until it goes
  if (!is_made) return 0;
  if (share_size != nullptr) *share_size = kKeyBytes;
  if (secret_size != nullptr) *secret_size = kKeyBytes;
  return 1;
}

const OSSL_DISPATCH kEncapsulationFunctions[] = {
    {OSSL_FUNC_KEM_NEWCTX, reinterpret_cast<void (*)()>(&NewEncapsulation)},
    {OSSL_FUNC_KEM_FREECTX, reinterpret_cast<void (*)()>(&FreeEncapsulation)},
    {OSSL_FUNC_KEM_ENCAPSULATE_INIT, reinterpret_cast<void (*)()>(&EncapsulateInit)},
    {OSSL_FUNC_KEM_ENCAPSULATE, reinterpret_cast<void (*)()>(&Encapsulate)},
    {0, nullptr},
};

// ---- what is borrowed

struct Own {
  int id;
  Function function;
};

// The table of the default provider with functions of ours in the place of some of its own. Only
// functions of `passed`, which have nothing to do with a provider's context, are taken over as they
// are.
bool MakeTable(const OSSL_DISPATCH* functions, std::span<const int> passed,
               std::span<const Own> own, std::array<OSSL_DISPATCH, kMaxFunctions>& table) {
  if (passed.size() + own.size() >= table.size()) return false;
  size_t count = 0;
  for (const Own& entry : own) table[count++] = {entry.id, entry.function};
  for (int id : passed)
    if (Function function = FindFunction(functions, id)) table[count++] = {id, function};
  table[count] = {0, nullptr};
  return true;
}

bool BorrowKeyManagement(const OSSL_DISPATCH* functions) {
  static constexpr int kPassed[] = {
      OSSL_FUNC_KEYMGMT_LOAD,       OSSL_FUNC_KEYMGMT_FREE,   OSSL_FUNC_KEYMGMT_GET_PARAMS,
      OSSL_FUNC_KEYMGMT_SET_PARAMS, OSSL_FUNC_KEYMGMT_HAS,    OSSL_FUNC_KEYMGMT_VALIDATE,
      OSSL_FUNC_KEYMGMT_MATCH,      OSSL_FUNC_KEYMGMT_IMPORT, OSSL_FUNC_KEYMGMT_IMPORT_TYPES,
      OSSL_FUNC_KEYMGMT_EXPORT,     OSSL_FUNC_KEYMGMT_DUP,    OSSL_FUNC_KEYMGMT_EXPORT_TYPES,
  };
  static const Own kOwn[] = {
      {OSSL_FUNC_KEYMGMT_NEW, reinterpret_cast<Function>(&NewKey)},
      {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, reinterpret_cast<Function>(&Gettable)},
      {OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, reinterpret_cast<Function>(&Settable)},
      {OSSL_FUNC_KEYMGMT_GEN_INIT, reinterpret_cast<Function>(&GenerateInit)},
      {OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, reinterpret_cast<Function>(&GenerateSet)},
      {OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, reinterpret_cast<Function>(&GenerateSettable)},
      {OSSL_FUNC_KEYMGMT_GEN, reinterpret_cast<Function>(&Generate)},
      {OSSL_FUNC_KEYMGMT_GEN_CLEANUP, reinterpret_cast<Function>(&GenerateCleanup)},
  };
  return Take(functions, OSSL_FUNC_KEYMGMT_NEW, borrowed.make) &&
         Take(functions, OSSL_FUNC_KEYMGMT_FREE, borrowed.free) &&
         Take(functions, OSSL_FUNC_KEYMGMT_IMPORT, borrowed.import) &&
         Take(functions, OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, borrowed.gettable) &&
         Take(functions, OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, borrowed.settable) &&
         Take(functions, OSSL_FUNC_KEYMGMT_GEN_INIT, borrowed.gen_init) &&
         Take(functions, OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, borrowed.gen_set) &&
         Take(functions, OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, borrowed.gen_settable) &&
         Take(functions, OSSL_FUNC_KEYMGMT_GEN, borrowed.gen) &&
         Take(functions, OSSL_FUNC_KEYMGMT_GEN_CLEANUP, borrowed.gen_cleanup) &&
         MakeTable(functions, kPassed, kOwn, key_management);
}

bool BorrowKeyExchange(const OSSL_DISPATCH* functions) {
  static constexpr int kPassed[] = {
      OSSL_FUNC_KEYEXCH_INIT,    OSSL_FUNC_KEYEXCH_DERIVE, OSSL_FUNC_KEYEXCH_SET_PEER,
      OSSL_FUNC_KEYEXCH_FREECTX, OSSL_FUNC_KEYEXCH_DUPCTX,
  };
  static const Own kOwn[] = {
      {OSSL_FUNC_KEYEXCH_NEWCTX, reinterpret_cast<Function>(&NewExchange)},
  };
  return Take(functions, OSSL_FUNC_KEYEXCH_NEWCTX, borrowed.exchange_new) &&
         Take(functions, OSSL_FUNC_KEYEXCH_INIT, borrowed.exchange_init) &&
         Take(functions, OSSL_FUNC_KEYEXCH_SET_PEER, borrowed.exchange_set_peer) &&
         Take(functions, OSSL_FUNC_KEYEXCH_DERIVE, borrowed.exchange_derive) &&
         Take(functions, OSSL_FUNC_KEYEXCH_FREECTX, borrowed.exchange_free) &&
         MakeTable(functions, kPassed, kOwn, key_exchange);
}

}  // namespace

bool BorrowX25519(const OSSL_PROVIDER* default_provider) {
  const OSSL_ALGORITHM* management = FindAlgorithm(default_provider, OSSL_OP_KEYMGMT, "X25519");
  const OSSL_ALGORITHM* exchange = FindAlgorithm(default_provider, OSSL_OP_KEYEXCH, "X25519");
  if (management == nullptr || exchange == nullptr) return false;
  borrowed.names = management->algorithm_names;
  borrowed.context = OSSL_PROVIDER_get0_provider_ctx(default_provider);
  return BorrowKeyManagement(management->implementation) &&
         BorrowKeyExchange(exchange->implementation) && sodium_init() >= 0;
}

const char* X25519Names() { return borrowed.names; }
const OSSL_DISPATCH* X25519KeyManagement() { return key_management.data(); }
const OSSL_DISPATCH* X25519KeyExchange() { return key_exchange.data(); }
const OSSL_DISPATCH* X25519Encapsulation() { return kEncapsulationFunctions; }

bool AgreeX25519(std::span<const unsigned char, kX25519Bytes> peer,
                 std::span<unsigned char, kX25519Bytes> share,
                 std::span<unsigned char, kX25519Bytes> secret) {
  // OSSL_PARAM has no const; the point is only read.
  const OSSL_PARAM point[] = {
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                        const_cast<unsigned char*>(peer.data()), peer.size()),
      OSSL_PARAM_construct_end(),
  };
  void* key = borrowed.make(borrowed.context);
  Encapsulation encapsulation{key == nullptr ? nullptr : borrowed.exchange_new(borrowed.context)};
  size_t share_size = share.size(), secret_size = secret.size();
  const bool is_made =
      encapsulation.exchange != nullptr &&
      borrowed.import(key, OSSL_KEYMGMT_SELECT_PUBLIC_KEY, point) == 1 &&
      borrowed.exchange_set_peer(encapsulation.exchange, key) == 1 &&
      Encapsulate(&encapsulation, share.data(), &share_size, secret.data(), &secret_size) == 1;
  // Each holds on to what it needs and takes null.
  borrowed.exchange_free(encapsulation.exchange);
  borrowed.free(key);
  return is_made;
}

const OSSL_PARAM* X25519Group() {
  // RFC 8446 4.2.7: 0x001d. The rest as OpenSSL has it; OSSL_PARAM has no const.
  static unsigned id = 0x001d, security_bits = 128, is_encapsulation = 1;
  static int min_tls = TLS1_VERSION, max_tls = 0, min_dtls = DTLS1_VERSION, max_dtls = 0;
  static char tls_name[] = "x25519", name[] = "X25519", algorithm[] = "X25519";
  static const OSSL_PARAM kGroup[] = {
      OSSL_PARAM_utf8_string(OSSL_CAPABILITY_TLS_GROUP_NAME, tls_name, sizeof tls_name),
      OSSL_PARAM_utf8_string(OSSL_CAPABILITY_TLS_GROUP_NAME_INTERNAL, name, sizeof name),
      OSSL_PARAM_utf8_string(OSSL_CAPABILITY_TLS_GROUP_ALG, algorithm, sizeof algorithm),
      OSSL_PARAM_uint(OSSL_CAPABILITY_TLS_GROUP_ID, &id),
      OSSL_PARAM_uint(OSSL_CAPABILITY_TLS_GROUP_SECURITY_BITS, &security_bits),
      OSSL_PARAM_uint(OSSL_CAPABILITY_TLS_GROUP_IS_KEM, &is_encapsulation),
      OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MIN_TLS, &min_tls),
      OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MAX_TLS, &max_tls),
      OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MIN_DTLS, &min_dtls),
      OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MAX_DTLS, &max_dtls),
      OSSL_PARAM_END,
  };
  return kGroup;
}

}  // namespace genkan::tls::provider
