#include "proxy/tls/certificate_pool.h"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>

#include <cstring>
#include <tuple>
#include <utility>

#include "proxy/base/text.h"
#include "proxy/tls/pem.h"

namespace genkan::tls {
namespace {

using Pkcs7Ptr = OpensslPtr<PKCS7, PKCS7_free>;
using Pkcs12Ptr = OpensslPtr<PKCS12, PKCS12_free>;

constexpr size_t kMaxCertificates = 64;
constexpr size_t kMaxKeys = 64;
constexpr size_t kMaxProblems = 64;
// What a careful tool writes is 2,048 to 1,000,000; a file may ask for hours.
constexpr long kMaxMacIterations = 10'000'000;

// OpenSSL's default asks on the terminal; a server has nobody there.
int GivePassword(char* buffer, int size, int /*is_for_writing*/, void* argument) {
  const auto* password = static_cast<const std::string_view*>(argument);
  if (password->empty() || password->size() > static_cast<size_t>(size)) return -1;
  std::memcpy(buffer, password->data(), password->size());
  return static_cast<int>(password->size());
}

struct X509StackDeleter {
  void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_pop_free(stack, X509_free); }
};

// Key material that was copied for OpenSSL.
struct Wiped {
  std::string text;
  ~Wiped() { OPENSSL_cleanse(text.data(), text.size()); }
};

class Reader {
 public:
  Reader(std::string_view name, std::string_view password, KeyReading keys)
      : name_(name), password_(password), keys_(keys) {}

  CertificatePool Read(std::string_view bytes);

 private:
  void ReadPem(std::string_view text);
  void ReadBlock(const PemBlock& block);
  void ReadDer(std::string_view der);
  void ReadPemKey(const PemBlock& block);
  bool ReadCertificates(std::string_view der);
  bool ReadPkcs7(std::string_view der);
  bool ReadPkcs12(std::string_view der);
  bool ReadDerKey(std::string_view der);
  void AddCertificate(Result<CertificatePtr> certificate, std::string_view where);
  void AddX509s(const STACK_OF(X509) * stack);
  void AddKey(EvpPkeyPtr key);
  void AddKey(PrivateKeyPtr key);
  void Problem(std::string_view text);
  std::string WhyNoKey(bool is_encrypted) const;

