#include "proxy/module/watched_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proxy/module/file_reader.h"

namespace genkan {
namespace {

struct OpenFile {
  int fd;
  ~OpenFile() {
    if (fd >= 0) close(fd);
  }
};

ErrorCode CodeOf(int error) {
  if (error == ENOENT || error == ENOTDIR) return ErrorCode::kNotFound;
  return error == EACCES || error == EPERM ? ErrorCode::kPermission : ErrorCode::kIo;
}

FileReader& OtherReader() {
  static FileReader reader;
  return reader;
}

// Only after the file system's no: what this process may read it reads itself.
Result<std::string> ReadByOther(const std::string& path, size_t most_bytes) {
  if (!OtherReader()) return Fail(ErrorCode::kPermission, "{}: {}", path, std::strerror(EACCES));
  return OtherReader()(path, most_bytes);
}

}  // namespace

void SetFileReader(FileReader reader) { OtherReader() = std::move(reader); }

Result<std::string> ReadWholeFile(const std::string& path, size_t most_bytes) {
  // Non-blocking: a FIFO of that name would hold us up.
  OpenFile file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status {};
  if (file.fd < 0 && errno == EACCES) return ReadByOther(path, most_bytes);
  if (file.fd < 0 || fstat(file.fd, &status) != 0)
    return Fail(CodeOf(errno), "{}: {}", path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return Fail(ErrorCode::kInvalid, "{}: no regular file", path);
  std::string text;
  size_t expected = std::min(static_cast<size_t>(status.st_size), most_bytes);
  for (;;) {
    // One byte more than there should be, to see the end.
    size_t have = text.size();
    text.resize(std::max(expected + 1, have + 64 * 1024));
    ssize_t got = read(file.fd, text.data() + have, text.size() - have);
    if (got < 0 && errno != EINTR)
      return Fail(ErrorCode::kIo, "{}: {}", path, std::strerror(errno));
    text.resize(have + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (text.size() > most_bytes)
      return Fail(ErrorCode::kTooLarge, "{}: over {} bytes", path, most_bytes);
    if (got == 0) return text;
  }
}

}  // namespace genkan
