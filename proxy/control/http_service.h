// A small HTTP/1.1 server on one loop, for what is not on the hot path: the admin socket, the demo's origin and its OCSP
// responder. Whole requests in (64 KiB of body at most), whole responses out, or a stream of events. One loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/event/event_loop.h"
#include "proxy/http/messages.h"
#include "proxy/net/acceptor.h"

namespace genkan::control {

struct ServiceRequest {
  http::RequestHead head;
  std::string body;
  net::Address peer, local;
};

struct ServiceResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  // Not empty: the response is an event stream. Called once a second until it gives "" or the client is gone; each
  // text is sent as it is.
  std::function<std::string()> next_event;
};

class HttpService {
 public:
  using Handler = std::function<ServiceResponse(const ServiceRequest&)>;

  HttpService(event::EventLoop& loop, Handler handler);
  ~HttpService();

  Status Listen(const net::Address& address, const net::ListenOptions& options = {});
  void Adopt(net::Fd listener);
  // Of the first listener.
  net::Address address() const;
  void CloseListeners();

  static constexpr size_t kMaxBody = 64 * 1024;
  static constexpr size_t kMaxConnections = 64;

 private:
  class Connection;
  void OnAccept(net::Fd fd, const net::Address& peer, const net::Address& local);
  void Remove(Connection* connection);

  event::EventLoop& loop_;
  Handler handler_;
  std::vector<std::unique_ptr<net::Acceptor>> acceptors_;
  std::map<Connection*, std::unique_ptr<Connection>> connections_;
};

}  // namespace genkan::control
