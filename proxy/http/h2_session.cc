#include "proxy/http/h2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "proxy/base/allocator.h"
#include "proxy/base/check.h"

namespace genkan::http {
namespace {

// RFC 9113 10.5: PING and SETTINGS answers that the client does not read are kept up to this
// number.
constexpr size_t kUnsentAnswers = 1000;
constexpr size_t kFrameHeaderSize = 9;  // RFC 9113 4.1
// Debian's 1.52 has the limits of later versions (CVE-2023-44487, CVE-2024-28182).
constexpr uint64_t kResetBurst = 1000;
constexpr uint64_t kResetsPerSecond = 33;
// A response head of 64 KiB with 1,000 fields as the library estimates it, with room for HPACK's
// worst case.
constexpr size_t kMaxSentHead = size_t{256} * 1024;
constexpr std::array<uint8_t, 8> kShutdownPing = {'g', 'e', 'n', 'k', 'a', 'n', 0, 1};

std::string_view Text(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

StreamId IdOf(const nghttp2_frame* frame) { return static_cast<StreamId>(frame->hd.stream_id); }
int32_t Raw(StreamId stream) { return static_cast<int32_t>(stream); }

std::vector<nghttp2_nv> ToNv(std::span<const H2Field> fields) {
  std::vector<nghttp2_nv> nv;
  nv.reserve(fields.size());
  for (const H2Field& field : fields) {
    // The library copies both and writes names in lower case.
    auto bytes = [](std::string_view text) {
      return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
    };
    nv.push_back({bytes(field.name), bytes(field.value), field.name.size(), field.value.size(),
                  NGHTTP2_NV_FLAG_NONE});
  }
  return nv;
}

}  // namespace

struct H2Session::Callbacks {
  static H2SessionHandler& Handler(void* user) { return static_cast<H2Session*>(user)->handler_; }

  static int Answer(H2SessionHandler::Take take) {
    switch (take) {
      case H2SessionHandler::Take::kGoOn:
        return 0;
      case H2SessionHandler::Take::kDropStream:
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
      case H2SessionHandler::Take::kStop:
        break;
    }
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  static bool IsTrailers(const nghttp2_frame* frame) {
    return frame->headers.cat != NGHTTP2_HCAT_REQUEST;
  }

  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) noexcept {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    return Answer(Handler(user).OnHeadBegin(IdOf(frame), IsTrailers(frame)));
  }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* user) noexcept {
    return Answer(
        Handler(user).OnField(IdOf(frame), Text(name, name_size), Text(value, value_size)));
  }

  // Without this callback the library drops such a field and goes on; RFC 9113 8.1.1 calls the
  // message malformed.
  static int OnInvalidHeader(nghttp2_session* raw, const nghttp2_frame* frame, const uint8_t*,
                             size_t, const uint8_t*, size_t, uint8_t, void* user) noexcept {
    Handler(user).OnFault(IdOf(frame));
    nghttp2_submit_rst_stream(raw, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) noexcept {
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    bool is_ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    H2SessionHandler& handler = Handler(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        handler.OnHeadEnd(IdOf(frame), IsTrailers(frame), end);
        break;
      case NGHTTP2_DATA:
        if (end) handler.OnDataEnd(IdOf(frame));
        break;
      case NGHTTP2_SETTINGS:
        if (is_ack) handler.OnSettingsAck();
        break;
      case NGHTTP2_PING:
        if (is_ack &&
            std::equal(kShutdownPing.begin(), kShutdownPing.end(), frame->ping.opaque_data))
          handler.OnPingAck();
        break;
      default:
        break;
    }
    return 0;
  }

  static int OnInvalidFrame(nghttp2_session*, const nghttp2_frame* frame, int,
                            void* user) noexcept {
    Handler(user).OnFault(IdOf(frame));
    return 0;
  }

  static int OnDataChunk(nghttp2_session*, uint8_t, int32_t stream, const uint8_t* bytes,
                         size_t size, void* user) noexcept {
    Handler(user).OnData(static_cast<StreamId>(stream), Text(bytes, size));
    return 0;
  }

  static int OnStreamClose(nghttp2_session*, int32_t stream, uint32_t error, void* user) noexcept {
    Handler(user).OnClosed(static_cast<StreamId>(stream), static_cast<H2Error>(error));
    return 0;
  }

  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user) noexcept {
    bool has_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (has_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      Handler(user).OnEndSent(IdOf(frame));
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
      Handler(user).OnGoAwaySent(static_cast<H2Error>(frame->goaway.error_code));
    }
    return 0;
  }

