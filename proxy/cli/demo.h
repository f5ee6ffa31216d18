// `genkan demo`: the lines to paste, as text. Pure; the command itself is in demo.cc.
#pragma once

#include <cstdint>
#include <string>

namespace genkan::cli {

struct DemoPlaces {
  std::string program;  // how to call genkan
  std::string folder, root_file, admin_socket;
  std::string origin;  // 127.0.0.1:PORT
  std::string renew_url, token;
  uint16_t tls_port = 0, plain_port = 0;
  bool has_web_proxy = false;  // the environment sends curl through a proxy
};

// Every command in it works in a POSIX shell as it stands.
std::string DemoText(const DemoPlaces& places);

// For a POSIX shell; quoted only where it has to be.
std::string ShellWord(const std::string& text);

}  // namespace genkan::cli
