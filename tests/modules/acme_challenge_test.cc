#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"
#include "tests/support/temp_dir.h"

namespace genkan {
extern const ModuleEntry genkan_module_acme_challenge;

namespace {

using ::testing::ElementsAre;
using testing::FakeExchange;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ModuleOptions;
using testing::ModuleUnderTest;
using testing::WriteFile;

const std::string kPrefix = "/.well-known/acme-challenge/";
const std::string kToken = "tOkEn-_123";
const std::string kThumbprint(43, 'T');
const std::string kAuthorization = kToken + "." + kThumbprint;

class AcmeChallenge : public ::testing::Test {
 protected:
  void Configure(const std::string& keys) {
    filters_.clear();  // before the module that they came from
    options_ = ModuleOptions(keys);
    module_ = std::make_unique<ModuleUnderTest>(genkan_module_acme_challenge, options_.get());
    EXPECT_THAT(module_->errors, IsEmpty());
  }
  void UseWebroot() { Configure("webroot = [\"" + (dir_ / "root") + "\"]"); }
  void Put(const std::string& token, const std::string& content) {
    WriteFile(dir_ / ("root" + kPrefix + token), content);
  }
  Verdict Pass(FakeExchange& exchange) {
    filters_.push_back(module_->MakeFilter());
    return filters_.back()->OnRequestHead(exchange);
  }
  // The answer's status; 0: the request goes on as any other.
  int StatusOf(const std::string& target) {
    FakeExchange exchange(target);
    Verdict verdict = Pass(exchange);
    filters_.clear();
    EXPECT_EQ(exchange.forwards, 0);
    EXPECT_EQ(verdict == Verdict::kContinue, exchange.answers.empty());
    return exchange.status();
  }

