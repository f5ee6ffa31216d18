#include "proxy/net/proxy_protocol.h"

#include <netinet/in.h>

#include <cstring>
#include <vector>

#include "proxy/base/text.h"

namespace genkan::net {
namespace {

constexpr std::string_view kV1Start = "PROXY ";
constexpr size_t kMaxV1Line = 107;  // with CRLF
constexpr std::string_view kV2Signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kV2Fixed = 16;
constexpr unsigned char kTypeAuthority = 0x02;

unsigned U8(std::string_view bytes, size_t at) { return static_cast<unsigned char>(bytes[at]); }
unsigned U16(std::string_view bytes, size_t at) { return U8(bytes, at) << 8 | U8(bytes, at + 1); }

Address MakeIp(int family, std::string_view host, unsigned port) {
  if (family == AF_INET) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(static_cast<uint16_t>(port));
    std::memcpy(&name.sin_addr, host.data(), 4);
    return Address::FromSockaddr(reinterpret_cast<sockaddr*>(&name), sizeof(name));
  }
  sockaddr_in6 name{};
  name.sin6_family = AF_INET6;
  name.sin6_port = htons(static_cast<uint16_t>(port));
  std::memcpy(&name.sin6_addr, host.data(), 16);
  return Address::FromSockaddr(reinterpret_cast<sockaddr*>(&name), sizeof(name));
}

Result<Address> ParseV1Address(std::string_view host, std::string_view port, bool is_v6) {
  auto number = ParseDecimal(port);
  bool has_zero_in_front = port.size() > 1 && port.front() == '0';
  if (!number || *number > 65535 || has_zero_in_front)
    return Fail(ErrorCode::kInvalid, "PROXY header: \"{}\" is no port", EscapeControl(port));
  if ((host.find(':') != std::string_view::npos) != is_v6)
    return Fail(ErrorCode::kInvalid, "PROXY header: address of the other family");
  auto address = Address::ParseHost(host, static_cast<uint16_t>(*number));
  if (!address) return Fail(ErrorCode::kInvalid, "PROXY header: an address is none");
  return address;
}

Result<std::optional<ProxyHeader>> ParseV1(std::string_view bytes) {
  std::string_view window = bytes.substr(0, kMaxV1Line);
  size_t end = window.find("\r\n");
  if (end == std::string_view::npos) {
    if (window.size() == kMaxV1Line)
      return Fail(ErrorCode::kTooLarge, "PROXY header: no line end in {} bytes", kMaxV1Line);
    return std::optional<ProxyHeader>();
  }
  ProxyHeader header;
  header.length = end + 2;
  std::string_view line = bytes.substr(0, end);
  std::vector<std::string_view> words;
  for (size_t start = 0;;) {
    size_t blank = line.find(' ', start);
    words.push_back(line.substr(start, blank - start));
    if (blank == std::string_view::npos) break;
    start = blank + 1;
  }
  // What follows UNKNOWN is to be ignored.
  if (words[1] == "UNKNOWN") return std::optional(header);
  bool is_v6 = words[1] == "TCP6";
  if ((words[1] != "TCP4" && !is_v6) || words.size() != 6)
    return Fail(ErrorCode::kInvalid, "PROXY header: not \"PROXY TCP4|TCP6 address address port port\"");
  auto source = ParseV1Address(words[2], words[4], is_v6);
  if (!source) return PassOn(source);
  auto destination = ParseV1Address(words[3], words[5], is_v6);
  if (!destination) return PassOn(destination);
  header.has_addresses = true;
  header.source = *source;
  header.destination = *destination;
  return std::optional(header);
}

Status ReadTlvs(std::string_view tlvs, ProxyHeader& header) {
  while (!tlvs.empty()) {
    if (tlvs.size() < 3 || tlvs.size() - 3 < U16(tlvs, 1))
      return Fail(ErrorCode::kInvalid, "PROXY header: an extension is cut");
    std::string_view value = tlvs.substr(3, U16(tlvs, 1));
    if (U8(tlvs, 0) == kTypeAuthority && value.size() <= 255) header.authority = value;
    tlvs.remove_prefix(3 + value.size());
  }
  return {};
}

Result<std::optional<ProxyHeader>> ParseV2(std::string_view bytes) {
  if (bytes.size() < kV2Fixed) return std::optional<ProxyHeader>();
  unsigned version = U8(bytes, 12) >> 4;
  unsigned command = U8(bytes, 12) & 15;
  if (version != 2 || command > 1)
    return Fail(ErrorCode::kInvalid, "PROXY header: version {} command {}", version, command);
  size_t length = U16(bytes, 14);
  if (kV2Fixed + length > kMaxProxyHeader)
    return Fail(ErrorCode::kTooLarge, "PROXY header: {} bytes", kV2Fixed + length);
  if (bytes.size() < kV2Fixed + length) return std::optional<ProxyHeader>();
  ProxyHeader header;
  header.length = kV2Fixed + length;
  std::string_view rest = bytes.substr(kV2Fixed, length);
  if (command == 0) return std::optional(header);  // LOCAL: the rest is to be skipped
  size_t addresses = 0;
  switch (U8(bytes, 13)) {
    case 0x11:  // TCP over IPv4
    case 0x21:  // TCP over IPv6
    {
      bool is_v4 = U8(bytes, 13) == 0x11;
      size_t host = is_v4 ? 4 : 16;
      addresses = 2 * host + 4;
      if (rest.size() < addresses)
        return Fail(ErrorCode::kInvalid, "PROXY header: no room for its addresses");
      int family = is_v4 ? AF_INET : AF_INET6;
      header.source = MakeIp(family, rest.substr(0, host), U16(rest, 2 * host));
      header.destination = MakeIp(family, rest.substr(host, host), U16(rest, 2 * host + 2));
      header.has_addresses = true;
      break;
    }
    case 0x31:  // Unix stream: two paths of 108 bytes, of no use to anybody here
      addresses = 216;
      if (rest.size() < addresses)
        return Fail(ErrorCode::kInvalid, "PROXY header: no room for its addresses");
      break;
    case 0x00:  // unspecified: no addresses are known, the rest is to be ignored
      return std::optional(header);
    default:
      return Fail(ErrorCode::kInvalid, "PROXY header: family and protocol {:#x}", U8(bytes, 13));
  }
  auto tlvs = ReadTlvs(rest.substr(addresses), header);
  if (!tlvs) return PassOn(tlvs);
  return std::optional(header);
}

void AppendU16(std::string& text, size_t value) {
  text.push_back(static_cast<char>(value >> 8));
  text.push_back(static_cast<char>(value));
}

}  // namespace

