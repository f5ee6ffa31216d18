#include "proxy/control/keeper_hooks.h"

#include <fnmatch.h>

#include <algorithm>

#include "proxy/base/log.h"

namespace genkan::control {
namespace {

constexpr size_t kMaxWaiting = 100;

std::string BaseName(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

// What {lineage} and {name} may become: names of sites, entries, and the last part of an entry's
// path. A pattern's matches are not known here: their part must be a plain word.
bool IsKnownWord(const std::string& word, const config::Config& config) {
  if (word.empty() || word.front() == '-') return false;
  for (const config::Site& site : config.sites) {
    if (std::find(site.names.begin(), site.names.end(), word) != site.names.end()) return true;
    if (!site.standby.empty() && word == BaseName(site.standby)) return true;
    for (const config::CertificateSource& source : site.certificates) {
      for (const std::string* path : {&source.path, &source.certificate}) {
        if (path->empty()) continue;
        const std::string name = BaseName(*path);
        // One of several certificates of a directory is told apart by its key's file.
        const bool is_of_directory =
            word.starts_with(name + "/") && word.find('/', name.size() + 1) == std::string::npos;
        if (word == *path || word == name || is_of_directory) return true;
        const bool is_pattern = path->find_first_of("*?[") != std::string::npos;
        if (is_pattern && (word.find('/') == std::string::npos ||
                           fnmatch(path->c_str(), word.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0))
          return true;
      }
    }
  }
  return false;
}

}  // namespace

bool IsConfiguredHook(const HookRequest& request, const config::Config& config) {
  const std::vector<std::string>& words = config.revocation.on_revoked;
  if (words.empty() || request.argv.size() != words.size()) return false;
  for (size_t i = 0; i < words.size(); ++i) {
    if (request.argv[i] == words[i]) continue;
    const bool is_place = words[i] == "{lineage}" || words[i] == "{name}";
    if (!is_place || i == 0 || !IsKnownWord(request.argv[i], config)) return false;
  }
  return std::all_of(request.environment.begin(), request.environment.end(), [](const auto& it) {
    return it.first.starts_with("GENKAN_") && it.first.find('=') == std::string::npos;
  });
}

KeeperHooks::KeeperHooks(net::Fd events) : events_(std::move(events)) {}

KeeperHooks::~KeeperHooks() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
    waiting_.clear();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status KeeperHooks::Run(uint64_t id, HookRequest request) {
  {
    std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMaxWaiting)
      return Fail(ErrorCode::kBusy, "{} commands are waiting already", kMaxWaiting);
    waiting_.emplace_back(id, std::move(request));
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { RunThread(); });
  wake_.notify_all();
  return {};
}

bool KeeperHooks::IsStopping() {
  std::lock_guard lock(mutex_);
  return is_stopping_;
}

void KeeperHooks::RunThread() {
  SetLogThreadName("keeper");
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return is_stopping_ || !waiting_.empty(); });
    if (is_stopping_) return;
    auto [id, request] = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    auto outcome = RunHookBlocking(request, [this] { return IsStopping(); });
    KeeperMessage told{KeeperOp::kHookEnded, id, {}};
    if (outcome) {
      PackOutcome(*outcome, told);
    } else {
      // One text, where an end has two.
      told.texts = {outcome.error().detail};
    }
    if (!events_.Send(told)) return;
  }
}

}  // namespace genkan::control
