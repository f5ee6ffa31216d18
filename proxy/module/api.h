// The module SDK: all that a file in modules/ may include. Three lifetimes: a Module (one a configured instance:
// const, shared by all workers) -> a WorkerState (one a worker: no locks) -> a filter (one an exchange or connection).
//
// A module names a filter class and an Options struct and says GENKAN_MODULE(name, Filter, Options). The filter's
// constructor takes (const Options&) or (const Options&, State&), where Filter::State is its state of a worker. What all
// workers share beyond the options is Filter::Shared: one an instance, thread-safe by its own means, made from (const
// Options&); State's constructor may take (const Options&, Shared&) then. Options with `std::vector<WatchedFile*> files()
// const` have those files read again when they change. An instance whose table is the same after a reload goes on, with
// all of that. Hooks that a filter does not override cost nothing: which ones it overrides is found at compile time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "proxy/base/buffer.h"
#include "proxy/base/clock.h"
#include "proxy/base/host_gate.h"
#include "proxy/base/keyed_hash.h"
#include "proxy/base/line_budget.h"
#include "proxy/base/log.h"
#include "proxy/base/percent.h"
#include "proxy/base/result.h"
#include "proxy/base/text.h"
#include "proxy/http/messages.h"
#include "proxy/module/module_config.h"
#include "proxy/module/watched_file.h"

namespace genkan {

// kContinue: go on. kPause: wait, the module calls Exchange::Resume() later. kStop: the module has answered
// (Exchange::Reply) or wants the connection gone.
enum class Verdict { kContinue, kPause, kStop };

// A client's certificate that verified against the authorities of the configuration.
struct ClientCertificateView {
  std::string der;
  std::string subject, issuer;  // RFC 2253: "CN=Alice,O=Example"; UTF-8, no control bytes
  std::string serial_hex;       // upper case
  std::string sha256_hex;       // of the DER
  WallTime not_before, not_after;
};

// What is known of the client's connection.
struct ConnectionView {
  std::string_view client_address;  // "192.0.2.1", "::1": the conveyed one behind a trusted PROXY header
  uint16_t client_port = 0;
  std::string_view local_address;
  uint16_t local_port = 0;
  bool is_tls = false;
  std::string_view server_name;     // SNI
  std::string_view tls_version;     // "TLSv1.3"
  std::string_view cipher;
  std::string_view client_subject;  // of a verified client certificate
  // Null where the client showed none; one that does not verify ends the handshake.
  const ClientCertificateView* client_certificate = nullptr;
};

// One request and its response, as a module sees it. Worker's thread.
class Exchange {
 public:
  virtual const ConnectionView& connection() const = 0;
  // Who asks: the connection's client, or, where that is one of trusted_proxies, whom X-Forwarded-For names (the last
  // address that is no trusted proxy itself). What limits and lists go by. "192.0.2.1", "::1", "unix:".
  virtual std::string_view client_address() const = 0;
  // The connection comes from one of trusted_proxies: what it says of the client may be believed.
  virtual bool is_from_trusted_proxy() const = 0;
  // The time of this turn of the loop: cheap.
  virtual MonotonicTime now() const = 0;
  virtual http::RequestHead& request() = 0;
  // From OnResponseHead on.
  virtual http::ResponseHead& response() = 0;
  // "3.4711/5": worker.connection/stream, as in the log.
  virtual std::string id() const = 0;
  // The path that filters judge and that is forwarded: percent-decoded unreserved bytes, dot segments removed,
  // slashes merged. Nothing where the path has an escape that may not be judged (the exchange is then refused with 400).
  virtual Result<std::string> normalized_path() = 0;
  // The site's configured primary name, "" when no site matched yet.
  virtual std::string_view site() const = 0;
  virtual bool site_has_challenge_upstream() const = 0;
  // The account's thumbprint that the site names for itself, otherwise "".
  virtual std::string_view site_thumbprint() const { return {}; }
  // What a token of ours answers on the challenge path (`genkan preflight` put it up); "" for all others.
  virtual std::string OwnChallenge(std::string_view /*token*/) { return {}; }