  // A head that the library could not send must not leave the client waiting for ever.
  static int OnFrameNotSent(nghttp2_session* raw, const nghttp2_frame* frame, int error,
                            void*) noexcept {
    bool is_gone = error == NGHTTP2_ERR_STREAM_CLOSED || error == NGHTTP2_ERR_STREAM_CLOSING;
    if (frame->hd.type == NGHTTP2_HEADERS && !is_gone) {
      nghttp2_submit_rst_stream(raw, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
  }

  static ssize_t ReadBody(nghttp2_session*, int32_t stream, uint8_t*, size_t limit, uint32_t* flags,
                          nghttp2_data_source*, void* user) noexcept {
    auto part = Handler(user).PlanBody(static_cast<StreamId>(stream), limit);
    if (part.is_deferred) return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (part.is_last) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (part.has_trailers) *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return static_cast<ssize_t>(part.bytes);
  }

  static int SendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* header, size_t size,
                      nghttp2_data_source*, void* user) noexcept {
    // Padding is never asked for, so the header is all that stands before the body.
    GENKAN_CHECK(frame->data.padlen == 0);
    bool goes_on = Handler(user).WriteBody(IdOf(frame), Text(header, kFrameHeaderSize), size);
    return goes_on ? 0 : NGHTTP2_ERR_PAUSE;
  }

  static const nghttp2_session_callbacks* Table() {
    static const nghttp2_session_callbacks* const table = [] {
      nghttp2_session_callbacks* made = nullptr;
      GENKAN_CHECK(nghttp2_session_callbacks_new(&made) == 0);
      nghttp2_session_callbacks_set_on_begin_headers_callback(made, OnBeginHeaders);
      nghttp2_session_callbacks_set_on_header_callback(made, OnHeader);
      nghttp2_session_callbacks_set_on_invalid_header_callback(made, OnInvalidHeader);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, OnFrame);
      nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, OnInvalidFrame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, OnDataChunk);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, OnStreamClose);
      nghttp2_session_callbacks_set_on_frame_send_callback(made, OnFrameSent);
      nghttp2_session_callbacks_set_on_frame_not_send_callback(made, OnFrameNotSent);
      nghttp2_session_callbacks_set_send_data_callback(made, SendData);
      return made;
    }();
    return table;
  }
};

// A stream of nghttp2's is a dozen blocks.
nghttp2_mem Blocks() {
  return {nullptr, [](size_t bytes, void*) { return TakeBlock(bytes); },
          [](void* block, void*) { GiveBlock(block); },
          [](size_t count, size_t bytes, void*) -> void* {
            if (bytes != 0 && count > SIZE_MAX / bytes) return nullptr;
            void* block = TakeBlock(count * bytes);
            if (block != nullptr) std::memset(block, 0, count * bytes);
            return block;
          },
          [](void* block, size_t bytes, void*) { return ResizeBlock(block, bytes); }};
}

void H2Session::Delete::operator()(nghttp2_session* raw) const noexcept {
  nghttp2_session_del(raw);
}

H2Session::H2Session(H2SessionHandler& handler, const CodecLimits& limits) : handler_(handler) {
  nghttp2_option* option = nullptr;
  GENKAN_CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_outbound_ack(option, kUnsentAnswers);
  nghttp2_option_set_max_settings(option, limits.settings_entries);
  nghttp2_option_set_max_deflate_dynamic_table_size(option, limits.header_table);
  nghttp2_option_set_max_send_header_block_length(option, kMaxSentHead);
  nghttp2_option_set_stream_reset_rate_limit(option, kResetBurst, kResetsPerSecond);
  nghttp2_option_set_max_continuations(option, limits.continuations);
  nghttp2_session* raw = nullptr;
  nghttp2_mem memory = Blocks();
  GENKAN_CHECK(nghttp2_session_server_new3(&raw, Callbacks::Table(), this, option, &memory) == 0);
  nghttp2_option_del(option);
  raw_.reset(raw);

  const std::array<nghttp2_settings_entry, 6> settings = {{
      {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, limits.header_table},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrent_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits.all_fields)},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  GENKAN_CHECK(nghttp2_submit_settings(raw, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) ==
               0);
  nghttp2_session_set_local_window_size(raw, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(limits.connection_window));
}

