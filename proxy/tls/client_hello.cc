#include "proxy/tls/client_hello.h"

#include <algorithm>
#include <cstdint>

#include "proxy/base/text.h"
#include "proxy/tls/hello_fields.h"
#include "proxy/tls/wire_reader.h"

namespace genkan::tls {
namespace {

constexpr size_t kMaxHello = 16 * 1024;
constexpr size_t kMaxRecord = 16 * 1024;
constexpr size_t kRecordHeader = 5;
constexpr unsigned kHandshakeRecord = 22;
constexpr unsigned kClientHelloMessage = 1;

using Reader = WireReader;

tl::unexpected<Error> Broken(std::string_view what) {
  return Fail(ErrorCode::kInvalid, "ClientHello: {}", what);
}

bool IsEcdsaSuite(unsigned suite) {
  switch (suite) {
    case 0xc009: case 0xc00a: case 0xc023: case 0xc024: case 0xc02b: case 0xc02c:
    case 0xc0ac: case 0xc0ad: case 0xc0ae: case 0xc0af: case 0xcca9:
      return true;
    default:
      return false;
  }
}

bool IsRsaSuite(unsigned suite) {
  switch (suite) {
    case 0xc013: case 0xc014: case 0xc027: case 0xc028: case 0xc02f: case 0xc030: case 0xcca8:
    case 0x0033: case 0x0039: case 0x0067: case 0x006b: case 0x009e: case 0x009f: case 0xccaa:
    case 0x000a: case 0x002f: case 0x0035: case 0x003c: case 0x003d: case 0x009c: case 0x009d:
      return true;
    default:
      return false;
  }
}

// RFC 7905, and the two that came before it.
bool IsChaCha20Suite(unsigned suite) {
  return (suite >= 0xcca8 && suite <= 0xccae) || (suite >= 0xcc13 && suite <= 0xcc15);
}

Status ReadServerName(std::string_view body, ClientHello& hello) {
  Reader outer(body);
  Reader list(outer.Vector(2));
  if (!outer.is_done() || list.is_empty()) return Broken("bad server_name");
  while (!list.is_empty()) {
    unsigned type = list.Int(1);
    std::string_view name = list.Vector(2);
    if (list.has_failed()) return Broken("bad server_name");
    if (type != 0) continue;
    if (!hello.server_name.empty() || name.empty() || name.size() > 255 ||
        name.find('\0') != std::string_view::npos)
      return Broken("bad server_name");
    if (name.back() == '.') name.remove_suffix(1);
    hello.server_name = ToLower(name);
  }
  return {};
}

Status ReadAlpn(std::string_view body, ClientHello& hello) {
  Reader outer(body);
  Reader list(outer.Vector(2));
  if (!outer.is_done() || list.is_empty()) return Broken("bad application_layer_protocol_negotiation");
  while (!list.is_empty()) {
    std::string_view name = list.Vector(1);
    if (list.has_failed() || name.empty())
      return Broken("bad application_layer_protocol_negotiation");
    hello.alpn.emplace_back(name);
  }
  return {};
}

Status ReadVersions(std::string_view body, ClientHello& hello) {
  Reader outer(body);
  Reader list(outer.Vector(1));
  if (!outer.is_done() || list.is_empty()) return Broken("bad supported_versions");
  while (!list.is_empty()) hello.offers_tls13 |= list.Int(2) == 0x0304;
  if (list.has_failed()) return Broken("bad supported_versions");
  return {};
}

struct SignatureKinds {
  bool ecdsa = false;
  bool rsa = false;
};

Result<SignatureKinds> ReadSignatures(std::string_view body) {
  Reader outer(body);
  Reader list(outer.Vector(2));
  if (!outer.is_done() || list.is_empty()) return Broken("bad signature_algorithms");
  SignatureKinds kinds;
  while (!list.is_empty()) {
    unsigned scheme = list.Int(2);
    // ecdsa_* with SHA-1 … SHA-512; rsa_pkcs1_* likewise; rsa_pss_rsae_*.
    kinds.ecdsa |= (scheme & 0xff) == 3 && (scheme >> 8) >= 2 && (scheme >> 8) <= 6;
    kinds.rsa |= ((scheme & 0xff) == 1 && (scheme >> 8) >= 2 && (scheme >> 8) <= 6) ||
                 (scheme >= 0x0804 && scheme <= 0x0806);
  }
  if (list.has_failed()) return Broken("bad signature_algorithms");
  return kinds;
}

// The body of a ClientHello message (RFC 8446 4.1.2).
Result<ClientHello> ReadHello(std::string_view body) {
  Reader reader(body);
  unsigned version = reader.Int(2);
  reader.Bytes(32);  // random
  std::string_view session_id = reader.Vector(1);
  HelloFields fields;
  fields.suites = reader.Vector(2);
  std::string_view compressions = reader.Vector(1);
  if (reader.has_failed() || version >> 8 != 3 || session_id.size() > 32 || fields.suites.empty() ||
      fields.suites.size() % 2 != 0 || compressions.empty())
    return Broken("bad fixed part");
  if (reader.is_empty()) return InterpretHello(fields);  // no extensions: before TLS 1.2
  Reader extensions(reader.Vector(2));
  if (!reader.is_done()) return Broken("bad extensions");
  while (!extensions.is_empty()) {
    unsigned type = extensions.Int(2);
    std::string_view extension = extensions.Vector(2);
    if (extensions.has_failed()) return Broken("bad extensions");
    std::string_view* field = type == 0    ? &fields.server_name
                              : type == 16 ? &fields.alpn
                              : type == 13 ? &fields.signatures
                              : type == 43 ? &fields.versions
                              : type == 47 ? &fields.authorities
                              : type == 15 ? &fields.heartbeat
                              : type == 22 ? &fields.encrypt_then_mac
                                           : nullptr;
    if (field == nullptr) continue;
    // RFC 8446 4.2: not more than one of a type.
    if (field->data() != nullptr) return Broken("an extension twice");
    *field = extension.empty() ? std::string_view("") : extension;
  }
  return InterpretHello(fields);
}

}  // namespace

Result<ClientHello> InterpretHello(const HelloFields& fields) {
  ClientHello hello;
  if (fields.server_name.data() != nullptr) {
    auto read = ReadServerName(fields.server_name, hello);
    if (!read) return PassOn(read);
  }
  if (fields.alpn.data() != nullptr) {
    auto read = ReadAlpn(fields.alpn, hello);
    if (!read) return PassOn(read);
  }
  if (fields.versions.data() != nullptr) {
    auto read = ReadVersions(fields.versions, hello);
    if (!read) return PassOn(read);
  }
  // Before TLS 1.3 the suite names the kind of certificate as well; without signature_algorithms it alone does.
  SignatureKinds kinds{true, true};
  if (fields.signatures.data() != nullptr) {
    auto read = ReadSignatures(fields.signatures);
    if (!read) return PassOn(read);
    kinds = *read;
  }
  SignatureKinds suites{hello.offers_tls13, hello.offers_tls13};
  for (Reader list(fields.suites); !list.is_empty();) {
    unsigned suite = list.Int(2);
    suites.ecdsa |= IsEcdsaSuite(suite);
    suites.rsa |= IsRsaSuite(suite);
    hello.offers_chacha20 |= IsChaCha20Suite(suite);
  }
  hello.offers_ecdsa = kinds.ecdsa && suites.ecdsa;
  hello.offers_rsa = kinds.rsa && suites.rsa;
  hello.authorities = fields.authorities;
  hello.has_heartbeat = fields.heartbeat.data() != nullptr;
  hello.has_encrypt_then_mac = fields.encrypt_then_mac.data() != nullptr;
  return hello;
}

Result<std::optional<ClientHello>> ParseClientHello(std::string_view bytes) {
  // The handshake message may be spread over records of any size, also of one byte (RFC 8446 5.1).
  std::string message;
  std::string_view left = bytes;
  while (!left.empty()) {
    auto at = [&](size_t i) { return static_cast<unsigned char>(left[i]); };
    if (at(0) != kHandshakeRecord) return Broken("not a handshake record");
    if (left.size() > 1 && at(1) != 3) return Broken("not a TLS record");
    if (left.size() < kRecordHeader) break;
    size_t length = static_cast<size_t>(at(3) << 8 | at(4));
    if (length == 0 || length > kMaxRecord) return Broken("bad record length");
    std::string_view body = left.substr(kRecordHeader, length);
    message.append(body);
    if (!message.empty() && static_cast<unsigned char>(message[0]) != kClientHelloMessage)
      return Broken("another handshake message");
    if (message.size() >= 4) {
      Reader header(std::string_view(message).substr(1, 3));
      size_t size = header.Int(3);
      if (size > kMaxHello) return Fail(ErrorCode::kTooLarge, "ClientHello: {} bytes", size);
      if (message.size() >= 4 + size) {
        auto hello = ReadHello(std::string_view(message).substr(4, size));
        if (!hello) return PassOn(hello);
        return std::optional(std::move(*hello));
      }
    }
    if (body.size() < length) break;
    left.remove_prefix(kRecordHeader + length);
  }
  if (bytes.size() >= kMaxHello) return Fail(ErrorCode::kTooLarge, "ClientHello: over {} bytes", kMaxHello);
  return std::optional<ClientHello>();
}

}  // namespace genkan::tls
