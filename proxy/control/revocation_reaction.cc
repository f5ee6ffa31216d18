#include "proxy/control/revocation_reaction.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/tls/digest.h"

namespace genkan::control {
namespace {

constexpr auto kHookPause = std::chrono::hours(1);
constexpr auto kLongestHookPause = std::chrono::hours(24);
constexpr Millis kLongestPost{30'000};
constexpr std::string_view kFolder = "hooks";

AlarmReport ReportOf(const CertEntry& entry, const LeafState& state, Alarm alarm) {
  const tls::Certificate& leaf = entry.in_service->leaf();
  AlarmReport report;
  report.alarm = alarm;
  report.site = entry.site;
  report.name = entry.name;
  report.serial = leaf.serial_hex();
  report.sha256 = leaf.sha256_hex();
  report.why = alarm == Alarm::kRevoked ? state.why : "ari: " + state.renewal.why;
  report.since = alarm == Alarm::kRevoked ? state.since : state.renewal.since;
  report.explanation_url = state.renewal.url;
  return report;
}

std::string SinceText(WallTime since) { return since == WallTime{} ? "" : FormatIso8601(since); }

void LogAlarm(const AlarmReport& report) {
  const char* event = report.alarm == Alarm::kRevoked   ? "certificate_revoked"
                      : report.alarm == Alarm::kOverdue ? "certificate_renew_now"
                                                        : "certificate_renew";
  // In its window there is time; it is for whoever renews to be on the way.
  const LogLevel level = report.alarm == Alarm::kRenew ? LogLevel::kWarn : LogLevel::kError;
  GENKAN_LOG(level, event, "site={} name={} serial={} why=\"{}\" since={} explanation={}",
             report.site, report.name, report.serial, report.why, SinceText(report.since),
             report.explanation_url);
}

bool IsPost(const config::Revocation& settings) {
  return !settings.on_revoked.empty() && settings.on_revoked[0].starts_with("https://");
}

}  // namespace

Alarm AlarmOf(const LeafState& state) {
  if (state.revocation == "revoked") return Alarm::kRevoked;
  if (!state.must_renew) return Alarm::kNone;
  return state.is_overdue ? Alarm::kOverdue : Alarm::kRenew;
}

std::string_view ToString(Alarm alarm) {
  switch (alarm) {
    case Alarm::kNone:
      return "none";
    case Alarm::kRenew:
      return "renew";
    case Alarm::kOverdue:
      return "overdue";
    case Alarm::kRevoked:
      return "revoked";
  }
  return "none";
}

HookRequest HookFor(const config::Revocation& settings, const AlarmReport& report) {
  HookRequest request;
  request.name = report.name;
  request.timeout = settings.on_revoked_timeout;
  for (const std::string& argument : settings.on_revoked) {
    request.argv.push_back(argument == "{lineage}" ? report.name
                           : argument == "{name}"  ? report.site
                                                   : argument);
  }
  request.environment = {{"GENKAN_SITE", report.site},
                         {"GENKAN_LINEAGE", report.name},
                         {"GENKAN_STATE", std::string(ToString(report.alarm))},
                         {"GENKAN_WHY", report.why},
                         {"GENKAN_SERIAL", report.serial}};
  if (report.is_drill) request.environment.emplace_back("GENKAN_DRILL", "1");
  return request;
}

std::string PostBodyOf(const AlarmReport& report) {
  nlohmann::ordered_json json;
  json["schema"] = 1;
  json["state"] = ToString(report.alarm);
  json["drill"] = report.is_drill;
  json["site"] = report.site;
  json["lineage"] = report.name;
  json["serial"] = report.serial;
  json["sha256"] = report.sha256;
  json["why"] = report.why;
  json["since"] = SinceText(report.since);
  json["explanation"] = report.explanation_url;
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

RevocationReaction::RevocationReaction(Options options)
    : options_(options), next_(options_.loop, [this] { RunOwed(); }) {}

RevocationReaction::~RevocationReaction() { alive_.reset(); }

void RevocationReaction::Look(const CertEntry& entry, const LeafState& state) {
  const Alarm alarm = AlarmOf(state);
  const std::string sha256 = entry.in_service->leaf().sha256_hex();
  if (alarm == Alarm::kNone && !seen_.contains(sha256)) return;
  Seen& seen = seen_[sha256];
  if (alarm == seen.alarm) return;
  const Alarm before = std::exchange(seen.alarm, alarm);
  seen.report = ReportOf(entry, state, alarm);
  if (alarm == Alarm::kNone) {
    LOG_INFO("certificate_good_again", "site={} name={} serial={} was={} revocation={}", entry.site,
             entry.name, seen.report.serial, ToString(before), state.revocation);
    HookAt(entry.name).is_owed = false;
    return;
  }
  LogAlarm(seen.report);
  // Less than before (a hold that was lifted while a renewal is wanted) calls nobody again.
  if (alarm < before || !HasHook()) return;
  Hook& hook = HookAt(entry.name);
  if (hook.done_sha256 == seen.report.sha256 && hook.done_alarm >= alarm) return;
  hook.is_owed = true;
  hook.failures = 0;
  RunOwed();
}

void RevocationReaction::Drop(const std::string& sha256_hex) {
  const auto gone = seen_.extract(sha256_hex);
  if (gone.empty()) return;
  // What is owed is owed to a certificate that is there; when it last ran is remembered for its
  // hour.
  const std::string& name = gone.mapped().report.name;
  const auto hook = hooks_.find(name);
  if (hook == hooks_.end() || !hook->second.is_owed) return;
  hook->second.is_owed = std::any_of(seen_.begin(), seen_.end(), [&](const auto& item) {
    return item.second.report.name == name && item.second.alarm != Alarm::kNone;
  });
}

// At most once an hour; after failures every two hours, four … up to a day.
WallTime RevocationReaction::DueOf(const Hook& hook) const {
  if (hook.begun == WallTime{}) return hook.begun;
  const auto pause = kHookPause * (1 << std::min(hook.failures > 0 ? hook.failures - 1 : 0u, 5u));
  return hook.begun + std::min<WallTime::duration>(pause, kLongestHookPause);
}

RevocationReaction::Hook& RevocationReaction::HookAt(const std::string& name) {
  auto [found, is_new] = hooks_.try_emplace(name);
  Hook& hook = found->second;
  if (!is_new) return hook;
  const std::string stored = options_.state.Load(kFolder, tls::Sha256Hex(name));
  const auto lines = Split(stored, '\n');
  if (lines.size() < 3) return hook;
  const auto begun = ParseDecimal(lines[0]), alarm = ParseDecimal(lines[2]);
  if (!begun || *begun > 7'000'000'000 || !alarm || *alarm > 3) return hook;
  // A clock that was set back must not silence it.
  hook.begun = std::min(WallTime(Seconds(static_cast<int64_t>(*begun))), options_.clock.Wall());
  hook.done_sha256 = lines[1];
  hook.done_alarm = static_cast<Alarm>(*alarm);
  if (!hook.done_sha256.empty()) hook.outcome = "ran";
  return hook;
}

void RevocationReaction::Save(const std::string& name, const Hook& hook) {
  const auto begun = std::chrono::duration_cast<Seconds>(hook.begun.time_since_epoch()).count();
  options_.state.Save(
      kFolder, tls::Sha256Hex(name),
      fmt::format("{}\n{}\n{}\n", begun, hook.done_sha256, static_cast<int>(hook.done_alarm)));
}

void RevocationReaction::OnHookEnd(const AlarmReport& report, const std::string& failure) {
  Hook& hook = HookAt(report.name);
  hook.is_running = false;
  if (failure.empty()) {
    // What came meanwhile and is worse is still owed.
    hook.is_owed &= std::any_of(seen_.begin(), seen_.end(), [&](const auto& item) {
      return item.second.report.name == report.name && item.second.alarm > report.alarm;
    });
    hook.failures = 0;
    hook.outcome = "ran";
    hook.done_sha256 = report.sha256;
    hook.done_alarm = report.alarm;
    Save(report.name, hook);
  } else {
    ++hook.failures;
    hook.outcome = "failed: " + failure;
  }
  RunOwed();
}

void RevocationReaction::RunOwed() {
  const WallTime now = options_.clock.Wall();
  std::optional<WallTime> next;
  for (auto& [sha, seen] : seen_) {
    if (seen.alarm == Alarm::kNone) continue;
    const std::string name = seen.report.name;
    Hook& hook = HookAt(name);
    if (!hook.is_owed || hook.is_running) continue;
    if (const WallTime due = DueOf(hook); due > now) {
      next = next ? std::min(*next, due) : due;
      continue;
    }
    hook.begun = now;
    hook.is_running = true;
    hook.outcome = "running";
    Save(name, hook);
    RunHook(seen.report, [this, report = seen.report](std::string failure, const std::string&) {
      OnHookEnd(report, failure);
    });
  }
  if (next) next_.Start(std::chrono::ceil<Millis>(*next - now));
}

void RevocationReaction::RunHook(const AlarmReport& report, HookDone done) {
  std::weak_ptr<bool> alive = alive_;
  if (IsPost(settings_)) {
    FetchRequest request;
    request.url = settings_.on_revoked[0];
    request.method = "POST";
    request.body = PostBodyOf(report);
    request.headers = {"Content-Type: application/json"};
    request.timeout = std::min(settings_.on_revoked_timeout, kLongestPost);
    options_.fetcher.Fetch(std::move(request), [alive, name = report.name, done = std::move(done)](
                                                   Result<FetchResponse> response) {
      std::string failure;
      if (!response) {
        failure = response.error().detail;
      } else if (response->status / 100 != 2) {
        failure = fmt::format("status {}", response->status);
      }
      if (failure.empty()) {
        LOG_INFO("hook_done", "name={} status={}", name, response->status);
      } else {
        LOG_ERROR("hook_failed", "name={} error=\"{}\"", name, failure);
      }
      if (alive.lock()) done(failure, response ? response->body : "");
    });
    return;
  }
  options_.hooks.Run(HookFor(settings_, report),
                     [alive, done = std::move(done)](Result<HookOutcome> outcome) {
                       if (!alive.lock()) return;
                       if (!outcome) return done(outcome.error().detail, "");
                       done(outcome->is_success() ? "" : Describe(*outcome), outcome->output);
                     });
}

std::string RevocationReaction::HookOf(const std::string& name) const {
  auto found = hooks_.find(name);
  return found == hooks_.end() ? "" : found->second.outcome;
}

}  // namespace genkan::control
