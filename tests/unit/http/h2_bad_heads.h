// Request heads that message rule 15 refuses: once for the codec as a whole, once for
// H2RequestReader alone.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "tests/support/h2_frames.h"

namespace genkan::http {

using test::GetFields;
using test::H2Fields;
using test::PostFields;

struct BadHead {
  const char* name;
  H2Fields fields;
  bool end = true;
};

inline void PrintTo(const BadHead& bad, std::ostream* out) { *out << bad.name; }

inline H2Fields With(size_t index, std::string name, std::string value) {
  H2Fields fields = GetFields();
  fields[index] = {std::move(name), std::move(value)};
  return fields;
}

inline H2Fields Without(size_t index) {
  H2Fields fields = GetFields();
  fields.erase(fields.begin() + static_cast<ptrdiff_t>(index));
  return fields;
}

inline H2Fields Front(std::string name, std::string value) {
  H2Fields fields = GetFields();
  fields.insert(fields.begin(), {std::move(name), std::move(value)});
  return fields;
}

inline H2Fields Tunnel(H2Fields more = {}) {
  H2Fields fields = {{":method", "CONNECT"},   {":protocol", "websocket"},
                     {":scheme", "https"},     {":path", "/chat"},
                     {":authority", "a.test"}, {"sec-websocket-version", "13"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

inline constexpr size_t kMethod = 0, kScheme = 1, kPath = 2, kAuthority = 3;

inline std::vector<BadHead> BadHeads() {
  using namespace std::string_literals;
  return {
      {"content_length_without_body", PostFields("/", {{"content-length", "5"}})},
      {"content_length_sign", PostFields("/", {{"content-length", "+5"}}), false},
      {"content_length_negative", PostFields("/", {{"content-length", "-5"}}), false},
      {"content_length_hex", PostFields("/", {{"content-length", "0x5"}}), false},
      {"content_length_empty", PostFields("/", {{"content-length", ""}}), false},
      {"content_length_list", PostFields("/", {{"content-length", "5, 5"}}), false},
      {"content_length_twice", PostFields("/", {{"content-length", "5"}, {"content-length", "5"}}),
       false},
      {"content_length_huge", PostFields("/", {{"content-length", "9223372036854775808"}}), false},
      {"content_length_overflow", PostFields("/", {{"content-length", "18446744073709551621"}}),
       false},
      {"connection", GetFields("/", {{"connection", "close"}})},
      {"connection_te", GetFields("/", {{"connection", "te"}, {"te", "trailers"}})},
      {"keep_alive", GetFields("/", {{"keep-alive", "timeout=5"}})},
      {"proxy_connection", GetFields("/", {{"proxy-connection", "keep-alive"}})},
      {"transfer_encoding", PostFields("/", {{"transfer-encoding", "chunked"}}), false},
      {"upgrade", GetFields("/", {{"upgrade", "websocket"}})},
      {"http2_settings", GetFields("/", {{"http2-settings", "AAMAAABk"}})},
      {"te_gzip", GetFields("/", {{"te", "gzip"}})},
      {"te_list", GetFields("/", {{"te", "trailers, deflate"}})},
      {"upper_case", GetFields("/", {{"X-Name", "1"}})},
      {"empty_name", GetFields("/", {{"", "1"}})},
      {"blank_in_name", GetFields("/", {{"x name", "1"}})},
      {"colon_in_name", GetFields("/", {{"x:name", "1"}})},
      {"newline_in_name", GetFields("/", {{"x\r\ny", "1"}})},
      {"utf8_name", GetFields("/", {{"x\xc3\xa9", "1"}})},
      {"cr_in_value", GetFields("/", {{"x", "a\rb"}})},
      {"lf_in_value", GetFields("/", {{"x", "a\nb"}})},
      {"crlf_in_value", GetFields("/", {{"x", "a\r\nevil: 1"}})},
      {"nul_in_value", GetFields("/", {{"x", "a\0b"s}})},
      {"control_in_value", GetFields("/", {{"x", "a\x01"}})},
      {"delete_in_value", GetFields("/", {{"x", "a\x7f"}})},
      {"blank_before_value", GetFields("/", {{"x", " a"}})},
      {"tab_behind_value", GetFields("/", {{"x", "a\t"}})},
      {"no_method", Without(kMethod)},
      {"no_scheme", Without(kScheme)},
      {"no_path", Without(kPath)},
      {"no_authority_no_host", Without(kAuthority)},
      {"method_twice", Front(":method", "GET")},
      {"scheme_twice", Front(":scheme", "https")},
      {"path_twice", Front(":path", "/other")},
      {"authority_twice", Front(":authority", "b.test")},
      {"unknown_pseudo", Front(":proto", "x")},
      {"status_in_request", Front(":status", "200")},
      {"late_pseudo",
       {{":method", "GET"},
        {":scheme", "https"},
        {":authority", "a.test"},
        {"x", "1"},
        {":path", "/"}}},
      {"empty_method", With(kMethod, ":method", "")},
      {"empty_scheme", With(kScheme, ":scheme", "")},
      {"empty_path", With(kPath, ":path", "")},
      {"path_without_slash", With(kPath, ":path", "index.html")},
      {"path_absolute", With(kPath, ":path", "http://b.test/")},
      {"path_star_of_get", With(kPath, ":path", "*")},
      {"path_blank", With(kPath, ":path", "/a b")},
      {"path_newline", With(kPath, ":path", "/a\r\nx: y")},
      {"path_tab", With(kPath, ":path", "/a\tb")},
      {"path_nul", With(kPath, ":path", "/a\0"s)},
      {"path_fragment", With(kPath, ":path", "/a#b")},
      {"scheme_blank", With(kScheme, ":scheme", "ht tp")},
      {"scheme_evil", With(kScheme, ":scheme", "https://b.test/?")},
      {"scheme_other", With(kScheme, ":scheme", "gopher")},
      {"method_blank", With(kMethod, ":method", "GET /x")},
      {"method_not_token", With(kMethod, ":method", "G@T")},
      {"method_newline", With(kMethod, ":method", "GET\r\n")},
      {"authority_userinfo", With(kAuthority, ":authority", "user@a.test")},
      {"authority_path", With(kAuthority, ":authority", "a.test/x")},
      {"authority_blank", With(kAuthority, ":authority", "a.test b.test")},
      {"authority_comma", With(kAuthority, ":authority", "a.test,b.test")},
      {"authority_port", With(kAuthority, ":authority", "a.test:70000")},
      {"authority_port_word", With(kAuthority, ":authority", "a.test:x")},
      {"authority_bracket", With(kAuthority, ":authority", "[::1")},
      {"authority_utf8", With(kAuthority, ":authority", "\xc3\xa9.test")},
      {"host_differs", GetFields("/", {{"host", "b.test"}})},
      {"host_twice", GetFields("/", {{"host", "a.test"}, {"host", "a.test"}})},
      {"host_alone_invalid",
       {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {"host", "a.test/x"}}},
      {"protocol_without_connect", Front(":protocol", "websocket")},
      {"connect_with_path", {{":method", "CONNECT"}, {":path", "/"}, {":authority", "a.test:443"}}},
      {"tunnel_without_path",
       {{":method", "CONNECT"},
        {":protocol", "websocket"},
        {":scheme", "https"},
        {":authority", "a.test"}},
       false},
      {"tunnel_with_length", Tunnel({{"content-length", "5"}}), false},
      {"tunnel_closed", Tunnel(), true},
  };
}

}  // namespace genkan::http
