#include "proxy/tls/provider/provider.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <array>

#include "proxy/base/log.h"
#include "proxy/base/text.h"
#include "proxy/tls/openssl_ptr.h"
#include "proxy/tls/provider/hmac.h"
#include "proxy/tls/provider/tls13_kdf.h"
#include "proxy/tls/provider/x25519.h"

namespace genkan::tls::provider {
namespace {

constexpr const char* kName = "genkan";
// libssl hashes and copies the query at each fetch: it is short. The dot makes it a property of
// somebody's own.
constexpr const char* kProperties = "provider=genkan,gk.own";
constexpr const char* kQuery = "?gk.own";

// Two entries and the end. Filled by Load before OpenSSL sees them.
using Algorithms = std::array<OSSL_ALGORITHM, 2>;
Algorithms kdfs, macs, key_managements, key_exchanges, encapsulations;

// Both for the life of the process; never unloaded, for SSL_CTXs may outlive main.
OSSL_PROVIDER *theirs, *ours;

const OSSL_ALGORITHM* Query(void*, int operation, int* no_cache) {
  *no_cache = 0;
  switch (operation) {
    case OSSL_OP_KDF:
      return kdfs.data();
    case OSSL_OP_MAC:
      return macs.data();
    case OSSL_OP_KEYMGMT:
      return key_managements.data();
    case OSSL_OP_KEYEXCH:
      return key_exchanges.data();
    case OSSL_OP_KEM:
      return encapsulations.data();
    default:
      return nullptr;
  }
}

int Capabilities(void*, const char* capability, OSSL_CALLBACK* callback, void* argument) {
  return EqualsIgnoreCase(capability, "TLS-GROUP") ? callback(X25519Group(), argument) : 0;
}

const OSSL_PARAM* GettableParameters(void*) {
  static const OSSL_PARAM kGettable[] = {OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, nullptr, 0),
                                         OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, nullptr),
                                         OSSL_PARAM_END};
  return kGettable;
}

int GetParameters(void*, OSSL_PARAM* parameters) {
  OSSL_PARAM* name = OSSL_PARAM_locate(parameters, OSSL_PROV_PARAM_NAME);
  OSSL_PARAM* status = OSSL_PARAM_locate(parameters, OSSL_PROV_PARAM_STATUS);
  return (name == nullptr || OSSL_PARAM_set_utf8_ptr(name, kName) == 1) &&
         (status == nullptr || OSSL_PARAM_set_int(status, 1) == 1);
}

int Init(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** functions,
         void** context) {
  static const OSSL_DISPATCH kFunctions[] = {
      {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(&Query)},
      {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<void (*)()>(&Capabilities)},
      {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, reinterpret_cast<void (*)()>(&GettableParameters)},
      {OSSL_FUNC_PROVIDER_GET_PARAMS, reinterpret_cast<void (*)()>(&GetParameters)},
      {0, nullptr},
  };
  *functions = kFunctions;
  *context = &kdfs;  // nothing of ours needs one; null would be a failure to some
  return 1;
}

Algorithms One(const char* names, const OSSL_DISPATCH* functions) {
  return {{{names, kProperties, functions, nullptr}, {nullptr, nullptr, nullptr, nullptr}}};
}

// Why not, or null.
const char* Load() {
  // Whoever configured OpenSSL with other providers knows why.
  if (EVP_default_properties_is_fips_enabled(nullptr) == 1) return "OpenSSL is set to FIPS";
  if (OSSL_PROVIDER_available(nullptr, "default") != 1)
    return "OpenSSL is configured without its default provider";
  // What is there because nothing else is goes away when something else comes, unless it is asked
  // for by name.
  theirs = OSSL_PROVIDER_load(nullptr, "default");
  if (theirs == nullptr) return "OpenSSL's default provider does not load";
  if (!BorrowX25519(theirs)) return "OpenSSL's default provider has no such X25519";
  if (!BorrowHmac(theirs, kQuery)) return "OpenSSL's default provider has no such HMAC";
  kdfs = One("TLS13-KDF", kTls13KdfFunctions);
  macs = One("HMAC", kHmacFunctions);
  key_managements = One(X25519Names(), X25519KeyManagement());
  key_exchanges = One(X25519Names(), X25519KeyExchange());
  encapsulations = One(X25519Names(), X25519Encapsulation());
  if (OSSL_PROVIDER_add_builtin(nullptr, kName, &Init) == 1)
    ours = OSSL_PROVIDER_load(nullptr, kName);
  return ours != nullptr ? nullptr : "OpenSSL does not take it";
}

}  // namespace

const char* PropertyQuery() {
  static const char* const query = [] {
    const ErrorQueueGuard guard;
    const char* reason = Load();
    if (reason == nullptr) return kQuery;
    LOG_INFO("tls_provider_absent", "reason=\"{}\" effect=\"handshakes cost more\"", reason);
    return static_cast<const char*>(nullptr);
  }();
  return query;
}

}  // namespace genkan::tls::provider
