// Certificate files, lineages, certbot's directory and its logs.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "proxy/base/text.h"
#include "proxy/control/diagnosis/acme_traces.h"
#include "proxy/control/diagnosis/doctor.h"
#include "proxy/net/fd.h"
#include "proxy/tls/certificate_pool.h"
#include "proxy/tls/chain_builder.h"

namespace genkan::control {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxLineages = 1000;
constexpr size_t kMaxConfBytes = 64 * 1024;
constexpr size_t kMaxLogs = 200;
// Of each log; a request stands in the first lines of a run, and a run is rarely larger.
constexpr size_t kMaxLogBytes = 16 << 20;

std::string BaseName(const std::string& path) { return fs::path(path).filename().string(); }

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

bool IsLogName(std::string_view name) { return name.starts_with("letsencrypt.log"); }

std::vector<std::string> SortedEntries(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error))
    paths.push_back(at->path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

class Paths {
 public:
  Paths(const Diagnostician& diagnostician, FileAccess& files, const DoctorOptions& options)
      : diagnostician_(diagnostician),
        files_(files),
        options_(options),
        now_(SystemClock().Wall()),
        deadline_(SystemClock().Now() + options.files_budget) {
    context_.roots = diagnostician.roots();
    context_.now = now_;
  }

  std::vector<Examination> Examine(const std::string& asked) {
    const std::string path = WithoutSlash(asked);
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) {
      Cannot(asked,
             fmt::format("{}: {}", path, error ? error.message() : "no such file or directory"));
    } else if (!fs::is_directory(status)) {
      File(path);
    } else if (fs::is_directory(path + "/live", error) ||
               fs::is_directory(path + "/renewal", error)) {
      CertbotDirectory(path);
    } else if (HasLogs(path)) {
      Logs(path);
    } else {
      Directory(path);
    }
    return std::move(all_);
  }

 private:
  Examination& New(const std::string& target, TargetKind kind) {
    Examination one;
    one.target = target;
    one.kind = kind;
    one.is_seen = true;
    all_.push_back(std::move(one));
    return all_.back();
  }

  void Cannot(const std::string& target, const std::string& why) {
    Examination& one = New(target, TargetKind::kFiles);
    one.is_seen = false;
    one.findings.push_back(MakeFinding(FindingCode::kCertificateUnreadable, "", why));
  }

  Finding& Add(Examination& one, FindingCode code, const std::string& file, std::string detail) {
    one.findings.push_back(MakeFinding(code, "", std::move(detail)));
    one.findings.back().file = file;
    return one.findings.back();
  }

  static void Sort(Examination& one) {
    std::stable_sort(one.findings.begin(), one.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
  }

  // Certificates as a server would send the file they are in.
  void Diagnose(Examination& one, std::vector<tls::CertificatePtr> sent, const std::string& file) {
    Served served;
    served.sent = sent;
    Diagnosis diagnosis = diagnostician_.Diagnose(served, now_);
    SeenChain chain;
    const tls::Certificate& leaf = *sent.front();
    // Which of ours were hit: the question of the night before a mass revocation.
    const tls::CertificatePtr issuer = IssuerIn(diagnosis, diagnostician_.roots());
    if (options_.asks_revocation && issuer && IsVerified(diagnosis)) {
      RevocationAnswer answer = AskRevocation(
          leaf, *issuer, now_, std::min(deadline_, SystemClock().Now() + options_.budget));
      served.revocation = answer.facts;
      chain.revocation = answer.text;
      diagnosis = diagnostician_.Diagnose(served, now_);
    }
    chain.key = leaf.is_rsa() ? "rsa" : leaf.is_ecdsa() ? "ecdsa" : "other";
    chain.sent_count = sent.size();
    chain.sent = std::move(sent);
    chain.verdicts = std::move(diagnosis.verdicts);
    chain.right = std::move(diagnosis.chain);
    for (Finding& finding : diagnosis.findings) {
      finding.file = file;
      one.findings.push_back(std::move(finding));
    }
    one.chains.push_back(std::move(chain));
  }

  void File(const std::string& path) {
    if (IsLogName(BaseName(path))) return Logs(path);
    auto bytes = files_.Read(path, tls::kMaxPoolBytes);
    if (!bytes) return Cannot(path, bytes.error().detail);
    if (path.ends_with(".conf")) return RenewalFile(path, *bytes);
    const tls::CertificatePool pool = tls::ReadPool(*bytes, path);
    if (pool.certificates.empty()) {
      return Cannot(
          path, pool.problems.empty() ? path + ": no certificate in it" : pool.problems.front());
    }
    Examination& one = New(path, TargetKind::kFiles);
    one.files = {path};
    for (const std::string& problem : pool.problems)
      Add(one, FindingCode::kFileDamaged, path, problem);
    CheckKey(one, path, pool);
    Diagnose(one, LeafFirst(one, path, pool.certificates), path);
    Sort(one);
  }

  // A server takes the first certificate for its own.
  std::vector<tls::CertificatePtr> LeafFirst(Examination& one, const std::string& path,
                                             std::vector<tls::CertificatePtr> certificates) {
    const auto leaf = std::find_if(certificates.begin(), certificates.end(),
                                   [](const tls::CertificatePtr& each) { return !each->is_ca(); });
    if (leaf == certificates.end() || leaf == certificates.begin()) return certificates;
    Finding& finding = Add(one, FindingCode::kChainOrder, path, "");
    finding.severity = Severity::kBroken;
    finding.facts.subject = Printable(certificates.front()->subject());
    std::rotate(certificates.begin(), leaf, leaf + 1);
    return certificates;
  }

  // A key in the file itself, or the one that lies beside it under the same name.
  void CheckKey(Examination& one, const std::string& path, const tls::CertificatePool& pool) {
    std::vector<tls::PrivateKeyPtr> keys = pool.keys;
    std::string key_path = path;
    if (keys.empty()) {
      const fs::path file(path);
      for (const fs::path& candidate :
           {fs::path(file).replace_extension(".key"), file.parent_path() / "privkey.pem"}) {
        auto bytes = files_.Read(candidate.string(), tls::kMaxPoolBytes);
        if (!bytes) continue;
        keys = tls::ReadPool(*bytes, candidate.string()).keys;
        key_path = candidate.string();
        if (!keys.empty()) break;
      }
    }
    if (keys.empty()) return;
    one.files.push_back(key_path);
    const bool has_match = std::any_of(keys.begin(), keys.end(), [&](const auto& key) {
      return tls::FindLeaf(pool, *key, now_) != nullptr;
    });
    if (has_match) return;
    Finding& finding = Add(one, FindingCode::kKeyMismatch, path, "the key in " + key_path);
    finding.facts.subject = Printable(pool.certificates.front()->subject());
  }

  // A lineage, or any directory with certificates: read as genkan reads it, and what stands in
  // fullchain.pem also as nginx would send it.
  void Directory(const std::string& path) {
    config::CertificateSource source;
    source.path = path;
    const SourceReading reading = ReadSource(source, files_, context_);
    Examination& one = New(path, TargetKind::kFiles);
    for (const FoundCertificate& found : reading.certificates) FromReading(one, path, found);
    const bool has_mismatch = std::any_of(
        one.findings.begin(), one.findings.end(),
        [](const Finding& finding) { return finding.code == FindingCode::kKeyMismatch; });
    if (one.chains.empty() && !has_mismatch) {
      Examination nothing = std::move(one);
      all_.pop_back();
      if (WithoutKeys(path)) return;
      nothing.is_seen = false;
      if (nothing.findings.empty())
        Add(nothing, FindingCode::kCertificateUnreadable, path, "no certificate in it");
      all_.push_back(std::move(nothing));
      return;
    }
    Sort(one);
  }

  // Certificates that somebody sent, without their keys: fullchain.pem, otherwise each file with a
  // server's certificate by itself.
  bool WithoutKeys(const std::string& path) {
    constexpr size_t kMaxFiles = 64;
    auto list = files_.List(path);
    if (!list) return false;
    const auto full = std::find(list->begin(), list->end(), path + "/fullchain.pem");
    if (full != list->end()) *list = std::vector<std::string>{*full};
    if (list->size() > kMaxFiles) list->resize(kMaxFiles);
    const size_t before = all_.size();
    for (const std::string& file : *list) {
      auto bytes = files_.Read(file, tls::kMaxPoolBytes);
      if (!bytes) continue;
      const auto pool = tls::ReadPool(*bytes, file);
      const bool has_leaf =
          std::any_of(pool.certificates.begin(), pool.certificates.end(),
                      [](const tls::CertificatePtr& each) { return !each->is_ca(); });
      if (has_leaf) File(file);
    }
    return all_.size() > before;
  }

  void FromReading(Examination& one, const std::string& path, const FoundCertificate& found) {
    one.files.insert(one.files.end(), found.files.begin(), found.files.end());
    const bool is_mismatch = found.error.find("does not match") != std::string::npos;
    // Nobody sends keys along; a key file that is there and holds none is another matter.
    const bool has_no_key = !found.bundle && found.error.starts_with(path + ": no private key");
    if (is_mismatch) {
      Add(one, FindingCode::kKeyMismatch, path, found.error);
    } else if (has_no_key) {
      one.notes.push_back(found.error);
    } else if (!found.error.empty()) {
      Add(one, found.bundle ? FindingCode::kFileDamaged : FindingCode::kCertificateUnreadable, path,
          found.error);
    }
    const std::string fullchain = path + "/fullchain.pem";
    auto bytes = files_.Read(fullchain, tls::kMaxPoolBytes);
    if (bytes) {
      const tls::CertificatePool pool = tls::ReadPool(*bytes, fullchain);
      if (!pool.certificates.empty()) {
        auto sent = LeafFirst(one, fullchain, pool.certificates);
        const bool is_ours =
            !found.bundle || found.bundle->key().public_key() == sent.front()->public_key();
        if (!is_ours && !is_mismatch) {
          Finding& finding = Add(one, FindingCode::kKeyMismatch, fullchain,
                                 "the key is that of another file of the directory");
          finding.facts.subject = Printable(sent.front()->subject());
        }
        return Diagnose(one, std::move(sent), fullchain);
      }
    }
    if (found.bundle) Diagnose(one, found.bundle->chain(), path);
  }

  void CertbotDirectory(const std::string& path) {
    size_t count = 0;
    for (const std::string& lineage : SortedEntries(path + "/live")) {
      std::error_code error;
      if (!fs::is_directory(lineage, error)) continue;  // its README
      if (++count > kMaxLineages) {
        all_.back().notes.push_back("more lineages than are looked at");
        break;
      }
      Directory(lineage);
    }
    Examination& acme = New(path, TargetKind::kAcme);
    const size_t at = all_.size() - 1;
    size_t confs = 0;
    for (const std::string& file : SortedEntries(path + "/renewal")) {
      if (!file.ends_with(".conf") || ++confs > kMaxLineages) continue;
      auto bytes = files_.Read(file, kMaxConfBytes);
      if (bytes) {
        JudgeRenewal(all_[at], file, *bytes);
      } else {
        acme.notes.push_back(bytes.error().detail);
      }
    }
    // …/etc/letsencrypt keeps its logs in …/var/log/letsencrypt.
    constexpr std::string_view kPlace = "/etc/letsencrypt";
    std::error_code error;
    const std::string whole = fs::absolute(path, error).lexically_normal().string();
    if (!whole.ends_with(kPlace)) return;
    const std::string logs = whole.substr(0, whole.size() - kPlace.size()) + "/var/log/letsencrypt";
    if (HasLogs(logs)) JudgeLogs(all_[at], logs);
  }

  void RenewalFile(const std::string& path, const std::string& text) {
    if (!ParseRenewalConf(text).is_renewal)
      return Cannot(path, path + ": neither a certificate nor a renewal file of certbot");
    JudgeRenewal(New(path, TargetKind::kAcme), path, text);
  }

  void JudgeRenewal(Examination& one, const std::string& file, const std::string& text) {
    const RenewalConf conf = ParseRenewalConf(text);
    if (!conf.is_renewal) return;
    one.files.push_back(file);
    // Without a server a certbot of that age asks version 1.
    const bool is_default = conf.server.empty() && IsCertbotOfV1(conf.version);
    if (!IsAcmeV1(conf.server) && !is_default) return;
    Finding& finding = Add(one, FindingCode::kAcmeV1Client, file,
                           is_default ? fmt::format("{} (certbot {})", file, conf.version) : file);
    finding.facts.url =
        is_default ? "https://acme-v01.api.letsencrypt.org/directory" : Printable(conf.server);
  }

  static bool HasLogs(const std::string& directory) {
    std::error_code error;
    for (fs::directory_iterator at(directory, error), end; !error && at != end;
         at.increment(error)) {
      if (IsLogName(at->path().filename().string())) return true;
    }
    return false;
  }

  void Logs(const std::string& path) { JudgeLogs(New(path, TargetKind::kAcme), path); }

  // What the newest log with a request says is how it is today; older ones may tell of a client
  // that was replaced since.
  void JudgeLogs(Examination& one, const std::string& path) {
    for (const std::string& log : NewestFirst(path)) {
      const std::string server = LastServerOf(one, log);
      if (server.empty()) continue;
      one.files.push_back(log);
      if (IsAcmeV1(server))
        Add(one, FindingCode::kAcmeV1Client, log, log).facts.url = Printable(server);
      return;
    }
  }

  static std::vector<std::string> NewestFirst(const std::string& path) {
    std::error_code error;
    if (!fs::is_directory(path, error)) return {path};
    std::vector<std::pair<fs::file_time_type, std::string>> logs;
    for (const std::string& file : SortedEntries(path)) {
      if (!IsLogName(BaseName(file)) || !fs::is_regular_file(file, error)) continue;
      logs.emplace_back(fs::last_write_time(file, error), file);
    }
    std::stable_sort(logs.begin(), logs.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<std::string> paths;
    for (const auto& [time, file] : logs)
      if (paths.size() < kMaxLogs) paths.push_back(file);
    return paths;
  }

  // A large log is read from where its end is still in reach.
  static std::string LastServerOf(Examination& one, const std::string& log) {
    net::Fd fd(open(log.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    struct stat info {};
    if (!fd.is_open() || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
      one.notes.push_back(fmt::format("{}: cannot be read", log));
      return {};
    }
    if (static_cast<size_t>(info.st_size) > kMaxLogBytes)
      lseek(fd.get(), info.st_size - static_cast<off_t>(kMaxLogBytes), SEEK_SET);
    AcmeLogScanner scanner;
    char block[64 * 1024];
    size_t total = 0;
    ssize_t got = 0;
    while (total <= kMaxLogBytes && (got = read(fd.get(), block, sizeof block)) > 0) {
      scanner.Feed({block, static_cast<size_t>(got)});
      total += static_cast<size_t>(got);
    }
    scanner.End();
    return scanner.last_server();
  }

  const Diagnostician& diagnostician_;
  FileAccess& files_;
  const DoctorOptions& options_;
  const WallTime now_;
  const MonotonicTime deadline_;
  CertificateContext context_;
  std::vector<Examination> all_;
};

}  // namespace

std::vector<Examination> Doctor::ExaminePath(const std::string& path) const {
  return Paths(diagnostician_, files_, options_).Examine(path);
}

}  // namespace genkan::control
