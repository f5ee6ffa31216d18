#include "proxy/control/barred_leaves.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace genkan::control {
namespace {

constexpr size_t kHashBytes = 32, kTimeBytes = 8, kRecordBytes = kHashBytes + kTimeBytes;
// Beyond this the clock cannot count: whoever bars for longer bars for ever.
constexpr uint64_t kLatest = 9'000'000'000;

}  // namespace

std::string PackBarred(const BarredLeaves& leaves) {
  std::string bytes;
  bytes.reserve(leaves.size() * kRecordBytes);
  for (const auto& [sha256, until] : leaves) {
    const auto seconds = std::chrono::ceil<Seconds>(until.time_since_epoch()).count();
    const uint64_t time = std::min(static_cast<uint64_t>(std::max<int64_t>(seconds, 0)), kLatest);
    bytes += sha256;
    for (size_t i = 0; i < kTimeBytes; ++i)
      bytes += static_cast<char>(time >> (8 * (kTimeBytes - 1 - i)) & 0xff);
  }
  return bytes;
}

Result<BarredLeaves> ParseBarred(std::string_view bytes) {
  if (bytes.size() % kRecordBytes != 0 || bytes.size() / kRecordBytes > kMaxBarred)
    return Fail(ErrorCode::kInvalid, "{} bytes are no list of barred leaves", bytes.size());
  BarredLeaves leaves;
  for (; !bytes.empty(); bytes.remove_prefix(kRecordBytes)) {
    uint64_t time = 0;
    for (char c : bytes.substr(kHashBytes, kTimeBytes))
      time = time << 8 | static_cast<unsigned char>(c);
    if (time > kLatest) return Fail(ErrorCode::kInvalid, "a leaf is barred until no time");
    leaves[std::string(bytes.substr(0, kHashBytes))] =
        WallTime(Seconds(static_cast<int64_t>(time)));
  }
  return leaves;
}

Result<net::Fd> WriteBarred(const BarredLeaves& leaves) {
  net::Fd memory(memfd_create("genkan-barred", MFD_CLOEXEC));
  const std::string bytes = PackBarred(leaves);
  if (!memory.is_open() ||
      write(memory.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return Fail(ErrorCode::kIo, "barred leaves: {}", std::strerror(errno));
  return memory;
}

Result<BarredLeaves> ReadBarred(const net::Fd& memory) {
  struct stat info {};
  if (fstat(memory.get(), &info) != 0)
    return Fail(ErrorCode::kIo, "barred leaves: {}", std::strerror(errno));
  if (info.st_size < 0 || static_cast<uint64_t>(info.st_size) > kMaxBarred * kRecordBytes)
    return Fail(ErrorCode::kTooLarge, "barred leaves: {} bytes", info.st_size);
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  if (pread(memory.get(), bytes.data(), bytes.size(), 0) != info.st_size)
    return Fail(ErrorCode::kIo, "barred leaves: {}", std::strerror(errno));
  return ParseBarred(bytes);
}

}  // namespace genkan::control
