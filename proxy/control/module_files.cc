#include "proxy/control/module_files.h"

#include <string>
#include <vector>

#include "proxy/base/log.h"
#include "proxy/base/text.h"

namespace genkan::control {

struct ModuleFiles::Impl : std::enable_shared_from_this<Impl> {
  // One file of one instance; kept by the reading that is under way, also when the configuration
  // has moved on.
  struct File {
    std::string instance;
    std::shared_ptr<const Module> module;  // owns `file`
    WatchedFile* file = nullptr;
    bool is_loading = false;
    bool has_changed = false;  // since the reading began
  };

  Impl(event::EventLoop& the_loop, event::BlockingPool& pool, event::FileWatcherTimes times,
       event::FileView& view)
      : loop(the_loop),
        blocking(pool),
        watcher(
            the_loop, [this](const std::vector<std::string>& paths) { OnChange(paths); }, times,
            view) {}

  void OnChange(const std::vector<std::string>& paths);
  void Load(const std::shared_ptr<File>& file);
  void Finish(const std::shared_ptr<File>& file, const Result<bool>& loaded);

  event::EventLoop& loop;
  event::BlockingPool& blocking;
  event::FileWatcher watcher;
  std::vector<std::shared_ptr<File>> files;
};

void ModuleFiles::Impl::OnChange(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    for (const auto& file : files) {
      if (file->file->path() == path) Load(file);
    }
  }
}

void ModuleFiles::Impl::Load(const std::shared_ptr<File>& file) {
  file->has_changed = file->is_loading;
  if (file->is_loading) return;
  file->is_loading = true;
  bool is_taken = blocking.Submit([weak = weak_from_this(), file, &to = loop] {
    auto loaded = file->file->Load();
    to.Post([weak, file, loaded = std::move(loaded)] {
      if (auto self = weak.lock()) self->Finish(file, loaded);
    });
  });
  if (is_taken) return;
  file->is_loading = false;
  LOG_WARN("module_file_late", "module={} file={} too much is waiting; read at its next change",
           file->instance, file->file->path());
}

void ModuleFiles::Impl::Finish(const std::shared_ptr<File>& file, const Result<bool>& loaded) {
  file->is_loading = false;
  if (!loaded) {
    LOG_ERROR("module_file_refused", "module={} error=\"{}\" what was read before stays in force",
              file->instance, EscapeControl(loaded.error().detail));
  } else if (*loaded) {
    LOG_INFO("module_file_loaded", "module={} file={}", file->instance, file->file->path());
  }
  if (file->has_changed) Load(file);
}

ModuleFiles::ModuleFiles(event::EventLoop& loop, event::BlockingPool& blocking,
                         event::FileWatcherTimes times, event::FileView& view)
    : impl_(std::make_shared<Impl>(loop, blocking, times, view)) {}
ModuleFiles::~ModuleFiles() = default;

void ModuleFiles::Apply(server::SnapshotPtr snapshot) {
  std::vector<std::shared_ptr<Impl::File>> files;
  std::vector<std::string> paths;
  for (const server::ModuleSlot& slot : snapshot->modules) {
    if (slot.module == nullptr) continue;
    for (WatchedFile* file : slot.module->files()) {
      std::shared_ptr<Impl::File> known;
      for (const auto& old : impl_->files) {
        if (old->file == file) known = old;
      }
      if (known == nullptr) {
        known = std::make_shared<Impl::File>();
        known->instance = slot.name;
        known->module = slot.module;
        known->file = file;
      }
      files.push_back(std::move(known));
      paths.push_back(file->path());
    }
  }
  impl_->files = std::move(files);
  impl_->watcher.Watch(paths);
  // What changed between the configuration's reading and the watch, and what the operator wants
  // now.
  for (const auto& file : impl_->files) impl_->Load(file);
}

}  // namespace genkan::control
