#include "proxy/control/keeper_message.h"

#include <gtest/gtest.h>

namespace genkan::control {
namespace {

TEST(KeeperMessage, IsReadAsItWasWritten) {
  const KeeperMessage message{KeeperOp::kReadFile, 7, {"/etc/x", "", std::string("\0\xff", 2)}};
  auto read = ParseMessage(Pack(message));
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(*read, message);
}

TEST(KeeperMessage, IsRefusedWhereverItIsCut) {
  const std::string bytes = Pack({KeeperOp::kSaveGood, 1, {"name", "bytes"}});
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(ParseMessage(bytes.substr(0, size))) << size;
  EXPECT_FALSE(ParseMessage(bytes + "x"));
}

TEST(KeeperMessage, ACountWithoutTextsReservesNothing) {
  std::string bytes = Pack({KeeperOp::kList, 0, {"a"}});
  bytes[10] = bytes[11] = bytes[12] = bytes[13] = '\xff';
  auto read = ParseMessage(bytes);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kInvalid);
}

TEST(KeeperMessage, UnknownKindsAreRefused) {
  for (uint16_t op : {2, 15, 40, 63, 65, 65535})
    EXPECT_FALSE(ParseMessage(Pack({static_cast<KeeperOp>(op), 0, {}}))) << op;
}

TEST(KeeperFrame, RefusesWhatIsTooLong) {
  EXPECT_TRUE(ParseFrame(Pack(KeeperFrame{kMaxKeeperBytes, 3})));
  EXPECT_FALSE(ParseFrame(Pack(KeeperFrame{kMaxKeeperBytes + 1, 0})));
  EXPECT_FALSE(ParseFrame(Pack(KeeperFrame{1, kMaxKeeperDescriptors + 1})));
  EXPECT_FALSE(ParseFrame("GET / HT"));
  EXPECT_FALSE(ParseFrame("short"));
}

TEST(KeeperMessage, ResultsAreReadAsTheyWereWritten) {
  event::FileState state;
  state.error = 13;
  state.is_directory = true;
  state.file = {1, 2, -3, 4, -5};
  state.files = {{"a.pem", {6, 7, 8, 9, 10}}, {"b.pem", {}}};
  KeeperMessage message;
  PackState(state, message);
  EXPECT_EQ(ParseState(message).value(), state);

  const std::vector<event::ArmedStep> steps = {{"/etc", "x", 4, 0}, {"/etc/x", "", -1, 28}};
  KeeperMessage armed;
  PackSteps(steps, armed);
  EXPECT_EQ(ParseSteps(armed).value(), steps);

  HookRequest hook{"a.test", {"certbot", "renew"}, {{"GENKAN_NAME", "a"}}, Millis(1234)};
  KeeperMessage asked;
  PackHook(hook, asked);
  auto read = ParseHook(asked);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->argv, hook.argv);
  EXPECT_EQ(read->environment, hook.environment);
  EXPECT_EQ(read->timeout, hook.timeout);

  HookOutcome outcome{3, 9, true, true, "words", Millis(5)};
  KeeperMessage ended;
  PackOutcome(outcome, ended);
  auto told = ParseOutcome(ended);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->signal, 9);
  EXPECT_TRUE(told->is_timed_out && told->is_cut);
  EXPECT_EQ(told->output, "words");
}

}  // namespace
}  // namespace genkan::control
