// One end of the socket between the proxy and its keeper: whole messages with their descriptors.
// Blocks. One thread at a time; owned by either end.
#pragma once

#include <vector>

#include "proxy/control/keeper_message.h"
#include "proxy/net/fd.h"

namespace genkan::control {

struct KeeperMail {
  KeeperMessage message;
  std::vector<net::Fd> descriptors;
};

class KeeperChannel {
 public:
  explicit KeeperChannel(net::Fd socket) : socket_(std::move(socket)) {}
  // Both ends of a new one.
  static Result<std::pair<net::Fd, net::Fd>> MakePair();

  // The descriptors stay the caller's.
  Status Send(const KeeperMessage& message, const std::vector<int>& descriptors = {});
  // kClosed: the other end is gone.
  Result<KeeperMail> Receive();

  int fd() const { return socket_.get(); }
  void Close() { socket_.Reset(); }

 private:
  Status SendAll(std::string_view bytes, const int* descriptors, size_t count);
  Status ReceiveAll(char* bytes, size_t size, std::vector<net::Fd>& descriptors);

  net::Fd socket_;
};

}  // namespace genkan::control
