#include "proxy/control/cert_leaves.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/control/ari.h"
#include "proxy/tls/ari.h"
#include "proxy/tls/ocsp.h"

namespace genkan::control {
namespace {

struct Pair {
  tls::CertificatePtr leaf, issuer;
};

Result<Pair> Parse(const CertificateView& view) {
  auto leaf = tls::Certificate::FromDer(view.leaf_der);
  if (!leaf) return PassOn(leaf, "{}", view.name);
  if (view.issuer_der.empty())
    return Fail(ErrorCode::kNotFound, "{}: the issuer's certificate ({}) is not known", view.name,
                (*leaf)->issuer());
  auto issuer = tls::Certificate::FromDer(view.issuer_der);
  if (!issuer) return PassOn(issuer, "{}: issuer", view.name);
  return Pair{*std::move(leaf), *std::move(issuer)};
}

}  // namespace

// One for each watcher, so that its timers are its own.
class CertLeaves::Env final : public CertificateEnv {
 public:
  Env(CertLeaves& leaves, size_t watcher) : leaves_(leaves), watcher_(watcher) {}

  WallTime now() const override { return leaves_.options_.clock.Wall(); }

  void Fetch(FetchRequest request, std::function<void(Result<FetchResponse>)> done) override {
    std::weak_ptr<bool> alive = leaves_.alive_;
    std::string address = request.url + ": ";
    leaves_.options_.fetcher.Fetch(
        std::move(request), [alive, address = std::move(address),
                             done = std::move(done)](Result<FetchResponse> response) {
          if (!alive.lock()) return;
          // Without the address, which a GET and ARI make another for each certificate: one cause
          // is one line, however many meet it.
          if (!response && response.error().detail.starts_with(address)) {
            Error error = response.error();
            error.detail.erase(0, address.size());
            response = tl::unexpected<Error>(std::move(error));
          }
          done(std::move(response));
        });
  }

  std::string LoadState(std::string_view folder, std::string_view name) override {
    return leaves_.options_.state.Load(folder, name);
  }
  void SaveState(std::string_view folder, std::string_view name, std::string_view bytes) override {
    leaves_.options_.state.Save(folder, name, bytes);
  }

  Result<std::string> MakeOcspRequest(const CertificateView& certificate) override {
    auto pair = Parse(certificate);
    if (!pair) return PassOn(pair);
    return tls::MakeOcspRequest(*pair->leaf, *pair->issuer);
  }

  std::string OcspGetUrl(std::string_view url, std::string_view request) override {
    return fmt::format("{}{}{}", url, url.ends_with('/') ? "" : "/", tls::OcspGetPath(request));
  }

  Result<OcspResult> VerifyOcsp(const CertificateView& certificate,
                                std::string_view response) override {
    auto pair = Parse(certificate);
    if (!pair) return PassOn(pair);
    auto answer = tls::VerifyOcsp(response, *pair->leaf, *pair->issuer, now());
    if (!answer) return PassOn(answer);
    OcspResult result;
    result.state = answer->state == tls::OcspState::kGood      ? OcspResult::State::kGood
                   : answer->state == tls::OcspState::kRevoked ? OcspResult::State::kRevoked
                                                               : OcspResult::State::kUnknown;
    result.this_update = answer->staple.this_update;
    result.next_update = answer->staple.next_update;
    result.revoked_at = answer->revoked_at;
    result.reason = answer->reason;
    return result;
  }

  // Verified here once more: whatever a module says, only a good answer for this very leaf is
  // served.
  void AttachStaple(const CertificateView& certificate, std::string_view response) override {
    Leaf* leaf = leaves_.Find(certificate.sha256_hex);
    if (leaf == nullptr) return;
    std::shared_ptr<const tls::Staple> staple;
    if (!response.empty()) {
      if (!leaf->issuer) return;
      auto answer = tls::VerifyOcsp(response, *leaf->leaf, *leaf->issuer, now());
      if (!answer || answer->state != tls::OcspState::kGood) {
        LOG_WARN("staple_refused", "certificate={} error=\"{}\"", certificate.name,
                 answer ? std::string("not good") : answer.error().detail);
        return;
      }
      staple = std::make_shared<const tls::Staple>(std::move(answer->staple));
    }
    leaf->staple = std::move(staple);
    leaf->stapled_by = watcher_;
    leaves_.options_.on_change(certificate.sha256_hex);
  }

