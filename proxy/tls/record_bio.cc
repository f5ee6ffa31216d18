#include "proxy/tls/record_bio.h"

#include <algorithm>

#include "proxy/base/check.h"

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
    net::IoResult result = self.lower_.Read(self.in_, self.allowed_);
    self.allowed_ = 0;
    self.has_end_ = result.state == net::IoState::kEnd;
    self.has_failed_ = result.state == net::IoState::kFailed;
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
