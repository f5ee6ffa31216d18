// The files of ip_filter and basic_auth with anything in them: read or refused with the line, and
// what was read is asked without a crash. A refused one leaves the one before it in force.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "proxy/base/check.h"
#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_basic_auth;
extern const ModuleEntry genkan_module_ip_filter;

namespace fuzz {
namespace {

// A file without a name on any disk.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("genkan-fuzz", MFD_CLOEXEC)) {}
  ~MemoryFile() { close(fd_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  void Write(std::string_view text) {
    GENKAN_CHECK(ftruncate(fd_, 0) == 0);
    GENKAN_CHECK(pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  }

 private:
  int fd_;
};

// An instance over one such file.
struct Instance {
  Instance(const ModuleEntry& entry, const std::string& key)
      : options(testing::ModuleOptions(key + file.path() + (key.ends_with("[\"") ? "\"]" : "\""))),
        module(entry, options.get()) {
    GENKAN_CHECK(module.errors.empty() && module.files().size() == 1);
  }

  void Load(std::string_view text) {
    file.Write(text);
    auto loaded = module.files()[0]->Load();
    if (!loaded) GENKAN_CHECK(loaded.error().detail.starts_with(file.path() + ":"));
  }
  void Ask(const std::string& client, const std::string& authorization) {
    testing::FakeExchange exchange;
    exchange.view.client_address = client;
    exchange.takes_work = false;  // no hash is computed
    if (!authorization.empty()) exchange.request_head.headers.Add("Authorization", authorization);
    static_cast<void>(module.MakeFilter()->OnRequestHead(exchange));
  }

  MemoryFile file;
  std::shared_ptr<const ModuleTable> options;
  testing::ModuleUnderTest module;
};

}  // namespace
}  // namespace fuzz
}  // namespace genkan

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  static fuzz::Instance networks(genkan_module_ip_filter, "deny_files = [\"");
  static fuzz::Instance users(genkan_module_basic_auth, "file = \"");
  std::string_view text = AsText({data, size});
  networks.Load(text);
  for (const char* client : {"192.0.2.1", "::1", "ffff::", "0.0.0.0", "255.255.255.255", "unix:"})
    networks.Ask(client, "");
  users.Load(text);
  // The same bytes as a client would send them.
  std::string header;
  for (char c : text) header += c == '\n' || c == '\r' || c == '\0' ? ' ' : c;
  users.Ask("192.0.2.1", "Basic " + header);
  users.Ask("192.0.2.1", "Basic " + Base64Encode(AsBytes(text)));
  return 0;
}
