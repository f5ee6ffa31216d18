// VerifyOcsp on edited responses: no crash, an empty error queue, and the signature holds: no edit
// of a response that says revoked, or that is about another certificate, makes a good one.
#include <openssl/err.h>

#include "proxy/base/check.h"
#include "proxy/tls/ocsp.h"
#include "tests/fuzz/edited_seed.h"
#include "tests/support/test_ca.h"

namespace genkan::fuzz {
namespace {

const WallTime kNow(Seconds(1'800'000'000));

testing::CertificateOptions Options(std::string name, uint64_t serial) {
  return {.common_name = std::move(name),
          .not_before = kNow - std::chrono::hours(999),
          .not_after = kNow + std::chrono::hours(999),
          .key_kind = testing::KeyKind::kEd25519,
          .serial = serial};
}

struct World {
  testing::Issued issuer = testing::MakeRoot(Options("Root", 1));
  testing::Issued leaf = testing::MakeLeaf(issuer, Options("leaf.test", 2));
  testing::Issued other = testing::MakeLeaf(issuer, Options("other.test", 3));
  testing::Issued signer = [this] {
    auto options = Options("Signer", 4);
    options.extended_key_usage = "OCSPSigning";
    return testing::MakeLeaf(issuer, options);
  }();
  // The first two are good, none of the others is.
  static constexpr int kGoodSeeds = 2;
  std::vector<std::string> seeds = {
      Response({}),
      Response({.signer = &signer}),
      Response({.state = V_OCSP_CERTSTATUS_REVOKED, .reason = 1}),
      Response({.state = V_OCSP_CERTSTATUS_REVOKED, .signer = &signer}),
      Response({.state = V_OCSP_CERTSTATUS_UNKNOWN}),
      Response({.about = other.certificate.get()}),
      Response({.signer = &other}),
      Response({.response_status = OCSP_RESPONSE_STATUS_TRYLATER}),
  };

  std::string Response(testing::OcspOptions options) const {
    options.this_update = kNow - std::chrono::hours(1);
    return testing::MakeOcspResponse(*leaf, issuer, options);
  }
};

}  // namespace
}  // namespace genkan::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  static const fuzz::World world;
  const fuzz::EditedSeed input = fuzz::ReadEditedSeed(data, size, world.seeds);
  const auto answer = tls::VerifyOcsp(input.bytes, *world.leaf, *world.issuer, fuzz::kNow);
  GENKAN_CHECK(ERR_peek_error() == 0);
  if (input.seed >= 0 && input.seed < fuzz::World::kGoodSeeds && !input.is_edited) {
    GENKAN_CHECK(answer.has_value());
  }
  if (answer && answer->state == tls::OcspState::kGood) {
    GENKAN_CHECK(input.seed < fuzz::World::kGoodSeeds);
    GENKAN_CHECK(answer->staple.next_update > fuzz::kNow);
    GENKAN_CHECK(answer->staple.der == input.bytes);
  }
  return 0;
}
