// One gibibyte on its way and one side that stalls: memory stays what one window needs, and what was stalled goes on.
#include <gtest/gtest.h>

#include <atomic>

#include "tests/integration/dataplane_harness.h"

namespace genkan::testing {
namespace {

constexpr size_t kGibibyte = 1ull << 30;
// For the connections' buffers, both directions, and what the allocator keeps. A sanitizer holds freed memory back
// (AddressSanitizer 256 MiB) and keeps books; a third of what is under way still tells a stall from a leak.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kMostGrowth = 320 * 1024 * 1024;
#else
constexpr size_t kMostGrowth = 24 * 1024 * 1024;
#endif

// Sends a body of a gibibyte to every request, and counts what the kernel took.
ScriptedOrigin::Script Source(std::atomic<size_t>& sent) {
  return [&sent](OriginConnection& connection) {
    while (connection.ReadRequest()) {
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kGibibyte) + "\r\n\r\n");
      const std::string piece(64 * 1024, 'x');
      for (size_t done = 0; done < kGibibyte; done += piece.size()) {
        if (!connection.Send(piece)) return;
        sent += piece.size();
      }
    }
  };
}

// The value when it has not changed for a while.
size_t WaitUntilStill(std::atomic<size_t>& value) {
  size_t before = value;
  for (int still = 0; still < 10;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    still = value == before ? still + 1 : 0;
    before = value;
  }
  return before;
}

TEST(Backpressure, AClientThatReadsNothingStallsTheOrigin) {
  for (bool is_tls : {false, true}) {
    std::atomic<size_t> sent{0};
    ScriptedOrigin origin(Source(sent));
    Proxy proxy(MakeConfig(origin.url()));
    size_t before = ResidentBytes();
    RawClient client(is_tls ? proxy.tls_port() : proxy.plain_port(),
                     {.tls = is_tls, .alpn = is_tls ? "http/1.1" : "", .receive_buffer = 16 * 1024});
    client.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    size_t stalled = WaitUntilStill(sent);
    EXPECT_GT(stalled, 0u);
    // The kernel's buffers on both sides hold most of it.
    EXPECT_LT(stalled, 16u * 1024 * 1024);
    EXPECT_LT(ResidentBytes(), before + kMostGrowth);
    // It goes on where it stopped.
    for (size_t got = 0; got < 32u * 1024 * 1024;) {
      std::string bytes = client.Read();
      ASSERT_FALSE(bytes.empty());
      got += bytes.size();
    }
    EXPECT_GT(sent, stalled);
  }
}

TEST(Backpressure, StalledH2StreamsHoldOneWindowEachAndOthersGoOn) {
  std::atomic<size_t> sent{0};
  ScriptedOrigin origin([&sent](OriginConnection& connection) {
    while (auto request = connection.ReadRequest()) {
      if (request->target == "/small") {
        connection.Answer("small");
        continue;
      }
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kGibibyte) + "\r\n\r\n");
      const std::string piece(64 * 1024, 'x');
      while (connection.Send(piece)) sent += piece.size();
      return;
    }
  });
  Proxy proxy(MakeConfig(origin.url()));
  size_t before = ResidentBytes();
  H2Client client(proxy.tls_port());
  client.opens_windows = false;
  // The connection's window is not what stalls.
  client.raw().Send(test::Frame(test::kWindowUpdate, 0, 0, test::Uint32(1 << 30)));
  std::vector<uint32_t> streams;
  for (int i = 0; i < 50; ++i) streams.push_back(client.Open(Fields("GET", "/large"), true));
  ASSERT_TRUE(client.ReadUntil([&] {
    for (uint32_t stream : streams) {
      if (client.answer(stream).body.size() < 65'535) return false;
    }
    return true;
  }));
  WaitUntilStill(sent);
  EXPECT_LT(ResidentBytes(), before + 50 * 128 * 1024 + kMostGrowth);
  EXPECT_EQ(client.Get("/small").body, "small");
}

TEST(Backpressure, AnOriginThatReadsNothingStallsTheClient) {
  for (bool is_chunked : {false, true}) {
    ScriptedOrigin origin(
        [](OriginConnection& connection) {
          connection.ReadHead();
          connection.WaitForRelease();
          size_t got = 0;
          for (std::string bytes = connection.Read(); !bytes.empty(); bytes = connection.Read()) {
            got += bytes.size();
            if (got > 32 * 1024 * 1024) return;
          }
        },
        {.receive_buffer = 16 * 1024});
    Proxy proxy(MakeConfig(origin.url()));
    size_t before = ResidentBytes();
    RawClient client(proxy.plain_port());
    std::atomic<size_t> sent{0};
    std::thread sender([&] {
      client.Send("POST / HTTP/1.1\r\nHost: a.test\r\n" +
                  (is_chunked ? std::string("Transfer-Encoding: chunked")
                              : "Content-Length: " + std::to_string(kGibibyte)) +
                  "\r\n\r\n");
      std::string piece(64 * 1024, 'x');
      std::string wire = is_chunked ? fmt::format("{:x}\r\n{}\r\n", piece.size(), piece) : piece;
      while (sent < kGibibyte && client.Send(wire)) sent += piece.size();
    });
    size_t stalled = WaitUntilStill(sent);
    EXPECT_GT(stalled, 0u);
    EXPECT_LT(stalled, 16u * 1024 * 1024);
    EXPECT_LT(ResidentBytes(), before + kMostGrowth);
    origin.Release();
    EXPECT_TRUE(WaitFor([&] { return sent > stalled + 16u * 1024 * 1024; }));
    sender.join();
  }
}

TEST(Backpressure, AnH2UploadStallsAtItsWindow) {
  ScriptedOrigin origin(
      [](OriginConnection& connection) {
        connection.ReadHead();
        connection.WaitForRelease();
        while (!connection.Read().empty()) {
        }
      },
      {.receive_buffer = 16 * 1024});
  Proxy proxy(MakeConfig(origin.url()));
  H2Client client(proxy.tls_port(), {.timeout = std::chrono::milliseconds(1500)});
  uint32_t stream = client.Open(Fields("POST", "/"), false);
  client.Data(stream, std::string(65'535, 'x'), false);
  // Windows come back only for what has left: the kernel's part at most.
  size_t windows = 0;
  while (true) {
    std::string bytes = client.raw().Read();
    if (bytes.empty()) break;
    for (const auto& frame : client.frames().Read(bytes)) {
      if (frame.type != test::kWindowUpdate || frame.stream != stream) continue;
      uint32_t size = 0;
      for (char c : frame.payload) size = size << 8 | static_cast<unsigned char>(c);
      windows += size;
      client.Data(stream, std::string(size, 'x'), false);
    }
  }
  EXPECT_LT(windows, 8u * 1024 * 1024);
  EXPECT_FALSE(client.raw().has_ended());
}

}  // namespace
}  // namespace genkan::testing
