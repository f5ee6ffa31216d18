// Makes the CertStore of what is in service and gives it to the workers, with the leaves whose
// sessions may not resume; only when something in it is another than before. Control thread; owned
// by the CertManager.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proxy/control/barred_leaves.h"
#include "proxy/control/cert_entry.h"
#include "proxy/control/cert_index.h"
#include "proxy/server/snapshot.h"
#include "proxy/tls/cert_store.h"

namespace genkan::control {

class CertPublisher {
 public:
  struct Options {
    const Clock& clock;
    const CertLeaves& leaves;
    CertIndex& index;
    // The leaves (SHA-256, 32 bytes) come sorted.
    std::function<void(tls::CertStorePtr, std::shared_ptr<const std::vector<std::string>>)> publish;
  };

  explicit CertPublisher(Options options) : options_(std::move(options)) {}

  // Gives each bundle in service its staple, then publishes. Looks at the sites of `changes` alone.
  void Publish(const server::Snapshot& snapshot, const CertIndex::Changes& changes);
  // The next Publish does: site indices and names may be others.
  void Renew() { store_ = nullptr; }
  // Sessions of this leaf (SHA-256, 32 bytes) do not resume while a ticket of it may live.
  void Bar(const std::string& sha256);
  // For a hand-over: what is barred, and what was by the process before, to be published next.
  const BarredLeaves& barred() const { return barred_; }
  void Restore(BarredLeaves barred);

 private:
  void ChooseStandby(const server::Snapshot& snapshot, size_t site_index);
  void TellStandby(CertEntry& entry, bool was_replaced, const std::string& problem);
  std::vector<tls::BundlePtr> BundlesOf(size_t site_index);
  bool PublishBundles(const server::Snapshot& snapshot, const CertIndex::Changes& changes);
  bool PublishBarred();
  void BarUntil(const std::string& sha256, WallTime until);
  void BarRevoked(const tls::BundlePtr& bundle, const std::string& sha256_hex);
  void ForgetHistory();

  Options options_;
  tls::CertStorePtr store_;                 // as published; null: it is to be made anew
  BarredLeaves barred_;
  WallTime next_end_ = WallTime::max();     // not later than the first of those moments
  bool has_other_barred_ = true;            // than published
  std::shared_ptr<const std::vector<std::string>> published_barred_;
};

}  // namespace genkan::control
