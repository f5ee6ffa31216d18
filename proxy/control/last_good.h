// The certificates that were in service last, with their keys, in state_dir/last_good: a restart
// whose files are broken starts from them. A folder a site, in it one file a certificate (0600
// below 0700): leaf, chain and key together, so that they change as one. Its name tells where it
// was configured, so that another place in the configuration is not mistaken for a renewal. Control
// thread, unless it says otherwise; owned by the CertManager.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "proxy/control/certificate_source.h"
#include "proxy/control/private_folder.h"
#include "proxy/control/state_dir.h"
#include "proxy/event/timer.h"

namespace genkan::control {

class LastGood {
 public:
  LastGood(event::EventLoop& loop, StateDir& state);

  // "site/file".
  static std::string NameOf(const std::string& site, const config::CertificateSource& source,
                            const std::string& certificate);

  // Written soon, a few at a time: thousands of certificates do not hold up the start. What is
  // there already is not written again.
  void Save(std::string name, tls::BundlePtr bundle);
  // Whether this very bundle is what is kept: quickly, nothing of it is decoded. Any thread.
  bool Holds(const std::string& name, const tls::CertificateBundle& bundle);
  // Nothing where there is none, where it cannot be read, and where it is not valid now.
  std::optional<FoundCertificate> Load(const std::string& name, const CertificateContext& context);

 private:
  void SaveSome();

  StateDir& state_;
  std::deque<std::pair<std::string, tls::BundlePtr>> waiting_;
  event::Timer soon_;
};

// Where an earlier genkan left all files in last_good itself: each goes to its site's folder.
void MoveFlatLastGood(PrivateFolder& last_good);

}  // namespace genkan::control
