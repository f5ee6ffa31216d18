#include "proxy/control/crl_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <random>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/crl.h"
#include "proxy/tls/digest.h"

namespace genkan::control {
namespace {

constexpr std::string_view kFolder = "crl";
constexpr Millis kLongestFetch{120'000};
constexpr Seconds kLeastPause{60};  // between two fetches, unless somebody asks for a newer one

// A file's bytes without a copy: a list may have a hundred megabytes. The file is ours alone and is
// replaced by rename.
class Mapping {
 public:
  explicit Mapping(int fd) {
    struct stat info {};
    if (fstat(fd, &info) != 0 || info.st_size <= 0) return;
    void* at = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) return;
    bytes_ = {static_cast<const char*>(at), static_cast<size_t>(info.st_size)};
  }
  ~Mapping() {
    if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
};

std::string_view HeaderOf(const FetchResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

}  // namespace

struct CrlStore::List {
  std::string url, name;                // name: SHA-256 of the URL
  std::shared_ptr<const net::Fd> file;  // the list in use; null: none
  bool is_busy = false, is_refresh = false;
  std::string etag, last_modified;
  WallTime this_update{}, next_update{}, due{}, asked{};
  std::string trouble;  // of the last fetch
  std::vector<Asker> waiting;
};

struct CrlStore::Reading {
  std::vector<Result<CrlResult>> answers;  // one for each asker, in order
  // Of the list, where it says something about one of them.
  bool is_usable = false;
  WallTime this_update{}, next_update{};
  std::string error;
};

namespace {

using Ders = std::vector<std::pair<std::string, std::string>>;  // leaf, issuer

Result<CrlResult> ResultOf(const Result<tls::CrlAnswer>& answer) {
  if (!answer) return PassOn(answer);
  CrlResult result;
  result.is_revoked = answer->is_revoked;
  result.this_update = answer->this_update;
  result.next_update = answer->next_update;
  result.revoked_at = answer->revoked_at;
  result.reason = answer->reason;
  return result;
}

// In a thread of the pool.
std::vector<Result<CrlResult>> LookUpAll(std::string_view bytes, const Ders& ders, WallTime now) {
  std::vector<Result<CrlResult>> results(ders.size(),
                                         Fail(ErrorCode::kNotFound, "the issuer is not known"));
  std::map<std::string, std::vector<size_t>> by_issuer;
  for (size_t i = 0; i < ders.size(); ++i) by_issuer[ders[i].second].push_back(i);
  for (const auto& [issuer_der, indices] : by_issuer) {
    if (issuer_der.empty()) continue;
    auto issuer = tls::Certificate::FromDer(issuer_der);
    std::vector<tls::CertificatePtr> leaves;
    std::vector<const tls::Certificate*> borrowed;
    std::vector<size_t> owners;
    for (size_t i : indices) {
      auto leaf = tls::Certificate::FromDer(ders[i].first);
      if (!issuer || !leaf) {
        results[i] = issuer ? PassOn(leaf) : PassOn(issuer);
        continue;
      }
      leaves.push_back(*std::move(leaf));
      borrowed.push_back(leaves.back().get());
      owners.push_back(i);
    }
    if (leaves.empty()) continue;
    auto answers = tls::LookUpAllInCrl(bytes, borrowed, **issuer, now);
    for (size_t i = 0; i < owners.size(); ++i) results[owners[i]] = ResultOf(answers[i]);
  }
  return results;
}

std::string MetaOf(WallTime this_update, WallTime next_update, std::string_view etag,
                   std::string_view last_modified) {
  auto seconds = [](WallTime time) {
    return std::chrono::duration_cast<Seconds>(time.time_since_epoch()).count();
  };
  return fmt::format("{}\n{}\n{}\n{}\n", seconds(this_update), seconds(next_update), etag,
                     last_modified);
}

std::optional<WallTime> TimeOf(std::string_view text) {
  const auto seconds = ParseDecimal(text);
  if (!seconds || *seconds > 9'000'000'000u) return std::nullopt;
  return WallTime(Seconds(static_cast<int64_t>(*seconds)));
}

// Half of its life, give or take a tenth of that: who serves one list to many is not asked by all
// at once.
WallTime DueOf(WallTime this_update, WallTime next_update) {
  static thread_local std::minstd_rand random(std::random_device{}());
  std::uniform_real_distribution<double> spread(0.45, 0.55);
  const auto life = std::chrono::duration<double>(next_update - this_update);
  return this_update + std::chrono::duration_cast<WallTime::duration>(life * spread(random));
}

}  // namespace

CrlStore::CrlStore(Options options) : options_(options) {}

CrlStore::~CrlStore() { alive_.reset(); }

std::string CrlStore::PathOf(const List& list) const {
  return fmt::format("{}/{}/{}", options_.state.path(), kFolder, list.name);
}

// The copy on disk, with what is remembered of it. Its dates only say when to ask again: whether it
// may be believed is found out each time that it is read.
CrlStore::List& CrlStore::ListAt(const std::string& url) {
  auto& slot = lists_[url];
  if (slot) return *slot;
  slot = std::make_unique<List>();
  slot->url = url;
  slot->name = tls::Sha256Hex(url);
  const std::string meta = options_.state.Load(kFolder, slot->name + ".meta");
  const auto lines = Split(meta, '\n');
  if (lines.size() < 4) return *slot;
  const auto this_update = TimeOf(lines[0]), next_update = TimeOf(lines[1]);
  net::Fd fd(open(PathOf(*slot).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!this_update || !next_update || !fd.is_open()) return *slot;
  slot->file = std::make_shared<const net::Fd>(std::move(fd));
  slot->this_update = *this_update;
  slot->next_update = *next_update;
  slot->due = DueOf(*this_update, *next_update);
  slot->etag = lines[2];
  slot->last_modified = lines[3];
  return *slot;
}

void CrlStore::Check(const CertificateView& certificate, const std::string& url, bool is_refresh,
                     Done done) {
  List& list = ListAt(url);
  list.waiting.push_back({certificate.leaf_der, certificate.issuer_der, std::move(done)});
  list.is_refresh |= is_refresh;
  if (std::exchange(list.is_busy, true)) return;
  // Whoever else asks in this turn is answered with it.
  std::weak_ptr<bool> alive = alive_;
  options_.loop.Defer([this, alive, &list] {
    if (alive.lock()) Start(list);
  });
}

std::set<std::string, std::less<>> CrlStore::Keep(const std::set<std::string>& urls) {
  std::erase_if(lists_, [&](const auto& item) {
    return !item.second->is_busy && !urls.contains(item.first);
  });
  std::set<std::string, std::less<>> names;
  for (const std::string& url : urls) names.insert(tls::Sha256Hex(url));
  for (const auto& [url, list] : lists_) names.insert(list->name);
  return names;
}

void CrlStore::Start(List& list) {
  const WallTime now = options_.clock.Wall();
  const bool is_due = !list.file || now >= list.due;
  const bool may_ask = now - list.asked >= kLeastPause || now < list.asked;
  if (std::exchange(list.is_refresh, false) || (is_due && may_ask)) return Fetch(list);
  ReadStored(list);
}

// On disk beside the one in use, or in memory where the disk cannot be written.
std::shared_ptr<const net::Fd> CrlStore::NewFile(const List& list) const {
  if (options_.state.is_writable()) {
    const std::string path = PathOf(list);
    mkdir(path.substr(0, path.rfind('/')).c_str(), 0700);
    net::Fd fd(
        open((path + ".new").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd.is_open()) return std::make_shared<const net::Fd>(std::move(fd));
  }
  return std::make_shared<const net::Fd>(memfd_create("crl", MFD_CLOEXEC));
}

void CrlStore::Fetch(List& list) {
  list.asked = options_.clock.Wall();
  FetchRequest request;
  request.url = list.url;
  request.timeout = kLongestFetch;
  request.max_bytes = tls::kMaxCrlBytes;
  request.follows_redirects = true;
  if (list.file && !list.etag.empty()) request.headers.push_back("If-None-Match: " + list.etag);
  if (list.file && !list.last_modified.empty())
    request.headers.push_back("If-Modified-Since: " + list.last_modified);
  auto file = NewFile(list);
  std::weak_ptr<bool> alive = alive_;
  options_.fetcher.FetchToFile(std::move(request), file,
                               [this, alive, &list, file](Result<FetchResponse> response) {
                                 if (alive.lock()) OnFetched(list, file, std::move(response));
                               });
}

void CrlStore::OnFetched(List& list, std::shared_ptr<const net::Fd> file,
                         Result<FetchResponse> response) {
  list.trouble.clear();
  if (response && response->status == 304 && list.file) {
    // The authority has no newer one yet: half of what is left.
    const WallTime now = options_.clock.Wall();
    list.due = std::max<WallTime>(now + kLeastPause, now + (list.next_update - now) / 2);
    return ReadStored(list);
  }
  if (!response || response->status != 200) {
    list.trouble = response ? fmt::format("{}: status {}", list.url, response->status)
                            : response.error().detail;
    return ReadStored(list);
  }
  Read(list, file, [this, &list, file, response = *std::move(response)](Reading reading) {
    if (reading.is_usable && reading.this_update >= list.this_update) {
      Take(list, file, reading, response);
      return Answer(list, std::move(reading));
    }
    list.trouble = reading.is_usable
                       ? fmt::format("{}: a list older than the one at hand", list.url)
                       : fmt::format("{}: {}", list.url, reading.error);
    ReadStored(list);
  });
}

void CrlStore::Take(List& list, std::shared_ptr<const net::Fd> file, const Reading& reading,
                    const FetchResponse& response) {
  const std::string path = PathOf(list);
  list.file = std::move(file);
  list.this_update = reading.this_update;
  list.next_update = reading.next_update;
  list.due = DueOf(reading.this_update, reading.next_update);
  list.etag = HeaderOf(response, "etag");
  list.last_modified = HeaderOf(response, "last-modified");
  if (options_.state.is_writable()) {
    fsync(list.file->get());
    if (rename((path + ".new").c_str(), path.c_str()) != 0) {
      LOG_WARN("state_write_failed", "path={} error=\"{}\" it is kept in memory", path,
               std::strerror(errno));
    }
  }
  options_.state.Save(kFolder, list.name + ".meta",
                      MetaOf(list.this_update, list.next_update, list.etag, list.last_modified));
  struct stat info {};
  fstat(list.file->get(), &info);
  LOG_INFO("crl_fetched", "url={} bytes={} this_update={} until={}", list.url, info.st_size,
           FormatIso8601(list.this_update), FormatIso8601(list.next_update));
}

void CrlStore::ReadStored(List& list) {
  if (!list.file) {
    Reading none;
    const std::string why = list.trouble.empty() ? "no list was fetched yet" : list.trouble;
    none.answers.assign(list.waiting.size(), Fail(ErrorCode::kNotFound, "{}", why));
    return Answer(list, std::move(none));
  }
  Read(list, list.file, [this, &list](Reading reading) {
    for (auto& answer : reading.answers) {
      if (answer) {
        answer->trouble = list.trouble;
      } else if (!list.trouble.empty()) {
        answer = Fail(ErrorCode::kNotFound, "{}", list.trouble);
      }
    }
    // What cannot be read is not asked about with If-None-Match again.
    if (!reading.is_usable) list.file = nullptr;
    Answer(list, std::move(reading));
  });
}

void CrlStore::Read(List& list, std::shared_ptr<const net::Fd> file,
                    std::function<void(Reading)> next) {
  Ders ders;
  for (const Asker& asker : list.waiting) ders.emplace_back(asker.leaf_der, asker.issuer_der);
  std::weak_ptr<bool> alive = alive_;
  auto finish = [alive, next = std::move(next)](Reading reading) {
    if (alive.lock()) next(std::move(reading));
  };
  auto work = [&loop = options_.loop, now = options_.clock.Wall(), file, finish,
               ders = std::move(ders)] {
    Reading reading;
    {
      const Mapping mapping(file->get());
      reading.answers = LookUpAll(mapping.bytes(), ders, now);
    }
    for (const auto& answer : reading.answers) {
      if (!answer) {
        if (reading.error.empty()) reading.error = answer.error().detail;
        continue;
      }
      reading.is_usable = true;
      reading.this_update = answer->this_update;
      reading.next_update = answer->next_update;
    }
    loop.Post([finish, reading = std::move(reading)]() mutable { finish(std::move(reading)); });
  };
  if (options_.pool.Submit(std::move(work))) return;
  Reading busy;
  busy.answers.assign(list.waiting.size(), Fail(ErrorCode::kBusy, "too much is waiting"));
  options_.loop.Defer([finish, busy = std::move(busy)]() mutable { finish(std::move(busy)); });
}

// Those who came after the reading began wait for another one.
void CrlStore::Answer(List& list, Reading reading) {
  std::vector<Asker> asked = std::exchange(list.waiting, {});
  const size_t count = std::min(asked.size(), reading.answers.size());
  list.waiting.assign(std::make_move_iterator(asked.begin() + static_cast<ptrdiff_t>(count)),
                      std::make_move_iterator(asked.end()));
  const WallTime due = list.due;
  list.is_busy = !list.waiting.empty();
  std::weak_ptr<bool> alive = alive_;
  if (list.is_busy) {
    options_.loop.Defer([this, alive, &list] {
      if (alive.lock()) Start(list);
    });
  }
  for (size_t i = 0; i < count; ++i) {
    if (reading.answers[i]) reading.answers[i]->due = due;
    asked[i].done(std::move(reading.answers[i]));
    if (!alive.lock()) return;
  }
}

}  // namespace genkan::control
