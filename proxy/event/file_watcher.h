// Watches files that other programs replace: certificates, ticket keys, lists. For each path it watches the
// directory of the path and of every symlink target on the way (certbot's live/ -> archive/, Kubernetes'
// ..data), or the nearest existing parent of what is not there yet. Changes are gathered: OnChange comes
// `debounce` after the last event and at most `longest` after the first; who may work in vain can hear of them a
// quarter of `debounce` after the last event (TellEarly). A stat every `poll` covers file systems without inotify.
// Control loop's thread; owned by whoever wants to know.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/event/event_loop.h"
#include "proxy/event/file_view.h"
#include "proxy/event/io_watcher.h"
#include "proxy/event/timer.h"

namespace genkan::event {

// A path with the state that was seen of it.
struct WatchedPath {
  std::string path;
  FileState state;
};

struct FileWatcherTimes {
  Millis debounce{250};
  Millis longest{1000};
  Millis poll{60'000};
};

class FileWatcher final : private IoWatcher::Handler {
 public:
  // Called with the watched paths (as given to Watch) whose state changed.
  using OnChange = std::function<void(const std::vector<std::string>& paths)>;

  // `view` outlives the watcher.
  FileWatcher(EventLoop& loop, OnChange on_change, FileWatcherTimes times = {},
              FileView& view = DirectFileView());
  ~FileWatcher();

  // A file or a directory; of a directory, the files directly in it count. Replaces the earlier
  // set. `seen`: what the caller has looked at before it used what is there: a change since then
  // counts. Of the other paths the state is taken now.
  void Watch(const std::vector<std::string>& paths, std::vector<WatchedPath> seen = {});

  // Called with what has changed so far, before OnChange: more may change until then. Not by the poll.
  void TellEarly(OnChange on_stir);

  // False where the kernel gave no inotify instance: only the poll is left.
  bool has_inotify() const;

 private:
  struct Impl;
  void OnReadable() noexcept override;
  void OnWritable() noexcept override {}

  std::unique_ptr<Impl> impl_;
};

}  // namespace genkan::event
