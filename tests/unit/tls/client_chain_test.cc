#include "proxy/tls/client_chain.h"

#include <gtest/gtest.h>

#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using genkan::testing::Issued;
using genkan::testing::MakeIntermediate;
using genkan::testing::MakeLeaf;
using genkan::testing::MakeRoot;

std::string Name(const Issued& certificate) {
  const X509_NAME* name = X509_get_subject_name(certificate.certificate->x509());
  unsigned char* der = nullptr;
  const int size = i2d_X509_NAME(name, &der);
  std::string text(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return text;
}

// The body of certificate_authorities.
std::string Authorities(const std::vector<std::string>& names) {
  std::string list;
  const auto with_length = [](const std::string& bytes) {
    return std::string{static_cast<char>(bytes.size() >> 8), static_cast<char>(bytes.size())} +
           bytes;
  };
  for (const std::string& name : names) list += with_length(name);
  return with_length(list);
}

struct TwoChains {
  Issued dst = MakeRoot({.common_name = "DST Root CA X3"});
  Issued x1 = MakeRoot({.common_name = "ISRG Root X1"});
  Issued other = MakeRoot({.common_name = "Another root"});
  Issued x1_by_dst = MakeIntermediate(dst, {.common_name = "ISRG Root X1"});
  Issued r3 = MakeIntermediate(x1, {.common_name = "R3"});
  Issued leaf = MakeLeaf(r3, {.names = {"a.test"}});
  BundlePtr both = Bundle({leaf.certificate, r3.certificate, x1_by_dst.certificate});
  BundlePtr one = Bundle({});

  BundlePtr Bundle(std::vector<CertificatePtr> long_chain) const {
    return *CertificateBundle::Make({leaf.certificate, r3.certificate}, leaf.key,
                                    std::move(long_chain));
  }
};

// Old Android as its hello shows it.
ClientHello OldAndroid() {
  ClientHello hello;
  hello.offers_chacha20 = true;
  return hello;
}

TEST(ClientChain, TheAuthoritiesThatAreNamedDecide) {
  const TwoChains t;
  const struct {
    const char* what;
    std::vector<const Issued*> names;
    bool is_long;
  } cases[] = {
      {"the old root", {&t.dst}, true},     {"the new root", {&t.x1}, false},
      {"both", {&t.dst, &t.x1}, false},     {"the old one among others", {&t.other, &t.dst}, true},
      {"the intermediate", {&t.r3}, false},
  };
  for (const auto& c : cases) {
    std::vector<std::string> names;
    for (const Issued* one : c.names) names.push_back(Name(*one));
    for (const bool is_new : {false, true}) {
      ClientHello hello;
      hello.offers_tls13 = is_new;
      hello.authorities = Authorities(names);
      EXPECT_EQ(WantsLongChain(hello, *t.both), c.is_long) << c.what;
      EXPECT_FALSE(WantsLongChain(hello, *t.one)) << "there is no long one";
    }
  }
}

TEST(ClientChain, WithoutNamesOldAndroidAloneGetsTheLongOne) {
  const TwoChains t;
  EXPECT_TRUE(WantsLongChain(OldAndroid(), *t.both));
  EXPECT_FALSE(WantsLongChain(OldAndroid(), *t.one));
  ClientHello current = OldAndroid(), openssl_1_1_0 = OldAndroid(), patched = OldAndroid();
  current.offers_tls13 = true;
  openssl_1_1_0.has_encrypt_then_mac = true;
  patched.has_heartbeat = true;
  for (const ClientHello& hello : {current, openssl_1_1_0, patched, ClientHello()})
    EXPECT_FALSE(WantsLongChain(hello, *t.both));
  ClientHello indifferent = OldAndroid();
  indifferent.authorities = Authorities({Name(t.other)});
  EXPECT_TRUE(WantsLongChain(indifferent, *t.both)) << "names of neither say nothing";
}

TEST(ClientChain, BrokenNamesSayNothing) {
  const TwoChains t;
  const std::string good = Authorities({Name(t.dst)});
  for (const std::string& body :
       {std::string("\0", 1), std::string("\0\0", 2), std::string("\0\4\0\0ab", 6),
        std::string("\0\4\xff\xff"
                    "ab",
                    6),
        good.substr(0, good.size() - 1), Authorities({"no name at all", "\x30\x80"})}) {
    ClientHello hello;
    hello.authorities = body;
    EXPECT_FALSE(WantsLongChain(hello, *t.both));
  }
  ClientHello hello;
  hello.authorities = Authorities({"no name at all", Name(t.dst)});
  EXPECT_TRUE(WantsLongChain(hello, *t.both)) << "what follows is read";
}

TEST(ClientChain, ALongChainIsOfTheSameLeaf) {
  const TwoChains t;
  const Issued other = MakeLeaf(t.r3, {.names = {"b.test"}});
  EXPECT_FALSE(CertificateBundle::Make({t.leaf.certificate, t.r3.certificate}, t.leaf.key,
                                       {other.certificate, t.r3.certificate})
                   .has_value());
  const BundlePtr stapled = t.both->WithStaple(nullptr);
  EXPECT_EQ(stapled->long_chain().size(), 3u);
  EXPECT_EQ(sk_X509_num(stapled->long_intermediates()), 2);
  EXPECT_EQ(sk_X509_num(stapled->intermediates()), 1);
}

}  // namespace
}  // namespace genkan::tls
