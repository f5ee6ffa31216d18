// Certificate revocation lists (RFC 5280 5): is this certificate on its issuer's list? No I/O, no
// clock of its own; any thread. A list may have a hundred megabytes, so it is walked where it lies
// and never turned into objects.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/tls/certificate.h"

namespace genkan::tls {

inline constexpr size_t kMaxCrlBytes = 100 << 20;

struct CrlAnswer {
  bool is_revoked = false;
  WallTime revoked_at{};
  std::string reason;  // "keyCompromise"; "" where none is given
  WallTime this_update;
  WallTime next_update;  // a day after this_update where none is given
  uint64_t entries = 0;
};

// Looks `leaf` up in `crl` (DER, or PEM). An error where the list says nothing about it: not signed
// by `issuer`, not for end entities or not for the leaf's distribution points
// (IssuingDistributionPoint), a delta, an indirect or a by-reason list, an unknown critical
// extension, or not fresh (skew 300 s).
Result<CrlAnswer> LookUpInCrl(std::string_view crl, const Certificate& leaf,
                              const Certificate& issuer, WallTime now);
// The same for many of one issuer: the signature is checked once and the list walked once. As many
// answers as leaves.
std::vector<Result<CrlAnswer>> LookUpAllInCrl(std::string_view crl,
                                              std::span<const Certificate* const> leaves,
                                              const Certificate& issuer, WallTime now);

}  // namespace genkan::tls
