#include "tests/support/h2_frames.h"

#include <nghttp2/nghttp2.h>

#include <stdexcept>

namespace genkan::test {
namespace {

uint32_t ReadUint32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4 && i < bytes.size(); ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

}  // namespace

uint32_t H2Frame::error() const {
  return ReadUint32(std::string_view(payload).substr(type == kGoAwayFrame ? 4 : 0));
}

std::string Uint32(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string Setting(uint16_t id, uint32_t value) {
  return std::string{static_cast<char>(id >> 8), static_cast<char>(id)} + Uint32(value);
}

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string frame = Uint32(static_cast<uint32_t>(payload.size())).substr(1);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  frame += Uint32(stream);
  frame += payload;
  return frame;
}

H2Fields GetFields(std::string path, H2Fields more) {
  H2Fields fields = {{":method", "GET"},
                     {":scheme", "https"},
                     {":path", std::move(path)},
                     {":authority", "a.test"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

H2Fields PostFields(std::string path, H2Fields more) {
  H2Fields fields = GetFields(std::move(path), std::move(more));
  fields[0].second = "POST";
  return fields;
}

void H2RawClient::Delete::operator()(nghttp2_hd_deflater* raw) const {
  nghttp2_hd_deflate_del(raw);
}
void H2RawClient::Delete::operator()(nghttp2_hd_inflater* raw) const {
  nghttp2_hd_inflate_del(raw);
}

H2RawClient::H2RawClient() {
  nghttp2_hd_deflater* deflater = nullptr;
  nghttp2_hd_inflater* inflater = nullptr;
  if (nghttp2_hd_deflate_new(&deflater, 4096) != 0 || nghttp2_hd_inflate_new(&inflater) != 0) {
    throw std::runtime_error("no HPACK coder");
  }
  deflater_.reset(deflater);
  inflater_.reset(inflater);
}

H2RawClient::~H2RawClient() = default;

std::string H2RawClient::Hello() {
  return std::string(kH2Preface) + Frame(kSettings, 0, 0) + Frame(kSettings, kAck, 0);
}

std::string H2RawClient::Encode(const H2Fields& fields) {
  std::vector<nghttp2_nv> nv;
  for (const auto& [name, value] : fields) {
    nv.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                  reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                  value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  std::string block(nghttp2_hd_deflate_bound(deflater_.get(), nv.data(), nv.size()), '\0');
  ssize_t size = nghttp2_hd_deflate_hd(deflater_.get(), reinterpret_cast<uint8_t*>(block.data()),
                                       block.size(), nv.data(), nv.size());
  if (size < 0) throw std::runtime_error(nghttp2_strerror(static_cast<int>(size)));
  block.resize(static_cast<size_t>(size));
  return block;
}

std::string H2RawClient::Head(uint32_t stream, const H2Fields& fields, bool end) {
  uint8_t flags = end ? kEndHeaders | kEndStream : kEndHeaders;
  return Frame(kHeaders, flags, stream, Encode(fields));
}

void H2RawClient::Decode(H2Frame& frame) {
  block_ += frame.payload;
  if ((frame.flags & kEndHeaders) == 0) return;
  std::string_view left = block_;
  for (;;) {
    nghttp2_nv nv{};
    int flags = 0;
    ssize_t used =
        nghttp2_hd_inflate_hd2(inflater_.get(), &nv, &flags,
                               reinterpret_cast<const uint8_t*>(left.data()), left.size(), 1);
    if (used < 0) throw std::runtime_error(nghttp2_strerror(static_cast<int>(used)));
    left.remove_prefix(static_cast<size_t>(used));
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      frame.fields.emplace_back(std::string(reinterpret_cast<char*>(nv.name), nv.namelen),
                                std::string(reinterpret_cast<char*>(nv.value), nv.valuelen));
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
  }
  nghttp2_hd_inflate_end_headers(inflater_.get());
  block_.clear();
}

std::vector<H2Frame> H2RawClient::Read(std::string_view bytes) {
  rest_ += bytes;
  std::vector<H2Frame> frames;
  std::string_view left = rest_;
  while (left.size() >= 9) {
    size_t length = ReadUint32(std::string(1, '\0') + std::string(left.substr(0, 3)));
    if (left.size() < 9 + length) break;
    H2Frame frame;
    frame.type = static_cast<uint8_t>(left[3]);
    frame.flags = static_cast<uint8_t>(left[4]);
    frame.stream = ReadUint32(left.substr(5, 4));
    frame.payload = left.substr(9, length);
    left.remove_prefix(9 + length);
    if (frame.type == kPushPromise) throw std::runtime_error("a PUSH_PROMISE");
    if (frame.type == kHeaders || frame.type == kContinuation) Decode(frame);
    frames.push_back(std::move(frame));
  }
  rest_ = std::string(left);
  return frames;
}

}  // namespace genkan::test
