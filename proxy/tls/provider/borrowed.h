// What is taken from the default provider: its functions, found by the numbers that every
// provider's tables have (provider(7)). Calling them so is what libcrypto does itself.
#pragma once

#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

#include <string_view>

namespace genkan::tls::provider {

// The algorithm of that name, or null.
const OSSL_ALGORITHM* FindAlgorithm(const OSSL_PROVIDER* provider, int operation,
                                    std::string_view name);

using Function = void (*)();
// Null where the table does not have it.
Function FindFunction(const OSSL_DISPATCH* functions, int id);

template <class T>
bool Take(const OSSL_DISPATCH* functions, int id, T*& into) {
  into = reinterpret_cast<T*>(FindFunction(functions, id));
  return into != nullptr;
}

}  // namespace genkan::tls::provider
