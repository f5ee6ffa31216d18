#include "proxy/control/path_list.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace genkan::control {
namespace {

constexpr size_t kMostBytes = UINT16_MAX;  // no path that the kernel takes is longer

void AppendSize(std::string& packed, size_t size) {
  packed += static_cast<char>(size & 0xff);
  packed += static_cast<char>(size >> 8);
}

size_t TakeSize(std::string_view& packed) {
  const size_t size = static_cast<uint8_t>(packed[0]) | static_cast<uint8_t>(packed[1]) << 8;
  packed.remove_prefix(2);
  return size;
}

}  // namespace

PathList::PathList(const std::vector<std::string>& paths) {
  std::string_view before;
  for (const std::string& whole : paths) {
    const std::string_view path = std::string_view(whole).substr(0, kMostBytes);
    const size_t most = std::min(before.size(), path.size());
    size_t same = 0;
    while (same < most && before[same] == path[same]) ++same;
    AppendSize(packed_, same);
    AppendSize(packed_, path.size() - same);
    packed_ += path.substr(same);
    before = path;
  }
  packed_.shrink_to_fit();
}

std::vector<std::string> PathList::All() const {
  std::vector<std::string> paths;
  std::string_view rest = packed_;
  while (!rest.empty()) {
    const size_t same = TakeSize(rest), own = TakeSize(rest);
    std::string path = paths.empty() ? std::string() : paths.back().substr(0, same);
    path += rest.substr(0, own);
    rest.remove_prefix(own);
    paths.push_back(std::move(path));
  }
  return paths;
}

}  // namespace genkan::control
