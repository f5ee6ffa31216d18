#include "proxy/event/signal_watcher.h"

#include <event2/event.h>

#include "proxy/base/check.h"

namespace genkan::event {

SignalWatcher::SignalWatcher(EventLoop& loop, int signal, std::function<void()> on_signal)
    : on_signal_(std::move(on_signal)),
      event_(evsignal_new(loop.base(), signal, &SignalWatcher::OnEvent, this)) {
  GENKAN_CHECK(event_ != nullptr && event_add(event_, nullptr) == 0);
}

SignalWatcher::~SignalWatcher() { event_free(event_); }

void SignalWatcher::OnEvent(int, short, void* self) noexcept {
  static_cast<SignalWatcher*>(self)->on_signal_();
}

}  // namespace genkan::event
