#include "proxy/upstream/endpoint.h"

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "proxy/base/log.h"
#include "proxy/base/text.h"

namespace genkan::upstream {
namespace {

constexpr Millis kAskAgain{30'000};
// After a failure, and while there is no answer at all: neither every request nor every turn asks.
constexpr Millis kAskAtMost{1'000};

}  // namespace

// The way back from the pool's thread. The endpoint, and its loop with it, may be gone when the
// answer comes.
struct Endpoint::Reply {
  std::mutex mutex;
  event::EventLoop* loop;        // guarded by mutex; null when the endpoint is gone
  Endpoint* endpoint = nullptr;  // loop's thread
};

Result<Addresses> ResolveWithSystem(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    const char* reason = error == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(error);
    return FailAt(Side::kUpstream, ErrorCode::kIo, "DNS: {}: {}", host, reason);
  }
  Addresses addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    net::Address address = net::Address::FromSockaddr(entry->ai_addr, entry->ai_addrlen);
    if (!address.is_ip()) continue;
    address.set_port(port);
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
      addresses.push_back(address);
  }
  freeaddrinfo(found);
  if (addresses.empty())
    return FailAt(Side::kUpstream, ErrorCode::kIo, "DNS: {}: no address", host);
  return addresses;
}

Endpoint::Endpoint(event::EventLoop& loop, event::BlockingPool& pool, ResolveFunction resolve)
    : loop_(loop), pool_(pool), resolve_(std::move(resolve)), reply_(std::make_shared<Reply>()) {
  reply_->loop = &loop;
  reply_->endpoint = this;
}

Endpoint::~Endpoint() {
  reply_->endpoint = nullptr;
  std::lock_guard lock(reply_->mutex);
  reply_->loop = nullptr;
}

Result<std::unique_ptr<Endpoint>> Endpoint::Make(event::EventLoop& loop, event::BlockingPool& pool,
                                                 const std::string& text, ResolveFunction resolve) {
  auto endpoint = std::unique_ptr<Endpoint>(new Endpoint(loop, pool, std::move(resolve)));
  endpoint->text_ = text;
  size_t colon = text.rfind(':');
  auto literal = net::Address::Parse(text);
  if (literal && literal->is_dual_stack())
    return Fail(ErrorCode::kInvalid, "server \"{}\" has no host", text);
  if (literal) {
    if (literal->is_ip()) endpoint->host_ = literal->HostString();
    endpoint->addresses_ = std::make_shared<const Addresses>(Addresses{*literal});
    return endpoint;
  }
  std::string host = text.substr(0, colon);
  auto port = colon == std::string::npos ? std::nullopt
                                         : ParseDecimal(std::string_view(text).substr(colon + 1));
  // A name has no colon and no bracket; what has them was meant as an address.
  if (!port || *port == 0 || *port > 65535 || host.empty() || text.starts_with("unix:") ||
      host.find_first_of(":[]/ ") != std::string::npos)
    return PassOn(literal, "server");
  endpoint->host_ = host;
  endpoint->port_ = static_cast<uint16_t>(*port);
  endpoint->is_name_ = true;
  return endpoint;
}

std::shared_ptr<const Addresses> Endpoint::Get() {
  if (!is_name_) return addresses_;
  Millis fresh = addresses_ != nullptr ? kAskAgain : kAskAtMost;
  if (!has_answer_ || loop_.now() - answered_at_ >= fresh) Ask();
  return addresses_;
}

void Endpoint::Ask() {
  if (is_asking_) return;
  is_asking_ = true;
  bool is_submitted =
      pool_.Submit([reply = reply_, resolve = resolve_, host = host_, port = port_] {
        Result<Addresses> answer = resolve(host, port);
        std::lock_guard lock(reply->mutex);
        if (reply->loop == nullptr) return;
        reply->loop->Post([reply, answer = std::move(answer)]() mutable {
          if (reply->endpoint != nullptr) reply->endpoint->Take(std::move(answer));
        });
      });
  if (is_submitted) return;
  is_asking_ = false;
  has_answer_ = true;
  answered_at_ = loop_.now();
  error_ = Error{ErrorCode::kBusy, "DNS: too many lookups are under way", Side::kLocal};
}

void Endpoint::Take(Result<Addresses> answer) {
  is_asking_ = false;
  has_answer_ = true;
  answered_at_ = loop_.now();
  if (!answer) {
    error_ = answer.error();
    // Nobody forgets where a server is because the resolver is down.
    LOG_DEBUG("upstream_resolve_failed", "server={} error={}", text_, error_.detail);
  } else {
    addresses_ = std::make_shared<const Addresses>(std::move(*answer));
  }
  std::vector<Waiter*> waiters;
  waiters.swap(waiters_);
  // One that is told may end another: those are looked up again.
  waiters_ = waiters;
  for (Waiter* waiter : waiters) {
    if (std::find(waiters_.begin(), waiters_.end(), waiter) == waiters_.end()) continue;
    StopWaiting(*waiter);
    waiter->OnResolved();
  }
}

void Endpoint::ReportGood(const net::Address& address) {
  if (!addresses_ || addresses_->size() < 2 || addresses_->front() == address) return;
  Addresses rotated = *addresses_;
  auto at = std::find(rotated.begin(), rotated.end(), address);
  if (at == rotated.end()) return;
  std::rotate(rotated.begin(), at, rotated.end());
  addresses_ = std::make_shared<const Addresses>(std::move(rotated));
}

void Endpoint::ReportFailure() {
  if (is_name_ && loop_.now() - answered_at_ >= kAskAtMost) Ask();
}

}  // namespace genkan::upstream
