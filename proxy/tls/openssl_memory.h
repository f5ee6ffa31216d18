// OpenSSL's memory from our lists of blocks.
#pragma once

namespace genkan::tls {

// Called once, before OpenSSL's first allocation and before there are threads.
void KeepOpensslBlocks();

}  // namespace genkan::tls
