#include "tests/support/temp_dir.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

#include "proxy/base/check.h"

namespace genkan::testing {
namespace fs = std::filesystem;

TempDir::TempDir() {
  std::string name = (fs::temp_directory_path() / "genkan-test-XXXXXX").string();
  GENKAN_CHECK(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void WriteFile(const fs::path& path, std::string_view content) {
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  GENKAN_CHECK(!out.fail());
}

void ReplaceFile(const fs::path& path, std::string_view content) {
  const fs::path fresh = path.string() + ".new";
  WriteFile(fresh, content);
  fs::rename(fresh, path);
}

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  GENKAN_CHECK(!in.fail());
  return content.str();
}

}  // namespace genkan::testing