  testing::TempDir dir_;
  std::shared_ptr<const ModuleTable> options_;
  std::unique_ptr<ModuleUnderTest> module_;
  std::vector<std::unique_ptr<ExchangeFilter>> filters_;
};

TEST_F(AcmeChallenge, AnswersAFileOfTheWebroot) {
  UseWebroot();
  Put(kToken, kAuthorization + "\n");
  FakeExchange exchange(kPrefix + kToken);
  EXPECT_EQ(Pass(exchange), Verdict::kPause) << "files are read off the worker";
  ASSERT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.answers[0].body, kAuthorization);
  EXPECT_EQ(exchange.answers[0].answered_by, "acme_challenge:webroot:" + (dir_ / "root"));
  EXPECT_EQ(exchange.answers[0].head.headers.Get("cache-control"), "no-store");
  EXPECT_EQ(exchange.resumes, 0);
}

TEST_F(AcmeChallenge, TheFirstWebrootThatHasItAnswers) {
  Configure("webroot = [\"" + (dir_ / "none") + "\", \"" + (dir_ / "root") + "\"]");
  Put(kToken, kAuthorization);
  EXPECT_EQ(StatusOf(kPrefix + kToken), 200);
}

TEST_F(AcmeChallenge, EveryOtherPathPasses) {
  UseWebroot();
  for (const char* path : {"/", "/a", "/.well-known/security.txt", "/.well-known/acme-challenges/x",
                           "/a%20b/../c", "/%E3%81%82", "/a//b", "*", "/acme-challenge/x"})
    EXPECT_EQ(StatusOf(path), 0) << path;
}

TEST_F(AcmeChallenge, NothingElseUnderThePrefixGoesAnywhere) {
  UseWebroot();
  Put(kToken, kAuthorization);
  WriteFile(dir_ / "root/secret", kAuthorization);
  for (const std::string& rest :
       {std::string(""), kToken + "/", kToken + "/x", std::string("../../secret"),
        std::string("..%2f..%2fsecret"), std::string("%2e%2e/secret"), kToken + "?x=1",
        kToken + "?", kToken + ".html", std::string("a%00b"), std::string("a.b"),
        std::string("a+b"), std::string("a\\b"), std::string("a;b"), std::string(129, 'a')})
    EXPECT_EQ(StatusOf(kPrefix + rest), 404) << rest;
}

TEST_F(AcmeChallenge, OtherSpellingsOfThePrefixGoNowhereEither) {
  UseWebroot();
  Put(kToken, kAuthorization);
  for (const char* prefix : {"/.well-known/acme-challenge", "/.well-known/acme%2Dchallenge/",
                             "/%2ewell-known/acme-challenge/", "/.well-known//acme-challenge/",
                             "//.well-known/acme-challenge/", "/x/../.well-known/acme-challenge/",
                             "/./.well-known/acme-challenge/", "/.well-known%2facme-challenge/",
                             "/%252ewell-known/acme-challenge/", "/.well-known\\acme-challenge/",
                             "/.WELL-known/Acme-Challenge/", "/.well-known;x/acme-challenge/%61",
                             "/.well-known/acme%252dchallenge/", "/.well-known%25252facme-challenge/",
                             "/%c0%ae\x77\x65ll-known/acme-challenge/", "/.well-known%e0%80%afacme-challenge/",
                             "/%u002ewell-known/acme-challenge/", "/%ef%bc%8ewell-known/acme-challenge/",
                             "/.well-known./acme-challenge/", "/.well-known%20/acme-challenge/",
                             "/.well-known%00/acme-challenge/", "/x/..%3b/.well-known/acme-challenge/",
                             "/\xef\xbb\xbf.well-known/acme-challenge/"})
    EXPECT_EQ(StatusOf(prefix + (prefix[std::strlen(prefix) - 1] == '/' ? kToken : "")), 404)
        << prefix;
}

TEST_F(AcmeChallenge, OnlyGetAndHeadWithoutABody) {
  UseWebroot();
  Put(kToken, kAuthorization);
  for (const char* method : {"POST", "PUT", "OPTIONS", "DELETE", "get"}) {
    FakeExchange exchange(kPrefix + kToken);
    exchange.request_head.method = method;
    EXPECT_EQ(Pass(exchange), Verdict::kStop);
    EXPECT_EQ(exchange.status(), 404) << method;
  }
  FakeExchange body(kPrefix + kToken);
  body.request_head.framing = http::BodyFraming::kChunked;
  Pass(body);
  EXPECT_EQ(body.status(), 404);
  FakeExchange head(kPrefix + kToken);
  head.request_head.method = "HEAD";
  Pass(head);
  EXPECT_EQ(head.status(), 200);
}

TEST_F(AcmeChallenge, SymlinksAndSpecialFilesAreNotFollowed) {
  UseWebroot();
  WriteFile(dir_ / "outside", kAuthorization);
  std::filesystem::create_directories(dir_ / ("root" + kPrefix));
  std::filesystem::create_symlink(dir_ / "outside", dir_ / ("root" + kPrefix + kToken));
  EXPECT_EQ(StatusOf(kPrefix + kToken), 404);
  ASSERT_EQ(mkfifo((dir_ / ("root" + kPrefix + "fifo")).c_str(), 0600), 0);
  EXPECT_EQ(StatusOf(kPrefix + "fifo"), 404) << "and does not wait for somebody to write";
  std::filesystem::create_directory(dir_ / ("root" + kPrefix + "folder"));
  EXPECT_EQ(StatusOf(kPrefix + "folder"), 404);
}

TEST_F(AcmeChallenge, AFolderOnTheWayThatIsASymlinkIsNotFollowed) {
  UseWebroot();
  WriteFile(dir_ / ("other/acme-challenge/" + kToken), kAuthorization);
  std::filesystem::create_directories(dir_ / "root");
  std::filesystem::create_directory_symlink(dir_ / "other", dir_ / "root/.well-known");
  EXPECT_EQ(StatusOf(kPrefix + kToken), 404);
}

TEST_F(AcmeChallenge, WhatIsNoKeyAuthorizationIsNotSent) {
  UseWebroot();
  for (const std::string& content :
       {std::string(""), std::string("secret"), kToken, kToken + ".", kToken + ".short",
        "other." + kThumbprint, kAuthorization + "x", kAuthorization + "\nroot:x:0:0",
        kToken + "." + std::string(42, 'T') + "!", std::string(2000, 'x')}) {
    Put(kToken, content);
    EXPECT_EQ(StatusOf(kPrefix + kToken), 404) << content;
  }
}

TEST_F(AcmeChallenge, AThumbprintAnswersEveryTokenLast) {
  Configure("thumbprint = \"" + kThumbprint + "\"");
  FakeExchange exchange(kPrefix + "any");
  EXPECT_EQ(Pass(exchange), Verdict::kStop);
  ASSERT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.answers[0].body, "any." + kThumbprint);

  FakeExchange own(kPrefix + "any");
  own.thumbprint = std::string(43, 'S');
  Pass(own);
  EXPECT_EQ(own.answers.at(0).body, "any." + own.thumbprint) << "the site's own comes first";
}

