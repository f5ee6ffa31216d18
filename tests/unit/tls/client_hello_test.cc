#include "proxy/tls/client_hello.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "proxy/base/text.h"
#include "proxy/tls/openssl_ptr.h"

namespace genkan::tls {
namespace {

std::string Int(size_t value, size_t width) {
  std::string text(width, '\0');
  for (size_t i = 0; i < width; ++i) text[width - 1 - i] = static_cast<char>(value >> (8 * i));
  return text;
}
std::string Vector(std::string_view body, size_t width) {
  return Int(body.size(), width).append(body);
}
std::string Extension(unsigned type, std::string_view body) {
  return Int(type, 2) + Vector(body, 2);
}
std::string ServerName(std::string_view name) {
  return Extension(0, Vector(std::string(1, '\0') + Vector(name, 2), 2));
}

struct Hello {
  std::string suites = "\x13\x01\xc0\x2b\xc0\x2f";
  std::string extensions;
  bool has_extensions = true;
  std::string version = "\x03\x03";

  std::string Message() const {
    std::string body = version + std::string(32, 'r') + Vector("", 1) + Vector(suites, 2) +
                       Vector(std::string(1, '\0'), 1);
    if (has_extensions) body += Vector(extensions, 2);
    return "\x01" + Vector(body, 3);
  }
  std::string Records(size_t fragment = 16384) const {
    std::string message = Message(), records;
    for (size_t at = 0; at < message.size(); at += fragment)
      records += "\x16\x03\x01" + Vector(std::string_view(message).substr(at, fragment), 2);
    return records;
  }
};

ClientHello Parsed(const Hello& hello) {
  auto parsed = ParseClientHello(hello.Records());
  EXPECT_TRUE(parsed) << parsed.error().detail;
  EXPECT_TRUE(parsed && *parsed);
  return parsed && *parsed ? **parsed : ClientHello();
}

// What OpenSSL's client would send.
std::string RealHello(const char* name, std::string_view alpn, const char* signatures = nullptr,
                      int max_version = 0) {
  SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_max_proto_version(context.get(), max_version);
  if (signatures != nullptr) SSL_CTX_set1_sigalgs_list(context.get(), signatures);
  if (!alpn.empty())
    SSL_CTX_set_alpn_protos(context.get(), AsBytes(alpn).data(), static_cast<unsigned>(alpn.size()));
  SslPtr ssl(SSL_new(context.get()));
  if (name != nullptr) SSL_set_tlsext_host_name(ssl.get(), name);
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  SSL_connect(ssl.get());
  char* bytes = nullptr;
  long size = BIO_get_mem_data(out, &bytes);
  TakeOpensslErrors();
  return {bytes, static_cast<size_t>(size)};
}

TEST(ClientHello, ReadsOpensslsAtEverySplit) {
  std::string bytes = RealHello("WWW.Example.COM", "\x02h2\x08http/1.1");
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    auto part = ParseClientHello(std::string_view(bytes).substr(0, cut));
    ASSERT_TRUE(part) << cut << ": " << part.error().detail;
    ASSERT_FALSE(part->has_value()) << cut;
  }
  auto whole = ParseClientHello(bytes + "whatever follows");
  ASSERT_TRUE(whole && *whole);
  EXPECT_EQ((*whole)->server_name, "www.example.com");
  EXPECT_EQ((*whole)->alpn, (std::vector<std::string>{"h2", "http/1.1"}));
  EXPECT_TRUE((*whole)->offers_ecdsa);
  EXPECT_TRUE((*whole)->offers_rsa);
  EXPECT_TRUE((*whole)->offers_tls13);
}

TEST(ClientHello, ReadsFragmentsOfAnySize) {
  Hello hello;
  hello.extensions = ServerName("a.test") + Extension(16, Vector(Vector("acme-tls/1", 1), 2));
  for (size_t fragment = 1; fragment < hello.Message().size() + 1; ++fragment) {
    std::string records = hello.Records(fragment);
    auto parsed = ParseClientHello(records);
    ASSERT_TRUE(parsed && *parsed) << fragment;
    EXPECT_EQ((*parsed)->server_name, "a.test");
    EXPECT_EQ((*parsed)->alpn, std::vector<std::string>{"acme-tls/1"});
    auto part = ParseClientHello(std::string_view(records).substr(0, records.size() - 1));
    ASSERT_TRUE(part) << fragment;
    EXPECT_FALSE(part->has_value()) << fragment;
  }
}

TEST(ClientHello, KindsOfCertificateFollowSignaturesAndSuites) {
  struct Case {
    const char* signatures;
    int version;
    bool ecdsa, rsa;
  };
  for (const Case& c : {Case{"ECDSA+SHA256", TLS1_3_VERSION, true, false},
                        {"RSA-PSS+SHA256:RSA+SHA256", TLS1_3_VERSION, false, true},
                        {"ECDSA+SHA256:RSA+SHA256", TLS1_2_VERSION, true, true},
                        {"RSA+SHA256", TLS1_2_VERSION, false, true}}) {
    auto parsed = ParseClientHello(RealHello("a.test", "", c.signatures, c.version));
    ASSERT_TRUE(parsed && *parsed) << c.signatures;
    EXPECT_EQ((*parsed)->offers_ecdsa, c.ecdsa) << c.signatures;
    EXPECT_EQ((*parsed)->offers_rsa, c.rsa) << c.signatures;
    EXPECT_EQ((*parsed)->offers_tls13, c.version == TLS1_3_VERSION);
  }
  Hello old;
  old.has_extensions = false;
  old.suites = "\xc0\x13\xc0\x14";
  EXPECT_FALSE(Parsed(old).offers_ecdsa) << "an RSA suite only, whatever it can sign";
  EXPECT_TRUE(Parsed(old).offers_rsa);
  old.suites = "\xc0\x09";
  EXPECT_TRUE(Parsed(old).offers_ecdsa);
  EXPECT_FALSE(Parsed(old).offers_rsa);
}

TEST(ClientHello, NameIsLowerCaseWithoutItsLastDot) {
  Hello hello;
  hello.extensions = ServerName("A.Test.");
  EXPECT_EQ(Parsed(hello).server_name, "a.test");
  hello.extensions.clear();
  EXPECT_EQ(Parsed(hello).server_name, "");
}

TEST(ClientHello, RefusesHostileOnes) {
  std::vector<std::string> hostile = {
      "GET / HTTP/1.1\r\n", "\x15\x03\x01", "\x80\x2e\x01\x03\x01", std::string("\x16\x02\x01\0\5", 5),
      std::string("\x16\x03\x01\0\0", 5),                // an empty record
      std::string("\x16\x03\x01\x40\x01", 5),            // longer than a record may be
      std::string("\x16\x03\x01\0\4\2\0\0\0", 9),        // a ServerHello
      std::string("\x16\x03\x01\0\4\1\xff\xff\xff", 9),  // a message of 16 MiB
      std::string("\x16\x03\x01\0\4\1\0\0\0", 9),        // an empty hello
  };
  auto with = [&](const std::string& extensions) {
    Hello hello;
    hello.extensions = extensions;
    hostile.push_back(hello.Records());
  };
  with(ServerName("a.test") + ServerName("b.test"));
  with(ServerName(""));
  with(ServerName(std::string("a\0b", 3)));
  with(ServerName(std::string(256, 'a')));
  with(Extension(0, ""));
  with(Extension(0, Int(0, 2)));
  with(Extension(0, Int(9, 2) + "x"));
  with(Extension(0, Vector(std::string(1, '\0') + Vector("a", 2), 2) + "trailing"));
  with(Extension(0, Vector(std::string(1, '\0') + Vector("a", 2) + std::string(1, '\0') + Vector("b", 2), 2)));
  with(Extension(16, ""));
  with(Extension(16, Vector(Vector("", 1), 2)));
  with(Extension(16, Vector("\x05h2", 2)));
  with(Extension(13, Vector("\x04", 2)));
  with(Extension(13, Vector("", 2)));
  with(Extension(43, Vector("\x03", 1)));
  with(Extension(43, Vector("", 1)));
  with(std::string("\0\0\xff\xff", 4));
  with(std::string("\0", 1));
  Hello hello;
  hello.suites = "";
  hostile.push_back(hello.Records());
  hello.suites = "\x13\x01\x13";
  hostile.push_back(hello.Records());
  hello.suites = "\x13\x01";
  hello.version = "\x02\x02";
  hostile.push_back(hello.Records());
  for (const std::string& bytes : hostile) {
    auto parsed = ParseClientHello(bytes);
    EXPECT_FALSE(parsed) << HexEncode(AsBytes(bytes));
  }
}

TEST(ClientHello, NeverWantsMoreThanSixteenKilobytes) {
  Hello hello;
  hello.extensions = Extension(21, std::string(15'000, '\0'));
  EXPECT_TRUE(ParseClientHello(hello.Records()));
  std::string drips = hello.Records(1);
  EXPECT_FALSE(ParseClientHello(std::string_view(drips).substr(0, 16384)));
  hello.extensions = Extension(21, std::string(17'000, '\0'));
  EXPECT_FALSE(ParseClientHello(std::string_view(hello.Records()).substr(0, 100)));
}

TEST(ClientHello, EveryChangedByteIsSurvived) {
  Hello hello;
  hello.extensions = ServerName("a.test") + Extension(16, Vector(Vector("h2", 1), 2)) +
                     Extension(13, Vector("\x04\x03\x08\x04", 2)) + Extension(43, Vector("\x03\x04", 1));
  std::string records = hello.Records();
  for (size_t at = 0; at < records.size(); ++at) {
    for (int value : {0, 1, 0x7f, 0x80, 0xff}) {
      std::string changed = records;
      changed[at] = static_cast<char>(value);
      (void)ParseClientHello(changed);  // under ASan: no read outside
    }
  }
}

}  // namespace
}  // namespace genkan::tls
