// Blocks that OpenSSL frees, kept for its next request of the same size, a list for each thread.
#pragma once

namespace genkan::tls {

// A handshake takes and frees some thousand blocks of a few dozen sizes. glibc keeps seven of a
// size for a thread and searches, splits and joins for the rest. Called once, before OpenSSL's
// first allocation and before there are threads; without effect under a sanitizer, which wants to
// see each block. At most a MiB is kept for a thread, and goes with it.
void KeepOpensslBlocks();

}  // namespace genkan::tls