TEST_F(AcmeChallenge, TheUpstreamGetsWhatTheWebrootDoesNotHave) {
  UseWebroot();
  FakeExchange exchange(kPrefix + kToken);
  exchange.has_challenge_upstream = true;
  EXPECT_EQ(Pass(exchange), Verdict::kPause);
  EXPECT_EQ(exchange.forwards, 1);
  EXPECT_THAT(exchange.answers, IsEmpty());

  Put(kToken, kAuthorization);
  FakeExchange local(kPrefix + kToken);
  local.has_challenge_upstream = true;
  Pass(local);
  EXPECT_EQ(local.forwards, 0);
  EXPECT_EQ(local.status(), 200);

  FakeExchange query(kPrefix + kToken + "?x");
  query.has_challenge_upstream = true;
  Pass(query);
  EXPECT_EQ(query.forwards, 0) << "only tokens reach the upstream";
}

TEST_F(AcmeChallenge, AThumbprintIsBetterThanAnUpstreamsRefusal) {
  Configure("thumbprint = \"" + kThumbprint + "\"");
  FakeExchange exchange(kPrefix + kToken);
  exchange.has_challenge_upstream = true;
  Pass(exchange);
  ASSERT_EQ(exchange.forwards, 1);
  exchange.response_head.status = 404;
  EXPECT_EQ(filters_.back()->OnResponseHead(exchange), Verdict::kStop);
  EXPECT_EQ(exchange.answers.at(0).body, kAuthorization);

  EXPECT_EQ(exchange.answers.at(0).answered_by, "acme_challenge:thumbprint");
}

TEST_F(AcmeChallenge, TheUpstreamsAnswerMustHaveTheForm) {
  struct {
    Result<std::string> body;
    int status;  // 0: nothing is said
    std::string reason;
  } cases[] = {{kAuthorization + "\n", 200, ""},
               {std::string("<html>a page for every path</html>"), 404, "upstream: wrong length"},
               {Fail(ErrorCode::kTooLarge, "too long a body"), 404, "upstream: too long a body"}};
  Configure("");
  for (const auto& one : cases) {
    FakeExchange exchange(kPrefix + kToken);
    exchange.has_challenge_upstream = true;
    Pass(exchange);
    ASSERT_EQ(exchange.forwards, 1);
    exchange.response_head.status = 200;
    ASSERT_EQ(filters_.back()->OnResponseHead(exchange), Verdict::kPause);
    EXPECT_EQ(exchange.most_collected, 1024u);
    exchange.collected(one.body);
    EXPECT_EQ(exchange.status(), one.status);
    EXPECT_EQ(exchange.noted, one.reason);
    if (one.status == 200) {
      EXPECT_EQ(exchange.answers[0].body, kAuthorization);
      EXPECT_EQ(exchange.answers[0].answered_by, "acme_challenge:upstream");
    }
  }
}

TEST_F(AcmeChallenge, AfterAWrongAnswerOfTheUpstreamTheThumbprintAnswers) {
  Configure("thumbprint = \"" + kThumbprint + "\"");
  FakeExchange exchange(kPrefix + kToken);
  exchange.has_challenge_upstream = true;
  Pass(exchange);
  exchange.response_head.status = 200;
  ASSERT_EQ(filters_.back()->OnResponseHead(exchange), Verdict::kPause);
  exchange.collected(std::string("welcome"));
  ASSERT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.answers[0].answered_by, "acme_challenge:thumbprint");
}

TEST_F(AcmeChallenge, ARefusalOrRedirectOfTheUpstreamIsPassedOn) {
  Configure("");
  for (int status : {301, 403, 404, 500}) {
    FakeExchange exchange(kPrefix + kToken);
    exchange.has_challenge_upstream = true;
    Pass(exchange);
    exchange.response_head.status = status;
    EXPECT_EQ(filters_.back()->OnResponseHead(exchange), Verdict::kContinue) << status;
    EXPECT_THAT(exchange.answers, IsEmpty());
  }
}

TEST_F(AcmeChallenge, AnUpstreamThatHangsShutsThePathForNobodyElse) {
  UseWebroot();
  Put(kToken, kAuthorization);
  std::vector<std::unique_ptr<FakeExchange>> hanging;
  for (int i = 0; i < 100; ++i) {
    hanging.push_back(std::make_unique<FakeExchange>(kPrefix + "none"));
    hanging.back()->request_head.authority = "h" + std::to_string(i) + ".test";
    hanging.back()->has_challenge_upstream = true;
    Pass(*hanging.back());
    ASSERT_EQ(hanging.back()->forwards, 1) << i;
  }
  FakeExchange other(kPrefix + kToken);
  Pass(other);
  EXPECT_EQ(other.status(), 200);
}

