#include "proxy/server/filter_chain.h"

#include <gtest/gtest.h>

#include "tests/support/fake_exchange.h"

namespace genkan::server {
namespace {

struct Log {
  std::string text;
};

class Recorder final : public ExchangeFilter {
 public:
  Recorder(Log& log, char name, Verdict verdict) : log_(log), name_(name), verdict_(verdict) {}
  Verdict OnRequestHead(genkan::Exchange&) override { return Note('q'); }
  Verdict OnResponseHead(genkan::Exchange&) override { return Note('r'); }
  void OnComplete(genkan::Exchange&) override { Note('c'); }

 private:
  Verdict Note(char what) {
    log_.text += what;
    log_.text += name_;
    return verdict_;
  }
  Log& log_;
  char name_;
  Verdict verdict_;
};

constexpr unsigned kAll = kHookRequestHead | kHookResponseHead | kHookComplete;

TEST(FilterChain, RequestsForwardsResponsesBackwards) {
  Log log;
  FilterChain chain;
  testing::FakeExchange exchange;
  for (char name : {'1', '2', '3'}) {
    chain.Add(std::make_unique<Recorder>(log, name, Verdict::kContinue), kAll);
  }
  EXPECT_EQ(chain.RequestHead(exchange), Verdict::kContinue);
  EXPECT_EQ(chain.ResponseHead(exchange), Verdict::kContinue);
  chain.Complete(exchange);
  EXPECT_EQ(log.text, "q1q2q3r3r2r1c1c2c3");
}

TEST(FilterChain, KnowsWhichFilterRanLast) {
  Log log;
  FilterChain chain;
  testing::FakeExchange exchange;
  EXPECT_EQ(chain.last_name(), "");
  chain.Add(std::make_unique<Recorder>(log, '1', Verdict::kContinue), kAll, "first");
  chain.Add(std::make_unique<Recorder>(log, '2', Verdict::kStop), kAll, "second");
  chain.Add(std::make_unique<Recorder>(log, '3', Verdict::kContinue), kAll, "third");
  EXPECT_EQ(chain.RequestHead(exchange), Verdict::kStop);
  EXPECT_EQ(chain.last_name(), "second");
  chain.Take();
  EXPECT_EQ(chain.last_name(), "");
}

TEST(FilterChain, APauseGoesOnBehindTheFilterThatPaused) {
  Log log;
  FilterChain chain;
  testing::FakeExchange exchange;
  chain.Add(std::make_unique<Recorder>(log, '1', Verdict::kPause), kAll);
  chain.Add(std::make_unique<Recorder>(log, '2', Verdict::kContinue), kAll);
  EXPECT_EQ(chain.RequestHead(exchange), Verdict::kPause);
  EXPECT_EQ(chain.RequestHead(exchange), Verdict::kContinue);
  EXPECT_EQ(log.text, "q1q2");
}

TEST(FilterChain, FiltersAddedLaterRunLaterAndOnce) {
  Log log;
  FilterChain chain;
  testing::FakeExchange exchange;
  chain.Add(std::make_unique<Recorder>(log, '1', Verdict::kContinue), kAll);
  EXPECT_EQ(chain.RequestHead(exchange), Verdict::kContinue);
  chain.Add(std::make_unique<Recorder>(log, '2', Verdict::kStop), kAll);
  EXPECT_EQ(chain.RequestHead(exchange), Verdict::kStop);
  EXPECT_EQ(log.text, "q1q2");
}

TEST(FilterChain, HooksThatAFilterDoesNotHaveAreNotCalled) {
  Log log;
  FilterChain chain;
  testing::FakeExchange exchange;
  chain.Add(std::make_unique<Recorder>(log, '1', Verdict::kStop), kHookResponseHead);
  EXPECT_FALSE(chain.Has(kHookRequestHead));
  EXPECT_TRUE(chain.Has(kHookResponseHead));
  EXPECT_EQ(chain.RequestHead(exchange), Verdict::kContinue);
  EXPECT_EQ(log.text, "");
  EXPECT_EQ(chain.Take().size(), 1u);
  EXPECT_FALSE(chain.Has(kHookResponseHead));
}

}  // namespace
}  // namespace genkan::server
