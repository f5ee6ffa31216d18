#include "proxy/control/issuer_fetcher.h"

#include <algorithm>

#include "proxy/base/log.h"
#include "proxy/base/text.h"
#include "proxy/control/known_issuers.h"
#include "proxy/tls/aia.h"

namespace genkan::control {
namespace {

constexpr std::string_view kFolder = "aia";
constexpr Millis kFirstDelay{60'000};
constexpr Millis kLongestDelay{3'600'000};
constexpr Millis kTimeout{10'000};
constexpr size_t kMaxUrls = 4;
constexpr FetchRules kRules{.is_http_only = true, .max_redirects = 4};

}  // namespace

IssuerFetcher::IssuerFetcher(Options options)
    : options_(std::move(options)), retry_(options_.loop, [this] { Retry(); }) {}

bool IssuerFetcher::Want(const tls::CertificatePtr& last) {
  const std::string sha256 = last->sha256_hex();
  if (wanted_.contains(sha256) || wanted_.size() >= kMaxWanted) return false;
  Wanted wanted;
  wanted.certificate = last;
  for (const std::string& url : last->ca_issuer_urls()) {
    if (tls::IsAiaUrl(url) && wanted.urls.size() < kMaxUrls) wanted.urls.push_back(url);
  }
  const auto hops = hops_.find(sha256);
  const bool is_too_far = hops != hops_.end() && hops->second >= kMaxHops;
  if (is_too_far) wanted.urls.clear();
  for (const std::string& url : wanted.urls) {
    const std::string bytes = options_.state.Load(kFolder, IssuerFileOf(url));
    if (!bytes.empty() && Accept(wanted, bytes)) return true;
  }
  Wanted& kept = wanted_[sha256] = std::move(wanted);
  if (is_too_far) {
    OnFailed(sha256, kept, fmt::format("it would be the {}th fetch for one chain", kMaxHops + 1));
  } else if (kept.urls.empty()) {
    OnFailed(sha256, kept, "the certificate names no http:// address for it");
  } else {
    Fetch(sha256, kept);
  }
  return false;
}

void IssuerFetcher::Keep(const std::set<std::string>& wanted) {
  std::erase_if(wanted_, [&](const auto& item) { return !wanted.contains(item.first); });
  StartTimer();
}

IssuerFetcher::State IssuerFetcher::StateOf(const std::string& sha256) const {
  const auto found = wanted_.find(sha256);
  if (found == wanted_.end()) return State::kNone;
  return found->second.failure.empty() ? State::kUnderWay : State::kFailed;
}

std::string IssuerFetcher::Describe(const std::string& sha256) const {
  const auto found = wanted_.find(sha256);
  if (found == wanted_.end()) return {};
  const Wanted& wanted = found->second;
  if (!wanted.failure.empty()) return "fetching it failed: " + wanted.failure;
  return "it is being fetched from " + wanted.urls[wanted.url];
}

void IssuerFetcher::Fetch(const std::string& sha256, Wanted& wanted) {
  wanted.is_under_way = true;
  FetchRequest request;
  request.url = wanted.urls[wanted.url];
  request.timeout = kTimeout;
  request.max_bytes = tls::kMaxAiaBytes;
  request.follows_redirects = true;
  LOG_DEBUG("aia_fetch", "url={} for=\"{}\"", request.url, wanted.certificate->subject());
  std::weak_ptr<bool> alive = alive_;
  options_.fetcher.Fetch(request, kRules,
                         [this, alive, sha256, url = request.url](Result<FetchResponse> response) {
                           if (alive.lock()) OnFetched(sha256, url, std::move(response));
                         });
}

void IssuerFetcher::OnFetched(const std::string& sha256, const std::string& url,
                              Result<FetchResponse> response) {
  const auto found = wanted_.find(sha256);
  if (found == wanted_.end()) return;
  Wanted& wanted = found->second;
  wanted.is_under_way = false;
  constexpr int kOk = 200;
  Status accepted;
  if (!response) {
    accepted = PassOn(response);
  } else if (response->status != kOk) {
    accepted = Fail(ErrorCode::kInvalid, "{}: status {}", url, response->status);
  } else if (accepted = Accept(wanted, response->body); !accepted) {
    accepted = PassOn(accepted, "{}", url);
  }
  if (!accepted) return OnFailed(sha256, wanted, accepted.error().detail);
  options_.state.Save(kFolder, IssuerFileOf(url), response->body);
  LOG_INFO("aia_fetched", "url={} issuer=\"{}\" of=\"{}\"", url, wanted.certificate->issuer(),
           wanted.certificate->subject());
  wanted_.erase(found);
  StartTimer();
  options_.on_arrival(sha256);
}

Status IssuerFetcher::Accept(const Wanted& wanted, std::string_view bytes) {
  auto issuers = tls::AcceptIssuers(*wanted.certificate, bytes, options_.clock.Wall());
  if (!issuers) return PassOn(issuers);
  const auto before = hops_.find(wanted.certificate->sha256_hex());
  const int hops = before == hops_.end() ? 1 : before->second + 1;
  for (const tls::CertificatePtr& issuer : *issuers) {
    hops_.emplace(issuer->sha256_hex(), hops);
    const bool is_known = std::any_of(known_.begin(), known_.end(), [&](const auto& one) {
      return one->sha256() == issuer->sha256();
    });
    if (is_known) continue;
    if (known_.size() >= kMaxKnown) {  // the oldest is on the disk, should it be wanted again
      hops_.erase(known_.front()->sha256_hex());
      known_.erase(known_.begin());
    }
    known_.push_back(issuer);
  }
  return {};
}

// The next address, and after the last one a pause that doubles.
void IssuerFetcher::OnFailed(const std::string& sha256, Wanted& wanted, const std::string& why) {
  if (wanted.url + 1 < wanted.urls.size()) {
    ++wanted.url;
    return Fetch(sha256, wanted);
  }
  wanted.url = 0;
  if (wanted.failure != why)
    LOG_WARN("aia_failed", "subject=\"{}\" issuer=\"{}\" error=\"{}\"",
             wanted.certificate->subject(), wanted.certificate->issuer(), why);
  wanted.failure = why;
  wanted.delay = std::clamp(wanted.delay * 2, kFirstDelay, kLongestDelay);
  wanted.next = options_.loop.now() + wanted.delay;
  StartTimer();
}

void IssuerFetcher::StartTimer() {
  retry_.Cancel();
  MonotonicTime first = MonotonicTime::max();
  for (const auto& [sha256, wanted] : wanted_) {
    if (!wanted.is_under_way && !wanted.urls.empty()) first = std::min(first, wanted.next);
  }
  if (first == MonotonicTime::max()) return;
  const auto now = options_.loop.now();
  retry_.Start(first <= now ? Millis(0) : std::chrono::ceil<Millis>(first - now));
}

void IssuerFetcher::Retry() {
  const auto now = options_.loop.now();
  for (auto& [sha256, wanted] : wanted_) {
    if (wanted.is_under_way || wanted.urls.empty() || wanted.next > now) continue;
    Fetch(sha256, wanted);
  }
  StartTimer();
}

}  // namespace genkan::control
