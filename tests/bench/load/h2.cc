// HTTP/2: many streams on few connections, each followed by the next; small answers or downloads.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "tests/bench/load/link.h"
#include "tests/bench/load/options.h"

namespace bench {
namespace {

constexpr double kMebibyte = 1024 * 1024;
constexpr int32_t kWindow = 16 * 1024 * 1024;

class H2 final : public Link::Owner {
 public:
  explicit H2(const Options& options)
      : options_(options),
        is_download_(options.workload == "h2_download"),
        target_(options.port, options.name, "\x02h2", is_download_),
        meter_(options.pids, options.settle, options.seconds, options.slice),
        pace_(options.rate) {
    nghttp2_session_callbacks_new(&callbacks_);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks_, &H2::OnChunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks_, &H2::OnStreamClose);
    nghttp2_session_callbacks_set_on_header_callback(callbacks_, &H2::OnHeader);
    for (int i = 0; i < options.connections; ++i) {
      clients_.push_back(std::make_unique<Client>(target_, *this));
      clients_.back()->Open(true);
    }
  }
  ~H2() {
    clients_.clear();
    nghttp2_session_callbacks_del(callbacks_);
  }

  int Run() {
    Time now = Clock::now();
    while (meter_.Tick(now)) {
      Time until = now + std::chrono::milliseconds(5);
      if (pace_.is_open() && pace_.NextDue() < until) until = pace_.NextDue();
      RunEvents(target_, std::min(until, meter_.end()));
      now = Clock::now();
      if (pace_.is_open()) {
        // In turn, so that the load spreads.
        for (size_t tried = 0; tried < clients_.size(); ++tried) {
          Client& client = *clients_[next_++ % clients_.size()];
          if (Fill(client)) Pump(client);
        }
      }
    }
    std::puts(meter_.Report().c_str());
    return meter_.has_failed() ? 1 : 0;
  }

 private:
  struct Stream {
    Time since;
    int status = 0;
  };
  struct Client final : Link {
    Client(Target& target, H2& h2) : Link(target, h2), owner(h2) {}
    ~Client() { nghttp2_session_del(session); }
    H2& owner;
    nghttp2_session* session = nullptr;
    int open = 0;
    bool is_dead = false;
  };

  static Client& Of(Link& link) { return static_cast<Client&>(link); }

  void OnOpen(Link& link) override {
    Client& client = Of(link);
    if (link.alpn() != "h2") meter_.Fail("no h2");
    nghttp2_session_del(client.session);
    nghttp2_session_client_new(&client.session, callbacks_, &client);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindow}};
    nghttp2_submit_settings(client.session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(client.session, NGHTTP2_FLAG_NONE, 0, kWindow);
    client.open = 0;
    Fill(client);
    Pump(client);
  }

  // True where something was submitted.
  bool Fill(Client& client) {
    bool has_submitted = false;
    Time since;
    while (client.is_open() && client.session != nullptr && client.open < options_.streams &&
           nghttp2_session_check_request_allowed(client.session) != 0 &&
           pace_.Take(Clock::now(), since)) {
      nghttp2_nv fields[] = {Field(":method", "GET"),
                             Field(":scheme", "https"),
                             Field(":authority", options_.name),
                             Field(":path", options_.path),
                             Field("user-agent", "genkan_bench_load"),
                             Field("accept", "*/*")};
      auto* stream = new Stream{since};
      if (nghttp2_submit_request(client.session, nullptr, fields, std::size(fields), nullptr,
                                 stream) < 0) {
        delete stream;
        meter_.Fail("submit_request");
        return has_submitted;
      }
      ++client.open;
      has_submitted = true;
    }
    return has_submitted;
  }

  void Pump(Client& client) {
    std::string out;
    const uint8_t* bytes = nullptr;
    ssize_t size;
    while ((size = nghttp2_session_mem_send(client.session, &bytes)) > 0) {
      out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    }
    if (!out.empty()) client.Send(out);
    bool is_over = client.open == 0 && nghttp2_session_check_request_allowed(client.session) == 0;
    if (is_over && client.is_open()) client.Open(true);
  }

  void OnData(Link& link, std::string_view data) override {
    Client& client = Of(link);
    auto* bytes = reinterpret_cast<const uint8_t*>(data.data());
    if (nghttp2_session_mem_recv(client.session, bytes, data.size()) < 0) {
      meter_.Fail("h2: protocol error");
      return link.Open(true);
    }
    if (!pace_.is_open()) Fill(client);
    Pump(client);
  }

  void OnClosed(Link& link, const std::string& why) override {
    if (!why.empty()) {
      meter_.Fail(why);
      if (++broken_ > 1000) return;
    }
    link.Open(true);
  }

  static nghttp2_nv Field(std::string_view name, std::string_view value) {
    auto bytes = [](std::string_view text) {
      return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(),
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
  }

  static int OnChunk(nghttp2_session*, uint8_t, int32_t, const uint8_t*, size_t size, void* self) {
    H2& h2 = static_cast<Client*>(self)->owner;
    if (h2.is_download_) h2.meter_.Add(static_cast<double>(size) / kMebibyte);
    return 0;
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t, uint8_t, void*) {
    auto* stream =
        static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, frame->hd.stream_id));
    if (stream != nullptr && name_size == 7 && name[0] == ':') {
      stream->status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
    }
    return 0;
  }

  static int OnStreamClose(nghttp2_session* session, int32_t id, uint32_t error, void* self) {
    auto& client = *static_cast<Client*>(self);
    std::unique_ptr<Stream> stream(
        static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id)));
    --client.open;
    Meter& meter = client.owner.meter_;
    if (error != 0 || stream->status != 200) {
      meter.Fail("stream: error " + std::to_string(error) + ", status " +
                 std::to_string(stream->status));
      return 0;
    }
    meter.AddLatency(stream->since, Clock::now());
    if (!client.owner.is_download_) meter.Add(1);
    return 0;
  }

  const Options& options_;
  bool is_download_;
  Target target_;
  Meter meter_;
  Pace pace_;
  nghttp2_session_callbacks* callbacks_ = nullptr;
  std::vector<std::unique_ptr<Client>> clients_;
  size_t next_ = 0;
  int broken_ = 0;
};

}  // namespace

int RunH2(const Options& options) { return H2(options).Run(); }

}  // namespace bench