TEST_F(AcmeChallenge, OwnTokensComeFirst) {
  UseWebroot();
  Put(kToken, kAuthorization);
  FakeExchange exchange(kPrefix + kToken);
  exchange.own_answer = kToken + "." + std::string(43, 'o');
  EXPECT_EQ(Pass(exchange), Verdict::kStop) << "no file is looked at";
  ASSERT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.answers[0].body, exchange.own_answer);
  EXPECT_EQ(exchange.answers[0].answered_by, "acme_challenge:own");
}

TEST_F(AcmeChallenge, AWebrootThatBecomesASymlinkIsNotFollowed) {
  WriteFile(dir_ / ("other" + kPrefix + kToken), kAuthorization);
  std::filesystem::create_directory(dir_ / "root");
  UseWebroot();
  std::filesystem::remove(dir_ / "root");
  std::filesystem::create_directory_symlink(dir_ / "other", dir_ / "root");
  FakeExchange exchange(kPrefix + kToken);
  Pass(exchange);
  EXPECT_EQ(exchange.status(), 404);
  EXPECT_THAT(exchange.noted, HasSubstr("has become a symlink"));
  UseWebroot();
  EXPECT_EQ(StatusOf(kPrefix + kToken), 200) << "one that is a symlink from the start is meant";
}

TEST_F(AcmeChallenge, Modes) {
  Configure("mode = \"off\"");
  EXPECT_EQ(StatusOf(kPrefix + kToken), 0);
  Configure("mode = \"always\"");
  FakeExchange exchange(kPrefix + kToken);
  EXPECT_EQ(Pass(exchange), Verdict::kStop);
  EXPECT_EQ(exchange.forwards, 1);
  Configure("");
  EXPECT_EQ(StatusOf(kPrefix + kToken), 404);
}

TEST_F(AcmeChallenge, TwentyRequestsASecondForAHost) {
  Configure("thumbprint = \"" + kThumbprint + "\"");
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(StatusOf(kPrefix + "a"), 200) << i;
  int status = StatusOf(kPrefix + "a");
  if (std::chrono::steady_clock::now() - start < Seconds(1)) {
    EXPECT_EQ(status, 429);
  }
  for (const char* same : {"A.test", "a.test:80", "a.test."}) {
    FakeExchange spelled(kPrefix + "a");
    spelled.request_head.authority = same;
    Pass(spelled);
    if (std::chrono::steady_clock::now() - start < Seconds(1)) {
      EXPECT_EQ(spelled.status(), 429) << same;
    }
    filters_.clear();
  }
  FakeExchange other(kPrefix + "a");
  other.request_head.authority = "b.test";
  Pass(other);
  EXPECT_EQ(other.status(), 200) << "another host has its own";
}

TEST_F(AcmeChallenge, SixtyFourTokensUnderWay) {
  UseWebroot();
  std::vector<std::unique_ptr<FakeExchange>> exchanges;
  for (int i = 0; i < 65; ++i) {
    exchanges.push_back(std::make_unique<FakeExchange>(kPrefix + kToken));
    exchanges.back()->request_head.authority = "h" + std::to_string(i) + ".test";
    exchanges.back()->runs_work_at_once = false;
    Pass(*exchanges.back());
  }
  EXPECT_THAT(exchanges[63]->answers, IsEmpty());
  EXPECT_EQ(exchanges[64]->status(), 429);
  filters_.clear();
  FakeExchange after(kPrefix + kToken);
  after.runs_work_at_once = false;
  EXPECT_EQ(Pass(after), Verdict::kPause) << "those that are done make room";
}

TEST_F(AcmeChallenge, NoThreadToLookIsA503) {
  UseWebroot();
  FakeExchange exchange(kPrefix + kToken);
  exchange.takes_work = false;
  EXPECT_EQ(Pass(exchange), Verdict::kStop);
  EXPECT_EQ(exchange.status(), 503);
}

