#include "proxy/control/listener_sockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <set>

#include "proxy/net/acceptor.h"
#include "tests/support/temp_dir.h"

namespace genkan::control {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

ino_t SocketOf(const net::Fd& fd) {
  struct stat info {};
  EXPECT_EQ(fstat(fd.get(), &info), 0);
  return info.st_ino;
}

// As somebody whose rights are gone: what was open stays so, no more is opened.
class OnceOpener final : public SocketOpener {
 public:
  Result<std::vector<net::Fd>> Open(const std::string& address, size_t count,
                                    unsigned unix_mode) override {
    return DirectSocketOpener().Open(address, count, unix_mode);
  }
  Result<std::vector<net::Fd>> OpenMore(const std::string& address, uint16_t, size_t) override {
    return Fail(ErrorCode::kPermission, "{}: no more", address);
  }
};

class ListenerSocketsTest : public ::testing::Test {
 protected:
  ListenerSocketsTest() { Listen("127.0.0.1:0"); }

  void Listen(const std::string& address) {
    server::ListenerSpec spec;
    spec.config.address = address;
    spec.address = *net::Address::Parse(address);
    spec.id = ++last_id_;
    snapshot_.listeners = {spec};
  }

  // What the workers have then; each hears of what is new.
  void Open(size_t workers) {
    auto opened = sockets_.Open(snapshot_, workers);
    ASSERT_TRUE(opened) << opened.error().front();
    ASSERT_EQ(opened->size(), workers);
    given_ = 0;
    workers_.resize(workers);
    for (size_t i = 0; i < workers; ++i) {
      for (server::ListenerSocket& socket : (*opened)[i]) {
        EXPECT_EQ(socket.listener_id, last_id_);
        workers_[i].push_back(std::move(socket.fd));
        ++given_;
      }
    }
  }

  std::set<ino_t> SocketsOf(size_t worker) const {
    std::set<ino_t> sockets;
    for (const net::Fd& fd : workers_[worker]) sockets.insert(SocketOf(fd));
    return sockets;
  }
  std::set<ino_t> AllSockets() const {
    std::set<ino_t> all;
    for (size_t i = 0; i < workers_.size(); ++i) all.merge(SocketsOf(i));
    return all;
  }

  event::EventLoop loop_;
  ServiceManager service_manager_{loop_};
  ListenerSockets sockets_{service_manager_};
  server::Snapshot snapshot_;
  uint32_t last_id_ = 0;
  std::vector<std::vector<net::Fd>> workers_;
  size_t given_ = 0;
};

TEST_F(ListenerSocketsTest, EachWorkerHasItsOwnAndNothingComesTwice) {
  Open(2);
  EXPECT_THAT(AllSockets(), SizeIs(2));
  EXPECT_THAT(SocketsOf(0), SizeIs(1));
  Open(2);
  EXPECT_EQ(given_, 0u);
}

TEST_F(ListenerSocketsTest, FurtherWorkersGetTheirOwnOfTheSamePort) {
  Open(1);
  const auto first = SocketsOf(0);
  Open(3);
  EXPECT_EQ(SocketsOf(0), first);
  EXPECT_EQ(given_, 2u);
  EXPECT_THAT(AllSockets(), SizeIs(3));
  std::set<uint16_t> ports;
  for (const auto& worker : workers_)
    ports.insert(net::Acceptor::LocalAddress(worker.front().get())->port());
  EXPECT_THAT(ports, SizeIs(1));
  EXPECT_THAT(sockets_.Copies(snapshot_), SizeIs(3)) << "for a hand-over";
}

TEST_F(ListenerSocketsTest, WhatAWorkerThatGoesLeavesIsAcceptedFromByTheOthers) {
  Open(3);
  const auto all = AllSockets();
  // Connections that wait in all three queues.
  const net::Address address = *net::Acceptor::LocalAddress(workers_[0].front().get());
  std::vector<net::Fd> clients;
  for (int i = 0; i < 60; ++i) {
    clients.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(clients.back().get(), address.get(), address.length()), 0);
  }
  Open(1);  // the others' descriptors are closed
  EXPECT_EQ(SocketsOf(0), all);
  size_t accepted = 0;
  for (const net::Fd& fd : workers_[0]) {
    while (net::Fd(accept4(fd.get(), nullptr, nullptr, SOCK_CLOEXEC)).is_open()) ++accepted;
  }
  EXPECT_EQ(accepted, clients.size());

  Open(2);
  EXPECT_EQ(given_, 1u) << "one that is open already";
  EXPECT_EQ(AllSockets(), all);
}

TEST_F(ListenerSocketsTest, WhereNoMoreCanBeOpenedWorkersShare) {
  OnceOpener once;
  sockets_.SetOpener(once);
  Open(1);
  Open(3);
  EXPECT_THAT(AllSockets(), SizeIs(1));
  EXPECT_THAT(SocketsOf(2), SizeIs(1));
}

TEST_F(ListenerSocketsTest, OfAUnixSocketAndAnInheritedOneThereIsNoSecond) {
  testing::TempDir dir;
  Listen("unix:" + (dir / "socket"));
  Open(1);
  Open(3);
  EXPECT_THAT(AllSockets(), SizeIs(1));

  workers_.clear();
  Listen("127.0.0.1:0");
  std::vector<HandOver::Socket> inherited;
  inherited.push_back(
      {"127.0.0.1:0", 1, *net::Acceptor::OpenListener(snapshot_.listeners[0].address)});
  sockets_.Inherit(std::move(inherited));
  Open(1);
  Open(2);
  EXPECT_THAT(AllSockets(), SizeIs(1));
}

TEST_F(ListenerSocketsTest, AListenerThatCannotBeOpenedLeavesAllAsItWas) {
  Open(2);
  server::ListenerSpec bad = snapshot_.listeners.front();
  bad.config.address = "unix:/proc/no/socket";
  bad.address = *net::Address::Parse(bad.config.address);
  bad.id = last_id_ + 1;
  snapshot_.listeners.push_back(bad);
  auto opened = sockets_.Open(snapshot_, 3);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error(), SizeIs(1));
  snapshot_.listeners.pop_back();
  Open(2);
  EXPECT_EQ(given_, 0u);
  EXPECT_THAT(sockets_.Copies(snapshot_), SizeIs(2));
}

}  // namespace
}  // namespace genkan::control
