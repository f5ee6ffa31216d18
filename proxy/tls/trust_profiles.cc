#include "proxy/tls/trust_profiles.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <tuple>

#include "proxy/base/text.h"

namespace genkan::tls {
namespace {

constexpr size_t kMaxProfiles = 64;
constexpr size_t kMaxBytes = 8 << 20;
constexpr std::string_view kExtension = ".profile";

// The keys of one file; its PEM blocks are read apart.
struct Settings {
  TrustProfileOptions options;
  std::set<std::string> without;  // SHA-256, hex
};

bool IsSha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

// One "key = value"; false where the value is none of the key's.
Result<bool> Set(Settings& settings, std::string_view key, const std::string& value) {
  TrustProfileOptions& options = settings.options;
  if (key == "client") {
    options.client = value;
    return !value.empty();
  }
  if (key == "path") {
    options.follows_sent_chain = value == "as_sent";
    return value == "as_sent" || value == "store_first";
  }
  if (key == "root_dates") {
    options.ignores_root_dates = value == "ignored";
    return value == "ignored" || value == "checked";
  }
  if (key == "required") {
    options.is_required = value == "true";
    return value == "true" || value == "false";
  }
  if (key == "security_level") {
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), options.security_level);
    return error == std::errc() && end == value.data() + value.size() &&
           options.security_level >= 0 && options.security_level <= 5;
  }
  if (key == "without") {
    settings.without.insert(ToLower(value));
    return IsSha256(ToLower(value));
  }
  return Fail(ErrorCode::kInvalid,
              "unknown key \"{}\"; there are client, path, root_dates, security_level, without, "
              "required",
              key);
}

// The lines before the first PEM block that are no comments.
Status ReadSettings(std::string_view name, std::string_view text, Settings& settings) {
  int number = 0;
  std::set<std::string, std::less<>> seen;
  while (!text.empty() && !text.starts_with("-----BEGIN")) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    line = Trim(line.substr(0, line.find('#')));
    while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const size_t equals = line.find('=');
    if (equals == line.npos) continue;  // a heading of a block
    const std::string key(Trim(line.substr(0, equals)));
    const std::string value(Trim(line.substr(equals + 1)));
    if (key != "without" && !seen.insert(key).second)
      return Fail(ErrorCode::kInvalid, "{}: line {}: {} a second time", name, number, key);
    const Result<bool> is_good = Set(settings, key, value);
    if (!is_good) return PassOn(is_good, "{}: line {}", name, number);
    if (!*is_good)
      return Fail(ErrorCode::kInvalid, "{}: line {}: {} cannot be \"{}\"", name, number, key,
                  value);
  }
  return {};
}

Result<std::string> ReadWhole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Fail(ErrorCode::kIo, "{}: cannot be read", path.string());
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxBytes)
    return Fail(ErrorCode::kTooLarge, "{}: more than {} bytes", path.string(), kMaxBytes);
  return text;
}

Result<TrustProfileTexts> ReadDirectory(const std::string& path) {
  TrustProfileTexts texts;
  std::error_code error;
  std::filesystem::directory_iterator at(path, error);
  if (error) return Fail(ErrorCode::kNotFound, "trust_profiles {}: {}", path, error.message());
  for (; at != std::filesystem::directory_iterator(); at.increment(error)) {
    if (error) return Fail(ErrorCode::kIo, "trust_profiles {}: {}", path, error.message());
    if (at->path().extension() != kExtension) continue;
    auto text = ReadWhole(at->path());
    if (!text) return PassOn(text, "trust_profiles");
    texts.emplace_back(at->path().stem().string(), *std::move(text));
    if (texts.size() > kMaxProfiles)
      return Fail(ErrorCode::kTooLarge, "trust_profiles {}: more than {} files", path,
                  kMaxProfiles);
  }
  if (texts.empty())
    return Fail(ErrorCode::kNotFound, "trust_profiles {}: no *{} in it", path, kExtension);
  return texts;
}

}  // namespace

