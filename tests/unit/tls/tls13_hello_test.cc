#include "proxy/tls/tls13_hello.h"

#include <gtest/gtest.h>

#include "proxy/base/text.h"

namespace genkan::tls {
namespace {

std::string Int(unsigned value, size_t bytes) {
  std::string text;
  while (bytes-- > 0) text.push_back(static_cast<char>(value >> (8 * bytes)));
  return text;
}
std::string Vector(size_t width, const std::string& content) {
  return Int(static_cast<unsigned>(content.size()), width) + content;
}
std::string Extension(unsigned type, const std::string& content) {
  return Int(type, 2) + Vector(2, content);
}

// A hello, each part of which can be another.
struct Hello {
  std::string version = Int(0x0303, 2);
  std::string session_id = std::string(32, 'i');
  std::string suites = Int(0x0a0a, 2) + Int(0x1303, 2) + Int(0x1301, 2);
  std::string compressions = std::string(1, '\0');
  std::string name = Extension(0, Vector(2, Int(0, 1) + Vector(2, "a.test")));
  std::string versions = Extension(43, Vector(1, Int(0x0304, 2) + Int(0x0303, 2)));
  std::string groups = Extension(10, Vector(2, Int(0x001d, 2) + Int(0x0017, 2)));
  std::string shares = Extension(51, Vector(2, Int(0x001d, 2) + Vector(2, std::string(32, 'x'))));
  std::string modes = Extension(45, Vector(1, Int(1, 1)));
  std::string more;
  std::string identities = Vector(2, "ticket") + Int(7, 4);
  std::string binders = Vector(1, std::string(32, 'b'));
  std::string behind_psk, behind;
  bool resumes = true;

  std::string Record() const {
    std::string psk = Extension(41, Vector(2, identities) + Vector(2, binders));
    if (!resumes) psk.clear();
    const std::string body =
        version + std::string(32, 'r') + Vector(1, session_id) + Vector(2, suites) +
        Vector(1, compressions) +
        Vector(2, name + versions + groups + shares + modes + more + psk + behind_psk) + behind;
    return "\x16\x03\x01" + Vector(2, "\x01" + Vector(3, body));
  }
};

TEST(Tls13Hello, HasWhatAResumptionNeeds) {
  const std::string bytes = Hello().Record();
  const auto hello = ParseTls13Hello(bytes);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->message, std::string_view(bytes).substr(5));
  EXPECT_EQ(hello->before_binders, std::string_view(bytes).substr(5, bytes.size() - 5 - 2 - 33));
  EXPECT_EQ(hello->session_id, std::string(32, 'i'));
  EXPECT_EQ(hello->suite, 0x1303) << "the client's first of ours";
  EXPECT_EQ(hello->share, std::string(32, 'x'));
  EXPECT_EQ(hello->identity, "ticket");
  EXPECT_EQ(hello->binder, std::string(32, 'b'));
  auto seen = InterpretHello(hello->fields);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->server_name, "a.test");
  EXPECT_TRUE(seen->offers_tls13);
}

TEST(Tls13Hello, TakesTheFirstOfSeveralIdentitiesAndSharesWeDoNotKnow) {
  Hello given;
  given.identities += Vector(2, "another") + Int(8, 4);
  given.binders += Vector(1, std::string(48, 'c'));
  given.shares = Extension(51, Vector(2, Int(0x2a2a, 2) + Vector(2, "g") + Int(0x001d, 2) +
                                             Vector(2, std::string(32, 'x')) + Int(0x0017, 2) +
                                             Vector(2, std::string(65, 'p'))));
  given.groups = Extension(10, Vector(2, Int(0x2a2a, 2) + Int(0x001d, 2) + Int(0x0017, 2)));
  given.modes = Extension(45, Vector(1, Int(0, 1) + Int(1, 1)));
  given.more = Extension(0x3a3a, "") + Extension(21, std::string(100, '\0'));
  given.session_id = "";
  const std::string bytes = given.Record();
  const auto hello = ParseTls13Hello(bytes);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->identity, "ticket");
  EXPECT_EQ(hello->binder, std::string(32, 'b'));
  EXPECT_EQ(hello->share, std::string(32, 'x'));
}

std::string Status(const std::string& body) { return Extension(5, body); }

TEST(Tls13Hello, HasWhatAWholeHandshakeNeeds) {
  Hello given;
  given.resumes = false;
  given.more = Extension(13, Vector(2, Int(0x0403, 2)));
  std::string bytes = given.Record();
  auto hello = ParseTls13Hello(bytes);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->message, std::string_view(bytes).substr(5));
  EXPECT_EQ(hello->identity, "");
  EXPECT_EQ(hello->suite, 0x1303);
  EXPECT_EQ(hello->share, std::string(32, 'x'));
  EXPECT_EQ(hello->fields.signatures, Vector(2, Int(0x0403, 2)));
  EXPECT_TRUE(hello->takes_tickets);
  EXPECT_FALSE(hello->wants_staple);

  given.modes = Extension(45, Vector(1, Int(0, 1)));
  given.more += Status(Int(1, 1) + Vector(2, "") + Vector(2, ""));
  bytes = given.Record();
  hello = ParseTls13Hello(bytes);
  ASSERT_TRUE(hello);
  EXPECT_FALSE(hello->takes_tickets) << "psk_ke alone (RFC 8446 4.2.9)";
  EXPECT_TRUE(hello->wants_staple);
  given.modes.clear();
  given.more = Status(Int(2, 1) + "whatever");
  bytes = given.Record();
  hello = ParseTls13Hello(bytes);
  ASSERT_TRUE(hello);
  EXPECT_FALSE(hello->takes_tickets || hello->wants_staple) << "of another kind";
}

