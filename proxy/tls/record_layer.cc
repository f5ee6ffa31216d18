#include "proxy/tls/record_layer.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/tls/provider/tls13_kdf.h"
#include "proxy/tls/provider/wipe.h"

namespace genkan::tls {
namespace {

constexpr size_t kHeader = 5;
constexpr size_t kTag = RecordCipher::kTag;
constexpr size_t kMostContent = 16 * 1024;
constexpr size_t kMostCiphertext = kMostContent + 256;
// Smaller ones are opened aside and copied, so that a waiting head holds its own size and not a
// block.
constexpr size_t kSmall = 4 * 1024;
constexpr size_t kBlock = 64 * 1024 - Buffer::kBlockOverhead;
constexpr size_t kBulkBlock = 256 * 1024 - Buffer::kBlockOverhead;
constexpr size_t kSealed = RecordLayer::kRecord + RecordLayer::kOverhead;
// RFC 8446 5.5 allows 2^24.5 records under one key of AES-GCM.
constexpr uint64_t kMostUnderOneKey = uint64_t{1} << 23;
// Records in a row that bring no data cost us work and the peer nearly nothing.
constexpr unsigned kMostIdleRecords = 32;
constexpr size_t kPieces = 24;

// A key, an IV or the next secret: of the lengths that a suite has, it cannot fail.
void Expand(provider::Sha2 digest, std::string_view secret, std::string_view label,
            std::span<unsigned char> out) {
  GENKAN_CHECK(
      provider::ExpandLabel(digest, AsBytes(secret), AsBytes("tls13 "), AsBytes(label), {}, out));
}

}  // namespace

std::unique_ptr<RecordLayer> RecordLayer::MakeServer(uint16_t suite, std::string_view client_secret,
                                                     std::string_view server_secret,
                                                     uint64_t written) {
  const RecordSuite* known = RecordSuite::Find(suite);
  if (known == nullptr) return nullptr;
  std::unique_ptr<RecordLayer> layer(new RecordLayer(*known));
  if (!layer->SetSecret(layer->read_, client_secret) ||
      !layer->SetSecret(layer->write_, server_secret)) {
    ERR_clear_error();
    return nullptr;
  }
  layer->write_.sequence = written;
  return layer;
}

RecordLayer::~RecordLayer() {
  for (Direction* direction : {&read_, &write_}) {
    provider::Wipe(direction->secret.data(), direction->secret.size());
    provider::Wipe(direction->iv.data(), direction->iv.size());
  }
}

// ---- keys

bool RecordLayer::SetSecret(Direction& direction, std::string_view secret) {
  if (secret.size() != suite_.secret_size()) return false;
  std::memcpy(direction.secret.data(), secret.data(), secret.size());
  return SetKeys(direction);
}

// RFC 8446 7.2.
bool RecordLayer::UpdateSecret(Direction& direction) {
  size_t size = suite_.secret_size();
  std::array<unsigned char, 48> next{};
  Expand(suite_.digest, AsText({direction.secret.data(), size}), "traffic upd",
         std::span(next).first(size));
  direction.secret = next;
  provider::Wipe(next.data(), next.size());
  return SetKeys(direction);
}

// RFC 8446 7.3.
bool RecordLayer::SetKeys(Direction& direction) {
  std::string_view secret = AsText({direction.secret.data(), suite_.secret_size()});
  std::array<unsigned char, 32> key{};
  auto key_bytes = std::span(key).first(suite_.key_size);
  Expand(suite_.digest, secret, "key", key_bytes);
  Expand(suite_.digest, secret, "iv", direction.iv);
  auto way = &direction == &write_ ? RecordCipher::Way::kSeal : RecordCipher::Way::kOpen;
  bool is_good = direction.cipher.SetKey(suite_, key_bytes, way);
  provider::Wipe(key.data(), key.size());
  direction.sequence = 0;
  return is_good;
}

// RFC 8446 5.3.
std::array<unsigned char, 12> RecordLayer::Nonce(Direction& direction) {
  std::array<unsigned char, 12> nonce = direction.iv;
  uint64_t sequence = direction.sequence++;
  for (size_t i = nonce.size(); i-- > 4; sequence >>= 8)
    nonce[i] ^= static_cast<unsigned char>(sequence);
  return nonce;
}

// ---- opening

RecordLayer::State RecordLayer::Fail(uint8_t alert, std::string_view reason) {
  has_failed_ = true;
  alert_owed_ = alert;
  reason_ = reason;
  ERR_clear_error();
  return State::kFailed;
}

size_t RecordLayer::NextLength(Buffer& in) {
  std::array<char, kHeader> header{};
  std::string_view front = in.Front();
  if (front.size() >= kHeader) {
    std::memcpy(header.data(), front.data(), kHeader);
  } else if (in.CopyFront(header) < kHeader) {
    return 0;
  }
  auto at = [&](size_t i) { return static_cast<unsigned char>(header[i]); };
  size_t length = static_cast<size_t>(at(3) << 8 | at(4));
  // Nothing is in the clear any more, not even a ChangeCipherSpec (RFC 8446 5).
  if (at(0) != SSL3_RT_APPLICATION_DATA) {
    Fail(SSL_AD_UNEXPECTED_MESSAGE, "a record that is not encrypted");
  } else if (length > kMostCiphertext) {
    Fail(SSL_AD_RECORD_OVERFLOW, "a record that is too long");
  } else if (length < kTag + 1) {
    Fail(SSL_AD_DECODE_ERROR, "a record that is too short");
  }
  return in.size() >= kHeader + length ? kHeader + length : 0;
}

bool RecordLayer::OpenRecord(Buffer& in, size_t length, char* to, size_t& bytes, uint8_t& type) {
  iovec pieces[kPieces];
  std::string_view front = in.Front();
  int count = 1;
  if (front.size() >= length) {
    pieces[0] = {const_cast<char*>(front.data()), length};
  } else {
    count = in.Peek(pieces, length);
    size_t seen = 0;
    for (int i = 0; i < count; ++i) seen += pieces[i].iov_len;
    if (seen < length) {
      pieces[0] = {const_cast<char*>(in.Linear(length).data()), length};
      count = 1;
    }
  }
  int piece = 0;
  size_t offset = 0;
  auto copy = [&](unsigned char* into, size_t wanted) {
    while (wanted > 0) {
      size_t here = std::min(wanted, pieces[piece].iov_len - offset);
      std::memcpy(into, static_cast<const char*>(pieces[piece].iov_base) + offset, here);
      into += here;
      wanted -= here;
      offset += here;
      if (offset == pieces[piece].iov_len && wanted > 0) ++piece, offset = 0;
    }
  };
  std::array<unsigned char, kHeader> header{};
  copy(header.data(), header.size());
  auto nonce = Nonce(read_);
  bool is_good = read_.cipher.Begin(nonce, header);
  size_t left = length - kHeader - kTag;
  auto* out = reinterpret_cast<unsigned char*>(to);
  size_t opened = 0;
  while (is_good && left > 0) {
    if (offset == pieces[piece].iov_len) ++piece, offset = 0;
    size_t here = std::min(left, pieces[piece].iov_len - offset);
    const auto* from = static_cast<const unsigned char*>(pieces[piece].iov_base) + offset;
    is_good = read_.cipher.Update(from, here, out + opened);
    opened += here;
    offset += here;
    left -= here;
  }
  std::array<unsigned char, kTag> tag{};
  if (is_good) {
    if (offset == pieces[piece].iov_len) ++piece, offset = 0;
    copy(tag.data(), tag.size());
  }
  is_good = is_good && read_.cipher.Open(tag);
  in.Drain(length);
  if (!is_good) return Fail(SSL_AD_BAD_RECORD_MAC, "decryption failed or bad record mac"), false;
  // Padding is zeros behind the type.
  while (opened > 0 && out[opened - 1] == 0) --opened;
  if (opened == 0) return Fail(SSL_AD_UNEXPECTED_MESSAGE, "a record of padding alone"), false;
  type = out[opened - 1];
  bytes = opened - 1;
  if (bytes > kMostContent) return Fail(SSL_AD_RECORD_OVERFLOW, "a record that is too long"), false;
  return true;
}

RecordLayer::State RecordLayer::TakeControl(uint8_t type, std::string_view content) {
  if (++idle_records_ > kMostIdleRecords)
    return Fail(SSL_AD_UNEXPECTED_MESSAGE, "too many records without data");
  switch (type) {
    case SSL3_RT_APPLICATION_DATA:
      return State::kOk;  // empty: some send it against traffic analysis
    case SSL3_RT_ALERT:
      return TakeAlert(content);
    case SSL3_RT_HANDSHAKE:
      return TakeKeyUpdate(content);
    default:
      return Fail(SSL_AD_UNEXPECTED_MESSAGE, "a record of an unknown type");
  }
}

RecordLayer::State RecordLayer::TakeAlert(std::string_view content) {
  if (content.size() != 2) return Fail(SSL_AD_DECODE_ERROR, "a malformed alert");
  auto description = static_cast<uint8_t>(content[1]);
  if (description == SSL_AD_USER_CANCELLED) return State::kOk;
  if (description == SSL_AD_CLOSE_NOTIFY) {
    has_ended_ = true;
    return State::kEnd;
  }
  alert_received_ = description;
  return Fail(0, "the peer's alert");
}

// The one message of a handshake that may come to a server now; it fills its record, for the key
// changes behind it.
RecordLayer::State RecordLayer::TakeKeyUpdate(std::string_view content) {
  constexpr std::string_view kUpdate("\x18\x00\x00\x01", 4);
  if (content.substr(0, 1) != kUpdate.substr(0, 1))
    return Fail(SSL_AD_UNEXPECTED_MESSAGE, "an unexpected message");
  if (content.size() != 5 || !content.starts_with(kUpdate) ||
      static_cast<unsigned char>(content[4]) > 1)
    return Fail(SSL_AD_DECODE_ERROR, "a malformed KeyUpdate");
  if (!UpdateSecret(read_)) return Fail(SSL_AD_INTERNAL_ERROR, "the next keys");
  // One answer is enough for all that came before it (RFC 8446 4.6.3).
  owes_update_ |= content[4] == 1;
  return State::kOk;
}

RecordLayer::Opened RecordLayer::OpenSmall(Buffer& in, size_t length, Buffer& into, size_t limit) {
  thread_local std::array<char, kMostCiphertext> aside;
  size_t bytes = 0;
  uint8_t type = 0;
  if (!OpenRecord(in, length, aside.data(), bytes, type)) return {State::kFailed, 0};
  std::string_view content(aside.data(), bytes);
  if (type != SSL3_RT_APPLICATION_DATA || bytes == 0) return {TakeControl(type, content), 0};
  idle_records_ = 0;
  into.Append(content.substr(0, limit));
  if (bytes > limit) pending_ = content.substr(limit);
  return {State::kOk, std::min(bytes, limit)};
}

RecordLayer::State RecordLayer::OpenOne(Buffer& in, uint8_t& type, std::string& content) {
  thread_local std::array<char, kMostCiphertext> aside;
  const size_t length = NextLength(in);
  if (has_failed_) return State::kFailed;
  if (length == 0) return State::kNeedMore;
  size_t bytes = 0;
  if (!OpenRecord(in, length, aside.data(), bytes, type)) return State::kFailed;
  content.append(aside.data(), bytes);
  return State::kOk;
}

// Several large ones into one block.
RecordLayer::Opened RecordLayer::OpenBulk(Buffer& in, size_t length, Buffer& into, size_t limit) {
  std::span<char> room = into.Reserve(std::min({limit, kBlock, in.size()}));
  size_t filled = 0;
  State state = State::kOk;
  while (length > 0 && length <= std::min(room.size(), limit) - filled) {
    size_t bytes = 0;
    uint8_t type = 0;
    if (!OpenRecord(in, length, room.data() + filled, bytes, type)) {
      state = State::kFailed;
    } else if (type != SSL3_RT_APPLICATION_DATA || bytes == 0) {
      state = TakeControl(type, {room.data() + filled, bytes});
    } else {
      idle_records_ = 0;
      filled += bytes;
    }
    if (state != State::kOk) break;
    length = NextLength(in);
    if (has_failed_) state = State::kFailed;
  }
  into.Commit(filled);
  return {state, filled};
}

RecordLayer::Opened RecordLayer::Open(Buffer& in, Buffer& into, size_t limit) {
  size_t total = std::min(limit, pending_.size());
  if (total > 0) {
    into.Append(std::string_view(pending_).substr(0, total));
    pending_ = pending_.substr(total);
  }
  while (total < limit) {
    if (has_failed_) return {State::kFailed, total};
    if (has_ended_) return {State::kEnd, total};
    size_t length = NextLength(in);
    if (has_failed_) return {State::kFailed, total};
    if (length == 0) return {State::kNeedMore, total};
    bool is_bulk = length >= kSmall && length <= std::min(limit - total, kBlock);
    Opened one = is_bulk ? OpenBulk(in, length, into, limit - total)
                         : OpenSmall(in, length, into, limit - total);
    total += one.bytes;
    if (one.state != State::kOk) return {one.state, total};
  }
  // A part of a record is nothing to come back for.
  bool has_next =
      !pending_.empty() || has_failed_ || has_ended_ || NextLength(in) > 0 || has_failed_;
  return {has_next ? State::kOk : State::kNeedMore, total};
}

// ---- sealing

void RecordLayer::SealRecord(uint8_t type, Buffer& from, size_t bytes, unsigned char* to) {
  auto nonce = Nonce(write_);
  size_t length = bytes + 1 + kTag;
  to[0] = SSL3_RT_APPLICATION_DATA;
  to[1] = 3;
  to[2] = 3;
  to[3] = static_cast<unsigned char>(length >> 8);
  to[4] = static_cast<unsigned char>(length);
  // With keys and room at hand none of these can fail but for a bug.
  GENKAN_CHECK(write_.cipher.Begin(nonce, {to, kHeader}));
  unsigned char* out = to + kHeader;
  // Heads, frames and the type: joined in their place they are sealed at once. What is large is
  // sealed from where it lies.
  size_t joined = 0;
  auto seal_joined = [&] {
    if (joined > 0) GENKAN_CHECK(write_.cipher.Update(out, joined, out));
    out += std::exchange(joined, 0);
  };
  for (size_t left = bytes; left > 0;) {
    std::string_view piece = from.Front().substr(0, left);
    GENKAN_CHECK(!piece.empty());
    if (piece.size() < kSmall) {
      std::memcpy(out + joined, piece.data(), piece.size());
      joined += piece.size();
    } else {
      seal_joined();
      const auto* data = reinterpret_cast<const unsigned char*>(piece.data());
      GENKAN_CHECK(write_.cipher.Update(data, piece.size(), out));
      out += piece.size();
    }
    left -= piece.size();
    from.Drain(piece.size());
  }
  out[joined++] = type;
  seal_joined();
  GENKAN_CHECK(write_.cipher.Seal(std::span<unsigned char, kTag>(out, kTag)));
}

void RecordLayer::SealMessage(uint8_t type, std::string_view message, Buffer& out) {
  std::span<char> room = out.Reserve(message.size() + kOverhead);
  Buffer content(message);
  SealRecord(type, content, message.size(), reinterpret_cast<unsigned char*>(room.data()));
  out.Commit(message.size() + kOverhead);
}

void RecordLayer::Seal(Buffer& from, Buffer& out, size_t most) {
  size_t sealed = 0;
  while (!from.empty() && sealed < most) {
    if (write_.sequence >= kMostUnderOneKey) {
      owes_update_ = true;
      SealAnswers(out);
    }
    // As many whole records at once as a block takes.
    const size_t wanted = std::min(from.size(), most - sealed);
    const size_t records = std::min((wanted + kRecord - 1) / kRecord,
                                    (wanted > 2 * kBlock ? kBulkBlock : kBlock) / kSealed);
    const size_t needed = std::min(from.size(), records * kRecord) + records * kOverhead;
    std::span<char> room = out.Reserve(needed);
    size_t filled = 0;
    while (!from.empty() && filled + kOverhead < needed) {
      size_t bytes = std::min({from.size(), kRecord, needed - filled - kOverhead});
      SealRecord(SSL3_RT_APPLICATION_DATA, from, bytes,
                 reinterpret_cast<unsigned char*>(room.data()) + filled);
      filled += bytes + kOverhead;
    }
    out.Commit(filled);
    sealed += filled;
  }
}

void RecordLayer::SealHandshake(std::string_view messages, Buffer& out) {
  // A message may go on in the next record (RFC 8446 5.1); there are no empty ones.
  for (; messages.size() > kRecord; messages.remove_prefix(kRecord))
    SealMessage(SSL3_RT_HANDSHAKE, messages.substr(0, kRecord), out);
  SealMessage(SSL3_RT_HANDSHAKE, messages, out);
}

void RecordLayer::SealAnswers(Buffer& out) {
  if (!std::exchange(owes_update_, false)) return;
  SealHandshake(std::string_view("\x18\x00\x00\x01\x00", 5), out);
  GENKAN_CHECK(UpdateSecret(write_));
}

void RecordLayer::SealAlert(uint8_t level, uint8_t description, Buffer& out) {
  const char alert[] = {static_cast<char>(level), static_cast<char>(description)};
  SealMessage(SSL3_RT_ALERT, {alert, sizeof alert}, out);
}

}  // namespace genkan::tls
