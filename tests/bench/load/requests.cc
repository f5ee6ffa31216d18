// HTTP/1.1 on kept connections: small requests, downloads, uploads; and connections that are opened
// only to be held.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "tests/bench/load/http1.h"
#include "tests/bench/load/link.h"
#include "tests/bench/load/options.h"

namespace bench {
namespace {

constexpr std::string_view kAlpn = "\x08http/1.1";
constexpr double kMebibyte = 1024 * 1024;
constexpr size_t kUploadPiece = 256 * 1024;

class Requests final : public Link::Owner {
 public:
  explicit Requests(const Options& options)
      : options_(options),
        is_download_(options.workload == "download"),
        is_upload_(options.workload == "upload"),
        target_(options.port, options.name, kAlpn, is_download_),
        meter_(options.pids, options.settle, options.seconds, options.slice),
        pace_(options.rate),
        piece_(kUploadPiece, 'u') {
    request_ = (is_upload_ ? "POST " : "GET ") + options.path +
               " HTTP/1.1\r\nHost: " + options.name +
               "\r\nUser-Agent: genkan_bench_load\r\nAccept: */*\r\n";
    if (is_upload_) request_ += "Content-Length: " + std::to_string(options.body) + "\r\n";
    request_ += "\r\n";
    for (int i = 0; i < options.connections; ++i) {
      clients_.push_back(std::make_unique<Client>(target_, *this));
      clients_.back()->Open(true);
    }
  }

  int Run() {
    Time now = Clock::now();
    while (meter_.Tick(now)) {
      Time until = now + std::chrono::milliseconds(5);
      if (pace_.is_open() && pace_.NextDue() < until && !idle_.empty()) until = pace_.NextDue();
      RunEvents(target_, std::min(until, meter_.end()));
      now = Clock::now();
      while (!idle_.empty() && Begin(*idle_.back(), now)) idle_.pop_back();
    }
    std::puts(meter_.Report().c_str());
    return meter_.has_failed() ? 1 : 0;
  }

 private:
  struct Client final : Link {
    Client(Target& target, Requests& owner) : Link(target, owner) {}
    Answer answer;
    uint64_t counted = 0;     // bytes of the body that were counted
    size_t left_to_send = 0;  // of an upload
  };

  static Client& Of(Link& link) { return static_cast<Client&>(link); }

  bool Begin(Client& client, Time now) {
    if (!pace_.Take(now, client.since)) return false;
    client.answer.Restart();
    client.counted = 0;
    client.Send(request_);
    client.left_to_send = is_upload_ ? options_.body : 0;
    if (is_upload_) OnWritable(client);
    return true;
  }

  void OnOpen(Link& link) override {
    if (!Begin(Of(link), Clock::now())) idle_.push_back(&Of(link));
  }

  void OnWritable(Link& link) override {
    Client& client = Of(link);
    while (client.left_to_send > 0 && link.is_open() && !link.has_unsent()) {
      size_t size = std::min(client.left_to_send, piece_.size());
      client.left_to_send -= size;
      meter_.Add(static_cast<double>(size) / kMebibyte);
      link.Send(std::string_view(piece_).substr(0, size));
    }
  }

  void OnData(Link& link, std::string_view data) override {
    Client& client = Of(link);
    bool is_whole = client.answer.Take(data);
    if (is_download_) {
      meter_.Add(static_cast<double>(client.answer.body_bytes() - client.counted) / kMebibyte);
      client.counted = client.answer.body_bytes();
    }
    if (!is_whole) return;
    Time now = Clock::now();
    if (client.answer.status() != 200) {
      meter_.Fail("status " + std::to_string(client.answer.status()));
    } else {
      meter_.AddLatency(link.since, now);
      if (!is_download_ && !is_upload_) meter_.Add(1);
    }
    if (client.answer.says_close()) return link.Open(true);
    if (!Begin(client, now)) idle_.push_back(&client);
  }

  void OnClosed(Link& link, const std::string& why) override {
    std::erase(idle_, &Of(link));
    if (!why.empty()) {
      meter_.Fail(why);
      if (++broken_ > 1000) return;
    }
    link.Open(true);
  }

  const Options& options_;
  bool is_download_, is_upload_;
  Target target_;
  Meter meter_;
  Pace pace_;
  std::string request_, piece_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Client*> idle_;
  int broken_ = 0;
};

// Opens connections, a few at a time, sends one request on each, and holds them until its stdin
// ends.
class Idle final : public Link::Owner {
 public:
  explicit Idle(const Options& options)
      : options_(options), target_(options.port, options.name, kAlpn, false) {
    request_ = "GET " + options.path + " HTTP/1.1\r\nHost: " + options.name + "\r\n\r\n";
  }

  int Run() {
    constexpr int kAtOnce = 16;
    Time limit = Clock::now() + std::chrono::seconds(120);
    while (answered_ < options_.connections && broken_ <= kMostBroken && Clock::now() < limit) {
      while (static_cast<int>(links_.size()) < options_.connections &&
             static_cast<int>(links_.size()) < answered_ + kAtOnce) {
        links_.push_back(std::make_unique<Link>(target_, *this));
        links_.back()->Open(false);
      }
      RunEvents(target_, Clock::now() + std::chrono::milliseconds(100));
    }
    std::printf("{\"held\": %d, \"failures\": %d}\n", answered_, broken_);
    std::fflush(stdout);
    char nothing;
    fcntl(0, F_SETFL, O_NONBLOCK);
    while (read(0, &nothing, 1) != 0)
      RunEvents(target_, Clock::now() + std::chrono::milliseconds(100));
    return answered_ == options_.connections ? 0 : 1;
  }

 private:
  void OnOpen(Link& link) override { link.Send(request_); }
  void OnData(Link&, std::string_view data) override {
    // The answer is small: its head comes in one record.
    if (data.starts_with("HTTP/1.1 200")) ++answered_;
  }
  // On a busy machine one or another runs into a server's time limit.
  void OnClosed(Link& link, const std::string&) override {
    if (++broken_ <= kMostBroken && answered_ < options_.connections) link.Open(false);
  }

  static constexpr int kMostBroken = 200;

  const Options& options_;
  Target target_;
  std::string request_;
  std::vector<std::unique_ptr<Link>> links_;
  int answered_ = 0, broken_ = 0;
};

}  // namespace

int RunRequests(const Options& options) { return Requests(options).Run(); }
int RunIdle(const Options& options) { return Idle(options).Run(); }

}  // namespace bench