  std::string_view name_;
  std::string_view password_;
  KeyReading keys_;
  CertificatePool pool_;
};

CertificatePool Reader::Read(std::string_view bytes) {
  if (bytes.size() > kMaxPoolBytes) {
    Problem(fmt::format("{} bytes are more than {}", bytes.size(), kMaxPoolBytes));
  } else if (bytes.empty()) {
    Problem("empty");
  } else if (Wiped plain{WithoutUtf16(bytes)}; LooksLikePem(plain.text)) {
    ReadPem(plain.text);
  } else {
    ReadDer(bytes);
  }
  return std::move(pool_);
}

void Reader::ReadPem(std::string_view text) {
  ScanPem(
      text, [this](const PemBlock& block) { ReadBlock(block); },
      [this](const std::string& problem) { Problem(problem); });
}

void Reader::ReadBlock(const PemBlock& block) {
  const std::string where = fmt::format("block {}: ", block.number);
  if (block.label.ends_with("PRIVATE KEY")) {
    ReadPemKey(block);
    return;
  }
  const bool is_certificate = block.label == "CERTIFICATE" || block.label == "X509 CERTIFICATE";
  const bool is_trusted = block.label == "TRUSTED CERTIFICATE";
  const bool is_pkcs7 =
      block.label == "PKCS7" || block.label == "PKCS #7 SIGNED DATA" || block.label == "CMS";
  if (!is_certificate && !is_trusted && !is_pkcs7) return;
  std::string der;
  if (!DecodePemBody(block.base64, der)) {
    Problem(where + "bad base64");
    return;
  }
  if (is_pkcs7) {
    if (!ReadPkcs7(der)) Problem(where + "not a PKCS#7 with certificates");
  } else if (is_trusted) {
    // The certificate, then what the writer's OpenSSL should trust it for: not ours to follow.
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    X509Ptr x509(d2i_X509_AUX(nullptr, &at, static_cast<long>(der.size())));
    if (x509) {
      AddCertificate(Certificate::FromX509(std::move(x509)), where);
    } else {
      Problem(where + "not a certificate: " + TakeOpensslErrors());
    }
  } else {
    auto certificate = Certificate::FromDer(der);
    // Some CAs deliver PKCS#7 under this label.
    if (!certificate && ReadPkcs7(der)) return;
    AddCertificate(std::move(certificate), where);
  }
}

std::string Reader::WhyNoKey(bool is_encrypted) const {
  const std::string errors = TakeOpensslErrors();
  if (!is_encrypted) return "a private key that cannot be read: " + errors;
  return password_.empty() ? "an encrypted private key, and no password is given"
                           : "an encrypted private key that the password does not open: " + errors;
}

void Reader::ReadPemKey(const PemBlock& block) {
  const std::string where = fmt::format("block {}: ", block.number);
  Wiped der;
  if (!DecodePemBody(block.base64, der.text)) {
    Problem(where + "bad base64");
    return;
  }
  const bool is_plain = block.headers.empty() && block.label != "ENCRYPTED PRIVATE KEY";
  if (keys_ == KeyReading::kLater && is_plain) {
    if (PrivateKeyPtr key = PrivateKey::Undecoded(der.text)) return AddKey(std::move(key));
  }
  // Written anew, so that OpenSSL sees nothing untidy.
  Wiped body{Base64Encode(AsBytes(der.text))};
  Wiped pem{fmt::format("-----BEGIN {}-----\n", block.label)};
  pem.text.reserve(body.text.size() * 2 + block.headers.size() + 256);
  size_t line = 0;
  while (line < block.headers.size()) {
    const size_t end = std::min(block.headers.find('\n', line), block.headers.size());
    std::string_view header = Trim(block.headers.substr(line, end - line));
    if (header.ends_with('\r')) header.remove_suffix(1);
    if (!header.empty()) pem.text += std::string(header) + "\n";
    line = end + 1;
  }
  if (!block.headers.empty()) pem.text += "\n";
  for (size_t i = 0; i < body.text.size(); i += 64) {
    pem.text.append(body.text, i, 64).append("\n");
  }
  pem.text += fmt::format("-----END {}-----\n", block.label);

  const BioPtr bio(BIO_new_mem_buf(pem.text.data(), static_cast<int>(pem.text.size())));
  EvpPkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassword, &password_));
  if (key) {
    AddKey(std::move(key));
  } else {
    const bool is_encrypted = block.label == "ENCRYPTED PRIVATE KEY" ||
                              block.headers.find("ENCRYPTED") != std::string_view::npos;
    Problem(where + WhyNoKey(is_encrypted));
  }
}

void Reader::ReadDer(std::string_view der) {
  if (der.front() == '\x30' &&
      (ReadCertificates(der) || ReadPkcs12(der) || ReadPkcs7(der) || ReadDerKey(der))) {
    return;
  }
  ERR_clear_error();
  Problem("no PEM block, and neither certificate, key, PKCS#7 nor PKCS#12 as DER");
}

// One or several, one after the other.
bool Reader::ReadCertificates(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  while (at < end) {
    const bool is_first = at == reinterpret_cast<const unsigned char*>(der.data());
    X509Ptr x509(d2i_X509(nullptr, &at, end - at));
    if (!x509) {
      if (is_first) return false;
      Problem(fmt::format("{} bytes after the last certificate", end - at));
      return true;
    }
    AddCertificate(Certificate::FromX509(std::move(x509)), "");
  }
  return true;
}

bool Reader::ReadPkcs7(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const Pkcs7Ptr pkcs7(d2i_PKCS7(nullptr, &at, static_cast<long>(der.size())));
  if (!pkcs7) return false;
  if (PKCS7_type_is_signed(pkcs7.get()) && pkcs7->d.sign != nullptr &&
      sk_X509_num(pkcs7->d.sign->cert) > 0) {
    AddX509s(pkcs7->d.sign->cert);
    return true;
  }
  return false;
}

