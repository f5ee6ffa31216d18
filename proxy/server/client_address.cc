#include "proxy/server/client_address.h"

#include <string_view>

#include "proxy/base/text.h"

namespace genkan::server {
namespace {

// A longer list is nobody's real one.
constexpr size_t kMostProxies = 32;

// "192.0.2.1", "192.0.2.1:1234" (as some balancers write it), "::1", "[::1]", "[::1]:1234".
Result<net::Address> ParseElement(std::string_view text) {
  if (text.starts_with('[')) return net::Address::ParseHost(text.substr(1, text.find(']') - 1), 0);
  size_t colon = text.find(':');
  bool has_port = colon != std::string_view::npos && colon == text.rfind(':');
  return net::Address::ParseHost(has_port ? text.substr(0, colon) : text, 0);
}

}  // namespace

net::Address ConveyedAddress(const http::Headers& headers, const net::Address& peer,
                             const std::vector<net::Network>& trusted) {
  net::Address known = peer;
  size_t seen = 0;
  for (size_t i = headers.size(); i-- > 0;) {
    http::Headers::Field field = headers.at(i);
    if (!EqualsIgnoreCase(field.name, "x-forwarded-for")) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      size_t comma = rest.rfind(',');
      std::string_view element =
          Trim(comma == std::string_view::npos ? rest : rest.substr(comma + 1));
      rest = rest.substr(0, comma == std::string_view::npos ? 0 : comma);
      if (element.empty()) continue;
      auto address = ParseElement(element);
      if (!address || ++seen > kMostProxies) return known;
      known = *address;
      if (!net::ContainsAny(trusted, known)) return known;
    }
  }
  return known;
}

}  // namespace genkan::server
