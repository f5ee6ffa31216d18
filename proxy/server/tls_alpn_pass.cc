#include "proxy/server/tls_alpn_pass.h"

namespace genkan::server {
namespace {

using net::IoResult;
using net::IoState;

constexpr size_t kReadAtOnce = 16 * 1024;

}  // namespace

bool IsTlsAlpnChallenge(const tls::ClientHello& hello) {
  return hello.alpn.size() == 1 && hello.alpn[0] == "acme-tls/1" && !hello.server_name.empty();
}

TlsAlpnPass::TlsAlpnPass(event::EventLoop& loop, net::Stream& client, std::function<void()> on_end)
    : loop_(loop), client_(client), ended_(loop, std::move(on_end)) {}

void TlsAlpnPass::Start(const net::Address& target, Buffer& first) {
  in_.passed = first.size();
  in_.waiting.Append(first);
  target_name_ = target.ToString();
  auto stream = net::TcpStream::Connect(loop_, target);
  if (!stream) return End(stream.error().detail);
  target_ = std::move(*stream);
  target_->SetOwner(*this);
  // Nothing is read from the client until there is somebody to give it to.
  client_.WantRead(false);
  target_->WantWrite(true);
}

void TlsAlpnPass::Shutdown() {
  is_over_ = true;
  ended_.Cancel();
  if (target_ != nullptr) target_->Cancel();
}

void TlsAlpnPass::End(std::string failure) {
  if (is_over_) return;
  failure_ = std::move(failure);
  Shutdown();
  client_.WantRead(false);
  client_.WantWrite(false);
  ended_.Start(Millis(0));
}

void TlsAlpnPass::Pump() {
  if (is_over_ || target_ == nullptr) return;
  if (target_->is_connecting()) {
    Buffer nothing;
    if (target_->Write(nothing).state == IoState::kFailed) return End(target_->error().detail);
    if (target_->is_connecting()) return;
  }
  if (!Move(client_, *target_, in_, "the client")) return;
  if (!Move(*target_, client_, out_, "who answers")) return;
  if (in_.is_closed && out_.is_closed) End("");
}

bool TlsAlpnPass::Move(net::Stream& from, net::Stream& to, Direction& direction,
                       std::string_view whose) {
  if (direction.is_closed) return true;
  if (direction.waiting.empty() && !direction.has_end) {
    IoResult result = from.Read(direction.waiting, kReadAtOnce);
    if (result.state == IoState::kFailed) {
      End(fmt::format("{}: {}", whose, from.error().detail));
      return false;
    }
    direction.has_end = result.state == IoState::kEnd;
    direction.passed += direction.waiting.size();
    if (direction.passed > kMostBytes) {
      End(fmt::format("{} sends more than a handshake", whose));
      return false;
    }
  }
  if (!direction.waiting.empty() && to.Write(direction.waiting).state == IoState::kFailed) {
    End(fmt::format("to pass on what {} says: {}", whose, to.error().detail));
    return false;
  }
  bool is_stuck = !direction.waiting.empty();
  to.WantWrite(is_stuck);
  from.WantRead(!is_stuck && !direction.has_end);
  if (direction.has_end && !is_stuck) {
    to.CloseWrite();
    direction.is_closed = true;
  }
  return true;
}

}  // namespace genkan::server
