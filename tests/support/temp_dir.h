// A folder of its own for a test, gone with it, and small file helpers. Test code: failures abort.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace genkan::testing {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // "<the folder>/<relative>".
  std::string operator/(std::string_view relative) const { return (path_ / relative).string(); }

 private:
  std::filesystem::path path_;
};

// Writes the whole file; makes the folders on the way.
void WriteFile(const std::filesystem::path& path, std::string_view content);
// The same by a new file and rename(2), as certbot and good scripts do.
void ReplaceFile(const std::filesystem::path& path, std::string_view content);
std::string ReadFile(const std::filesystem::path& path);

}  // namespace genkan::testing