// Answers one connection with `answer`.
class Standalone {
 public:
  explicit Standalone(std::string answer) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    listen(listener_, 1);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, answer = std::move(answer)] {
      int fd = accept(listener_, nullptr, nullptr);
      char bytes[4096];
      ssize_t got;
      while (request_.find("\r\n\r\n") == std::string::npos &&
             (got = read(fd, bytes, sizeof bytes)) > 0)
        request_.append(bytes, static_cast<size_t>(got));
      [[maybe_unused]] ssize_t put = write(fd, answer.data(), answer.size());
      close(fd);
    });
  }
  ~Standalone() {
    shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    close(listener_);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string request() {
    thread_.join();
    return request_;
  }

 private:
  int listener_ = -1;
  uint16_t port_ = 0;
  std::string request_;
  std::thread thread_;
};

TEST_F(AcmeChallenge, AsksAClientInStandaloneMode) {
  Standalone standalone("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + kAuthorization);
  Configure("standalone = \"" + standalone.address() + "\"");
  FakeExchange exchange(kPrefix + kToken);
  Pass(exchange);
  ASSERT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.answers[0].body, kAuthorization);
  EXPECT_THAT(standalone.request(),
              HasSubstr("GET " + kPrefix + kToken + " HTTP/1.0\r\nHost: a.test\r\n"));
}

TEST_F(AcmeChallenge, AStandaloneClientsNonsenseIsNotSent) {
  for (const std::string& answer : {std::string("HTTP/1.0 200 OK\r\n\r\nsecret"),
                                    std::string("HTTP/1.0 404 Not Found\r\n\r\n" + kAuthorization),
                                    std::string("HTTP/1.0 500 Oh\r\n\r\n" + kAuthorization),
                                    std::string("nonsense"), std::string()}) {
    Standalone standalone(answer);
    Configure("standalone = \"" + standalone.address() + "\"");
    EXPECT_EQ(StatusOf(kPrefix + kToken), 404) << answer;
  }
}

TEST_F(AcmeChallenge, NobodyInStandaloneModeIsNoTrouble) {
  std::string address;
  {
    Standalone standalone("");
    address = standalone.address();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(10))));
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    close(fd);
  }
  Configure("standalone = \"" + address + "\"");
  EXPECT_EQ(StatusOf(kPrefix + kToken), 404);
}

TEST_F(AcmeChallenge, StandaloneIsOnLoopbackAlone) {
  for (const char* address :
       {"192.0.2.1:80", "localhost:80", "127.0.0.1", "127.0.0.1:0", "[2001:db8::1]:80", ":80"}) {
    auto options = ModuleOptions(std::string("standalone = \"") + address + "\"");
    EXPECT_THAT(ModuleUnderTest(genkan_module_acme_challenge, options.get()).errors,
                ElementsAre(HasSubstr("test.toml:3:1: \"standalone\"")))
        << address;
  }
  Configure("standalone = \"[::1]:8888\"");
}

TEST_F(AcmeChallenge, LogsWhoAskedAndWhatAnswered) {
  std::vector<std::string> lines;
  SetLogObserver([&](LogLevel level, std::string_view event, std::string_view text) {
    if (level >= LogLevel::kInfo) lines.push_back(std::string(event) + " " + std::string(text));
  });
  UseWebroot();
  Put(kToken, kAuthorization);
  StatusOf(kPrefix + kToken);
  Put(kToken, "secret");
  StatusOf(kPrefix + kToken);
  SetLogObserver({});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], HasSubstr("challenge_answered token=" + kToken +
                                  " host=a.test client=192.0.2.1 by=webroot:/"));
  EXPECT_THAT(lines[1], HasSubstr("challenge_answer_unusable"));
  EXPECT_THAT(lines[1], HasSubstr("wrong length"));
}

TEST_F(AcmeChallenge, AWebrootThatIsNotThereIsSaid) {
  std::string line;
  SetLogObserver([&](LogLevel level, std::string_view, std::string_view text) {
    if (level == LogLevel::kWarn) line = text;
  });
  UseWebroot();
  StatusOf(kPrefix + kToken);
  SetLogObserver({});
  EXPECT_THAT(line, HasSubstr("/root: No such file or directory"));
}

TEST_F(AcmeChallenge, TokensThatNobodyHasFillNoLog) {
  int lines = 0;
  SetLogObserver([&](LogLevel level, std::string_view, std::string_view) {
    lines += level >= LogLevel::kInfo ? 1 : 0;
  });
  Configure("");
  for (int i = 0; i < 50; ++i) {
    FakeExchange exchange(kPrefix + kToken);
    exchange.request_head.authority = std::to_string(i) + ".test";
    Pass(exchange);
    filters_.clear();
  }
  SetLogObserver({});
  EXPECT_EQ(lines, 10);
}

}  // namespace
}  // namespace genkan
