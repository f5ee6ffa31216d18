#include "proxy/net/tcp_stream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <string>

#include "proxy/net/acceptor.h"
#include "tests/support/eventually.h"
#include "tests/support/held_port.h"

namespace genkan::net {
namespace {

struct Watcher final : Stream::Owner {
  void OnReadable() noexcept override { ++readable; }
  void OnWritable() noexcept override { ++writable; }
  int readable = 0;
  int writable = 0;
};

using testing::Eventually;

struct Pair {
  explicit Pair(event::EventLoop& loop) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    near = std::make_unique<TcpStream>(loop, Fd(fds[0]));
    far = Fd(fds[1]);
    near->SetOwner(watcher);
  }
  Watcher watcher;
  std::unique_ptr<TcpStream> near;
  Fd far;
};

TEST(TcpStream, ReadsUpToTheLimit) {
  event::EventLoop loop;
  Pair pair(loop);
  ASSERT_EQ(write(pair.far.get(), "hello world", 11), 11);
  Buffer in;
  auto result = pair.near->Read(in, 5);
  EXPECT_EQ(result.state, IoState::kOk);
  EXPECT_EQ(in.ToText(), "hello");
  EXPECT_EQ(pair.near->Read(in, 100).bytes, 6u);
  EXPECT_EQ(pair.near->Read(in, 100).state, IoState::kWouldBlock);
  pair.far.Reset();
  EXPECT_EQ(pair.near->Read(in, 100).state, IoState::kEnd);
}

TEST(TcpStream, TellsWhenThereIsSomethingToRead) {
  event::EventLoop loop;
  Pair pair(loop);
  pair.near->WantRead(true);
  loop.RunOnce();
  EXPECT_EQ(pair.watcher.readable, 0);
  ASSERT_EQ(write(pair.far.get(), "x", 1), 1);
  EXPECT_TRUE(Eventually(loop, [&] { return pair.watcher.readable > 1; })) << "level-triggered";
  pair.near->Cancel();
  int before = pair.watcher.readable;
  loop.RunOnce();
  EXPECT_EQ(pair.watcher.readable, before);
}

TEST(TcpStream, ReadingThatIsStoppedAndWantedAgainGoesOn) {
  event::EventLoop loop;
  Pair pair(loop);
  pair.near->WantRead(true);
  ASSERT_EQ(write(pair.far.get(), "x", 1), 1);
  ASSERT_TRUE(Eventually(loop, [&] { return pair.watcher.readable > 0; }));
  pair.near->WantRead(false);
  int before = pair.watcher.readable;
  for (int i = 0; i < 3; ++i) loop.RunOnce();
  EXPECT_EQ(pair.watcher.readable, before);
  pair.near->WantRead(true);
  EXPECT_TRUE(Eventually(loop, [&] { return pair.watcher.readable > before; }));
}

TEST(TcpStream, WriteRoomShrinksAsTheKernelFills) {
  event::EventLoop loop;
  Pair pair(loop);
  size_t empty = pair.near->WriteRoom();
  EXPECT_GT(empty, 16u * 1024);
  Buffer out(std::string(16 * 1024 * 1024, 'x'));
  ASSERT_EQ(pair.near->Write(out).state, IoState::kWouldBlock);
  EXPECT_LT(pair.near->WriteRoom(), empty / 2);
}

TEST(TcpStream, MovesMegabytesWithBackPressure) {
  event::EventLoop loop;
  Pair pair(loop);
  int fd = pair.far.Release();
  TcpStream far(loop, Fd(fd));
  std::string sent;
  for (int i = 0; i < 3'000'000; ++i) sent.push_back(static_cast<char>(i * 31 + i / 4096));
  Buffer out(sent), in;
  auto result = pair.near->Write(out);
  EXPECT_EQ(result.state, IoState::kWouldBlock);
  EXPECT_EQ(result.bytes + out.size(), sent.size());
  EXPECT_EQ(pair.near->Write(out).bytes, 0u) << "nobody reads";
  while (in.size() < sent.size()) {
    ASSERT_EQ(far.Read(in, 1 << 20).state, IoState::kOk);
    pair.near->Write(out);
  }
  EXPECT_EQ(in.ToText(), sent);
}

TEST(TcpStream, ClosedPeerIsAnErrorAndNoSignal) {
  event::EventLoop loop;
  Pair pair(loop);
  pair.far.Reset();
  Buffer out("x");
  EXPECT_EQ(pair.near->Write(out).state, IoState::kFailed);
  EXPECT_EQ(pair.near->error().code, ErrorCode::kClosed);
  EXPECT_EQ(pair.near->Write(out).state, IoState::kFailed) << "stays failed";
}

TEST(TcpStream, CloseWriteLeavesTheOtherDirectionOpen) {
  event::EventLoop loop;
  Pair pair(loop);
  pair.near->CloseWrite();
  char byte;
  EXPECT_EQ(read(pair.far.get(), &byte, 1), 0);
  ASSERT_EQ(write(pair.far.get(), "y", 1), 1);
  Buffer in;
  EXPECT_EQ(pair.near->Read(in, 10).bytes, 1u);
}

TEST(TcpStream, ConnectsAndIsAccepted) {
  event::EventLoop loop;
  auto listener = Acceptor::OpenListener(*Address::Parse("127.0.0.1:0"));
  ASSERT_TRUE(listener) << listener.error().detail;
  std::vector<std::unique_ptr<TcpStream>> accepted;
  std::vector<Address> peers, locals;
  Acceptor acceptor(loop, std::move(*listener), [&](Fd fd, const Address& peer, const Address& local) {
    accepted.push_back(std::make_unique<TcpStream>(loop, std::move(fd)));
    peers.push_back(peer);
    locals.push_back(local);
  });
  ASSERT_NE(acceptor.address().port(), 0);
  Address from = *Address::Parse("127.0.0.9:0");
  std::vector<std::unique_ptr<TcpStream>> streams;
  Watcher watcher;
  for (int i = 0; i < 200; ++i) {
    auto stream = TcpStream::Connect(loop, acceptor.address(), &from);
    ASSERT_TRUE(stream) << stream.error().detail;
    (*stream)->SetOwner(watcher);
    (*stream)->WantWrite(true);
    streams.push_back(std::move(*stream));
  }
  EXPECT_TRUE(Eventually(loop, [&] { return accepted.size() == 200; })) << accepted.size();
  EXPECT_TRUE(Eventually(loop, [&] { return !streams.back()->is_connecting(); }));
  EXPECT_EQ(peers.front().HostString(), "127.0.0.9");
  EXPECT_EQ(locals.front(), acceptor.address());
  Buffer out("ping"), in;
  EXPECT_EQ(streams.front()->Write(out).bytes, 4u);
  EXPECT_TRUE(Eventually(loop, [&] {
    for (auto& stream : accepted) stream->Read(in, 10);
    return in.size() == 4;
  }));
}

TEST(TcpStream, RefusedConnectionFailsInWords) {
  event::EventLoop loop;
  const testing::HeldPort held;
  auto stream = TcpStream::Connect(loop, held.address());
  std::string detail;
  if (stream) {
    Watcher watcher;
    (*stream)->SetOwner(watcher);
    (*stream)->WantWrite(true);
    EXPECT_TRUE(Eventually(loop, [&] { return watcher.writable > 0; }));
    Buffer nothing;
    EXPECT_EQ((*stream)->Write(nothing).state, IoState::kFailed);
    EXPECT_EQ((*stream)->error().code, ErrorCode::kClosed);
    detail = (*stream)->error().detail;
  } else {
    detail = stream.error().detail;
  }
  EXPECT_NE(detail.find("refused"), std::string::npos) << detail;
}

TEST(Acceptor, WildcardListenerTakesBothVersions) {
  event::EventLoop loop;
  auto listener = Acceptor::OpenListener(*Address::Parse(":0"));
  ASSERT_TRUE(listener) << listener.error().detail;
  std::vector<std::string> peers, locals;
  Acceptor acceptor(loop, std::move(*listener), [&](Fd, const Address& peer, const Address& local) {
    peers.push_back(peer.HostString());
    locals.push_back(local.HostString());
  });
  auto v4 = TcpStream::Connect(loop, *Address::ParseHost("127.0.0.1", acceptor.address().port()));
  EXPECT_TRUE(Eventually(loop, [&] { return peers.size() == 1; }));
  EXPECT_EQ(peers.at(0), "127.0.0.1") << "not ::ffff:127.0.0.1";
  EXPECT_EQ(locals.at(0), "127.0.0.1");
}

TEST(Acceptor, PausesAndResumes) {
  event::EventLoop loop;
  auto listener = Acceptor::OpenListener(*Address::Parse("127.0.0.1:0"));
  int count = 0;
  Acceptor acceptor(loop, std::move(*listener),
                    [&](Fd, const Address&, const Address&) { ++count; });
  acceptor.Pause();
  auto stream = TcpStream::Connect(loop, acceptor.address());
  for (int i = 0; i < 20; ++i) loop.RunOnce();
  EXPECT_EQ(count, 0);
  acceptor.Resume();
  EXPECT_TRUE(Eventually(loop, [&] { return count == 1; }));
}

TEST(Acceptor, TwoSocketsShareAPortUnlessItMustBeFree) {
  auto first = Acceptor::OpenListener(*Address::Parse("127.0.0.1:0"));
  Address address = *Acceptor::LocalAddress(first->get());
  EXPECT_TRUE(Acceptor::OpenListener(address));
  ListenOptions alone;
  alone.must_be_free = true;
  auto third = Acceptor::OpenListener(address, alone);
  ASSERT_FALSE(third);
  EXPECT_NE(third.error().detail.find("in use"), std::string::npos) << third.error().detail;
}

TEST(Acceptor, ReplacesAStaleUnixSocketButNoLiveOneAndNoFile) {
  std::string folder = ::testing::TempDir() + "genkan-acceptor-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  Address address = *Address::Parse("unix:" + folder + "/s");
  ListenOptions options;
  options.unix_mode = 0600;
  {
    auto listener = Acceptor::OpenListener(address, options);
    ASSERT_TRUE(listener) << listener.error().detail;
    struct stat status;
    ASSERT_EQ(stat((folder + "/s").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_FALSE(Acceptor::OpenListener(address, options)) << "somebody listens";
  }
  EXPECT_TRUE(Acceptor::OpenListener(address, options)) << "left over";
  unlink((folder + "/s").c_str());
  FILE* file = fopen((folder + "/s").c_str(), "w");
  fclose(file);
  EXPECT_FALSE(Acceptor::OpenListener(address, options)) << "a plain file";
  unlink((folder + "/s").c_str());
  rmdir(folder.c_str());
}

}  // namespace
}  // namespace genkan::net
