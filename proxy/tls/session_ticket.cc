#include "proxy/tls/session_ticket.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl3.h>
#include <openssl/tls1.h>

#include <algorithm>
#include <cstring>

#include "proxy/base/text.h"
#include "proxy/tls/provider/tls13_kdf.h"

namespace genkan::tls {
namespace {

using provider::Bytes;

constexpr unsigned char kInteger = 0x02;
constexpr unsigned char kOctets = 0x04;
constexpr unsigned char kSequence = 0x30;
// The only form that libssl knows.
constexpr int64_t kFormVersion = 1;
// The fields' explicit tags (ssl/ssl_asn1.c names them so).
constexpr int kTime = 1, kTimeout = 2, kContext = 4, kAgeAdd = 14, kAppData = 18;

// Appends DER values of less than 128 bytes, whose lengths are a byte each.
class DerWriter {
 public:
  explicit DerWriter(unsigned char* to) : to_(to) {}
  unsigned char* end() const { return to_; }

  void Integer(int64_t value) {
    size_t size = IntegerSize(value);
    *to_++ = kInteger;
    *to_++ = static_cast<unsigned char>(size);
    while (size-- > 0) *to_++ = static_cast<unsigned char>(value >> (8 * size));
  }
  void Octets(Bytes bytes) {
    *to_++ = kOctets;
    *to_++ = static_cast<unsigned char>(bytes.size());
    to_ = std::copy(bytes.begin(), bytes.end(), to_);
  }
  void TaggedInteger(int tag, int64_t value) {
    Tag(tag, 2 + IntegerSize(value));
    Integer(value);
  }
  void TaggedOctets(int tag, Bytes bytes) {
    Tag(tag, 2 + bytes.size());
    Octets(bytes);
  }

 private:
  // The least bytes of two's complement.
  static size_t IntegerSize(int64_t value) {
    size_t size = 1;
    while (size < 8 && (value >> (8 * size - 1)) != 0 && (value >> (8 * size - 1)) != -1) ++size;
    return size;
  }
  void Tag(int tag, size_t size) {
    *to_++ = static_cast<unsigned char>(0xa0 | tag);  // context-specific, constructed
    *to_++ = static_cast<unsigned char>(size);
  }

  unsigned char* to_;
};

void Append(std::string& out, uint64_t value, size_t bytes) {
  while (bytes-- > 0) out.push_back(static_cast<char>(value >> (8 * bytes)));
}

}  // namespace

size_t WriteSession(const TicketSession& session, std::span<unsigned char, kMostSessionDer> out) {
  if (session.secret.empty() || session.secret.size() > 48 || session.context.size() > 32 ||
      session.leaf.size() > 32)
    return 0;
  constexpr size_t kLongHeader = 3;
  const unsigned char suite[] = {static_cast<unsigned char>(session.suite >> 8),
                                 static_cast<unsigned char>(session.suite)};
  unsigned char* const content = out.data() + kLongHeader;
  DerWriter der(content);
  der.Integer(kFormVersion);
  der.Integer(TLS1_3_VERSION);
  der.Octets(suite);
  der.Octets({});  // no session id: the ticket is one
  der.Octets(session.secret);
  der.TaggedInteger(kTime, session.made);
  der.TaggedInteger(kTimeout, session.lifetime);
  der.TaggedOctets(kContext, AsBytes(session.context));
  // A zero is left out, as libssl leaves it out.
  if (session.age_add != 0) der.TaggedInteger(kAgeAdd, session.age_add);
  der.TaggedOctets(kAppData, AsBytes(session.leaf));
  const size_t size = static_cast<size_t>(der.end() - content);
  const size_t header = size < 128 ? 2 : kLongHeader;
  out[0] = kSequence;
  out[1] = size < 128 ? static_cast<unsigned char>(size) : 0x81;
  if (size < 128) {
    std::memmove(out.data() + header, content, size);
  } else {
    out[2] = static_cast<unsigned char>(size);
  }
  return header + size;
}

TicketSealer::TicketSealer(const TicketKey& key, const EVP_CIPHER* cipher)
    : name_(key.name),
      mac_(provider::Sha2::kSha256, key.hmac_key),
      encryption_(EVP_CIPHER_CTX_new()) {
  if (encryption_ != nullptr &&
      EVP_EncryptInit_ex2(encryption_.get(), cipher, key.aes_key.data(), nullptr, nullptr) != 1) {
    encryption_.reset();
    ERR_clear_error();
  }
}

size_t TicketSealer::Seal(Bytes iv, Bytes plain, std::span<unsigned char, kMostSealed> out) {
  if (encryption_ == nullptr || iv.size() != kIv || plain.size() > kMostSessionDer) return 0;
  unsigned char* end = std::copy(name_.begin(), name_.end(), out.data());
  end = std::copy(iv.begin(), iv.end(), end);
  int made = 0, last = 0;
  EVP_CIPHER_CTX* context = encryption_.get();
  if (EVP_EncryptInit_ex2(context, nullptr, nullptr, iv.data(), nullptr) != 1 ||
      EVP_EncryptUpdate(context, end, &made, plain.data(), static_cast<int>(plain.size())) != 1 ||
      EVP_EncryptFinal_ex(context, end + made, &last) != 1) {
    ERR_clear_error();
    return 0;
  }
  end += made + last;
  mac_.Restart();
  mac_.Update({out.data(), end});
  mac_.Finish(end);
  return static_cast<size_t>(end - out.data()) + DigestSize(mac_.kind());
}

void AppendNewSessionTicket(TicketSealer& sealer, TicketSession session, provider::Sha2 digest,
                            Bytes resumption_master_secret, uint8_t number, std::string& messages) {
  struct {
    std::array<unsigned char, TicketSealer::kIv> iv;
    uint32_t age_add;
  } random;
  std::array<unsigned char, provider::kMaxDigest> secret;
  std::array<unsigned char, kMostSessionDer> plain;
  std::array<unsigned char, TicketSealer::kMostSealed> sealed;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&random), sizeof random) != 1) {
    ERR_clear_error();
    return;
  }
  const size_t secret_size = provider::DigestSize(digest);
  if (!provider::ExpandLabel(digest, resumption_master_secret, AsBytes("tls13 "),
                             AsBytes("resumption"), {&number, 1}, {secret.data(), secret_size}))
    return;
  session.secret = {secret.data(), secret_size};
  session.age_add = random.age_add;
  const size_t plain_size = WriteSession(session, plain);
  const size_t size =
      plain_size > 0 ? sealer.Seal(random.iv, {plain.data(), plain_size}, sealed) : 0;
  OPENSSL_cleanse(secret.data(), secret.size());
  OPENSSL_cleanse(plain.data(), plain.size());
  if (size == 0) return;
  constexpr size_t kAround = 4 + 4 + 1 + 1 + 2 + 2;  // what the message has beside its ticket
  Append(messages, SSL3_MT_NEWSESSION_TICKET, 1);
  Append(messages, kAround + size, 3);
  Append(messages, session.lifetime, 4);
  Append(messages, session.age_add, 4);
  Append(messages, 1, 1);
  Append(messages, number, 1);
  Append(messages, size, 2);
  messages.append(AsText({sealed.data(), size}));
  Append(messages, 0, 2);  // no extension: no early data
}

}  // namespace genkan::tls
