#include "proxy/event/file_watcher.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>
#include <unordered_map>

#include "proxy/base/log.h"
#include "proxy/event/file_state.h"

namespace genkan::event {
namespace {

// As a step's name: every name in the directory counts.
constexpr const char* kEveryName = "";

// Sent whatever is asked for.
constexpr uint32_t kSelfEvents = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;

}  // namespace

struct FileWatcher::Impl {
  struct Watched {
    std::string path;
    FileState state;
    std::vector<ArmedStep> steps;
    bool is_dirty = false;
  };
  struct Directory {
    int watch = -1;  // -1: the kernel refused; the poll is left
    std::unordered_map<std::string, std::vector<size_t>> names;  // indices into watched
    size_t uses = 0;
  };

  Impl(EventLoop& the_loop, OnChange callback, FileWatcherTimes the_times, FileView& the_view,
       IoWatcher::Handler& owner)
      : loop(the_loop),
        on_change(std::move(callback)),
        times(the_times),
        view(the_view),
        inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
        settle(loop, [this] { Settle(); }),
        poll(loop, [this] { Poll(); }) {
    if (inotify < 0) {
      LOG_WARN("inotify_unavailable", "error=\"{}\" poll={}s", std::strerror(errno),
               times.poll.count() / 1000);
      return;
    }
    io.emplace(loop, inotify, owner);
    io->WantRead(true);
  }
  ~Impl() {
    io.reset();
    if (inotify < 0) return;
    view.Forget(inotify);
    close(inotify);
  }

  void Watch(const std::vector<std::string>& paths);
  // Brings the kernel's watches of one path up to date.
  void Arm(size_t index);
  void Disarm(size_t index);
  void Use(const ArmedStep& step, size_t index);
  void DropWatch(const std::string& path, Directory& directory);
  void ReadEvents();
  void Take(const inotify_event& event);
  void MarkAll(const Directory& directory);
  void Touch();
  void Settle();
  void Poll();

  EventLoop& loop;
  OnChange on_change;
  FileWatcherTimes times;
  FileView& view;
  int inotify;
  std::optional<IoWatcher> io;
  Timer settle;
  Timer poll;
  std::optional<MonotonicTime> first_event;
  std::vector<Watched> watched;
  std::map<std::string, Directory> directories;
  std::unordered_map<int, std::set<std::string>> by_watch;  // bind mounts give two paths one watch
  bool has_complained = false;
};

void FileWatcher::Impl::Use(const ArmedStep& step, size_t index) {
  Directory& directory = directories[step.directory];
  ++directory.uses;
  directory.names[step.name].push_back(index);
  if (inotify < 0) return;
  // Another one than before where the path has become another directory.
  const int watch = step.watch;
  if (watch < 0) {
    if (step.error == ENOSPC && !has_complained) {
      has_complained = true;
      LOG_WARN("inotify_exhausted", "directory={} hint=\"raise fs.inotify.max_user_watches\"",
               step.directory);
    }
    DropWatch(step.directory, directory);
    return;
  }
  if (watch == directory.watch) return;
  DropWatch(step.directory, directory);
  directory.watch = watch;
  by_watch[watch].insert(step.directory);
}

void FileWatcher::Impl::DropWatch(const std::string& path, Directory& directory) {
  if (directory.watch < 0) return;
  auto known = by_watch.find(directory.watch);
  if (known != by_watch.end()) {
    known->second.erase(path);
    if (known->second.empty()) {
      inotify_rm_watch(inotify, directory.watch);
      by_watch.erase(known);
    }
  }
  directory.watch = -1;
}

void FileWatcher::Impl::Disarm(size_t index) {
  for (const ArmedStep& step : watched[index].steps) {
    auto known = directories.find(step.directory);
    if (known == directories.end()) continue;
    Directory& directory = known->second;
    auto& users = directory.names[step.name];
    // One use only: Arm has added those of the new steps already.
    auto user = std::find(users.begin(), users.end(), index);
    if (user != users.end()) users.erase(user);
    if (users.empty()) directory.names.erase(step.name);
    if (--directory.uses > 0) continue;
    DropWatch(known->first, directory);
    directories.erase(known);
  }
  watched[index].steps.clear();
}

void FileWatcher::Impl::Arm(size_t index) {
  Watched& item = watched[index];
  // What changes between the look and the watch shows in a second look.
  constexpr int kLooks = 3;
  for (int look = 0; look < kLooks; ++look) {
    std::vector<ArmedStep> steps = view.Arm(item.path, inotify);
    if (look > 0 && steps == item.steps) return;
    // The new ones first, so that a directory used by both keeps its watch.
    for (const ArmedStep& step : steps) Use(step, index);
    Disarm(index);
    item.steps = std::move(steps);
  }
}

void FileWatcher::Impl::Watch(const std::vector<std::string>& paths) {
  std::unordered_map<std::string, Watched> before;
  for (size_t i = 0; i < watched.size(); ++i) Disarm(i);
  for (Watched& item : watched) before.emplace(item.path, std::move(item));
  watched.clear();
  std::set<std::string> seen;
  for (const std::string& path : paths) {
    if (!seen.insert(path).second) continue;
    auto known = before.find(path);
    if (known != before.end()) {
      watched.push_back(std::move(known->second));
    } else {
      watched.push_back({path, {}, {}, false});
    }
    Arm(watched.size() - 1);
    FileState state = view.State(path);
    if (known == before.end()) {
      watched.back().state = std::move(state);
    } else if (state != watched.back().state) {
      // Its event went with the old watches; it is still to be told.
      watched.back().is_dirty = true;
      Touch();
    }
  }
  if (watched.empty()) {
    poll.Cancel();
  } else if (!poll.is_running()) {
    poll.Start(times.poll);
  }
}

void FileWatcher::Impl::ReadEvents() {
  // Aligned for the events; one read takes many.
  alignas(inotify_event) char block[16 * 1024];
  constexpr int kReads = 64;
  for (int i = 0; i < kReads; ++i) {
    ssize_t got = read(inotify, block, sizeof(block));
    if (got <= 0) return;
    for (ssize_t at = 0; at < got;) {
      const auto& event = *reinterpret_cast<const inotify_event*>(block + at);
      Take(event);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event.len);
    }
  }
}

