// What a proxy that was taken over may send its keeper: no crash, no memory that was not sent, one
// spelling only of each message, and results that are read are what was written.
#include "proxy/control/keeper_message.h"

#include <string_view>

#include "proxy/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan::control;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (auto frame = ParseFrame(bytes.substr(0, KeeperFrame::kBytes))) {
    GENKAN_CHECK(frame->length <= kMaxKeeperBytes &&
                 Pack(*frame) == bytes.substr(0, KeeperFrame::kBytes));
  }
  auto message = ParseMessage(bytes);
  if (!message) return 0;
  GENKAN_CHECK(Pack(*message) == bytes);
  if (auto state = ParseState(*message)) {
    KeeperMessage again{message->op, 0, {}};
    PackState(*state, again);
    auto same = ParseState(again);
    GENKAN_CHECK(same && *same == *state);
  }
  if (auto steps = ParseSteps(*message)) {
    KeeperMessage again{message->op, message->number, {}};
    PackSteps(*steps, again);
    GENKAN_CHECK(again == *message);
  }
  if (auto hook = ParseHook(*message)) {
    KeeperMessage again{message->op, message->number, {}};
    PackHook(*hook, again);
    GENKAN_CHECK(again == *message);
  }
  if (auto outcome = ParseOutcome(*message)) {
    KeeperMessage again{message->op, message->number, {}};
    PackOutcome(*outcome, again);
    GENKAN_CHECK(ParseOutcome(again)->output == outcome->output);
  }
  static_cast<void>(ErrorOf(*message));
  return 0;
}
