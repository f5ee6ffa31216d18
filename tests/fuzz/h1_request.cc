// Whatever a client sends, and however it is cut: the server codec says the same, answers the same,
// and ends.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/unit/http/h1_recorder.h"

namespace {

using namespace genkan::http;

struct Outcome {
  std::string events;
  std::string answers;
  bool is_done = false;
};

Outcome Serve(std::string_view input, size_t step) {
  Server server;
  server.recorder.answers_at_once_ = true;
  Outcome outcome;
  for (size_t at = 0; at < input.size(); at += step) {
    outcome.answers += server.Exchange(input.substr(at, step));
  }
  server.codec->ReceiveEnd();
  outcome.answers += server.Pull();
  outcome.events = server.recorder.text();
  outcome.is_done = server.codec->is_done();
  return outcome;
}

void Require(bool holds, const char* what, const Outcome& whole, const Outcome& cut) {
  if (holds) return;
  fmt::print(stderr, "{}\nwhole: {}\n{}\ncut: {}\n{}\n", what, whole.events, whole.answers,
             cut.events, cut.answers);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Outcome whole = Serve(input, size + 1);
  Require(whole.is_done, "not done after the client's end", whole, whole);
  for (size_t step : {size_t{1}, size_t{7}}) {
    Outcome cut = Serve(input, step);
    Require(cut.is_done, "not done after the client's end", whole, cut);
    Require(cut.events == whole.events, "events differ", whole, cut);
    Require(cut.answers == whole.answers, "answers differ", whole, cut);
  }
  return 0;
}
