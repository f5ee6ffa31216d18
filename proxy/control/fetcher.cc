#include "proxy/control/fetcher.h"

#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "proxy/base/text.h"
#include "proxy/net/address.h"
#include "proxy/tls/trust_store.h"

namespace genkan::control {
namespace {

constexpr long kLeastBytesPerSecond = 1000, kSlowSeconds = 30;

struct Transfer {
  FetchResponse response;
  size_t max_bytes = 0, received = 0;
  int file = -1;  // the body goes there
  int write_error = 0;
  bool is_too_large = false;
  bool is_link_local = false;  // an address that was refused
  const std::function<bool()>* is_cancelled = nullptr;
};

bool WriteAll(int file, std::string_view bytes, int& error) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      error = errno;
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

size_t OnBody(char* data, size_t size, size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  size_t bytes = size * count;
  transfer.received += bytes;
  if (transfer.received > transfer.max_bytes) {
    transfer.is_too_large = true;
    return 0;
  }
  if (transfer.file >= 0)
    return WriteAll(transfer.file, {data, bytes}, transfer.write_error) ? bytes : 0;
  transfer.response.body.append(data, bytes);
  return bytes;
}

size_t OnHeader(char* data, size_t size, size_t count, void* user) noexcept {
  auto& headers = static_cast<Transfer*>(user)->response.headers;
  std::string_view line(data, size * count);
  if (line.substr(0, 5) == "HTTP/") headers.clear();  // of a redirect or an interim response
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  size_t colon = line.find(':');
  if (colon != std::string_view::npos && headers.size() < 100)
    headers.emplace_back(ToLower(line.substr(0, colon)), Trim(line.substr(colon + 1)));
  return size * count;
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
  const auto* is_cancelled = static_cast<Transfer*>(user)->is_cancelled;
  return is_cancelled != nullptr && *is_cancelled && (*is_cancelled)() ? 1 : 0;
}

bool IsLinkLocal(const net::Address& address) {
  static const auto networks = [] {
    std::vector<net::Network> list;
    for (const char* text : {"169.254.0.0/16", "fe80::/10"})
      list.push_back(net::Network::Parse(text).value());
    return list;
  }();
  return std::any_of(networks.begin(), networks.end(),
                     [&](const net::Network& network) { return network.Contains(address); });
}

// Asked for each address that a name resolved to, also after a redirect.
curl_socket_t OnSocket(void* user, curlsocktype, curl_sockaddr* address) noexcept {
  if (IsLinkLocal(net::Address::FromSockaddr(&address->addr, address->addrlen))) {
    static_cast<Transfer*>(user)->is_link_local = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// Before the handshake; what libcurl trusts by itself is in the context already.
CURLcode OnTlsContext(CURL*, void* ssl_context, void* roots) noexcept {
  tls::AddTrust(ssl_context, *static_cast<const std::vector<tls::CertificatePtr>*>(roots));
  return CURLE_OK;
}

struct CurlDeleter {
  void operator()(CURL* curl) const noexcept { curl_easy_cleanup(curl); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

void InitCurlOnce() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(code);
}

}  // namespace

Result<FetchResponse> FetchBlocking(const FetchRequest& request,
                                    const std::function<bool()>& is_cancelled,
                                    const std::string& unix_socket, int file,
                                    const FetchRules& rules) {
  InitCurlOnce();
  std::unique_ptr<CURL, CurlDeleter> curl(curl_easy_init());
  if (!curl) return Fail(ErrorCode::kInternal, "libcurl gives no handle");
  Transfer transfer;
  transfer.max_bytes = request.max_bytes;
  transfer.is_cancelled = &is_cancelled;
  transfer.file = file;
  char error_text[CURL_ERROR_SIZE] = "";
  CURL* handle = curl.get();
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  const char* protocols = rules.is_http_only ? "http" : "http,https";
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, protocols);
  curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, request.follows_redirects ? 1L : 0L);
  curl_easy_setopt(handle, CURLOPT_MAXREDIRS, rules.max_redirects);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error_text);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "genkan");
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, &OnSocket);
  curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &OnProgress);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
  if (file >= 0) {
    // What may take minutes must at least move.
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, kLeastBytesPerSecond);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, kSlowSeconds);
  }
  if (rules.roots != nullptr) {
    curl_easy_setopt(handle, CURLOPT_SSL_CTX_FUNCTION, &OnTlsContext);
    curl_easy_setopt(handle, CURLOPT_SSL_CTX_DATA, rules.roots);
  }
  if (!unix_socket.empty()) curl_easy_setopt(handle, CURLOPT_UNIX_SOCKET_PATH, unix_socket.c_str());
  if (request.method == "POST") {
    curl_easy_setopt(handle, CURLOPT_POST, 1L);
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.data());
  } else if (request.method != "GET") {
    return Fail(ErrorCode::kUnsupported, "cannot fetch with {}", request.method);
  }
  std::unique_ptr<curl_slist, ListDeleter> headers;
  for (const auto& header : request.headers)
    headers.reset(curl_slist_append(headers.release(), header.c_str()));
  // A responder that is asked to say "continue" first costs a second, and some never do.
  headers.reset(curl_slist_append(headers.release(), "Expect:"));
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());

  CURLcode code = curl_easy_perform(handle);
  if (transfer.is_too_large)
    return Fail(ErrorCode::kTooLarge, "{}: more than {} bytes", request.url, request.max_bytes);
  if (transfer.write_error != 0)
    return Fail(ErrorCode::kIo, "{}: it cannot be written to disk: {}", request.url,
                std::strerror(transfer.write_error));
  if (code == CURLE_ABORTED_BY_CALLBACK)
    return Fail(ErrorCode::kClosed, "{}: given up", request.url);
  if (code == CURLE_OPERATION_TIMEDOUT)
    return Fail(ErrorCode::kTimeout, "{}: no answer within {} ms{}", request.url,
                request.timeout.count(), file >= 0 ? ", or too slow" : "");
  if (code != CURLE_OK && transfer.is_link_local)
    return Fail(ErrorCode::kPermission, "{}: leads to a link-local address, which is never asked",
                request.url);
  if (code != CURLE_OK)
    return Fail(ErrorCode::kIo, "{}: {}", request.url,
                error_text[0] != '\0' ? error_text : curl_easy_strerror(code));
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  transfer.response.status = static_cast<int>(status);
  return std::move(transfer.response);
}

