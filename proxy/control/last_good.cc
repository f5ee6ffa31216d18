#include "proxy/control/last_good.h"

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
  std::string name = "s_";
  for (char c : site) name += IsAlpha(c) || IsDigit(c) || c == '-' || c == '.' ? c : '_';
  return fmt::format("{}-{:016x}.pem", name,
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

}  // namespace genkan::control
