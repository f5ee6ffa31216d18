#include "proxy/event/io_watcher.h"

#include <event2/event.h>

namespace genkan::event {

IoWatcher::IoWatcher(EventLoop& loop, int fd, Handler& handler) : handler_(handler) {
  event_assign(&read_event_, loop.base(), fd, EV_READ | EV_PERSIST, &IoWatcher::OnReadEvent, this);
  event_assign(&write_event_, loop.base(), fd, EV_WRITE | EV_PERSIST, &IoWatcher::OnWriteEvent,
               this);
}

IoWatcher::~IoWatcher() { Cancel(); }

void IoWatcher::WantRead(bool wanted) {
  if (wanted == wants_read_) return;
  wants_read_ = wanted;
  wanted ? event_add(&read_event_, nullptr) : event_del(&read_event_);
}

void IoWatcher::WantWrite(bool wanted) {
  if (wanted == wants_write_) return;
  wants_write_ = wanted;
  wanted ? event_add(&write_event_, nullptr) : event_del(&write_event_);
}

void IoWatcher::OnReadEvent(int, short, void* self) noexcept {
  static_cast<IoWatcher*>(self)->handler_.OnReadable();
}

void IoWatcher::OnWriteEvent(int, short, void* self) noexcept {
  static_cast<IoWatcher*>(self)->handler_.OnWritable();
}

}  // namespace genkan::event