TEST(Tls13Hello, LeavesWhatIsForLibsslToJudge) {
  const auto with = [](auto change) {
    Hello hello;
    change(hello);
    return hello.Record();
  };
  const std::string share = Int(0x001d, 2) + Vector(2, std::string(32, 'x'));
  for (const auto& [name, bytes] : {
           std::pair{"version", with([](Hello& h) { h.version = Int(0x0302, 2); })},
           {"long session id", with([](Hello& h) { h.session_id.assign(33, 'i'); })},
           {"no suite", with([](Hello& h) { h.suites = Int(0xc02b, 2); })},
           {"odd suites", with([](Hello& h) { h.suites += "x"; })},
           {"compression", with([](Hello& h) { h.compressions = std::string("\1\0", 2); })},
           {"no version", with([](Hello& h) { h.versions.clear(); })},
           {"TLS 1.2",
            with([](Hello& h) { h.versions = Extension(43, Vector(1, Int(0x0303, 2))); })},
           {"no groups", with([](Hello& h) { h.groups.clear(); })},
           {"other groups",
            with([](Hello& h) { h.groups = Extension(10, Vector(2, Int(0x17, 2))); })},
           {"no shares", with([](Hello& h) { h.shares.clear(); })},
           {"P-256 first", with([&](Hello& h) {
              h.shares =
                  Extension(51, Vector(2, Int(0x17, 2) + Vector(2, std::string(65, 'p')) + share));
            })},
           {"short share", with([](Hello& h) {
              h.shares = Extension(51, Vector(2, Int(0x1d, 2) + Vector(2, std::string(31, 'x'))));
            })},
           {"no modes", with([](Hello& h) { h.modes.clear(); })},
           {"psk_ke alone", with([](Hello& h) { h.modes = Extension(45, Vector(1, Int(0, 1))); })},
           {"limits on certificates",
            with([](Hello& h) { h.more = Extension(50, Vector(2, Int(0x0403, 2))); })},
           {"any extension twice",
            with([](Hello& h) { h.more = Extension(0x3a3a, "") + Extension(0x3a3a, ""); })},
           {"SRTP", with([](Hello& h) { h.more = Extension(14, "s"); })},
           {"a share of a group that is not offered", with([&](Hello& h) {
              h.shares = Extension(51, Vector(2, Int(0x2a2a, 2) + Vector(2, "g") + share));
            })},
           {"names of no form",
            with([](Hello& h) { h.more = Extension(47, Vector(2, Vector(2, "n"))); })},
           {"two names", with([](Hello& h) {
              h.name = Extension(
                  0, Vector(2, Int(0, 1) + Vector(2, "a.test") + Int(0, 1) + Vector(2, "b.test")));
            })},
           {"early data", with([](Hello& h) { h.more = Extension(42, ""); })},
           {"cookie", with([](Hello& h) { h.more = Extension(44, Vector(2, "c")); })},
           {"fragments", with([](Hello& h) { h.more = Extension(1, "\x01"); })},
           {"responders", with([](Hello& h) {
              h.more = Status(Int(1, 1) + Vector(2, Vector(2, "r")) + Vector(2, ""));
            })},
           {"extensions of a responder's",
            with([](Hello& h) { h.more = Status(Int(1, 1) + Vector(2, "") + Vector(2, "x")); })},
           {"an empty status_request", with([](Hello& h) { h.more = Status(""); })},
           {"a short status_request",
            with([](Hello& h) { h.more = Status(Int(1, 1) + Vector(2, "")); })},
           {"status_request twice",
            with([](Hello& h) { h.more = Status(Int(2, 1)) + Status(Int(2, 1)); })},
           {"twice", with([](Hello& h) { h.more = h.modes; })},
           {"empty twice", with([](Hello& h) { h.more = Extension(16, "") + Extension(16, ""); })},
           {"psk not last", with([](Hello& h) { h.behind_psk = Extension(21, ""); })},
           {"no identity", with([](Hello& h) { h.identities.clear(), h.binders.clear(); })},
           {"empty identity", with([](Hello& h) { h.identities = Vector(2, "") + Int(7, 4); })},
           {"no binder", with([](Hello& h) { h.binders.clear(); })},
           {"a binder more", with([](Hello& h) { h.binders += h.binders; })},
           {"short binder", with([](Hello& h) { h.binders = Vector(1, std::string(31, 'b')); })},
           {"more behind", with([](Hello& h) { h.behind = "x"; })},
           {"another record behind", Hello().Record() + "\x14"},
           {"another type", "\x17" + Hello().Record().substr(1)},
           {"another message", Hello().Record().replace(5, 1, "\x02")},
       })
    EXPECT_FALSE(ParseTls13Hello(bytes)) << name;
}

TEST(Tls13Hello, APartIsNoHello) {
  for (bool resumes : {true, false}) {
    Hello hello;
    hello.resumes = resumes;
    const std::string bytes = hello.Record();
    for (size_t i = 0; i < bytes.size(); ++i)
      EXPECT_FALSE(ParseTls13Hello(std::string_view(bytes).substr(0, i))) << i;
  }
}

}  // namespace
}  // namespace genkan::tls
