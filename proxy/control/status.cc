#include "proxy/control/status.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>
#include <utility>

namespace genkan::control {
namespace {

using Json = nlohmann::ordered_json;

Json TimeOrNull(WallTime time) {
  return time == WallTime{} ? Json(nullptr) : Json(FormatIso8601(time));
}

Json CertificateJson(const CertificateStatus& certificate, WallTime now) {
  Json json;
  json["site"] = certificate.site;
  json["name"] = certificate.name;
  json["names"] = certificate.names;
  json["files"] = certificate.files;
  json["in_service"] = certificate.is_in_service;
  json["subject"] = certificate.subject;
  json["issuer"] = certificate.issuer;
  json["serial"] = certificate.serial;
  json["sha256"] = certificate.sha256;
  json["not_before"] = TimeOrNull(certificate.not_before);
  json["not_after"] = TimeOrNull(certificate.not_after);
  json["days_left"] = certificate.not_after == WallTime{}
                          ? Json(nullptr)
                          : Json(DaysLeft(now, certificate.not_after));
  json["since"] = TimeOrNull(certificate.since);
  json["proof"] = certificate.proof;
  json["chain_complete"] = certificate.is_chain_complete;
  json["chain"] = certificate.chain;
  json["dropped"] = certificate.dropped;
  json["missing_issuer"] = certificate.missing_issuer;
  json["staple"] = certificate.staple;
  json["staple_next_update"] = TimeOrNull(certificate.staple_next_update);
  json["revocation"] = certificate.revocation;
  json["revocation_why"] = certificate.revocation_why;
  json["revocation_source"] = certificate.revocation_source;
  json["revocation_since"] = TimeOrNull(certificate.revocation_since);
  json["renewal"] = certificate.renewal;
  json["renewal_why"] = certificate.renewal_why;
  json["renewal_moment"] = TimeOrNull(certificate.renewal_moment);
  json["explanation"] = certificate.explanation_url;
  json["hook"] = certificate.hook;
  json["standby"] = certificate.is_standby;
  json["serving"] = certificate.is_serving;
  json["swaps"] = certificate.swaps;
  json["last_refusal"] = certificate.last_refusal;
  json["last_refusal_at"] = TimeOrNull(certificate.last_refusal_at);
  json["refusals"] = certificate.refusals;
  json["refused_last"] = certificate.refused_last;
  json["refused_last_at"] = TimeOrNull(certificate.refused_last_at);
  json["findings"] = certificate.findings;
  json["finding_codes"] = certificate.finding_codes;
  json["long_chain"] = certificate.long_chain;
  json["clients"] = Json::array();
  for (const CertificateStatus::Client& client : certificate.clients) {
    json["clients"].push_back({{"profile", client.profile},
                               {"client", client.client},
                               {"accepted", client.is_accepted},
                               {"by_long_chain", client.is_by_long},
                               {"reason", client.reason}});
  }
  return json;
}

// As nlohmann writes it. Names of files and certificates may hold any bytes.
std::string Dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

// `object`, a dump of one, opened at its end for more.
void AppendOpen(std::string& text, std::string_view object) {
  text += object.substr(0, object.size() - 2);  // "\n}"
}

// With each line further in; strings have no line ends of their own.
void AppendInner(std::string& text, std::string_view dump, std::string_view indent) {
  for (size_t at = 0; at < dump.size();) {
    const size_t end = std::min(dump.find('\n', at), dump.size() - 1) + 1;
    text.append(indent).append(dump.substr(at, end - at));
    at = end;
  }
}

// One at a time: all of them as a tree are tens of MB where there are thousands.
void AppendCertificates(std::string& text, const RunStatus& status) {
  text += ",\n  \"certificates\": [";
  bool is_first = true;
  for (const CertificateStatus& certificate : status.certificates) {
    text += std::exchange(is_first, false) ? "\n" : ",\n";
    AppendInner(text, Dump(CertificateJson(certificate, status.now)), "    ");
  }
  text += is_first ? "]" : "\n  ]";
}

Json UpstreamJson(const UpstreamStatus& upstream) {
  Json json;
  json["name"] = upstream.name;
  json["waiting"] = upstream.waiting;
  json["servers"] = Json::array();
  for (const UpstreamServerStatus& server : upstream.servers) {
    Json one;
    one["address"] = server.address;
    one["up"] = server.is_up;
    one["backup"] = server.is_backup;
    one["connections"] = server.connections;
    one["requests"] = server.requests;
    one["requests_total"] = server.requests_total;
    one["failures_total"] = server.failures_total;
    json["servers"].push_back(std::move(one));
  }
  return json;
}

Json TrafficJson(const TrafficTotals& traffic) {
  Json json;
  json["connections"] = {{"accepted", traffic.connections_accepted},
                         {"open", traffic.connections_open},
                         {"refused", traffic.connections_refused}};
  json["handshakes"] = {
      {"tls1.2", traffic.handshakes_tls12},    {"tls1.3", traffic.handshakes_tls13},
      {"other", traffic.handshakes_other},     {"resumed", traffic.handshakes_resumed},
      {"stapled", traffic.handshakes_stapled}, {"failed", traffic.handshakes_failed}};
  json["requests"] = {{"h1", traffic.requests_h1},
                      {"h2", traffic.requests_h2},
                      {"open", traffic.requests_open},
                      {"bad", traffic.bad_messages}};
  json["responses"] = {{"none", traffic.responses[0]}, {"1xx", traffic.responses[1]},
                       {"2xx", traffic.responses[2]},  {"3xx", traffic.responses[3]},
                       {"4xx", traffic.responses[4]},  {"5xx", traffic.responses[5]}};
  json["bytes"] = {{"in", traffic.bytes_in}, {"out", traffic.bytes_out}};
  json["challenges"] = {{"answered", traffic.challenges_answered},
                        {"refused", traffic.challenges_refused},
                        {"tls_alpn_passed", traffic.tls_alpn_passed},
                        {"tls_alpn_refused", traffic.tls_alpn_refused}};
  json["upstream_errors"] = traffic.upstream_errors;
  json["loop_lag_us"] = traffic.loop_lag_micros;
  return json;
}

}  // namespace

void DurationTotals::Add(const DurationCells& cells) {
  for (size_t i = 0; i < buckets.size(); ++i) buckets[i] += cells.bucket(i);
  sum_micros += cells.sum_micros();
}

uint64_t DurationTotals::count() const {
  return std::accumulate(buckets.begin(), buckets.end(), uint64_t{0});
}

void TrafficTotals::Add(const server::WorkerMetrics& metrics) {
  connections_accepted += metrics.connections_accepted.value();
  connections_open += metrics.connections_open.value();
  connections_refused += metrics.connections_refused.value();
  handshakes_tls12 += metrics.handshakes_tls12.value();
  handshakes_tls13 += metrics.handshakes_tls13.value();
  handshakes_other += metrics.handshakes_other.value();
  handshakes_resumed += metrics.handshakes_resumed.value();
  handshakes_failed += metrics.handshakes_failed.value();
  handshakes_stapled += metrics.handshakes_stapled.value();
  requests_h1 += metrics.requests_h1.value();
  requests_h2 += metrics.requests_h2.value();
  requests_open += metrics.requests_open.value();
  for (size_t i = 0; i < responses.size(); ++i) responses[i] += metrics.responses[i].value();
  bytes_in += metrics.bytes_in.value();
  bytes_out += metrics.bytes_out.value();
  challenges_answered += metrics.challenges_answered.value();
  challenges_refused += metrics.challenges_refused.value();
  tls_alpn_passed += metrics.tls_alpn_passed.value();
  tls_alpn_refused += metrics.tls_alpn_refused.value();
  upstream_errors += metrics.upstream_errors.value();
  bad_messages += metrics.bad_messages.value();
  snapshots_alive = std::max(snapshots_alive, metrics.snapshots_alive.value());
  loop_lag_micros = std::max(loop_lag_micros, metrics.loop_lag_micros.value());
  request_duration.Add(metrics.request_duration);
  upstream_head_duration.Add(metrics.upstream_head_duration);
}

void TrafficTotals::ForgetPresent() {
  connections_open = requests_open = snapshots_alive = loop_lag_micros = 0;
}

std::vector<UpstreamStatus> UpstreamStatusOf(const server::Snapshot& snapshot, MonotonicTime now) {
  std::vector<UpstreamStatus> list;
  for (const auto& cluster : snapshot.clusters) {
    UpstreamStatus upstream;
    upstream.name = cluster->spec().name;
    upstream.waiting = cluster->waiting();
    for (size_t i = 0; i < cluster->server_count(); ++i) {
      const upstream::ServerSpec& spec = cluster->spec().servers[i];
      const auto& state = std::as_const(*cluster).server(i);
      upstream.servers.push_back({spec.address, state.is_up(now), spec.backup,
                                  state.connections.load(std::memory_order_relaxed),
                                  state.requests.load(std::memory_order_relaxed),
                                  state.requests_total.load(std::memory_order_relaxed),
                                  state.failures_total.load(std::memory_order_relaxed)});
    }
    list.push_back(std::move(upstream));
  }
  return list;
}

std::string StatusJson(const RunStatus& status) {
  Json json;
  json["schema"] = 1;
  json["pid"] = status.pid;
  json["version"] = status.version;
  json["state"] = status.state;
  json["now"] = FormatIso8601(status.now);
  json["started"] = FormatIso8601(status.started);
  json["configured"] = FormatIso8601(status.configured);
  json["generation"] = status.generation;
  json["workers"] = status.workers;
  json["workers_leaving"] = status.workers_leaving;
  json["state_dir"] = status.state_dir;
  json["state_dir_writable"] = status.is_state_writable;
  json["listeners"] = Json::array();
  for (const ListenerStatus& listener : status.listeners)
    json["listeners"].push_back({{"address", listener.address}, {"tls", listener.tls}});
  json["certificate_reads"] = status.certificate_reads;
  std::string text;
  AppendOpen(text, Dump(json));
  AppendCertificates(text, status);
  Json rest;
  rest["upstreams"] = Json::array();
  for (const UpstreamStatus& upstream : status.upstreams)
    rest["upstreams"].push_back(UpstreamJson(upstream));
  rest["traffic"] = TrafficJson(status.traffic);
  text += ",";
  return text + Dump(rest).substr(1) + "\n";
}

int64_t DaysLeft(WallTime now, WallTime until) {
  return std::chrono::floor<std::chrono::days>(until - now).count();
}

}  // namespace genkan::control
