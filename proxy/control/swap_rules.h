// Whether a certificate that was found in the files takes the place of the one in service. Pure: no
// I/O, no clock of its own; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/tls/chain_builder.h"

namespace genkan::control {

// How good a chain is, worst first.
enum class ChainState {
  kIncomplete,   // an intermediate is missing: clients fail
  kUnknownRoot,  // ends below a root that no store has: a private authority
  kComplete,
};
ChainState StateOf(const tls::Chain& chain);

struct SwapSide {
  tls::CertificatePtr leaf;  // null: nothing is in service
  std::vector<tls::CertificatePtr> chain, long_chain;
  ChainState chain_state = ChainState::kComplete;
  bool is_revoked = false;
  bool must_renew = false;  // the authority says so (ARI)
};

struct SwapInput {
  SwapSide in_service, candidate;
  std::vector<std::string> site_names;  // lower case, "*.example.com", "*"
  WallTime now;
  bool serves_incomplete = false;    // incomplete_at_swap = "serve"
  bool may_be_half_written = false;  // a file that belongs to it could not be read in full
  bool is_forced = false;
  // Of the handshakes in memory; both empty before they were tried.
  std::string handshake_failure;  // no client gets through
  // Kinds of clients that take the one in service and refuse the candidate, with the reason:
  // "Android before 7.1.1 (CN=R3: unable to get local issuer certificate)".
  std::vector<std::string> lost_clients;
};

struct SwapDecision {
  enum class Kind { kNothingToDo, kTake, kTakeWithError, kRefuse };
  Kind kind = Kind::kNothingToDo;
  // Of kRefuse why, of kTakeWithError what would have been refused otherwise; short and the same
  // for the same case.
  std::string reason;
  bool can_be_forced = false;  // of kRefuse: `genkan reload --force` takes it
  bool takes() const { return kind == Kind::kTake || kind == Kind::kTakeWithError; }
};

SwapDecision DecideSwap(const SwapInput& input);

// The one in service cannot do its work for much longer, or does not already: revoked, to be
// renewed now, expired, or less than a day left.
bool IsUrgent(const SwapSide& in_service, WallTime now);

// As Certificate::Covers, and for a site's own "*.example.com" the same name in the certificate.
// "*" is covered by anything.
bool CoversSiteName(const tls::Certificate& certificate, std::string_view site_name);

}  // namespace genkan::control
