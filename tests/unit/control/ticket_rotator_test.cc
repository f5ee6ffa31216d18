#include "proxy/control/ticket_rotator.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace genkan::control
