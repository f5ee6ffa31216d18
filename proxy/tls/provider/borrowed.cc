#include "proxy/tls/provider/borrowed.h"

#include "proxy/base/text.h"

namespace genkan::tls::provider {

const OSSL_ALGORITHM* FindAlgorithm(const OSSL_PROVIDER* provider, int operation,
                                    std::string_view name) {
  int no_cache = 0;
  const OSSL_ALGORITHM* algorithm = OSSL_PROVIDER_query_operation(provider, operation, &no_cache);
  if (algorithm == nullptr || no_cache != 0) return nullptr;
  for (; algorithm->algorithm_names != nullptr; ++algorithm) {
    // "X25519:1.3.101.110"
    const std::string_view names = algorithm->algorithm_names;
    if (EqualsIgnoreCase(names.substr(0, names.find(':')), name)) return algorithm;
  }
  return nullptr;
}

Function FindFunction(const OSSL_DISPATCH* functions, int id) {
  for (; functions->function_id != 0; ++functions)
    if (functions->function_id == id) return functions->function;
  return nullptr;
}

}  // namespace genkan::tls::provider
