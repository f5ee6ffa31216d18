#include "proxy/event/file_watcher.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>

#include "proxy/base/keyed_hash.h"
#include "proxy/base/log.h"
#include "proxy/event/file_state.h"

namespace genkan::event {
namespace {

// As a step's name: every name in the directory counts.
constexpr std::string_view kEveryName = "";

// Sent whatever is asked for.
constexpr uint32_t kSelfEvents = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;

// Mostly one: of thousands of directories and names, a vector for each would be a block for each.
template <class T, T kNone>
class Few {
 public:
  bool empty() const { return one_ == kNone; }
  void Add(T item) {
    if (empty()) {
      one_ = item;
    } else {
      if (more_ == nullptr) more_ = std::make_unique<std::vector<T>>();
      more_->push_back(item);
    }
  }
  // Once, where it is there several times.
  void Remove(T item) {
    if (one_ == item) {
      one_ = more_ == nullptr ? kNone : more_->back();
      if (more_ != nullptr) more_->pop_back();
    } else if (more_ != nullptr) {
      const auto found = std::find(more_->begin(), more_->end(), item);
      if (found == more_->end()) return;
      *found = more_->back();
      more_->pop_back();
    }
    if (more_ != nullptr && more_->empty()) more_ = nullptr;
  }
  std::vector<T> All() const {
    std::vector<T> all;
    ForEach([&](T item) { all.push_back(item); });
    return all;
  }
  template <class Function>
  void ForEach(Function function) const {
    if (empty()) return;
    function(one_);
    if (more_ == nullptr) return;
    for (T item : *more_) function(item);
  }

 private:
  T one_ = kNone;
  std::unique_ptr<std::vector<T>> more_;  // null: no others
};

// What stands for a state: all that is asked of it is whether it is the same as before.
using StateHash = KeyedHash::Wide;

void Append(std::string& bytes, uint64_t number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void Append(std::string& bytes, const FileSignature& signature) {
  Append(bytes, signature.device);
  Append(bytes, signature.inode);
  Append(bytes, static_cast<uint64_t>(signature.size));
  Append(bytes, static_cast<uint64_t>(signature.modified_nanos));
  Append(bytes, static_cast<uint64_t>(signature.changed_nanos));
}

StateHash HashOf(const FileState& state) {
  static const KeyedHash hash;
  std::string bytes;
  Append(bytes, static_cast<uint64_t>(state.error));
  Append(bytes, state.is_directory ? 1 : 0);
  Append(bytes, state.file);
  for (const auto& [name, signature] : state.files) {
    Append(bytes, name.size());
    bytes += name;
    Append(bytes, signature);
  }
  return hash.Hash128(bytes);
}

}  // namespace

struct FileWatcher::Impl {
  // A directory that some path goes through, with the watched paths that each name in it matters
  // to.
  struct Directory {
    const std::string* path = nullptr;  // its key in `directories`
    int watch = -1;                     // -1: the kernel refused; the poll is left
    std::map<std::string, Few<uint32_t, UINT32_MAX>, std::less<>> names;  // indices into items
  };
  // Where a watched path is entered: thousands of paths share what is above them.
  struct Step {
    Directory* directory;
    const std::string* name;  // a key of directory->names
    bool operator==(const Step&) const = default;
  };
  struct Item {
    std::string path;  // "": free
    StateHash state{};
    std::vector<Step> steps;
    bool is_dirty = false;
    bool is_stale = false;  // something has happened since its watches were set
    bool is_armed = false;
  };