  // Answers in place of the upstream; return Verdict::kStop behind it. After kPause: the answer in place of Resume().
  // `body` may be empty; give it for HEAD too, it is left out there. `answered_by` goes to the access log
  // ("acme_challenge").
  virtual void Reply(http::ResponseHead head, std::string body, std::string_view answered_by) = 0;
  // Answers with the standard short page of a status.
  virtual void ReplyStatus(int status, std::string_view answered_by) = 0;
  // The same with further fields in its head.
  virtual void ReplyStatusWith(int status, const http::Headers& more, std::string_view answered_by) = 0;
  // Sends the request on to the site's upstream, past all other modules (challenge_to_upstream); as Reply, with kStop
  // behind it or in place of Resume(). The caller's own response hooks still run.
  virtual void ForwardNow() = 0;

  // In OnResponseHead: has the upstream's whole body brought here before anything of its response goes on; return
  // kPause behind it. `done` gets the body, or why there is none (more than `most` bytes, cut), and then answers with
  // Reply or goes on with Resume, where there is a body.
  virtual void CollectResponse(size_t most, std::function<void(Result<std::string>)> done) = 0;
  // Why the answer is what it is: for the access log's `error`.
  virtual void NoteReason(std::string_view /*reason*/) {}

  // Continues after Verdict::kPause.
  virtual void Resume() = 0;
  // Runs `work` off the worker (files, names) and then `done` here, unless the exchange is gone by then. False: too
  // much is waiting; `done` will not be called.
  virtual bool Offload(std::function<void()> work, std::function<void()> done) = 0;
  // As Offload, for what burns the processor (a password's hash): it has a thread of its own, so that files and names
  // never wait behind it.
  virtual bool Compute(std::function<void()> work, std::function<void()> done) = 0;

  // Who has signed in, and the request's id: for the log and for other modules. "" where no module has said.
  virtual void NoteUser(std::string_view user) = 0;
  virtual std::string_view user() const = 0;
  virtual void NoteRequestId(std::string_view request_id) = 0;
  virtual std::string_view request_id() const = 0;

 protected:
  ~Exchange() = default;
};

// A filter of one exchange. Destroyed after OnComplete.
class ExchangeFilter {
 public:
  virtual ~ExchangeFilter() = default;
  virtual Verdict OnRequestHead(Exchange&) { return Verdict::kContinue; }
  // `data` may be edited in place. end: the last piece.
  virtual Verdict OnRequestBody(Exchange&, Buffer& /*data*/, bool /*end*/) { return Verdict::kContinue; }
  // The head is as it will leave for the upstream.
  virtual Verdict OnUpstreamRequest(Exchange&) { return Verdict::kContinue; }
  virtual Verdict OnResponseHead(Exchange&) { return Verdict::kContinue; }
  virtual Verdict OnResponseBody(Exchange&, Buffer& /*data*/, bool /*end*/) { return Verdict::kContinue; }
  // Once, always, also after a reset.
  virtual void OnComplete(Exchange&) {}
};

// Per-worker state of a module instance; modules that need none use this one.
struct WorkerState {
  virtual ~WorkerState() = default;
};

// ---- certificates (control thread) -------------------------------------------------------------------------------

// A certificate as modules may see it; never a key, never an OpenSSL type.
struct CertificateView {
  std::string name;         // for messages and state: the lineage's name or file
  std::string site;         // primary name of the site
  std::string sha256_hex;   // of the leaf's DER: the key of caches
  std::string leaf_der, issuer_der;  // issuer "" where it is not known
  std::string serial_hex;
  WallTime not_before, not_after;
  std::vector<std::string> names, ocsp_urls, crl_urls;
  bool has_must_staple = false;
};

struct OcspResult {
  enum class State { kGood, kRevoked, kUnknown } state = State::kUnknown;
  WallTime this_update, next_update, revoked_at;
  std::string reason;
};

struct CrlResult {
  bool is_revoked = false;
  WallTime this_update, next_update, revoked_at{};
  std::string reason;
  WallTime due;  // when to ask again
  // Why no newer list could be had, where there was reason to ask for one; the rest is of the list on disk.
  std::string trouble;
};

// RFC 9773: when the authority wants a certificate renewed.
struct RenewalInfo {
  WallTime window_start, window_end;
  std::string explanation_url;
};

// What a watcher has found out of a certificate.
struct StateReport {
  std::string source;  // "ocsp", "crl", "ari"
  // "good", "revoked", "unknown"; of the renewal alone "keep", "renew" (its moment has come), "overdue" (its window is
  // past: now).
  std::string state;
  std::string why;
  WallTime since{};  // of a revocation
  std::string url;   // where the authority explains it
};

struct FetchRequest {
  std::string url;
  std::string method = "GET";
  std::string body;
  std::vector<std::string> headers;  // "Content-Type: application/ocsp-request"
  Millis timeout{10'000};
  size_t max_bytes = 64 * 1024;
  bool follows_redirects = false;
};
struct FetchResponse {
  int status = 0;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
};

// What the control thread offers to certificate watchers. OpenSSL stays behind it.
class CertificateEnv {
 public:
  virtual WallTime now() const = 0;
  // Off this thread; `done` is called here, not at all after shutdown. At most 4 at a time, others wait.
  virtual void Fetch(FetchRequest request, std::function<void(Result<FetchResponse>)> done) = 0;
  // Files in state_dir/<folder>/<name>: atomically replaced. Best effort.
  virtual std::string LoadState(std::string_view folder, std::string_view name) = 0;
  virtual void SaveState(std::string_view folder, std::string_view name, std::string_view bytes) = 0;

