// Whatever an origin sends, and however it is cut: the client codec says the same. The first byte
// chooses what was asked.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/unit/http/h1_recorder.h"

namespace {

using namespace genkan::http;

struct Outcome {
  std::string events;
  bool is_reusable = false;
};

Outcome Ask(uint8_t kind, std::string_view answer, size_t step) {
  Client client;
  RequestHead head;
  head.method = kind % 4 == 1 ? "HEAD" : kind % 4 == 2 ? "POST" : "GET";
  head.authority = "a.test";
  head.target = "/";
  if (kind % 4 == 3) head.upgrade = "websocket";
  client.codec->SendRequest(head, true);
  client.Pull();
  for (size_t at = 0; at < answer.size(); at += step) {
    // After an error the owner closes.
    if (!client.Feed(answer.substr(at, step))) break;
  }
  Outcome outcome;
  outcome.is_reusable = client.codec->is_reusable();
  client.codec->ReceiveEnd();
  if (client.codec->is_reusable()) std::abort();
  outcome.events = client.recorder.text();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view answer(reinterpret_cast<const char*>(data) + 1, size - 1);
  Outcome whole = Ask(data[0], answer, size);
  for (size_t step : {size_t{1}, size_t{7}}) {
    Outcome cut = Ask(data[0], answer, step);
    if (cut.events == whole.events && cut.is_reusable == whole.is_reusable) continue;
    fmt::print(stderr, "differ\nwhole: {} {}\ncut: {} {}\n", whole.events, whole.is_reusable,
               cut.events, cut.is_reusable);
    std::abort();
  }
  return 0;
}
