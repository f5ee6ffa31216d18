// The filters of one exchange, in the order they were added; requests pass them forwards, responses backwards. A run
// that pauses goes on behind the filter that paused it. Worker's thread; owned by the exchange, used again and again.
#pragma once

#include <memory>
#include <vector>

#include "proxy/module/api.h"

namespace genkan::server {

class FilterChain {
 public:
  using Filters = std::vector<std::unique_ptr<ExchangeFilter>>;

  // `name`: of the module's instance; outlives the filter.
  void Add(std::unique_ptr<ExchangeFilter> filter, unsigned hooks, std::string_view name = {});
  // Of the filter that ran last.
  std::string_view last_name() const { return last_name_; }
  // True where some filter has this hook (module/api.h, Hooks).
  bool Has(unsigned hook) const { return (hooks_ & hook) != 0; }

  // kContinue: all of them have run. kPause: call again to go on. kStop: one of them has answered.
  Verdict RequestHead(Exchange& exchange);
  Verdict RequestBody(Exchange& exchange, Buffer& data, bool end);
  Verdict UpstreamRequest(Exchange& exchange);
  Verdict ResponseHead(Exchange& exchange);
  Verdict ResponseBody(Exchange& exchange, Buffer& data, bool end);
  // OnComplete of each.
  void Complete(Exchange& exchange);

  // Empties the chain. The filters are given away, so that work that refers to them can outlive the exchange.
  Filters Take();

 private:
  struct Entry {
    std::unique_ptr<ExchangeFilter> filter;
    unsigned hooks = 0;
    std::string_view name;
  };
  template <class Call>
  Verdict Forwards(size_t& position, unsigned hook, Call call);
  template <class Call>
  Verdict Backwards(size_t& position, unsigned hook, Call call);

  std::vector<Entry> entries_;
  unsigned hooks_ = 0;
  std::string_view last_name_;
  // How many filters the run in progress has behind it.
  size_t request_head_ = 0, request_body_ = 0, upstream_request_ = 0, response_head_ = 0,
         response_body_ = 0;
};

}  // namespace genkan::server