H2Session::~H2Session() = default;

Status H2Session::Receive(std::string_view bytes) {
  ssize_t used = nghttp2_session_mem_recv(
      raw_.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (used >= 0) return {};
  auto code = used == NGHTTP2_ERR_NOMEM ? ErrorCode::kInternal : ErrorCode::kInvalid;
  return FailAt(Side::kDownstream, code, "h2: {}", nghttp2_strerror(static_cast<int>(used)));
}

size_t H2Session::SendWindow(StreamId stream) const {
  int32_t own =
      nghttp2_session_get_stream_remote_window_size(raw_.get(), static_cast<int32_t>(stream));
  int32_t all = nghttp2_session_get_remote_window_size(raw_.get());
  return static_cast<size_t>(std::max(0, std::min(own, all)));
}

void H2Session::Send(Buffer& out, size_t limit) {
  size_t start = out.size();
  while (out.size() - start < limit) {
    const uint8_t* bytes = nullptr;
    ssize_t size = nghttp2_session_mem_send(raw_.get(), &bytes);
    if (size <= 0) return;
    out.Append(Text(bytes, static_cast<size_t>(size)));
  }
}

bool H2Session::wants_write() const { return nghttp2_session_want_write(raw_.get()) != 0; }
bool H2Session::wants_read() const { return nghttp2_session_want_read(raw_.get()) != 0; }

bool H2Session::SubmitInterim(StreamId stream, std::span<const H2Field> fields) {
  auto nv = ToNv(fields);
  return nghttp2_submit_headers(raw_.get(), NGHTTP2_FLAG_NONE, Raw(stream), nullptr, nv.data(),
                                nv.size(), nullptr) == 0;
}

bool H2Session::SubmitResponse(StreamId stream, std::span<const H2Field> fields, bool end) {
  auto nv = ToNv(fields);
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::ReadBody;
  return nghttp2_submit_response(raw_.get(), Raw(stream), nv.data(), nv.size(),
                                 end ? nullptr : &body) == 0;
}

bool H2Session::SubmitTrailers(StreamId stream, std::span<const H2Field> fields) {
  auto nv = ToNv(fields);
  return nghttp2_submit_trailer(raw_.get(), Raw(stream), nv.data(), nv.size()) == 0;
}

void H2Session::ResumeBody(StreamId stream) {
  nghttp2_session_resume_data(raw_.get(), Raw(stream));
}

void H2Session::ResetStream(StreamId stream, H2Error error) {
  nghttp2_submit_rst_stream(raw_.get(), NGHTTP2_FLAG_NONE, Raw(stream),
                            static_cast<uint32_t>(error));
}

void H2Session::ConsumeStream(StreamId stream, size_t bytes) {
  nghttp2_session_consume_stream(raw_.get(), Raw(stream), bytes);
}

void H2Session::ConsumeConnection(size_t bytes) {
  nghttp2_session_consume_connection(raw_.get(), bytes);
}

void H2Session::ShareFairly(StreamId stream) {
  const nghttp2_extpri priority{NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};
  nghttp2_session_change_extpri_stream_priority(raw_.get(), Raw(stream), &priority, 0);
}

void H2Session::AnnounceShutdown() {
  nghttp2_submit_shutdown_notice(raw_.get());
  nghttp2_submit_ping(raw_.get(), NGHTTP2_FLAG_NONE, kShutdownPing.data());
}

void H2Session::Shutdown() {
  nghttp2_submit_goaway(raw_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(raw_.get()), NGHTTP2_NO_ERROR,
                        nullptr, 0);
}

void H2Session::Terminate(H2Error error) {
  nghttp2_session_terminate_session(raw_.get(), static_cast<uint32_t>(error));
}

}  // namespace genkan::http
