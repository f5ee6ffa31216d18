// Finds the frame headers in a client's HTTP/2 bytes (RFC 9113 4.1) before the session sees them,
// so that the connection's own rules can be applied frame by frame. Copies nothing but a header
// that came in pieces. A value; one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace genkan::http {

enum class H2FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

struct H2FrameHeader {
  static constexpr size_t kSize = 9;
  static constexpr uint8_t kEndStream = 0x1;
  static constexpr uint8_t kAck = 0x1;  // of SETTINGS and PING
  static constexpr uint8_t kEndHeaders = 0x4;
  static constexpr uint8_t kPadded = 0x8;

  uint32_t length = 0;
  H2FrameType type = H2FrameType::kData;
  uint8_t flags = 0;
  uint32_t stream = 0;

  bool has(uint8_t flag) const { return (flags & flag) != 0; }
};

H2FrameHeader ParseH2FrameHeader(std::string_view nine_bytes);

class H2FrameScanner {
 public:
  static constexpr size_t kPrefaceSize = 24;

  struct Piece {
    size_t taken = 0;  // bytes of the input that this step used; never 0 for an input that has any
    std::string_view
        feed;  // what goes to the session now; empty while a header is still incomplete
    bool begins_frame = false;  // header() is new; judge it before feeding
    bool ends_frame = false;    // `feed` ends with the frame's last byte
  };
  // The next step over `bytes`. `feed` points into `bytes` or into this object and is valid until
  // the next call.
  Piece Next(std::string_view bytes);

  const H2FrameHeader& header() const { return header_; }
  // Some bytes of the preface or of a frame's header are missing, or of the payload of a frame that carries a head.
  bool is_mid_head() const {
    bool is_head = header_.type == H2FrameType::kHeaders || header_.type == H2FrameType::kContinuation;
    return preface_left_ > 0 || held_ > 0 || (in_payload_ && is_head);
  }
  // The first four bytes of the frame's payload, once they went by; less of them counts as zeros
  // behind.
  uint32_t first_word() const;

 private:
  Piece TakePayload(std::string_view bytes);

  size_t preface_left_ = kPrefaceSize;
  size_t payload_left_ = 0;
  bool in_payload_ = false;
  size_t held_ = 0;  // bytes of a header that came in pieces
  std::array<char, H2FrameHeader::kSize> partial_{};
  std::array<unsigned char, 4> first_{};
  H2FrameHeader header_;
};

}  // namespace genkan::http
