#include "proxy/control/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "proxy/base/log.h"

namespace genkan::control {
namespace {

using ::testing::HasSubstr;

const std::string kPath = "/.well-known/acme-challenge/tOkEn";
const std::string kFirst = "http://a.test" + kPath;

Hop Answer(int status, const std::string& body = "", const std::string& redirect = "") {
  Hop hop;
  hop.end = HopEnd::kAnswered;
  hop.address = "192.0.2.1 port 80";
  hop.status = status;
  hop.body = body;
  hop.redirect = redirect;
  hop.server = "nginx";
  return hop;
}

Hop Failure(HopEnd end, const std::string& error) {
  Hop hop;
  hop.end = end;
  hop.error = error;
  return hop;
}

ProxyHit Seen(int status, const std::string& answered_by, const std::string& target = kPath) {
  ProxyHit hit;
  hit.host = "a.test";
  hit.target = target;
  hit.site = "a.test";
  hit.status = status;
  hit.answered_by = answered_by;
  return hit;
}

class Preflight : public ::testing::Test {
 protected:
  Preflight() {
    placement.token = "tOkEn";
    placement.answer = "tOkEn.print";
    placement.how = "webroot";
    placement.where = "/srv/.well-known/acme-challenge";
    placement.webroots = {"/srv", "/other"};
    placement.is_proxy_asked = true;
  }
  Walk Go() {
    return WalkAsAuthority(
        "a.test", "192.0.2.1", placement,
        [&](const std::string& url) {
          auto found = answers.find(url);
          Hop hop = found == answers.end() ? Answer(500) : found->second;
          hop.url = url;
          return hop;
        },
        [&] { return hits; });
  }

