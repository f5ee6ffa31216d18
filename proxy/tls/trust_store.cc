#include "proxy/tls/trust_store.h"

#include <openssl/ssl.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "proxy/tls/pem.h"

namespace genkan::tls {
namespace {

// Where Debian, Fedora, Alpine and others keep the system's roots as one file.
constexpr const char* kSystemStores[] = {"/etc/ssl/certs/ca-certificates.crt",
                                         "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};

// In blocks: a reload reads the roots of a system, and byte by byte that takes a millisecond.
std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes;
  char block[16 * 1024];
  while (file.read(block, sizeof block), file.gcount() > 0)
    bytes.append(block, static_cast<size_t>(file.gcount()));
  return bytes;
}

void AddText(const std::string& text, std::set<std::string>& seen,
             std::vector<CertificatePtr>& roots) {
  auto add = [&](std::string_view der) {
    auto certificate = Certificate::FromDer(der);
    if (certificate && seen.insert((*certificate)->sha256()).second)
      roots.push_back(*std::move(certificate));
  };
  if (!LooksLikePem(text)) {
    add(text);
    return;
  }
  ScanPem(
      text,
      [&](const PemBlock& block) {
        std::string der;
        if (block.label == "CERTIFICATE" && DecodePemBody(block.base64, der)) add(der);
      },
      [](const std::string&) {});
}

}  // namespace

Result<std::vector<std::string>> ReadTrustStore(const std::string& source) {
  std::string path = source;
  if (source == "system") {
    path.clear();
    for (const char* candidate : kSystemStores) {
      std::error_code error;
      if (path.empty() && std::filesystem::is_regular_file(candidate, error)) path = candidate;
    }
    // A machine without roots (a slim container): nothing is trusted, which the checks then say.
    if (path.empty()) return std::vector<std::string>{};
  }
  std::vector<std::string> texts;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
      if (entry.is_regular_file(error)) texts.push_back(ReadWhole(entry.path()));
    }
  } else if (std::filesystem::is_regular_file(path, error)) {
    texts.push_back(ReadWhole(path));
  } else {
    return Fail(ErrorCode::kNotFound, "trust_store {}: no such file or directory", source);
  }
  return texts;
}

Result<std::vector<CertificatePtr>> ParseTrustStore(const std::string& source,
                                                    const std::vector<std::string>& texts) {
  std::vector<CertificatePtr> roots;
  std::set<std::string> seen;
  for (const std::string& text : texts) AddText(text, seen, roots);
  if (roots.empty() && !(source == "system" && texts.empty()))
    return Fail(ErrorCode::kInvalid, "trust_store {}: no certificate in it", source);
  return roots;
}

Result<std::vector<CertificatePtr>> LoadTrustStore(const std::string& source) {
  auto texts = ReadTrustStore(source);
  if (!texts) return PassOn(texts);
  return ParseTrustStore(source, *texts);
}

void AddTrust(void* ssl_context, const std::vector<CertificatePtr>& roots) {
  X509_STORE* store = SSL_CTX_get_cert_store(static_cast<SSL_CTX*>(ssl_context));
  // One that is there already is no trouble.
  for (const CertificatePtr& root : roots) X509_STORE_add_cert(store, root->x509());
}

}  // namespace genkan::tls
