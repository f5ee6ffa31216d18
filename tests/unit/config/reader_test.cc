#include "proxy/config/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/config/module_table.h"
#include "proxy/config/units.h"
#include "tests/support/temp_dir.h"

namespace genkan::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Environment kEnvironment = [](const std::string& name) -> std::optional<std::string> {
  if (name == "WHO") return "example.com";
  if (name == "DOLLAR") return "$5";
  return std::nullopt;
};

Config Parse(std::string_view text) {
  auto config = ReadConfigText(text, "genkan.toml", kEnvironment);
  if (config) return *std::move(config);
  for (const std::string& error : config.error()) ADD_FAILURE() << error;
  return {};
}

std::vector<std::string> Errors(std::string_view text) {
  auto config = ReadConfigText(text, "genkan.toml", kEnvironment);
  if (!config) return config.error();
  ADD_FAILURE() << "no error in " << text;
  return {};
}

TEST(ConfigReader, TenLinesThatWork) {
  Config config = Parse(R"([[listener]]
address = ":80"

[[listener]]
address = ":443"
tls     = true

[[site]]
names        = ["example.com", "www.example.com"]
certificates = ["/etc/letsencrypt/live/example.com"]
upstream     = "http://127.0.0.1:8080"
)");
  ASSERT_EQ(config.listeners.size(), 2u);
  EXPECT_FALSE(config.listeners[0].tls);
  EXPECT_TRUE(config.listeners[1].tls);
  ASSERT_EQ(config.sites.size(), 1u);
  EXPECT_THAT(config.sites[0].names, ElementsAre("example.com", "www.example.com"));
  EXPECT_EQ(config.sites[0].certificates[0].path, "/etc/letsencrypt/live/example.com");
  EXPECT_TRUE(config.sites[0].redirects());
  const Upstream* upstream = config.FindUpstream("http://127.0.0.1:8080");
  ASSERT_NE(upstream, nullptr);
  EXPECT_EQ(upstream->servers[0].address, "127.0.0.1:8080");
  EXPECT_FALSE(upstream->tls);
}

TEST(ConfigReader, AnEmptyTextIsTheDefaults) { EXPECT_EQ(Parse(""), Config{}); }

TEST(ConfigReader, SaysEveryErrorWithItsPositionAndWhatWasMeant) {
  EXPECT_THAT(Errors(R"(
workers = "two"
[[site]]
names = ["a.test"]
upstrem = "http://127.0.0.1:1"
[limits]
header_timeout = "10"
request_line = "8 KiB"
)"),
              ElementsAre("genkan.toml:2:11: \"workers\" must be an integer, not a string",
                          "genkan.toml:5:1: unknown key \"upstrem\" in [[site]]; did you mean "
                          "\"upstream\"?",
                          HasSubstr("genkan.toml:7:18: \"header_timeout\": \"10\" is no duration"),
                          HasSubstr("genkan.toml:8:16: \"request_line\": \"8 KiB\" is no size")));
}

TEST(ConfigReader, UnknownKeysAreFoundInEveryKindOfTable) {
  EXPECT_THAT(
      Errors(R"(
worker = 1
[[listener]]
adress = ":80"
[[site]]
names = ["a.test"]
rewrite = { lokation = true }
certificates = [{ certificate = "a.pem", cey = "a.key" }]
[[site.route]]
pathh = "/"
[site.tls.client_certificates]
verifi = "off"
[upstream.app]
servers = [{ addres = "127.0.0.1:1" }]
health_check = { pat = "/" }
tls = { verifx = true }
[ocsp]
enable = true
)"),
      ElementsAre(
          "genkan.toml:2:1: unknown key \"worker\" at the top; did you mean \"workers\"?",
          "genkan.toml:4:1: unknown key \"adress\" in [[listener]]; did you mean \"address\"?",
          "genkan.toml:7:13: unknown key \"lokation\" in [site.rewrite]; did you mean "
          "\"location\"?",
          "genkan.toml:8:42: unknown key \"cey\" in [[site.certificates]]; did you mean \"key\"?",
          "genkan.toml:10:1: unknown key \"pathh\" in [[site.route]]; did you mean \"path\"?",
          "genkan.toml:12:1: unknown key \"verifi\" in [site.tls.client_certificates]; did you "
          "mean "
          "\"verify\"?",
          "genkan.toml:14:14: unknown key \"addres\" in [[upstream.servers]]; did you mean "
          "\"address\"?",
          "genkan.toml:15:18: unknown key \"pat\" in [upstream.app.health_check]; did you mean "
          "\"path\"?",
          "genkan.toml:16:9: unknown key \"verifx\" in [upstream.app.tls]; did you mean "
          "\"verify\"?",
          "genkan.toml:18:1: unknown key \"enable\" in [ocsp]; did you mean \"enabled\"?"));
}

TEST(ConfigReader, AnUnknownKeyThatIsNearNothingGetsNoAdvice) {
  EXPECT_THAT(Errors("[log]\nzzzzzzzzzzzz = 1\n"),
              ElementsAre("genkan.toml:2:1: unknown key \"zzzzzzzzzzzz\" in [log]"));
}