  Impl(EventLoop& the_loop, OnChange callback, FileWatcherTimes the_times, FileView& the_view,
       IoWatcher::Handler& owner)
      : loop(the_loop),
        on_change(std::move(callback)),
        times(the_times),
        view(the_view),
        inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
        settle(loop, [this] { Settle(); }),
        stir(loop, [this] { Stir(); }),
        poll(loop, [this] { Poll(); }),
        arm(loop, [this] { ArmSome(); }) {
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

  void Watch(const std::vector<std::string>& paths, std::vector<WatchedPath> seen);
  uint32_t Add(const std::string& path, const FileState& state);
  void Remove(uint32_t index);
  void ArmSome();
  // Brings the kernel's watches of one path up to date.
  void Arm(uint32_t index);
  Step Enter(const ArmedStep& step);
  void Leave(const std::vector<Step>& steps, uint32_t index);
  void SetWatch(Directory& directory, int watch, int error);
  void DropWatch(Directory& directory);
  void ReadEvents();
  void Take(const inotify_event& event);
  bool TakeSelf(Directory& directory, uint32_t mask);
  bool MarkUsers(const Directory& directory, std::string_view name);
  static void MarkDirty(Item& item) { item.is_dirty = item.is_stale = true; }
  void Touch();
  // What is dirty and has another state than before, with its watches set anew.
  std::vector<std::pair<uint32_t, StateHash>> Changed();
  void Stir();
  void Settle();
  void Poll();

  EventLoop& loop;
  OnChange on_change;
  FileWatcherTimes times;
  FileView& view;
  int inotify;
  std::optional<IoWatcher> io;
  OnChange on_stir;
  Timer settle;
  Timer stir;
  Timer poll;
  Timer arm;
  std::optional<MonotonicTime> first_event;
  std::deque<Item> items;
  std::vector<uint32_t> free_items;
  std::unordered_map<std::string_view, uint32_t> by_path;  // their own `path`
  std::deque<uint32_t> unarmed;
  std::unordered_map<std::string, std::unique_ptr<Directory>> directories;
  std::unordered_map<int, Few<Directory*, nullptr>>
      by_watch;  // bind mounts give two paths one watch
  bool has_complained = false;
};

FileWatcher::Impl::Step FileWatcher::Impl::Enter(const ArmedStep& step) {
  const auto [place, is_new] = directories.try_emplace(step.directory);
  std::unique_ptr<Directory>& directory = place->second;
  if (is_new) {
    directory = std::make_unique<Directory>();
    directory->path = &place->first;
  }
  SetWatch(*directory, step.watch, step.error);
  return {directory.get(), &directory->names.try_emplace(step.name).first->first};
}

// Another one than before where the path has become another directory.
void FileWatcher::Impl::SetWatch(Directory& directory, int watch, int error) {
  if (inotify < 0) return;
  if (watch < 0 && error == ENOSPC && !has_complained) {
    has_complained = true;
    LOG_WARN("inotify_exhausted", "directory={} hint=\"raise fs.inotify.max_user_watches\"",
             *directory.path);
  }
  if (watch == directory.watch) return;
  DropWatch(directory);
  if (watch < 0) return;
  directory.watch = watch;
  by_watch[watch].Add(&directory);
}

void FileWatcher::Impl::DropWatch(Directory& directory) {
  if (directory.watch < 0) return;
  auto known = by_watch.find(directory.watch);
  if (known != by_watch.end()) {
    known->second.Remove(&directory);
    if (known->second.empty()) {
      inotify_rm_watch(inotify, directory.watch);
      by_watch.erase(known);
    }
  }
  directory.watch = -1;
}

void FileWatcher::Impl::Leave(const std::vector<Step>& steps, uint32_t index) {
  for (const Step& step : steps) {
    Directory& directory = *step.directory;
    auto name = directory.names.find(*step.name);
    auto& users = name->second;
    // One use only: Arm has added those of the new steps already.
    users.Remove(index);
    if (!users.empty()) continue;
    directory.names.erase(name);
    if (!directory.names.empty()) continue;
    DropWatch(directory);
    directories.erase(directories.find(*directory.path));
  }
}

void FileWatcher::Impl::Arm(uint32_t index) {
  Item& item = items[index];
  item.is_armed = true;
  // What changes between the look and the watch shows in a second look.
  constexpr int kLooks = 3;
  for (int look = 0; look < kLooks; ++look) {
    std::vector<Step> steps;
    const std::string* whole = nullptr;  // of the directory whose every name counts
    std::vector<ArmedStep> armed = view.Arm(item.path, inotify);
    for (const ArmedStep& step : armed) {
      if (step.name == kEveryName) whole = &step.directory;
    }
    for (const ArmedStep& step : armed) {
      const bool is_covered =
          whole != nullptr && step.directory == *whole && step.name != kEveryName;
      if (!is_covered) steps.push_back(Enter(step));
    }
    if (look > 0 && steps == item.steps) return;
    // The new ones first, so that a directory used by both keeps its watch.
    for (const Step& step : steps) step.directory->names.find(*step.name)->second.Add(index);
    Leave(std::exchange(item.steps, std::move(steps)), index);
  }
}

uint32_t FileWatcher::Impl::Add(const std::string& path, const FileState& state) {
  uint32_t index = static_cast<uint32_t>(items.size());
  if (free_items.empty()) {
    items.emplace_back();
  } else {
    index = free_items.back();
    free_items.pop_back();
  }
  items[index].path = path;
  items[index].state = HashOf(state);
  by_path.emplace(items[index].path, index);
  unarmed.push_back(index);
  return index;
}

void FileWatcher::Impl::Remove(uint32_t index) {
  Item& item = items[index];
  Leave(std::exchange(item.steps, {}), index);
  by_path.erase(item.path);
  item = Item();
  free_items.push_back(index);
}

void FileWatcher::Impl::Watch(const std::vector<std::string>& paths,
                              std::vector<WatchedPath> seen) {
  std::unordered_map<std::string_view, FileState*> states;
  for (WatchedPath& one : seen) {
    const auto [first, is_new] = states.try_emplace(one.path, &one.state);
    // It changed between two looks: whoever looked first is to look again.
    constexpr int kNoState = -1;
    if (!is_new && *first->second != one.state) first->second->error = kNoState;
  }
  auto state_of = [&](const std::string& path) {
    const auto state = states.find(path);
    return state == states.end() ? view.State(path) : std::move(*state->second);
  };
  std::vector<bool> is_kept(items.size());
  for (const std::string& path : paths) {
    auto known = by_path.find(path);
    const uint32_t index = known == by_path.end() ? Add(path, state_of(path)) : known->second;
    is_kept.resize(items.size());
    is_kept[index] = true;
  }
  for (uint32_t i = 0; i < is_kept.size(); ++i) {
    if (!is_kept[i] && !items[i].path.empty()) Remove(i);
  }
  ArmSome();
  if (by_path.empty()) {
    poll.Cancel();
  } else if (!poll.is_running()) {
    poll.Start(times.poll);
  }
}

// To walk thousands of paths takes a second: a few at a time. What changes before a path's turn
// shows in its state, which was taken when it was added.
void FileWatcher::Impl::ArmSome() {
  constexpr int kAtOnce = 64;
  bool is_dirty = false;
  for (int i = 0; i < kAtOnce && !unarmed.empty(); ++i) {
    const uint32_t index = unarmed.front();
    unarmed.pop_front();
    Item& item = items[index];
    if (item.path.empty() || item.is_armed) continue;
    Arm(index);
    if (HashOf(view.State(item.path)) == item.state) continue;
    MarkDirty(item);
    is_dirty = true;
  }
  if (is_dirty) Touch();
  if (!unarmed.empty()) arm.Start(Millis(1));
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

bool FileWatcher::Impl::MarkUsers(const Directory& directory, std::string_view name) {
  auto users = directory.names.find(name);
  if (users == directory.names.end()) return false;
  users->second.ForEach([this](uint32_t index) { MarkDirty(items[index]); });
  return true;
}

// The directory itself: gone, moved (its watch went with it) or with other permissions.
bool FileWatcher::Impl::TakeSelf(Directory& directory, uint32_t mask) {
  for (const auto& [name, users] : directory.names) {
    users.ForEach([this](uint32_t index) { MarkDirty(items[index]); });
  }
  if ((mask & IN_IGNORED) != 0) {
    directory.watch = -1;
  } else if ((mask & IN_MOVE_SELF) != 0) {
    DropWatch(directory);
  }
  return true;
}

void FileWatcher::Impl::Take(const inotify_event& event) {
  bool is_dirty = false;
  if ((event.mask & IN_Q_OVERFLOW) != 0) {
    for (Item& item : items) item.is_dirty = item.is_stale = !item.path.empty();
    return Touch();
  }
  auto known = by_watch.find(event.wd);
  if (known == by_watch.end()) return;
  // A copy: a directory that moved leaves the list.
  const std::vector<Directory*> same = known->second.All();
  for (Directory* directory : same) {
    if ((event.mask & kSelfEvents) != 0 || event.len == 0) {
      is_dirty |= TakeSelf(*directory, event.mask);
    } else {
      is_dirty |= MarkUsers(*directory, event.name);
      is_dirty |= MarkUsers(*directory, kEveryName);
    }
  }
  if ((event.mask & IN_IGNORED) != 0) by_watch.erase(event.wd);
  if (is_dirty) Touch();
}

void FileWatcher::Impl::Touch() {
  if (!first_event) first_event = loop.now();
  auto until_longest =
      std::chrono::duration_cast<Millis>(*first_event + times.longest - loop.now());
  settle.Start(std::min(times.debounce, std::max(until_longest, Millis(0))));
  if (on_stir) stir.Start(times.debounce / 4);
}

std::vector<std::pair<uint32_t, StateHash>> FileWatcher::Impl::Changed() {
  std::vector<std::pair<uint32_t, StateHash>> changed;
  for (uint32_t i = 0; i < items.size(); ++i) {
    Item& item = items[i];
    if (!item.is_dirty) continue;
    if (std::exchange(item.is_stale, false)) Arm(i);
    const StateHash state = HashOf(view.State(item.path));
    if (state != item.state) changed.emplace_back(i, state);
  }
  return changed;
}

void FileWatcher::Impl::Stir() {
  std::vector<std::string> paths;
  for (const auto& [index, state] : Changed()) paths.push_back(items[index].path);
  if (!paths.empty()) on_stir(paths);
}

void FileWatcher::Impl::Settle() {
  first_event.reset();
  settle.Cancel();
  stir.Cancel();
  std::vector<std::string> changed;
  for (const auto& [index, state] : Changed()) {
    items[index].state = state;
    changed.push_back(items[index].path);
  }
  for (Item& item : items) item.is_dirty = false;
  // Last: the owner may call Watch.
  if (!changed.empty()) on_change(changed);
}

void FileWatcher::Impl::Poll() {
  poll.Start(times.poll);
  bool is_dirty = false;
  for (Item& item : items) {
    if (item.path.empty()) continue;
    if (!item.is_dirty && HashOf(view.State(item.path)) != item.state) MarkDirty(item);
    is_dirty |= item.is_dirty;
  }
  if (is_dirty) Settle();
}

FileWatcher::FileWatcher(EventLoop& loop, OnChange on_change, FileWatcherTimes times,
                         FileView& view)
    : impl_(std::make_unique<Impl>(loop, std::move(on_change), times, view,
                                   static_cast<IoWatcher::Handler&>(*this))) {}
FileWatcher::~FileWatcher() = default;

void FileWatcher::Watch(const std::vector<std::string>& paths, std::vector<WatchedPath> seen) {
  impl_->Watch(paths, std::move(seen));
}
void FileWatcher::TellEarly(OnChange on_stir) { impl_->on_stir = std::move(on_stir); }
bool FileWatcher::has_inotify() const { return impl_->inotify >= 0; }
void FileWatcher::OnReadable() noexcept { impl_->ReadEvents(); }

}  // namespace genkan::event
