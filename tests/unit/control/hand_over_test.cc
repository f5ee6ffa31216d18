#include "proxy/control/hand_over.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace genkan::control {
namespace {

net::Fd Open() { return net::Fd(open("/dev/null", O_RDWR | O_CLOEXEC)); }

KeeperMail Mail(const HandOver& hand_over) {
  std::vector<int> descriptors;
  KeeperMail mail{Pack(hand_over, descriptors), {}};
  for (int fd : descriptors) mail.descriptors.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  return mail;
}

HandOver Example() {
  HandOver hand_over;
  hand_over.listeners.push_back({":443", 1, Open()});
  hand_over.listeners.push_back({":443", 1, Open()});
  hand_over.listeners.push_back({"unix:/run/a b.sock", 2, Open()});
  hand_over.admin.push_back({"unix:/run/genkan/admin.sock", 0, Open()});
  hand_over.state_lock = Open();
  hand_over.state_path = "/var/lib/genkan";
  hand_over.ticket_keys = Open();
  hand_over.rotation_due = Millis(1234);
  hand_over.barred = Open();
  return hand_over;
}

TEST(HandOver, IsReadAsItWasWritten) {
  auto read = ParseHandOver(Mail(Example()));
  ASSERT_TRUE(read) << read.error().detail;
  ASSERT_EQ(read->listeners.size(), 3u);
  EXPECT_EQ(read->listeners[1].listener, 1u);
  EXPECT_EQ(read->listeners[2].address, "unix:/run/a b.sock");
  EXPECT_EQ(read->listeners[2].listener, 2u);
  ASSERT_EQ(read->admin.size(), 1u);
  EXPECT_EQ(read->state_path, "/var/lib/genkan");
  EXPECT_TRUE(read->state_lock.is_open() && read->ticket_keys.is_open() && read->barred.is_open());
  EXPECT_EQ(read->rotation_due, Millis(1234));
}

TEST(HandOver, WhatIsNotThereIsNotHandedOver) {
  HandOver hand_over = Example();
  hand_over.state_lock.Reset();
  hand_over.ticket_keys.Reset();
  hand_over.barred.Reset();
  auto read = ParseHandOver(Mail(hand_over));
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->state_lock.is_open() || read->ticket_keys.is_open() || read->barred.is_open());
}

TEST(HandOver, AnotherFormatIsRefusedAndANewKindIsPassedOver) {
  KeeperMail newer = Mail(Example());
  newer.message.texts[0] = "novelty\n7\nx";
  auto read = ParseHandOver(std::move(newer));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->listeners.size(), 2u);
  KeeperMail other = Mail(Example());
  other.message.number = 2;
  EXPECT_FALSE(ParseHandOver(std::move(other)));
  KeeperMail fewer = Mail(Example());
  fewer.descriptors.pop_back();
  EXPECT_FALSE(ParseHandOver(std::move(fewer)));
  for (const char* label : {"", "listener", "listener\nx\n:443", "listener\n1\n:443\nmore"}) {
    KeeperMail damaged = Mail(Example());
    damaged.message.texts[0] = label;
    EXPECT_FALSE(ParseHandOver(std::move(damaged))) << label;
  }
}

TEST(Program, IsStartedAgainWithOneDescriptorAndFreshSignals) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const net::Fd ours(ends[0]);
  net::Fd theirs(ends[1]);
  setenv("LISTEN_FDS", "2", 1);
  const std::string script =
      "for n in 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && open=$open$n; done; "
      "echo \"$GENKAN_HANDOVER.$LISTEN_FDS.$open\" >&3";
  Program program{"/bin/sh", {"sh", "-c", script}};
  auto pid = StartProgram(program, theirs.get());
  unsetenv("LISTEN_FDS");
  ASSERT_TRUE(pid) << pid.error().detail;
  theirs.Reset();
  char said[64] = {};
  ASSERT_GT(read(ours.get(), said, sizeof(said) - 1), 0);
  EXPECT_EQ(std::string(said), "3..\n");
  EXPECT_FALSE(StartProgram({"/nonexistent/genkan", {"genkan"}}, ours.get()));
}

TEST(Program, KnowsItself) {
  const Program own = OwnProgram();
  EXPECT_EQ(own.path.front(), '/');
  EXPECT_THAT(own.path, ::testing::HasSubstr("unit_control_test"));
  EXPECT_FALSE(own.argv.empty());
}

TEST(Inheritance, IsNoneWhereNobodyHandedOver) {
  unsetenv(kHandOverVariable);
  auto none = Inheritance::Take();
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, nullptr);
  setenv(kHandOverVariable, "nonsense", 1);
  EXPECT_FALSE(Inheritance::Take());
  EXPECT_EQ(getenv(kHandOverVariable), nullptr);
}

}  // namespace
}  // namespace genkan::control
