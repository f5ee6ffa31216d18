// Where a server is: an address literal, a Unix socket, or a name that is asked for again every 30
// s and after a failure. The old addresses serve until new ones are there. Worker's thread; owned
// by its cluster.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/net/address.h"

namespace genkan::upstream {

using Addresses = std::vector<net::Address>;
// Blocks; runs in the BlockingPool.
using ResolveFunction = std::function<Result<Addresses>(const std::string& host, uint16_t port)>;
// getaddrinfo, in its order of preference (RFC 6724).
Result<Addresses> ResolveWithSystem(const std::string& host, uint16_t port);

class Endpoint {
 public:
  // Told once when the first answer is there, from the loop. Removes itself if it goes before.
  class Waiter {
   public:
    virtual void OnResolved() = 0;

   protected:
    ~Waiter() = default;
  };

  // "127.0.0.1:80", "[::1]:80", "unix:/path", "app.internal:80".
  static Result<std::unique_ptr<Endpoint>> Make(event::EventLoop& loop, event::BlockingPool& pool,
                                                const std::string& address,
                                                ResolveFunction resolve = ResolveWithSystem);
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  // The host as configured, without port and brackets: the name that a certificate must have. ""
  // for Unix sockets.
  const std::string& host() const { return host_; }
  // As configured: for Host of requests of our own.
  const std::string& text() const { return text_; }

  // What is known, the one that worked last in front; null while nothing is: then either Wait, or
  // the last answer was an error that is still fresh (see error()). Asks again in the background
  // where it is time to.
  std::shared_ptr<const Addresses> Get();
  bool is_waiting() const { return is_asking_; }
  const Error& error() const { return error_; }
  void Wait(Waiter& waiter) { waiters_.push_back(&waiter); }
  void StopWaiting(Waiter& waiter) { std::erase(waiters_, &waiter); }

  // A connection to this address stands: the next one begins with it.
  void ReportGood(const net::Address& address);
  // None of the addresses took a connection: perhaps they have moved.
  void ReportFailure();

 private:
  struct Reply;
  Endpoint(event::EventLoop& loop, event::BlockingPool& pool, ResolveFunction resolve);
  void Ask();
  void Take(Result<Addresses> answer);

  event::EventLoop& loop_;
  event::BlockingPool& pool_;
  ResolveFunction resolve_;
  std::string text_, host_;
  uint16_t port_ = 0;
  bool is_name_ = false;
  std::shared_ptr<const Addresses> addresses_;
  Error error_;
  MonotonicTime answered_at_{};
  bool has_answer_ = false;
  bool is_asking_ = false;
  std::vector<Waiter*> waiters_;
  std::shared_ptr<Reply> reply_;
};

}  // namespace genkan::upstream
