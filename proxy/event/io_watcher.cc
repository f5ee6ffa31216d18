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
  wants_read_ = wanted;
  if (!wanted || is_read_armed_) return;
  is_read_armed_ = true;
  event_add(&read_event_, nullptr);
}

void IoWatcher::Cancel() {
  wants_read_ = false;
  if (is_read_armed_) event_del(&read_event_);
  is_read_armed_ = false;
  WantWrite(false);
}

void IoWatcher::WantWrite(bool wanted) {
  if (wanted == wants_write_) return;
  wants_write_ = wanted;
  wanted ? event_add(&write_event_, nullptr) : event_del(&write_event_);
}

void IoWatcher::OnReadEvent(int, short, void* self) noexcept {
  auto& watcher = *static_cast<IoWatcher*>(self);
  if (watcher.wants_read_) return watcher.handler_.OnReadable();
  watcher.is_read_armed_ = false;
  event_del(&watcher.read_event_);
}

void IoWatcher::OnWriteEvent(int, short, void* self) noexcept {
  static_cast<IoWatcher*>(self)->handler_.OnWritable();
}

}  // namespace genkan::event
