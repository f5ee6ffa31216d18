#include "proxy/http/h2_stream_ledger.h"

#include <gtest/gtest.h>

namespace genkan::http {
namespace {

using Verdict = H2StreamLedger::Verdict;

H2FrameHeader Headers(uint32_t stream, bool end = false) {
  return {10, H2FrameType::kHeaders, end ? H2FrameHeader::kEndStream : uint8_t{0}, stream};
}
H2FrameHeader Data(uint32_t stream, bool end = false) {
  return {10, H2FrameType::kData, end ? H2FrameHeader::kEndStream : uint8_t{0}, stream};
}
H2FrameHeader Rst(uint32_t stream) { return {4, H2FrameType::kRstStream, 0, stream}; }

TEST(H2StreamLedger, AnOrdinaryExchangeIsFine) {
  H2StreamLedger ledger;
  EXPECT_EQ(ledger.See(Headers(1)), Verdict::kFine);
  EXPECT_EQ(ledger.See(Data(1)), Verdict::kFine);
  EXPECT_EQ(ledger.See(Headers(1, true)), Verdict::kFine) << "trailers";
  EXPECT_EQ(ledger.See(Rst(1)), Verdict::kFine);
}

TEST(H2StreamLedger, NothingFollowsTheEnd) {
  H2StreamLedger ledger;
  EXPECT_EQ(ledger.See(Headers(1, true)), Verdict::kFine);
  EXPECT_EQ(ledger.See(Data(1)), Verdict::kStreamClosed);
  EXPECT_EQ(ledger.See(Headers(1)), Verdict::kStreamClosed);
}

TEST(H2StreamLedger, NothingFollowsAReset) {
  H2StreamLedger ledger;
  EXPECT_EQ(ledger.See(Headers(1)), Verdict::kFine);
  EXPECT_EQ(ledger.See(Rst(1)), Verdict::kFine);
  EXPECT_EQ(ledger.See(Data(1)), Verdict::kStreamClosed);
  EXPECT_EQ(ledger.See(Headers(1)), Verdict::kStreamClosed);
  EXPECT_EQ(ledger.See(Rst(1)), Verdict::kFine);
}

TEST(H2StreamLedger, NumbersThatWerePassedOverAreClosed) {
  H2StreamLedger ledger;
  EXPECT_EQ(ledger.See(Headers(7)), Verdict::kFine);
  for (uint32_t stream : {1u, 3u, 5u}) {
    EXPECT_EQ(ledger.See(Headers(stream)), Verdict::kGoesBack);
    EXPECT_EQ(ledger.See(Data(stream)), Verdict::kStreamClosed);
  }
  EXPECT_EQ(ledger.See(Data(7)), Verdict::kFine);
}

TEST(H2StreamLedger, LeavesIdleAndEvenNumbersToTheSession) {
  H2StreamLedger ledger;
  EXPECT_EQ(ledger.See(Data(9)), Verdict::kFine);
  EXPECT_EQ(ledger.See(Headers(2)), Verdict::kFine);
  EXPECT_EQ(ledger.See(Headers(1)), Verdict::kFine);
}

TEST(H2StreamLedger, ForgetsWhatIsLongGone) {
  H2StreamLedger ledger;
  for (uint32_t stream = 1; stream < 10'000; stream += 2) {
    ASSERT_EQ(ledger.See(Headers(stream, true)), Verdict::kFine);
  }
  EXPECT_EQ(ledger.See(Headers(9'001)), Verdict::kStreamClosed);
  EXPECT_EQ(ledger.See(Headers(1)), Verdict::kFine);
  EXPECT_EQ(ledger.See(Headers(0x7fffffff)), Verdict::kFine) << "a leap costs no time";
  EXPECT_EQ(ledger.See(Headers(0x7ffffffd)), Verdict::kGoesBack);
  EXPECT_EQ(ledger.See(Headers(0x7fffffff, true)), Verdict::kFine);
}

}  // namespace
}  // namespace genkan::http
