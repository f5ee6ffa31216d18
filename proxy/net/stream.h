// One connected byte stream: TcpStream or, over one, TlsStream. On its worker's thread, owned by the
// connection that reads it. Not reading IS the back-pressure.
#pragma once

#include <cstddef>

#include "proxy/base/buffer.h"
#include "proxy/base/result.h"

namespace genkan::net {

enum class IoState {
  kOk,          // bytes moved (perhaps fewer than asked)
  kWouldBlock,  // none now; OnReadable / OnWritable will say when
  kEnd,         // read only: the peer closed its side in order (TLS: close_notify)
  kFailed,      // the stream is unusable: reset, TLS error, cut without close_notify (see error())
};

struct IoResult {
  IoState state = IoState::kOk;
  size_t bytes = 0;
};

class Stream {
 public:
  class Owner {
   public:
    virtual void OnReadable() noexcept = 0;  // also when an end or a failure is to be read
    virtual void OnWritable() noexcept = 0;

   protected:
    ~Owner() = default;
  };

  virtual ~Stream() = default;

  virtual void SetOwner(Owner& owner) = 0;
  // At most `limit` bytes to the end of `into`. One system call where possible.
  virtual IoResult Read(Buffer& into, size_t limit) = 0;
  // As much of `from` as goes; what went is drained from it. kWouldBlock with from non-empty: WantWrite(true).
  virtual IoResult Write(Buffer& from) = 0;
  // Level-triggered: OnReadable repeats while there is something to read and it is wanted.
  virtual void WantRead(bool wanted) = 0;
  virtual void WantWrite(bool wanted) = 0;
  // Bytes written but not yet given to the kernel (TLS records that wait). Write(empty buffer) tries again.
  virtual size_t pending_write() const { return 0; }
  // What the kernel would take at once now: a guess from its queue, and 0 where it cannot be told.
  virtual size_t WriteRoom() const { return 0; }
  // Ends our side in order: TLS close_notify, then TCP FIN. Call when pending_write() is 0 and all is written.
  virtual void CloseWrite() = 0;
  // The destruction that follows resets the connection (TCP RST, no close_notify) instead of ending it: the peer must
  // see that what it got is not whole.
  virtual void ResetOnClose() {}
  // Cancels all watchers at once; nothing is called after it. Closing happens at destruction.
  virtual void Cancel() = 0;
  // What made Read or Write fail.
  virtual const Error& error() const = 0;
  virtual int fd() const = 0;
};

}  // namespace genkan::net
