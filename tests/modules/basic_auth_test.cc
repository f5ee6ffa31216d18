#include <crypt.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"
#include "tests/support/temp_dir.h"

namespace genkan {
extern const ModuleEntry genkan_module_basic_auth;

namespace {

using ::testing::ElementsAre;
using testing::FakeExchange;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ModuleOptions;
using testing::ModuleUnderTest;
using testing::TempDir;
using testing::WriteFile;

// bcrypt of the lowest cost, yescrypt, SHA-512-crypt …: what `prefix` says.
std::string HashOf(const std::string& password, const char* prefix = "$2y$",
                   unsigned long cost = 4) {
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  EXPECT_NE(crypt_gensalt_rn(prefix, cost, nullptr, 0, setting, sizeof(setting)), nullptr);
  crypt_data room{};
  return crypt_r(password.c_str(), setting, &room);
}

std::string Basic(const std::string& text) { return "Basic " + Base64Encode(AsBytes(text)); }

class BasicAuthTest : public ::testing::Test {
 protected:
  void Make(const std::string& keys) {
    options_ = ModuleOptions(keys);
    module_.emplace(genkan_module_basic_auth, options_.get());
    EXPECT_THAT(module_->errors, IsEmpty());
  }
  // With a file of these lines.
  void MakeFile(const std::string& text, const std::string& more = "") {
    WriteFile(dir_ / "htpasswd", text);
    Make("file = \"" + dir_ / "htpasswd" + "\"\n" + more);
  }
  // Asks with this Authorization; whether it was let in. `computes`: whether it took a hash.
  bool IsLetIn(const std::string& authorization, FakeExchange& exchange) {
    if (!authorization.empty()) exchange.request_head.headers.Add("Authorization", authorization);
    auto filter = module_->MakeFilter();
    exchange.runs_work_at_once = false;
    Verdict verdict = filter->OnRequestHead(exchange);
    computes_ = verdict == Verdict::kPause;
    if (computes_) exchange.RunOffloaded();
    bool is_in = verdict == Verdict::kContinue || exchange.resumes == 1;
    EXPECT_NE(is_in, !exchange.answers.empty());
    EXPECT_EQ(exchange.status(), is_in ? 0 : 401);
    if (is_in) filter->OnUpstreamRequest(exchange);
    return is_in;
  }
  bool IsLetIn(const std::string& authorization) {
    FakeExchange exchange;
    return IsLetIn(authorization, exchange);
  }

