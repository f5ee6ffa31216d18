#include "proxy/control/keeper_channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace genkan::control {
namespace {

// The kernel takes 253 in one go (SCM_MAX_FD).
constexpr size_t kAtOnce = 200;
constexpr std::string_view kMore = "+";

tl::unexpected<Error> Broken(const char* what) {
  const ErrorCode code =
      errno == EPIPE || errno == ECONNRESET ? ErrorCode::kClosed : ErrorCode::kIo;
  return Fail(code, "keeper: {}: {}", what, std::strerror(errno));
}

// Descriptors that came although there was no room for them are closed by the kernel (MSG_CTRUNC).
void TakeDescriptors(msghdr& header, std::vector<net::Fd>& descriptors) {
  for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(one) + i * sizeof(int), sizeof(int));
      descriptors.emplace_back(fd);
    }
  }
}

}  // namespace

Result<std::pair<net::Fd, net::Fd>> KeeperChannel::MakePair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return Broken("socketpair");
  return std::pair(net::Fd(ends[0]), net::Fd(ends[1]));
}

Status KeeperChannel::SendAll(std::string_view bytes, const int* descriptors, size_t count) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kAtOnce)] = {};
  while (!bytes.empty()) {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (count > 0) {
      header.msg_control = control;
      header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
      cmsghdr* rights = CMSG_FIRSTHDR(&header);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
      std::memcpy(CMSG_DATA(rights), descriptors, sizeof(int) * count);
    }
    const ssize_t sent = sendmsg(socket_.get(), &header, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return Broken("send");
    // They went with the first byte.
    count = 0;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return {};
}

Status KeeperChannel::Send(const KeeperMessage& message, const std::vector<int>& descriptors) {
  const std::string body = Pack(message);
  if (body.size() > kMaxKeeperBytes || descriptors.size() > kMaxKeeperDescriptors)
    return Fail(ErrorCode::kTooLarge, "keeper: a message of {} bytes is too long", body.size());
  KeeperFrame frame{static_cast<uint32_t>(body.size()), static_cast<uint16_t>(descriptors.size())};
  size_t sent = std::min(kAtOnce, descriptors.size());
  auto status = SendAll(Pack(frame) + body, descriptors.data(), sent);
  for (; status && sent < descriptors.size(); sent += kAtOnce) {
    status =
        SendAll(kMore, descriptors.data() + sent, std::min(kAtOnce, descriptors.size() - sent));
  }
  return status;
}

Status KeeperChannel::ReceiveAll(char* bytes, size_t size, std::vector<net::Fd>& descriptors) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kAtOnce)];
  while (size > 0) {
    iovec part{bytes, size};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t got = recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Broken("receive");
    TakeDescriptors(header, descriptors);
    if (got == 0) return Fail(ErrorCode::kClosed, "keeper: the other end is gone");
    if (descriptors.size() > kMaxKeeperDescriptors)
      return Fail(ErrorCode::kTooLarge, "keeper: too many descriptors");
    bytes += got;
    size -= static_cast<size_t>(got);
  }
  return {};
}

Result<KeeperMail> KeeperChannel::Receive() {
  KeeperMail mail;
  char head[KeeperFrame::kBytes];
  if (auto got = ReceiveAll(head, sizeof(head), mail.descriptors); !got) return PassOn(got);
  auto frame = ParseFrame({head, sizeof(head)});
  if (!frame) return PassOn(frame);
  std::string body(frame->length, '\0');
  if (auto got = ReceiveAll(body.data(), body.size(), mail.descriptors); !got) return PassOn(got);
  while (mail.descriptors.size() < frame->descriptors) {
    char more;
    if (auto got = ReceiveAll(&more, 1, mail.descriptors); !got) return PassOn(got);
  }
  if (mail.descriptors.size() != frame->descriptors)
    return Fail(ErrorCode::kInvalid, "keeper: other descriptors than were announced");
  auto message = ParseMessage(body);
  if (!message) return PassOn(message);
  mail.message = *std::move(message);
  return mail;
}

}  // namespace genkan::control
