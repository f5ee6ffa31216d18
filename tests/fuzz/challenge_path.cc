// Any path to the challenge guard: only a token under the prefix as it stands is answered; what a
// decoder of another kind may take for the prefix goes nowhere; what has nothing of it passes.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_acme_challenge;
}

namespace {

using namespace genkan;

constexpr std::string_view kPrefix = "/.well-known/acme-challenge/";

int Hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// One round of percent-decoding, as plain as it gets.
std::string Decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    int high = text[i] == '%' && i + 2 < text.size() ? Hex(text[i + 1]) : -1;
    int low = high >= 0 ? Hex(text[i + 2]) : -1;
    out += low >= 0 ? static_cast<char>(high * 16 + low) : text[i];
    if (low >= 0) i += 2;
  }
  return out;
}

// As a file system reads it.
std::string Normalize(std::string_view path) {
  std::vector<std::string_view> kept;
  for (std::string_view segment : Split(path, '/')) {
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      kept.push_back(segment);
    } else if (!kept.empty()) {
      kept.pop_back();
    }
  }
  std::string out;
  for (std::string_view segment : kept) out.append("/").append(segment);
  return out + "/";
}

bool IsPrintable(std::string_view text) {
  for (char c : text) {
    if (c <= 0x20 || c >= 0x7f) return false;
  }
  return true;
}

void Require(bool holds, const char* what, const std::string& target) {
  if (holds) return;
  std::fprintf(stderr, "%s: %s\n", what, EscapeControl(target).c_str());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto options =
      testing::ModuleOptions("thumbprint = \"" + std::string(43, 'T') + "\"");
  static testing::ModuleUnderTest module(genkan_module_acme_challenge, options.get());
  static uint64_t count = 0;
  if (size > 4096) return 0;
  std::string target = "/" + std::string(reinterpret_cast<const char*>(data), size);
  testing::FakeExchange exchange(target);
  exchange.request_head.authority = std::to_string(++count % 500) + ".test";
  auto filter = module.MakeFilter();
  Verdict verdict = filter->OnRequestHead(exchange);

  std::string path(exchange.request_head.path());
  std::string_view token =
      path.starts_with(kPrefix) ? std::string_view(path).substr(kPrefix.size()) : "";
  bool is_token = !token.empty() && token.size() <= 128 && target.size() == path.size();
  for (char c : token) is_token = is_token && (IsAlpha(c) || IsDigit(c) || c == '-' || c == '_');
  Require(exchange.forwards == 0, "forwarded", target);
  if (is_token) {
    Require(exchange.status() == 200 || exchange.status() == 429, "a token without its answer",
            target);
    return 0;
  }
  Require(exchange.status() == 0 || exchange.status() == 404, "an answer to what is no token",
          target);
  Require((verdict == Verdict::kContinue) == (exchange.status() == 0), "neither passed nor refused",
          target);
  Require(!path.starts_with(kPrefix) || exchange.status() == 404, "passed below the prefix",
          target);
  // Any number of rounds up to three, read as a file system does.
  std::string decoded = path;
  for (int round = 0; round < 3 && IsPrintable(decoded); ++round) {
    if (Normalize(decoded).starts_with(kPrefix))
      Require(exchange.status() == 404, "a disguise passed", target);
    decoded = Decode(decoded);
  }
  bool is_plain = path.find_first_of("%\\") == std::string::npos && IsPrintable(path) &&
                  path.find("/.") == std::string::npos && path.find("//") == std::string::npos;
  Require(!is_plain || exchange.status() == 0, "an ordinary path was refused", target);
  return 0;
}
