#include "proxy/config/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "proxy/config/from_flags.h"
#include "proxy/config/state_dir.h"

namespace genkan::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kGood = R"(
[[listener]]
address = ":80"
[[listener]]
address = ":443"
tls = true
[[site]]
names = ["a.test"]
certificates = ["/c"]
upstream = "app"
[upstream.app]
servers = ["127.0.0.1:8080"]
)";

std::vector<std::string> Errors(std::string_view text) {
  auto loaded = LoadConfigText(text, "g", {"url_filter", "redirect_https", "security_headers"});
  return loaded ? std::vector<std::string>() : loaded.error();
}
// The errors of a good configuration with `text` behind it.
std::vector<std::string> ErrorsWith(std::string_view text) {
  return Errors(std::string(kGood) + std::string(text));
}
std::vector<std::string> Warnings(std::string_view text) {
  auto loaded = LoadConfigText(text, "g");
  if (!loaded) return loaded.error();
  return loaded->warnings;
}

TEST(Validate, AGoodConfigurationHasNoErrorsAndNoWarnings) {
  EXPECT_THAT(Errors(kGood), IsEmpty());
  EXPECT_THAT(Warnings(kGood), IsEmpty());
}

TEST(Validate, AnEmptyFileListensOnNothingAndServesNothing) {
  EXPECT_THAT(Errors(""),
              ElementsAre(HasSubstr("g:1:1: no [[listener]]"), HasSubstr("g:1:1: no [[site]]")));
}

TEST(Validate, ThreeMistakesAreThreeLines) {
  EXPECT_THAT(Errors(R"(
[[listener]]
address = "localhost:80"
[[site]]
names = ["a.test"]
upstrem = "http://127.0.0.1:1"
[limits]
idle_timeout = "0s"
)"),
              ElementsAre(HasSubstr("g:3:1: \"localhost:80\" is no address"),
                          HasSubstr("g:6:1: unknown key \"upstrem\""),
                          HasSubstr("g:8:1: must be longer than nothing")));
}

TEST(Validate, TheSameNameInTwoSites) {
  EXPECT_THAT(ErrorsWith("[[site]]\nnames = [\"b.test\", \"A.Test.\"]\nupstream = \"app\"\n"),
              ElementsAre("g:14:20: \"a.test\" has a site already, at g:8:10"));
}

TEST(Validate, TwoDefaultSites) {
  EXPECT_THAT(ErrorsWith("[[site]]\nnames=[\"b.test\"]\ndefault=true\nupstream=\"app\"\n"
                         "[[site]]\nnames=[\"c.test\"]\ndefault=true\nupstream=\"app\"\n"),
              ElementsAre(HasSubstr("g:19:1: there is a default site already, at g:15:1")));
}

TEST(Validate, UnknownPoolsAndModulesAreNamedWithWhatWasMeant) {
  EXPECT_THAT(
      ErrorsWith(R"([[site]]
names = ["b.test"]
upstream = "apq"
modules = ["filtr", "nothing_like_it"]
[module.filter]
use = "url_filtre"
)"),
      ElementsAre(
          HasSubstr("g:15:1: there is no [upstream.apq]; did you mean \"app\"?"),
          HasSubstr("g:16:12: there is no [module.filtr]; did you mean \"filter\"?"),
          HasSubstr("g:16:21: there is no [module.nothing_like_it]"),
          HasSubstr("g:18:1: there is no module \"url_filtre\"; did you mean \"url_filter\"?")));
}

TEST(Validate, AnAddressInPlaceOfAPoolIsAUrlWithoutItsScheme) {
  EXPECT_THAT(ErrorsWith("[[site]]\nnames=[\"b.test\"]\nupstream=\"127.0.0.1:8080\"\n"),
              ElementsAre(HasSubstr("write the URL \"http://127.0.0.1:8080\"")));
}

TEST(Validate, UpstreamUrls) {
  for (const char* good :
       {"http://127.0.0.1", "http://127.0.0.1:8080/", "https://app.internal:8443",
        "http://[::1]:80", "unix:/run/app.sock"}) {
    EXPECT_THAT(
        ErrorsWith(std::string("[[site]]\nnames=[\"b.test\"]\nupstream=\"") + good + "\"\n"),
        IsEmpty())
        << good;
  }
  for (const char* bad :
       {"ftp://127.0.0.1", "http://127.0.0.1/app", "http://a@b", "http://", "http://a:0",
        "http://a:65536", "http://[::1", "http://a b", "http://a?x", "unix:", "h2c://127.0.0.1:50051"}) {
    EXPECT_EQ(
        ErrorsWith(std::string("[[site]]\nnames=[\"b.test\"]\nupstream=\"") + bad + "\"\n").size(),
        1u)
        << bad;
  }
}

