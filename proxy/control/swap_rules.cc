#include "proxy/control/swap_rules.h"

#include <algorithm>

#include "proxy/base/text.h"

namespace genkan::control {
namespace {

constexpr auto kShortTime = std::chrono::hours(24);
// Clocks differ by that much without anybody's fault.
constexpr Seconds kSkew{300};

bool IsSame(const SwapSide& a, const SwapSide& b) {
  const auto is_equal = [](const auto& one, const auto& other) {
    return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                      [](const auto& x, const auto& y) { return x->sha256() == y->sha256(); });
  };
  return is_equal(a.chain, b.chain) && is_equal(a.long_chain, b.long_chain);
}

// Names that the site needs, that the one in service covers and the candidate does not.
std::vector<std::string> LostNames(const SwapInput& input) {
  std::vector<std::string> lost;
  for (const std::string& name : input.site_names) {
    if (CoversSiteName(*input.in_service.leaf, name) &&
        !CoversSiteName(*input.candidate.leaf, name))
      lost.push_back(name);
  }
  return lost;
}

std::string Join(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += between;
    text += word;
  }
  return text;
}

std::vector<std::string> Objections(const SwapInput& input) {
  const SwapSide &old = input.in_service, &candidate = input.candidate;
  std::vector<std::string> objections;
  if (candidate.chain_state < old.chain_state &&
      !(candidate.chain_state == ChainState::kIncomplete && input.serves_incomplete)) {
    objections.emplace_back(
        candidate.chain_state == ChainState::kIncomplete
            ? "its chain is incomplete and the one in service is not"
            : "its chain ends at a root that no trust store has, unlike the one in service");
  }
  // What an incomplete chain costs is said already, or is what the operator allows.
  if (!input.lost_clients.empty() && objections.empty() &&
      candidate.chain_state != ChainState::kIncomplete) {
    objections.push_back("it is refused by clients that take the one in service: " +
                         Join(input.lost_clients, "; "));
  }
  if (input.may_be_half_written && candidate.chain_state != ChainState::kComplete &&
      candidate.chain.size() < old.chain.size()) {
    objections.emplace_back(
        "its files are not readable in full and its chain is shorter than the one in service");
  }
  if (candidate.is_revoked && !old.is_revoked) objections.emplace_back("it is revoked");
  auto lost = LostNames(input);
  if (!lost.empty())
    objections.push_back("it does not cover " + Join(lost, ", ") + ", unlike the one in service");
  // One of the two may well be earlier: an authority that shortens its certificates, or one that
  // backdates.
  if (candidate.leaf->not_before() < old.leaf->not_before() &&
      candidate.leaf->not_after() < old.leaf->not_after()) {
    objections.emplace_back("it is older than the one in service: begins and ends earlier");
  }
  return objections;
}

}  // namespace

bool IsUrgent(const SwapSide& in_service, WallTime now) {
  return in_service.is_revoked || in_service.must_renew ||
         in_service.leaf->not_after() - now < kShortTime;
}

ChainState StateOf(const tls::Chain& chain) {
  if (chain.is_complete) return ChainState::kComplete;
  // An intermediate says where its issuer's certificate is; one that does not stands below a
  // private root.
  return chain.certificates.size() <= 1 || !chain.missing_urls.empty() ? ChainState::kIncomplete
                                                                       : ChainState::kUnknownRoot;
}

bool CoversSiteName(const tls::Certificate& certificate, std::string_view site_name) {
  if (site_name == "*") return true;
  if (site_name.find('*') == std::string_view::npos) return certificate.Covers(site_name);
  const auto& names = certificate.names();
  return std::find(names.begin(), names.end(), ToLower(site_name)) != names.end();
}

SwapDecision DecideSwap(const SwapInput& input) {
  using Kind = SwapDecision::Kind;
  const SwapSide& candidate = input.candidate;
  // Nothing to lose. A server that refuses everybody is no better than one with an expired
  // certificate.
  if (!input.in_service.leaf) return {Kind::kTake, ""};
  if (IsSame(input.in_service, candidate)) return {Kind::kNothingToDo, ""};
  if (candidate.leaf->not_after() <= input.now)
    return {Kind::kRefuse,
            "it has expired: not_after " + FormatIso8601(candidate.leaf->not_after())};
  if (!input.handshake_failure.empty())
    return {Kind::kRefuse, "no handshake succeeds with it: " + input.handshake_failure};
  if (candidate.leaf->not_before() > input.now + kSkew && !input.is_forced &&
      input.in_service.leaf->not_after() > input.now) {
    return {Kind::kRefuse,
            "it is not yet valid: not_before " + FormatIso8601(candidate.leaf->not_before()), true};
  }
  auto objections = Objections(input);
  if (objections.empty()) return {Kind::kTake, ""};
  std::string reason = Join(objections, "; ");
  if (input.is_forced || IsUrgent(input.in_service, input.now))
    return {Kind::kTakeWithError, std::move(reason)};
  return {Kind::kRefuse, std::move(reason), true};
}

}  // namespace genkan::control
