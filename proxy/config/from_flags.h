// A configuration without a file: `genkan run --cert … --upstream …`, or the same as GENKAN_…
// variables. Any thread.
#pragma once

#include <string>
#include <vector>

#include "proxy/config/config.h"

namespace genkan::config {

struct RunFlags {
  std::vector<std::string> certs;  // --cert: lineage directories, files, globs
  std::string upstream;            // --upstream: a URL
  std::string listen = ":443";     // --listen, with TLS
  std::string http = ":80";        // --http, plain: challenges and the redirect; "off" for none
  std::vector<std::string> acme_webroot;  // --acme-webroot
  std::vector<std::string> names;         // --name; none: every host
};

// One site. What is wrong with the values is for Validate to say; its messages name the flags.
Config ConfigFromFlags(const RunFlags& flags);

}  // namespace genkan::config
