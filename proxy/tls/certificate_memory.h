// What the process knows of certificates beyond the files that they come from: which are parsed
// already, and which signatures have verified. Both by hash, so nothing in them can be wrong, only
// missing. Thread-safe; one of each a process.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "proxy/tls/certificate.h"

namespace genkan::tls {

// Every certificate alive, by the SHA-256 of its DER. Owns none.
class SharedCertificates {
 public:
  static SharedCertificates& Get();

  CertificatePtr Find(const std::string& sha256);
  // The one that is there already wins.
  CertificatePtr Add(CertificatePtr certificate);
  // One of this hash has gone.
  void Drop(const std::string& sha256);

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::weak_ptr<const Certificate>> all_;  // guarded by mutex_
};

// The issuers seen last, so that certificates of one share what they say of it.
class SharedIssuers {
 public:
  static SharedIssuers& Get();

  std::shared_ptr<const IssuerNames> Share(IssuerNames names);

 private:
  // One that is forgotten is kept once more.
  static constexpr size_t kMost = 64;

  std::mutex mutex_;
  std::vector<std::shared_ptr<const IssuerNames>> recent_;  // guarded by mutex_
  size_t next_ = 0;                                         // to be forgotten; guarded by mutex_
};

class KnownSignatures {
 public:
  static KnownSignatures& Get();

  bool Has(std::string_view certificate_sha256, std::string_view issuer_key_sha256);
  void Add(std::string_view certificate_sha256, std::string_view issuer_key_sha256);

 private:
  // What is forgotten is computed again.
  static constexpr size_t kMost = 65'536;

  std::mutex mutex_;
  std::unordered_set<std::string> known_;  // both hashes, one after the other; guarded by mutex_
};

}  // namespace genkan::tls
