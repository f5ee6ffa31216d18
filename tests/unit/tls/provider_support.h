// The provider's algorithms and the default provider's, side by side.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/text.h"
#include "proxy/tls/openssl_ptr.h"
#include "proxy/tls/provider/provider.h"

namespace genkan::tls::provider {

using KdfPtr = OpensslPtr<EVP_KDF, EVP_KDF_free>;
using KdfContextPtr = OpensslPtr<EVP_KDF_CTX, EVP_KDF_CTX_free>;
using MacPtr = OpensslPtr<EVP_MAC, EVP_MAC_free>;
using MacContextPtr = OpensslPtr<EVP_MAC_CTX, EVP_MAC_CTX_free>;
using KeyContextPtr = OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

inline constexpr const char* kTheirs = "provider=default";

inline std::string Unhex(std::string_view text) {
  std::string bytes;
  std::string digits;
  for (char c : text)
    if (c != ' ') digits += c;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(*ParseHex(digits.substr(i, 2)));
  return bytes;
}
inline std::string Hex(std::string_view bytes) { return HexEncode(AsBytes(bytes)); }

inline std::string Random(size_t size) {
  std::string bytes(size, '\0');
  EXPECT_EQ(RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size)), 1);
  return bytes;
}

inline OSSL_PARAM Octets(const char* name, const std::string& bytes) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<char*>(bytes.data()), bytes.size());
}
inline OSSL_PARAM Text(const char* name, const std::string& text) {
  return OSSL_PARAM_construct_utf8_string(name, const_cast<char*>(text.data()), 0);
}

// A parameter does not keep what it points to.
OSSL_PARAM Octets(const char* name, std::string&& bytes) = delete;
OSSL_PARAM Text(const char* name, std::string&& text) = delete;

// Any test of ours needs it.
inline const char* Ours() {
  const char* query = PropertyQuery();
  EXPECT_NE(query, nullptr) << "our provider does not load";
  return query;
}

}  // namespace genkan::tls::provider
