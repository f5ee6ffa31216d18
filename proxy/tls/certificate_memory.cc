#include "proxy/tls/certificate_memory.h"

#include <utility>

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

SharedIssuers& SharedIssuers::Get() {
  static SharedIssuers& all = *std::make_unique<SharedIssuers>().release();
  return all;
}

std::shared_ptr<const IssuerNames> SharedIssuers::Share(IssuerNames names) {
  std::lock_guard lock(mutex_);
  for (const auto& one : recent_) {
    if (*one == names) return one;
  }
  auto made = std::make_shared<const IssuerNames>(std::move(names));
  if (recent_.size() < kMost) {
    recent_.push_back(made);
  } else {
    recent_[next_] = made;
    next_ = (next_ + 1) % kMost;
  }
  return made;
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
