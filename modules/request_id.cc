// Gives each request an id: to the origin, to the client and into the access log, so that the three
// can be put side by side. One that comes along is kept only from trusted proxies; from anybody
// else it would be a way to write into logs.
#include "proxy/module/api.h"

namespace {
using namespace genkan;

constexpr size_t kMostBytes = 128;

struct Options {
  std::string header = "X-Request-ID";
  bool response = true;

  void Read(ConfigReader& config) {
    config.Read("header", header);
    config.Read("response", response);
    bool is_token = !header.empty();
    for (char c : header) is_token = is_token && (IsAlpha(c) || IsDigit(c) || c == '-');
    if (!is_token) config.Fail("header", "is no name of a field (letters, digits and -)");
  }
};

// Letters, digits and what UUIDs, trace ids and base64 have beside them.
bool IsId(std::string_view text) {
  if (text.empty() || text.size() > kMostBytes) return false;
  for (char c : text) {
    if (!IsAlpha(c) && !IsDigit(c) &&
        std::string_view("-._+/=:@").find(c) == std::string_view::npos)
      return false;
  }
  return true;
}

// Origins behind CGI take "x_request_id" and "x.request.id" for the same field.
bool IsSameField(std::string_view name, std::string_view wanted) {
  if (name.size() != wanted.size()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    char c = IsAlpha(name[i]) || IsDigit(name[i]) ? ToLower(name[i]) : '-';
    if (c != ToLower(wanted[i])) return false;
  }
  return true;
}

class RequestId final : public ExchangeFilter {
 public:
  // Random bytes are fetched for many requests at once.
  struct State : WorkerState {
    std::string MakeId() {
      if (used == bytes.size()) {
        FillRandom(bytes);
        used = 0;
      }
      used += kIdBytes;
      return HexEncode(std::span(bytes).subspan(used - kIdBytes, kIdBytes));
    }
    static constexpr size_t kIdBytes = 16;
    std::array<unsigned char, 64 * kIdBytes> bytes{};
    size_t used = bytes.size();
  };
  RequestId(const Options& options, State& state) : options_(options), state_(state) {}

  Verdict OnRequestHead(Exchange& exchange) override {
    http::Headers& headers = exchange.request().headers;
    // Another instance in front has given one.
    id_ = exchange.request_id();
    if (id_.empty() && exchange.is_from_trusted_proxy() && headers.Count(options_.header) == 1) {
      std::string_view given = *headers.Get(options_.header);
      if (IsId(given)) id_ = given;
    }
    if (id_.empty()) id_ = state_.MakeId();
    headers.RemoveIf([&](std::string_view name, std::string_view) {
      return IsSameField(name, options_.header);
    });
    headers.Add(options_.header, id_);
    exchange.NoteRequestId(id_);
    return Verdict::kContinue;
  }

  Verdict OnResponseHead(Exchange& exchange) override {
    // Refused in front of this module: there is none.
    if (options_.response && !id_.empty()) exchange.response().headers.Set(options_.header, id_);
    return Verdict::kContinue;
  }

 private:
  const Options& options_;
  State& state_;
  std::string id_;
};
}  // namespace

GENKAN_MODULE(request_id, RequestId, Options);
