// Tells its handler when a descriptor can be read or written. Level-triggered. A member of what it
// serves, on one loop's thread; destroyed = never called again. Does not own the descriptor.
// Reading that is stopped and wanted again within a moment, as flow control does all the time,
// costs no system call: the event stays until it fires for nobody.
#pragma once

#include <event2/event_struct.h>

#include "proxy/event/event_loop.h"

namespace genkan::event {

class IoWatcher {
 public:
  class Handler {
   public:
    virtual void OnReadable() noexcept = 0;
    virtual void OnWritable() noexcept = 0;

   protected:
    ~Handler() = default;
  };

  IoWatcher(EventLoop& loop, int fd, Handler& handler);
  ~IoWatcher();
  IoWatcher(const IoWatcher&) = delete;
  IoWatcher& operator=(const IoWatcher&) = delete;

  void WantRead(bool wanted);
  void WantWrite(bool wanted);
  bool wants_read() const { return wants_read_; }
  bool wants_write() const { return wants_write_; }
  // Stops both.
  void Cancel();

 private:
  static void OnReadEvent(int fd, short what, void* self) noexcept;
  static void OnWriteEvent(int fd, short what, void* self) noexcept;

  Handler& handler_;
  ::event read_event_;
  ::event write_event_;
  bool wants_read_ = false;
  bool is_read_armed_ = false;
  bool wants_write_ = false;
};

}  // namespace genkan::event
