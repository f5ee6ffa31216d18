// An OpenSSL provider of ours, beside the default one: what a TLS 1.3 handshake of a server asks
// OpenSSL 3.0 for most often, without what it costs there (a fetch, contexts within contexts,
// portable C where assembler is at hand). Everything else, and every other user of OpenSSL in the
// process, stays with the default provider: only who asks with the property query below gets ours.
#pragma once

namespace genkan::tls::provider {

// The property query for the SSL_CTX of a server, or null where there is no provider of ours:
// OpenSSL's configuration chose other ones (FIPS), or a part is missing. Loaded at the first call,
// for the life of the process. Any thread.
const char* PropertyQuery();

}  // namespace genkan::tls::provider
