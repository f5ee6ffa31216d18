#include "proxy/control/metrics_text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <set>

namespace genkan::control {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

double InSeconds(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

class Families {
 public:
  MetricFamily& Begin(MetricType type, std::string name, std::string help) {
    families_.push_back({std::move(name), std::move(help), type, {}});
    return families_.back();
  }
  void Counter(std::string name, std::string help, uint64_t value) {
    Count(Begin(MetricType::Counter, std::move(name), std::move(help)), {}, value);
  }
  void Gauge(std::string name, std::string help, double value) {
    Set(Begin(MetricType::Gauge, std::move(name), std::move(help)), {}, value);
  }
  static void Count(MetricFamily& family, Labels labels, uint64_t value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.counter.value = static_cast<double>(value);
    family.metric.push_back(std::move(metric));
  }
  static void Set(MetricFamily& family, Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    family.metric.push_back(std::move(metric));
  }
  void Histogram(std::string name, std::string help, const DurationTotals& totals) {
    MetricFamily& family = Begin(MetricType::Histogram, std::move(name), std::move(help));
    ClientMetric metric;
    uint64_t so_far = 0;
    for (size_t i = 0; i < DurationCells::kBoundsMicros.size(); ++i) {
      so_far += totals.buckets[i];
      metric.histogram.bucket.push_back(
          {so_far, static_cast<double>(DurationCells::kBoundsMicros[i]) / 1e6});
    }
    metric.histogram.sample_count = totals.count();
    metric.histogram.sample_sum = static_cast<double>(totals.sum_micros) / 1e6;
    family.metric.push_back(std::move(metric));
  }
  std::string Text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  std::vector<MetricFamily> families_;
};

void AddTraffic(Families& families, const TrafficTotals& traffic) {
  families.Counter("genkan_connections_accepted_total", "Client connections accepted.",
                   traffic.connections_accepted);
  families.Counter("genkan_connections_refused_total", "Client connections over a limit.",
                   traffic.connections_refused);
  families.Gauge("genkan_connections_open", "Client connections open now.",
                 static_cast<double>(traffic.connections_open));

  MetricFamily& handshakes = families.Begin(MetricType::Counter, "genkan_handshakes_total",
                                            "TLS handshakes completed, by version.");
  Families::Count(handshakes, {{"version", "TLSv1.2"}}, traffic.handshakes_tls12);
  Families::Count(handshakes, {{"version", "TLSv1.3"}}, traffic.handshakes_tls13);
  Families::Count(handshakes, {{"version", "other"}}, traffic.handshakes_other);
  families.Counter("genkan_handshakes_resumed_total", "TLS handshakes that resumed a session.",
                   traffic.handshakes_resumed);
  families.Counter("genkan_handshakes_stapled_total", "TLS handshakes with an OCSP staple.",
                   traffic.handshakes_stapled);
  families.Counter("genkan_handshakes_failed_total", "TLS handshakes that failed.",
                   traffic.handshakes_failed);

  MetricFamily& requests = families.Begin(MetricType::Counter, "genkan_requests_total",
                                          "Requests received, by protocol.");
  Families::Count(requests, {{"protocol", "h1"}}, traffic.requests_h1);
  Families::Count(requests, {{"protocol", "h2"}}, traffic.requests_h2);
  families.Gauge("genkan_requests_open", "Requests under way.",
                 static_cast<double>(traffic.requests_open));
  MetricFamily& responses =
      families.Begin(MetricType::Counter, "genkan_responses_total",
                     "Requests finished, by status class; none: it ended before a response.");
  constexpr std::array<const char*, 6> kClasses = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (size_t i = 0; i < kClasses.size(); ++i)
    Families::Count(responses, {{"class", kClasses[i]}}, traffic.responses[i]);
  families.Counter("genkan_bad_messages_total", "Messages that broke the rules of HTTP.",
                   traffic.bad_messages);
  MetricFamily& bytes = families.Begin(MetricType::Counter, "genkan_body_bytes_total",
                                       "Bytes of bodies; in: from clients.");
  Families::Count(bytes, {{"direction", "in"}}, traffic.bytes_in);
  Families::Count(bytes, {{"direction", "out"}}, traffic.bytes_out);
  families.Histogram("genkan_request_duration_seconds",
                     "From the request's head to the end of its response.",
                     traffic.request_duration);
  families.Histogram("genkan_upstream_head_duration_seconds",
                     "From the request sent to the head of the origin's response.",
                     traffic.upstream_head_duration);
  families.Counter("genkan_upstream_errors_total", "Requests that an origin did not answer.",
                   traffic.upstream_errors);
  MetricFamily& challenges = families.Begin(MetricType::Counter, "genkan_challenges_total",
                                            "Requests of the ACME challenge path.");
  Families::Count(challenges, {{"result", "answered"}}, traffic.challenges_answered);
  Families::Count(challenges, {{"result", "refused"}}, traffic.challenges_refused);
  MetricFamily& tls_alpn =
      families.Begin(MetricType::Counter, "genkan_tls_alpn_challenges_total",
                     "Connections that offered acme-tls/1 alone; passed: somebody answered.");
  Families::Count(tls_alpn, {{"result", "passed"}}, traffic.tls_alpn_passed);
  Families::Count(tls_alpn, {{"result", "refused"}}, traffic.tls_alpn_refused);
  families.Gauge("genkan_loop_lag_seconds", "The longest turn of a worker in the last seconds.",
                 static_cast<double>(traffic.loop_lag_micros) / 1e6);
  families.Gauge("genkan_snapshots_alive", "Configurations that requests still use.",
                 static_cast<double>(traffic.snapshots_alive));
}

// Finished, so that references to the families before stay good.
MetricFamily OfCertificates(
    MetricType type, const char* name, const char* help,
    const std::vector<CertificateStatus>& certificates,
    const std::function<std::optional<double>(const CertificateStatus&)>& value) {
  MetricFamily family{name, help, type, {}};
  for (const CertificateStatus& certificate : certificates) {
    auto number = value(certificate);
    if (!number) continue;
    Labels labels = {{"site", certificate.site}, {"name", certificate.name}};
    if (type == MetricType::Counter)
      Families::Count(family, std::move(labels), static_cast<uint64_t>(*number));
    else
      Families::Set(family, std::move(labels), *number);
  }
  return family;
}

void AddCertificates(Families& families, const RunStatus& status) {
  auto add = [&](MetricType type, const char* name, const char* help,
                 const std::function<std::optional<double>(const CertificateStatus&)>& value) {
    families.Begin(type, name, help) = OfCertificates(type, name, help, status.certificates, value);
  };
  using Certificate = CertificateStatus;
  add(MetricType::Gauge, "genkan_certificate_in_service", "1 where the certificate is served.",
      [](const Certificate& c) { return c.is_in_service ? 1.0 : 0.0; });
  add(MetricType::Gauge, "genkan_certificate_not_after_seconds",
      "When the certificate expires, in seconds since 1970.",
      [](const Certificate& c) -> std::optional<double> {
        if (!c.is_in_service) return std::nullopt;
        return InSeconds(c.not_after);
      });
  add(MetricType::Gauge, "genkan_certificate_chain_complete",
      "1 where the chain that is sent leads to a root.",
      [](const Certificate& c) -> std::optional<double> {
        if (!c.is_in_service) return std::nullopt;
        return c.is_chain_complete ? 1.0 : 0.0;
      });
  add(MetricType::Gauge, "genkan_certificate_staple_next_update_seconds",
      "Until when the OCSP staple is good, in seconds since 1970; missing: there is none.",
      [](const Certificate& c) -> std::optional<double> {
        if (c.staple_next_update == WallTime{}) return std::nullopt;
        return InSeconds(c.staple_next_update);
      });
  add(MetricType::Counter, "genkan_certificate_swaps_total",
      "How often a new certificate took over.",
      [](const Certificate& c) { return static_cast<double>(c.swaps); });
  add(MetricType::Gauge, "genkan_certificate_since_seconds",
      "Since when this one is served, in seconds since 1970.",
      [](const Certificate& c) -> std::optional<double> {
        if (!c.is_in_service) return std::nullopt;
        return InSeconds(c.since);
      });
  add(MetricType::Counter, "genkan_certificate_refusals_total",
      "How often new files were not taken.",
      [](const Certificate& c) { return static_cast<double>(c.refusals); });
  add(MetricType::Gauge, "genkan_certificate_refused",
      "1 while newer files are there that are not taken.",
      [](const Certificate& c) { return c.last_refusal.empty() ? 0.0 : 1.0; });
  add(MetricType::Gauge, "genkan_certificate_clients_refusing",
      "Kinds of clients (trust profiles) that refuse the chain.",
      [](const Certificate& c) -> std::optional<double> {
        if (!c.is_in_service || c.clients.empty()) return std::nullopt;
        return static_cast<double>(std::count_if(c.clients.begin(), c.clients.end(),
                                                 [](const auto& one) { return !one.is_accepted; }));
      });
  add(MetricType::Gauge, "genkan_certificate_must_renew",
      "1 where the authority wants it renewed: its moment has come; 2: its window is past.",
      [](const Certificate& c) {
        return c.renewal == "overdue" ? 2.0 : c.renewal == "renew" ? 1.0 : 0.0;
      });
  add(MetricType::Gauge, "genkan_certificate_serving",
      "1 where handshakes get it; 0: missing, a standby that waits, or replaced by the standby.",
      [](const Certificate& c) { return c.is_serving ? 1.0 : 0.0; });
  add(MetricType::Gauge, "genkan_certificate_proved",
      "1 where handshakes with it have been tried; 0 while that is still to come.",
      [](const Certificate& c) -> std::optional<double> {
        if (!c.is_in_service) return std::nullopt;
        return c.proof == "proved" ? 1.0 : 0.0;
      });
  families.Counter("genkan_certificate_reads_total",
                   "How often the files of an entry of `certificates` were read.",
                   status.certificate_reads);
  MetricFamily& revocation =
      families.Begin(MetricType::Gauge, "genkan_certificate_revocation_state",
                     "1 at the state that is known: good, revoked or unknown.");
  for (const Certificate& certificate : status.certificates) {
    for (const char* state : {"good", "revoked", "unknown"}) {
      Families::Set(revocation,
                    {{"site", certificate.site}, {"name", certificate.name}, {"state", state}},
                    certificate.revocation == state ? 1.0 : 0.0);
    }
  }
  MetricFamily& finding = families.Begin(MetricType::Gauge, "genkan_certificate_finding",
                                         "1 for each code of a finding, as genkan check says it.");
  for (const Certificate& certificate : status.certificates) {
    // Two names that are not covered are one code.
    const std::set<std::string> codes(certificate.finding_codes.begin(),
                                      certificate.finding_codes.end());
    for (const std::string& code : codes)
      Families::Set(finding,
                    {{"site", certificate.site}, {"name", certificate.name}, {"code", code}}, 1.0);
  }
}

void AddUpstreams(Families& families, const std::vector<UpstreamStatus>& upstreams) {
  MetricFamily& waiting = families.Begin(MetricType::Gauge, "genkan_upstream_waiting",
                                         "Requests that wait for a connection of the pool.");
  for (const UpstreamStatus& upstream : upstreams)
    Families::Set(waiting, {{"pool", upstream.name}}, upstream.waiting);
  auto add = [&](MetricType type, const char* name, const char* help,
                 const std::function<uint64_t(const UpstreamServerStatus&)>& value) {
    MetricFamily& family = families.Begin(type, name, help);
    for (const UpstreamStatus& upstream : upstreams) {
      for (const UpstreamServerStatus& server : upstream.servers) {
        Labels labels = {{"pool", upstream.name}, {"server", server.address}};
        if (type == MetricType::Counter)
          Families::Count(family, std::move(labels), value(server));
        else
          Families::Set(family, std::move(labels), static_cast<double>(value(server)));
      }
    }
  };
  using Server = UpstreamServerStatus;
  add(MetricType::Gauge, "genkan_upstream_up", "1 where the origin takes requests.",
      [](const Server& server) { return server.is_up ? 1 : 0; });
  add(MetricType::Gauge, "genkan_upstream_connections", "Connections to the origin.",
      [](const Server& server) { return server.connections; });
  add(MetricType::Counter, "genkan_upstream_requests_total", "Requests sent to the origin.",
      [](const Server& server) { return server.requests_total; });
  add(MetricType::Counter, "genkan_upstream_failures_total", "Requests that failed there.",
      [](const Server& server) { return server.failures_total; });
}

}  // namespace

std::string MetricsText(const RunStatus& status) {
  Families families;
  MetricFamily& build =
      families.Begin(MetricType::Gauge, "genkan_build_info", "Which genkan this is; always 1.");
  Families::Set(build, {{"version", status.version}}, 1);
  families.Gauge("genkan_start_time_seconds", "When it started, in seconds since 1970.",
                 InSeconds(status.started));
  families.Gauge("genkan_workers", "Event loops.", static_cast<double>(status.workers));
  families.Counter("genkan_configurations_total",
                   "Configurations taken: 1 at the start, one more with each reload.",
                   status.generation);
  AddTraffic(families, status.traffic);
  AddCertificates(families, status);
  AddUpstreams(families, status.upstreams);
  return families.Text();
}

}  // namespace genkan::control