TEST(ConfigReader, ASyntaxErrorHasItsPosition) {
  EXPECT_THAT(Errors("workers = 2\nuser = \"a\nlog = 1\n"),
              ElementsAre(HasSubstr("genkan.toml:2:")));
  EXPECT_THAT(Errors("workers = 2\nworkers = 3\n"), ElementsAre(HasSubstr("genkan.toml:2:")));
}

TEST(ConfigReader, DurationsAndSizes) {
  EXPECT_EQ(ParseDuration("250ms"), Millis(250));
  EXPECT_EQ(ParseDuration("10s"), Millis(10'000));
  EXPECT_EQ(ParseDuration("2m"), Millis(120'000));
  EXPECT_EQ(ParseDuration("12h"), Millis(43'200'000));
  EXPECT_EQ(ParseDuration("1d"), Millis(86'400'000));
  EXPECT_EQ(ParseDuration("0"), Millis(0));
  for (const char* bad : {"", "s", "10", "-1s", "1 s", "1.5s", "10S", "99999d", "1h30m"})
    EXPECT_FALSE(ParseDuration(bad)) << bad;
  EXPECT_EQ(ParseSize("64KiB"), 65536u);
  EXPECT_EQ(ParseSize("1MiB"), 1048576u);
  EXPECT_EQ(ParseSize("10MB"), 10'000'000u);
  EXPECT_EQ(ParseSize("0"), 0u);
  EXPECT_EQ(ParseSize("512"), 512u);
  for (const char* bad : {"", "KiB", "1 KiB", "1k", "1kib", "-1", "9223372036854775807KiB"})
    EXPECT_FALSE(ParseSize(bad)) << bad;
  for (const char* text : {"0s", "250ms", "10s", "2m", "36h", "1d"})
    EXPECT_EQ(FormatDuration(*ParseDuration(text)), text);
}

TEST(ConfigReader, VariablesStandInStrings) {
  Config config = Parse(R"(
[[site]]
names = ["${WHO}", "www.${WHO}"]
standby = "/srv/$${WHO}/$DOLLAR/${DOLLAR}"
upstream = "http://127.0.0.1:1"
)");
  EXPECT_THAT(config.sites[0].names, ElementsAre("example.com", "www.example.com"));
  // What a variable holds is not looked at again.
  EXPECT_EQ(config.sites[0].standby, "/srv/${WHO}/$DOLLAR/$5");
}

TEST(ConfigReader, AVariableThatIsNotSetIsAnError) {
  EXPECT_THAT(Errors("state_dir = \"${NOPE}/a/${NOPE2}\"\nuser = \"${open\"\n"),
              ElementsAre("genkan.toml:1:13: the environment variable NOPE is not set",
                          "genkan.toml:1:13: the environment variable NOPE2 is not set",
                          HasSubstr("genkan.toml:2:8: \"${open\" is no variable")));
}

TEST(ConfigReader, ANulByteIsRefused) {
  EXPECT_THAT(Errors("state_dir = \"/var\\u0000/x\"\n"), ElementsAre(HasSubstr("NUL")));
}

TEST(ConfigReader, WrongTypes) {
  EXPECT_THAT(
      Errors(R"(
trusted_proxies = "10.0.0.0/8"
load_modules = [1]
drain_timeout = 30
site = 1
[listener]
address = ":80"
[upstream]
app = "x"
[limits]
header_count = -1
)"),
      ElementsAre(HasSubstr(":2:19: \"trusted_proxies\" is a list; write [\"10.0.0.0/8\"]"),
                  HasSubstr(":3:17: \"load_modules\""), HasSubstr(":4:17: \"drain_timeout\""),
                  HasSubstr(":5:8: \"site\" is written as [[site]]"),
                  HasSubstr("\"listener\" is written as [[listener]]"),
                  HasSubstr(":9:1: \"app\" is no table; write [upstream.NAME]"),
                  HasSubstr(":11:16: \"header_count\": -1 is out of range")));
}

TEST(ConfigReader, TheWholeOfASite) {
  Config config = Parse(R"(
[tls]
min_version = "1.3"
[[site]]
names = ["Example.COM.", "*.Example.com", "[::1]:443", "host:8443"]
default = true
certificates = ["/a", { certificate = "/b.pem", key = "/b.key", chain = "short" }]
redirect_to_https = false
challenge_to_upstream = true
rewrite = { location = true, cookies_secure = true }
max_body = "10MB"
upstream = "app"
modules = ["one"]
thumbprint = "t"
  [[site.route]]
  path = "/api/"
  upstream = "https://api.internal"
  modules = ["two"]
  [site.tls]
  unknown_name = "reject"
  ktls = true
  own_provider = false
[upstream.app]
servers = ["127.0.0.1:8080", { address = "unix:/run/app.sock", weight = 2, backup = true }]
tls = { verify = false, name = "app.internal" }
health_check = { path = "/healthz" }
idle_timeout = "2s"
[module.one]
use = "url_filter"
deny = ["/x"]
)");
  const Site& site = config.sites.at(0);
  EXPECT_THAT(site.names, ElementsAre("example.com", "*.example.com", "::1", "host"));
  EXPECT_TRUE(site.is_default);
  EXPECT_EQ(site.certificates.at(1).key, "/b.key");
  EXPECT_EQ(site.certificates.at(1).chain, "short");
  EXPECT_FALSE(site.redirects());
  EXPECT_TRUE(site.challenge_to_upstream && site.rewrite.location && site.rewrite.cookies_secure);
  EXPECT_EQ(site.max_body, 10'000'000u);
  EXPECT_EQ(site.routes.at(0).path, "/api/");
  EXPECT_EQ(site.tls->unknown_name, "reject");
  EXPECT_TRUE(site.tls->ktls);
  EXPECT_FALSE(site.tls->own_provider);
  EXPECT_EQ(site.tls->min_version, "1.3") << "[site.tls] goes on from [tls]";
  const Upstream* app = config.FindUpstream("app");
  ASSERT_NE(app, nullptr);
  EXPECT_EQ(app->servers.at(1).weight, 2u);
  EXPECT_TRUE(app->servers.at(1).backup);
  EXPECT_FALSE(app->tls->verify);
  EXPECT_EQ(app->health_check->interval, Millis(5000));
  EXPECT_EQ(app->idle_timeout, Millis(2000));
  const Upstream* api = config.FindUpstream("https://api.internal");
  ASSERT_NE(api, nullptr);
  EXPECT_EQ(api->servers.at(0).address, "api.internal:443");
  EXPECT_EQ(api->tls->name, "api.internal");
  EXPECT_EQ(config.FindModule("one")->use, "url_filter");
  EXPECT_EQ(config.origins.Find("site[0].names[1]").ToString(), "genkan.toml:5:26");
  EXPECT_EQ(config.origins.Find("site[0].route[0].path").ToString(), "genkan.toml:16:3");
}

TEST(ConfigReader, AListenersLimitsGoOnFromTheGlobalOnes) {
  Config config = Parse(R"(
[[listener]]
address = ":80"
limits = { header_timeout = "3s" }
[limits]
idle_timeout = "7s"
)");
  ASSERT_TRUE(config.listeners.at(0).limits);
  EXPECT_EQ(config.listeners[0].limits->header_timeout, Millis(3000));
  EXPECT_EQ(config.listeners[0].limits->idle_timeout, Millis(7000));
}

struct Options {
  std::vector<std::string> deny;
  bool flag = false;
  int64_t number = 0;
  Millis wait{1};
  uint64_t size = 1;
  std::string text = "default";
  void Read(ConfigReader& reader) {
    reader.Read("deny", deny);
    reader.Read("flag", flag);
    reader.Read("number", number);
    reader.Read("wait", wait);
    reader.ReadSize("size", size);
    reader.Read("text", text);
    if (number < 0) reader.Fail("number", "below nothing");
  }
};

std::vector<std::string> Visit(const ModuleTable& table, Options& options) {
  return table.Visit(
      [](void* to, ConfigReader& reader) { static_cast<Options*>(to)->Read(reader); }, &options);
}

TEST(ConfigReader, AModulesTableIsReadByTheModule) {
  Config config = Parse(R"([module.m]
use = "url_filter"
deny = ["/a", "/b"]
flag = true
number = 7
wait = "2s"
size = "1KiB"
)");
  Options options;
  EXPECT_THAT(Visit(*config.FindModule("m")->options, options), ElementsAre());
  EXPECT_THAT(options.deny, ElementsAre("/a", "/b"));
  EXPECT_TRUE(options.flag);
  EXPECT_EQ(options.number, 7);
  EXPECT_EQ(options.wait, Millis(2000));
  EXPECT_EQ(options.size, 1024u);
  EXPECT_EQ(options.text, "default");
}

TEST(ConfigReader, AModulesErrorsHavePositionsToo) {
  Config config = Parse("[module.m]\nuse = \"x\"\ndenny = [\"/a\"]\nnumber = -1\n");
  Options options;
  EXPECT_THAT(
      Visit(*config.FindModule("m")->options, options),
      ElementsAre("genkan.toml:3:1: unknown key \"denny\" in [module.m]; did you mean \"deny\"?",
                  "genkan.toml:4:1: \"number\": below nothing"));
}

TEST(ConfigReader, EqualTextGivesEqualConfigurationsWhereverItStands) {
  std::string text = "[module.m]\nuse = \"x\"\ndeny = [\"/a\"]\n";
  EXPECT_EQ(Parse(text), Parse("\n\n" + text));
  EXPECT_FALSE(Parse(text) == Parse("[module.m]\nuse = \"x\"\ndeny = [\"/b\"]\n"));
}

TEST(ConfigReader, AFileThatIsNotThereSaysSo) {
  genkan::testing::TempDir dir;
  auto config = ReadConfigFile(dir / "none.toml");
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error(), ElementsAre(HasSubstr("none.toml: No such file")));
  genkan::testing::WriteFile(dir / "a.toml", "workers = 3\n");
  EXPECT_EQ(ReadConfigFile(dir / "a.toml")->workers, 3u);
}

}  // namespace
}  // namespace genkan::config