Result<TrustProfileOptions> ParseTrustProfile(std::string_view name, std::string_view text,
                                              const std::vector<CertificatePtr>& trust_store) {
  Settings settings;
  settings.options.name = name;
  if (Status read = ReadSettings(name, text, settings); !read) return PassOn(read);
  auto own = ReadRoots(text);
  if (!own) return PassOn(own, "{}", name);
  if (own->broken > 0)
    return Fail(ErrorCode::kInvalid, "{}: {} PEM blocks cannot be read", name, own->broken);
  std::set<std::string> held;
  for (const CertificatePtr& root : trust_store) {
    if (settings.without.contains(root->sha256_hex())) continue;
    if (held.insert(root->sha256()).second) settings.options.roots.push_back(root);
  }
  for (CertificatePtr& root : own->roots) {
    if (held.insert(root->sha256()).second) settings.options.roots.push_back(std::move(root));
  }
  return std::move(settings.options);
}

Result<TrustProfileTexts> ReadTrustProfiles(const std::string& source) {
  if (source != "builtin") return ReadDirectory(source);
  TrustProfileTexts texts;
  for (const TrustProfileText& one : BuiltinTrustProfiles()) texts.emplace_back(one.name, one.text);
  return texts;
}

Result<std::vector<TrustProfilePtr>> LoadTrustProfiles(
    const std::string& source, const std::vector<CertificatePtr>& trust_store) {
  auto texts = ReadTrustProfiles(source);
  if (!texts) return PassOn(texts);
  return ParseTrustProfiles(source, *texts, trust_store);
}

Result<std::vector<TrustProfilePtr>> ParseTrustProfiles(
    const std::string& source, const TrustProfileTexts& texts,
    const std::vector<CertificatePtr>& trust_store) {
  std::vector<TrustProfilePtr> profiles;
  for (const auto& [name, text] : texts) {
    auto options = ParseTrustProfile(name, text, trust_store);
    if (!options) return PassOn(options, "trust_profiles {}", source);
    if (trust_store.empty()) continue;
    auto profile = TrustProfile::Make(*std::move(options));
    if (!profile) return PassOn(profile, "trust_profiles {}", source);
    profiles.push_back(*std::move(profile));
  }
  const auto rank = [](const TrustProfilePtr& profile) {
    return std::tuple(!profile->is_required(), std::string_view(profile->name()));
  };
  std::sort(profiles.begin(), profiles.end(),
            [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return profiles;
}

std::vector<ChainProof> ProveChain(const std::vector<TrustProfilePtr>& profiles,
                                   const std::vector<CertificatePtr>& chain,
                                   const std::vector<CertificatePtr>& long_chain, WallTime now) {
  std::vector<ChainProof> proofs;
  if (profiles.empty() || chain.empty()) return proofs;
  const X509Ptr leaf = chain.front()->Borrow();
  for (const TrustProfilePtr& profile : profiles) {
    ChainProof proof{profile, {}, false};
    if (auto verdict = profile->Judge(chain, now, leaf.get())) {
      proof.verdict = *std::move(verdict);
    } else {
      proof.verdict.reason = verdict.error().detail;
    }
    if (!proof.verdict.is_accepted && !long_chain.empty()) {
      if (auto verdict = profile->Judge(long_chain, now, leaf.get());
          verdict && verdict->is_accepted) {
        proof.verdict = *std::move(verdict);
        proof.is_by_long = true;
      }
    }
    proofs.push_back(std::move(proof));
  }
  return proofs;
}

std::vector<CertificatePtr> AnchorsOf(const std::vector<CertificatePtr>& trust_store,
                                      const std::vector<TrustProfilePtr>& profiles) {
  std::vector<CertificatePtr> anchors;
  std::set<std::string_view> seen;
  const auto add = [&](const std::vector<CertificatePtr>& roots) {
    for (const CertificatePtr& root : roots) {
      if (seen.insert(root->sha256()).second) anchors.push_back(root);
    }
  };
  add(trust_store);
  for (const TrustProfilePtr& profile : profiles) add(profile->roots());
  return anchors;
}

}  // namespace genkan::tls
