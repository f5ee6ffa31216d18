// A connected TCP or Unix socket as a Stream; also one that is still connecting. Worker's thread; owned by its
// connection or by the TlsStream over it.
#pragma once

#include <memory>

#include "proxy/event/io_watcher.h"
#include "proxy/net/address.h"
#include "proxy/net/fd.h"
#include "proxy/net/stream.h"

namespace genkan::net {

class TcpStream final : public Stream, private event::IoWatcher::Handler {
 public:
  // `fd` is connected and non-blocking (accept4 with SOCK_NONBLOCK). TCP_NODELAY comes from the listener.
  TcpStream(event::EventLoop& loop, Fd fd);

  // Begins to connect; nothing blocks. WantWrite(true), and OnWritable comes when the connection stands or has
  // failed: then is_connecting() is false, or Write (also of an empty buffer) gives kFailed. Fails at once where
  // the kernel refuses at once. `from`: the local address to bind to (its port may be 0).
  static Result<std::unique_ptr<TcpStream>> Connect(event::EventLoop& loop, const Address& to,
                                                    const Address* from = nullptr);

  bool is_connecting() const { return is_connecting_; }

  void SetOwner(Owner& owner) override { owner_ = &owner; }
  IoResult Read(Buffer& into, size_t limit) override;
  IoResult Write(Buffer& from) override;
  void WantRead(bool wanted) override;
  void WantWrite(bool wanted) override;
  size_t WriteRoom() const override;
  void CloseWrite() override;
  void ResetOnClose() override;
  void Cancel() override;
  const Error& error() const override { return error_; }
  int fd() const override { return fd_.get(); }

 private:
  void OnReadable() noexcept override;
  void OnWritable() noexcept override;
  // kOk when connected, kWouldBlock while connecting, kFailed.
  IoState FinishConnect();
  IoResult FailWith(const char* what, int error);

  Fd fd_;
  // Declared after fd_: its events are removed before the descriptor is closed.
  event::IoWatcher watcher_;
  Owner* owner_ = nullptr;
  Error error_;
  size_t read_size_;
  bool is_connecting_ = false;
  bool has_failed_ = false;
  bool has_write_failed_ = false;  // what the peer sent before it went can still be read
};

}  // namespace genkan::net
