#include "proxy/module/loader.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace genkan {
namespace {

constexpr std::string_view kTagBegin = "genkan-module-abi: ";
constexpr size_t kMaxTag = 256;

Result<std::string> ReadFile(const std::string& path) {
  constexpr off_t kMaxBytes = 256 * 1024 * 1024;
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
    return Fail(code, "{}: {}", path, std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) return Fail(ErrorCode::kInvalid, "{}: no regular file", path);
  if (status.st_size > kMaxBytes) return Fail(ErrorCode::kTooLarge, "{}: over 256 MiB", path);
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                       &std::fclose);
  if (file == nullptr) return Fail(ErrorCode::kPermission, "{}: {}", path, std::strerror(errno));
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
  return bytes;
}

// The text that GENKAN_MODULE put into the file.
std::string_view FindTag(std::string_view bytes) {
  // Split, so that a program or module with this very code in it has no second such text.
  size_t at = bytes.find(std::string(kTagBegin) + "sdk-");
  if (at == std::string_view::npos) return {};
  std::string_view tag = bytes.substr(at, kMaxTag);
  return tag.substr(0, tag.find('\0'));
}

Status CheckTag(const std::string& path, std::string_view tag) {
  if (tag == SdkAbiTag()) return {};
  return Fail(ErrorCode::kUnsupported,
              "{}: built for another genkan; build it again with this one's headers and compiler "
              "(the module has "
              "\"{}\", this genkan has \"{}\")",
              path, EscapeControl(tag), SdkAbiTag());
}

}  // namespace

Result<const ModuleEntry*> LoadModule(const std::string& path) {
  auto bytes = ReadFile(path);
  if (!bytes) return PassOn(bytes);
  if (!bytes->starts_with("\x7f"
                          "ELF"))
    return Fail(ErrorCode::kInvalid, "{}: no shared object", path);
  std::string_view tag = FindTag(*bytes);
  if (tag.empty()) return Fail(ErrorCode::kInvalid, "{}: no genkan module", path);
  if (auto status = CheckTag(path, tag); !status) return PassOn(status);

  // Without a slash the system would look for the name in its library folders.
  std::string name = path.find('/') == std::string::npos ? "./" + path : path;
  void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return Fail(ErrorCode::kInvalid, "{}", dlerror());
  const auto* exported_tag = static_cast<const char*>(dlsym(handle, "genkan_module_abi"));
  const auto* entry = static_cast<const ModuleEntry*>(dlsym(handle, "genkan_module_entry"));
  if (exported_tag == nullptr || entry == nullptr)
    return Fail(ErrorCode::kInvalid, "{}: no genkan module: GENKAN_MODULE is missing", path);
  if (auto status = CheckTag(path, std::string_view(exported_tag, strnlen(exported_tag, kMaxTag)));
      !status)
    return PassOn(status);
  return entry;
}

}  // namespace genkan
