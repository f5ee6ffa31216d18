#include "proxy/tls/pem.h"

#include <fmt/core.h>
#include <openssl/crypto.h>

#include "proxy/base/text.h"

namespace genkan::tls {
namespace {

constexpr std::string_view kDashes = "-----";
constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "-----END ";
constexpr size_t kMaxLabel = 64;

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The label from `at` to the closing dashes; empty where the line is cut.
std::string_view ReadLabel(std::string_view text, size_t at) {
  const size_t close = text.find(kDashes, at);
  if (close == std::string_view::npos || close == at || close - at > kMaxLabel) return {};
  const std::string_view label = text.substr(at, close - at);
  for (const char c : label) {
    if (c < 0x20 || c > 0x7e) return {};
  }
  return label;
}

// RFC 1421 headers end at the first empty line; a body without a colon has none.
void SplitHeaders(std::string_view body, PemBlock& block) {
  block.base64 = body;
  if (body.find(':') == std::string_view::npos) return;
  size_t line = 0;
  bool has_seen_text = false;
  while (line < body.size()) {
    const size_t end = std::min(body.find('\n', line), body.size());
    const bool is_empty =
        Trim(body.substr(line, end - line)).find_first_not_of('\r') == std::string_view::npos;
    if (is_empty && has_seen_text) {
      block.headers = body.substr(0, line);
      block.base64 = body.substr(end);
      return;
    }
    has_seen_text = has_seen_text || !is_empty;
    line = end + 1;
  }
}

}  // namespace

bool LooksLikePem(std::string_view text) {
  return text.find("-----BEGIN") != std::string_view::npos ||
         text.find("-----END") != std::string_view::npos;
}

void ScanPem(std::string_view text, const std::function<void(const PemBlock&)>& on_block,
             const std::function<void(std::string)>& on_problem) {
  int number = 0;
  size_t at = 0;
  while (true) {
    const size_t begin = text.find("-----BEGIN", at);
    const std::string_view between = text.substr(at, begin == text.npos ? text.npos : begin - at);
    if (between.find("-----END") != text.npos) {
      on_problem(fmt::format("after block {}: an END without its BEGIN", number));
    }
    if (begin == text.npos) return;
    PemBlock block;
    block.number = ++number;
    block.label = text.substr(begin).starts_with(kBegin) ? ReadLabel(text, begin + kBegin.size())
                                                         : std::string_view();
    if (block.label.empty()) {
      on_problem(fmt::format("block {}: its BEGIN line is cut", number));
      at = begin + kDashes.size();
      continue;
    }
    const size_t body = begin + kBegin.size() + block.label.size() + kDashes.size();
    const size_t end = text.find(kDashes, body);
    if (end == text.npos || !text.substr(end).starts_with(kEnd)) {
      on_problem(fmt::format("block {}: BEGIN {} without END", number, block.label));
      if (end == text.npos) return;
      at = end;
      continue;
    }
    const std::string_view label = ReadLabel(text, end + kEnd.size());
    if (label != block.label) {
      on_problem(label.empty()
                     ? fmt::format("block {}: its END line is cut", number)
                     : fmt::format("block {}: BEGIN {} ends as {}", number, block.label, label));
      at = end + kEnd.size();
      continue;
    }
    SplitHeaders(text.substr(body, end - body), block);
    on_block(block);
    at = end + kEnd.size() + label.size() + kDashes.size();
  }
}

bool DecodePemBody(std::string_view base64, std::string& der) {
  std::string packed(base64.size(), '\0');
  size_t size = 0;
  for (const char c : base64) {
    packed[size] = c;
    size += IsBlank(c) ? 0 : 1;
  }
  packed.resize(size);
  while (packed.size() % 4 != 0) packed += '=';
  auto decoded = Base64Decode(packed);
  OPENSSL_cleanse(packed.data(), packed.size());  // it may be a private key
  if (!decoded || decoded->empty()) return false;
  der = std::move(*decoded);
  return true;
}

std::string WithoutUtf16(std::string_view bytes) {
  const bool is_little = bytes.starts_with("\xff\xfe");
  if (!is_little && !bytes.starts_with("\xfe\xff")) return std::string(bytes);
  std::string plain;
  for (size_t i = is_little ? 2 : 3; i < bytes.size(); i += 2) plain += bytes[i];
  return plain;
}

}  // namespace genkan::tls
