#include "proxy/control/last_good.h"

#include "proxy/base/log.h"
#include "proxy/base/text.h"

namespace genkan::control {
namespace {

constexpr std::string_view kFolder = "last_good";
constexpr int kAtOnce = 8;
constexpr Millis kSoon{1};

// FNV-1a: only has to tell the entries of one configuration apart.
uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char c : text) hash = (hash ^ c) * 0x100000001b3;
  return hash;
}

// A site's name as a folder's: nothing hidden, nothing that a shell takes for a pattern.
std::string FolderOf(std::string_view site) {
  std::string folder;
  for (char c : site) folder += IsAlpha(c) || IsDigit(c) || c == '-' || c == '.' ? c : '_';
  if (folder.empty() || folder.front() == '.') folder.insert(0, 1, '_');
  return folder;
}

// What is read is one text, whatever its name: no other file of the folder may complete it.
class OneText final : public FileAccess {
 public:
  explicit OneText(std::string text) : text_(std::move(text)) {}
  Result<std::string> Read(const std::string&, size_t) override { return text_; }
  Result<std::vector<std::string>> List(const std::string& directory) override {
    return Fail(ErrorCode::kNotFound, "{}: not a directory", directory);
  }
  std::vector<std::string> Glob(const std::string&) override { return {}; }

 private:
  std::string text_;
};

}  // namespace

LastGood::LastGood(event::EventLoop& loop, StateDir& state)
    : state_(state), soon_(loop, [this] { SaveSome(); }) {}

std::string LastGood::NameOf(const std::string& site, const config::CertificateSource& source,
                             const std::string& certificate) {
  return fmt::format("{}/{:016x}.pem", FolderOf(site),
                     Hash(fmt::format("{}\n{}\n{}\n{}\n{}", site, source.path, source.certificate,
                                      source.key, certificate)));
}

void LastGood::Save(std::string name, tls::BundlePtr bundle) {
  waiting_.emplace_back(std::move(name), std::move(bundle));
  if (!soon_.is_running()) soon_.Start(kSoon);
}

void LastGood::SaveSome() {
  for (int i = 0; i < kAtOnce && !waiting_.empty(); ++i) {
    auto [name, bundle] = std::move(waiting_.front());
    waiting_.pop_front();
    std::string text = tls::ToPem(*bundle);
    if (!text.empty() && state_.Load(kFolder, name) != text) state_.Save(kFolder, name, text);
  }
  if (!waiting_.empty()) soon_.Start(kSoon);
}

bool LastGood::Holds(const std::string& name, const tls::CertificateBundle& bundle) {
  const std::string text = state_.Load(kFolder, name);
  return !text.empty() && text == tls::ToPem(bundle);
}

std::optional<FoundCertificate> LastGood::Load(const std::string& name,
                                               const CertificateContext& context) {
  std::string text = state_.Load(kFolder, name);
  if (text.empty()) return std::nullopt;
  OneText file(std::move(text));
  config::CertificateSource source;
  source.path = name;
  SourceReading reading = ReadSource(source, file, context);
  FoundCertificate& found = reading.certificates.front();
  if (!found.bundle || found.bundle->leaf().not_after() <= context.now) return std::nullopt;
  return std::move(found);
}

void MoveFlatLastGood(PrivateFolder& last_good) {
  constexpr std::string_view kPrefix = "s_", kSuffix = ".pem";
  constexpr size_t kHash = 16;  // digits, behind a hyphen
  size_t moved = 0;
  for (const std::string& name : last_good.Files()) {
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    if (name.size() < kPrefix.size() + 1 + kHash + kSuffix.size()) continue;
    const size_t hyphen = name.size() - kSuffix.size() - kHash - 1;
    if (name[hyphen] != '-') continue;
    const std::string folder = FolderOf(name.substr(kPrefix.size(), hyphen - kPrefix.size()));
    auto renamed = last_good.Rename(name, folder + "/" + name.substr(hyphen + 1));
    if (renamed) {
      ++moved;
    } else {
      LOG_WARN("last_good_move_failed", "error=\"{}\"", renamed.error().detail);
    }
  }
  if (moved > 0)
    LOG_INFO("last_good_moved", "files={} each site has a folder of its own now", moved);
}

}  // namespace genkan::control
