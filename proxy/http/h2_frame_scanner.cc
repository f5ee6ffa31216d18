#include "proxy/http/h2_frame_scanner.h"

#include <algorithm>
#include <cstring>

namespace genkan::http {

H2FrameHeader ParseH2FrameHeader(std::string_view nine_bytes) {
  auto at = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(nine_bytes[i]));
  };
  H2FrameHeader header;
  header.length = at(0) << 16 | at(1) << 8 | at(2);
  header.type = static_cast<H2FrameType>(at(3));
  header.flags = static_cast<uint8_t>(at(4));
  // RFC 9113 4.1: the reserved bit is ignored.
  header.stream = (at(5) & 0x7f) << 24 | at(6) << 16 | at(7) << 8 | at(8);
  return header;
}

uint32_t H2FrameScanner::first_word() const {
  return uint32_t{first_[0]} << 24 | uint32_t{first_[1]} << 16 | uint32_t{first_[2]} << 8 |
         uint32_t{first_[3]};
}

H2FrameScanner::Piece H2FrameScanner::TakePayload(std::string_view bytes) {
  Piece piece;
  piece.taken = std::min(bytes.size(), payload_left_);
  piece.feed = bytes.substr(0, piece.taken);
  size_t at = header_.length - payload_left_;
  for (size_t i = 0; at + i < first_.size() && i < piece.taken; ++i) {
    first_[at + i] = static_cast<unsigned char>(bytes[i]);
  }
  payload_left_ -= piece.taken;
  if (payload_left_ == 0) {
    piece.ends_frame = true;
    in_payload_ = false;
  }
  return piece;
}

H2FrameScanner::Piece H2FrameScanner::Next(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (preface_left_ > 0) {
    Piece piece;
    piece.taken = std::min(bytes.size(), preface_left_);
    piece.feed = bytes.substr(0, piece.taken);
    preface_left_ -= piece.taken;
    return piece;
  }
  if (in_payload_) return TakePayload(bytes);

  constexpr size_t kSize = H2FrameHeader::kSize;
  if (held_ == 0 && bytes.size() >= kSize) {
    header_ = ParseH2FrameHeader(bytes.substr(0, kSize));
    payload_left_ = header_.length;
    in_payload_ = true;
    first_.fill(0);
    // Header and payload lie side by side: one call of the session for both.
    Piece piece = TakePayload(bytes.substr(kSize));
    piece.begins_frame = true;
    piece.taken += kSize;
    piece.feed = bytes.substr(0, piece.taken);
    return piece;
  }

  Piece piece;
  piece.taken = std::min(bytes.size(), kSize - held_);
  std::memcpy(partial_.data() + held_, bytes.data(), piece.taken);
  held_ += piece.taken;
  if (held_ < kSize) return piece;
  held_ = 0;
  piece.feed = std::string_view(partial_.data(), kSize);
  header_ = ParseH2FrameHeader(piece.feed);
  piece.begins_frame = true;
  first_.fill(0);
  payload_left_ = header_.length;
  in_payload_ = payload_left_ > 0;
  piece.ends_frame = payload_left_ == 0;
  return piece;
}

}  // namespace genkan::http
