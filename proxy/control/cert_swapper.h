// Decides what a reading means for what is in service: takes it, holds it until its first staple is
// there, or refuses it with the reason, by the rules of swap_rules.h. Publishes nothing. Control
// thread; owned by the CertManager.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proxy/control/cert_entry.h"
#include "proxy/control/cert_index.h"
#include "proxy/control/cert_prover.h"
#include "proxy/control/last_good.h"
#include "proxy/control/trial_ahead.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/timer.h"
#include "proxy/server/snapshot.h"

namespace genkan::control {

class CertSwapper {
 public:
  struct Options {
    event::EventLoop& loop;
    const Clock& clock;
    CertLeaves& leaves;
    StateDir& state;
    CertProver& prover;
    TrialAhead& trials;
    CertIndex& index;
    // What waits is to be looked at again: CheckPending is wanted.
    std::function<void()> on_due;
    // A leaf that an operator forced out (SHA-256, 32 bytes).
    std::function<void(const std::string&)> bar;
  };

  explicit CertSwapper(Options options);

  void Configure(server::SnapshotPtr snapshot) { snapshot_ = std::move(snapshot); }
  void TakeReading(CertSource& source, std::vector<FoundCertificate> found,
                   const CertificateContext& context);
  // These files still settle: what they hold may have its trial.
  void TryAhead(const CertSource& source, const std::vector<FoundCertificate>& found,
                const CertificateContext& context);
  // Fills found.is_last_good. Any thread, while the control thread reads.
  void LookAtLastGood(const CertSource& source, FoundCertificate& found);
  void CheckPending();
  // What the prover has found out.
  struct Proved {
    bool has_changed = false;  // what serves is another than before: of thousands, mostly none
    std::vector<CertEntry*> not_verified;  // a client that has to take it refuses it
  };
  Proved TakeProof(const std::string& fingerprint, const ProofResult& result,
                   const CertificateContext& context);
  // Those that came into service since the last call.
  std::set<CertEntry*> TakeFresh() { return std::exchange(fresh_, {}); }
  // Before an entry goes.
  void Forget(CertEntry* entry);

 private:
  CertEntry* EntryOf(CertSource& source, const FoundCertificate& found);
  bool StartFromLastGood(const CertSource& source, CertEntry& entry, const FoundCertificate& found,
                         const CertificateContext& context);
  void DropUnmatched(CertSource& source, const std::set<const CertEntry*>& matched, bool has_good);
  void ServeLastGood(CertEntry& entry, FoundCertificate last, const std::vector<std::string>& files,
                     const std::string& reason, std::string_view hint);
  SwapInput InputOf(const CertSource& source, const tls::BundlePtr& in_service,
                    const tls::Chain& chain, const FoundCertificate& found) const;
  void Consider(const CertSource& source, CertEntry& entry, FoundCertificate found,
                const CertificateContext& context);
  // Into `input`: whether handshakes succeed, and which clients are lost.
  void Try(const CertSource& source, const CertEntry& entry, FoundCertificate& candidate,
           const CertificateContext& context, SwapInput& input) const;
  void Take(const CertSource& source, CertEntry& entry, FoundCertificate found,
            const SwapDecision& decision);
  // `hint`: the way out.
  void Refuse(CertEntry& entry, const std::string& reason, std::string_view hint);
  void Watch(const CertEntry& entry, const FoundCertificate& found);
  void DropPending(CertEntry& entry);
  bool WaitsForStaple(const CertEntry& entry, const FoundCertificate& candidate) const;
  void CheckPending(CertEntry& entry);
  void PutInService(CertEntry& entry, FoundCertificate found, const std::string& objection,
                    bool is_forced);
  void ProveLater(CertEntry& entry);
  void StopProving(CertEntry& entry);
  void TakeOutOfService(CertEntry& entry, const std::string& failure,
                        const CertificateContext& context);
  void SaveLastGood(const CertEntry& entry);
  // Those of the last call where they are the same.
  std::shared_ptr<const std::vector<tls::ChainProof>> Share(std::vector<tls::ChainProof> proofs);

  const config::Config& config() const { return *snapshot_->config; }

  Options options_;
  server::SnapshotPtr snapshot_;
  LastGood last_good_;
  std::shared_ptr<const std::vector<tls::ChainProof>> last_proofs_;
  std::set<CertEntry*> fresh_;    // their findings are to be told
  std::set<CertEntry*> waiting_;  // for their staple
  std::unordered_map<std::string, std::vector<CertEntry*>> proving_;  // by fingerprint
  event::Timer pending_;
};

}  // namespace genkan::control
