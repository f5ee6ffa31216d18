// What `genkan demo` puts around the proxy: a folder of its own with a lineage, a webroot and a
// genkan.toml, a legacy origin, and an authority's services (OCSP responder, renewal) on a thread
// of their own. All on loopback; gone with the object. Main thread; `Renew` runs on the stage's
// own.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "proxy/base/result.h"
#include "proxy/control/http_service.h"
#include "proxy/event/event_loop.h"
#include "proxy/tls/demo_ca.h"

namespace genkan::cli {

class DemoStage {
 public:
  // The proxy is to listen on `tls_port` and `plain_port`. As root the folder is the user
  // `nobody`'s, who the proxy drops to.
  static Result<std::unique_ptr<DemoStage>> Make(uint16_t tls_port, uint16_t plain_port);
  ~DemoStage();
  DemoStage(const DemoStage&) = delete;
  DemoStage& operator=(const DemoStage&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  std::string config_file() const { return folder_ / "genkan.toml"; }
  std::string root_file() const { return folder_ / "root.pem"; }
  std::string admin_socket() const { return folder_ / "admin.sock"; }
  std::string origin_address() const { return origin_.address().ToString(); }
  std::string renew_url() const { return "http://" + authority_.address().ToString() + "/renew"; }
  const std::string& token() const { return token_; }

 private:
  DemoStage();
  Status MakeFolder();
  Status OpenServices();
  Status WriteFiles(uint16_t tls_port, uint16_t plain_port);
  Status WriteConfig(uint16_t tls_port, uint16_t plain_port);
  // A new leaf with a new key, into the lineage as certbot does it: new files in archive/, then the
  // links. The serial.
  Result<std::string> Renew();
  // Written beside and renamed, so that nobody ever sees half a file.
  Status WriteFile(const std::filesystem::path& path, std::string_view text, unsigned mode);
  Status Link(const std::string& name, int version);

  control::ServiceResponse ServeOrigin(const control::ServiceRequest& request) const;
  control::ServiceResponse ServeAuthority(const control::ServiceRequest& request);

  std::filesystem::path folder_;
  std::string token_;
  unsigned owner_ = 0, group_ = 0;  // of everything in the folder
  std::unique_ptr<tls::DemoCa> ca_;
  int version_ = 0;  // of the lineage
  event::EventLoop loop_;
  control::HttpService origin_, authority_;
  std::thread thread_;
};

}  // namespace genkan::cli
