// LookUpInCrl on edited lists: no crash, an empty error queue, and the signature holds: no edit
// takes the certificate off the list.
#include "proxy/tls/crl.h"

#include <openssl/err.h>

#include "proxy/base/check.h"
#include "tests/fuzz/edited_seed.h"
#include "tests/support/test_ca.h"

namespace genkan::fuzz {
namespace {

const WallTime kNow(Seconds(1'800'000'000));

struct World {
  testing::Issued issuer = testing::MakeRoot(Options("Root", 1));
  testing::Issued leaf = [this] {
    auto options = Options("leaf.test", 2);
    options.crl_urls = {"http://crl.test/1"};
    return testing::MakeLeaf(issuer, options);
  }();
  // The leaf is on each of them but the last.
  std::vector<std::string> seeds = {
      List("", {{"02", kNow, 1}}),
      List("critical,onlyuser:TRUE,fullname:URI:http://crl.test/1",
           {{"01", kNow}, {"02", kNow, 4}, {"0300", kNow}}),
      List("critical,indirectCRL:TRUE", {{"02", kNow}}),
      List("", {{"01", kNow}, {"0300", kNow}}),
  };

  static testing::CertificateOptions Options(std::string name, uint64_t serial) {
    return {.common_name = std::move(name),
            .not_before = kNow - std::chrono::hours(999),
            .not_after = kNow + std::chrono::hours(999),
            .key_kind = testing::KeyKind::kEd25519,
            .serial = serial};
  }
  std::string List(std::string point, std::vector<testing::RevokedEntry> revoked) const {
    return testing::MakeCrl(issuer, {.this_update = kNow - std::chrono::hours(1),
                                     .revoked = std::move(revoked),
                                     .distribution_point = std::move(point)});
  }
};

}  // namespace
}  // namespace genkan::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  static const fuzz::World world;
  const fuzz::EditedSeed input = fuzz::ReadEditedSeed(data, size, world.seeds);
  const auto answer = tls::LookUpInCrl(input.bytes, *world.leaf, *world.issuer, fuzz::kNow);
  GENKAN_CHECK(ERR_peek_error() == 0);
  const bool is_off_the_list = input.seed == static_cast<int>(world.seeds.size()) - 1;
  if (answer) GENKAN_CHECK(input.seed >= 0 && answer->is_revoked != is_off_the_list);
  return 0;
}
