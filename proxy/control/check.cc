#include "proxy/control/check.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "proxy/tls/trust_profile.h"
#include "proxy/tls/trust_store.h"

namespace genkan::control {
namespace {

constexpr auto kDay = std::chrono::hours(24);
// An authority that replaces its intermediate says so weeks before; a fortnight is late.
constexpr auto kIntermediateNotice = 14 * kDay;

// Reported from the last third of a certificate's life on, of short ones (below ten days) from the
// last half.
bool IsNearItsEnd(const tls::Certificate& leaf, WallTime now) {
  const auto life = leaf.not_after() - leaf.not_before();
  const auto left = leaf.not_after() - now;
  return left <= (life < 10 * kDay ? life / 2 : life / 3);
}

std::string InDays(WallTime now, WallTime then) {
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(then - now).count();
  if (hours < 48) return fmt::format("in {} hours", hours);
  return fmt::format("in {} days", hours / 24);
}

// A site's name may be a wildcard itself; "*" takes every host and asks nothing of a certificate.
bool IsCovered(const std::string& name, const tls::Certificate& leaf) {
  if (name == "*") return true;
  if (name.starts_with("*.")) {
    const auto& names = leaf.names();
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  return leaf.Covers(name);
}

class Checking {
 public:
  Checking(const config::Config& config, FileAccess& files, WallTime now)
      : config_(config), files_(files) {
    context_.now = now;
  }

  CheckReport Run() {
    LoadTrust();
    LoadPool();
    for (const config::Site& site : config_.sites) CheckSite(site);
    return std::move(report_);
  }

 private:
  template <class... Args>
  void Note(std::string code, Severity severity, std::string file,
            fmt::format_string<Args...> format, Args&&... args) {
    report_.findings.push_back({std::move(code), severity, site_, std::move(file),
                                fmt::format(format, std::forward<Args>(args)...)});
  }

  void LoadTrust() {
    const std::string& store = config_.certificates.trust_store;
    auto roots = tls::LoadTrustStore(store);
    if (!roots) {
      Note("TRUST_STORE_UNREADABLE", Severity::kBroken, store, "{}", roots.error().detail);
      return;
    }
    context_.roots = *std::move(roots);
    if (context_.roots.empty()) {
      Note("TRUST_STORE_EMPTY", Severity::kNote, store,
           "no roots on this machine, so no chain can be verified; install ca-certificates");
      return;
    }
    auto profile = tls::TrustProfile::Make(tls::ModernProfile(context_.roots));
    if (profile) client_ = *std::move(profile);
  }

  void LoadPool() {
    std::vector<std::string> problems;
    context_.pool = ReadExtraPool(config_.certificates.pool, files_, problems);
    for (const std::string& problem : problems)
      Note("POOL_UNREADABLE", Severity::kWillBreak, "", "pool: {}", problem);
  }

  void CheckSite(const config::Site& site) {
    site_ = site.names.empty() ? "" : site.names.front();
    std::vector<tls::CertificatePtr> leaves;
    for (const config::CertificateSource& source : site.certificates) {
      for (const FoundCertificate& found : ReadSource(source, files_, context_).certificates) {
        CheckFound(found, FileOf(source, found), Severity::kBroken);
        if (found.bundle) leaves.push_back(found.bundle->leaf_ptr());
      }
    }
    if (!leaves.empty()) CheckNames(site, leaves);
    if (!site.standby.empty()) {
      config::CertificateSource standby;
      standby.path = site.standby;
      // Not in service today, but it is what there is when the other one is revoked.
      for (const FoundCertificate& found : ReadSource(standby, files_, context_).certificates)
        CheckFound(found, FileOf(standby, found), Severity::kWillBreak);
    }
    site_.clear();
  }

  void CheckNames(const config::Site& site, const std::vector<tls::CertificatePtr>& leaves) {
    for (const std::string& name : site.names) {
      const bool is_covered =
          std::any_of(leaves.begin(), leaves.end(),
                      [&](const tls::CertificatePtr& leaf) { return IsCovered(name, *leaf); });
      if (is_covered) continue;
      std::set<std::string> names;
      for (const tls::CertificatePtr& leaf : leaves)
        names.insert(leaf->names().begin(), leaf->names().end());
      std::string list;
      for (const std::string& one : names) list += (list.empty() ? "" : ", ") + one;
      Note("NAME_NOT_COVERED", Severity::kBroken, "",
           "the certificate does not cover {}; it is for {}; ask for one with that name too", name,
           list.empty() ? "no name at all" : list);
    }
  }

  // What the operator wrote; of a pattern, what it matched.
  static std::string FileOf(const config::CertificateSource& source,
                            const FoundCertificate& found) {
    if (source.path.empty()) return source.certificate;
    if (source.path.find_first_of("*?[") == std::string::npos || found.files.empty())
      return source.path;
    const std::string& first = found.files.front();
    return found.name == first ? first : first.substr(0, first.rfind('/'));
  }

  // `broken`: how bad it is when it cannot be used.
  void CheckFound(const FoundCertificate& found, const std::string& file, Severity broken) {
    CheckedCertificate checked;
    checked.site = site_;
    checked.name = found.name;
    checked.files = found.files;
    if (!found.bundle) {
      Note(CodeOf(found.error), broken, file, "{}", found.error);
    } else {
      const tls::Certificate& leaf = found.bundle->leaf();
      checked.is_usable = true;
      checked.subject = leaf.subject();
      checked.serial = leaf.serial_hex();
      checked.names = leaf.names();
      checked.not_before = leaf.not_before();
      checked.not_after = leaf.not_after();
      checked.is_chain_complete = found.chain.is_complete;
      checked.missing_issuer = found.chain.missing_issuer;
      for (const auto& one : found.bundle->chain()) checked.chain.push_back(one->subject());
      for (const tls::DroppedCertificate& one : found.chain.dropped)
        checked.dropped.push_back(
            fmt::format("{}: {}", one.certificate->subject(), tls::ToString(one.reason)));
      // The proxy takes no new pair while one of its files is damaged.
      if (!found.error.empty()) Note("FILE_DAMAGED", Severity::kWillBreak, file, "{}", found.error);
      CheckDates(leaf, file, broken);
      CheckChain(found, file, broken);
      CheckStaple(leaf, file, broken);
    }
    report_.certificates.push_back(std::move(checked));
  }

  static std::string CodeOf(std::string_view error) {
    const bool is_mismatch = error.find("does not match") != std::string_view::npos;
    return is_mismatch ? "KEY_MISMATCH" : "CERTIFICATE_UNREADABLE";
  }

  void CheckDates(const tls::Certificate& leaf, const std::string& file, Severity broken) {
    if (leaf.not_after() <= context_.now) {
      Note("LEAF_EXPIRED", broken, file, "{} expired on {}; renew it", leaf.subject(),
           FormatIso8601(leaf.not_after()));
    } else if (leaf.not_before() > context_.now) {
      Note("LEAF_NOT_YET_VALID", broken, file, "{} is not valid before {}; is the clock right?",
           leaf.subject(), FormatIso8601(leaf.not_before()));
    } else if (IsNearItsEnd(leaf, context_.now)) {
      Note("EXPIRES_SOON", Severity::kWillBreak, file,
           "{} expires {}, on {}; it should have been renewed by now: does the renewal run?",
           leaf.subject(), InDays(context_.now, leaf.not_after()), FormatIso8601(leaf.not_after()));
    }
  }

  void CheckChain(const FoundCertificate& found, const std::string& file, Severity broken) {
    const tls::Chain& chain = found.chain;
    const tls::Certificate& leaf = found.bundle->leaf();
    for (const tls::DroppedCertificate& one : chain.dropped) {
      if (one.reason == tls::DropReason::kDuplicate) continue;  // every lineage has them
      const bool is_expired = one.reason == tls::DropReason::kExpired;
      // Where it is what is missing, that the chain is not complete is the worse finding.
      Note(is_expired ? "INTERMEDIATE_EXPIRED" : "CERTIFICATE_DROPPED", Severity::kNote, file,
           "{} is left out of what is sent: {}", one.certificate->subject(),
           tls::ToString(one.reason));
    }
    if (leaf.is_self_signed()) {
      Note("SELF_SIGNED", Severity::kNote, file,
           "{} is self-signed: no client trusts it that does not know it", leaf.subject());
      return;
    }
    CheckIntermediates(found, file);
    if (chain.is_complete) {
      Verify(found, file, broken);
      return;
    }
    if (found.bundle->chain().size() > 1 && chain.missing_urls.empty()) {
      Note("ROOT_UNKNOWN", Severity::kNote, file,
           "the chain ends at {}, which is in no store here; a root of your own belongs in "
           "trust_store",
           chain.missing_issuer);
      return;
    }
    std::string where;
    if (!chain.missing_urls.empty())
      where = fmt::format(" (the certificate names {})", chain.missing_urls.front());
    Note("CHAIN_MISSING_INTERMEDIATE", broken, file,
         "the certificate of {} is missing, so most clients cannot verify {}; put it beside the "
         "leaf (chain.pem, fullchain.pem) or into [certificates] pool{}",
         chain.missing_issuer, leaf.subject(), where);
  }

  void CheckIntermediates(const FoundCertificate& found, const std::string& file) {
    const auto& chain = found.bundle->chain();
    for (size_t i = 1; i < chain.size(); ++i) {
      const tls::Certificate& one = *chain[i];
      if (one.not_after() >= found.bundle->leaf().not_after() ||
          one.not_after() > context_.now + kIntermediateNotice) {
        continue;
      }
      Note("INTERMEDIATE_EXPIRES_SOON", Severity::kWillBreak, file,
           "{} expires {}, before the leaf that it signed; renew the leaf", one.subject(),
           InDays(context_.now, one.not_after()));
    }
  }

  // As a client of today does it. A date that is wrong was said already.
  void Verify(const FoundCertificate& found, const std::string& file, Severity broken) {
    const tls::Certificate& leaf = found.bundle->leaf();
    if (!client_ || leaf.not_after() <= context_.now || leaf.not_before() > context_.now) return;
    const Status proved = client_->Prove(found.bundle->chain(), context_.now);
    if (proved) return;
    const tls::Certificate& last = *found.bundle->chain().back();
    const bool is_known = std::any_of(
        context_.roots.begin(), context_.roots.end(), [&](const tls::CertificatePtr& root) {
          return root->subject_der() == last.issuer_der() || root->der() == last.der();
        });
    if (is_known) {
      Note("CHAIN_NOT_VERIFIED", broken, file, "clients refuse {}: {}", leaf.subject(),
           proved.error().detail);
    } else {
      Note("ROOT_NOT_TRUSTED", Severity::kNote, file,
           "{} is in no trust store here: clients need it; name it in trust_store so that genkan "
           "can verify too",
           last.issuer());
    }
  }

  void CheckStaple(const tls::Certificate& leaf, const std::string& file, Severity broken) {
    if (!leaf.has_must_staple()) return;
    if (leaf.ocsp_urls().empty()) {
      Note("MUST_STAPLE_NO_RESPONDER", broken, file,
           "{} is must-staple but names no OCSP responder, so nothing can be stapled; ask for one "
           "without must-staple",
           leaf.subject());
    } else if (!config_.ocsp.enabled) {
      Note("MUST_STAPLE_OCSP_OFF", broken, file,
           "{} is must-staple, and [ocsp] enabled = false: browsers refuse it without a staple",
           leaf.subject());
    }
  }

  const config::Config& config_;
  FileAccess& files_;
  CertificateContext context_;
  tls::TrustProfilePtr client_;
  CheckReport report_;
  std::string site_;
};

}  // namespace

std::string_view ToString(Severity severity) {
  switch (severity) {
    case Severity::kNote:
      return "note";
    case Severity::kWillBreak:
      return "will_break";
    case Severity::kBroken:
      return "broken";
  }
  return "";
}

Severity CheckReport::worst() const {
  Severity worst = Severity::kNote;
  for (const Finding& finding : findings) worst = std::max(worst, finding.severity);
  return worst;
}

CheckReport ReportOf(const std::vector<std::string>& config_errors) {
  CheckReport report;
  for (const std::string& line : config_errors)
    report.findings.push_back({"CONFIG_ERROR", Severity::kBroken, "", "", line});
  return report;
}

CheckReport CheckCertificates(const config::Config& config, FileAccess& files, WallTime now) {
  return Checking(config, files, now).Run();
}

}  // namespace genkan::control
