// Outgoing HTTP(S) for the control thread: libcurl in the BlockingPool, with caps on time and size, at most four at a
// time. Proxies come from the environment (http_proxy …). Control thread; owned by the Supervisor.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/module/api.h"

namespace genkan::control {

class Fetcher {
 public:
  using Done = std::function<void(Result<FetchResponse>)>;

  Fetcher(event::EventLoop& loop, event::BlockingPool& pool);
  // Fetches under way are given up; their `done` is never called.
  ~Fetcher();

  // `done` is called on the control thread, later.
  void Fetch(FetchRequest request, Done done);

  static constexpr int kMaxUnderWay = 4;

 private:
  struct Shared;
  void StartNext();

  event::EventLoop& loop_;
  event::BlockingPool& pool_;
  std::shared_ptr<Shared> shared_;
  std::deque<std::pair<FetchRequest, Done>> waiting_;
  int under_way_ = 0;
};

// Blocks; for the command line and for threads of the pool. `is_cancelled` is asked now and then and may be empty.
// `unix_socket`: connect there whatever the URL's host says.
Result<FetchResponse> FetchBlocking(const FetchRequest& request,
                                    const std::function<bool()>& is_cancelled = {},
                                    const std::string& unix_socket = {});

}  // namespace genkan::control
