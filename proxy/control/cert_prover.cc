#include "proxy/control/cert_prover.h"

#include <algorithm>
#include <utility>

#include "proxy/base/allocator.h"
#include "proxy/base/log.h"
#include "proxy/base/text.h"

namespace genkan::control {
namespace {

constexpr std::string_view kFolder = "proofs";
constexpr std::string_view kHead = "genkan proofs 1\n";
constexpr Millis kSaveDelay{1'000};
constexpr Millis kLongestRest{100};
constexpr size_t kMany = 1'000;
constexpr size_t kHash = 32;
// A record is a letter and its hashes.
constexpr char kProof = 'P', kSignature = 'S';

std::string TrustOf(const CertificateContext& context) {
  std::set<std::string> parts;
  for (const auto& root : context.roots) parts.insert(root->sha256());
  for (const auto& profile : context.profiles) {
    std::string roots;
    for (const auto& root : profile->roots()) roots += root->sha256();
    parts.insert(profile->name() + tls::Sha256(roots));
  }
  // Another library may think otherwise.
  std::string text(tls::LibraryVersion());
  for (const std::string& part : parts) text += part;
  return HexEncode(AsBytes(tls::Sha256(text)));
}

}  // namespace

CertProver::CertProver(Options options)
    : options_(std::move(options)),
      next_(options_.loop, [this] { Next(); }),
      save_(options_.loop, [this] { Save(); }) {}

void CertProver::Load(const CertificateContext& context) {
  if (!trust_.empty() && roots_ == context.roots && profiles_ == context.profiles) return;
  roots_ = context.roots;
  profiles_ = context.profiles;
  std::string trust = TrustOf(context);
  if (trust == trust_) return;
  trust_ = std::move(trust);
  proved_.clear();
  const std::string bytes = options_.state.Load(kFolder, trust_);
  std::string_view rest = bytes;
  if (!rest.starts_with(kHead)) return;
  rest.remove_prefix(kHead.size());
  while (!rest.empty()) {
    const size_t size = rest.front() == kProof ? kHash : rest.front() == kSignature ? 2 * kHash : 0;
    // What is broken proves nothing; the rest of it neither.
    if (size == 0 || rest.size() < 1 + size) return;
    if (size == kHash) {
      proved_.emplace(rest.substr(1, kHash));
    } else {
      tls::RememberSignature(rest.substr(1, kHash), rest.substr(1 + kHash, kHash));
    }
    rest.remove_prefix(1 + size);
  }
}

void CertProver::MarkProved(const std::string& fingerprint) {
  if (proved_.insert(fingerprint).second) SaveSoon();
}

void CertProver::Prove(ProofTask task) {
  waiting_.push_back(std::move(task));
  if (!is_busy_ && !next_.is_running()) next_.Start(Millis(0));
}

// One at a time, and after each a rest as long as it took: the helpers have other work, and the
// cores serve.
void CertProver::Next() {
  if (is_busy_ || waiting_.empty()) return;
  ProofTask task = std::move(waiting_.front());
  waiting_.pop_front();
  if (task.has_trial) ++trials_;
  std::string fingerprint = task.bundle->fingerprint();
  auto prove = [task = std::move(task), profiles = profiles_, now = options_.clock.Wall()] {
    // The time of the question: the clock is this thread's.
    const ManualClock clock(now);
    // Apart: what is decoded for it is not kept.
    const MonotonicTime begin = SystemClock().Now();
    Answer answer;
    if (task.has_trial)
      answer.result.rehearsed =
          tls::Rehearse(task.bundle->Apart(), task.policy, task.server_name, profiles, clock);
    answer.result.proofs =
        tls::ProveChain(profiles, task.bundle->chain(), task.bundle->long_chain(), clock.Wall());
    answer.took = std::chrono::ceil<Millis>(SystemClock().Now() - begin);
    return answer;
  };
  if (options_.pool == nullptr) return Finish(fingerprint, prove());
  is_busy_ = true;
  std::weak_ptr<bool> alive = alive_;
  bool is_taken = options_.pool->Submit([this, alive, fingerprint, prove, loop = &options_.loop] {
    loop->Post([this, alive, fingerprint, answer = prove()] {
      if (!alive.lock()) return;
      is_busy_ = false;
      Finish(fingerprint, answer);
    });
  });
  if (is_taken) return;
  is_busy_ = false;
  Finish(fingerprint, prove());
}

void CertProver::Finish(const std::string& fingerprint, Answer answer) {
  if (answer.result.rehearsed && answer.result.rehearsed->failure.empty()) MarkProved(fingerprint);
  options_.on_result(fingerprint, std::move(answer.result));
  ++answered_;
  if (!waiting_.empty()) return next_.Start(std::min(answer.took, kLongestRest));
  // What thousands of trials took and left in between of what stays.
  if (std::exchange(answered_, 0) >= kMany) GiveBackFreed();
}

void CertProver::SaveSoon() {
  if (!save_.is_running()) save_.Start(kSaveDelay);
}

void CertProver::Save() {
  // Once, when all of a start is proved.
  if (is_busy_ || !waiting_.empty()) return SaveSoon();
  std::string bytes(kHead);
  std::set<std::string> kept;
  for (const tls::BundlePtr& bundle : options_.in_service()) {
    std::string fingerprint = bundle->fingerprint();
    if (!proved_.contains(fingerprint) || !kept.insert(fingerprint).second) continue;
    bytes += kProof + fingerprint;
    const auto& chain = bundle->chain();
    for (size_t i = 0; i + 1 < chain.size(); ++i) {
      // Computed already: the chain was built with it.
      if (!chain[i]->IsSignedBy(*chain[i + 1])) continue;
      bytes += kSignature + chain[i]->sha256() + tls::Sha256(chain[i + 1]->public_key());
    }
  }
  proved_ = std::move(kept);
  if (options_.state.Load(kFolder, trust_) != bytes) options_.state.Save(kFolder, trust_, bytes);
}

}  // namespace genkan::control
