// Lets networks in or keeps them out: 403. Lists may stand in files that are read again when they
// change, of hundreds of thousands of entries: a look is a binary search, whatever their size.
//
// The most specific network that fits decides; of two equal ones the one that denies. Whom none
// fits is denied where something is allowed at all, and let in otherwise.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "proxy/module/api.h"

namespace {
using namespace genkan;

// 16 bytes as two words, so that addresses compare as numbers. IPv4 is ::ffff:a.b.c.d, which also
// takes the mapped form of IPv6 for what it is.
struct Ip {
  uint64_t high = 0, low = 0;
  auto operator<=>(const Ip&) const = default;
};

uint64_t BigEndian(const unsigned char* bytes) {
  uint64_t word = 0;
  for (int i = 0; i < 8; ++i) word = word << 8 | bytes[i];
  return word;
}

struct ParsedIp {
  Ip ip;
  bool is_v4 = false;  // as written: its prefix counts from its own first bit
};

bool ParseIp(std::string_view text, ParsedIp& parsed) {
  char word[INET6_ADDRSTRLEN] = {};
  if (text.empty() || text.size() >= sizeof(word)) return false;
  std::memcpy(word, text.data(), text.size());
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET, word, bytes.data() + 12) == 1) {
    bytes[10] = bytes[11] = 0xff;
    parsed.is_v4 = true;
  } else if (inet_pton(AF_INET6, word, bytes.data()) != 1) {
    return false;
  }
  parsed.ip = {BigEndian(bytes.data()), BigEndian(bytes.data() + 8)};
  return true;
}

// The first and last address of a network.
struct Range {
  Ip first, last;
  int prefix = 0;  // in bits of the 128
  int found = 0;   // what a look that ends here finds: the prefix
};

bool ParseNetwork(std::string_view text, Range& range) {
  size_t slash = text.find('/');
  ParsedIp parsed;
  if (!ParseIp(text.substr(0, slash), parsed)) return false;
  int most = parsed.is_v4 ? 32 : 128, prefix = most;
  if (slash != std::string_view::npos) {
    auto written = ParseDecimal(text.substr(slash + 1));
    if (!written || *written > static_cast<uint64_t>(most)) return false;
    prefix = static_cast<int>(*written);
  }
  if (parsed.is_v4) prefix += 96;
  uint64_t high = prefix >= 64 ? 0 : ~uint64_t{0} >> prefix;
  uint64_t low = prefix >= 128 ? 0 : prefix <= 64 ? ~uint64_t{0} : ~uint64_t{0} >> (prefix - 64);
  // Bits behind the prefix are taken as written by accident, as everybody else does.
  range.first = {parsed.ip.high & ~high, parsed.ip.low & ~low};
  range.last = {parsed.ip.high | high, parsed.ip.low | low};
  range.prefix = range.found = prefix;
  return true;
}

// Networks, sorted and without overlaps: where they nest, the inner one's stretch is cut out of the
// outer one's. Immutable once it is built.
class NetworkList {
 public:
  void Add(const Range& range) { ranges_.push_back(range); }

  void Build() {
    if (ranges_.empty()) return;
    // ::/0 is all of IPv6 and nothing of IPv4: the mapped addresses are none of its.
    constexpr uint64_t kMapped = 0xffff00000000;
    ranges_.push_back({{0, kMapped}, {0, kMapped | 0xffffffff}, 96, -1});
    std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) {
      return a.first != b.first ? a.first < b.first : a.prefix < b.prefix;
    });
    std::vector<Range> open;  // those that the walk is inside of, outermost first
    for (const Range& range : ranges_) {
      while (!open.empty() && open.back().last < range.first) Close(open);
      if (!open.empty() && open.back().prefix == range.prefix) {
        // The same twice, or all of IPv4.
        open.back().found = std::max(open.back().found, range.found);
      } else {
        open.push_back(range);
      }
      Note(range.first, open.back().found);
    }
    while (!open.empty()) Close(open);
    ranges_.clear();
    ranges_.shrink_to_fit();
    starts_.shrink_to_fit();
  }

  // Bits of the longest network that has `ip`; -1: none has.
  int Find(const Ip& ip) const {
    auto behind = std::upper_bound(starts_.begin(), starts_.end(), ip,
                                   [](const Ip& a, const Start& b) { return a < b.first; });
    return behind == starts_.begin() ? -1 : std::prev(behind)->found;
  }

 private:
  // From `first` to the next start.
  struct Start {
    Ip first;
    int found = -1;
  };

  void Note(const Ip& first, int found) {
    if (!starts_.empty() && starts_.back().first == first) {
      starts_.back().found = found;
    } else {
      starts_.push_back({first, found});
    }
  }

  // The innermost ends; what is around it goes on.
  void Close(std::vector<Range>& open) {
    Ip behind = open.back().last;
    open.pop_back();
    if (++behind.low == 0 && ++behind.high == 0) return;  // the end of all addresses
    Note(behind, open.empty() ? -1 : open.back().found);
  }

  std::vector<Range> ranges_;
  std::vector<Start> starts_;
};

