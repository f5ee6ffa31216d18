#include "proxy/http/h2_frame_scanner.h"

#include <gtest/gtest.h>

#include "tests/support/h2_frames.h"

namespace genkan::http {
namespace {

struct Seen {
  std::string fed;
  std::vector<H2FrameHeader> begun;
  std::vector<uint32_t> ended;
  std::vector<uint32_t> words;
};

void Scan(H2FrameScanner& scanner, std::string_view bytes, Seen& seen) {
  while (!bytes.empty()) {
    auto piece = scanner.Next(bytes);
    ASSERT_GT(piece.taken, 0u);
    bytes.remove_prefix(piece.taken);
    if (piece.begins_frame) seen.begun.push_back(scanner.header());
    seen.fed += piece.feed;
    if (piece.ends_frame) {
      seen.ended.push_back(scanner.header().stream);
      seen.words.push_back(scanner.first_word());
    }
  }
}

TEST(H2FrameScanner, FindsTheSameFramesAtEverySplit) {
  std::string talk = std::string(test::kH2Preface) + test::Frame(test::kSettings, 0, 0) +
                     test::Frame(test::kHeaders, 5, 1, "abc") + test::Frame(test::kData, 0, 3, "") +
                     test::Frame(test::kData, 1, 0x80000005, std::string(300, 'x'));
  for (size_t at = 0; at <= talk.size(); ++at) {
    SCOPED_TRACE(at);
    H2FrameScanner scanner;
    Seen seen;
    Scan(scanner, std::string_view(talk).substr(0, at), seen);
    Scan(scanner, std::string_view(talk).substr(at), seen);
    EXPECT_EQ(seen.fed, talk) << "every byte reaches the session, in order";
    ASSERT_EQ(seen.begun.size(), 4u);
    EXPECT_EQ(seen.ended, (std::vector<uint32_t>{0, 1, 3, 5}));
    EXPECT_EQ(seen.words, (std::vector<uint32_t>{0, 0x61626300, 0, 0x78787878}));
    EXPECT_EQ(seen.begun[1].type, H2FrameType::kHeaders);
    EXPECT_EQ(seen.begun[1].length, 3u);
    EXPECT_TRUE(seen.begun[1].has(H2FrameHeader::kEndHeaders));
    EXPECT_EQ(seen.begun[3].stream, 5u) << "without the reserved bit";
    EXPECT_EQ(seen.begun[3].length, 300u);
  }
}

}  // namespace
}  // namespace genkan::http
