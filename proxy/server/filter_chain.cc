#include "proxy/server/filter_chain.h"

namespace genkan::server {

void FilterChain::Add(std::unique_ptr<ExchangeFilter> filter, unsigned hooks,
                      std::string_view name) {
  entries_.push_back({std::move(filter), hooks, name});
  hooks_ |= hooks;
}

template <class Call>
Verdict FilterChain::Forwards(size_t& position, unsigned hook, Call call) {
  while (position < entries_.size()) {
    Entry& entry = entries_[position++];
    if ((entry.hooks & hook) == 0) continue;
    last_name_ = entry.name;
    Verdict verdict = call(*entry.filter);
    if (verdict != Verdict::kContinue) return verdict;
  }
  return Verdict::kContinue;
}

template <class Call>
Verdict FilterChain::Backwards(size_t& position, unsigned hook, Call call) {
  while (position < entries_.size()) {
    Entry& entry = entries_[entries_.size() - ++position];
    if ((entry.hooks & hook) == 0) continue;
    last_name_ = entry.name;
    Verdict verdict = call(*entry.filter);
    if (verdict != Verdict::kContinue) return verdict;
  }
  return Verdict::kContinue;
}

Verdict FilterChain::RequestHead(Exchange& exchange) {
  return Forwards(request_head_, kHookRequestHead,
                  [&](ExchangeFilter& filter) { return filter.OnRequestHead(exchange); });
}

Verdict FilterChain::RequestBody(Exchange& exchange, Buffer& data, bool end) {
  Verdict verdict = Forwards(request_body_, kHookRequestBody, [&](ExchangeFilter& filter) {
    return filter.OnRequestBody(exchange, data, end);
  });
  if (verdict == Verdict::kContinue) request_body_ = 0;
  return verdict;
}

Verdict FilterChain::UpstreamRequest(Exchange& exchange) {
  return Forwards(upstream_request_, kHookUpstreamRequest,
                  [&](ExchangeFilter& filter) { return filter.OnUpstreamRequest(exchange); });
}

Verdict FilterChain::ResponseHead(Exchange& exchange) {
  return Backwards(response_head_, kHookResponseHead,
                   [&](ExchangeFilter& filter) { return filter.OnResponseHead(exchange); });
}

Verdict FilterChain::ResponseBody(Exchange& exchange, Buffer& data, bool end) {
  Verdict verdict = Backwards(response_body_, kHookResponseBody, [&](ExchangeFilter& filter) {
    return filter.OnResponseBody(exchange, data, end);
  });
  if (verdict == Verdict::kContinue) response_body_ = 0;
  return verdict;
}

void FilterChain::Complete(Exchange& exchange) {
  for (Entry& entry : entries_) {
    if ((entry.hooks & kHookComplete) != 0) entry.filter->OnComplete(exchange);
  }
}

FilterChain::Filters FilterChain::Take() {
  Filters filters;
  filters.reserve(entries_.size());
  for (Entry& entry : entries_) filters.push_back(std::move(entry.filter));
  entries_.clear();
  hooks_ = 0;
  last_name_ = {};
  request_head_ = request_body_ = upstream_request_ = response_head_ = response_body_ = 0;
  return filters;
}

}  // namespace genkan::server
