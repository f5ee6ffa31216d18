// A file that an instance of a module lives on besides its table: a list, passwords. Options name
// it, its first reading is part of the configuration's, and while the instance is in force the
// control thread has it read again whenever it changes. What was read is immutable; a file that
// cannot be read or parsed leaves in force what was read before.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/base/result.h"

namespace genkan {

// A regular file, whole; at most `most_bytes`. Blocks.
Result<std::string> ReadWholeFile(const std::string& path, size_t most_bytes);

class WatchedFile {
 public:
  virtual ~WatchedFile() = default;
  virtual const std::string& path() const = 0;
  // Reads and parses; blocks, so never on a worker. True: there is something new in force. An error
  // says where in the file ("list.txt:3: …"). Thread-safe.
  virtual Result<bool> Load() = 0;
};

// `Parse(path, text)` makes the content, or an error that begins with path:line.
template <class Content>
class ParsedFile final : public WatchedFile {
 public:
  using Parser = Result<Content> (*)(const std::string& path, std::string_view text);
  static constexpr size_t kMostBytes = 64 * 1024 * 1024;

  ParsedFile(std::string path, Parser parse) : path_(std::move(path)), parse_(parse) {}

  const std::string& path() const override { return path_; }
  Result<bool> Load() override {
    // One at a time, so that what was read last is what stays.
    std::lock_guard loading(loading_);
    auto text = ReadWholeFile(path_, kMostBytes);
    if (!text) return PassOn(text);
    if (version_.load(std::memory_order_relaxed) != 0 && *text == text_) return false;
    auto parsed = parse_(path_, *text);
    if (!parsed) return PassOn(parsed);
    auto content = std::make_shared<const Content>(*std::move(parsed));
    text_ = *std::move(text);
    std::lock_guard lock(mutex_);
    content_ = std::move(content);
    version_.fetch_add(1, std::memory_order_release);
    return true;
  }

  // One thread's look at the file: it takes the lock only when there is something new. Belongs in a
  // module's State.
  class View {
   public:
    explicit View(const ParsedFile& file) : file_(&file) {}
    // Null where nothing was read yet. Valid until the next Get.
    const Content* Get() {
      uint64_t current = file_->version_.load(std::memory_order_acquire);
      if (current != version_) {
        std::lock_guard lock(file_->mutex_);
        content_ = file_->content_;
        version_ = current;
      }
      return content_.get();
    }
    // As of the last Get; keeps the content for as long as it is held.
    const std::shared_ptr<const Content>& content() const { return content_; }

   private:
    const ParsedFile* file_;
    std::shared_ptr<const Content> content_;
    uint64_t version_ = 0;
  };

 private:
  const std::string path_;
  const Parser parse_;
  std::mutex loading_;
  std::string text_;  // guarded by loading_; what is in force was made from it
  mutable std::mutex mutex_;
  std::shared_ptr<const Content> content_;  // guarded by mutex_
  std::atomic<uint64_t> version_{0};        // 0: nothing was read yet
};

}  // namespace genkan
