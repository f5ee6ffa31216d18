// Which of a bundle's two chains a client gets (`chain = "by_client"`), from its ClientHello alone.
// Pure; any thread. The table for people stands in conf/trust/README.md.
#pragma once

#include "proxy/tls/certificate_bundle.h"
#include "proxy/tls/client_hello.h"

namespace genkan::tls {

// True: the long chain. False where the bundle has none, and wherever the hello does not say:
// the long chain breaks more clients than the short one.
bool WantsLongChain(const ClientHello& hello, const CertificateBundle& bundle);

}  // namespace genkan::tls
