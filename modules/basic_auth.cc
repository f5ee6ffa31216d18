// A name and a password before anything of a site is seen (RFC 7617). Users stand in a file as
// `htpasswd -B` writes it, or in the configuration. Hashes are whatever libcrypt knows: bcrypt,
// yescrypt, SHA-crypt.
//
// A hash is meant to take long, so it is computed off the workers, and what was right once is
// remembered (as a keyed hash, never as a password) until the file changes: requests behind the
// first cost nothing.
#include <crypt.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "proxy/module/api.h"

namespace {
using namespace genkan;

// What libcrypt takes (CRYPT_MAX_PASSPHRASE_SIZE), and a name that a log can bear.
constexpr size_t kMostPassword = 511;
constexpr size_t kMostName = 255;

struct Users {
  std::map<std::string, std::string, std::less<>> hashes;  // by name
};

// Why libcrypt would not take it; "" where it would.
std::string FaultOf(const std::string& hash) {
  if (hash.starts_with("$apr1$"))
    return "Apache's MD5 ($apr1$) is none that libcrypt knows; write it again with htpasswd -B";
  if (hash.starts_with("{SHA}") || hash.starts_with("{SSHA}"))
    return "unsalted or plain SHA-1 is refused; write it again with htpasswd -B";
  int verdict = crypt_checksalt(hash.c_str());
  if (verdict == CRYPT_SALT_INVALID || verdict == CRYPT_SALT_METHOD_DISABLED)
    return "no hash that libcrypt knows; write it with htpasswd -B";
  // A setting alone (a salt without its hash) lets nobody in, but is nobody's intention; nor is a
  // password in the clear.
  bool is_old = !hash.starts_with('$') && !hash.starts_with('_');
  bool is_whole = is_old                   ? hash.size() == 13
                  : hash.starts_with("$2") ? hash.size() == 60
                                           : hash.size() > 13;
  return is_whole ? "" : "no whole hash; write it with htpasswd -B";
}

// "name:hash", perhaps with ":comment" behind it. Empty: taken.
std::string AddUser(Users& users, std::string_view line) {
  size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return "no name:hash";
  std::string_view name = line.substr(0, colon), hash = line.substr(colon + 1);
  hash = hash.substr(0, hash.find(':'));
  if (name.size() > kMostName) return "the name is over 255 bytes";
  for (char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "a control byte in the name";
  }
  std::string fault = FaultOf(std::string(hash));
  if (!fault.empty()) return "user \"" + EscapeControl(name) + "\": " + fault;
  // Apache and nginx take the first of two.
  users.hashes.emplace(name, hash);
  return "";
}

Result<Users> ParseUsers(const std::string& path, std::string_view text) {
  Users users;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = Trim(text.substr(0, end));
    if (line.ends_with('\r')) line.remove_suffix(1);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with('#')) continue;
    if (std::string fault = AddUser(users, line); !fault.empty())
      return Fail(ErrorCode::kInvalid, "{}:{}: {}", path, number, fault);
  }
  return users;
}

using UserFile = ParsedFile<Users>;

struct Options {
  std::string file, realm = "Restricted", user_header;
  std::vector<std::string> users;
  bool strip_authorization = false;
  std::shared_ptr<const Users> own = std::make_shared<const Users>();
  std::unique_ptr<UserFile> user_file;

  void Read(ConfigReader& config) {
    config.Read("file", file);
    config.Read("users", users);
    config.Read("realm", realm);
    config.Read("user_header", user_header);
    config.Read("strip_authorization", strip_authorization);
    Users made;
    for (const std::string& user : users) {
      if (std::string fault = AddUser(made, user); !fault.empty()) config.Fail("users", fault);
    }
    own = std::make_shared<const Users>(std::move(made));
    if (!file.empty()) {
      user_file = std::make_unique<UserFile>(file, &ParseUsers);
      if (auto loaded = user_file->Load(); !loaded) config.Fail("file", loaded.error().detail);
    }
    for (char c : realm) {
      if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') continue;
      config.Fail("realm", "has a quote, a backslash or a byte that is no ASCII");
      break;
    }
    for (char c : user_header) {
      if (IsAlpha(c) || IsDigit(c) || c == '-') continue;
      config.Fail("user_header", "is no name of a field (letters, digits and -)");
      break;
    }
  }
  std::vector<WatchedFile*> files() const {
    if (user_file == nullptr) return {};
    return {user_file.get()};
  }
};

