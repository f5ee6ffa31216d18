#include "proxy/control/standby.h"

#include "proxy/control/revocation_reaction.h"

namespace genkan::control {

Status CanStandIn(const CertEntry& standby, const CertEntry& replaced,
                  const std::vector<std::string>& site_names, const CertLeaves& leaves,
                  WallTime now) {
  if (!standby.in_service)
    return Fail(ErrorCode::kNotFound, "it is not in service: {}",
                standby.refusal.empty() ? "no files" : standby.refusal);
  const tls::Certificate& leaf = standby.in_service->leaf();
  if (leaf.not_after() <= now)
    return Fail(ErrorCode::kTls, "it expired on {}", FormatIso8601(leaf.not_after()));
  if (leaf.not_before() > now)
    return Fail(ErrorCode::kTls, "it is not valid before {}", FormatIso8601(leaf.not_before()));
  const Alarm alarm = AlarmOf(leaves.StateOf(leaf.sha256_hex()));
  if (alarm >= Alarm::kOverdue) return Fail(ErrorCode::kTls, "it is {} itself", ToString(alarm));
  for (const std::string& name : site_names) {
    if (CoversSiteName(replaced.in_service->leaf(), name) && !CoversSiteName(leaf, name))
      return Fail(ErrorCode::kTls, "it does not cover {}", name);
  }
  return {};
}

}  // namespace genkan::control
