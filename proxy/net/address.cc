#include "proxy/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstring>

#include "proxy/base/text.h"

namespace genkan::net {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

const sockaddr_in& AsV4(const sockaddr_storage& storage) {
  return reinterpret_cast<const sockaddr_in&>(storage);
}
const sockaddr_in6& AsV6(const sockaddr_storage& storage) {
  return reinterpret_cast<const sockaddr_in6&>(storage);
}
const sockaddr_un& AsUnix(const sockaddr_storage& storage) {
  return reinterpret_cast<const sockaddr_un&>(storage);
}

std::string_view UnixPath(const sockaddr_storage& storage, socklen_t length) {
  size_t offset = offsetof(sockaddr_un, sun_path);
  if (length <= offset) return {};
  const char* path = AsUnix(storage).sun_path;
  return {path, strnlen(path, length - offset)};
}

Result<uint16_t> ParsePort(std::string_view digits) {
  auto port = ParseDecimal(digits);
  if (!port || *port > 65535) return Fail(ErrorCode::kInvalid, "\"{}\" is no port", digits);
  return static_cast<uint16_t>(*port);
}

}  // namespace

Result<Address> Address::Parse(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) {
    std::string_view path = text.substr(kUnixPrefix.size());
    Address address;
    auto& name = reinterpret_cast<sockaddr_un&>(address.storage_);
    if (path.empty() || path.front() != '/')
      return Fail(ErrorCode::kInvalid, "\"{}\": a Unix socket needs an absolute path", text);
    if (path.find('\0') != std::string_view::npos || path.size() >= sizeof(name.sun_path))
      return Fail(ErrorCode::kInvalid, "\"{}\": a Unix socket's path has at most {} bytes", text,
                  sizeof(name.sun_path) - 1);
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path.data(), path.size());
    address.length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return address;
  }
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return Fail(ErrorCode::kInvalid, "\"{}\" has no port (as in 127.0.0.1:80, [::1]:80, :80)", text);
  auto port = ParsePort(text.substr(colon + 1));
  if (!port) return PassOn(port, "\"{}\"", text);
  std::string_view host = text.substr(0, colon);
  if (host.empty()) {
    Address address;
    auto& name = reinterpret_cast<sockaddr_in6&>(address.storage_);
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(*port);
    address.length_ = sizeof(sockaddr_in6);
    address.is_dual_stack_ = true;
    return address;
  }
  if (host.front() == '[') {
    if (host.size() < 2 || host.back() != ']')
      return Fail(ErrorCode::kInvalid, "\"{}\": [ without ] before the port", text);
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos)
      return Fail(ErrorCode::kInvalid, "\"{}\" has no IPv6 address between [ and ]", text);
  } else if (host.find(':') != std::string_view::npos) {
    return Fail(ErrorCode::kInvalid, "\"{}\": an IPv6 address stands in [ ], as in [::1]:80", text);
  }
  return ParseHost(host, *port);
}

Result<Address> Address::ParseHost(std::string_view host, uint16_t port) {
  // inet_pton wants a terminated string; no literal is longer than this.
  char text[INET6_ADDRSTRLEN + 1] = {};
  if (host.empty() || host.size() >= sizeof(text) || host.find('\0') != std::string_view::npos)
    return Fail(ErrorCode::kInvalid, "\"{}\" is no IP address", host);
  std::memcpy(text, host.data(), host.size());
  if (host.find(':') == std::string_view::npos) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    if (inet_pton(AF_INET, text, &name.sin_addr) == 1)
      return FromSockaddr(reinterpret_cast<sockaddr*>(&name), sizeof(name));
  } else {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(port);
    if (inet_pton(AF_INET6, text, &name.sin6_addr) == 1)
      return FromSockaddr(reinterpret_cast<sockaddr*>(&name), sizeof(name));
  }
  return Fail(ErrorCode::kInvalid, "\"{}\" is no IP address", host);
}

Address Address::FromSockaddr(const sockaddr* name, socklen_t length) {
  Address address;
  if (name == nullptr || length < sizeof(sa_family_t)) return address;
  length = std::min<socklen_t>(length, sizeof(address.storage_));
  if (name->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, name, sizeof(v6));
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage_);
      v4.sin_family = AF_INET;
      v4.sin_port = v6.sin6_port;
      std::memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, 4);
      address.length_ = sizeof(sockaddr_in);
      return address;
    }
  }
  std::memcpy(&address.storage_, name, length);
  address.length_ = length;
  return address;
}

uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(AsV4(storage_).sin_port);
  if (family() == AF_INET6) return ntohs(AsV6(storage_).sin6_port);
  return 0;
}

void Address::set_port(uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in&>(storage_).sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6&>(storage_).sin6_port = htons(port);
}

std::string Address::HostString() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &AsV4(storage_).sin_addr, text, sizeof(text));
    return text;
  }
  if (family() == AF_INET6) {
    inet_ntop(AF_INET6, &AsV6(storage_).sin6_addr, text, sizeof(text));
    return text;
  }
  return is_unix() ? std::string(kUnixPrefix) : std::string();
}

std::string Address::ToString() const {
  if (family() == AF_INET) return fmt::format("{}:{}", HostString(), port());
  if (family() == AF_INET6) return fmt::format("[{}]:{}", HostString(), port());
  if (is_unix()) return std::string(kUnixPrefix).append(UnixPath(storage_, length_));
  return {};
}

std::string_view Address::HostBytes() const {
  if (family() == AF_INET)
    return {reinterpret_cast<const char*>(&AsV4(storage_).sin_addr), sizeof(in_addr)};
  if (family() == AF_INET6)
    return {reinterpret_cast<const char*>(&AsV6(storage_).sin6_addr), sizeof(in6_addr)};
  return {};
}

bool Address::operator==(const Address& other) const {
  if (family() != other.family()) return false;
  if (is_unix())
    return UnixPath(storage_, length_) == UnixPath(other.storage_, other.length_);
  if (family() == AF_INET6 &&
      AsV6(storage_).sin6_scope_id != AsV6(other.storage_).sin6_scope_id)
    return false;
  return HostBytes() == other.HostBytes() && port() == other.port() &&
         is_dual_stack_ == other.is_dual_stack_;
}

Result<Network> Network::Parse(std::string_view text) {
  size_t slash = text.find('/');
  auto address = Address::ParseHost(text.substr(0, slash), 0);
  if (!address)
    return Fail(ErrorCode::kInvalid, "\"{}\" is no network (as in 10.0.0.0/8 or ::1)", text);
  Network network;
  network.bytes_ = address->HostBytes();
  int bits = static_cast<int>(network.bytes_.size()) * 8;
  network.prefix_ = bits;
  if (slash == std::string_view::npos) return network;
  auto prefix = ParseDecimal(text.substr(slash + 1));
  // ::ffff:10.0.0.0/104 became IPv4 above; its prefix counts from the mapped form.
  bool is_mapped = bits == 32 && text.find(':') != std::string_view::npos;
  uint64_t shift = is_mapped ? 96 : 0;
  if (!prefix || *prefix < shift || *prefix - shift > static_cast<uint64_t>(bits))
    return Fail(ErrorCode::kInvalid, "\"{}\": the prefix is 0 to {}", text, bits);
  network.prefix_ = static_cast<int>(*prefix - shift);
  // Bits behind the prefix are taken as written by accident, as everybody else does.
  for (int bit = network.prefix_; bit < bits; ++bit) {
    auto& byte = network.bytes_[static_cast<size_t>(bit / 8)];
    byte = static_cast<char>(static_cast<unsigned char>(byte) & ~(0x80u >> (bit % 8)));
  }
  return network;
}

bool Network::Contains(const Address& address) const {
  std::string_view host = address.HostBytes();
  if (host.size() != bytes_.size() || host.empty()) return false;
  auto whole = static_cast<size_t>(prefix_ / 8);
  if (std::memcmp(host.data(), bytes_.data(), whole) != 0) return false;
  int rest = prefix_ % 8;
  if (rest == 0) return true;
  auto difference = static_cast<unsigned char>(host[whole] ^ bytes_[whole]);
  return (difference & (0xff00u >> rest) & 0xffu) == 0;
}

std::string Network::ToString() const {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(bytes_.size() == 4 ? AF_INET : AF_INET6, bytes_.data(), text, sizeof(text));
  return fmt::format("{}/{}", text, prefix_);
}

bool ContainsAny(const std::vector<Network>& networks, const Address& address) {
  for (const auto& network : networks)
    if (network.Contains(address)) return true;
  return false;
}

}  // namespace genkan::net
