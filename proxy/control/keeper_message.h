// What the proxy and its keeper say to each other: a kind, a number and some texts, as bytes. Pure;
// any thread. Whoever reads does not trust the other side: every length is checked before it is
// believed, and there is one way only to write a message.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/control/hook_runner.h"
#include "proxy/event/file_view.h"

namespace genkan::control {

enum class KeeperOp : uint16_t {
  // Answers.
  kDone = 0,   // what the request says
  kError = 1,  // number: an ErrorCode; text: the words
  // Requests of the proxy.
  kReadFile = 16,     // text: path                     -> a descriptor
  kList = 17,         // text: directory                -> texts: paths
  kGlob = 18,         // text: pattern                  -> texts: paths
  kState = 19,        // text: path                     -> see PackState
  // A descriptor -> number: its name for kArm. Without one, number: a name that is given up.
  kInotify = 20,
  kArm = 21,          // number; text: path             -> see PackSteps
  kListen = 22,       // text: address; number: sockets -> descriptors
  kReload = 23,       //                                -> nothing; an error: the texts are lines
  kCommit = 24,       // the configuration read last is in force; that of before is forgotten
  kLog = 25,          // number: level; a descriptor    -> nothing
  kLoadGood = 26,     // text: name                     -> text: bytes
  kSaveGood = 27,     // texts: name, bytes             -> nothing
  kRunHook = 28,      // number: its id; see PackHook   -> nothing; then an event
  kHandOver = 29,     // a descriptor for the new process -> number: its id
  kEndHandOver = 30,  // number: a process's id
  // Beside those that kListen gave. texts: address, its real port; number: sockets -> descriptors
  kListenMore = 31,
  // Events of the keeper, on a socket of their own.
  kHookEnded = 64,  // number: its id; see PackOutcome, or an error's code and words
};

struct KeeperMessage {
  KeeperOp op = KeeperOp::kDone;
  uint64_t number = 0;
  std::vector<std::string> texts;
  bool operator==(const KeeperMessage&) const = default;
};

inline constexpr size_t kMaxKeeperBytes = 4 * 1024 * 1024;  // of a whole message
inline constexpr size_t kMaxKeeperTexts = 100'000;

// In front of each message on the wire.
struct KeeperFrame {
  static constexpr size_t kBytes = 8;
  uint32_t length = 0;       // of the message that follows
  uint16_t descriptors = 0;  // that come with it
};
inline constexpr uint16_t kMaxKeeperDescriptors = 4096;

std::string Pack(const KeeperFrame& frame);
Result<KeeperFrame> ParseFrame(std::string_view bytes);  // kBytes of them

std::string Pack(const KeeperMessage& message);
Result<KeeperMessage> ParseMessage(std::string_view bytes);

// Results as texts of a message.
void PackState(const event::FileState& state, KeeperMessage& message);
Result<event::FileState> ParseState(const KeeperMessage& message);
void PackSteps(const std::vector<event::ArmedStep>& steps, KeeperMessage& message);
Result<std::vector<event::ArmedStep>> ParseSteps(const KeeperMessage& message);
void PackHook(const HookRequest& hook, KeeperMessage& message);
Result<HookRequest> ParseHook(const KeeperMessage& message);
void PackOutcome(const HookOutcome& outcome, KeeperMessage& message);
Result<HookOutcome> ParseOutcome(const KeeperMessage& message);
KeeperMessage MakeError(const Error& error);
Error ErrorOf(const KeeperMessage& message);

}  // namespace genkan::control