  Placement placement;
  std::map<std::string, Hop> answers;
  std::vector<ProxyHit> hits;
};

TEST_F(Preflight, TheRightAnswerIsGood) {
  answers[kFirst] = Answer(200, "tOkEn.print\n");
  hits = {Seen(200, "acme_challenge:webroot:/srv")};
  Walk walk = Go();
  EXPECT_EQ(walk.code, "OK");
  EXPECT_THAT(walk.text, HasSubstr("acme_challenge:webroot:/srv"));
  EXPECT_TRUE(walk.is_good());
}

TEST_F(Preflight, FollowsRedirectsAsAnAuthorityDoes) {
  answers[kFirst] = Answer(301, "", "https://a.test" + kPath);
  answers["https://a.test" + kPath] = Answer(200, "tOkEn.print");
  hits = {Seen(301, "redirect_to_https"), Seen(200, "acme_challenge:webroot:/srv")};
  Walk walk = Go();
  EXPECT_EQ(walk.code, "OK");
  ASSERT_EQ(walk.hops.size(), 2u);
  ASSERT_TRUE(walk.hits[0] && walk.hits[1]);
  EXPECT_EQ(walk.hits[0]->answered_by, "redirect_to_https");
}

TEST_F(Preflight, NamesTheWayThatTheConnectionFails) {
  struct {
    HopEnd end;
    const char* code;
    const char* word;
  } cases[] = {{HopEnd::kRefused, "PORT_CLOSED", "port 80 is closed"},
               {HopEnd::kSilent, "CONNECT_TIMEOUT", "no connection"},
               {HopEnd::kMute, "ANSWER_TIMEOUT", "no answer"},
               {HopEnd::kBroken, "NOT_HTTP", "no HTTP answer"},
               {HopEnd::kTlsFailed, "TLS_FAILED", "handshake"},
               {HopEnd::kNotResolved, "NAME_NOT_RESOLVED", "does not resolve"}};
  for (const auto& one : cases) {
    answers[kFirst] = Failure(one.end, "why");
    Walk walk = Go();
    EXPECT_EQ(walk.code, one.code);
    EXPECT_THAT(walk.text, HasSubstr(one.word));
    EXPECT_FALSE(walk.advice.empty()) << one.code;
    EXPECT_FALSE(walk.is_good());
  }
}

TEST_F(Preflight, SeesLoopsAndRedirectsThatNobodyFollows) {
  answers[kFirst] = Answer(302, "", "http://a.test/login");
  answers["http://a.test/login"] = Answer(302, "", kFirst);
  EXPECT_EQ(Go().code, "REDIRECT_LOOP");
  answers[kFirst] = Answer(302, "", kFirst);
  EXPECT_EQ(Go().code, "REDIRECT_LOOP");
  answers[kFirst] = Answer(302, "", "http://a.test:8080/x");
  EXPECT_EQ(Go().code, "BAD_REDIRECT");
  answers[kFirst] = Answer(302, "", "ftp://a.test/x");
  EXPECT_EQ(Go().code, "BAD_REDIRECT");
  answers[kFirst] = Answer(307, "", "http://a.test/0");
  for (int i = 0; i < 20; ++i)
    answers[fmt::format("http://a.test/{}", i)] =
        Answer(307, "", fmt::format("http://a.test/{}", i + 1));
  Walk walk = Go();
  EXPECT_EQ(walk.code, "TOO_MANY_REDIRECTS");
  EXPECT_EQ(walk.hops.size(), kMostRedirects + 1);
}

TEST_F(Preflight, NamesTheFilterThatDenies) {
  answers[kFirst] = Answer(403);
  hits = {Seen(403, "url_filter")};
  hits[0].module = "shut";
  Walk walk = Go();
  EXPECT_EQ(walk.code, "DENIED_BY_FILTER");
  EXPECT_THAT(walk.text, HasSubstr("403 by url_filter ([module.shut])"));
}

TEST_F(Preflight, NamesTheFoldersThatWereSearched) {
  answers[kFirst] = Answer(404);
  hits = {Seen(404, "acme_challenge")};
  hits[0].reason = "webroot:/srv: Permission denied";
  Walk walk = Go();
  EXPECT_EQ(walk.code, "NOT_FOUND");
  EXPECT_THAT(walk.text, HasSubstr("/srv, /other: webroot:/srv: Permission denied"));
}

TEST_F(Preflight, NamesTheUpstream) {
  answers[kFirst] = Answer(404);
  hits = {Seen(404, "")};
  hits[0].upstream = "127.0.0.1:8080";
  EXPECT_EQ(Go().code, "NOT_FOUND_AT_UPSTREAM");
  answers[kFirst] = Answer(403);
  hits[0].status = 403;
  Walk walk = Go();
  EXPECT_EQ(walk.code, "DENIED_BY_UPSTREAM");
  EXPECT_THAT(walk.text, HasSubstr("127.0.0.1:8080"));
}

TEST_F(Preflight, KnowsAnotherServer) {
  answers[kFirst] = Answer(404);
  Walk walk = Go();
  EXPECT_EQ(walk.code, "ANOTHER_SERVER");
  EXPECT_THAT(walk.text, HasSubstr("\"nginx\""));
  answers[kFirst] = Answer(200, "welcome");
  EXPECT_EQ(Go().code, "ANOTHER_SERVER");
  hits = {Seen(200, "", "/elsewhere")};
  EXPECT_EQ(Go().code, "ANOTHER_SERVER") << "what the proxy saw was another request";
}

TEST_F(Preflight, WaitsForWhatTheProxyHasNotWrittenDownYet) {
  answers[kFirst] = Answer(301, "", "https://a.test" + kPath);
  answers["https://a.test" + kPath] = Answer(403);
  int questions = 0;
  Walk walk = WalkAsAuthority(
      "a.test", "192.0.2.1", placement,
      [&](const std::string& url) {
        Hop hop = answers.at(url);
        hop.url = url;
        return hop;
      },
      [&] {
        std::vector<ProxyHit> so_far = {Seen(301, "redirect_to_https")};
        if (++questions >= 3) so_far.push_back(Seen(403, "url_filter"));
        return so_far;
      });
  EXPECT_EQ(walk.code, "DENIED_BY_FILTER");
  EXPECT_EQ(questions, 3);
}

TEST_F(Preflight, WithoutAProxyToAskTheAnswersSpeak) {
  placement.is_proxy_asked = false;
  answers[kFirst] = Answer(404);
  Walk walk = Go();
  EXPECT_EQ(walk.code, "NOT_FOUND");
  EXPECT_THAT(walk.text, HasSubstr(placement.where));
  answers[kFirst] = Answer(403);
  EXPECT_EQ(Go().code, "DENIED");
  answers[kFirst] = Answer(200, "<html>");
  EXPECT_EQ(Go().code, "WRONG_ANSWER");
  answers[kFirst] = Answer(200, "tOkEn.print");
  EXPECT_EQ(Go().code, "OK");
  placement.answer = "";
  answers[kFirst] = Answer(404);
  EXPECT_EQ(Go().code, "REACHABLE");
}

TEST_F(Preflight, TextAndJsonSayTheSame) {
  answers[kFirst] = Answer(403);
  hits = {Seen(403, "url_filter")};
  PreflightReport report;
  report.host = "a.test";
  report.placement = placement;
  report.addresses = {"192.0.2.1"};
  report.walks = {Go()};
  EXPECT_FALSE(report.is_good());
  EXPECT_THAT(PreflightText(report), HasSubstr("stop     DENIED_BY_FILTER: 403 by url_filter"));
  auto json = nlohmann::json::parse(PreflightJson(report));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["stop"], "DENIED_BY_FILTER");
  EXPECT_EQ(json["good"], false);
  EXPECT_EQ(json["walks"][0]["hops"][0]["status"], 403);
  EXPECT_EQ(json["walks"][0]["hops"][0]["answered_by"], "url_filter");
  report.walks.clear();
  report.resolve_error = "a.test does not resolve: Name or service not known";
  EXPECT_THAT(PreflightText(report), HasSubstr("NAME_NOT_RESOLVED"));
  EXPECT_EQ(nlohmann::json::parse(PreflightJson(report))["stop"], "NAME_NOT_RESOLVED");
}

TEST_F(Preflight, WhatAServerSaysReachesNoTerminalRaw) {
  answers[kFirst] = Answer(302, "", "http://a.test/\x1b[31m");
  PreflightReport report;
  report.placement = placement;
  report.walks = {Go()};
  EXPECT_EQ(PreflightText(report).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace genkan::control
