// ChainBuilder on hierarchies that the bytes describe: what comes out is a chain of signatures
// within the limits, the same for another order of the pool, and every certificate of the pool is
// in it or has a reason.
#include "proxy/tls/chain_builder.h"

#include <openssl/err.h>

#include <algorithm>
#include <map>

#include "proxy/base/check.h"
#include "tests/support/test_ca.h"

namespace genkan::fuzz {
namespace {

using testing::Issued;

const WallTime kNow(Seconds(1'800'000'000));
constexpr auto kDay = std::chrono::hours(24);
constexpr size_t kMaxAuthorities = 24;

enum Flag { kExpired = 1, kEarly = 2, kNoKeyIds = 4, kSelfSigned = 8, kAnchor = 16, kTwice = 32 };

testing::CertificateOptions Options(const uint8_t* bytes, uint64_t serial) {
  testing::CertificateOptions options;
  options.common_name = "N" + std::to_string(bytes[1] % 8);
  options.key_label = "K" + std::to_string(bytes[2] % 8);
  options.key_kind = testing::KeyKind::kEd25519;
  options.not_before = (bytes[3] & kEarly) != 0 ? kNow + kDay : kNow - 30 * kDay;
  options.not_after = (bytes[3] & kExpired) != 0 ? kNow - kDay : kNow + (30 + bytes[1]) * kDay;
  options.has_key_ids = (bytes[3] & kNoKeyIds) == 0;
  options.serial = serial;
  return options;
}

// Inputs share most of their authorities; signing them anew each time would be most of the work.
const Issued& Authority(const Issued& issuer, const uint8_t* bytes, uint64_t serial) {
  constexpr size_t kKept = 10'000;
  static std::map<std::string, Issued> made;
  if (made.size() > kKept) made.clear();
  const bool is_self_signed = (bytes[3] & kSelfSigned) != 0;
  const std::string key = (is_self_signed ? "" : issuer.certificate->sha256()) +
                          std::string(reinterpret_cast<const char*>(bytes) + 1, 3) +
                          std::to_string(serial);
  const auto known = made.find(key);
  if (known != made.end()) return known->second;
  const auto options = Options(bytes, serial);
  Issued fresh =
      is_self_signed ? testing::MakeRoot(options) : testing::MakeIntermediate(issuer, options);
  return made.emplace(key, std::move(fresh)).first->second;
}

void CheckLinks(const std::vector<tls::CertificatePtr>& certificates) {
  for (size_t i = 0; i + 1 < certificates.size(); ++i) {
    const tls::Certificate& issuer = *certificates[i + 1];
    GENKAN_CHECK(certificates[i]->issuer_der() == issuer.subject_der());
    GENKAN_CHECK(X509_verify(certificates[i]->x509(), X509_get0_pubkey(issuer.x509())) == 1);
    GENKAN_CHECK(!issuer.is_self_signed());
    GENKAN_CHECK(issuer.not_after() > kNow && issuer.not_before() <= kNow);
  }
}

void Check(const tls::ChainInput& input, const tls::Chain& chain) {
  GENKAN_CHECK(ERR_peek_error() == 0);
  GENKAN_CHECK(!chain.certificates.empty());
  GENKAN_CHECK(chain.certificates.front() == input.leaf);
  GENKAN_CHECK(chain.certificates.size() <= static_cast<size_t>(tls::ChainBuilder::kMaxDepth));
  GENKAN_CHECK(chain.signature_checks <= tls::ChainBuilder::kMaxSignatureChecks);
  GENKAN_CHECK(chain.is_complete == chain.missing_issuer.empty());
  // What is sent comes from the pool, or is an intermediate that the trust store has.
  GENKAN_CHECK(chain.certificates.size() - 1 + chain.long_certificates.size() +
                   chain.dropped.size() >=
               input.pool.size());
  GENKAN_CHECK(chain.dropped.size() <= input.pool.size());
  CheckLinks(chain.certificates);
  CheckLinks(chain.long_certificates);
  GENKAN_CHECK(chain.long_certificates.empty() ||
               chain.long_certificates.size() > chain.certificates.size());
  GENKAN_CHECK(!chain.is_root_trusted || chain.is_complete);
}

}  // namespace
}  // namespace genkan::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  using namespace genkan::fuzz;
  static const uint8_t kRoot[4] = {0, 0, 0, 0};
  std::vector<Issued> authorities = {testing::MakeRoot(Options(kRoot, 1))};
  tls::ChainInput input;
  input.now = kNow;
  input.pool.push_back(authorities[0].certificate);
  uint64_t serial = 1;
  for (size_t at = 1; at + 4 <= size && authorities.size() < kMaxAuthorities; at += 4) {
    const uint8_t* bytes = data + at;
    const Issued issuer = authorities[bytes[0] % authorities.size()];
    authorities.push_back(Authority(issuer, bytes, ++serial));
    const tls::CertificatePtr& made = authorities.back().certificate;
    if ((bytes[3] & kAnchor) != 0) {
      input.roots.push_back(made);
    } else {
      input.pool.push_back(made);
    }
    if ((bytes[3] & kTwice) != 0) input.pool.push_back(made);
  }
  const Issued& issuer = authorities[(size > 0 ? data[0] : 0) % authorities.size()];
  testing::CertificateOptions options{.common_name = "leaf.test",
                                      .not_before = kNow - kDay,
                                      .not_after = kNow + kDay,
                                      .key_kind = testing::KeyKind::kEd25519,
                                      .serial = 1000};
  input.leaf = testing::MakeLeaf(issuer, options).certificate;

  input.choice = static_cast<tls::ChainChoice>(size % 4);
  // Somebody who takes what is not too long, the longer the better.
  if (size % 3 != 0) {
    input.score = [size](const std::vector<tls::CertificatePtr>& chain) {
      return chain.size() <= 2 + size % 5 ? static_cast<int>(chain.size()) : 0;
    };
  }
  const tls::Chain chain = tls::ChainBuilder::Build(input);
  Check(input, chain);
  std::reverse(input.pool.begin(), input.pool.end());
  std::reverse(input.roots.begin(), input.roots.end());
  const tls::Chain again = tls::ChainBuilder::Build(input);
  Check(input, again);
  GENKAN_CHECK(again.certificates.size() == chain.certificates.size());
  for (size_t i = 0; i < chain.certificates.size(); ++i) {
    GENKAN_CHECK(again.certificates[i]->der() == chain.certificates[i]->der());
  }
  return 0;
}
