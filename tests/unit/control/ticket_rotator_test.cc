#include "proxy/control/ticket_rotator.h"

#include <gtest/gtest.h>

#include <thread>

#include "proxy/base/log.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_dir.h"

namespace genkan::control {
namespace {

std::string KeyBytes(char fill) { return std::string(TicketRotator::kBytesPerKey, fill); }

TEST(TicketKeys, AFileIsReadInItsOrder) {
  auto keys = ParseTicketKeys(KeyBytes('a') + KeyBytes('b'));
  ASSERT_TRUE(keys) << keys.error().detail;
  ASSERT_EQ((*keys)->keys().size(), 2u);
  EXPECT_EQ((*keys)->keys()[0].name[0], 'a');
  EXPECT_EQ((*keys)->keys()[0].hmac_key[31], 'a');
  EXPECT_EQ((*keys)->keys()[1].aes_key[0], 'b');
}

TEST(TicketKeys, HalfAKeyIsRefused) {
  EXPECT_FALSE(ParseTicketKeys(""));
  EXPECT_FALSE(ParseTicketKeys(std::string(79, 'a')));
  EXPECT_FALSE(ParseTicketKeys(std::string(81, 'a')));
}

TEST(TicketKeys, MoreThanAreAcceptedAreRefused) {
  std::string bytes;
  for (size_t i = 0; i <= tls::TicketKeys::kAccepted; ++i) bytes += KeyBytes('k');
  EXPECT_FALSE(ParseTicketKeys(bytes));
}

TEST(TicketRotator, PublishesOnceForTheSameSetting) {
  event::EventLoop loop;
  int published = 0;
  auto files = MakeDirectFileAccess();
  TicketRotator rotator(loop, *files, [&](const tls::TicketKeysPtr&) { ++published; });
  ASSERT_TRUE(rotator.Configure("rotate"));
  ASSERT_TRUE(rotator.Configure("rotate"));
  EXPECT_EQ(published, 1);
}

TEST(TicketRotator, AMissingFileKeepsTheKeys) {
  event::EventLoop loop;
  tls::TicketKeysPtr last;
  auto files = MakeDirectFileAccess();
  TicketRotator rotator(loop, *files, [&](tls::TicketKeysPtr keys) { last = std::move(keys); });
  ASSERT_TRUE(rotator.Configure("rotate"));
  tls::TicketKeysPtr before = last;
  EXPECT_FALSE(rotator.Configure("/nonexistent/tickets"));
  EXPECT_EQ(last, before);
}

TEST(TicketRotator, AFileThatChangesIsReadAndABrokenOneKeepsTheKeys) {
  testing::TempDir dir;
  testing::WriteFile(dir / "keys", KeyBytes('a'));
  event::EventLoop loop;
  tls::TicketKeysPtr last;
  int published = 0;
  auto files = MakeDirectFileAccess();
  TicketRotator rotator(loop, *files, [&](tls::TicketKeysPtr keys) {
    last = std::move(keys);
    ++published;
  });
  ASSERT_TRUE(rotator.Configure(dir / "keys"));
  ASSERT_TRUE(rotator.Configure(dir / "keys"));
  EXPECT_EQ(published, 1) << "the same keys";
  std::string refusal;
  SetLogObserver([&](LogLevel, std::string_view event, std::string_view text) {
    if (event == "ticket_keys_refused") refusal = text;
  });
  auto until = [&](const std::function<bool()>& is_so) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!is_so() && std::chrono::steady_clock::now() < deadline) {
      loop.RunOnce(false);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return is_so();
  };
  testing::ReplaceFile(dir / "keys", "half");
  EXPECT_TRUE(until([&] { return !refusal.empty(); }));
  EXPECT_EQ(last->keys()[0].name[0], 'a');
  testing::ReplaceFile(dir / "keys", KeyBytes('b') + KeyBytes('a'));
  EXPECT_TRUE(until([&] { return published == 2; }));
  SetLogObserver({});
  EXPECT_EQ(last->keys()[0].name[0], 'b');
  EXPECT_EQ(last->keys().size(), 2u);
}

TEST(TicketRotator, GoesOnWithTheKeysOfAnotherProcess) {
  event::EventLoop loop;
  auto files = MakeDirectFileAccess();
  tls::TicketKeysPtr theirs, ours;
  TicketRotator old(loop, *files, [&](tls::TicketKeysPtr keys) { theirs = std::move(keys); });
  ASSERT_TRUE(old.Configure("rotate"));
  EXPECT_GT(old.rotation_due(), Millis(0));
  EXPECT_LE(old.rotation_due(), TicketRotator::kRotation);
  int published = 0;
  TicketRotator fresh(loop, *files, [&](tls::TicketKeysPtr keys) {
    ours = std::move(keys);
    ++published;
  });
  ASSERT_TRUE(fresh.Adopt(old.Export(), old.rotation_due()));
  ASSERT_TRUE(fresh.Configure("rotate"));
  EXPECT_EQ(published, 1) << "no fresh key before its hour";
  EXPECT_EQ(PackTicketKeys(*ours), PackTicketKeys(*theirs));
  EXPECT_LE(fresh.rotation_due(), old.rotation_due());
}

// The timer that a fresh one starts with an hour, here with none left.
TEST(TicketRotator, AfterTheHourAFreshKeyEncryptsAndTheOldOnesAreAccepted) {
  auto files = MakeDirectFileAccess();
  tls::TicketKeysPtr keys;
  std::vector<std::string> first_names;  // of the key that encrypts, oldest first
  auto name = [](const tls::TicketKey& key) {
    return std::string(key.name.begin(), key.name.end());
  };
  event::EventLoop loop;
  auto publish = [&](tls::TicketKeysPtr published) {
    keys = std::move(published);
    if (first_names.empty() || name(keys->keys()[0]) != first_names.back())
      first_names.push_back(name(keys->keys()[0]));
  };
  auto rotator = std::make_unique<TicketRotator>(loop, *files, publish);
  ASSERT_TRUE(rotator->Configure("rotate"));
  EXPECT_GT(rotator->rotation_due(), TicketRotator::kRotation - Millis(600'000));
  EXPECT_LE(rotator->rotation_due(), TicketRotator::kRotation);
  for (size_t hour = 1; hour <= 13; ++hour) {
    const net::Fd handed_over = rotator->Export();
    rotator = std::make_unique<TicketRotator>(loop, *files, publish);
    ASSERT_TRUE(rotator->Adopt(handed_over, Millis(0)));
    ASSERT_TRUE(rotator->Configure("rotate"));
    ASSERT_TRUE(testing::Eventually(
        loop, [&] { return first_names.size() == hour + 1; }, Millis(60'000)));
    EXPECT_GT(rotator->rotation_due(), TicketRotator::kRotation - Millis(600'000)) << "and an hour";
    ASSERT_EQ(keys->keys().size(), std::min<size_t>(hour + 1, 12));
    for (size_t i = 0; i < keys->keys().size(); ++i)
      EXPECT_EQ(name(keys->keys()[i]), first_names[hour - i]) << "newest first";
  }
}

TEST(TicketRotator, AFilesKeysAreNotHandedOver) {
  testing::TempDir dir;
  testing::WriteFile(dir / "keys", KeyBytes('a'));
  event::EventLoop loop;
  auto files = MakeDirectFileAccess();
  TicketRotator rotator(loop, *files, [](const tls::TicketKeysPtr&) {});
  ASSERT_TRUE(rotator.Configure(dir / "keys"));
  EXPECT_FALSE(rotator.Export().is_open());
  EXPECT_FALSE(rotator.Adopt(net::Fd(), Millis(1)));
}

}  // namespace
}  // namespace genkan::control