  virtual Result<std::string> MakeOcspRequest(const CertificateView& certificate) = 0;
  // Where to GET what a POST of `request` to `url` asks (RFC 6960 A.1).
  virtual std::string OcspGetUrl(std::string_view url, std::string_view request) = 0;
  virtual Result<OcspResult> VerifyOcsp(const CertificateView& certificate, std::string_view response) = 0;
  // Reports a verified good response: it is served from now until next_update. Empty: no staple any more.
  virtual void AttachStaple(const CertificateView& certificate, std::string_view response) = 0;
  // Looks the certificate up in the list at `url`, off this thread: in the copy on disk up to half of its life, then (and
  // where `is_refresh`) in a newer one. One fetch for all certificates whose list it is. `done` as with Fetch.
  virtual void CheckCrl(const CertificateView& certificate, const std::string& url, bool is_refresh,
                        std::function<void(Result<CrlResult>)> done) = 0;

  // The ACME directory of the certificate's authority (conf/ari.toml); "" where none is known.
  virtual std::string AriDirectory(const CertificateView& certificate) = 0;
  // renewalInfo of a directory, "" where it offers none; and an answer of renewalInfo.
  virtual Result<std::string> ReadAcmeDirectory(std::string_view json) = 0;
  virtual Result<RenewalInfo> ReadRenewalInfo(std::string_view json) = 0;
  virtual Result<std::string> AriCertId(const CertificateView& certificate) = 0;
  // The Retry-After of a response, seconds or a date; nothing where there is none.
  virtual std::optional<Millis> RetryAfter(const FetchResponse& response) = 0;

  virtual void Report(const CertificateView& certificate, StateReport report) = 0;
  // Call `watcher.OnTimer(certificate)` after `delay`; replaces the earlier timer of this certificate and watcher.
  virtual void CallAgain(const CertificateView& certificate, Millis delay) = 0;

 protected:
  ~CertificateEnv() = default;
};

// Which troubles have been told: one log line a cause, however long it lasts and however many certificates it meets.
class TroubleLog {
 public:
  // True where this is to be told: not of this certificate since its recovery, nor of another one within an hour. Numbers
  // in `cause` (addresses, times) make no other cause.
  bool IsNews(std::string_view certificate, std::string_view where, std::string_view cause, WallTime now) {
    std::string key(where);
    for (char c : cause) {
      if (!IsDigit(c)) key += c;
    }
    if (!of_certificates_[std::string(certificate)].insert(key).second) return false;
    if (of_all_.size() >= kMaxCauses) of_all_.clear();
    auto [told, is_new] = of_all_.try_emplace(std::move(key), now);
    if (!is_new && now - told->second < std::chrono::hours(1)) return false;
    told->second = now;
    return true;
  }
  // True where there was trouble.
  bool Recover(std::string_view certificate) { return of_certificates_.erase(std::string(certificate)) != 0; }

