#include "proxy/control/cert_publisher.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/certificate_site.h"

namespace genkan::control {
namespace {

using testing::CertificateSites;
using testing::Issued;

// What an authority says of every leaf.
class SaysRevoked final : public CertificateWatcher {
 public:
  void OnBundle(CertificateEnv& env, const CertificateView& certificate,
                std::function<void()> release) override {
    env.Report(certificate, {"crl", "revoked", "keyCompromise"});
    release();
  }
};

// One site with many certificates of one key.
class Publisher : public ::testing::Test {
 protected:
  void SetUp() override {
    sites_.AddSite({"a.test"}, {});
    sites_.state = std::move(StateDir::Open(sites_.dir / "state").value());
    leaves_ = std::make_unique<CertLeaves>(CertLeaves::Options{sites_.loop, sites_.fetcher,
                                                               sites_.pool, *sites_.state, clock_,
                                                               [](const std::string&) {}});
    leaves_->AddWatcher(std::make_unique<SaysRevoked>());
    publisher_ = std::make_unique<CertPublisher>(CertPublisher::Options{
        clock_, *leaves_, index_,
        [this](tls::CertStorePtr, std::shared_ptr<const std::vector<std::string>> barred) {
          barred_ = *barred;
        }});
    sources_.push_back(std::make_unique<CertSource>());
    sources_[0]->site = "a.test";
  }
  tls::BundlePtr Fresh() const {
    return sites_.ca.BundleOf(sites_.ca.LeafWith({.names = {"a.test"}, .key_label = "of all"}));
  }
  void PutInService(tls::BundlePtr bundle) {
    auto entry = std::make_unique<CertEntry>();
    entry->in_service = std::move(bundle);
    entry->issuer = sites_.ca.intermediate().certificate;
    sources_[0]->entries.push_back(std::move(entry));
  }
  // The SHA-256 of each leaf.
  std::vector<std::string> PutInService(size_t count) {
    std::vector<std::string> leaves;
    for (size_t i = 0; i < count; ++i) {
      PutInService(Fresh());
      leaves.push_back(sources_[0]->entries.back()->in_service->leaf().sha256());
    }
    return leaves;
  }
  void RevokeAll() {
    for (const auto& entry : sources_[0]->entries)
      leaves_->Watch(entry->name, entry->site, entry->in_service->leaf_ptr(), entry->issuer);
  }
  bool AreBarred(std::vector<std::string> leaves) const {
    std::sort(leaves.begin(), leaves.end());
    return std::includes(barred_.begin(), barred_.end(), leaves.begin(), leaves.end());
  }
  void Publish() {
    index_.Renew();
    publisher_->Publish(*sites_.MakeSnapshot(), index_.Take());
  }

  CertificateSites sites_;
  ManualClock clock_;
  CertSources sources_;
  CertIndex index_{sources_};
  std::unique_ptr<CertLeaves> leaves_;
  std::unique_ptr<CertPublisher> publisher_;
  std::vector<std::string> barred_;
};

TEST_F(Publisher, AMassRevocationBarsEveryLeafAlsoAfterAllAreRenewed) {
  constexpr size_t kMany = 5000;
  const auto revoked = PutInService(kMany);
  RevokeAll();
  Publish();
  EXPECT_EQ(barred_.size(), kMany);
  EXPECT_TRUE(AreBarred(revoked));
  EXPECT_TRUE(std::is_sorted(barred_.begin(), barred_.end())) << "the workers search in it";

  const tls::BundlePtr renewed = Fresh();
  for (auto& entry : sources_[0]->entries) entry->in_service = renewed;
  Publish();
  EXPECT_EQ(barred_.size(), kMany) << "the fresh one is good";
  EXPECT_TRUE(AreBarred(revoked));
}

TEST_F(Publisher, TheHistoryIsBoundedAndWhatEndsFirstIsForgotten) {
  const auto revoked = PutInService(2);
  RevokeAll();
  constexpr size_t kMost = 2 + 1024;  // as many as are configured, and some
  // Smaller and greater than any that is in service.
  const auto leaf = [](size_t i) {
    return (i % 2 == 0 ? "\x01" : "\xff") + fmt::format("{:031}", i);
  };
  for (size_t i = 0; i < kMost + 10; ++i) {
    publisher_->Bar(leaf(i));
    clock_.Advance(Millis(1000));
  }
  Publish();
  EXPECT_EQ(barred_.size(), kMost + revoked.size());
  EXPECT_TRUE(AreBarred(revoked));
  for (size_t i = 0; i < kMost + 10; ++i) EXPECT_EQ(AreBarred({leaf(i)}), i >= 10) << i;
}

TEST_F(Publisher, WhatTheProcessBeforeBarredIsBarredFromTheFirstPublicationOn) {
  publisher_->Restore({{std::string(32, 'x'), clock_.Wall() + std::chrono::hours(1)},
                       {std::string(32, 'y'), clock_.Wall()}});
  Publish();
  EXPECT_EQ(barred_, std::vector<std::string>{std::string(32, 'x')}) << "y's time is over";
  EXPECT_EQ(publisher_->barred().size(), 1u) << "and it can be handed on";
  clock_.Advance(std::chrono::hours(1));
  Publish();
  EXPECT_TRUE(barred_.empty());
}

TEST_F(Publisher, WhatIsBarredForATicketsLifeIsLetGoAfterIt) {
  publisher_->Bar(std::string(32, 'x'));
  Publish();
  EXPECT_EQ(barred_.size(), 1u);
  clock_.Advance(std::chrono::hours(12));
  Publish();
  EXPECT_TRUE(barred_.empty());
}

}  // namespace
}  // namespace genkan::control
