#include "proxy/control/acme_probe.h"

#include <curl/curl.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "proxy/base/log.h"
#include "proxy/base/text.h"

namespace genkan::control {
namespace {

struct CurlDeleter {
  void operator()(CURL* curl) const noexcept { curl_easy_cleanup(curl); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

// Takes what is needed and ends the transfer: an endless answer is nobody's token.
size_t OnBody(char* data, size_t size, size_t count, void* user) noexcept {
  auto& hop = *static_cast<Hop*>(user);
  size_t bytes = size * count, room = kMostBody - hop.body.size();
  hop.body.append(data, std::min(bytes, room));
  return bytes <= room ? bytes : 0;
}

size_t OnHeader(char* data, size_t size, size_t count, void* user) noexcept {
  std::string_view line(data, size * count);
  size_t colon = line.find(':');
  if (colon != std::string_view::npos && EqualsIgnoreCase(line.substr(0, colon), "server"))
    static_cast<Hop*>(user)->server = EscapeControl(Trim(line.substr(colon + 1, 200)));
  return size * count;
}

std::string Bracketed(const std::string& host) {
  return host.find(':') == std::string::npos || host.starts_with('[') ? host : "[" + host + "]";
}

// libcurl's CONNECT_TO: "HOST:PORT:ADDRESS:PORT" (empty: any, or the same).
curl_slist* ConnectTo(const ProbeOptions& options) {
  std::string host = options.is_for_all ? "" : Bracketed(options.host);
  std::string to = options.address.empty() ? "" : Bracketed(options.address);
  curl_slist* list = nullptr;
  for (auto [from, port] :
       {std::pair<int, uint16_t>{80, options.http_port}, {443, options.https_port}}) {
    list = curl_slist_append(list, fmt::format("{}:{}:{}:{}", host, from, to, port).c_str());
    // A test's port stands for 80 whatever the name.
    if (!options.is_for_all && port != from)
      list = curl_slist_append(list, fmt::format(":{}::{}", from, port).c_str());
  }
  return list;
}

HopEnd EndOf(CURL* curl, CURLcode code) {
  curl_off_t connected = 0;
  long os_error = 0;
  curl_easy_getinfo(curl, CURLINFO_CONNECT_TIME_T, &connected);
  curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_error);
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return HopEnd::kNotResolved;
    case CURLE_COULDNT_CONNECT:
      return os_error == ETIMEDOUT ? HopEnd::kSilent : HopEnd::kRefused;
    case CURLE_OPERATION_TIMEDOUT:
      return connected > 0 ? HopEnd::kMute : HopEnd::kSilent;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CIPHER:
      return HopEnd::kTlsFailed;
    default:
      return HopEnd::kBroken;
  }
}

void Configure(CURL* curl, const std::string& url, const ProbeOptions& options, Hop& hop) {
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, options.user_agent.c_str());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &hop);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &hop);
}

}  // namespace

Hop ProbeOnce(const std::string& url, const ProbeOptions& options) {
  Hop hop;
  hop.url = url;
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  std::unique_ptr<CURL, CurlDeleter> curl(initialised == CURLE_OK ? curl_easy_init() : nullptr);
  if (!curl) {
    hop.error = "libcurl gives no handle";
    return hop;
  }
  char error[CURL_ERROR_SIZE] = "";
  std::unique_ptr<curl_slist, ListDeleter> connect_to(ConnectTo(options));
  Configure(curl.get(), url, options, hop);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECT_TO, connect_to.get());
  CURLcode code = curl_easy_perform(curl.get());

  char* address = nullptr;
  long port = 0, status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_PRIMARY_IP, &address);
  curl_easy_getinfo(curl.get(), CURLINFO_PRIMARY_PORT, &port);
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (address != nullptr && *address != '\0')
    hop.address = fmt::format("{} port {}", address, port);
  bool is_long = code == CURLE_WRITE_ERROR && hop.body.size() == kMostBody;
  if (code != CURLE_OK && !is_long) {
    hop.end = EndOf(curl.get(), code);
    hop.error = EscapeControl(error[0] != '\0' ? error : curl_easy_strerror(code));
    return hop;
  }
  hop.end = HopEnd::kAnswered;
  hop.status = static_cast<int>(status);
  char* redirect = nullptr;
  curl_easy_getinfo(curl.get(), CURLINFO_REDIRECT_URL, &redirect);
  if (redirect != nullptr) hop.redirect = redirect;
  return hop;
}

}  // namespace genkan::control