  TempDir dir_;
  std::shared_ptr<const ModuleTable> options_;
  std::optional<ModuleUnderTest> module_;
  bool computes_ = false;
};

TEST_F(BasicAuthTest, WhoHasThePasswordIsLetIn) {
  MakeFile("alice:" + HashOf("secret") + "\n");
  FakeExchange exchange;
  EXPECT_TRUE(IsLetIn(Basic("alice:secret"), exchange));
  EXPECT_TRUE(computes_);
  EXPECT_EQ(exchange.noted_user, "alice");
  EXPECT_FALSE(IsLetIn(Basic("alice:Secret")));
  EXPECT_FALSE(IsLetIn(Basic("alice:")));
  EXPECT_FALSE(IsLetIn(Basic("bob:secret")));
  EXPECT_FALSE(IsLetIn(Basic("Alice:secret")));
}

TEST_F(BasicAuthTest, TheAnswerNamesTheRealm) {
  MakeFile("alice:" + HashOf("secret") + "\n", "realm = \"The office\"");
  FakeExchange exchange;
  EXPECT_FALSE(IsLetIn("", exchange));
  EXPECT_EQ(exchange.answers.at(0).head.headers.Get("www-authenticate"),
            "Basic realm=\"The office\", charset=\"UTF-8\"");
  EXPECT_FALSE(computes_);
}

TEST_F(BasicAuthTest, EveryHashThatLibcryptKnowsWill) {
  MakeFile("bcrypt:" + HashOf("p1") + "\nbcrypt2b:" + HashOf("p2", "$2b$") +
           "\nyescrypt:" + HashOf("p3", "$y$", 1) + "\nsha512:" + HashOf("p4", "$6$", 1000) +
           ":a comment\nsha256:" + HashOf("p5", "$5$", 1000) + "\r\n# remark\n\n");
  EXPECT_TRUE(IsLetIn(Basic("bcrypt:p1")));
  EXPECT_TRUE(IsLetIn(Basic("bcrypt2b:p2")));
  EXPECT_TRUE(IsLetIn(Basic("yescrypt:p3")));
  EXPECT_TRUE(IsLetIn(Basic("sha512:p4")));
  EXPECT_TRUE(IsLetIn(Basic("sha256:p5")));
  EXPECT_FALSE(IsLetIn(Basic("sha256:p4")));
}

TEST_F(BasicAuthTest, WhatWasRightOnceCostsNothing) {
  MakeFile("alice:" + HashOf("secret") + "\n");
  EXPECT_TRUE(IsLetIn(Basic("alice:secret")));
  EXPECT_TRUE(computes_);
  EXPECT_TRUE(IsLetIn(Basic("alice:secret")));
  EXPECT_FALSE(computes_);
  EXPECT_FALSE(IsLetIn(Basic("alice:wrong")));
  EXPECT_TRUE(computes_);
  EXPECT_FALSE(IsLetIn(Basic("alice:wrong")));
  EXPECT_TRUE(computes_) << "what was wrong is asked again: it must not push out what was right";
}

TEST_F(BasicAuthTest, AChangedFileForgetsWhatWasRight) {
  MakeFile("alice:" + HashOf("secret") + "\nbob:" + HashOf("bobs") + "\n");
  EXPECT_TRUE(IsLetIn(Basic("alice:secret")));
  EXPECT_TRUE(IsLetIn(Basic("bob:bobs")));
  WriteFile(dir_ / "htpasswd", "alice:" + HashOf("other") + "\n");
  ASSERT_TRUE(*module_->files().at(0)->Load());
  EXPECT_FALSE(IsLetIn(Basic("alice:secret")));
  EXPECT_FALSE(IsLetIn(Basic("bob:bobs")));
  EXPECT_TRUE(IsLetIn(Basic("alice:other")));
}

TEST_F(BasicAuthTest, AFileThatChangesWhileAHashIsComputedIsNotRemembered) {
  MakeFile("alice:" + HashOf("secret") + "\n");
  FakeExchange exchange;
  exchange.request_head.headers.Add("Authorization", Basic("alice:secret"));
  exchange.runs_work_at_once = false;
  auto filter = module_->MakeFilter();
  ASSERT_EQ(filter->OnRequestHead(exchange), Verdict::kPause);
  WriteFile(dir_ / "htpasswd", "alice:" + HashOf("other") + "\n");
  ASSERT_TRUE(*module_->files().at(0)->Load());
  exchange.RunOffloaded();
  EXPECT_EQ(exchange.resumes, 1) << "it was right when it was asked";
  EXPECT_FALSE(IsLetIn(Basic("alice:secret")));
}

TEST_F(BasicAuthTest, ABrokenFileKeepsTheOldUsers) {
  MakeFile("alice:" + HashOf("secret") + "\n");
  WriteFile(dir_ / "htpasswd", "# new\nalice:$apr1$abcdefgh$0123456789abcdefghijk.\n");
  auto loaded = module_->files().at(0)->Load();
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().detail,
              HasSubstr(dir_ / "htpasswd" + ":2: user \"alice\": Apache's MD5"));
  EXPECT_TRUE(IsLetIn(Basic("alice:secret")));
}

TEST_F(BasicAuthTest, UsersMayStandInTheConfiguration) {
  Make("users = [\"alice:" + [] {
    std::string hash = HashOf("secret"), doubled;
    for (char c : hash) doubled += c == '$' ? "$$" : std::string(1, c);
    return doubled;
  }() + "\"]");
  EXPECT_TRUE(IsLetIn(Basic("alice:secret")));
  EXPECT_TRUE(IsLetIn(Basic("alice:secret")));
  EXPECT_FALSE(IsLetIn(Basic("alice:wrong")));
}

TEST_F(BasicAuthTest, WithoutUsersNobodyIsLetIn) {
  Make("");
  EXPECT_FALSE(IsLetIn(""));
  EXPECT_FALSE(IsLetIn(Basic("a:b")));
  EXPECT_FALSE(IsLetIn(Basic(":")));
}

TEST_F(BasicAuthTest, CredentialsThatAreNoneAreNone) {
  MakeFile("alice:" + HashOf("secret") + "\n");
  for (const std::string& authorization :
       {std::string("Basic"), std::string("Basic "), std::string("Bearer abc"),
        std::string("Basic !!!"), Basic("alice"), Basic("alice:secret") + " x",
        Basic(std::string("alice:secret\0x", 14)), Basic("alice:" + std::string(600, 'x')),
        Basic(std::string(300, 'a') + ":x")}) {
    EXPECT_FALSE(IsLetIn(authorization)) << authorization;
    EXPECT_FALSE(computes_) << authorization;
  }
  EXPECT_TRUE(IsLetIn("bAsIc  " + Basic("alice:secret").substr(6)));
}

TEST_F(BasicAuthTest, TwoCredentialsAreNone) {
  MakeFile("alice:" + HashOf("secret") + "\n");
  FakeExchange exchange;
  exchange.request_head.headers.Add("Authorization", Basic("alice:secret"));
  EXPECT_FALSE(IsLetIn(Basic("bob:x"), exchange));
}

TEST_F(BasicAuthTest, TheOriginHearsOfTheUserAndNotOfThePassword) {
  MakeFile("alice:" + HashOf("secret") + "\n",
           "strip_authorization = true\nuser_header = \"X-Remote-User\"");
  FakeExchange exchange;
  for (const char* name : {"X-Remote-User", "x_remote_user", "X.Remote.User"})
    exchange.request_head.headers.Add(name, "root");
  EXPECT_TRUE(IsLetIn(Basic("alice:secret"), exchange));
  ASSERT_EQ(exchange.request_head.headers.size(), 1u);
  EXPECT_EQ(exchange.request_head.headers.Get("X-Remote-User"), "alice");
}

TEST_F(BasicAuthTest, ByDefaultTheOriginGetsWhatTheClientSent) {
  MakeFile("alice:" + HashOf("secret") + "\n");
  FakeExchange exchange;
  EXPECT_TRUE(IsLetIn(Basic("alice:secret"), exchange));
  EXPECT_EQ(exchange.request_head.headers.Get("authorization"), Basic("alice:secret"));
}

TEST_F(BasicAuthTest, WhereTooMuchWaitsItSaysSo) {
  MakeFile("alice:" + HashOf("secret") + "\n");
  FakeExchange exchange;
  exchange.takes_work = false;
  exchange.request_head.headers.Add("Authorization", Basic("alice:secret"));
  EXPECT_EQ(module_->MakeFilter()->OnRequestHead(exchange), Verdict::kStop);
  EXPECT_EQ(exchange.status(), 503);
}

TEST_F(BasicAuthTest, WhatIsRememberedIsBounded) {
  std::string text;
  std::string hash = HashOf("p", "", 0);  // DES: the test makes a thousand of them
  for (int i = 0; i < 1100; ++i) text += "u" + std::to_string(i) + ":" + hash + "\n";
  MakeFile(text);
  for (int i = 0; i < 1100; ++i) ASSERT_TRUE(IsLetIn(Basic("u" + std::to_string(i) + ":p")));
  EXPECT_TRUE(IsLetIn(Basic("u1099:p")));
  EXPECT_FALSE(computes_);
  EXPECT_TRUE(IsLetIn(Basic("u0:p")));
  EXPECT_TRUE(computes_) << "the least recently used was forgotten";
}

TEST_F(BasicAuthTest, NonsenseIsAnErrorWithItsPlace) {
  auto errors = [&](const std::string& text) {
    WriteFile(dir_ / "htpasswd", text);
    auto options = ModuleOptions("file = \"" + dir_ / "htpasswd" + "\"");
    return ModuleUnderTest(genkan_module_basic_auth, options.get()).errors;
  };
  EXPECT_THAT(
      errors("alice:" + HashOf("x") + "\nbob\n"),
      ElementsAre(HasSubstr("test.toml:3:1: \"file\": " + dir_ / "htpasswd" + ":2: no name:hash")));
  EXPECT_THAT(errors("bob:plain\n"), ElementsAre(HasSubstr(":1: user \"bob\": no whole hash")));
  EXPECT_THAT(errors("bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"), ElementsAre(HasSubstr("SHA-1")));
  EXPECT_THAT(errors("bob:$2y$05$abcdefghijklmnopqrstuu\n"), ElementsAre(HasSubstr(":1: ")));
  EXPECT_THAT(errors(":" + HashOf("x")), ElementsAre(HasSubstr("no name:hash")));
  auto options = ModuleOptions(
      "file = \"/nonexistent/htpasswd\"\nrealm = \"a\\\"b\"\nuser_header = \"X User\"\nusers = "
      "[\"x\"]");
  EXPECT_EQ(ModuleUnderTest(genkan_module_basic_auth, options.get()).errors.size(), 4u);
}

}  // namespace
}  // namespace genkan
