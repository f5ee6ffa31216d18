#include "proxy/server/worker_snapshot.h"

#include "proxy/base/log.h"

namespace genkan::server {

WorkerSnapshotPtr MakeWorkerSnapshot(SnapshotPtr snapshot, const WorkerSnapshot* before,
                                     event::EventLoop& loop, event::BlockingPool& blocking) {
  auto made = std::make_shared<WorkerSnapshot>();
  for (const auto& shared : snapshot->clusters) {
    std::shared_ptr<upstream::Cluster> cluster;
    if (before != nullptr) {
      for (const auto& old : before->clusters) {
        if (old != nullptr && &old->shared() == shared.get()) cluster = old;
      }
    }
    if (cluster == nullptr) {
      auto fresh = upstream::Cluster::Make(loop, blocking, shared);
      if (fresh) {
        cluster = std::move(*fresh);
      } else {
        LOG_ERROR("upstream_unusable", "upstream={} error=\"{}\"", shared->spec().name,
                  fresh.error().detail);
      }
    }
    made->clusters.push_back(std::move(cluster));
  }
  for (const ModuleSlot& slot : snapshot->modules) {
    std::shared_ptr<WorkerState> state;
    if (before != nullptr && slot.module != nullptr) {
      for (size_t i = 0; i < before->states.size(); ++i) {
        if (before->snapshot->modules[i].module == slot.module) state = before->states[i];
      }
    }
    if (state == nullptr && slot.module != nullptr) state = slot.module->MakeWorkerState();
    made->states.push_back(std::move(state));
  }
  made->snapshot = std::move(snapshot);
  return made;
}

}  // namespace genkan::server
