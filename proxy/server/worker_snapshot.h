// A Snapshot as one worker uses it: with this worker's pools and its modules' states. Worker's thread; shared by the
// exchanges that began under it, gone with the last of them.
#pragma once

#include <memory>
#include <vector>

#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/module/api.h"
#include "proxy/server/snapshot.h"
#include "proxy/upstream/cluster.h"

namespace genkan::server {

struct WorkerSnapshot {
  SnapshotPtr snapshot;
  // By cluster. A pool that a reload leaves as it is goes on with its connections; nullptr where one could not be made.
  std::vector<std::shared_ptr<upstream::Cluster>> clusters;
  // By module; that of an instance that a reload leaves as it is goes on.
  std::vector<std::shared_ptr<WorkerState>> states;
};
using WorkerSnapshotPtr = std::shared_ptr<WorkerSnapshot>;

// `before` may be null.
WorkerSnapshotPtr MakeWorkerSnapshot(SnapshotPtr snapshot, const WorkerSnapshot* before,
                                     event::EventLoop& loop, event::BlockingPool& blocking);

}  // namespace genkan::server
