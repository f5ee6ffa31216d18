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
#include "proxy/tls/provider/wipe.h"
#include "proxy/tls/wire_writer.h"

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

// Takes such values off the front; once one is another it stays failed.
class DerReader {
 public:
  explicit DerReader(std::string_view bytes) : left_(bytes) {}

  std::string_view Value(unsigned char tag) {
    if (left_.size() < 2 || static_cast<unsigned char>(left_[0]) != tag ||
        static_cast<unsigned char>(left_[1]) > left_.size() - 2) {
      has_failed_ = true;
      return {};
    }
    const std::string_view value = left_.substr(2, static_cast<unsigned char>(left_[1]));
    left_.remove_prefix(2 + value.size());
    return value;
  }
  int64_t Integer() {
    const std::string_view bytes = Value(kInteger);
    if (bytes.empty() || bytes.size() > 8) has_failed_ = true;
    // Two's complement, as the writer has it: the first byte has the sign.
    uint64_t value = !bytes.empty() && bytes[0] < 0 ? ~uint64_t{0} : 0;
    for (char one : bytes.substr(0, 8)) value = value << 8 | static_cast<unsigned char>(one);
    return static_cast<int64_t>(value);
  }
  std::string_view Octets() { return Value(kOctets); }
  DerReader Tagged(int tag) { return DerReader(Value(static_cast<unsigned char>(0xa0 | tag))); }
  bool IsTagged(int tag) const {
    return !left_.empty() && static_cast<unsigned char>(left_[0]) == (0xa0 | tag);
  }
  bool has_failed() const { return has_failed_; }

 private:
  std::string_view left_;
  bool has_failed_ = false;
};

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

bool ReadSession(std::string_view der, TicketSession& session) {
  if (der.size() > kMostSessionDer || der.size() < 3) return false;
  const bool is_long = static_cast<unsigned char>(der[1]) == 0x81;
  DerReader reader(der.substr(is_long ? 3 : 2));
  reader.Integer();
  reader.Integer();
  const std::string_view suite = reader.Octets();
  reader.Octets();
  session = TicketSession();
  session.secret = AsBytes(reader.Octets());
  session.made = reader.Tagged(kTime).Integer();
  session.lifetime = static_cast<uint32_t>(reader.Tagged(kTimeout).Integer());
  session.context = reader.Tagged(kContext).Octets();
  if (reader.IsTagged(kAgeAdd))
    session.age_add = static_cast<uint32_t>(reader.Tagged(kAgeAdd).Integer());
  session.leaf = reader.Tagged(kAppData).Octets();
  if (reader.has_failed() || suite.size() != 2) return false;
  session.suite = static_cast<uint16_t>(static_cast<unsigned char>(suite[0]) << 8 |
                                        static_cast<unsigned char>(suite[1]));
  // What was skipped or read too kindly shows here: there is one way to write a session.
  std::array<unsigned char, kMostSessionDer> written;
  const size_t size = WriteSession(session, written);
  const bool is_same = AsText({written.data(), size}) == der;
  provider::Wipe(written.data(), written.size());
  return is_same;
}

TicketOpener::Opened::~Opened() { provider::Wipe(plain.data(), plain.size()); }

TicketOpener::TicketOpener(TicketKeysPtr keys, const EVP_CIPHER* cipher)
    : keys_(std::move(keys)), cipher_(cipher), decryption_(EVP_CIPHER_CTX_new()) {}

bool TicketOpener::Open(std::string_view ticket, Opened& opened) {
  constexpr size_t kName = 16, kMac = 32, kBlock = 16;
  constexpr size_t kFront = kName + TicketSealer::kIv;
  if (ticket.size() < kFront + kBlock + kMac || ticket.size() > TicketSealer::kMostSealed ||
      (ticket.size() - kFront - kMac) % kBlock != 0 || keys_ == nullptr || decryption_ == nullptr)
    return false;
  const TicketKey* key = nullptr;
  for (const TicketKey& one : keys_->keys())
    if (ticket.substr(0, kName) == AsText(one.name)) key = &one;
  if (key == nullptr) return false;
  const std::string_view sealed = ticket.substr(0, ticket.size() - kMac);
  std::array<unsigned char, kMac> mac;
  provider::HmacSha2 hmac(provider::Sha2::kSha256, key->hmac_key);
  hmac.Update(AsBytes(sealed));
  hmac.Finish(mac.data());
  if (CRYPTO_memcmp(mac.data(), ticket.data() + sealed.size(), kMac) != 0) return false;
  const Bytes body = AsBytes(sealed.substr(kFront));
  int got = 0, last = 0;
  EVP_CIPHER_CTX* context = decryption_.get();
  const bool is_good = EVP_DecryptInit_ex2(context, cipher_, key->aes_key.data(),
                                           AsBytes(ticket).data() + kName, nullptr) == 1 &&
                       EVP_DecryptUpdate(context, opened.plain.data(), &got, body.data(),
                                         static_cast<int>(body.size())) == 1 &&
                       EVP_DecryptFinal_ex(context, opened.plain.data() + got, &last) == 1;
  if (!is_good) {
    ERR_clear_error();
    return false;
  }
  return ReadSession(AsText({opened.plain.data(), static_cast<size_t>(got + last)}),
                     opened.session);
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
  provider::Wipe(secret.data(), secret.size());
  provider::Wipe(plain.data(), plain.size());
  if (size == 0) return;
  constexpr size_t kAround = 4 + 4 + 1 + 1 + 2 + 2;  // what the message has beside its ticket
  AppendInt(messages, SSL3_MT_NEWSESSION_TICKET, 1);
  AppendInt(messages, kAround + size, 3);
  AppendInt(messages, session.lifetime, 4);
  AppendInt(messages, session.age_add, 4);
  AppendInt(messages, 1, 1);
  AppendInt(messages, number, 1);
  AppendVector(messages, 2, AsText({sealed.data(), size}));
  AppendInt(messages, 0, 2);  // no extension: no early data
}

}  // namespace genkan::tls