  void CheckCrl(const CertificateView& certificate, const std::string& url, bool is_refresh,
                std::function<void(Result<CrlResult>)> done) override {
    leaves_.crls_.Check(certificate, url, is_refresh, std::move(done));
  }

  std::string AriDirectory(const CertificateView& certificate) override {
    const Leaf* leaf = leaves_.Find(certificate.sha256_hex);
    if (leaf == nullptr) return {};
    const std::string& issuer = leaf->leaf->issuer_organization();
    for (const config::AriAuthority& authority : leaves_.authorities_) {
      if (authority.issuer == issuer) return authority.directory;
    }
    return {};
  }
  Result<std::string> ReadAcmeDirectory(std::string_view json) override {
    return control::ReadAcmeDirectory(json);
  }
  Result<RenewalInfo> ReadRenewalInfo(std::string_view json) override {
    return control::ReadRenewalInfo(json);
  }
  Result<std::string> AriCertId(const CertificateView& certificate) override {
    auto leaf = tls::Certificate::FromDer(certificate.leaf_der);
    if (!leaf) return PassOn(leaf);
    return tls::AriCertId(**leaf);
  }
  std::optional<Millis> RetryAfter(const FetchResponse& response) override {
    for (const auto& [name, value] : response.headers) {
      if (name == "retry-after") return ParseRetryAfter(value, now());
    }
    return std::nullopt;
  }

  void Report(const CertificateView& certificate, StateReport report) override {
    Leaf* leaf = leaves_.Find(certificate.sha256_hex);
    if (leaf == nullptr) return;
    const std::string source = report.source;
    leaf->reports[source] = {watcher_, std::move(report)};
    leaves_.options_.on_change(certificate.sha256_hex);
  }

  void CallAgain(const CertificateView& certificate, Millis delay) override {
    Leaf* leaf = leaves_.Find(certificate.sha256_hex);
    if (leaf == nullptr) return;
    auto& timer = leaf->timers[watcher_];
    if (!timer) {
      timer = std::make_unique<event::Timer>(
          leaves_.options_.loop, [this, sha = certificate.sha256_hex] { OnTimer(sha); });
    }
    timer->Start(delay);
  }

 private:
  void OnTimer(const std::string& sha256_hex);