struct Fetcher::Shared {
  std::atomic<bool> is_cancelled{false};
};

Fetcher::Fetcher(event::EventLoop& loop, event::BlockingPool& pool)
    : loop_(loop), pool_(pool), shared_(std::make_shared<Shared>()) {
  InitCurlOnce();
}

Fetcher::~Fetcher() { shared_->is_cancelled.store(true); }

void Fetcher::Fetch(FetchRequest request, FetchRules rules, Done done) {
  waiting_.push_back({std::move(request), rules, nullptr, std::move(done)});
  StartNext();
}

void Fetcher::FetchToFile(FetchRequest request, std::shared_ptr<const net::Fd> file, Done done) {
  waiting_.push_back({std::move(request), {}, std::move(file), std::move(done)});
  StartNext();
}

void Fetcher::StartNext() {
  while (under_way_ < kMaxUnderWay && !waiting_.empty()) {
    auto [request, rules, file, done] = std::move(waiting_.front());
    waiting_.pop_front();
    ++under_way_;
    auto finish = [this, shared = shared_, done = std::move(done)](Result<FetchResponse> result) {
      if (shared->is_cancelled.load()) return;
      --under_way_;
      done(std::move(result));
      StartNext();
    };
    bool is_queued =
        pool_.Submit([&loop = loop_, shared = shared_, request = std::move(request), rules = rules,
                      roots = roots_, file = std::move(file), finish]() mutable {
          if (shared->is_cancelled.load()) return;
          rules.roots = roots.get();
          auto result = FetchBlocking(
              request, [&shared] { return shared->is_cancelled.load(); }, {},
              file != nullptr ? file->get() : -1, rules);
          loop.Post([finish, result = std::move(result)]() mutable { finish(std::move(result)); });
        });
    if (!is_queued) {
      loop_.Defer([finish] {
        finish(Fail(ErrorCode::kBusy, "too much is waiting for the threads that fetch"));
      });
    }
  }
}

}  // namespace genkan::control
