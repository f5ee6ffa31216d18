#include "proxy/tls/certificate_memory.h"

namespace genkan::tls {

// Never destroyed: certificates in static storage may end after it.
SharedCertificates& SharedCertificates::Get() {
  static SharedCertificates& all = *std::make_unique<SharedCertificates>().release();
  return all;
}

CertificatePtr SharedCertificates::Find(const std::string& sha256) {
  std::lock_guard lock(mutex_);
  auto found = all_.find(sha256);
  return found == all_.end() ? nullptr : found->second.lock();
}

CertificatePtr SharedCertificates::Add(CertificatePtr certificate) {
  // What loses goes after the lock: its end takes it too.
  CertificatePtr winner;
  {
    std::lock_guard lock(mutex_);
    std::weak_ptr<const Certificate>& place = all_[certificate->sha256()];
    winner = place.lock();
    if (winner == nullptr) {
      place = certificate;
      winner = certificate;
    }
  }
  return winner;
}

void SharedCertificates::Drop(const std::string& sha256) {
  std::lock_guard lock(mutex_);
  auto found = all_.find(sha256);
  // Another of the same bytes may have taken the place meanwhile.
  if (found != all_.end() && found->second.expired()) all_.erase(found);
}

KnownSignatures& KnownSignatures::Get() {
  static KnownSignatures& known = *std::make_unique<KnownSignatures>().release();
  return known;
}

bool KnownSignatures::Has(std::string_view certificate_sha256, std::string_view issuer_key_sha256) {
  std::string key(certificate_sha256);
  key += issuer_key_sha256;
  std::lock_guard lock(mutex_);
  return known_.contains(key);
}

void KnownSignatures::Add(std::string_view certificate_sha256, std::string_view issuer_key_sha256) {
  std::string key(certificate_sha256);
  key += issuer_key_sha256;
  std::lock_guard lock(mutex_);
  if (known_.size() >= kMost) known_.clear();
  known_.insert(std::move(key));
}

}  // namespace genkan::tls
