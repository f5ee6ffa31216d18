#include "proxy/control/challenges_json.h"

#include <nlohmann/json.hpp>

namespace genkan::control {
namespace {

using Json = nlohmann::ordered_json;

Json JsonOf(const server::ChallengeRecord& record) {
  Json json;
  json["token"] = record.token;
  json["watched"] = record.is_watched;
  json["count"] = record.count;
  json["hits"] = Json::array();
  for (const server::ChallengeHit& hit : record.hits) {
    Json one;
    one["time"] = FormatIso8601(hit.time);
    one["host"] = hit.host;
    one["client"] = hit.client;
    one["target"] = hit.target;
    one["tls"] = hit.is_tls;
    one["status"] = hit.status;
    one["site"] = hit.site;
    one["answered_by"] = hit.answered_by;
    one["module"] = hit.module;
    one["upstream"] = hit.upstream;
    one["reason"] = hit.reason;
    json["hits"].push_back(std::move(one));
  }
  return json;
}

}  // namespace

std::string ChallengesJson(server::ChallengeBoard& board, MonotonicTime now,
                           std::string_view token) {
  Json json;
  json["schema"] = 1;
  json["tokens"] = Json::array();
  if (!token.empty()) {
    server::ChallengeRecord record = board.Find(token, now);
    if (!record.token.empty()) json["tokens"].push_back(JsonOf(record));
  } else {
    for (const server::ChallengeRecord& record : board.Recent(now))
      json["tokens"].push_back(JsonOf(record));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace genkan::control
