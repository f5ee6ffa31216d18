// WriteSession with any fields: what it writes is read by libssl as the same session, or it writes
// nothing because a field is longer than it may be.
#include "proxy/tls/session_ticket.h"

#include <openssl/ssl.h>

#include <cstring>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/tls/openssl_ptr.h"

namespace genkan::fuzz {
namespace {

using SessionPtr = tls::OpensslPtr<SSL_SESSION, SSL_SESSION_free>;

void Compare(const tls::TicketSession& written, SSL_SESSION* read) {
  GENKAN_CHECK(SSL_SESSION_get_protocol_version(read) == TLS1_3_VERSION);
  GENKAN_CHECK(SSL_CIPHER_get_protocol_id(SSL_SESSION_get0_cipher(read)) == written.suite);
  std::array<unsigned char, 64> secret;
  size_t size = SSL_SESSION_get_master_key(read, secret.data(), secret.size());
  GENKAN_CHECK(AsText({secret.data(), size}) == AsText(written.secret));
  unsigned length = 0;
  const unsigned char* context = SSL_SESSION_get0_id_context(read, &length);
  GENKAN_CHECK(AsText({context, length}) == written.context);
  void* leaf = nullptr;
  size = 0;
  GENKAN_CHECK(SSL_SESSION_get0_ticket_appdata(read, &leaf, &size) == 1);
  GENKAN_CHECK(std::string_view(static_cast<const char*>(leaf), size) == written.leaf);
  // Zeros are read as now and as a moment.
  GENKAN_CHECK(written.made == 0 || SSL_SESSION_get_time(read) == written.made);
  GENKAN_CHECK(written.lifetime == 0 || SSL_SESSION_get_timeout(read) == written.lifetime);
  GENKAN_CHECK(SSL_SESSION_get_max_early_data(read) == 0);
  GENKAN_CHECK(SSL_SESSION_get0_peer(read) == nullptr);
}

}  // namespace
}  // namespace genkan::fuzz

// Seed: suite (1 byte), the sizes of secret, context and leaf (1 each), time (8), lifetime (4),
// age_add (4), and the bytes of the three.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  constexpr size_t kFixed = 20;
  if (size < kFixed) return 0;
  tls::TicketSession session;
  session.suite = static_cast<uint16_t>(0x1301 + data[0] % 3);
  std::memcpy(&session.made, data + 4, 8);
  session.made &= 0x7fff'ffff'ffff;  // libssl adds the lifetime to it
  std::memcpy(&session.lifetime, data + 12, 4);
  std::memcpy(&session.age_add, data + 16, 4);
  std::string_view left = AsText({data + kFixed, size - kFixed});
  auto take = [&left](size_t bytes) {
    std::string_view taken = left.substr(0, bytes);
    left.remove_prefix(taken.size());
    return taken;
  };
  session.secret = AsBytes(take(data[1]));
  session.context = take(data[2]);
  session.leaf = take(data[3]);
  std::array<unsigned char, tls::kMostSessionDer> der;
  const size_t written = tls::WriteSession(session, der);
  const bool is_fit = !session.secret.empty() && session.secret.size() <= 48 &&
                      session.context.size() <= 32 && session.leaf.size() <= 32;
  GENKAN_CHECK((written > 0) == is_fit);
  if (written == 0) return 0;
  const unsigned char* at = der.data();
  fuzz::SessionPtr read(d2i_SSL_SESSION(nullptr, &at, static_cast<long>(written)));
  GENKAN_CHECK(read != nullptr && at == der.data() + written);
  fuzz::Compare(session, read.get());
  // And we read it back as it was.
  tls::TicketSession ours;
  GENKAN_CHECK(tls::ReadSession(AsText({der.data(), written}), ours));
  GENKAN_CHECK(ours.suite == session.suite && AsText(ours.secret) == AsText(session.secret) &&
               ours.context == session.context && ours.leaf == session.leaf &&
               ours.made == session.made && ours.lifetime == session.lifetime &&
               ours.age_add == session.age_add);
  // Whatever stands in another's place is read as what it is, or not at all.
  if (!left.empty()) {
    std::string changed(AsText({der.data(), written}));
    changed[data[0] % written] = left[0];
    if (tls::ReadSession(changed, ours)) {
      std::array<unsigned char, tls::kMostSessionDer> again;
      GENKAN_CHECK(AsText({again.data(), tls::WriteSession(ours, again)}) == changed);
    }
  }
  return 0;
}
