// conf/ari.toml and files of its form: which ACME directory tells when a certificate of which
// issuer should be renewed (RFC 9773). Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/config/reader.h"

namespace genkan::config {

// The errors have their positions, as those of genkan.toml.
OrErrors<std::vector<AriAuthority>> ReadAriText(std::string_view text, const std::string& file);

// conf/ari.toml, as it was when this was built.
std::string_view BuiltinAriText();

// Those of `revocation`, then the built-in ones: the first whose issuer fits counts.
std::vector<AriAuthority> AllAriAuthorities(const Revocation& revocation);

}  // namespace genkan::config
