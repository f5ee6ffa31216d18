#include "proxy/tls/record_bio.h"

#include <algorithm>

#include <utility>

#include "proxy/base/check.h"
#include "proxy/tls/client_hello.h"

namespace genkan::tls {

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
  // Nearly always the message lies in one record; only where it does not, it takes a parser to see its end.
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
  if (self.out_.size() > kMaxUnsent) return 0;
  self.out_.Append(std::string_view(data, length));
  *written = length;
  return 1;
}

long RecordBio::OnControl(BIO* bio, int command, long, void*) noexcept {
  auto& self = *static_cast<RecordBio*>(BIO_get_data(bio));
  switch (command) {
    case BIO_CTRL_FLUSH:  // ours is to flush, at the end of a turn and not in the middle of it
    case BIO_CTRL_DUP:
      return 1;
    case BIO_CTRL_EOF:
      return self.has_end_ && self.in_.empty() ? 1 : 0;
    case BIO_CTRL_PENDING:
      return static_cast<long>(self.in_.size());
    case BIO_CTRL_WPENDING:
      return static_cast<long>(self.out_.size());
    default:
      return 0;
  }
}

}  // namespace genkan::tls
