#include "proxy/control/status_page.h"

#include <nlohmann/json.hpp>

namespace genkan::control {
namespace {

// The look of the page and its script: all there is, so that it also opens without a network.
constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>genkan</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<style>
:root{color-scheme:light dark;--line:#8884;--good:#1a7f37;--bad:#cf222e;--warn:#9a6700}
@media(prefers-color-scheme:dark){:root{--good:#3fb950;--bad:#f85149;--warn:#d29922}}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin:2rem 0 .5rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid var(--line);vertical-align:top}th{font-weight:600}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.chain span{display:inline-block;border:1px solid var(--line);border-radius:.3rem;padding:0 .4rem;margin:.1rem 0}
.card{border:1px solid var(--line);border-radius:.5rem;padding:.6rem 1rem;margin:.6rem 0}
svg{width:100%;height:5rem;border-bottom:1px solid var(--line)}small{opacity:.75}
</style></head><body>
<main id="status">
)";

constexpr std::string_view kTail = R"(</main>
<h2>Requests a second</h2>
<svg id="plot" viewBox="0 0 120 40" preserveAspectRatio="none" role="img" aria-label="requests a second">
<polyline fill="none" stroke="currentColor" stroke-width="1" vector-effect="non-scaling-stroke" points=""/></svg>
<p><small id="rate">waiting for the first second</small></p>
<script>
const rates = [];
let last = null;
const source = new EventSource("/events");
source.onmessage = (message) => {
  const status = JSON.parse(message.data);
  document.getElementById("status").innerHTML = status.html;
  if (last !== null) rates.push(Math.max(0, status.requests - last));
  last = status.requests;
  if (rates.length > 120) rates.shift();
  if (rates.length === 0) return;
  const top = Math.max(1, ...rates);
  document.querySelector("#plot polyline").setAttribute("points", rates
    .map((rate, i) => `${120 - rates.length + i},${39 - 38 * rate / top}`).join(" "));
  document.getElementById("rate").textContent =
    `${rates[rates.length - 1]} now, ${top} at most in the last two minutes`;
};
source.onerror = () => {
  document.getElementById("rate").textContent = "the proxy does not answer; trying again";
};
</script></body></html>
)";

std::string Cell(std::string_view text, std::string_view kind = {}) {
  return kind.empty() ? fmt::format("<td>{}</td>", EscapeHtml(text))
                      : fmt::format("<td class=\"{}\">{}</td>", kind, EscapeHtml(text));
}

std::string_view KindOfDays(int64_t days) { return days < 3 ? "bad" : days < 10 ? "warn" : "good"; }

void AddRow(std::string& html, std::string_view name, std::string_view text,
            std::string_view kind = {}) {
  html += fmt::format("<tr><th>{}</th>{}</tr>", EscapeHtml(name), Cell(text, kind));
}

void AddCertificate(std::string& html, const CertificateStatus& certificate, WallTime now) {
  html += fmt::format("<div class=\"card\"><strong>{}</strong> <small>{}</small><table>",
                      EscapeHtml(certificate.site), EscapeHtml(certificate.name));
  if (certificate.is_in_service) {
    int64_t days = DaysLeft(now, certificate.not_after);
    AddRow(html, "expires",
           fmt::format("{} ({} days left)", FormatIso8601(certificate.not_after), days),
           KindOfDays(days));
    std::string names;
    for (const std::string& name : certificate.names) names += (names.empty() ? "" : ", ") + name;
    AddRow(html, "names", names);
    AddRow(html, "serial", certificate.serial);
    html += "<tr><th>chain</th><td class=\"chain\">";
    for (size_t i = 0; i < certificate.chain.size(); ++i) {
      html +=
          fmt::format("{}<span>{}</span>", i == 0 ? "" : " → ", EscapeHtml(certificate.chain[i]));
    }
    html += certificate.is_chain_complete
                ? " <span class=\"good\">complete</span>"
                : fmt::format(" <span class=\"bad\">incomplete{}</span>",
                              certificate.missing_issuer.empty()
                                  ? std::string()
                                  : ": missing " + EscapeHtml(certificate.missing_issuer));
    html += "</td></tr>";
    for (const CertificateStatus::Client& client : certificate.clients) {
      if (!client.is_accepted) AddRow(html, "refused by", client.client + ": " + client.reason);
    }
    AddRow(html, "staple", certificate.staple);
    AddRow(html, "revocation",
           certificate.revocation_why.empty()
               ? certificate.revocation
               : certificate.revocation + " (" + certificate.revocation_why + ")",
           certificate.revocation == "good"      ? "good"
           : certificate.revocation == "revoked" ? "bad"
                                                 : "");
    if (!certificate.renewal.empty()) {
      AddRow(
          html, "renewal",
          certificate.renewal_why +
              (certificate.explanation_url.empty() ? "" : "; see " + certificate.explanation_url),
          certificate.renewal == "keep"    ? ""
          : certificate.renewal == "renew" ? "warn"
                                           : "bad");
    }
    if (!certificate.hook.empty()) AddRow(html, "on_revoked", certificate.hook);
    if (certificate.is_standby)
      AddRow(html, "standby", certificate.is_serving ? "serving" : "waiting",
             certificate.is_serving ? "warn" : "");
    else if (!certificate.is_serving)
      AddRow(html, "serving", "no: the site's standby takes its place", "bad");
    AddRow(
        html, "swaps",
        fmt::format("{}, this one since {}", certificate.swaps, FormatIso8601(certificate.since)));
  } else {
    AddRow(html, "state", "not in service: this site refuses TLS", "bad");
  }
  if (!certificate.last_refusal.empty()) {
    AddRow(html, "not taken",
           certificate.last_refusal + " (" + FormatIso8601(certificate.last_refusal_at) + ")",
           "bad");
  } else if (!certificate.refused_last.empty()) {
    AddRow(html, "refused",
           fmt::format("{} times, last on {}: {}", certificate.refusals,
                       FormatIso8601(certificate.refused_last_at), certificate.refused_last));
  }
  for (size_t i = 0; i < certificate.findings.size(); ++i) {
    const bool has_code = i < certificate.finding_codes.size();
    AddRow(html, has_code ? certificate.finding_codes[i] : "finding", certificate.findings[i],
           "warn");
  }
  html += "</table></div>";
}

void AddUpstreams(std::string& html, const std::vector<UpstreamStatus>& upstreams) {
  html +=
      "<h2>Upstreams</h2><table><tr><th>pool</th><th>server</th><th>state</th>"
      "<th>connections</th><th>requests</th><th>failures</th></tr>";
  for (const UpstreamStatus& upstream : upstreams) {
    for (const UpstreamServerStatus& server : upstream.servers) {
      html += "<tr>" + Cell(upstream.name) + Cell(server.address) +
              Cell(server.is_up ? "up" : "down", server.is_up ? "good" : "bad") +
              Cell(std::to_string(server.connections)) +
              Cell(std::to_string(server.requests_total)) +
              Cell(std::to_string(server.failures_total)) + "</tr>";
    }
  }
  html += "</table>";
}

void AddTraffic(std::string& html, const TrafficTotals& traffic) {
  html += "<h2>Traffic</h2><table>";
  AddRow(html, "connections",
         fmt::format("{} open, {} accepted, {} refused", traffic.connections_open,
                     traffic.connections_accepted, traffic.connections_refused));
  AddRow(html, "handshakes",
         fmt::format("{} TLS 1.3, {} TLS 1.2, {} resumed, {} stapled, {} failed",
                     traffic.handshakes_tls13, traffic.handshakes_tls12, traffic.handshakes_resumed,
                     traffic.handshakes_stapled, traffic.handshakes_failed));
  AddRow(html, "requests",
         fmt::format("{} open, {} over h1, {} over h2, {} against the rules", traffic.requests_open,
                     traffic.requests_h1, traffic.requests_h2, traffic.bad_messages));
  AddRow(html, "responses",
         fmt::format("{} 2xx, {} 3xx, {} 4xx, {} 5xx", traffic.responses[2], traffic.responses[3],
                     traffic.responses[4], traffic.responses[5]));
  AddRow(html, "bytes of bodies",
         fmt::format("{} from clients, {} to clients", traffic.bytes_in, traffic.bytes_out));
  AddRow(html, "ACME challenges",
         fmt::format("{} answered, {} refused", traffic.challenges_answered,
                     traffic.challenges_refused));
  html += "</table>";
}

std::string Body(const RunStatus& status) {
  std::string html = fmt::format(
      "<h1>genkan {} · {}</h1><p>{} · since {} · configuration {} of {} · {} workers</p>",
      EscapeHtml(status.version), EscapeHtml(status.state), FormatIso8601(status.now),
      FormatIso8601(status.started), status.generation, FormatIso8601(status.configured),
      status.workers);
  html += "<h2>Certificates</h2>";
  if (status.certificates.empty()) html += "<p>none configured</p>";
  for (const CertificateStatus& certificate : status.certificates)
    AddCertificate(html, certificate, status.now);
  html += "<h2>Listeners</h2><table>";
  for (const ListenerStatus& listener : status.listeners)
    AddRow(html, listener.address, listener.tls ? "TLS" : "plain");
  html += "</table>";
  AddUpstreams(html, status.upstreams);
  AddTraffic(html, status.traffic);
  return html;
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string StatusPage(const RunStatus& status) {
  return std::string(kHead) + Body(status) + std::string(kTail);
}

std::string StatusEvent(const RunStatus& status) {
  nlohmann::json json;
  json["html"] = Body(status);
  json["requests"] = status.traffic.requests_h1 + status.traffic.requests_h2;
  json["bytes"] = status.traffic.bytes_in + status.traffic.bytes_out;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace genkan::control