 private:
  static constexpr size_t kMaxCauses = 1000;
  std::map<std::string, std::set<std::string>> of_certificates_;
  std::map<std::string, WallTime> of_all_;
};

class CertificateWatcher {
 public:
  virtual ~CertificateWatcher() = default;
  // A bundle is about to serve (start, swap). `release` lets it go on: call it at once, or when the first staple is
  // attached; the CertManager does not wait longer than its deadline.
  virtual void OnBundle(CertificateEnv& env, const CertificateView& certificate, std::function<void()> release) = 0;
  virtual void OnTimer(CertificateEnv&, const CertificateView&) {}
  // `genkan status --refresh`: ask now.
  virtual void OnRefresh(CertificateEnv&, const CertificateView&) {}
  // The certificate is no longer in service.
  virtual void OnGone(CertificateEnv&, std::string_view /*sha256_hex*/) {}
};

// ---- registration --------------------------------------------------------------------------------------------------

enum Hooks : unsigned {
  kHookRequestHead = 1u << 0,
  kHookRequestBody = 1u << 1,
  kHookUpstreamRequest = 1u << 2,
  kHookResponseHead = 1u << 3,
  kHookResponseBody = 1u << 4,
  kHookComplete = 1u << 5,
};

// One configured instance of a module.
class Module {
 public:
  virtual ~Module() = default;
  // Errors with positions; empty = ready. Called once, before anything else.
  virtual std::vector<std::string> Configure(const ModuleTable* table) = 0;
  virtual std::unique_ptr<WorkerState> MakeWorkerState() const = 0;
  virtual std::unique_ptr<ExchangeFilter> MakeFilter(WorkerState& state) const = 0;
  // Files that it lives on besides its table. Configure has read them; the control thread has them read again.
  virtual std::vector<WatchedFile*> files() const { return {}; }
  // Only for certificate watchers.
  virtual std::unique_ptr<CertificateWatcher> MakeWatcher() const { return nullptr; }
  virtual unsigned hooks() const = 0;
};

struct ModuleEntry {
  const char* name;
  std::unique_ptr<Module> (*make)();
};

namespace module_internal {

// &Filter::Hook has the base class's pointer type where Filter does not override it.
template <class Filter>
constexpr unsigned HooksOf() {
  unsigned hooks = 0;
  using F = ExchangeFilter;
  if (!std::is_same_v<decltype(&Filter::OnRequestHead), decltype(&F::OnRequestHead)>)
    hooks |= kHookRequestHead;
  if (!std::is_same_v<decltype(&Filter::OnRequestBody), decltype(&F::OnRequestBody)>)
    hooks |= kHookRequestBody;
  if (!std::is_same_v<decltype(&Filter::OnUpstreamRequest), decltype(&F::OnUpstreamRequest)>)
    hooks |= kHookUpstreamRequest;
  if (!std::is_same_v<decltype(&Filter::OnResponseHead), decltype(&F::OnResponseHead)>)
    hooks |= kHookResponseHead;
  if (!std::is_same_v<decltype(&Filter::OnResponseBody), decltype(&F::OnResponseBody)>)
    hooks |= kHookResponseBody;
  if (!std::is_same_v<decltype(&Filter::OnComplete), decltype(&F::OnComplete)>)
    hooks |= kHookComplete;
  return hooks;
}

template <class Filter>
struct WorkerStateOf {
  using Type = WorkerState;
};
template <class Filter>
  requires requires { typename Filter::State; }
struct WorkerStateOf<Filter> {
  using Type = typename Filter::State;
};

struct NothingShared {};
template <class T>
struct SharedOf {
  using Type = NothingShared;
};
template <class T>
  requires requires { typename T::Shared; }
struct SharedOf<T> {
  using Type = typename T::Shared;
};

template <class T, class Options>
class ModuleOf final : public Module {
 public:
  using Shared = typename SharedOf<T>::Type;