// A line is a network or an address; what stands behind it or behind # or ; is a remark, as
// published lists have it.
Result<NetworkList> ParseList(const std::string& path, std::string_view text) {
  NetworkList list;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = Trim(line.substr(0, line.find_first_of("#;\r")));
    line = line.substr(0, line.find_first_of(" \t"));
    if (line.empty()) continue;
    Range range;
    if (!ParseNetwork(line, range)) {
      constexpr size_t kShown = 60;
      return Fail(ErrorCode::kInvalid, "{}:{}: \"{}\" is no network (as in 192.0.2.0/24 or ::1)",
                  path, number, EscapeControl(line.substr(0, kShown)));
    }
    list.Add(range);
  }
  list.Build();
  return list;
}

using ListFile = ParsedFile<NetworkList>;

struct Options {
  std::vector<std::string> allow, deny, allow_files, deny_files;
  NetworkList allowed, denied;
  std::vector<std::unique_ptr<ListFile>> allowed_files, denied_files;

  void Read(ConfigReader& config) {
    ReadNetworks(config, "allow", allow, allowed);
    ReadNetworks(config, "deny", deny, denied);
    ReadFiles(config, "allow_files", allow_files, allowed_files);
    ReadFiles(config, "deny_files", deny_files, denied_files);
  }
  std::vector<WatchedFile*> files() const {
    std::vector<WatchedFile*> all;
    for (const auto& file : allowed_files) all.push_back(file.get());
    for (const auto& file : denied_files) all.push_back(file.get());
    return all;
  }

  static void ReadNetworks(ConfigReader& config, std::string_view key,
                           std::vector<std::string>& texts, NetworkList& list) {
    config.Read(key, texts);
    for (const std::string& text : texts) {
      Range range;
      if (ParseNetwork(text, range)) {
        list.Add(range);
      } else {
        config.Fail(key, "\"" + EscapeControl(text) + "\" is no network (as in 10.0.0.0/8 or ::1)");
      }
    }
    list.Build();
  }

  static void ReadFiles(ConfigReader& config, std::string_view key, std::vector<std::string>& paths,
                        std::vector<std::unique_ptr<ListFile>>& files) {
    config.Read(key, paths);
    for (const std::string& path : paths) {
      files.push_back(std::make_unique<ListFile>(path, &ParseList));
      if (auto loaded = files.back()->Load(); !loaded) config.Fail(key, loaded.error().detail);
    }
  }
};

class IpFilter final : public ExchangeFilter {
 public:
  struct State : WorkerState {
    explicit State(const Options& options) {
      for (const auto& file : options.allowed_files) allowed.emplace_back(*file);
      for (const auto& file : options.denied_files) denied.emplace_back(*file);
    }
    std::vector<ListFile::View> allowed, denied;
  };
  IpFilter(const Options& options, State& state) : options_(options), state_(state) {}

  Verdict OnRequestHead(Exchange& exchange) override {
    if (LetsIn(exchange.client_address())) return Verdict::kContinue;
    LOG_DEBUG("ip_filter_denied", "x={} client={}", exchange.id(), exchange.client_address());
    exchange.ReplyStatus(403, "ip_filter");
    return Verdict::kStop;
  }

 private:
  bool LetsIn(std::string_view client) {
    bool allows_some = !options_.allow.empty() || !options_.allow_files.empty();
    ParsedIp parsed;
    // A Unix socket has no address that a list could name.
    if (!ParseIp(client, parsed)) return !allows_some;
    int allowed = Longest(options_.allowed, state_.allowed, parsed.ip);
    int denied = Longest(options_.denied, state_.denied, parsed.ip);
    if (allowed < 0 && denied < 0) return !allows_some;
    return allowed > denied;
  }

  static int Longest(const NetworkList& list, std::vector<ListFile::View>& files, const Ip& ip) {
    int longest = list.Find(ip);
    for (ListFile::View& file : files) {
      if (const NetworkList* content = file.Get()) longest = std::max(longest, content->Find(ip));
    }
    return longest;
  }

  const Options& options_;
  State& state_;
};
}  // namespace

GENKAN_MODULE(ip_filter, IpFilter, Options);
