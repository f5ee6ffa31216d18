// A client's HTTP/2 frames, made and read by hand, so that tests can send what no library would.
// Sans-io: strings in, strings out. One connection; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct nghttp2_hd_deflater;
struct nghttp2_hd_inflater;

namespace genkan::test {

inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum H2Type : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAwayFrame = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

inline constexpr uint8_t kEndStream = 0x1;
inline constexpr uint8_t kAck = 0x1;
inline constexpr uint8_t kEndHeaders = 0x4;
inline constexpr uint8_t kPadded = 0x8;

using H2Fields = std::vector<std::pair<std::string, std::string>>;

struct H2Frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
  std::string payload;
  H2Fields fields;  // of HEADERS, decoded

  bool ends_stream() const { return (flags & kEndStream) != 0; }
  // The error code of RST_STREAM and GOAWAY.
  uint32_t error() const;
};

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload = {});
std::string Uint32(uint32_t value);
// A SETTINGS entry.
std::string Setting(uint16_t id, uint32_t value);
// "GET https://a.test/" and what `more` adds.
H2Fields GetFields(std::string path = "/", H2Fields more = {});
H2Fields PostFields(std::string path = "/", H2Fields more = {});

// HPACK with the dynamic table of one connection, both ways, and a reader of the server's frames.
class H2RawClient {
 public:
  H2RawClient();
  ~H2RawClient();
  H2RawClient(const H2RawClient&) = delete;
  H2RawClient& operator=(const H2RawClient&) = delete;

  // The preface with empty SETTINGS, and the acknowledgement of the server's.
  static std::string Hello();
  std::string Encode(const H2Fields& fields);
  // HEADERS with END_HEADERS.
  std::string Head(uint32_t stream, const H2Fields& fields, bool end);
  // The complete frames in what the server sent; an incomplete rest is kept for the next call.
  // HPACK errors and a PUSH_PROMISE throw std::runtime_error.
  std::vector<H2Frame> Read(std::string_view bytes);

 private:
  struct Delete {
    void operator()(nghttp2_hd_deflater* raw) const;
    void operator()(nghttp2_hd_inflater* raw) const;
  };
  void Decode(H2Frame& frame);

  std::unique_ptr<nghttp2_hd_deflater, Delete> deflater_;
  std::unique_ptr<nghttp2_hd_inflater, Delete> inflater_;
  std::string rest_;
  std::string block_;  // of a head that goes on in CONTINUATION
};

}  // namespace genkan::test
