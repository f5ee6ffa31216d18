// An origin that takes uploads and throws them away: nginx would write them to a file, or answer
// before their end.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <thread>

#include "tests/bench/load/http1.h"
#include "tests/bench/load/options.h"

namespace bench {
namespace {

// One connection until its end. An Answer reads a request's framing as well: it only looks at the
// fields.
void Serve(int fd) {
  constexpr std::string_view kReply = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
  std::string block(512 * 1024, '\0');
  Answer request;
  ssize_t got;
  while ((got = read(fd, block.data(), block.size())) > 0) {
    if (!request.Take(std::string_view(block).substr(0, static_cast<size_t>(got)))) continue;
    request.Restart();
    if (send(fd, kReply.data(), kReply.size(), MSG_NOSIGNAL) < 0) break;
  }
  close(fd);
}

}  // namespace

int RunSink(const Options&) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      listen(listener, 128) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    std::perror("genkan_bench_load: sink");
    return 2;
  }
  std::printf("{\"port\": %d}\n", ntohs(address.sin_port));
  std::fflush(stdout);
  while (true) {
    int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    std::thread(Serve, fd).detach();
  }
}

}  // namespace bench
