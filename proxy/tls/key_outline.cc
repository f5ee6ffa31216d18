#include "proxy/tls/key_outline.h"

#include <cstdint>
#include <optional>

namespace genkan::tls {
namespace {

using std::string_view_literals::operator""sv;

constexpr unsigned kInteger = 0x02, kBitString = 0x03, kOctetString = 0x04, kNull = 0x05,
                   kOid = 0x06, kSequence = 0x30, kTagged0 = 0xa0, kTagged1 = 0xa1;
constexpr std::string_view kEcKey = "\x2a\x86\x48\xce\x3d\x02\x01"sv;
constexpr std::string_view kRsaKey = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"sv;

struct Element {
  unsigned tag = 0;
  std::string_view content;
  std::string_view whole;
};

// Elements one after the other: definite lengths in DER's shortest form.
class Elements {
 public:
  explicit Elements(std::string_view bytes) : rest_(bytes) {}

  std::optional<Element> Next() {
    if (rest_.size() < 2) return std::nullopt;
    Element element;
    element.tag = Byte(0);
    size_t length = Byte(1), head = 2;
    if (length >= 0x80) {
      const size_t count = length & 0x7f;
      if (count == 0 || count > 3 || rest_.size() < head + count) return std::nullopt;
      length = 0;
      for (size_t i = 0; i < count; ++i) length = length << 8 | Byte(head + i);
      head += count;
      if (length < 0x80) return std::nullopt;
    }
    if (rest_.size() - head < length) return std::nullopt;
    element.content = rest_.substr(head, length);
    element.whole = rest_.substr(0, head + length);
    rest_.remove_prefix(head + length);
    return element;
  }
  std::optional<Element> Next(unsigned tag) {
    auto element = Next();
    if (element && element->tag != tag) return std::nullopt;
    return element;
  }

 private:
  size_t Byte(size_t at) const { return static_cast<uint8_t>(rest_[at]); }
  std::string_view rest_;
};

std::string Wrap(unsigned tag, std::string_view content) {
  std::string out(1, static_cast<char>(tag));
  const size_t size = content.size();
  if (size < 0x80) {
    out += static_cast<char>(size);
  } else {
    out += size < 0x100 ? "\x81"sv : "\x82"sv;
    if (size >= 0x100) out += static_cast<char>(size >> 8);
    out += static_cast<char>(size & 0xff);
  }
  return out.append(content);
}

std::string KeyInfo(std::string_view algorithm, std::string_view bits) {
  std::string content(algorithm);
  content += Wrap(kBitString, bits);
  return Wrap(kSequence, content);
}

// Positive and as short as it can be: otherwise the certificate spells the same number otherwise.
bool IsPlainNumber(std::string_view bytes) {
  if (bytes.empty() || static_cast<uint8_t>(bytes[0]) >= 0x80) return false;
  return bytes.size() == 1 || bytes[0] != 0 || static_cast<uint8_t>(bytes[1]) >= 0x80;
}

// ECPrivateKey after its version. `curve`: the OID's element, "" where the key itself must say it.
std::string EcPublicKey(Elements fields, std::string_view curve) {
  constexpr size_t kMostPoint = 133;  // P-521
  if (!fields.Next(kOctetString)) return {};
  auto field = fields.Next();
  if (field && field->tag == kTagged0) {
    auto named = Elements(field->content).Next(kOid);
    if (!named || (!curve.empty() && curve != named->whole)) return {};
    curve = named->whole;
    field = fields.Next();
  }
  if (!field || field->tag != kTagged1 || curve.empty()) return {};
  auto bits = Elements(field->content).Next(kBitString);
  // No unused bits, then the uncompressed form.
  if (!bits || !bits->content.starts_with("\x00\x04"sv) || bits->content.size() > kMostPoint + 1)
    return {};
  return KeyInfo(Wrap(kSequence, Wrap(kOid, kEcKey).append(curve)), bits->content);
}

// RSAPrivateKey after its version.
std::string RsaPublicKey(Elements fields) {
  constexpr size_t kMostModulus = 16'384 / 8 + 1;
  auto modulus = fields.Next(kInteger), exponent = fields.Next(kInteger);
  if (!modulus || !exponent || !IsPlainNumber(modulus->content) ||
      !IsPlainNumber(exponent->content) || modulus->content.size() > kMostModulus ||
      exponent->content.size() > sizeof(uint64_t))
    return {};
  std::string numbers(modulus->whole);
  numbers += exponent->whole;
  return KeyInfo(Wrap(kSequence, Wrap(kOid, kRsaKey) + Wrap(kNull, {})),
                 std::string(1, '\0') + Wrap(kSequence, numbers));
}

// The fields of a key's own structure, after the version that it must have.
std::optional<Elements> FieldsOf(std::string_view bytes, char version) {
  auto outer = Elements(bytes).Next(kSequence);
  if (!outer) return std::nullopt;
  Elements fields(outer->content);
  auto number = fields.Next(kInteger);
  if (!number || number->content != std::string_view(&version, 1)) return std::nullopt;
  return fields;
}

std::string OfPkcs8(std::string_view algorithm, std::string_view key) {
  Elements parts(algorithm);
  auto kind = parts.Next(kOid), parameters = parts.Next();
  if (!kind || !parameters) return {};
  if (kind->content == kEcKey && parameters->tag == kOid) {
    auto fields = FieldsOf(key, 1);
    return fields ? EcPublicKey(*fields, parameters->whole) : std::string();
  }
  if (kind->content == kRsaKey && parameters->tag == kNull) {
    auto fields = FieldsOf(key, 0);
    return fields ? RsaPublicKey(*fields) : std::string();
  }
  return {};
}

}  // namespace

std::string PublicKeyOf(std::string_view private_key_der) {
  auto outer = Elements(private_key_der).Next(kSequence);
  if (!outer || outer->whole.size() != private_key_der.size()) return {};
  Elements fields(outer->content);
  if (!fields.Next(kInteger)) return {};
  Elements after_version = fields;
  auto second = fields.Next();
  if (!second) return {};
  if (second->tag == kSequence) {
    auto key = fields.Next(kOctetString);
    return key ? OfPkcs8(second->content, key->content) : std::string();
  }
  if (second->tag == kOctetString && FieldsOf(private_key_der, 1))
    return EcPublicKey(after_version, {});
  if (second->tag == kInteger && FieldsOf(private_key_der, 0)) return RsaPublicKey(after_version);
  return {};
}

}  // namespace genkan::tls
