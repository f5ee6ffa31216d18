#include "proxy/server/worker_core.h"

#include <algorithm>

#include "proxy/server/downstream_connection.h"
#include "proxy/server/exchange.h"

namespace genkan::server {
namespace {

constexpr size_t kMostSpareExchanges = 128;

}  // namespace

WorkerCore::WorkerCore(uint32_t index, event::EventLoop& loop, WorkerShared& shared)
    : index_(index), loop_(loop), shared_(shared) {
  mailbox_->loop = &loop;
}

WorkerCore::~WorkerCore() {
  std::lock_guard lock(mailbox_->mutex);
  mailbox_->loop = nullptr;
}

DownstreamConnection& WorkerCore::Adopt(std::unique_ptr<DownstreamConnection> connection) {
  connection->table_index = connections_.size();
  connections_.push_back(std::move(connection));
  metrics_.connections_open.Add();
  shared_.connections.fetch_add(1, std::memory_order_relaxed);
  return *connections_.back();
}

void WorkerCore::Remove(DownstreamConnection& connection) {
  size_t index = connection.table_index;
  if (connection.is_dirty) {
    DownstreamConnection* const gone = nullptr;
    for (auto* list : {&dirty_, &flushing_}) std::replace(list->begin(), list->end(), &connection, gone);
  }
  std::unique_ptr<DownstreamConnection> dead = std::move(connections_[index]);
  if (index + 1 < connections_.size()) {
    connections_[index] = std::move(connections_.back());
    connections_[index]->table_index = index;
  }
  connections_.pop_back();
  metrics_.connections_open.Subtract();
  shared_.connections.fetch_sub(1, std::memory_order_relaxed);
  loop_.Retire(std::move(dead));
  if (on_removed) on_removed();
}

void WorkerCore::MarkDirty(DownstreamConnection& connection) {
  if (connection.is_dirty) return;
  connection.is_dirty = true;
  dirty_.push_back(&connection);
  if (is_flush_scheduled_) return;
  is_flush_scheduled_ = true;
  loop_.Defer([this] { FlushDirty(); });
}

void WorkerCore::FlushDirty() {
  is_flush_scheduled_ = false;
  flushing_.swap(dirty_);
  for (size_t i = 0; i < flushing_.size(); ++i) {
    DownstreamConnection* connection = flushing_[i];
    if (connection == nullptr) continue;
    flushing_[i] = nullptr;
    connection->is_dirty = false;
    connection->Flush();
  }
  flushing_.clear();
}

std::unique_ptr<ServerExchange> WorkerCore::TakeExchange() {
  if (spare_.empty()) return std::make_unique<ServerExchange>(*this);
  std::unique_ptr<ServerExchange> exchange = std::move(spare_.back());
  spare_.pop_back();
  return exchange;
}

void WorkerCore::GiveBack(std::unique_ptr<ServerExchange> exchange) {
  if (spare_.size() < kMostSpareExchanges) spare_.push_back(std::move(exchange));
}

ExchangeHandle WorkerCore::Register(ServerExchange& exchange) {
  uint32_t slot;
  if (free_slots_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[slot] = {&exchange, ++last_generation_};
  return {slot, last_generation_};
}

void WorkerCore::Unregister(ExchangeHandle handle) {
  if (Find(handle) == nullptr) return;
  slots_[handle.slot] = {};
  free_slots_.push_back(handle.slot);
}

ServerExchange* WorkerCore::Find(ExchangeHandle handle) const {
  if (handle.generation == 0 || handle.slot >= slots_.size()) return nullptr;
  const Slot& slot = slots_[handle.slot];
  return slot.generation == handle.generation ? slot.exchange : nullptr;
}

}  // namespace genkan::server
