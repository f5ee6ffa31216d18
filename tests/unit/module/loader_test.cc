#include "proxy/module/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/fake_exchange.h"
#include "tests/support/temp_dir.h"

namespace genkan {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ModuleLoader, AModuleThatWasBuiltWithTheseHeadersLoadsAndWorks) {
  auto entry = LoadModule(SECURITY_HEADERS_SO);
  ASSERT_TRUE(entry) << entry.error().detail;
  EXPECT_STREQ((*entry)->name, "security_headers");
  testing::ModuleUnderTest module(**entry, nullptr);
  EXPECT_THAT(module.errors, IsEmpty());
  EXPECT_EQ(module.hooks(), unsigned{kHookResponseHead});
  testing::FakeExchange exchange;
  exchange.view.is_tls = true;
  exchange.response_head.headers.Add("Strict-Transport-Security", "max-age=1");
  EXPECT_EQ(module.MakeFilter()->OnResponseHead(exchange), Verdict::kContinue);
  EXPECT_EQ(exchange.response_head.headers.Get("x-content-type-options"), "nosniff");
  EXPECT_EQ(exchange.response_head.headers.Count("strict-transport-security"), 1u);
}

TEST(ModuleLoader, TwiceIsTheSameModule) {
  auto first = LoadModule(SECURITY_HEADERS_SO), second = LoadModule(SECURITY_HEADERS_SO);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
}

TEST(ModuleLoader, AModuleOfAnotherGenkanIsRefusedBeforeAnythingOfItRuns) {
  auto entry = LoadModule(FOREIGN_MODULE_SO);
  ASSERT_FALSE(entry);
  EXPECT_THAT(entry.error().detail, HasSubstr("sdk-0123456789abcdef gcc-4"));
  EXPECT_THAT(entry.error().detail, HasSubstr(SdkAbiTag()));
  EXPECT_THAT(entry.error().detail, HasSubstr("build it again"));
  EXPECT_EQ(std::getenv("GENKAN_TEST_FOREIGN_MODULE_RAN"), nullptr);
}

TEST(ModuleLoader, ASharedObjectThatIsNoModuleIsRefused) {
  auto entry = LoadModule(NO_MODULE_SO);
  ASSERT_FALSE(entry);
  EXPECT_THAT(entry.error().detail, HasSubstr("no genkan module"));
}

TEST(ModuleLoader, AFileThatIsNoSharedObjectIsRefused) {
  testing::TempDir dir;
  testing::WriteFile(dir / "a.so", std::string("text ") + SdkAbiTag());
  auto entry = LoadModule(dir / "a.so");
  ASSERT_FALSE(entry);
  EXPECT_THAT(entry.error().detail, HasSubstr("no shared object"));
}

TEST(ModuleLoader, AFileThatIsCutIsAnErrorAndNoCrash) {
  testing::TempDir dir;
  testing::WriteFile(dir / "a.so",
                     "\x7f"
                     "ELF\x02\x01\x01" +
                         std::string(64, '\0') + SdkAbiTag());
  EXPECT_FALSE(LoadModule(dir / "a.so"));
}

TEST(ModuleLoader, AFileThatIsNotThereSaysSo) {
  auto entry = LoadModule("/nowhere/a.so");
  ASSERT_FALSE(entry);
  EXPECT_EQ(entry.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(entry.error().detail, HasSubstr("/nowhere/a.so: No such file"));
}

TEST(ModuleLoader, AFolderIsNoModule) {
  testing::TempDir dir;
  EXPECT_FALSE(LoadModule(dir.path().string()));
}

TEST(ModuleLoader, TheTagSaysWhatItDependsOn) {
  EXPECT_THAT(SdkAbiTag(),
              ::testing::MatchesRegex("genkan-module-abi: sdk-[0-9a-f]+ [a-z]+-[0-9]+ abi-.*"));
}

}  // namespace
}  // namespace genkan
