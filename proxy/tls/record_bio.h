// The BIO between an SSL and the Stream below it. Reads: replayed bytes first, then at most one Read of the stream for
// each permission, as much as it gives. Writes: gathered until Flush, so that many records, or a flight of the
// handshake, cost one system call. Worker's thread; owned by the TlsStream, and must outlive its SSL.
#pragma once

#include <openssl/bio.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "proxy/net/stream.h"

namespace genkan::tls {

class RecordBio {
 public:
  RecordBio(net::Stream& lower, std::string_view replay) : lower_(lower), in_(replay) {}
  RecordBio(const RecordBio&) = delete;
  RecordBio& operator=(const RecordBio&) = delete;

  // A BIO over this; whoever gets it frees it (SSL_set_bio takes it over).
  BIO* MakeBio();

  // One Read of about `bytes` may be made from now on; 0 = none.
  void AllowRead(size_t bytes) { allowed_ = bytes; }
  // That Read now, without OpenSSL asking.
  void Fill();
  // Whether a whole ClientHello has come, or what can never become one: until then an SSL would only wait, at
  // thirty times the cost in memory.
  bool HoldsHello();
  // Records received but not yet taken by OpenSSL.
  size_t unread() const { return in_.size(); }
  std::string_view Peek() { return in_.Linear(in_.size()); }
  // They go to `into` instead, at most `limit` bytes.
  size_t MoveUnread(Buffer& into, size_t limit) { return in_.MoveTo(into, limit); }
  // Nothing is here, and nothing may be asked of the stream now.
  bool is_drained() const { return in_.empty() && allowed_ == 0 && !has_end_ && !has_failed_; }
  // For who opens and seals records without OpenSSL: what was received, and where what is sealed waits for Flush.
  Buffer& received() { return in_; }
  Buffer& outgoing() { return out_; }
  // Whether another Read may be asked of the stream, and would bring anything.
  bool may_fill() const { return allowed_ > 0 && !has_end_ && !has_failed_; }
  // Records that OpenSSL has written whole since CountRecords was called, between two of them.
  void CountRecords() { records_ = 0; }
  uint64_t records() const { return records_; }
  // More waits than a peer that makes us answer and does not read may make us hold.
  bool is_overfull() const { return out_.size() > kMaxUnsent; }
  // All bytes that OpenSSL has taken so far.
  size_t taken() const { return taken_; }
  // The kernel encrypts from here on: what is unsent is plain (kTLS, for what is sent; OpenSSL goes on reading).
  bool is_kernel_encrypting() const { return is_kernel_encrypting_; }
  // Records written but not yet given to the stream.
  size_t unsent() const { return out_.size(); }
  // The stream's answer; what went is gone from unsent().
  net::IoResult Flush() { return lower_.Write(out_); }
  void DropUnsent() { out_.Clear(); }
  // The peer's FIN was read; a read failed. Both for good.
  bool has_end() const { return has_end_; }
  bool has_failed() const { return has_failed_; }

 private:
  // More than this waits only where a peer makes us answer (KeyUpdate) and does not read.
  static constexpr size_t kMaxUnsent = 512 * 1024;

  static const BIO_METHOD* Method();
  static int OnRead(BIO* bio, char* data, size_t length, size_t* got) noexcept;
  static int OnWrite(BIO* bio, const char* data, size_t length, size_t* written) noexcept;
  static long OnControl(BIO* bio, int command, long number, void* pointer) noexcept;
  // Gives the kernel the keys of what is sent. False: it cannot, and OpenSSL goes on as ever.
  bool HandKeysToKernel(const void* keys);
  void NoteRecords(std::string_view bytes);
  // What is no application data goes to the kernel with its type, behind all that was written before.
  bool SendControl(uint8_t type, std::string_view message);

  net::Stream& lower_;
  Buffer in_;
  Buffer out_;
  size_t allowed_ = 0;
  size_t taken_ = 0;
  uint64_t records_ = 0;
  size_t record_left_ = 0;                     // bytes of the record that is being written
  std::array<unsigned char, 5> record_header_{};
  size_t record_header_length_ = 0;
  int control_type_ = 0;  // of the next write, where the kernel encrypts
  bool is_kernel_encrypting_ = false;
  bool has_end_ = false;
  bool has_failed_ = false;
};

}  // namespace genkan::tls
