#include "proxy/tls/chain_builder.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace genkan::tls {
namespace {

// Partial paths that are looked at: far more than any real pool has, so that a mesh of cross-signs
// ends too.
constexpr int kMaxSteps = 2048;
constexpr size_t kMaxCandidates = 512;

// How a path ends, worst first.
enum class PathEnd {
  kExpiredRoot,     // the next one up is a root past its end
  kCutExpiredRoot,  // the same, without the cross-sign below that root
  kMissing,         // nobody here issued the last certificate
  kPoolRoot,        // a self-signed certificate that the operator gave
  kTrustedRoot,     // a trust anchor
};

struct Node {
  CertificatePtr certificate;
  bool is_anchor = false;  // in `roots`
  bool is_in_pool = false;
  bool is_expired = false;
  bool is_early = false;            // not yet valid
  bool is_near = false;             // reachable from the leaf by names alone
  bool is_reached = false;          // on a path with good signatures
  bool leads_nowhere_good = false;  // on a path to an expired root …
  bool leads_elsewhere = false;     // … and on another one
};

using Path = std::vector<int>;  // nodes, leaf first

constexpr int kNoRoot = -1;

struct Candidate {
  Path path;
  PathEnd end;
  int root = kNoRoot;  // the node above its last one
  WallTime lasts;      // until the first of its intermediates ends

  bool IsComplete() const { return end == PathEnd::kTrustedRoot || end == PathEnd::kPoolRoot; }
};

class Search {
 public:
  explicit Search(const ChainInput& input) : input_(input) {}

  Chain Run();

 private:
  void AddNodes();
  void MarkNear();
  void Walk();
  void Step(const Path& path);
  std::vector<int> IssuersOf(const Path& path) const;
  bool MayIssue(const Certificate& issuer, const Certificate& subject) const;
  bool HasSigned(int issuer, int subject);
  bool IsOnPath(const Path& path, int node) const;
  void End(const Path& path, PathEnd end, int root = kNoRoot);
  void RankCandidates();
  int ScoreOf(const Candidate& candidate);
  bool HasEndWithin(const Path& path, PathEnd end) const;
  const Candidate& Choose(ChainChoice choice);
  const Candidate& ChooseBest();
  const Candidate* ChooseByLength(bool is_longest);
  std::vector<CertificatePtr> CertificatesOf(const Path& path) const;
  CertificatePtr RootOf(const Candidate& candidate) const;
  DropReason ReasonFor(const Node& node) const;
  void Report(Chain& chain) const;
  const Certificate& At(int node) const { return *nodes_[static_cast<size_t>(node)].certificate; }

