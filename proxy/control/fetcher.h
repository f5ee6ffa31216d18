// Outgoing HTTP(S) for the control thread: libcurl in the BlockingPool, with caps on time and size,
// at most four at a time. Proxies come from the environment (http_proxy …). Servers are verified
// against the system's roots and those of the configuration. Control thread; owned by the
// Supervisor.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/module/api.h"
#include "proxy/net/fd.h"
#include "proxy/tls/certificate.h"

namespace genkan::control {

// What a fetch may do besides what its request says. Link-local addresses are never connected to,
// also where a name or a redirect leads there: clouds keep their metadata behind them.
struct FetchRules {
  bool is_http_only = false;  // http alone, also in redirects
  long max_redirects = 10;
  const std::vector<tls::CertificatePtr>* roots = nullptr;  // trusted besides the system's
};

class Fetcher {
 public:
  using Done = std::function<void(Result<FetchResponse>)>;

  Fetcher(event::EventLoop& loop, event::BlockingPool& pool);
  // Fetches under way are given up; their `done` is never called.
  ~Fetcher();

  // `done` is called on the control thread, later.
  void Fetch(FetchRequest request, Done done) { Fetch(std::move(request), {}, std::move(done)); }
  void Fetch(FetchRequest request, FetchRules rules, Done done);
  // The body goes into `file` as it comes, and the response has none. Given up also below 1 kB a
  // second for 30 s.
  void FetchToFile(FetchRequest request, std::shared_ptr<const net::Fd> file, Done done);

  // Trusted from now on besides the system's: [certificates] trust_store. May be null.
  void SetRoots(std::shared_ptr<const std::vector<tls::CertificatePtr>> roots) {
    roots_ = std::move(roots);
  }

  static constexpr int kMaxUnderWay = 4;

 private:
  struct Shared;
  void StartNext();

  event::EventLoop& loop_;
  event::BlockingPool& pool_;
  std::shared_ptr<Shared> shared_;
  struct Waiting {
    FetchRequest request;
    FetchRules rules;
    std::shared_ptr<const net::Fd> file;  // null: into the response
    Done done;
  };
  std::deque<Waiting> waiting_;
  std::shared_ptr<const std::vector<tls::CertificatePtr>> roots_;
  int under_way_ = 0;
};

// Blocks; for the command line and for threads of the pool. `is_cancelled` is asked now and then
// and may be empty. `unix_socket`: connect there whatever the URL's host says. `file`: a descriptor
// for the body, -1: into the response.
Result<FetchResponse> FetchBlocking(const FetchRequest& request,
                                    const std::function<bool()>& is_cancelled = {},
                                    const std::string& unix_socket = {}, int file = -1,
                                    const FetchRules& rules = {});

}  // namespace genkan::control
