// ChainBuilder on 1,000 random pools, among them 64 cross-signed authorities of one name and many
// keys, without key ids, so that only signatures tell them apart. Fails where one needs more than
// 256 signature checks; prints how long they take.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>

#include "proxy/tls/chain_builder.h"
#include "tests/support/test_ca.h"

namespace {

using namespace genkan;
using testing::Issued;

constexpr size_t kAuthorities = 64;
constexpr size_t kPools = 1000;

struct Mesh {
  std::vector<Issued> authorities, leaves;
};

Mesh MakeMesh(std::mt19937& random) {
  Mesh mesh;
  mesh.authorities.push_back(
      testing::MakeRoot({.common_name = "One", .key_label = "k0", .has_key_ids = false}));
  while (mesh.authorities.size() < kAuthorities) {
    const Issued issuer = mesh.authorities[random() % mesh.authorities.size()];
    mesh.authorities.push_back(
        testing::MakeIntermediate(issuer, {.common_name = "One",
                                           .key_label = "k" + std::to_string(random() % 48),
                                           .has_key_ids = false}));
  }
  for (const Issued& issuer : mesh.authorities)
    mesh.leaves.push_back(
        testing::MakeLeaf(issuer, {.names = {"a.test"}, .key_label = "l", .has_key_ids = false}));
  return mesh;
}

tls::ChainInput MakePool(const Mesh& mesh, std::mt19937& random, bool takes_all) {
  tls::ChainInput input;
  input.now = SystemClock().Wall();
  input.leaf = mesh.leaves[random() % mesh.leaves.size()].certificate;
  const size_t share = takes_all ? 1 : 1 + random() % 4;
  for (const Issued& one : mesh.authorities) {
    if (random() % share != 0) continue;
    (random() % 16 == 0 ? input.roots : input.pool).push_back(one.certificate);
  }
  std::shuffle(input.pool.begin(), input.pool.end(), random);
  return input;
}

}  // namespace

int main() {
  std::mt19937 random(20261125);
  const Mesh mesh = MakeMesh(random);
  std::vector<double> millis;
  int most_checks = 0;
  size_t complete = 0;
  for (size_t i = 0; i < kPools; ++i) {
    const tls::ChainInput input = MakePool(mesh, random, i % 10 == 0);
    const std::clock_t begin = std::clock();  // processor time: the machine may be busy
    const tls::Chain chain = tls::ChainBuilder::Build(input);
    millis.push_back(1000.0 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
    most_checks = std::max(most_checks, chain.signature_checks);
    complete += chain.is_complete ? 1 : 0;
  }
  std::sort(millis.begin(), millis.end());
  std::printf(
      "%zu pools, %zu complete: at most %d signature checks; median %.2f ms, p99 %.2f ms, "
      "most %.2f ms\n",
      kPools, complete, most_checks, millis[kPools / 2], millis[kPools * 99 / 100], millis.back());
  return most_checks <= tls::ChainBuilder::kMaxSignatureChecks ? 0 : 1;
}
