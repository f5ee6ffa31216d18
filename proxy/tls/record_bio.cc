#include "proxy/tls/record_bio.h"

#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/tls/client_hello.h"

namespace genkan::tls {
namespace {

// What OpenSSL asks of a BIO that can do kTLS. openssl/bio.h reserves the numbers and names them in
// a comment.
constexpr int kControlSetKtls = 72;
constexpr int kControlGetKtlsSend = BIO_CTRL_GET_KTLS_SEND;
constexpr int kControlSetKtlsControlMessage = 74;
constexpr int kControlClearKtlsControlMessage = 75;

// How much of OpenSSL's keys the kernel wants; 0: a cipher that we do not hand over.
socklen_t SizeOfKeys(const void* keys) {
  tls_crypto_info info;
  std::memcpy(&info, keys, sizeof info);
  switch (info.cipher_type) {
    case TLS_CIPHER_AES_GCM_128:
      return sizeof(tls12_crypto_info_aes_gcm_128);
    case TLS_CIPHER_AES_GCM_256:
      return sizeof(tls12_crypto_info_aes_gcm_256);
    case TLS_CIPHER_CHACHA20_POLY1305:
      return sizeof(tls12_crypto_info_chacha20_poly1305);
    default:
      return 0;
  }
}

}  // namespace

const BIO_METHOD* RecordBio::Method() {
  // Made once, never freed: BIOs of any thread point to it until the process ends.
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "genkan stream");
    GENKAN_CHECK(made != nullptr);
    BIO_meth_set_read_ex(made, &RecordBio::OnRead);
    BIO_meth_set_write_ex(made, &RecordBio::OnWrite);
    BIO_meth_set_ctrl(made, &RecordBio::OnControl);
    return made;
  }();
  return method;
}

BIO* RecordBio::MakeBio() {
  BIO* bio = BIO_new(Method());
  GENKAN_CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  return bio;
}

void RecordBio::Fill() {
  if (allowed_ == 0 || has_end_ || has_failed_) return;
  net::IoResult result = lower_.Read(in_, std::exchange(allowed_, 0));
  has_end_ = result.state == net::IoState::kEnd;
  has_failed_ = result.state == net::IoState::kFailed;
}

bool RecordBio::HoldsHello() {
  constexpr size_t kMaxHello = 16 * 1024;
  constexpr size_t kHeaders = 9;  // of the record and of the message
  if (in_.size() >= kMaxHello) return true;
  std::string_view bytes = in_.Linear(in_.size());
  auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (bytes.size() < 5) return false;
  size_t record = static_cast<size_t>(at(3) << 8 | at(4));
  if (at(0) != 22 || at(1) != 3 || record == 0 || record > kMaxHello) return true;
  if (bytes.size() > 5 && at(5) != 1) return true;
  if (bytes.size() < kHeaders) return false;
  size_t message = static_cast<size_t>(at(6) << 16 | at(7) << 8 | at(8));
  // Nearly always the message lies in one record; only where it does not, it takes a parser to see
  // its end.
  if (message + 4 <= record) return bytes.size() >= 5 + record;
  auto hello = ParseClientHello(bytes);
  return !hello || hello->has_value();
}

int RecordBio::OnRead(BIO* bio, char* data, size_t length, size_t* got) noexcept {
  auto& self = *static_cast<RecordBio*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *got = 0;
  if (self.in_.empty()) {
    if (self.has_end_ || self.has_failed_) return 0;
    if (self.allowed_ == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    self.Fill();
    if (self.in_.empty()) {
      if (!self.has_end_ && !self.has_failed_) BIO_set_retry_read(bio);
      return 0;
    }
  }
  *got = self.in_.Take({data, length});
  if (*got == 0) return 0;
  self.taken_ += *got;
  return 1;
}

int RecordBio::OnWrite(BIO* bio, const char* data, size_t length, size_t* written) noexcept {
  auto& self = *static_cast<RecordBio*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *written = 0;
  if (self.is_overfull()) return 0;
  if (int type = std::exchange(self.control_type_, 0); type != 0) {
    if (!self.SendControl(static_cast<uint8_t>(type), {data, length})) return 0;
    *written = length;
    return 1;
  }
  self.out_.Append(std::string_view(data, length));
  self.NoteRecords({data, length});
  *written = length;
  return 1;
}

void RecordBio::NoteRecords(std::string_view bytes) {
  while (!bytes.empty()) {
    if (record_left_ == 0 && record_header_length_ < record_header_.size()) {
      record_header_[record_header_length_++] = static_cast<unsigned char>(bytes.front());
      bytes.remove_prefix(1);
      if (record_header_length_ < record_header_.size()) continue;
      record_left_ = static_cast<size_t>(record_header_[3] << 8 | record_header_[4]);
    }
    size_t here = std::min(record_left_, bytes.size());
    record_left_ -= here;
    bytes.remove_prefix(here);
    if (record_left_ > 0) return;
    record_header_length_ = 0;
    ++records_;
  }
}

bool RecordBio::HandKeysToKernel(const void* keys) {
  // What is sealed already must go as it is, and before.
  if (out_.size() > 0) Flush();
  socklen_t size = SizeOfKeys(keys);
  if (out_.size() > 0 || size == 0 || lower_.fd() < 0) return false;
  // ENOENT: no tls module. EOPNOTSUPP, EINVAL: a cipher or version that this kernel does not have.
  is_kernel_encrypting_ = setsockopt(lower_.fd(), IPPROTO_TCP, TCP_ULP, "tls", 3) == 0 &&
                          setsockopt(lower_.fd(), SOL_TLS, TLS_TX, keys, size) == 0;
  return is_kernel_encrypting_;
}

bool RecordBio::SendControl(uint8_t type, std::string_view message) {
  if (out_.size() > 0) Flush();
  if (out_.size() > 0) return false;
  alignas(cmsghdr) char space[CMSG_SPACE(1)] = {};
  iovec piece{const_cast<char*>(message.data()), message.size()};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = space;
  header.msg_controllen = sizeof space;
  cmsghdr* control = CMSG_FIRSTHDR(&header);
  control->cmsg_level = SOL_TLS;
  control->cmsg_type = TLS_SET_RECORD_TYPE;
  control->cmsg_len = CMSG_LEN(1);
  *CMSG_DATA(control) = type;
  return sendmsg(lower_.fd(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(message.size());
}

long RecordBio::OnControl(BIO* bio, int command, long number, void* pointer) noexcept {
  auto& self = *static_cast<RecordBio*>(BIO_get_data(bio));
  switch (command) {
    case BIO_CTRL_FLUSH:  // ours is to flush, at the end of a turn and not in the middle of it
    case BIO_CTRL_DUP:
      return 1;
    case BIO_CTRL_EOF:
      return self.has_end_ && self.in_.empty() ? 1 : 0;
    case BIO_CTRL_PENDING:
      return static_cast<long>(self.in_.size());
    case kControlSetKtls:
      // Sending alone: OpenSSL 3.0 leaves TLS 1.3's reading to itself anyway.
      return number == 1 && self.HandKeysToKernel(pointer) ? 1 : 0;
    case kControlGetKtlsSend:
      return self.is_kernel_encrypting_ ? 1 : 0;
    case kControlSetKtlsControlMessage:
      self.control_type_ = static_cast<int>(number);
      return 0;
    case kControlClearKtlsControlMessage:
      self.control_type_ = 0;
      return 0;
    case BIO_CTRL_WPENDING:
      return static_cast<long>(self.out_.size());
    default:
      return 0;
  }
}

}  // namespace genkan::tls
