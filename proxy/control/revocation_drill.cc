#include "proxy/control/revocation_drill.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "proxy/base/log.h"
#include "proxy/control/standby.h"

namespace genkan::control {
namespace {

std::string Shown(const std::vector<std::string>& argv) {
  std::string text;
  for (const std::string& argument : argv) text += (text.empty() ? "" : " ") + argument;
  return text;
}

const server::SiteSpec* SiteOf(const server::Snapshot& snapshot, const std::string& name) {
  for (const server::SiteSpec& site : snapshot.sites) {
    const auto& names = site.config.names;
    if (site.name == name || std::find(names.begin(), names.end(), name) != names.end())
      return &site;
  }
  return nullptr;
}

}  // namespace

Status RevocationDrill::Start(const server::Snapshot& snapshot, const std::string& name) {
  if (report_.is_running)
    return Fail(ErrorCode::kBusy, "a drill is under way for {}", report_.site);
  const server::SiteSpec* site = SiteOf(snapshot, ToLower(name));
  if (site == nullptr) return Fail(ErrorCode::kNotFound, "no site has the name {}", name);
  const CertEntry* entry = nullptr;
  ForEachEntry(options_.sources, [&](const CertSource& source, const CertEntry& one) {
    if (entry == nullptr && !source.is_standby && one.site == site->name && one.in_service)
      entry = &one;
  });
  if (entry == nullptr)
    return Fail(ErrorCode::kNotFound, "{} has no certificate in service", site->name);

  const tls::Certificate& leaf = entry->in_service->leaf();
  report_ = {site->name, true, {}};
  Add("certificate", true,
      fmt::format("{}, serial {}, until {}; it is served on as before", entry->name,
                  leaf.serial_hex(), FormatIso8601(leaf.not_after())));
  AddNoticedBy(*entry, *snapshot.config);
  LOG_WARN("revocation_drill", "site={} name={} serial={} this is a rehearsal", site->name,
           entry->name, leaf.serial_hex());
  Add("log", true, "revocation_drill was logged where certificate_revoked would be, at error");
  Add("staple and sessions", true,
      "no handshake would be stapled, and no session of this leaf would resume");
  AddStandby(*site, *entry);
  AddRenewal(*entry);
  AlarmReport alarm;
  alarm.alarm = Alarm::kRevoked;
  alarm.site = site->name;
  alarm.name = entry->name;
  alarm.serial = leaf.serial_hex();
  alarm.sha256 = leaf.sha256_hex();
  alarm.why = "drill";
  alarm.is_drill = true;
  StartHook(alarm, snapshot.config->revocation);
  return {};
}

void RevocationDrill::AddNoticedBy(const CertEntry& entry, const config::Config& config) {
  const tls::Certificate& leaf = entry.in_service->leaf();
  std::string who;
  auto add = [&who](const std::string& text) { who += (who.empty() ? "" : "; ") + text; };
  if (config.ocsp.enabled && !leaf.ocsp_urls().empty())
    add("the OCSP responder " + leaf.ocsp_urls().front());
  if (config.revocation.crl && !leaf.crl_urls().empty())
    add("the revocation list " + leaf.crl_urls().front());
  const LeafState state = options_.leaves.StateOf(leaf.sha256_hex());
  if (!state.renewal.state.empty()) add("the authority's renewal information");
  if (who.empty()) {
    return Add(
        "noticed by", false,
        "nobody: the certificate names neither responder nor list, or they are switched off");
  }
  const bool is_known = state.revocation != "unknown" || !state.renewal.state.empty();
  Add("noticed by", is_known,
      fmt::format("{}; known now: {}{}", who, state.revocation,
                  state.why.empty() ? "" : " (" + state.why + ")"));
}

void RevocationDrill::AddStandby(const server::SiteSpec& site, const CertEntry& entry) {
  if (site.config.standby.empty())
    return Add("standby", true, "none is named: the revoked certificate would go on being served");
  std::string why = "nothing was found at " + site.config.standby;
  const CertEntry* good = nullptr;
  ForEachEntry(options_.sources, [&](const CertSource& source, const CertEntry& one) {
    if (!source.is_standby || one.site != site.name || good != nullptr) return;
    const Status can =
        CanStandIn(one, entry, site.config.names, options_.leaves, options_.clock.Wall());
    if (can) {
      good = &one;
    } else {
      why = can.error().detail;
    }
  });
  if (good == nullptr)
    return Add("standby", false, site.config.standby + " cannot stand in: " + why);
  const tls::Certificate& leaf = good->in_service->leaf();
  Add("standby", true,
      fmt::format("{} would be served: serial {}, until {}", good->name, leaf.serial_hex(),
                  FormatIso8601(leaf.not_after())));
}

// A renewed certificate is of use only where it can be read.
void RevocationDrill::AddRenewal(const CertEntry& entry) {
  if (!entry.refusal.empty())
    return Add("renewal", false, "the files are not taken now: " + entry.refusal);
  Add("renewal", true,
      "a renewed certificate in the same place is taken as soon as its files are there");
}

void RevocationDrill::StartHook(const AlarmReport& alarm, const config::Revocation& settings) {
  if (!options_.reaction.HasHook()) {
    Add("hook", false, "no on_revoked is configured: nobody would be called");
    report_.is_running = false;
    return;
  }
  const std::string what = Shown(HookFor(settings, alarm).argv);
  std::weak_ptr<bool> alive = alive_;
  options_.reaction.RunHook(alarm, [this, alive, what](std::string failure, std::string output) {
    if (!alive.lock()) return;
    while (!output.empty() && output.back() == '\n') output.pop_back();
    Add("hook", failure.empty(),
        what + (failure.empty() ? ": done, with GENKAN_DRILL=1" : ": " + failure) +
            (output.empty() ? "" : "\n" + output));
    report_.is_running = false;
  });
}

std::string DrillJson(const DrillReport& report) {
  nlohmann::ordered_json json;
  json["schema"] = 1;
  json["site"] = report.site;
  json["running"] = report.is_running;
  json["steps"] = nlohmann::ordered_json::array();
  for (const DrillStep& step : report.steps)
    json["steps"].push_back({{"name", step.name}, {"good", step.is_good}, {"text", step.text}});
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace genkan::control
