// The revocation lists of the certificates in service: each URL's list once, on disk
// (state_dir/crl), streamed there and never held in memory. A list is fetched when half of its life
// is over, taken when it proves to be what the certificates ask for, and otherwise the one before
// stays. Control thread; owned by CertLeaves.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "proxy/control/fetcher.h"
#include "proxy/control/state_dir.h"
#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/module/api.h"

namespace genkan::control {

class CrlStore {
 public:
  struct Options {
    event::EventLoop& loop;
    Fetcher& fetcher;
    event::BlockingPool& pool;
    StateDir& state;
    const Clock& clock;
  };
  using Done = std::function<void(Result<CrlResult>)>;

  explicit CrlStore(Options options);
  ~CrlStore();

  // As CertificateEnv::CheckCrl. Whoever asks for a list while it is on its way gets its answer
  // from that one.
  void Check(const CertificateView& certificate, const std::string& url, bool is_refresh,
             Done done);
  // Forgets the lists of other URLs than these, but those that are asked for just now. Returns the
  // names of the files of all that are left.
  std::set<std::string, std::less<>> Keep(const std::set<std::string>& urls);

 private:
  struct Asker {
    std::string leaf_der, issuer_der;
    Done done;
  };
  struct List;
  struct Reading;

  List& ListAt(const std::string& url);
  void Start(List& list);
  void Fetch(List& list);
  void OnFetched(List& list, std::shared_ptr<const net::Fd> file, Result<FetchResponse> response);
  // Looks all who wait up in `file`, then `next`.
  void Read(List& list, std::shared_ptr<const net::Fd> file, std::function<void(Reading)> next);
  void ReadStored(List& list);
  void Take(List& list, std::shared_ptr<const net::Fd> file, const Reading& reading,
            const FetchResponse& response);
  void Answer(List& list, Reading reading);
  std::shared_ptr<const net::Fd> NewFile(const List& list) const;
  std::string PathOf(const List& list) const;

  Options options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<std::string, std::unique_ptr<List>> lists_;  // by URL
};

}  // namespace genkan::control
