// The leaves whose sessions may not resume, and until when a ticket of each may live. Given to the
// next process at a hand-over by descriptor. Pure but for the descriptor; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/net/fd.h"

namespace genkan::control {

using BarredLeaves = std::map<std::string, WallTime>;  // SHA-256 of the leaf, 32 bytes

// Records of 40 bytes: the hash, then seconds since 1970, most significant byte first.
std::string PackBarred(const BarredLeaves& leaves);
// Whole records only, at most kMaxBarred.
Result<BarredLeaves> ParseBarred(std::string_view bytes);
inline constexpr size_t kMaxBarred = 1'000'000;

// In memory that a descriptor stands for.
Result<net::Fd> WriteBarred(const BarredLeaves& leaves);
Result<BarredLeaves> ReadBarred(const net::Fd& memory);

}  // namespace genkan::control