  CertLeaves& leaves_;
  size_t watcher_;
};

struct CertLeaves::Slot {
  Slot(CertLeaves& leaves, size_t number, std::unique_ptr<CertificateWatcher> given)
      : index(number), env(leaves, number), watcher(std::move(given)) {}
  size_t index;
  Env env;
  std::unique_ptr<CertificateWatcher> watcher;  // gone before its env
};

void CertLeaves::Env::OnTimer(const std::string& sha256_hex) {
  if (Leaf* leaf = leaves_.Find(sha256_hex)) {
    // A copy: the hook may end in the leaf's going.
    const CertificateView view = leaf->View();
    leaves_.slots_.at(watcher_)->watcher->OnTimer(*this, view);
  }
}

CertLeaves::CertLeaves(Options options)
    : options_(std::move(options)),
      crls_({options_.loop, options_.fetcher, options_.pool, options_.state, options_.clock}) {}

CertLeaves::~CertLeaves() {
  alive_.reset();
  slots_.clear();
}

CertLeaves::Leaf* CertLeaves::Find(std::string_view sha256_hex) {
  auto found = leaves_.find(sha256_hex);
  return found == leaves_.end() ? nullptr : &found->second;
}

void CertLeaves::Tell(Slot& slot, Leaf& leaf, const CertificateView& view) {
  leaf.unreleased.insert(slot.index);
  std::weak_ptr<bool> alive = alive_;
  slot.watcher->OnBundle(slot.env, view, [this, alive, index = slot.index, sha = view.sha256_hex] {
    if (alive.lock()) Release(index, sha);
  });
}

void CertLeaves::Release(size_t watcher, const std::string& sha256_hex) {
  Leaf* leaf = Find(sha256_hex);
  if (leaf == nullptr || leaf->unreleased.erase(watcher) == 0) return;
  if (leaf->unreleased.empty()) options_.on_change(sha256_hex);
}

size_t CertLeaves::AddWatcher(std::unique_ptr<CertificateWatcher> watcher) {
  const size_t number = next_slot_++;
  Slot& slot = *(slots_[number] = std::make_unique<Slot>(*this, number, std::move(watcher)));
  for (auto& [sha, leaf] : leaves_) Tell(slot, leaf, leaf.View());
  return number;
}

void CertLeaves::RemoveWatcher(size_t number) {
  for (auto& [sha, leaf] : leaves_) {
    leaf.timers.erase(number);
    leaf.unreleased.erase(number);
    std::erase_if(leaf.reports, [&](const auto& item) { return item.second.by == number; });
    if (leaf.stapled_by == number) leaf.staple = nullptr;
  }
  slots_.erase(number);
  options_.on_change({});
}

CertificateView CertLeaves::Leaf::View() const {
  CertificateView view;
  view.name = name;
  view.site = site;
  view.sha256_hex = leaf->sha256_hex();
  view.leaf_der = leaf->der();
  if (issuer) view.issuer_der = issuer->der();
  view.serial_hex = leaf->serial_hex();
  view.not_before = leaf->not_before();
  view.not_after = leaf->not_after();
  view.names = leaf->names();
  view.ocsp_urls = leaf->ocsp_urls();
  view.crl_urls = leaf->crl_urls();
  view.has_must_staple = leaf->has_must_staple();
  return view;
}

void CertLeaves::Watch(std::string name, std::string site, tls::CertificatePtr leaf,
                       tls::CertificatePtr issuer) {
  auto [found, is_new] = leaves_.try_emplace(leaf->sha256_hex());
  if (!is_new) {
    // The issuer may have come with the second one.
    if (!found->second.issuer) found->second.issuer = std::move(issuer);
    return;
  }
  found->second.name = std::move(name);
  found->second.site = std::move(site);
  found->second.leaf = std::move(leaf);
  found->second.issuer = std::move(issuer);
  const CertificateView view = found->second.View();
  for (auto& [number, slot] : slots_) Tell(*slot, found->second, view);
}

void CertLeaves::Drop(const std::string& sha256_hex) {
  if (leaves_.extract(sha256_hex).empty()) return;
  for (auto& [number, slot] : slots_) slot->watcher->OnGone(slot->env, sha256_hex);
}

void CertLeaves::Refresh() {
  for (auto& [sha, leaf] : leaves_) {
    const CertificateView view = leaf.View();
    for (auto& [number, slot] : slots_) slot->watcher->OnRefresh(slot->env, view);
  }
}

size_t CertLeaves::SweepState(WallTime before) {
  size_t removed = 0;
  // The watchers' folders, by the leaf's hash.
  for (std::string_view folder : {"ocsp", "ari"}) {
    removed += options_.state.Sweep(
        folder, [this](std::string_view hash) { return leaves_.contains(hash); }, before);
  }
  std::set<std::string> urls;
  for (const auto& [sha, leaf] : leaves_)
    urls.insert(leaf.leaf->crl_urls().begin(), leaf.leaf->crl_urls().end());
  const auto lists = crls_.Keep(urls);
  return removed + options_.state.Sweep(
                       "crl", [&](std::string_view hash) { return lists.contains(hash); }, before);
}

bool CertLeaves::IsReleased(const std::string& sha256_hex) const {
  auto found = leaves_.find(sha256_hex);
  return found == leaves_.end() || found->second.unreleased.empty();
}

std::shared_ptr<const tls::Staple> CertLeaves::StapleOf(const std::string& sha256_hex) const {
  auto found = leaves_.find(sha256_hex);
  if (found == leaves_.end() || !found->second.staple) return nullptr;
  if (found->second.staple->next_update <= options_.clock.Wall()) return nullptr;
  return found->second.staple;
}

LeafState CertLeaves::StateOf(const std::string& sha256_hex) const {
  LeafState state;
  auto found = leaves_.find(sha256_hex);
  if (found == leaves_.end()) return state;
  // Revoked counts whoever says it, then good, then why nobody knows.
  auto rank = [](std::string_view word) {
    return word == "revoked" ? 3 : word == "good" ? 2 : word == "unknown" ? 1 : 0;
  };
  int best = 0;
  for (const auto& [source, said] : found->second.reports) {
    const StateReport& report = said.what;
    if (report.state == "renew" || report.state == "overdue") {
      state.must_renew = true;
      state.is_overdue = report.state == "overdue";
      state.renewal = report;
    } else if (report.state == "keep") {
      state.renewal = report;
    }
    if (rank(report.state) <= best) continue;
    best = rank(report.state);
    state.revocation = report.state;
    state.source = source;
    state.since = report.since;
    state.why = report.why.empty() ? source : source + ": " + report.why;
  }
  return state;
}

}  // namespace genkan::control