  const ChainInput& input_;
  std::vector<Node> nodes_;  // the leaf, then by what they are, so that no order of the input shows
  std::map<std::pair<int, int>, bool> signatures_;
  std::deque<Path> queue_;
  std::vector<Candidate> candidates_;  // once ranked: the best first, each path once
  std::map<Path, int> scores_;
  int checks_ = 0;
  int steps_ = 0;
  bool is_cut_short_ = false;
};

void Search::AddNodes() {
  std::map<std::string_view, Node> unique;
  const auto add = [&](const CertificatePtr& certificate) -> Node* {
    if (!certificate || certificate->der() == input_.leaf->der()) return nullptr;
    Node& node = unique[certificate->sha256()];
    node.certificate = certificate;
    node.is_expired = certificate->not_after() <= input_.now;
    node.is_early = certificate->not_before() > input_.now;
    return &node;
  };
  for (const CertificatePtr& one : input_.pool) {
    if (Node* node = add(one)) node->is_in_pool = true;
  }
  for (const CertificatePtr& one : input_.roots) {
    if (Node* node = add(one)) node->is_anchor = true;
  }
  Node leaf;
  leaf.certificate = input_.leaf;
  leaf.is_near = true;
  nodes_.push_back(std::move(leaf));
  for (auto& [hash, node] : unique) nodes_.push_back(std::move(node));
}

// Strangers cost nothing: only what names connect to the leaf counts against the limit, nearest
// first.
void Search::MarkNear() {
  std::multimap<std::string_view, size_t> by_subject;
  for (size_t i = 1; i < nodes_.size(); ++i) {
    by_subject.emplace(nodes_[i].certificate->subject_der(), i);
  }
  std::set<std::string_view> asked;
  std::deque<std::string_view> names = {input_.leaf->issuer_der()};
  size_t count = 1;
  while (!names.empty()) {
    const std::string_view name = names.front();
    names.pop_front();
    if (!asked.insert(name).second) continue;
    const auto [first, last] = by_subject.equal_range(name);
    for (auto it = first; it != last; ++it) {
      Node& node = nodes_[it->second];
      if (!node.is_anchor && ++count > ChainBuilder::kMaxCertificates) {
        is_cut_short_ = true;
        continue;
      }
      node.is_near = true;
      names.push_back(node.certificate->issuer_der());
    }
  }
}

// X509_check_issued() compares names and key ids and looks at the issuer's key usage, as every
// verifier will.
bool Search::MayIssue(const Certificate& issuer, const Certificate& subject) const {
  return issuer.subject_der() == subject.issuer_der() && issuer.is_ca() &&
         subject.MayBeIssuedBy(issuer);
}

bool Search::IsOnPath(const Path& path, int node) const {
  // The same key under the same name is the same authority: a second certificate of it adds nothing
  // but loops.
  return std::any_of(path.begin(), path.end(), [&](int other) {
    return At(other).public_key() == At(node).public_key() &&
           At(other).subject_der() == At(node).subject_der();
  });
}

std::vector<int> Search::IssuersOf(const Path& path) const {
  const Certificate& subject = At(path.back());
  std::vector<int> issuers;
  for (size_t i = 1; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    if (!node.is_near || node.is_early) continue;
    if (node.is_expired && !node.certificate->is_self_signed()) continue;
    if (!MayIssue(*node.certificate, subject)) continue;
    issuers.push_back(static_cast<int>(i));
  }
  // The signature checks go to the likeliest first.
  const auto rank = [&](int index) {
    const Node& node = nodes_[static_cast<size_t>(index)];
    const bool has_key_id = !subject.authority_key_id().empty() &&
                            subject.authority_key_id() == node.certificate->subject_key_id();
    return std::tuple(!has_key_id, node.is_expired, !node.is_anchor,
                      !node.certificate->is_self_signed(),
                      -node.certificate->not_after().time_since_epoch().count(), index);
  };
  std::sort(issuers.begin(), issuers.end(), [&](int a, int b) { return rank(a) < rank(b); });
  return issuers;
}

bool Search::HasSigned(int issuer, int subject) {
  const auto known = signatures_.find({issuer, subject});
  if (known != signatures_.end()) return known->second;
  if (checks_ >= ChainBuilder::kMaxSignatureChecks) {
    is_cut_short_ = true;
    return false;
  }
  ++checks_;
  const bool is_good = At(subject).IsSignedBy(At(issuer));
  signatures_[{issuer, subject}] = is_good;
  return is_good;
}

// Breadth first: the short paths are found before the limits can be.
void Search::Walk() {
  queue_.push_back({0});
  while (!queue_.empty()) {
    const Path path = std::move(queue_.front());
    queue_.pop_front();
    if (++steps_ > kMaxSteps) {
      is_cut_short_ = true;
      End(path, PathEnd::kMissing);
      return;
    }
    Step(path);
  }
}

void Search::Step(const Path& path) {
  const Certificate& last = At(path.back());
  if (last.is_self_signed()) {  // only the leaf comes here
    End(path, PathEnd::kPoolRoot, path.back());
    return;
  }
  bool has_next = false;
  for (const int issuer : IssuersOf(path)) {
    Node& node = nodes_[static_cast<size_t>(issuer)];
    if (!HasSigned(issuer, path.back())) continue;
    node.is_reached = true;
    if (node.certificate->is_self_signed()) {
      has_next = true;
      End(path,
          node.is_expired  ? PathEnd::kExpiredRoot
          : node.is_anchor ? PathEnd::kTrustedRoot
                           : PathEnd::kPoolRoot,
          issuer);
    } else if (!IsOnPath(path, issuer) &&
               path.size() < static_cast<size_t>(ChainBuilder::kMaxDepth)) {
      has_next = true;
      if (queue_.size() >= kMaxSteps) {
        is_cut_short_ = true;
        continue;
      }
      Path longer = path;
      longer.push_back(issuer);
      queue_.push_back(std::move(longer));
    }
  }
  if (!has_next) End(path, PathEnd::kMissing);
}

void Search::End(const Path& path, PathEnd end, int root) {
  // A trust store may hold an intermediate. Some clients stop there, others want to go on: it is
  // sent, and enough.
  if (end == PathEnd::kMissing && std::any_of(path.begin() + 1, path.end(), [this](int node) {
        return nodes_[static_cast<size_t>(node)].is_anchor;
      })) {
    end = PathEnd::kTrustedRoot;
  }
  for (const int index : path) {
    Node& node = nodes_[static_cast<size_t>(index)];
    (end == PathEnd::kExpiredRoot ? node.leads_nowhere_good : node.leads_elsewhere) = true;
  }
  if (candidates_.size() >= kMaxCandidates) return;  // the shorter ones came first
  candidates_.push_back({path, end, root, {}});
  // Clients that do not look further than the first path stop at the expired root above a
  // cross-sign: without it they look for its name in their store. The issuer of the leaf stays, for
  // nobody has that.
  if (end == PathEnd::kExpiredRoot && path.size() >= 3) {
    candidates_.push_back(
        {Path(path.begin(), path.end() - 1), PathEnd::kCutExpiredRoot, kNoRoot, {}});
  }
}

std::vector<CertificatePtr> Search::CertificatesOf(const Path& path) const {
  std::vector<CertificatePtr> certificates;
  for (const int node : path) {
    certificates.push_back(nodes_[static_cast<size_t>(node)].certificate);
  }
  return certificates;
}

CertificatePtr Search::RootOf(const Candidate& candidate) const {
  if (candidate.root == kNoRoot) return nullptr;
  return nodes_[static_cast<size_t>(candidate.root)].certificate;
}

void Search::RankCandidates() {
  for (Candidate& candidate : candidates_) {
    candidate.lasts = WallTime::max();
    for (size_t i = 1; i < candidate.path.size(); ++i) {
      candidate.lasts = std::min(candidate.lasts, At(candidate.path[i]).not_after());
    }
  }
  const auto rank = [](const Candidate& candidate) {
    return std::tuple(-static_cast<int>(candidate.end), candidate.path.size(),
                      -candidate.lasts.time_since_epoch().count(), candidate.path, candidate.root);
  };
  std::sort(candidates_.begin(), candidates_.end(),
            [&](const Candidate& a, const Candidate& b) { return rank(a) < rank(b); });
  std::set<Path> seen;
  std::erase_if(candidates_,
                [&](const Candidate& candidate) { return !seen.insert(candidate.path).second; });
}

// A long chain may go on above a root that is known, to one that only old clients know.
bool Search::HasEndWithin(const Path& path, PathEnd end) const {
  return std::any_of(candidates_.begin(), candidates_.end(), [&](const Candidate& candidate) {
    return candidate.end == end && candidate.path.size() <= path.size() &&
           std::equal(candidate.path.begin(), candidate.path.end(), path.begin());
  });
}

// Negative: nobody was asked.
int Search::ScoreOf(const Candidate& candidate) {
  if (!input_.score || candidates_.size() == 1) return -1;
  const auto known = scores_.find(candidate.path);
  if (known != scores_.end()) return known->second;
  if (scores_.size() >= static_cast<size_t>(ChainBuilder::kMaxScored)) return -1;
  return scores_[candidate.path] = input_.score(CertificatesOf(candidate.path));
}

const Candidate& Search::ChooseBest() {
  const Candidate* best = &candidates_.front();
  int best_score = -1;
  for (const Candidate& candidate : candidates_) {
    const int score = ScoreOf(candidate);
    if (score > best_score) {
      best_score = score;
      best = &candidate;
    }
  }
  return *best;
}

// Of those that somebody accepts, or, where nobody accepts any, of the complete ones.
const Candidate* Search::ChooseByLength(bool is_longest) {
  std::vector<const Candidate*> order;
  for (const Candidate& candidate : candidates_) order.push_back(&candidate);
  std::stable_sort(order.begin(), order.end(), [&](const Candidate* a, const Candidate* b) {
    return is_longest ? a->path.size() > b->path.size() : a->path.size() < b->path.size();
  });
  for (const Candidate* candidate : order) {
    if (ScoreOf(*candidate) > 0) return candidate;
  }
  for (const Candidate* candidate : order) {
    if (candidate->IsComplete()) return candidate;
  }
  return nullptr;
}

const Candidate& Search::Choose(ChainChoice choice) {
  const Candidate* chosen =
      choice == ChainChoice::kAuto ? nullptr : ChooseByLength(choice == ChainChoice::kLong);
  return chosen != nullptr ? *chosen : ChooseBest();
}

DropReason Search::ReasonFor(const Node& node) const {
  if (!node.is_near) {
    const bool is_known_name =
        is_cut_short_ && std::any_of(nodes_.begin(), nodes_.end(), [&](const Node& other) {
          return other.is_near &&
                 other.certificate->issuer_der() == node.certificate->subject_der();
        });
    return is_known_name ? DropReason::kTooMany : DropReason::kUnrelated;
  }
  if (node.is_reached && node.certificate->is_self_signed()) return DropReason::kRoot;
  if (!node.certificate->is_ca()) return DropReason::kUnrelated;
  if (node.is_expired) return DropReason::kExpired;
  if (node.is_early) return DropReason::kNotYetValid;
  if (!node.is_reached) return is_cut_short_ ? DropReason::kTooMany : DropReason::kUnrelated;
  return node.leads_nowhere_good && !node.leads_elsewhere ? DropReason::kExpiredRoot
                                                          : DropReason::kOtherPath;
}

void Search::Report(Chain& chain) const {
  std::set<std::string_view> kept;
  for (const auto* list : {&chain.certificates, &chain.long_certificates}) {
    for (const CertificatePtr& one : *list) kept.insert(one->sha256());
  }
  std::map<std::string_view, const Node*> by_hash;
  for (const Node& node : nodes_) by_hash[node.certificate->sha256()] = &node;
  std::set<std::string_view> seen;
  for (const CertificatePtr& one : input_.pool) {
    if (!one) continue;
    if (!seen.insert(one->sha256()).second) {
      chain.dropped.push_back({one, DropReason::kDuplicate});
    } else if (!kept.contains(one->sha256())) {
      chain.dropped.push_back({one, ReasonFor(*by_hash.at(one->sha256()))});
    }
  }
}

Chain Search::Run() {
  AddNodes();
  MarkNear();
  Walk();
  RankCandidates();
  const Candidate& best = Choose(input_.choice);
  Chain chain;
  chain.certificates = CertificatesOf(best.path);
  chain.root = RootOf(best);
  chain.is_root_trusted = HasEndWithin(best.path, PathEnd::kTrustedRoot);
  chain.is_complete = chain.is_root_trusted || HasEndWithin(best.path, PathEnd::kPoolRoot);
  if (input_.choice == ChainChoice::kByClient) {
    const Candidate& longest = Choose(ChainChoice::kLong);
    if (longest.path.size() > best.path.size()) {
      chain.long_certificates = CertificatesOf(longest.path);
      chain.long_root = RootOf(longest);
    }
  }
  chain.signature_checks = checks_;
  if (!chain.is_complete) {
    chain.missing_issuer = chain.certificates.back()->issuer();
    chain.missing_urls = chain.certificates.back()->ca_issuer_urls();
  }
  Report(chain);
  return chain;
}

}  // namespace

std::string_view ToString(DropReason reason) {
  switch (reason) {
    case DropReason::kDuplicate:
      return "duplicate";
    case DropReason::kUnrelated:
      return "unrelated";
    case DropReason::kRoot:
      return "root";
    case DropReason::kExpired:
      return "expired";
    case DropReason::kNotYetValid:
      return "not_yet_valid";
    case DropReason::kExpiredRoot:
      return "leads_to_expired_root";
    case DropReason::kOtherPath:
      return "other_path";
    case DropReason::kTooMany:
      return "too_many";
  }
  return "unknown";
}

ChainChoice ChainChoiceOf(std::string_view word) {
  if (word == "short") return ChainChoice::kShort;
  if (word == "long") return ChainChoice::kLong;
  if (word == "by_client") return ChainChoice::kByClient;
  return ChainChoice::kAuto;
}

Chain ChainBuilder::Build(const ChainInput& input) {
  const ErrorQueueGuard guard;
  return Search(input).Run();
}

}  // namespace genkan::tls