void FileWatcher::Impl::MarkAll(const Directory& directory) {
  for (const auto& [name, users] : directory.names)
    for (size_t index : users) watched[index].is_dirty = true;
}

void FileWatcher::Impl::Take(const inotify_event& event) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) {
    for (Watched& item : watched) item.is_dirty = true;
    Touch();
    return;
  }
  auto known = by_watch.find(event.wd);
  if (known == by_watch.end()) return;
  bool is_dirty = false;
  std::set<std::string> paths = known->second;
  for (const std::string& path : paths) {
    auto found = directories.find(path);
    if (found == directories.end()) continue;
    Directory& directory = found->second;
    if ((event.mask & kSelfEvents) != 0 || event.len == 0) {
      // The directory itself: gone, moved (its watch went with it) or with other permissions.
      MarkAll(directory);
      is_dirty = true;
      if ((event.mask & IN_IGNORED) != 0) {
        directory.watch = -1;
      } else if ((event.mask & IN_MOVE_SELF) != 0) {
        DropWatch(path, directory);
      }
      continue;
    }
    for (const char* name : {static_cast<const char*>(event.name), kEveryName}) {
      auto users = directory.names.find(name);
      if (users == directory.names.end()) continue;
      for (size_t index : users->second) watched[index].is_dirty = true;
      is_dirty = true;
    }
  }
  if ((event.mask & IN_IGNORED) != 0) by_watch.erase(event.wd);
  if (is_dirty) Touch();
}

void FileWatcher::Impl::Touch() {
  if (!first_event) first_event = loop.now();
  auto until_longest = std::chrono::duration_cast<Millis>(*first_event + times.longest - loop.now());
  settle.Start(std::min(times.debounce, std::max(until_longest, Millis(0))));
}

void FileWatcher::Impl::Settle() {
  first_event.reset();
  settle.Cancel();
  std::vector<std::string> changed;
  for (size_t i = 0; i < watched.size(); ++i) {
    Watched& item = watched[i];
    if (!item.is_dirty) continue;
    item.is_dirty = false;
    Arm(i);
    FileState state = view.State(item.path);
    if (state == item.state) continue;
    item.state = std::move(state);
    changed.push_back(item.path);
  }
  // Last: the owner may call Watch.
  if (!changed.empty()) on_change(changed);
}

void FileWatcher::Impl::Poll() {
  poll.Start(times.poll);
  bool is_dirty = false;
  for (Watched& item : watched) {
    if (!item.is_dirty && view.State(item.path) != item.state) item.is_dirty = true;
    is_dirty |= item.is_dirty;
  }
  if (is_dirty) Settle();
}

FileWatcher::FileWatcher(EventLoop& loop, OnChange on_change, FileWatcherTimes times,
                         FileView& view)
    : impl_(std::make_unique<Impl>(loop, std::move(on_change), times, view,
                                   static_cast<IoWatcher::Handler&>(*this))) {}
FileWatcher::~FileWatcher() = default;

void FileWatcher::Watch(const std::vector<std::string>& paths) { impl_->Watch(paths); }
bool FileWatcher::has_inotify() const { return impl_->inotify >= 0; }
void FileWatcher::OnReadable() noexcept { impl_->ReadEvents(); }

}  // namespace genkan::event