Result<std::optional<ProxyHeader>> ParseProxyHeader(std::string_view bytes) {
  if (kV1Start.starts_with(bytes.substr(0, kV1Start.size()))) {
    if (bytes.size() < kV1Start.size()) return std::optional<ProxyHeader>();
    return ParseV1(bytes);
  }
  if (kV2Signature.starts_with(bytes.substr(0, kV2Signature.size()))) return ParseV2(bytes);
  return Fail(ErrorCode::kInvalid, "no PROXY header");
}

std::string WriteProxyHeaderV1(const Address& source, const Address& destination) {
  if (!source.is_ip() || source.family() != destination.family()) return "PROXY UNKNOWN\r\n";
  return fmt::format("PROXY {} {} {} {} {}\r\n", source.family() == AF_INET ? "TCP4" : "TCP6",
                     source.HostString(), destination.HostString(), source.port(),
                     destination.port());
}

std::string WriteProxyHeaderV2(const Address& source, const Address& destination,
                               std::string_view authority) {
  std::string text(kV2Signature);
  bool has_addresses = source.is_ip() && source.family() == destination.family();
  text.push_back(has_addresses ? 0x21 : 0x20);
  text.push_back(static_cast<char>(!has_addresses ? 0x00 : source.family() == AF_INET ? 0x11 : 0x21));
  std::string rest;
  if (has_addresses) {
    rest.append(source.HostBytes()).append(destination.HostBytes());
    AppendU16(rest, source.port());
    AppendU16(rest, destination.port());
    if (!authority.empty() && authority.size() <= 255) {
      rest.push_back(kTypeAuthority);
      AppendU16(rest, authority.size());
      rest.append(authority);
    }
  }
  AppendU16(text, rest.size());
  return text + rest;
}

}  // namespace genkan::net
