// The public half of a private key, read from the structure without decoding the key: PKCS#8 (RFC
// 5958), SEC 1 (RFC 5915) and PKCS#1 (RFC 8017) carry it. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace genkan::tls {

// SubjectPublicKeyInfo as DER, as Certificate::public_key() has it. "" where it is not there in
// plain sight: another kind of key, a named curve's point in compressed form, anything unusual.
// What it gives is what the file says, not what it proves.
std::string PublicKeyOf(std::string_view private_key_der);

}  // namespace genkan::tls
