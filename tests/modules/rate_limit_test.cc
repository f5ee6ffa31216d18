#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_rate_limit;

namespace {

using testing::FakeExchange;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ModuleOptions;
using testing::ModuleUnderTest;
using ::testing::UnorderedElementsAre;

class RateLimitTest : public ::testing::Test {
 protected:
  void Make(const std::string& keys) {
    options_ = ModuleOptions(keys);
    module_.emplace(genkan_module_rate_limit, options_.get());
    EXPECT_THAT(module_->errors, IsEmpty());
  }
  // Seconds that the client is told to wait; 0: it is let in.
  int Ask(const std::string& client = "192.0.2.1", const std::string& site = "a.test") {
    FakeExchange exchange;
    exchange.view.client_address = client;
    exchange.site_name = site;
    exchange.time = now_;
    auto filter = module_->MakeFilter();
    if (filter->OnRequestHead(exchange) == Verdict::kContinue) return 0;
    EXPECT_EQ(exchange.status(), 429);
    auto wait = exchange.answers.at(0).head.headers.Get("retry-after");
    return wait ? std::stoi(std::string(*wait)) : -1;
  }
  int CountLetIn(int requests) {
    int let_in = 0;
    for (int i = 0; i < requests; ++i) let_in += Ask() == 0;
    return let_in;
  }

  std::shared_ptr<const ModuleTable> options_;
  std::optional<ModuleUnderTest> module_;
  MonotonicTime now_{std::chrono::hours(100)};
};

TEST_F(RateLimitTest, ABurstAndThenTheRate) {
  Make("rate = \"10/s\"");
  EXPECT_EQ(CountLetIn(100), 10);
  now_ += Millis(99);
  EXPECT_EQ(CountLetIn(1), 0);
  now_ += Millis(1);
  EXPECT_EQ(CountLetIn(5), 1);
  now_ += Millis(500);
  EXPECT_EQ(CountLetIn(100), 5);
  now_ += std::chrono::hours(1);
  EXPECT_EQ(CountLetIn(100), 10) << "a bucket is never more than full";
}

TEST_F(RateLimitTest, TheBurstMayDiffer) {
  Make("rate = \"1/s\"\nburst = 5");
  EXPECT_EQ(CountLetIn(100), 5);
  now_ += std::chrono::seconds(2);
  EXPECT_EQ(CountLetIn(100), 2);
}

TEST_F(RateLimitTest, RetryAfterIsWhenThereWillBeOne) {
  Make("rate = \"2/m\"");
  EXPECT_EQ(Ask(), 0);
  EXPECT_EQ(Ask(), 0);
  EXPECT_EQ(Ask(), 30);
  now_ += Millis(500);
  EXPECT_EQ(Ask(), 30);
  now_ += std::chrono::seconds(20);
  EXPECT_EQ(Ask(), 10);
  now_ += Millis(9'500);
  EXPECT_EQ(Ask(), 0);
}

TEST_F(RateLimitTest, WhoIsRefusedDoesNotPayForIt) {
  Make("rate = \"1/s\"");
  EXPECT_EQ(CountLetIn(1000), 1);
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(Ask(), 0);
}

TEST_F(RateLimitTest, ClientsAndSitesHaveTheirOwn) {
  Make("rate = \"1/h\"");
  EXPECT_EQ(Ask("192.0.2.1"), 0);
  EXPECT_NE(Ask("192.0.2.1"), 0);
  EXPECT_EQ(Ask("192.0.2.2"), 0);
  EXPECT_EQ(Ask("192.0.2.1", "b.test"), 0);
  EXPECT_NE(Ask("192.0.2.1", "b.test"), 0);
}

TEST_F(RateLimitTest, AnIpv6ClientIsItsNetwork) {
  Make("rate = \"1/h\"");
  EXPECT_EQ(Ask("2001:db8:0:1::1"), 0);
  EXPECT_NE(Ask("2001:db8:0:1:ffff::2"), 0);
  EXPECT_EQ(Ask("2001:db8:0:2::1"), 0);
}

TEST_F(RateLimitTest, WhoAsksIsWhomATrustedProxyNames) {
  Make("rate = \"1/h\"");
  for (const char* client : {"192.0.2.1", "192.0.2.2"}) {
    FakeExchange exchange;
    exchange.view.client_address = "10.0.0.1";
    exchange.conveyed_address = client;
    EXPECT_EQ(module_->MakeFilter()->OnRequestHead(exchange), Verdict::kContinue) << client;
  }
}

TEST_F(RateLimitTest, ZeroLetsNobodyIn) {
  for (const char* rate : {"0", "0/s", "0/h"}) {
    Make(std::string("rate = \"") + rate + "\"");
    EXPECT_EQ(Ask(), 3600) << rate;
  }
}

TEST_F(RateLimitTest, AFloodOfAddressesCostsNoMemoryAndFreesNoOffender) {
  Make("rate = \"60/m\"\nclients = 1024");
  EXPECT_EQ(CountLetIn(60), 60);
  EXPECT_NE(Ask(), 0);
  // Each of them once: their buckets are nearly full, the offender's is empty.
  for (int i = 0; i < 100'000; ++i)
    Ask("10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." +
        std::to_string(i & 255));
  EXPECT_NE(Ask(), 0);
}

TEST_F(RateLimitTest, AllWorkersHaveOneCount) {
  Make("rate = \"1000/h\"");
  auto entry = &genkan_module_rate_limit;
  std::unique_ptr<Module> module = entry->make();
  ASSERT_THAT(module->Configure(options_.get()), IsEmpty());
  std::atomic<int> let_in{0};
  std::vector<std::thread> workers;
  for (int worker = 0; worker < 4; ++worker) {
    workers.emplace_back([&] {
      auto state = module->MakeWorkerState();
      for (int i = 0; i < 1000; ++i) {
        FakeExchange exchange;
        exchange.time = now_;
        if (module->MakeFilter(*state)->OnRequestHead(exchange) == Verdict::kContinue) ++let_in;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  // Two that meet the new client at the same moment may count its first requests apart.
  EXPECT_GE(let_in, 1000);
  EXPECT_LE(let_in, 1004);
}

TEST(RateLimit, NonsenseIsAnError) {
  for (const char* rate : {"", "10", "10/", "10/x", "-1/s", "1.5/s", "10/ss", "/s", "1000001/s"}) {
    auto options = ModuleOptions(std::string("rate = \"") + rate + "\"");
    ModuleUnderTest module(genkan_module_rate_limit, options.get());
    EXPECT_THAT(module.errors, ::testing::ElementsAre(HasSubstr("test.toml:3:1: \"rate\"")))
        << rate;
  }
  auto options = ModuleOptions("burst = -1\nclients = 10");
  ModuleUnderTest module(genkan_module_rate_limit, options.get());
  EXPECT_THAT(module.errors,
              UnorderedElementsAre(HasSubstr("\"burst\""), HasSubstr("\"clients\"")));
}

}  // namespace
}  // namespace genkan