bool Reader::ReadPkcs12(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const Pkcs12Ptr pkcs12(d2i_PKCS12(nullptr, &at, static_cast<long>(der.size())));
  if (!pkcs12) return false;
  const ASN1_INTEGER* iterations = nullptr;
  PKCS12_get0_mac(nullptr, nullptr, nullptr, &iterations, pkcs12.get());
  if (iterations != nullptr) {
    const long count = ASN1_INTEGER_get(iterations);
    if (count < 0 || count > kMaxMacIterations) {
      Problem("a PKCS#12 that wants too many iterations");
      return true;
    }
  }
  const Wiped password{std::string(password_)};
  EVP_PKEY* key = nullptr;
  X509* leaf = nullptr;
  STACK_OF(X509)* others = nullptr;
  const bool is_open = PKCS12_parse(pkcs12.get(), password.text.c_str(), &key, &leaf, &others) == 1;
  EvpPkeyPtr owned_key(key);
  X509Ptr owned_leaf(leaf);
  const std::unique_ptr<STACK_OF(X509), X509StackDeleter> owned_others(others);
  if (!is_open) {
    const bool is_old = ERR_GET_REASON(ERR_peek_error()) == ERR_R_UNSUPPORTED;
    const std::string errors = TakeOpensslErrors();
    Problem(fmt::format(
        "a PKCS#12 that {}: {}",
        is_old ? "uses a cipher of the past (write it anew with `openssl pkcs12 -legacy`)"
        : password_.empty() ? "needs a password"
                            : "the password does not open",
        errors));
    return true;
  }
  if (owned_leaf) AddCertificate(Certificate::FromX509(std::move(owned_leaf)), "");
  AddX509s(owned_others.get());
  if (owned_key) AddKey(std::move(owned_key));
  return true;
}

bool Reader::ReadDerKey(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  if (EvpPkeyPtr key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size()))); key) {
    AddKey(std::move(key));
    return true;
  }
  at = reinterpret_cast<const unsigned char*>(der.data());
  const OpensslPtr<X509_SIG, X509_SIG_free> encrypted(
      d2i_X509_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (!encrypted) return false;
  ERR_clear_error();
  const BioPtr bio(BIO_new_mem_buf(der.data(), static_cast<int>(der.size())));
  EvpPkeyPtr key(d2i_PKCS8PrivateKey_bio(bio.get(), nullptr, GivePassword, &password_));
  if (key) {
    AddKey(std::move(key));
  } else {
    Problem(WhyNoKey(true));
  }
  return true;
}

void Reader::AddCertificate(Result<CertificatePtr> certificate, std::string_view where) {
  if (!certificate) {
    Problem(std::string(where) + certificate.error().detail);
  } else if (pool_.certificates.size() < kMaxCertificates) {
    pool_.certificates.push_back(std::move(*certificate));
  } else if (pool_.certificates.size() == kMaxCertificates) {
    const std::string problem = fmt::format("more than {} certificates", kMaxCertificates);
    if (pool_.problems.empty() || !pool_.problems.back().ends_with(problem)) Problem(problem);
  }
}

void Reader::AddX509s(const STACK_OF(X509) * stack) {
  for (int i = 0; stack != nullptr && i < sk_X509_num(stack); ++i) {
    X509* x509 = sk_X509_value(stack, i);
    X509_up_ref(x509);
    AddCertificate(Certificate::FromX509(X509Ptr(x509)), "");
  }
}

void Reader::AddKey(EvpPkeyPtr key) { AddKey(std::make_shared<const PrivateKey>(std::move(key))); }

void Reader::AddKey(PrivateKeyPtr key) {
  if (pool_.keys.size() == kMaxKeys) {
    Problem(fmt::format("more than {} private keys", kMaxKeys));
    return;
  }
  pool_.keys.push_back(std::move(key));
}

void Reader::Problem(std::string_view text) {
  if (pool_.problems.size() < kMaxProblems) {
    pool_.problems.push_back(fmt::format("{}: {}", name_, text));
  }
}

}  // namespace

void CertificatePool::Merge(CertificatePool&& other) {
  const auto append = [](auto& to, auto& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
    from.clear();
  };
  append(certificates, other.certificates);
  append(keys, other.keys);
  append(problems, other.problems);
}

CertificatePool ReadPool(std::string_view bytes, std::string_view name, std::string_view password,
                         KeyReading keys) {
  const ErrorQueueGuard guard;
  return Reader(name, password, keys).Read(bytes);
}

CertificatePtr FindLeaf(const CertificatePool& pool, const PrivateKey& key, WallTime now) {
  const auto rank = [now](const Certificate& one) {
    const bool is_valid = one.not_before() <= now && now < one.not_after();
    return std::tuple(is_valid, !one.is_ca(), one.not_before(), one.not_after(), one.sha256());
  };
  CertificatePtr best;
  for (const CertificatePtr& one : pool.certificates) {
    if (one->public_key().empty() || one->public_key() != key.public_key()) continue;
    if (!best || rank(*one) > rank(*best)) best = one;
  }
  return best;
}

}  // namespace genkan::tls
