#include "proxy/event/file_view.h"

#include <sys/inotify.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

namespace genkan::event {
namespace {

constexpr uint32_t kWatchedEvents = IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |
                                    IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
                                    IN_ONLYDIR;

std::vector<PathStep> StepsOf(const std::string& path) {
  std::vector<PathStep> steps = WalkPath(path);
  std::string folder = RealDirectory(path);
  FileState state = ReadFileState(path);
  if (!state.is_directory || folder.empty()) return steps;
  steps.push_back({folder, ""});
  // The files of a lineage are symlinks to somewhere else.
  for (const auto& [name, signature] : state.files) {
    auto more = WalkPath(folder + "/" + name);
    steps.insert(steps.end(), more.begin(), more.end());
  }
  auto order = [](const PathStep& a, const PathStep& b) {
    return std::tie(a.directory, a.name) < std::tie(b.directory, b.name);
  };
  std::sort(steps.begin(), steps.end(), order);
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  return steps;
}

class Direct final : public FileView {
 public:
  FileState State(const std::string& path) override { return ReadFileState(path); }

  std::vector<ArmedStep> Arm(const std::string& path, int inotify) override {
    std::vector<ArmedStep> armed;
    for (PathStep& step : StepsOf(path)) {
      ArmedStep& one = armed.emplace_back();
      if (inotify >= 0) {
        one.watch = inotify_add_watch(inotify, step.directory.c_str(), kWatchedEvents);
        if (one.watch < 0) one.error = errno;
      }
      one.directory = std::move(step.directory);
      one.name = std::move(step.name);
    }
    return armed;
  }
};

}  // namespace

FileView& DirectFileView() {
  static Direct direct;
  return direct;
}

}  // namespace genkan::event
