#include "proxy/tls/tls13_hello.h"

#include <algorithm>
#include <array>

#include "proxy/base/text.h"
#include "proxy/tls/openssl_ptr.h"
#include "proxy/tls/wire_reader.h"

namespace genkan::tls {
namespace {

constexpr unsigned kHandshakeRecord = 22, kClientHello = 1;
constexpr size_t kMaxRecord = 16 * 1024;
constexpr unsigned kX25519 = 0x001d;
constexpr unsigned kPskDheKe = 1;
constexpr unsigned kOcsp = 1;
constexpr size_t kShare = 32;

enum Extension : unsigned {
  kServerName = 0,
  kMaxFragmentLength = 1,
  kStatusRequest = 5,
  kSupportedGroups = 10,
  kSignatureAlgorithms = 13,
  kSrtp = 14,
  kHeartbeat = 15,
  kAlpn = 16,
  kEncryptThenMac = 22,
  kPreSharedKey = 41,
  kEarlyData = 42,
  kSupportedVersions = 43,
  kCookie = 44,
  kPskModes = 45,
  kAuthorities = 47,
  kPostHandshakeAuth = 49,
  kCertificateSignatures = 50,
  kKeyShare = 51,
};

struct Extensions {
  std::string_view groups, modes, shares, psk, status;
};

// Where the body of an extension goes; null: it has nothing to say here.
std::string_view* FieldFor(unsigned type, HelloFields& fields, Extensions& own) {
  switch (type) {
    case kServerName:
      return &fields.server_name;
    case kAlpn:
      return &fields.alpn;
    case kSignatureAlgorithms:
      return &fields.signatures;
    case kSupportedVersions:
      return &fields.versions;
    case kAuthorities:
      return &fields.authorities;
    case kHeartbeat:
      return &fields.heartbeat;
    case kEncryptThenMac:
      return &fields.encrypt_then_mac;
    case kSupportedGroups:
      return &own.groups;
    case kPskModes:
      return &own.modes;
    case kKeyShare:
      return &own.shares;
    case kPreSharedKey:
      return &own.psk;
    case kStatusRequest:
      return &own.status;
    default:
      return nullptr;
  }
}

bool TakeExtensions(std::string_view body, HelloFields& fields, Extensions& own) {
  std::array<unsigned, 48> seen;  // more than anybody sends
  size_t count = 0;
  WireReader list(body);
  while (!list.is_empty()) {
    // RFC 8446 4.2.11: the last one.
    if (own.psk.data() != nullptr) return false;
    const unsigned type = list.Int(2);
    const std::string_view content = list.Vector(2);
    if (list.has_failed() || type == kMaxFragmentLength || type == kEarlyData || type == kCookie ||
        type == kSrtp || type == kCertificateSignatures ||
        (type == kPostHandshakeAuth && !content.empty()))
      return false;
    // RFC 8446 4.2: not more than one of a type, whether or not it says something here.
    if (std::find(seen.begin(), seen.begin() + count, type) != seen.begin() + count ||
        count == seen.size())
      return false;
    seen[count++] = type;
    std::string_view* field = FieldFor(type, fields, own);
    if (field == nullptr) continue;
    *field = content.empty() ? std::string_view("") : content;
  }
  return true;
}

// Whether one of the numbers of a vector is `wanted`. A vector that is no such is empty.
bool Holds(std::string_view extension, size_t length_width, size_t width, unsigned wanted) {
  WireReader outer(extension);
  WireReader list(outer.Vector(length_width));
  if (!outer.is_done()) return false;
  bool is_there = false;
  while (!list.is_empty()) is_there |= list.Int(width) == wanted;
  return is_there && !list.has_failed();
}

// The X25519 share, if no other group that we have comes before it: libssl takes the first.
std::string_view TakeShare(std::string_view extension, std::string_view groups) {
  WireReader outer(extension);
  WireReader list(outer.Vector(2));
  if (!outer.is_done()) return {};
  std::string_view share;
  while (!list.is_empty()) {
    const unsigned group = list.Int(2);
    const std::string_view key = list.Vector(2);
    if (list.has_failed() || key.empty()) return {};
    if (!share.empty()) continue;
    // libssl refuses one of a group that the client does not support.
    if (!Holds(groups, 2, 2, group)) return {};
    // secp256r1 to secp521r1, and X448.
    if ((group >= 0x0017 && group <= 0x0019) || group == 0x001e) return {};
    if (group == kX25519) share = key;
  }
  return share.size() == kShare ? share : std::string_view();
}

// Absent, or a vector of something and nothing else.
bool IsList(std::string_view extension, size_t length_width) {
  if (extension.data() == nullptr) return true;
  WireReader reader(extension);
  const std::string_view list = reader.Vector(length_width);
  return reader.is_done() && !list.empty();
}

// libssl knows no other kind of name, and one of this.
bool IsOneHostName(std::string_view extension) {
  if (extension.data() == nullptr) return true;
  WireReader outer(extension);
  WireReader list(outer.Vector(2));
  const unsigned type = list.Int(1);
  list.Vector(2);
  return outer.is_done() && list.is_done() && type == 0;
}

// Distinguished names that OpenSSL reads.
bool AreNames(std::string_view extension) {
  if (extension.data() == nullptr) return true;
  const ErrorQueueGuard guard;
  WireReader outer(extension);
  WireReader list(outer.Vector(2));
  if (!outer.is_done()) return false;
  while (!list.is_empty()) {
    const std::string_view name = list.Vector(2);
    if (list.has_failed()) return false;
    const unsigned char* at = AsBytes(name).data();
    const unsigned char* const end = at + name.size();
    const OpensslPtr<X509_NAME, X509_NAME_free> read(
        d2i_X509_NAME(nullptr, &at, static_cast<long>(name.size())));
    if (!read || at != end) return false;
  }
  return true;
}

// RFC 6066 8. A client that names responders, or has extensions for them, is nobody that we know.
bool TakeStatusRequest(std::string_view extension, Tls13Hello& hello) {
  if (extension.data() == nullptr) return true;
  WireReader reader(extension);
  const unsigned type = reader.Int(1);
  if (reader.has_failed()) return false;
  if (type != kOcsp) return true;
  const std::string_view responders = reader.Vector(2), extensions = reader.Vector(2);
  hello.wants_staple = true;
  return reader.is_done() && responders.empty() && extensions.empty();
}

// Each identity has its binder; the first of both are taken.
bool TakePsk(std::string_view extension, Tls13Hello& hello) {
  WireReader reader(extension);
  const std::string_view identity_list = reader.Vector(2);
  const std::string_view binder_list = reader.Vector(2);
  if (!reader.is_done()) return false;
  WireReader identities(identity_list), binders(binder_list);
  size_t count = 0;
  while (!identities.is_empty()) {
    const std::string_view identity = identities.Vector(2);
    identities.Int(4);  // obfuscated_ticket_age is for early data
    const std::string_view binder = binders.Vector(1);
    if (identities.has_failed() || binders.has_failed() || identity.empty() || binder.size() < 32)
      return false;
    if (count++ > 0) continue;
    hello.identity = identity;
    hello.binder = binder;
  }
  if (count == 0 || !binders.is_done()) return false;
  hello.before_binders = hello.message.substr(0, hello.message.size() - 2 - binder_list.size());
  return true;
}

// RFC 8446 4.1.2.
bool TakeMessage(Tls13Hello& hello) {
  WireReader reader(hello.message.substr(4));
  const unsigned version = reader.Int(2);
  reader.Bytes(32);  // random
  hello.session_id = reader.Vector(1);
  hello.fields.suites = reader.Vector(2);
  const std::string_view compressions = reader.Vector(1);
  const std::string_view body = reader.Vector(2);
  if (!reader.is_done() || version != 0x0303 || hello.session_id.size() > 32 ||
      hello.fields.suites.size() % 2 != 0 || compressions != std::string_view("\0", 1))
    return false;
  for (WireReader list(hello.fields.suites); !list.is_empty() && hello.suite == 0;)
    if (const unsigned suite = list.Int(2); suite >= 0x1301 && suite <= 0x1303)
      hello.suite = static_cast<uint16_t>(suite);
  Extensions own;
  if (hello.suite == 0 || !TakeExtensions(body, hello.fields, own) ||
      !Holds(hello.fields.versions, 1, 2, 0x0304) || !Holds(own.groups, 2, 2, kX25519) ||
      !TakeStatusRequest(own.status, hello) || !IsOneHostName(hello.fields.server_name) ||
      !AreNames(hello.fields.authorities) || !IsList(own.modes, 1))
    return false;
  hello.takes_tickets = Holds(own.modes, 1, 1, kPskDheKe);
  hello.share = TakeShare(own.shares, own.groups);
  if (hello.share.empty()) return false;
  return own.psk.data() == nullptr || (hello.takes_tickets && TakePsk(own.psk, hello));
}

}  // namespace

std::optional<Tls13Hello> ParseTls13Hello(std::string_view bytes) {
  WireReader reader(bytes);
  const unsigned type = reader.Int(1), major = reader.Int(1);
  reader.Int(1);
  Tls13Hello hello;
  hello.message = reader.Vector(2);
  if (!reader.is_done() || type != kHandshakeRecord || major != 3 ||
      hello.message.size() > kMaxRecord)
    return std::nullopt;
  WireReader message(hello.message);
  if (message.Int(1) != kClientHello) return std::nullopt;
  message.Vector(3);
  if (!message.is_done() || !TakeMessage(hello)) return std::nullopt;
  return hello;
}

}  // namespace genkan::tls
