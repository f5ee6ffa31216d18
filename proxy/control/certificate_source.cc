#include "proxy/control/certificate_source.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <tuple>

#include "proxy/base/text.h"
#include "proxy/control/certificate_names.h"
#include "proxy/net/fd.h"
#include "proxy/tls/certificate_pool.h"

namespace genkan::control {
namespace {

constexpr size_t kMaxFiles = 64;
constexpr size_t kMaxMatches = 10'000;

std::string BaseName(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::string DirectoryOf(std::string_view path) {
  size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

std::string Stem(std::string_view path) {
  std::string name = BaseName(path);
  size_t dot = name.find('.', 1);
  return dot == std::string::npos ? name : name.substr(0, dot);
}

// The first part of the path that is closed to us, with whose it is: what an operator has to
// change.
std::string WhyClosed(const std::string& path) {
  std::string closed = path;
  struct stat info {};
  while (stat(closed.c_str(), &info) != 0) {
    if (errno != EACCES || closed == "/" || closed == ".") return "permission denied";
    closed = DirectoryOf(closed);
  }
  return fmt::format(
      "permission denied: {} is of uid {}, gid {}, mode {:04o}, and genkan runs as uid {}, gid {}. "
      "Either run what renews the certificate as uid {}, or let its deploy hook give the files to "
      "a "
      "group of genkan (chgrp -R {} … && chmod -R g+rX …)",
      closed, info.st_uid, info.st_gid, info.st_mode & 07777, geteuid(), getegid(), geteuid(),
      getegid());
}

std::string WhyNot(const std::string& path, int error) {
  return error == EACCES || error == EPERM ? WhyClosed(path) : std::string(std::strerror(error));
}

tl::unexpected<Error> FailWith(const std::string& path, int error) {
  ErrorCode code = error == ENOENT || error == ENOTDIR ? ErrorCode::kNotFound
                   : error == EACCES || error == EPERM ? ErrorCode::kPermission
                                                       : ErrorCode::kIo;
  return Fail(code, "{}: {}", path, WhyNot(path, error));
}

class DirectFileAccess final : public FileAccess {
 public:
  Result<std::string> Read(const std::string& path, size_t max_bytes) override {
    // O_NONBLOCK: a named pipe must not hold the control thread.
    net::Fd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (!fd.is_open()) return FailWith(path, errno);
    return ReadOpenFile(fd.get(), path, max_bytes);
  }

  Result<std::vector<std::string>> List(const std::string& directory) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(directory.c_str()), &closedir);
    if (folder == nullptr) return FailWith(directory, errno);
    std::vector<std::string> paths;
    const std::string prefix = directory.ends_with('/') ? directory : directory + "/";
    while (const dirent* entry = readdir(folder.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == ".." || entry->d_type == DT_DIR) continue;
      struct stat info {};
      // What we may not look at, and a symlink to nothing, stays in the list: reading it then says
      // why.
      if (entry->d_type != DT_REG && fstatat(dirfd(folder.get()), entry->d_name, &info, 0) == 0 &&
          !S_ISREG(info.st_mode))
        continue;
      paths.push_back(prefix + entry->d_name);
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  std::vector<std::string> Glob(const std::string& pattern) override {
    glob_t found{};
    std::vector<std::string> paths;
    if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
      for (size_t i = 0; i < found.gl_pathc && i < kMaxMatches; ++i)
        paths.emplace_back(found.gl_pathv[i]);
    }
    globfree(&found);
    std::sort(paths.begin(), paths.end());
    return paths;
  }
};

// One file, read.
struct ReadFile {
  std::string path;
  tls::CertificatePool pool;
  std::string error;  // it could not be read
};

ReadFile ReadOne(const std::string& path, FileAccess& files, std::string_view password,
                 tls::KeyReading keys = tls::KeyReading::kNow) {
  ReadFile file{path, {}, {}};
  auto bytes = files.Read(path, tls::kMaxPoolBytes);
  if (!bytes) {
    file.error = bytes.error().detail;
  } else {
    file.pool = tls::ReadPool(*bytes, path, password, keys);
  }
  return file;
}

// The first line of the file, or what the variable holds. Text for OpenSSL: of the bytes before a
// NUL.
Result<std::string> PasswordOf(const config::CertificateSource& source, FileAccess& files) {
  if (!source.password_env.empty()) {
    const char* value = std::getenv(source.password_env.c_str());
    if (value == nullptr)
      return Fail(ErrorCode::kNotFound, "password_env: the environment has no {}",
                  source.password_env);
    return std::string(value);
  }
  if (source.password_file.empty()) return std::string();
  constexpr size_t kMaxBytes = 64 * 1024;
  auto text = files.Read(source.password_file, kMaxBytes);
  if (!text) return PassOn(text, "password_file");
  text->resize(std::min(text->find_first_of("\r\n"), text->size()));
  if (text->empty())
    return Fail(ErrorCode::kInvalid, "password_file: {}: no password in its first line",
                source.password_file);
  return std::move(*text);
}

// One reading of one set of files: where the leaf and the key are looked for, and what may complete
// the chain.
class Finder {
 public:
  Finder(FileAccess& files, const CertificateContext& context,
         const config::CertificateSource& source, std::string password)
      : files_(files),
        context_(context),
        choice_(tls::ChainChoiceOf(source.chain)),
        password_(std::move(password)) {}
  ~Finder() { OPENSSL_cleanse(password_.data(), password_.size()); }
  Finder(const Finder&) = delete;
  Finder& operator=(const Finder&) = delete;

  void FromPath(const std::string& path, bool is_match, SourceReading& reading);
  void FromTable(const std::string& certificate, const std::string& key, SourceReading& reading);

 private:
  struct Material {
    std::vector<ReadFile>
        given;  // what the operator named: certificates are reported when they are left out
    std::vector<ReadFile> beside;  // other files of the directory: they may complete, silently
  };

  void FromDirectory(const std::string& path, Result<std::vector<std::string>> list,
                     SourceReading& reading);
  void FromFile(const std::string& path, bool is_match, SourceReading& reading);
  FoundCertificate Found(std::string name, const Material& material, const tls::PrivateKeyPtr& key,
                         const std::string& key_path);
  static std::vector<std::string> Problems(const std::vector<ReadFile>& read);
  static FoundCertificate Bad(std::string name, const std::vector<ReadFile>& read,
                              std::string error, bool may_be_half_written);
  std::vector<ReadFile> Beside(const std::string& path);
  ReadFile ReadOne(const std::string& path) {
    return control::ReadOne(path, files_, password_, context_.keys);
  }
  std::vector<ReadFile> ReadAll(const std::vector<std::string>& paths) {
    std::vector<ReadFile> read;
    for (const std::string& path : paths) read.push_back(ReadOne(path));
    return read;
  }

  FileAccess& files_;
  const CertificateContext& context_;
  tls::ChainChoice choice_;
  std::string password_;
};

// Unreadable files, then broken ones.
std::vector<std::string> Finder::Problems(const std::vector<ReadFile>& read) {
  std::vector<std::string> problems;
  for (const ReadFile& file : read) {
    if (!file.error.empty()) problems.push_back(file.error);
  }
  for (const ReadFile& file : read) {
    problems.insert(problems.end(), file.pool.problems.begin(), file.pool.problems.end());
  }
  return problems;
}

FoundCertificate Finder::Bad(std::string name, const std::vector<ReadFile>& read, std::string error,
                             bool may_be_half_written) {
  FoundCertificate found;
  found.name = std::move(name);
  found.error = std::move(error);
  auto problems = Problems(read);
  constexpr size_t kMostTold = 4;
  for (size_t i = 0; i < problems.size() && i < kMostTold; ++i) found.error += "; " + problems[i];
  found.may_be_half_written = may_be_half_written;
  for (const ReadFile& file : read) found.files.push_back(file.path);
  return found;
}

// The certificate that signed the leaf, also where it is a root that is not sent: OCSP needs it.
tls::CertificatePtr IssuerOf(const tls::Chain& chain, const std::vector<tls::CertificatePtr>& pool,
                             const std::vector<tls::CertificatePtr>& roots) {
  if (chain.certificates.size() > 1) return chain.certificates[1];
  const tls::CertificatePtr& leaf = chain.certificates.front();
  if (leaf->is_self_signed()) return leaf;
  for (const auto* list : {&pool, &roots}) {
    for (const tls::CertificatePtr& one : *list) {
      if (one->subject_der() != leaf->issuer_der()) continue;
      if (!leaf->authority_key_id().empty() && !one->subject_key_id().empty() &&
          leaf->authority_key_id() != one->subject_key_id())
        continue;
      if (leaf->IsSignedBy(*one)) return one;
    }
  }
  return nullptr;
}

FoundCertificate Finder::Found(std::string name, const Material& material,
                               const tls::PrivateKeyPtr& key, const std::string& key_path) {
  tls::CertificatePool candidates;
  std::vector<tls::CertificatePtr> pool;
  // A lineage holds each certificate in two files. That is how it is made, not a mistake to report;
  // twice in one file is.
  std::set<std::string> of_earlier_files;
  for (const ReadFile& file : material.given) {
    for (const auto& one : file.pool.certificates) {
      if (of_earlier_files.contains(one->sha256())) continue;
      pool.push_back(one);
      candidates.certificates.push_back(one);
    }
    for (const auto& one : file.pool.certificates) of_earlier_files.insert(one->sha256());
  }
  const size_t given = pool.size();
  for (const ReadFile& file : material.beside) {
    for (const auto& one : file.pool.certificates) {
      if (of_earlier_files.insert(one->sha256()).second) pool.push_back(one);
    }
  }
  for (const auto& one : context_.pool) {
    if (of_earlier_files.insert(one->sha256()).second) pool.push_back(one);
  }

  tls::CertificatePtr leaf = tls::FindLeaf(candidates, *key, context_.now);
  if (!leaf) {
    if (candidates.certificates.empty())
      return Bad(std::move(name), material.given,
                 fmt::format("no certificate beside the key {}", key_path), true);
    return Bad(std::move(name), material.given,
               fmt::format("{}: the key does not match any certificate ({})", key_path,
                           candidates.certificates.front()->subject()),
               true);
  }
  FoundCertificate found;
  found.name = std::move(name);
  for (const ReadFile& file : material.given) found.files.push_back(file.path);
  const auto& anchors = context_.anchors.empty() ? context_.roots : context_.anchors;
  tls::ChainInput input{leaf, pool, anchors, context_.now, {}, choice_};
  if (!context_.profiles.empty()) input.score = tls::ScoreBy(context_.profiles, context_.now);
  found.chain = tls::ChainBuilder::Build(input);
  found.issuer = IssuerOf(found.chain, pool, anchors);
  // Only what was handed over for this certificate: of what lies beside, most is for others.
  std::set<std::string> handed_over;
  for (size_t i = 0; i < given; ++i) handed_over.insert(pool[i]->sha256());
  std::erase_if(found.chain.dropped, [&](const tls::DroppedCertificate& dropped) {
    return !handed_over.contains(dropped.certificate->sha256());
  });
  auto bundle =
      tls::CertificateBundle::Make(found.chain.certificates, key, found.chain.long_certificates);
  if (!bundle) {
    found.error = fmt::format("{}: {}", key_path, bundle.error().detail);
    return found;
  }
  found.bundle = *std::move(bundle);
  auto problems = Problems(material.given);
  if (!problems.empty()) {
    found.error = problems.front();
    found.may_be_half_written = true;
  }
  return found;
}

// The other certificate files of the directory, most likely ones first.
std::vector<ReadFile> Finder::Beside(const std::string& path) {
  auto list = files_.List(DirectoryOf(path));
  if (!list) return {};
  std::erase_if(*list, [&](const std::string& other) {
    return BaseName(other) == BaseName(path) || !LooksLikeCertificateFile(other);
  });
  auto rank = [&](const std::string& other) {
    return std::tuple(Stem(other) != Stem(path), !other.ends_with(".key"), other);
  };
  std::sort(list->begin(), list->end(),
            [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
  if (list->size() > kMaxFiles) list->resize(kMaxFiles);
  return ReadAll(*list);
}

void Finder::FromDirectory(const std::string& path, Result<std::vector<std::string>> list,
                           SourceReading& reading) {
  std::string name = BaseName(path);
  if (!list) {
    reading.certificates.push_back(Bad(name, {}, list.error().detail, true));
    return;
  }
  std::erase_if(*list, [](const std::string& file) { return !LooksLikeCertificateFile(file); });
  std::stable_partition(list->begin(), list->end(),
                        [](const std::string& file) { return BaseName(file) == "privkey.pem"; });
  if (list->size() > kMaxFiles) list->resize(kMaxFiles);
  Material material{ReadAll(*list), {}};

  struct Key {
    tls::PrivateKeyPtr key;
    std::string path;
  };
  std::vector<Key> keys;
  std::set<std::string> seen;
  for (const ReadFile& file : material.given) {
    bool is_named = BaseName(file.path) == "privkey.pem";
    for (const auto& key : file.pool.keys) {
      if (seen.insert(key->public_key()).second) keys.push_back({key, file.path});
    }
    // It decides, also while it cannot be read: no other key of the directory takes its place
    // meanwhile.
    if (is_named) {
      keys.resize(std::min<size_t>(keys.size(), 1));
      if (keys.empty()) {
        reading.certificates.push_back(
            Bad(name, material.given, fmt::format("no private key in {}", file.path), true));
        return;
      }
      break;
    }
  }
  if (keys.empty()) {
    bool has_certificate =
        std::any_of(material.given.begin(), material.given.end(),
                    [](const ReadFile& file) { return !file.pool.certificates.empty(); });
    reading.certificates.push_back(
        Bad(name, material.given,
            fmt::format("{}: no {}", path,
                        has_certificate ? "private key" : "certificate and no private key"),
            true));
    return;
  }
  std::vector<FoundCertificate> good, bad;
  for (const Key& key : keys) {
    auto found = Found(keys.size() == 1 ? name : name + "/" + BaseName(key.path), material, key.key,
                       key.path);
    (found.bundle ? good : bad).push_back(std::move(found));
  }
  // One certificate is not a stranger to the other.
  for (FoundCertificate& one : good) {
    std::erase_if(one.chain.dropped, [&](const tls::DroppedCertificate& dropped) {
      return std::any_of(keys.begin(), keys.end(), [&](const Key& key) {
        return key.key->public_key() == dropped.certificate->public_key() &&
               key.key->public_key() != one.bundle->key().public_key();
      });
    });
  }
  // A key without its certificate among others is left over from something else.
  auto& chosen = good.empty() ? bad : good;
  std::move(chosen.begin(), chosen.end(), std::back_inserter(reading.certificates));
}

void Finder::FromFile(const std::string& path, bool is_match, SourceReading& reading) {
  Material material{{ReadOne(path)}, {}};
  const ReadFile& file = material.given.front();
  if (!file.error.empty()) {
    FoundCertificate bad;
    bad.name = path;
    bad.error = file.error;
    bad.may_be_half_written = true;
    bad.files = {path};
    reading.certificates.push_back(std::move(bad));
    return;
  }
  if (file.pool.certificates.empty()) {
    // A key that a pattern took along.
    if (is_match && !file.pool.keys.empty() && file.pool.problems.empty()) return;
    reading.certificates.push_back(
        Bad(path, material.given, fmt::format("{}: no certificate", path), true));
    return;
  }
  for (const auto& key : file.pool.keys) {
    auto found = Found(path, material, key, path);
    if (found.bundle && found.chain.is_complete) {
      reading.certificates.push_back(std::move(found));
      return;
    }
  }
  material.beside = Beside(path);
  auto try_keys = [&](const ReadFile& holder) {
    for (const auto& key : holder.pool.keys) {
      if (!tls::FindLeaf(file.pool, *key, context_.now)) continue;
      auto found = Found(path, material, key, holder.path);
      if (holder.path != path) found.files.push_back(holder.path);
      reading.certificates.push_back(std::move(found));
      return true;
    }
    return false;
  };
  if (try_keys(file)) return;
  for (const ReadFile& other : material.beside) {
    if (try_keys(other)) return;
  }
  bool is_authority = std::all_of(file.pool.certificates.begin(), file.pool.certificates.end(),
                                  [](const auto& one) { return one->is_ca(); });
  if (is_match && is_authority && file.pool.keys.empty()) return;
  bool has_keys = !file.pool.keys.empty();
  std::vector<ReadFile> keys_beside;
  for (const ReadFile& other : material.beside) {
    has_keys = has_keys || !other.pool.keys.empty();
    if (!other.error.empty() || (other.pool.certificates.empty() && !other.pool.problems.empty()))
      keys_beside.push_back({other.path, {{}, {}, other.pool.problems}, other.error});
  }
  auto bad = Bad(
      path, keys_beside,
      has_keys
          ? fmt::format("{}: no key in it or beside it matches: each one there does not match {}",
                        path, file.pool.certificates.front()->subject())
          : fmt::format("{}: no private key in it or beside it", path),
      true);
  bad.files = {path};
  reading.certificates.push_back(std::move(bad));
}

void Finder::FromPath(const std::string& path, bool is_match, SourceReading& reading) {
  // A lineage, a file, or nothing yet: what can be listed is a directory.
  auto list = files_.List(path);
  if (list || list.error().code == ErrorCode::kPermission) {
    FromDirectory(path, std::move(list), reading);
    return;
  }
  if (list.error().code == ErrorCode::kNotFound && !LooksLikeCertificateFile(path)) {
    auto bytes = files_.Read(path, tls::kMaxPoolBytes);
    if (!bytes && bytes.error().code == ErrorCode::kNotFound) {
      reading.certificates.push_back(Bad(BaseName(path), {}, bytes.error().detail, true));
      return;
    }
  }
  FromFile(path, is_match, reading);
}

void Finder::FromTable(const std::string& certificate, const std::string& key,
                       SourceReading& reading) {
  if (key.empty()) {
    FromPath(certificate, false, reading);
    return;
  }
  Material material{{ReadOne(certificate)}, {}};
  ReadFile key_file = ReadOne(key);
  std::vector<ReadFile> both = {material.given.front(), key_file};
  if (key_file.pool.keys.empty()) {
    reading.certificates.push_back(
        Bad(certificate, both, fmt::format("{}: no private key", key), true));
    return;
  }
  if (material.given.front().pool.certificates.empty()) {
    reading.certificates.push_back(
        Bad(certificate, both, fmt::format("{}: no certificate", certificate), true));
    return;
  }
  tls::PrivateKeyPtr chosen = key_file.pool.keys.front();
  for (const auto& one : key_file.pool.keys) {
    if (tls::FindLeaf(material.given.front().pool, *one, context_.now)) {
      chosen = one;
      break;
    }
  }
  auto found = Found(certificate, material, chosen, key);
  if (found.bundle && !found.chain.is_complete) {
    material.beside = Beside(certificate);
    found = Found(certificate, material, chosen, key);
  }
  found.files.push_back(key);
  reading.certificates.push_back(std::move(found));
}

void Add(std::vector<std::string>& paths, std::string path) {
  if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(std::move(path));
}

void AddWithDirectory(std::vector<std::string>& paths, const std::string& path) {
  Add(paths, path);
  Add(paths, DirectoryOf(path));
}

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

Result<std::string> ReadOpenFile(int fd, const std::string& path, size_t max_bytes) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return FailWith(path, errno);
  if (!S_ISREG(info.st_mode)) return Fail(ErrorCode::kInvalid, "{}: not a regular file", path);
  std::string bytes;
  bytes.reserve(static_cast<size_t>(std::max<off_t>(0, info.st_size)) % (max_bytes + 1));
  char block[16 * 1024];
  for (;;) {
    ssize_t got = read(fd, block, sizeof(block));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailWith(path, errno);
    bytes.append(block, static_cast<size_t>(got));
    if (bytes.size() > max_bytes)
      return Fail(ErrorCode::kTooLarge, "{}: more than {} bytes", path, max_bytes);
    // A regular file gives less than was asked for at its end alone.
    if (static_cast<size_t>(got) < sizeof(block)) return bytes;
  }
}

std::unique_ptr<FileAccess> MakeDirectFileAccess() { return std::make_unique<DirectFileAccess>(); }

bool IsGlob(const config::CertificateSource& source) { return HasGlob(source.path); }

std::vector<std::string> WatchPathsOf(const config::CertificateSource& source, FileAccess& files) {
  std::vector<std::string> paths;
  if (source.path.empty()) {
    if (!source.certificate.empty()) AddWithDirectory(paths, source.certificate);
    if (!source.key.empty()) AddWithDirectory(paths, source.key);
    if (!source.password_file.empty()) AddWithDirectory(paths, source.password_file);
    return paths;
  }
  std::string path = WithoutSlash(source.path);
  if (!IsGlob(source)) {
    // Without the look of a file it is a directory, or nothing yet, whose own directory may be
    // anything.
    if (!LooksLikeCertificateFile(path) || files.List(path)) {
      Add(paths, path);
    } else {
      AddWithDirectory(paths, path);
    }
    return paths;
  }
  // Where new matches would appear, and what matches now.
  std::string prefix = path.substr(0, path.find_first_of("*?["));
  Add(paths, DirectoryOf(prefix));
  for (const std::string& match : files.Glob(path)) {
    if (files.List(match)) {
      Add(paths, match);
    } else {
      Add(paths, DirectoryOf(match));
    }
  }
  return paths;
}

std::vector<tls::CertificatePtr> ReadExtraPool(const std::vector<std::string>& paths,
                                               FileAccess& files,
                                               std::vector<std::string>& problems) {
  std::vector<tls::CertificatePtr> certificates;
  std::set<std::string> seen;
  auto add = [&](const std::string& path) {
    ReadFile file = ReadOne(path, files, {});
    if (!file.error.empty()) problems.push_back(file.error);
    problems.insert(problems.end(), file.pool.problems.begin(), file.pool.problems.end());
    for (const auto& one : file.pool.certificates) {
      if (seen.insert(one->sha256()).second) certificates.push_back(one);
    }
  };
  for (const std::string& path : paths) {
    auto list = files.List(path);
    if (!list) {
      add(path);
      continue;
    }
    for (const std::string& file : *list) {
      if (LooksLikeCertificateFile(file)) add(file);
    }
  }
  return certificates;
}

SourceReading ReadSource(const config::CertificateSource& source, FileAccess& files,
                         const CertificateContext& context) {
  SourceReading reading;
  auto password = PasswordOf(source, files);
  if (!password) {
    FoundCertificate none;
    none.name = source.path.empty() ? source.certificate : BaseName(source.path);
    none.error = password.error().detail;
    none.may_be_half_written = true;
    reading.certificates.push_back(std::move(none));
    return reading;
  }
  Finder finder(files, context, source, *std::move(password));
  if (source.path.empty()) {
    finder.FromTable(source.certificate, source.key, reading);
  } else if (!IsGlob(source)) {
    finder.FromPath(WithoutSlash(source.path), false, reading);
  } else {
    for (const std::string& match : files.Glob(WithoutSlash(source.path)))
      finder.FromPath(match, true, reading);
  }
  if (reading.certificates.empty()) {
    FoundCertificate none;
    none.name = BaseName(source.path);
    none.error = fmt::format("{}: no certificate matches", source.path);
    reading.certificates.push_back(std::move(none));
  }
  if (context.proves_chains) {
    for (FoundCertificate& found : reading.certificates) ProveFound(found, context);
  }
  return reading;
}

void ProveFound(FoundCertificate& found, const CertificateContext& context) {
  if (!found.bundle) return;
  found.proofs = tls::ProveChain(context.profiles, found.chain.certificates,
                                 found.chain.long_certificates, context.now);
  found.is_judged = true;
}

Status SetTrust(std::vector<tls::CertificatePtr> roots, const std::string& trust_profiles,
                CertificateContext& context) {
  auto profiles = tls::LoadTrustProfiles(trust_profiles, roots);
  return SetTrust(std::move(roots), std::move(profiles), context);
}

Status SetTrust(std::vector<tls::CertificatePtr> roots,
                Result<std::vector<tls::TrustProfilePtr>> profiles, CertificateContext& context) {
  context.roots = std::move(roots);
  context.profiles = profiles ? *profiles : std::vector<tls::TrustProfilePtr>{};
  context.anchors = tls::AnchorsOf(context.roots, context.profiles);
  return profiles ? Status() : PassOn(profiles);
}

}  // namespace genkan::control
