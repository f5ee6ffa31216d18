// One certificate of one site: what is in service, what waits to be, and what is said of it; and
// the entry of the configuration that it comes from. Values of the CertManager, which hands them to
// the reader, the swapper and the publisher; control thread.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/control/cert_leaves.h"
#include "proxy/control/cert_manager.h"
#include "proxy/control/diagnosis/finding.h"
#include "proxy/control/path_list.h"
#include "proxy/control/swap_rules.h"

namespace genkan::control {

struct CertSource;

struct CertEntry {
  CertSource* source = nullptr;  // whose it is
  std::string site;              // primary name
  std::string name;              // FoundCertificate::name
  std::string last_good_name;    // in LastGood

  tls::BundlePtr in_service;  // null: none; with the staple that was published last
  tls::Chain chain;
  tls::CertificatePtr issuer;
  // Of what is in service; null: none. Of thousands nearly all are alike, and shared.
  std::shared_ptr<const std::vector<tls::ChainProof>> proofs;
  bool is_judged = false;  // false: they are still to come
  WallTime since{};
  uint64_t swaps = 0;
  PathList files;
  std::string fingerprint;    // of in_service
  bool is_proved = false;     // false: it serves, its trial is still to come
  bool is_last_good = false;  // state_dir has it already
  std::string broken;         // the fingerprint of one that failed its trial while it served

  // Taken, but waits for its first staple.
  std::unique_ptr<FoundCertificate> pending;
  MonotonicTime pending_since{};
  std::string pending_objection;  // of kTakeWithError
  bool pending_is_forced = false;

  std::string refusal;  // why what the files have is not in service; "" when it is
  WallTime refused_at{};
  uint64_t refusals = 0;
  // Also when good ones have followed.
  struct Refusal {
    std::string reason;
    WallTime at{};
  } last_refusal;
  // Revoked or to be renewed now, and its site's standby certificate is served in its place.
  bool is_replaced = false;
  bool is_standing_in = false;  // of a standby: it is served
  std::string standby_problem;  // why no standby takes its place, where one is named

  bool is_last_good_tried = false;
  std::vector<std::string> leaves;  // by which the CertIndex has it
  bool is_missing_told = false, is_expiry_told = false, is_unknown_root_told = false;
};

// One entry of a site's `certificates`, with what it gave and what is due for it.
struct CertSource {
  std::string site;  // primary name
  size_t site_index = 0;
  bool is_standby = false;  // the site's `standby`, not one of its `certificates`
  config::CertificateSource config;
  std::vector<std::string> watch;
  std::vector<std::unique_ptr<CertEntry>> entries;
  bool needs_reading = true, is_reload = false, is_forced = false;
  bool needs_retry = false;     // soon, without an event
  std::set<std::string> wants;  // certificates (SHA-256) whose issuer is looked for by AIA

  bool IsSameAs(const std::string& other_site, bool standby,
                const config::CertificateSource& other) const {
    return site == other_site && is_standby == standby && config.path == other.path &&
           config.certificate == other.certificate && config.key == other.key &&
           config.chain == other.chain;
  }
};
using CertSources = std::vector<std::unique_ptr<CertSource>>;  // in the snapshot's order

// function(const CertSource&, CertEntry&)
template <class Function>
void ForEachEntry(const CertSources& sources, Function function) {
  for (const auto& source : sources) {
    for (const auto& entry : source->entries) function(*source, *entry);
  }
}

struct CertFinding {
  LogLevel level;
  const char* event;  // "cert_expires"
  FindingCode code;   // as `check` and `doctor` say it
  std::string text;   // "expires in 3 days, on …"
};

// Why a site has no certificate at all: `refusal` is CertEntry's.
FindingCode CodeOfMissing(std::string_view refusal);
// What FindingsOf asks besides the entry itself.
struct FindingFrame {
  WallTime now;
  bool is_ocsp_enabled = false;
  std::vector<std::string> uncovered;  // names of the site that none of its certificates covers
  // Of a missing issuer: whether it is on its way, and how that stands ("fetching it failed: …").
  bool is_issuer_under_way = false;
  std::string issuer_state;
};

std::string ShaOf(const tls::BundlePtr& bundle);  // hex, of the leaf; "" of null
SwapSide SideOf(const tls::BundlePtr& bundle, const tls::Chain& chain, const LeafState& state);

std::vector<CertFinding> FindingsOf(const CertEntry& entry, const CertLeaves& leaves,
                                    const FindingFrame& frame);
CertificateStatus StatusOf(const CertSource& source, const CertEntry& entry,
                           const CertLeaves& leaves, bool is_ocsp_enabled,
                           const std::vector<CertFinding>& findings);

// "CN=a, CN=R3": for the log.
std::string DescribeChain(const std::vector<tls::CertificatePtr>& chain);

}  // namespace genkan::control
