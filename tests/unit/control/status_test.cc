#include "proxy/control/status.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace genkan::control {
namespace {

// Certificates are written one at a time; the whole is what the library would have written at once.
TEST(StatusJson, IsOneDocumentHoweverManyCertificates) {
  for (const size_t count : {0, 1, 3}) {
    RunStatus status;
    status.version = "1";
    status.listeners = {{"127.0.0.1:1", true}};
    for (size_t i = 0; i < count; ++i) {
      status.certificates.emplace_back();
      status.certificates.back().site = "a\n\"b\\";
      status.certificates.back().names = {"a.test", "b.test"};
      status.certificates.back().clients.emplace_back();
    }
    const std::string text = StatusJson(status);
    const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << text;
    EXPECT_EQ(json["certificates"].size(), count);
    EXPECT_EQ(json["traffic"]["upstream_errors"], 0);
    EXPECT_EQ(json.dump(2) + "\n", text);
  }
}

TEST(StatusJson, ANameMayHoldAnyBytes) {
  RunStatus status;
  status.certificates.emplace_back();
  status.certificates.back().name = "\xff.pem";
  const auto json = nlohmann::ordered_json::parse(StatusJson(status), nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_EQ(json["certificates"][0]["name"], "\xef\xbf\xbd.pem");
}

}  // namespace
}  // namespace genkan::control