  std::vector<std::string> Configure(const ModuleTable* table) override {
    std::vector<std::string> errors;
    if (table != nullptr) {
      errors = table->Visit(
          [](void* options, ConfigReader& reader) { static_cast<Options*>(options)->Read(reader); },
          &options_);
    }
    if (!errors.empty()) return errors;
    if constexpr (std::is_constructible_v<Shared, const Options&>)
      shared_ = std::make_unique<Shared>(options_);
    else
      shared_ = std::make_unique<Shared>();
    return errors;
  }

  std::unique_ptr<WorkerState> MakeWorkerState() const override {
    if constexpr (std::is_base_of_v<ExchangeFilter, T>) {
      using State = typename WorkerStateOf<T>::Type;
      if constexpr (std::is_constructible_v<State, const Options&, Shared&>)
        return std::make_unique<State>(options_, *shared_);
      else if constexpr (std::is_constructible_v<State, const Options&>)
        return std::make_unique<State>(options_);
      else
        return std::make_unique<State>();
    } else {
      return std::make_unique<WorkerState>();
    }
  }

  std::unique_ptr<ExchangeFilter> MakeFilter([[maybe_unused]] WorkerState& state) const override {
    if constexpr (std::is_base_of_v<ExchangeFilter, T>) {
      using State = typename WorkerStateOf<T>::Type;
      if constexpr (std::is_constructible_v<T, const Options&, State&>)
        return std::make_unique<T>(options_, static_cast<State&>(state));
      else
        return std::make_unique<T>(options_);
    } else {
      return nullptr;
    }
  }

  std::unique_ptr<CertificateWatcher> MakeWatcher() const override {
    if constexpr (std::is_base_of_v<CertificateWatcher, T>)
      return std::make_unique<T>(options_);
    else
      return nullptr;
  }

  std::vector<WatchedFile*> files() const override {
    if constexpr (requires { options_.files(); })
      return options_.files();
    else
      return {};
  }

  unsigned hooks() const override {
    if constexpr (std::is_base_of_v<ExchangeFilter, T>)
      return HooksOf<T>();
    else
      return 0;
  }

 private:
  Options options_;
  std::unique_ptr<Shared> shared_;  // what is in it is thread-safe; null until Configure went well
};

}  // namespace module_internal

// A hash over the SDK's headers, the compiler's major version and the C++ ABI: what a loadable module must have been
// built against. Generated at build time (proxy/module/abi_tag.h.in).
const char* SdkAbiTag();

}  // namespace genkan

// At the end of modules/NAME.cc, outside of namespaces. Built in, it defines the entry that the generated list names;
// built as a .so (GENKAN_MODULE_SHARED), it exports the ABI tag and the entry.
#ifdef GENKAN_MODULE_SHARED
#include "genkan_abi_tag.h"
#define GENKAN_MODULE(module_name, Type, OptionsType)                                        \
  extern "C" {                                                                               \
  __attribute__((visibility("default"))) extern const char genkan_module_abi[];              \
  const char genkan_module_abi[] = GENKAN_ABI_TAG;                                           \
  __attribute__((visibility("default"))) extern const ::genkan::ModuleEntry genkan_module_entry; \
  const ::genkan::ModuleEntry genkan_module_entry{                                           \
      #module_name, []() -> std::unique_ptr<::genkan::Module> {                              \
        return std::make_unique<::genkan::module_internal::ModuleOf<Type, OptionsType>>();   \
      }};                                                                                    \
  }                                                                                          \
  static_assert(true)
#else
#define GENKAN_MODULE(module_name, Type, OptionsType)                                       \
  namespace genkan {                                                                        \
  extern const ModuleEntry genkan_module_##module_name;                                     \
  const ModuleEntry genkan_module_##module_name{                                            \
      #module_name, []() -> std::unique_ptr<Module> {                                       \
        return std::make_unique<module_internal::ModuleOf<Type, OptionsType>>();            \
      }};                                                                                   \
  }                                                                                         \
  static_assert(true)
#endif
