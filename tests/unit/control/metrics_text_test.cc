#include "proxy/control/metrics_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace genkan::control {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RunStatus StatusWithCertificate() {
  RunStatus status;
  status.certificates.emplace_back();
  CertificateStatus& certificate = status.certificates.back();
  certificate.site = "a.test";
  certificate.name = "live";
  certificate.is_in_service = true;
  certificate.not_after = WallTime(Seconds(1'800'000'000));
  return status;
}

TEST(MetricsText, AddsTheWorkersUp) {
  server::WorkerMetrics first, second;
  first.requests_h1.Add(2);
  second.requests_h1.Add(3);
  second.requests_h2.Add(7);
  second.responses[4].Add(4);
  first.loop_lag_micros.Set(1'500);
  second.loop_lag_micros.Set(500);
  RunStatus status;
  status.traffic.Add(first);
  status.traffic.Add(second);
  std::string text = MetricsText(status);
  EXPECT_THAT(text, HasSubstr("\ngenkan_requests_total{protocol=\"h1\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("\ngenkan_requests_total{protocol=\"h2\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("\ngenkan_responses_total{class=\"4xx\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("\ngenkan_loop_lag_seconds 0.0015\n"));
}

TEST(MetricsText, BucketsOfAHistogramAreCumulative) {
  server::WorkerMetrics metrics;
  metrics.request_duration.Observe(400);
  metrics.request_duration.Observe(700);
  metrics.request_duration.Observe(120'000'000);
  RunStatus status;
  status.traffic.Add(metrics);
  std::string text = MetricsText(status);
  EXPECT_THAT(text, HasSubstr("genkan_request_duration_seconds_bucket{le=\"0.0005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("genkan_request_duration_seconds_bucket{le=\"0.001\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("genkan_request_duration_seconds_bucket{le=\"60\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("genkan_request_duration_seconds_bucket{le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("genkan_request_duration_seconds_count 3\n"));
}

TEST(MetricsText, SaysWhenACertificateExpires) {
  std::string text = MetricsText(StatusWithCertificate());
  EXPECT_THAT(text, HasSubstr("genkan_certificate_not_after_seconds{site=\"a.test\",name=\"live\"} "
                              "1800000000\n"));
  EXPECT_THAT(text,
              HasSubstr("genkan_certificate_chain_complete{site=\"a.test\",name=\"live\"} 0\n"));
}

TEST(MetricsText, ACertificateOutOfServiceHasNoDates) {
  RunStatus status = StatusWithCertificate();
  status.certificates.back().is_in_service = false;
  std::string text = MetricsText(status);
  EXPECT_THAT(text, HasSubstr("genkan_certificate_in_service{site=\"a.test\",name=\"live\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("genkan_certificate_not_after_seconds{")));
}

TEST(MetricsText, ExactlyOneRevocationStateIsOne) {
  RunStatus status = StatusWithCertificate();
  status.certificates.back().revocation = "revoked";
  std::string text = MetricsText(status);
  for (const char* state : {"good", "unknown"}) {
    EXPECT_THAT(text, HasSubstr(fmt::format("name=\"live\",state=\"{}\"}} 0\n", state)));
  }
  EXPECT_THAT(text, HasSubstr("name=\"live\",state=\"revoked\"} 1\n"));
}

TEST(MetricsText, EachCodeOfAFindingIsOneSeries) {
  RunStatus status = StatusWithCertificate();
  status.certificates[0].finding_codes = {"NAME_MISMATCH", "NAME_MISMATCH", "LEAF_EXPIRED"};
  const std::string text = MetricsText(status);
  const std::string series = "genkan_certificate_finding{site=\"a.test\",name=\"live\",code=";
  EXPECT_THAT(text, HasSubstr(series + "\"LEAF_EXPIRED\"} 1\n"));
  const std::string mismatch = series + "\"NAME_MISMATCH\"} 1\n";
  EXPECT_EQ(text.find(mismatch), text.rfind(mismatch));
  EXPECT_THAT(text, HasSubstr(mismatch));
}

TEST(MetricsText, QuotesInLabelsAreEscaped) {
  RunStatus status = StatusWithCertificate();
  status.certificates.back().name = "a\"b\\c\nd";
  EXPECT_THAT(MetricsText(status), HasSubstr("name=\"a\\\"b\\\\c\\nd\""));
}

TEST(MetricsText, NamesEveryOrigin) {
  RunStatus status;
  status.upstreams.push_back({"app", 3, {{"127.0.0.1:8080", false, false, 2, 1, 40, 5}}});
  std::string text = MetricsText(status);
  EXPECT_THAT(text, HasSubstr("genkan_upstream_waiting{pool=\"app\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("genkan_upstream_up{pool=\"app\",server=\"127.0.0.1:8080\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("genkan_upstream_requests_total{pool=\"app\",server="
                              "\"127.0.0.1:8080\"} 40\n"));
}

}  // namespace
}  // namespace genkan::control
