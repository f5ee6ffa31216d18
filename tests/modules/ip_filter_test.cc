#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"
#include "tests/support/temp_dir.h"

namespace genkan {
extern const ModuleEntry genkan_module_ip_filter;

namespace {

using ::testing::ElementsAre;
using testing::FakeExchange;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ModuleOptions;
using testing::ModuleUnderTest;
using testing::TempDir;
using testing::WriteFile;

bool LetsIn(ModuleUnderTest& module, const std::string& client) {
  FakeExchange exchange;
  exchange.view.client_address = client;
  auto filter = module.MakeFilter();
  Verdict verdict = filter->OnRequestHead(exchange);
  EXPECT_EQ(verdict == Verdict::kStop, exchange.status() != 0);
  EXPECT_TRUE(exchange.status() == 0 || exchange.status() == 403);
  return exchange.status() == 0;
}

bool LetsIn(const std::string& keys, const std::string& client) {
  auto options = ModuleOptions(keys);
  ModuleUnderTest module(genkan_module_ip_filter, options.get());
  EXPECT_THAT(module.errors, IsEmpty());
  return LetsIn(module, client);
}

TEST(IpFilter, DenyAloneLetsTheOthersIn) {
  const std::string keys = "deny = [\"192.0.2.0/24\", \"2001:db8::/32\"]";
  EXPECT_FALSE(LetsIn(keys, "192.0.2.0"));
  EXPECT_FALSE(LetsIn(keys, "192.0.2.255"));
  EXPECT_TRUE(LetsIn(keys, "192.0.3.0"));
  EXPECT_TRUE(LetsIn(keys, "192.0.1.255"));
  EXPECT_FALSE(LetsIn(keys, "2001:db8:ffff::1"));
  EXPECT_TRUE(LetsIn(keys, "2001:db9::"));
  EXPECT_TRUE(LetsIn("", "192.0.2.1"));
}

TEST(IpFilter, AllowAloneKeepsTheOthersOut) {
  const std::string keys = "allow = [\"10.0.0.0/8\", \"::1\"]";
  EXPECT_TRUE(LetsIn(keys, "10.255.0.1"));
  EXPECT_TRUE(LetsIn(keys, "::1"));
  EXPECT_FALSE(LetsIn(keys, "192.0.2.1"));
  EXPECT_FALSE(LetsIn(keys, "::2"));
}

TEST(IpFilter, TheMostSpecificNetworkDecides) {
  const std::string keys =
      "allow = [\"10.0.0.0/8\", \"10.1.2.0/24\"]\n"
      "deny = [\"10.1.0.0/16\", \"10.1.2.3\", \"0.0.0.0/0\"]";
  EXPECT_TRUE(LetsIn(keys, "10.0.0.1"));
  EXPECT_FALSE(LetsIn(keys, "10.1.0.1"));
  EXPECT_TRUE(LetsIn(keys, "10.1.2.1"));
  EXPECT_FALSE(LetsIn(keys, "10.1.2.3"));
  EXPECT_TRUE(LetsIn(keys, "10.1.2.4"));
  EXPECT_FALSE(LetsIn(keys, "10.1.3.0"));
  EXPECT_TRUE(LetsIn(keys, "10.2.0.0"));
  EXPECT_FALSE(LetsIn(keys, "11.0.0.0"));
  EXPECT_FALSE(LetsIn("allow = [\"10.0.0.0/8\"]\ndeny = [\"10.0.0.0/8\"]", "10.0.0.1"));
}

TEST(IpFilter, MappedAddressesAreIpv4) {
  EXPECT_FALSE(LetsIn("deny = [\"192.0.2.0/24\"]", "::ffff:192.0.2.1"));
  EXPECT_FALSE(LetsIn("deny = [\"::ffff:192.0.2.0/120\"]", "192.0.2.1"));
  EXPECT_TRUE(LetsIn("deny = [\"::ffff:192.0.2.0/120\"]", "192.0.3.1"));
}

TEST(IpFilter, AllOfOneVersionIsNothingOfTheOther) {
  EXPECT_TRUE(LetsIn("deny = [\"::/0\"]", "192.0.2.1"));
  EXPECT_FALSE(LetsIn("deny = [\"::/0\"]", "::1"));
  EXPECT_FALSE(LetsIn("deny = [\"::/0\"]", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
  EXPECT_TRUE(LetsIn("deny = [\"0.0.0.0/0\"]", "::1"));
  EXPECT_FALSE(LetsIn("deny = [\"0.0.0.0/0\"]", "255.255.255.255"));
  EXPECT_FALSE(LetsIn("deny = [\"0.0.0.0/0\", \"::/0\"]", "192.0.2.1"));
  EXPECT_FALSE(LetsIn("deny = [\"0.0.0.0/0\", \"::/0\"]", "2001:db8::1"));
}

TEST(IpFilter, BitsBehindThePrefixDoNotCount) {
  EXPECT_FALSE(LetsIn("deny = [\"192.0.2.77/24\"]", "192.0.2.1"));
}

TEST(IpFilter, WhoAsksIsWhomATrustedProxyNames) {
  auto options = ModuleOptions("deny = [\"192.0.2.0/24\"]");
  ModuleUnderTest module(genkan_module_ip_filter, options.get());
  FakeExchange exchange;
  exchange.view.client_address = "10.0.0.1";
  exchange.conveyed_address = "192.0.2.7";
  EXPECT_EQ(module.MakeFilter()->OnRequestHead(exchange), Verdict::kStop);
}

TEST(IpFilter, AUnixSocketIsInNoNetwork) {
  EXPECT_TRUE(LetsIn("deny = [\"0.0.0.0/0\", \"::/0\"]", "unix:"));
  EXPECT_FALSE(LetsIn("allow = [\"0.0.0.0/0\", \"::/0\"]", "unix:"));
}

TEST(IpFilter, ListsHaveRemarksAndLineEndsOfAllKinds) {
  TempDir dir;
  WriteFile(dir / "list",
            "\xef\xbb\xbf# a list\r\n192.0.2.0/24 ; SBL1\r\n\r\n  2001:db8::/32\t# remark\n"
            "198.51.100.7 some words\n; end");
  const std::string keys = "deny_files = [\"" + dir / "list" + "\"]";
  EXPECT_FALSE(LetsIn(keys, "192.0.2.9"));
  EXPECT_FALSE(LetsIn(keys, "2001:db8::9"));
  EXPECT_FALSE(LetsIn(keys, "198.51.100.7"));
  EXPECT_TRUE(LetsIn(keys, "198.51.100.8"));
}

TEST(IpFilter, AnEmptyAllowListLetsNobodyIn) {
  TempDir dir;
  WriteFile(dir / "list", "# nobody yet\n");
  EXPECT_FALSE(LetsIn("allow_files = [\"" + dir / "list" + "\"]", "192.0.2.9"));
}

TEST(IpFilter, AListIsReadAgainAndABrokenOneIsNotTaken) {
  TempDir dir;
  WriteFile(dir / "list", "192.0.2.1\n");
  auto options = ModuleOptions("deny_files = [\"" + dir / "list" + "\"]");
  ModuleUnderTest module(genkan_module_ip_filter, options.get());
  ASSERT_EQ(module.files().size(), 1u);
  EXPECT_FALSE(LetsIn(module, "192.0.2.1"));
  WriteFile(dir / "list", "192.0.2.2\n");
  EXPECT_TRUE(*module.files()[0]->Load());
  EXPECT_TRUE(LetsIn(module, "192.0.2.1"));
  EXPECT_FALSE(LetsIn(module, "192.0.2.2"));
  WriteFile(dir / "list", "192.0.2.3\n# ok\n192.0.2.300\n");
  auto broken = module.files()[0]->Load();
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().detail,
            dir / "list" + ":3: \"192.0.2.300\" is no network (as in 192.0.2.0/24 or ::1)");
  EXPECT_FALSE(LetsIn(module, "192.0.2.2")) << "what was read before stays";
  EXPECT_TRUE(LetsIn(module, "192.0.2.3"));
}

TEST(IpFilter, FindsWhatASlowLookFinds) {
  // Nested, adjacent and equal networks in a small space, against each of its addresses.
  std::mt19937 random(20261125);
  for (int round = 0; round < 50; ++round) {
    struct Network {
      uint32_t first;
      int prefix;
      bool denies;
    };
    std::vector<Network> networks;
    std::string lists[2];
    for (int i = 0; i < 12; ++i) {
      int prefix = 24 + static_cast<int>(random() % 9);
      uint32_t first = (0xc0000200u | (random() & 0xff)) & (~0u << (32 - prefix));
      bool denies = random() % 2 == 0;
      networks.push_back({first, prefix, denies});
      lists[denies] += (lists[denies].empty() ? "\"192.0.2." : ", \"192.0.2.") +
                       std::to_string(first & 0xff) + "/" + std::to_string(prefix) + "\"";
    }
    auto options = ModuleOptions("allow = [" + lists[0] + "]\ndeny = [" + lists[1] + "]");
    ModuleUnderTest module(genkan_module_ip_filter, options.get());
    for (uint32_t last = 0; last < 256; ++last) {
      int best[2] = {-1, -1};
      for (const Network& network : networks) {
        uint32_t mask = ~0u << (32 - network.prefix);
        if (((0xc0000200u | last) & mask) == network.first)
          best[network.denies] = std::max(best[network.denies], network.prefix);
      }
      bool is_in = best[0] < 0 && best[1] < 0 ? lists[0].empty() : best[0] > best[1];
      ASSERT_EQ(LetsIn(module, "192.0.2." + std::to_string(last)), is_in)
          << lists[0] << " | " << lists[1] << " at " << last;
    }
  }
}

TEST(IpFilter, AHundredThousandEntriesAreAFile) {
  TempDir dir;
  std::string text;
  for (uint32_t i = 0; i < 100'000; ++i) {
    // Every other /25 from 20.0.0.0 on.
    text += std::to_string(20 + (i >> 16)) + "." + std::to_string(i >> 8 & 255) + "." +
            std::to_string(i & 255) + ".128/25\n";
  }
  WriteFile(dir / "list", text);
  auto options = ModuleOptions("deny_files = [\"" + dir / "list" + "\"]");
  ModuleUnderTest module(genkan_module_ip_filter, options.get());
  ASSERT_THAT(module.errors, IsEmpty());
  EXPECT_FALSE(LetsIn(module, "20.0.0.128"));
  EXPECT_TRUE(LetsIn(module, "20.0.1.0"));
  EXPECT_FALSE(LetsIn(module, "21.134.159.255"));
  EXPECT_TRUE(LetsIn(module, "21.134.160.128"));
}

TEST(IpFilter, NonsenseIsAnErrorWithItsPlace) {
  TempDir dir;
  WriteFile(dir / "list", "10.0.0.0/8\nexample.com\n");
  auto options = ModuleOptions(
      "deny = [\"10.0.0.0/33\", \"::/129\", \"all\", \"1.2.3\", \"1.2.3.4/\"]\n"
      "allow_files = [\"" +
      dir / "list" +
      "\"]\n"
      "deny_files = [\"/nonexistent/list\"]");
  ModuleUnderTest module(genkan_module_ip_filter, options.get());
  EXPECT_THAT(module.errors,
              ::testing::UnorderedElementsAre(
                  HasSubstr("test.toml:3:1: \"deny\": \"10.0.0.0/33\" is no network"),
                  HasSubstr("\"::/129\" is no network"), HasSubstr("\"all\" is no network"),
                  HasSubstr("\"1.2.3\" is no network"), HasSubstr("\"1.2.3.4/\" is no network"),
                  HasSubstr(dir / "list" + ":2: \"example.com\" is no network"),
                  HasSubstr("/nonexistent/list: No such file")));
}

}  // namespace
}  // namespace genkan