TEST(Validate, KeysThatNothingActsOnYetAreWarnedOf) {
  auto checked = LoadConfigText(
      "[[listener]]\naddress = \":80\"\n[[site]]\nnames = [\"a.test\"]\nupstream = \"http://127.0.0.1:1\"\n"
      "[tls]\nclient_certificates = { verify = \"off\", crl = [\"/etc/genkan/clients.crl\"] }\n",
      "g");
  ASSERT_TRUE(checked);
  EXPECT_THAT(checked->warnings, Contains(HasSubstr("has no effect in this version")));
}

TEST(Validate, NamesOfSites) {
  auto errors = [](const std::string& name) {
    return ErrorsWith("[[site]]\nupstream = \"app\"\nnames = [\"" + name + "\"]\n");
  };
  for (const char* good :
       {"*", "*.b.test", "b.test", "xn--wgv71a.test", "192.0.2.1", "::1", "localhost", "a_b.test"})
    EXPECT_THAT(errors(good), IsEmpty()) << good;
  for (const char* bad :
       {"", "a.*.test", "b*.test", "https://b.test", "b.test/x", "日本.test", "-a.test", "a..test"})
    EXPECT_EQ(errors(bad).size(), 1u) << bad;
}

TEST(Validate, ListenersThatClash) {
  EXPECT_THAT(ErrorsWith("[[listener]]\naddress = \":443\"\n"),
              ElementsAre(HasSubstr("g:14:1: \":443\" is listened on already, at g:5:1")));
  EXPECT_THAT(ErrorsWith("[[listener]]\naddress = \"127.0.0.1:443\"\n"), IsEmpty());
  EXPECT_THAT(
      ErrorsWith(
          "[[listener]]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n"),
      IsEmpty())
      << "port 0 is a new one each time";
}

TEST(Validate, OwnProviderIsForAllSitesAlike) {
  EXPECT_THAT(Errors(R"(
[[listener]]
address = ":80"
[[site]]
names = ["a.test"]
upstream = "http://127.0.0.1:1"
[site.tls]
own_provider = false
)"),
              ElementsAre(HasSubstr("write it in [tls]")));
}

TEST(Validate, KernelTlsIsForAllSitesAlike) {
  EXPECT_THAT(Errors(R"(
[[listener]]
address = ":80"
[[site]]
names = ["a.test"]
upstream = "http://127.0.0.1:1"
[site.tls]
ktls = true
)"),
              ElementsAre(HasSubstr("write it in [tls]")));
}

TEST(Validate, WordsThatAreNone) {
  EXPECT_THAT(
      Errors(R"(
trusted_proxies = ["10.0.0.0/33"]
[log]
level = "loud"
[access_log]
format = "fancy"
[certificates]
incomplete_at_start = "maybe"
[tls]
profile = "old"
[acme_challenge]
mode = "sometimes"
standalone = ":80"
thumbprint = "short"
[[listener]]
address = ":80"
alpn = ["h3"]
proxy_protocol = ["everywhere"]
[[site]]
names = ["a.test"]
certificates = [{ certificate = "/c", chain = "longer" }]
upstream = "app"
[site.tls]
min_version = "1.4"
client_certificates = { verify = "require" }
[upstream.app]
servers = ["127.0.0.1", { address = "a:1", weight = 0 }]
protocol = "h3"
balance = "random"
health_check = { path = "x", interval = "1ms" }
)"),
      ElementsAre(
          HasSubstr("g:2:20: \"10.0.0.0/33\" is no network"), HasSubstr("g:4:1: \"loud\""),
          HasSubstr("g:6:1: \"fancy\""), HasSubstr("g:8:1: \"maybe\""),
          HasSubstr("g:10:1: \"old\" is for single sites"), HasSubstr("g:12:1: \"sometimes\""),
          HasSubstr("g:13:1: \":80\" is no address"), HasSubstr("g:14:1: \"short\" is no account"),
          HasSubstr("g:17:9: \"h3\""), HasSubstr("g:18:19: \"everywhere\" is no network"),
          HasSubstr("g:21:39: \"longer\""), HasSubstr("g:24:1: \"1.4\""),
          HasSubstr("client certificates need the authorities"),
          HasSubstr("g:27:12: \"127.0.0.1\" has no port"), HasSubstr("0 is not from 1 to 1000"),
          HasSubstr("g:28:1: \"h3\""), HasSubstr("g:29:1: \"random\""),
          HasSubstr("\"x\" does not begin with a slash"), HasSubstr("shorter than 100ms")));
}

