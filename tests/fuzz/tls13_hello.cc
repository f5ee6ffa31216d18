// ParseTls13Hello on anything: what it takes lies in the bytes, and our other parser of hellos takes
// it too, or both refuse what stands in its extensions.
#include "proxy/tls/tls13_hello.h"

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/tls/client_hello.h"
#include "proxy/tls/tls13_certificate.h"
#include "proxy/tls/tls13_handshake.h"

namespace {

const genkan::tls::PrivateKey& Key() {
  static const genkan::tls::PrivateKey key{genkan::tls::EvpPkeyPtr(EVP_EC_gen("P-256"))};
  return key;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  const std::string_view bytes = AsText({data, size});
  const auto hello = tls::ParseTls13Hello(bytes);
  if (!hello) return 0;
  for (std::string_view view : {hello->message, hello->before_binders, hello->session_id,
                                hello->share, hello->identity, hello->binder})
    GENKAN_CHECK(view.empty() || (view.data() >= bytes.data() &&
                                  view.data() + view.size() <= bytes.data() + bytes.size()));
  GENKAN_CHECK(hello->share.size() == 32 && hello->session_id.size() <= 32);
  GENKAN_CHECK(hello->identity.empty() ? hello->binder.empty() : hello->binder.size() >= 32);
  GENKAN_CHECK(hello->suite >= 0x1301 && hello->suite <= 0x1303);
  const auto seen = tls::InterpretHello(hello->fields);
  const auto other = tls::ParseClientHello(bytes);
  GENKAN_CHECK(seen.has_value() == (other.has_value() && other->has_value()));
  if (seen) {
    GENKAN_CHECK(seen->offers_tls13 && (*other)->server_name == seen->server_name &&
                 (*other)->alpn == seen->alpn);
  }
  if (hello->identity.empty()) {
    constexpr uint16_t kAllowed[] = {0x0403, 0x0804};
    const uint16_t scheme = tls::ChooseScheme(hello->fields.signatures, kAllowed, Key());
    GENKAN_CHECK(scheme == 0 || scheme == 0x0403);
    return 0;
  }
  // Nobody knows that secret.
  const std::string secret(hello->suite == 0x1302 ? 48 : 32, 'k');
  GENKAN_CHECK(!tls::Tls13Handshake::IsBound(*hello, AsBytes(secret)));
  return 0;
}