struct Credentials {
  std::string name, password;
};

// Of a head with exactly one Authorization: two would be a way to show us one and the origin the
// other.
std::optional<Credentials> ReadCredentials(const http::Headers& headers) {
  if (headers.Count("authorization") != 1) return std::nullopt;
  std::string_view value = Trim(*headers.Get("authorization"));
  constexpr std::string_view kScheme = "basic ";
  if (!EqualsIgnoreCase(value.substr(0, kScheme.size()), kScheme)) return std::nullopt;
  auto text = Base64Decode(Trim(value.substr(kScheme.size())));
  if (!text) return std::nullopt;
  size_t colon = text->find(':');
  if (colon == std::string::npos || colon > kMostName) return std::nullopt;
  Credentials credentials{text->substr(0, colon), text->substr(colon + 1)};
  // crypt() would stop at a NUL.
  if (credentials.password.size() > kMostPassword || text->find('\0') != std::string::npos)
    return std::nullopt;
  return credentials;
}

// In a time that depends on the length alone.
bool IsSame(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

// Slow by intention.
bool Fits(const std::string& password, const std::string& hash) {
  crypt_data room{};
  const char* made = crypt_r(password.c_str(), hash.c_str(), &room);
  bool fits = made != nullptr && made[0] != '*' && IsSame(made, hash);
  explicit_bzero(&room, sizeof(room));
  return fits;
}

// A question that is asked off the worker, and its answer.
struct Question {
  Credentials credentials;
  KeyedHash::Wide digest{};
  std::shared_ptr<const Users> file, own;
  bool is_right = false;

  ~Question() { explicit_bzero(credentials.password.data(), credentials.password.size()); }

  void Answer() {
    const std::string* hash = Find();
    if (hash != nullptr) {
      is_right = Fits(credentials.password, *hash);
    } else if (const std::string* other = AnyHash()) {
      // A name that nobody has takes as long as one that somebody has.
      Fits(credentials.password, *other);
    }
  }

 private:
  const std::string* Find() const {
    for (const Users* users : {file.get(), own.get()}) {
      if (users == nullptr) continue;
      if (auto found = users->hashes.find(credentials.name); found != users->hashes.end())
        return &found->second;
    }
    return nullptr;
  }
  const std::string* AnyHash() const {
    for (const Users* users : {file.get(), own.get()}) {
      if (users != nullptr && !users->hashes.empty()) return &users->hashes.begin()->second;
    }
    return nullptr;
  }
};

// Credentials that were right, by a keyed hash of name and password; for one state of the file. The
// least recently used go first.
class Remembered {
 public:
  void Forget() {
    order_.clear();
    known_.clear();
  }
  bool Has(const KeyedHash::Wide& digest) {
    auto found = known_.find(digest[0]);
    if (found == known_.end() || *found->second != digest) return false;
    order_.splice(order_.begin(), order_, found->second);
    return true;
  }
  void Add(const KeyedHash::Wide& digest) {
    if (Has(digest)) return;
    if (auto other = known_.find(digest[0]); other != known_.end()) order_.erase(other->second);
    order_.push_front(digest);
    known_[digest[0]] = order_.begin();
    if (order_.size() <= kMost) return;
    known_.erase(order_.back()[0]);
    order_.pop_back();
  }

 private:
  static constexpr size_t kMost = 1024;
  std::list<KeyedHash::Wide> order_;
  std::unordered_map<uint64_t, std::list<KeyedHash::Wide>::iterator> known_;
};

// What the thread that computes knows already: a page asks for thirty things at once with the
// password that was just typed in, and only the first question is to take long. Thread-safe.
struct Computed {
  std::mutex mutex;
  std::shared_ptr<const Users> file;  // guarded by mutex
  Remembered right;                   // guarded by mutex
  const KeyedHash hash;

  void Answer(Question& question) {
    {
      std::lock_guard lock(mutex);
      if (file != question.file) {
        file = question.file;
        right.Forget();
      }
      question.is_right = right.Has(question.digest);
    }
    if (question.is_right) return;
    question.Answer();
    std::lock_guard lock(mutex);
    if (question.is_right && file == question.file) right.Add(question.digest);
  }
};

class BasicAuth final : public ExchangeFilter {
 public:
  using Shared = Computed;
  struct State : WorkerState {
    State(const Options& options, Computed& shared) : computed(shared) {
      if (options.user_file != nullptr) file.emplace(*options.user_file);
    }
    // The users as they are now; what was right for others is forgotten.
    std::shared_ptr<const Users> TakeFile() {
      if (!file) return nullptr;
      auto before = file->content();
      file->Get();
      if (file->content() != before) right.Forget();
      return file->content();
    }
    Computed& computed;
    std::optional<UserFile::View> file;
    Remembered right;
  };
  BasicAuth(const Options& options, State& state) : options_(options), state_(state) {}

  Verdict OnRequestHead(Exchange& exchange) override {
    auto credentials = ReadCredentials(exchange.request().headers);
    if (!credentials) return Refuse(exchange);
    auto question = std::make_shared<Question>();
    question->file = state_.TakeFile();
    question->own = options_.own;
    question->credentials = *std::move(credentials);
    const Credentials& asked = question->credentials;
    question->digest = state_.computed.hash.Hash128(asked.name + ':' + asked.password);
    if (state_.right.Has(question->digest)) {
      LetIn(exchange, asked.name);
      return Verdict::kContinue;
    }
    bool is_taken =
        exchange.Compute([question, &computed = state_.computed] { computed.Answer(*question); },
                         [this, question, &exchange] { Finish(exchange, *question); });
    if (is_taken) return Verdict::kPause;
    // More guesses wait than can be answered soon.
    exchange.ReplyStatus(503, "basic_auth");
    return Verdict::kStop;
  }

  Verdict OnUpstreamRequest(Exchange& exchange) override {
    http::Headers& headers = exchange.request().headers;
    if (options_.strip_authorization) headers.Remove("authorization");
    if (options_.user_header.empty()) return Verdict::kContinue;
    // Whatever a client sends under that name, in a spelling that CGI takes for it as well, is
    // nobody's word.
    headers.RemoveIf([&](std::string_view name, std::string_view) { return IsUserHeader(name); });
    headers.Add(options_.user_header, name_);
    return Verdict::kContinue;
  }

 private:
  void Finish(Exchange& exchange, const Question& question) {
    if (!question.is_right) {
      LOG_DEBUG("basic_auth_failed", "x={} client={} user={}", exchange.id(),
                exchange.client_address(), EscapeControl(question.credentials.name));
      Refuse(exchange);
      return;
    }
    if (state_.TakeFile() == question.file) state_.right.Add(question.digest);
    LetIn(exchange, question.credentials.name);
    exchange.Resume();
  }

  Verdict Refuse(Exchange& exchange) {
    http::Headers more;
    more.Add("WWW-Authenticate", "Basic realm=\"" + options_.realm + "\", charset=\"UTF-8\"");
    exchange.ReplyStatusWith(401, more, "basic_auth");
    return Verdict::kStop;
  }

  void LetIn(Exchange& exchange, std::string_view name) {
    name_ = name;
    for (char& c : name_) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    exchange.NoteUser(name_);
  }

  bool IsUserHeader(std::string_view name) const {
    const std::string& wanted = options_.user_header;
    if (name.size() != wanted.size()) return false;
    for (size_t i = 0; i < name.size(); ++i) {
      char c = IsAlpha(name[i]) || IsDigit(name[i]) ? ToLower(name[i]) : '-';
      if (c != ToLower(wanted[i])) return false;
    }
    return true;
  }

  const Options& options_;
  State& state_;
  std::string name_;
};
}  // namespace

GENKAN_MODULE(basic_auth, BasicAuth, Options);
