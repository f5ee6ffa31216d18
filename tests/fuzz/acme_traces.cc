// What doctor reads of strangers' texts: certbot's files and logs, targets, names and URLs out of
// certificates. A log cut anywhere tells the same; nothing that comes out moves a cursor or leaves
// its quotes in a shell.
#include "proxy/control/diagnosis/acme_traces.h"

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/control/diagnosis/doctor.h"
#include "proxy/control/diagnosis/letter_steps.h"

namespace genkan::fuzz {
namespace {

std::string LastServer(std::string_view log, size_t step) {
  control::AcmeLogScanner scanner;
  for (size_t at = 0; at < log.size(); at += step) scanner.Feed(log.substr(at, step));
  scanner.End();
  return scanner.last_server();
}

void CheckShown(std::string_view text) {
  const std::string shown = control::Printable(text);
  GENKAN_CHECK(shown.size() <= 203);
  for (const char c : shown) GENKAN_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  // Nothing is left that would be changed again, but for the mark of what was cut off.
  if (!shown.ends_with("…")) GENKAN_CHECK(control::Printable(shown) == shown);
}

void CheckQuoted(std::string_view text) {
  const std::string quoted = control::ShellQuoted(text);
  std::string back;
  bool is_inside = false;
  for (size_t i = 0; i < quoted.size(); ++i) {
    if (quoted[i] == '\'') {
      is_inside = !is_inside;
    } else if (quoted[i] == '\\' && !is_inside) {
      GENKAN_CHECK(++i < quoted.size());
      back += quoted[i];
    } else {
      GENKAN_CHECK(is_inside || std::string_view(" $`\"\\|&;<>()*?[]#~!\n").find(quoted[i]) ==
                                    std::string_view::npos);
      back += quoted[i];
    }
  }
  GENKAN_CHECK(!is_inside && back == text);
  const std::string url = control::UrlForCommand(text);
  GENKAN_CHECK(url.empty() || url == text);
  GENKAN_CHECK(url.find_first_of("'\"$`;|<>() \n") == std::string::npos);
}

}  // namespace
}  // namespace genkan::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  const std::string_view text = AsText({data, size});
  const std::string server = fuzz::LastServer(text, size + 1);
  for (const size_t step : {size_t{1}, size_t{7}, size_t{4096}})
    GENKAN_CHECK(fuzz::LastServer(text, step) == server);
  GENKAN_CHECK(server.empty() || server.ends_with("/directory"));
  const control::RenewalConf conf = control::ParseRenewalConf(text);
  GENKAN_CHECK(conf.server.size() <= 512 && conf.version.size() <= 512);
  static_cast<void>(control::IsAcmeV1(conf.server));
  static_cast<void>(control::IsCertbotOfV1(conf.version));
  fuzz::CheckShown(text);
  fuzz::CheckQuoted(text);
  if (const auto target = control::ParseServerTarget(text)) {
    GENKAN_CHECK(target->port != 0 && !target->host.empty());
    fuzz::CheckShown(target->host);
  }
  return 0;
}
