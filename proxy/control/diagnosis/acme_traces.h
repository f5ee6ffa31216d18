// What an ACME client leaves behind that says which version of the protocol it speaks: certbot's
// renewal files and its logs. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace genkan::control {

// …/renewal/example.com.conf (an INI file): what matters here.
struct RenewalConf {
  bool is_renewal = false;  // it looks like one at all
  std::string server;   // "https://acme-v02.api.letsencrypt.org/directory"; "" where none is named
  std::string version;  // of the certbot that wrote it, "0.20.0"
};
RenewalConf ParseRenewalConf(std::string_view text);

// The directory of version 1 of the protocol. Anybody else's is none of our business.
bool IsAcmeV1(std::string_view server);
// certbot spoke version 1 alone before 0.22 (March 2018).
bool IsCertbotOfV1(std::string_view version);

// …/letsencrypt.log, in pieces of any size: which directory was asked last. Lines are looked at up
// to 4 KiB; memory does not grow with the log.
class AcmeLogScanner {
 public:
  void Feed(std::string_view piece);
  void End();  // the last line may have no end

  // The directory of the last request; "" where there was none.
  const std::string& last_server() const { return last_server_; }

  static constexpr size_t kMaxLine = 4096;

 private:
  void Look();

  std::string line_;
  std::string last_server_;
};

}  // namespace genkan::control
