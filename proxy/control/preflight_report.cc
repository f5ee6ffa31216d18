// What a preflight found, for people and as JSON (schema 1).
#include <nlohmann/json.hpp>

#include "proxy/base/log.h"
#include "proxy/base/text.h"
#include "proxy/control/preflight.h"

namespace genkan::control {
namespace {

using Json = nlohmann::ordered_json;

std::string PlaceText(const Placement& placement) {
  if (placement.how == "webroot") return fmt::format("{} in {}", placement.token, placement.where);
  if (placement.how == "proxy") return placement.token + ", held by the running genkan";
  if (placement.how == "thumbprint") return placement.token + ", answered from the thumbprint";
  return placement.token + ", put nowhere: no configuration and no webroot were given";
}

std::string HitText(const ProxyHit& hit) {
  std::string text = hit.answered_by;
  if (text.empty()) text = hit.upstream.empty() ? "genkan" : "upstream " + hit.upstream;
  if (!hit.module.empty() && hit.module != hit.answered_by &&
      !hit.answered_by.starts_with(hit.module))
    text += fmt::format(" [module.{}]", hit.module);
  return text;
}

std::string HopText(const Walk& walk, size_t i) {
  const Hop& hop = walk.hops[i];
  if (hop.end != HopEnd::kAnswered) return EscapeControl(hop.url) + " -> " + hop.error;
  std::string text = fmt::format("{} -> {}", EscapeControl(hop.url), hop.status);
  if (!hop.redirect.empty()) text += " " + EscapeControl(hop.redirect);
  if (walk.hits[i]) return text + "  (" + EscapeControl(HitText(*walk.hits[i])) + ")";
  return hop.server.empty() ? text : text + "  (Server: " + hop.server + ")";
}

Json JsonOf(const Walk& walk) {
  Json json;
  json["address"] = walk.address;
  json["hops"] = Json::array();
  for (size_t i = 0; i < walk.hops.size(); ++i) {
    const Hop& hop = walk.hops[i];
    Json one;
    one["url"] = hop.url;
    one["to"] = hop.address;
    one["status"] = hop.status;
    one["redirect"] = hop.redirect;
    one["server"] = hop.server;
    one["error"] = hop.error;
    one["seen_by_genkan"] = walk.hits[i].has_value();
    if (walk.hits[i]) {
      const ProxyHit& hit = *walk.hits[i];
      one["answered_by"] = hit.answered_by;
      one["module"] = hit.module;
      one["site"] = hit.site;
      one["upstream"] = hit.upstream;
      one["reason"] = hit.reason;
    }
    json["hops"].push_back(std::move(one));
  }
  json["stop"] = walk.code;
  json["text"] = walk.text;
  json["advice"] = walk.advice;
  return json;
}

}  // namespace

std::string PreflightText(const PreflightReport& report) {
  const Placement& placement = report.placement;
  std::string text = fmt::format("genkan preflight {}\n", EscapeControl(report.host));
  text += fmt::format("  token    {}\n", EscapeControl(PlaceText(placement)));
  text += fmt::format("  proxy    {}\n", placement.is_proxy_asked
                                             ? "runs, and tells what reaches it"
                                             : "cannot be asked; only answers are looked at");
  if (!report.resolve_error.empty()) {
    text += fmt::format("  stop     NAME_NOT_RESOLVED: {}\n  do       {}\n", report.resolve_error,
                        "the DNS must have an A or AAAA record of this name");
    return text;
  }
  for (const Walk& walk : report.walks) {
    text += fmt::format("  by {}\n", walk.address);
    for (size_t i = 0; i < walk.hops.size(); ++i)
      text += fmt::format("    {}  {}\n", i + 1, HopText(walk, i));
    text += fmt::format("  {}     {}: {}\n", walk.is_good() ? "good" : "stop", walk.code,
                        EscapeControl(walk.text));
    if (!walk.advice.empty()) text += fmt::format("  do       {}\n", walk.advice);
  }
  return text;
}

std::string PreflightJson(const PreflightReport& report) {
  Json json;
  json["schema"] = 1;
  json["host"] = report.host;
  json["good"] = report.is_good();
  json["token"] = report.placement.token;
  json["placed"] = {{"how", report.placement.how}, {"where", report.placement.where}};
  json["proxy_asked"] = report.placement.is_proxy_asked;
  json["addresses"] = report.addresses;
  if (!report.resolve_error.empty()) {
    json["stop"] = "NAME_NOT_RESOLVED";
    json["text"] = report.resolve_error;
  } else if (const Walk* walk = report.decisive(); walk != nullptr) {
    json["stop"] = walk->code;
    json["text"] = walk->text;
    json["advice"] = walk->advice;
  }
  json["walks"] = Json::array();
  for (const Walk& walk : report.walks) json["walks"].push_back(JsonOf(walk));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace genkan::control
