// Gathers work to the end of this turn: however often Schedule is called within a turn, `on_end`
// runs once, after this batch of events and before the loop waits again. A member of what it
// serves, on one loop's thread; destroyed = never called again. Scheduling allocates nothing.
#pragma once

#include <functional>

#include "proxy/event/event_loop.h"

namespace genkan::event {

class TurnEnd {
 public:
  TurnEnd(EventLoop& loop, std::function<void()> on_end)
      : loop_(loop), node_(new Node{this}), on_end_(std::move(on_end)) {}
  ~TurnEnd() {
    node_->owner = nullptr;
    Release(node_);
  }
  TurnEnd(const TurnEnd&) = delete;
  TurnEnd& operator=(const TurnEnd&) = delete;

  void Schedule() {
    if (is_scheduled_) return;
    is_scheduled_ = true;
    ++node_->references;
    // One pointer: std::function keeps it within itself. A loop that ends before the call leaks no
    // more than the node.
    loop_.Defer([node = node_] {
      if (node->owner != nullptr) node->owner->Run();
      Release(node);
    });
  }

 private:
  // Outlives its owner where the loop still holds the call.
  struct Node {
    TurnEnd* owner;
    int references = 1;
  };
  static void Release(Node* node) {
    if (--node->references == 0) delete node;
  }
  void Run() {
    is_scheduled_ = false;
    on_end_();
  }

  EventLoop& loop_;
  Node* node_;
  std::function<void()> on_end_;
  bool is_scheduled_ = false;
};

}  // namespace genkan::event
