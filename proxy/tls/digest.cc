#include "proxy/tls/digest.h"

#include <openssl/sha.h>

#include "proxy/base/text.h"

namespace genkan::tls {

std::string Sha256Hex(std::string_view bytes) {
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), hash);
  return HexEncode(hash);
}

}  // namespace genkan::tls
