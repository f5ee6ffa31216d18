// The files that modules live on (lists of networks, passwords), while a configuration is in force:
// watched, and read again off this thread when they change or at a reload. A broken file changes
// nothing but the log. Control thread; owned by the Supervisor.
#pragma once

#include <memory>

#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/file_watcher.h"
#include "proxy/server/snapshot.h"

namespace genkan::control {

class ModuleFiles {
 public:
  // All outlive it.
  ModuleFiles(event::EventLoop& loop, event::BlockingPool& blocking,
              event::FileWatcherTimes times = {}, event::FileView& view = event::DirectFileView());
  ~ModuleFiles();

  // From now on those of this snapshot's modules; all of them are read again now.
  void Apply(server::SnapshotPtr snapshot);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with readings that are under way
};

}  // namespace genkan::control
