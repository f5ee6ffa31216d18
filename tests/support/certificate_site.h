// A CertManager on a loop of its own over a temporary folder, for tests: sites named in the test,
// what is published kept, log lines kept. A trust store with the test's root.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "proxy/control/cert_manager.h"
#include "proxy/event/blocking_pool.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"

namespace genkan::testing {

class CertificateSites {
 public:
  explicit CertificateSites(std::string_view ca_name = "Sites") : ca(ca_name) {
    WriteFile(dir / "roots.pem", ca.root().pem());
    config.certificates.trust_store = dir / "roots.pem";
    SetLogObserver([this](LogLevel level, std::string_view event, std::string_view text) {
      std::lock_guard lock(log_mutex);
      log.push_back({level, std::string(event), std::string(text)});
    });
  }
  ~CertificateSites() {
    manager.reset();
    SetLogObserver({});
  }

  void AddSite(std::vector<std::string> names, std::vector<std::string> paths) {
    config::Site site;
    site.names = std::move(names);
    for (std::string& path : paths) {
      site.certificates.emplace_back();
      site.certificates.back().path = std::move(path);
    }
    config.sites.push_back(std::move(site));
  }

  server::SnapshotPtr MakeSnapshot() const {
    auto snapshot = std::make_shared<server::Snapshot>();
    snapshot->config = std::make_shared<const config::Config>(config);
    for (const config::Site& site : config.sites) {
      snapshot->sites.emplace_back();
      snapshot->sites.back().config = site;
      snapshot->sites.back().name = site.names.front();
    }
    return snapshot;
  }

  void Start(std::vector<std::unique_ptr<CertificateWatcher>> watchers = {}) {
    is_ready = false;
    manager.reset();
    state.reset();  // its lock
    state = std::move(control::StateDir::Open(dir / "state").value());
    manager = control::CertManager::Make(
        {loop, fetcher, pool, *hooks, *state, *files, *clock,
         [this](tls::CertStorePtr published,
                std::shared_ptr<const std::vector<std::string>> without) {
           store = std::move(published);
           barred = *without;
           ++publications;
         }});
    for (auto& watcher : watchers) manager->AddWatcher(std::move(watcher));
    manager->Apply(MakeSnapshot(), [this] { is_ready = true; });
  }

  tls::BundlePtr Served(std::string_view name, bool offers_ecdsa = true) const {
    return store->Find(name, offers_ecdsa, true).bundle;
  }
  std::string Serial(std::string_view name) const {
    auto bundle = Served(name);
    return bundle ? bundle->leaf().serial_hex() : "";
  }
  bool Serves(std::string_view name, const Issued& leaf) const {
    return Serial(name) == leaf.certificate->serial_hex();
  }
  control::CertificateStatus StatusOf(std::string_view site) const {
    for (auto& one : manager->Status()) {
      if (one.site == site) return one;
    }
    return {};
  }
  std::string Refusal(std::string_view site) const { return StatusOf(site).last_refusal; }
  struct Line {
    LogLevel level;
    std::string event, text;
  };
  // What was logged so far, by whatever thread.
  std::vector<Line> LogLines() const {
    std::lock_guard lock(log_mutex);
    return log;
  }
  size_t Logged(std::string_view event) const {
    const std::vector<Line> lines = LogLines();
    return static_cast<size_t>(std::count_if(
        lines.begin(), lines.end(), [&](const Line& line) { return line.event == event; }));
  }
  // Of the newest such line.
  std::string LoggedText(std::string_view event) const {
    const std::vector<Line> lines = LogLines();
    for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
      if (line->event == event) return line->text;
    }
    return {};
  }
  // Some rounds of the loop, to show that nothing happens.
  void Pass(Millis time) {
    bool is_over = false;
    event::Timer timer(loop, [&] { is_over = true; });
    timer.Start(time);
    Eventually(loop, [&] { return is_over; });
  }

  // As certbot writes them.
  void WriteLineage(const std::string& path, const Issued& leaf) const {
    ReplaceFile(path + "/cert.pem", leaf.pem());
    ReplaceFile(path + "/chain.pem", ca.intermediate().pem());
    ReplaceFile(path + "/fullchain.pem", ca.FullChainPem(leaf));
    ReplaceFile(path + "/privkey.pem", leaf.key_pem());
  }
  // A renewed one has another key, serial and later dates. `generation` 0 is the first.
  Issued Leaf(std::vector<std::string> names, int generation = 0,
              KeyKind kind = KeyKind::kEcdsa) const {
    CertificateOptions options;
    options.key_label = names.front() + std::to_string(generation);
    options.names = std::move(names);
    options.key_kind = kind;
    options.not_before =
        clock->Wall() - std::chrono::hours(24 * 20) + std::chrono::hours(24 * generation);
    options.not_after =
        clock->Wall() + std::chrono::hours(24 * 60) + std::chrono::hours(24 * generation);
    return ca.LeafWith(options);
  }

  TempDir dir;
  TestCa ca;
  config::Config config;
  event::EventLoop loop;
  event::BlockingPool pool{2};
  control::Fetcher fetcher{loop, pool};
  std::unique_ptr<control::HookRunner> hooks = control::MakeDirectHookRunner(loop);
  const Clock* clock = &SystemClock();
  std::unique_ptr<control::FileAccess> files = control::MakeDirectFileAccess();
  std::unique_ptr<control::StateDir> state;
  tls::CertStorePtr store;
  std::vector<std::string> barred;
  int publications = 0;
  bool is_ready = false;
  mutable std::mutex log_mutex;
  std::vector<Line> log;  // guarded by log_mutex
  std::unique_ptr<control::CertManager> manager;
};

}  // namespace genkan::testing
