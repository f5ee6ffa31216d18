#include "proxy/control/certificate_names.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "proxy/base/text.h"

namespace genkan::control {
namespace {

constexpr std::string_view kExtensions[] = {".pem", ".crt",   ".cer",    ".cert",     ".der",
                                            ".p7b", ".p7c",   ".p12",    ".pfx",      ".key",
                                            ".ca",  ".chain", ".bundle", ".ca-bundle"};

}  // namespace

bool LooksLikeCertificateFile(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  std::string name = ToLower(slash == std::string_view::npos ? path : path.substr(slash + 1));
  if (name.empty() || name.front() == '.') return false;
  return std::any_of(std::begin(kExtensions), std::end(kExtensions),
                     [&](std::string_view extension) { return name.ends_with(extension); });
}

bool HasGlob(std::string_view path) { return path.find_first_of("*?[") != std::string_view::npos; }

}  // namespace genkan::control