TEST(Validate, Routes) {
  auto errors = [](const std::string& path) {
    return ErrorsWith("[[site]]\nnames=[\"b.test\"]\nupstream=\"app\"\n[[site.route]]\npath = \"" +
                      path + "\"\n");
  };
  for (const char* good : {"/", "/api/", "/api", "/a.b/~c"})
    EXPECT_THAT(errors(good), IsEmpty()) << good;
  for (const char* bad : {"api", "", "/a?b", "/a//b", "/a/../b", "/./", "/a b", "/a#"})
    EXPECT_EQ(errors(bad).size(), 1u) << bad;
  EXPECT_THAT(ErrorsWith("[[site]]\nnames=[\"b.test\"]\nupstream=\"app\"\n"
                         "[[site.route]]\npath=\"/a\"\n[[site.route]]\npath=\"/a\"\n"),
              ElementsAre(HasSubstr("\"/a\" has a route already")));
}

TEST(Validate, ModulesThatAreAlwaysThereAreNotInstances) {
  EXPECT_THAT(ErrorsWith("[module.x]\nuse = \"acme_challenge\"\n"),
              ElementsAre(HasSubstr("its keys stand in [acme_challenge]")));
}

TEST(Validate, TheHook) {
  EXPECT_THAT(ErrorsWith("[revocation]\non_revoked = [\"certbot\", \"renew\"]\n"), IsEmpty());
  EXPECT_THAT(ErrorsWith("[revocation]\non_revoked = [\"https://hooks.test/x\"]\n"), IsEmpty());
  EXPECT_EQ(ErrorsWith("[revocation]\non_revoked = [\"http://hooks.test/x\"]\n").size(), 1u);
  EXPECT_EQ(ErrorsWith("[revocation]\non_revoked = [\"https://hooks.test/x\", \"y\"]\n").size(),
            1u);
}

TEST(Validate, WarningsAreNoErrors) {
  std::string text =
      "user = \"root\"\n[admin]\nlisten = [\"0.0.0.0:9443\"]\n" + std::string(kGood) +
      "[[site]]\nnames=[\"b.test\"]\nupstream=\"app\"\n[site.tls]\nprofile = \"old\"\n";
  EXPECT_THAT(Warnings(text), ElementsAre(HasSubstr("g:1:1: the proxy stays root"),
                                          HasSubstr("can be read from other machines"),
                                          HasSubstr("\"old\" lets in TLS 1.0")));
}

TEST(Validate, FlagsAreAConfigurationWhoseMessagesNameThem) {
  RunFlags flags;
  flags.certs = {"/etc/letsencrypt/live/a.test"};
  flags.upstream = "http://127.0.0.1:8080";
  flags.acme_webroot = {"/var/www/acme"};
  auto checked = CheckConfig(ConfigFromFlags(flags));
  ASSERT_TRUE(checked);
  EXPECT_THAT(checked->warnings, IsEmpty());
  const Config& config = checked->config;
  EXPECT_EQ(config.listeners.at(0).address, ":443");
  EXPECT_TRUE(config.listeners[0].tls);
  EXPECT_EQ(config.listeners.at(1).address, ":80");
  EXPECT_THAT(config.sites.at(0).names, ElementsAre("*"));
  EXPECT_TRUE(config.sites[0].redirects());
  EXPECT_NE(config.FindUpstream("http://127.0.0.1:8080"), nullptr);

  flags.upstream = "nonsense";
  flags.listen = "localhost";
  flags.http = "off";
  flags.names = {"A.test", "b/c"};
  auto bad = CheckConfig(ConfigFromFlags(flags));
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error(), ElementsAre(HasSubstr("--listen: \"localhost\" is no address"),
                                       HasSubstr("--name: \"b/c\""), HasSubstr("--upstream: ")));
}

TEST(Validate, StateDirByWhoWeAre) {
  Config config;
  auto environment = [](std::map<std::string, std::string> values) -> Environment {
    return [values](const std::string& name) -> std::optional<std::string> {
      auto found = values.find(name);
      if (found == values.end()) return std::nullopt;
      return found->second;
    };
  };
  EXPECT_EQ(StateDir(config, true, environment({{"STATE_DIRECTORY", "/x"}})), "/var/lib/genkan");
  EXPECT_EQ(StateDir(config, false,
                     environment({{"STATE_DIRECTORY", "/x:/y"}, {"XDG_STATE_HOME", "/z"}})),
            "/x");
  EXPECT_EQ(StateDir(config, false, environment({{"XDG_STATE_HOME", "/z"}})), "/z/genkan");
  EXPECT_EQ(StateDir(config, false, environment({{"XDG_STATE_HOME", "z"}, {"HOME", "/h"}})),
            "/h/.local/state/genkan");
  EXPECT_EQ(StateDir(config, false, environment({})), "/var/lib/genkan");
  config.has_state_dir = true;
  config.state_dir = "/mine";
  EXPECT_EQ(StateDir(config, false, environment({{"STATE_DIRECTORY", "/x"}})), "/mine");
}

}  // namespace
}  // namespace genkan::config
