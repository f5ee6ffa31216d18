#include "proxy/control/keeper_message.h"

#include <cstring>
#include <optional>

namespace genkan::control {
namespace {

constexpr uint16_t kMagic = 0x6b67;

// Both ends are one program on one machine: numbers are as the machine has them.
template <class Number>
void Put(std::string& bytes, Number number) {
  char raw[sizeof(Number)];
  std::memcpy(raw, &number, sizeof(raw));
  bytes.append(raw, sizeof(raw));
}

template <class Number>
std::optional<Number> Take(std::string_view& bytes) {
  if (bytes.size() < sizeof(Number)) return std::nullopt;
  Number number;
  std::memcpy(&number, bytes.data(), sizeof(number));
  bytes.remove_prefix(sizeof(number));
  return number;
}

bool IsKnown(uint16_t op) {
  return op <= static_cast<uint16_t>(KeeperOp::kError) ||
         (op >= static_cast<uint16_t>(KeeperOp::kReadFile) &&
          op <= static_cast<uint16_t>(KeeperOp::kListenMore)) ||
         op == static_cast<uint16_t>(KeeperOp::kHookEnded);
}

tl::unexpected<Error> Bad(const char* what) {
  return Fail(ErrorCode::kInvalid, "keeper: {}", what);
}

std::string PackSignature(const event::FileSignature& signature) {
  std::string bytes;
  Put(bytes, signature.device);
  Put(bytes, signature.inode);
  Put(bytes, signature.size);
  Put(bytes, signature.modified_nanos);
  Put(bytes, signature.changed_nanos);
  return bytes;
}

bool ParseSignature(std::string_view bytes, event::FileSignature& signature) {
  if (bytes.size() != 5 * sizeof(uint64_t)) return false;
  signature.device = *Take<uint64_t>(bytes);
  signature.inode = *Take<uint64_t>(bytes);
  signature.size = *Take<int64_t>(bytes);
  signature.modified_nanos = *Take<int64_t>(bytes);
  signature.changed_nanos = *Take<int64_t>(bytes);
  return true;
}

}  // namespace

std::string Pack(const KeeperFrame& frame) {
  std::string bytes;
  Put(bytes, frame.length);
  Put(bytes, frame.descriptors);
  Put(bytes, kMagic);
  return bytes;
}

Result<KeeperFrame> ParseFrame(std::string_view bytes) {
  if (bytes.size() != KeeperFrame::kBytes) return Bad("a frame of another size");
  KeeperFrame frame;
  frame.length = *Take<uint32_t>(bytes);
  frame.descriptors = *Take<uint16_t>(bytes);
  if (*Take<uint16_t>(bytes) != kMagic) return Bad("no frame");
  if (frame.length > kMaxKeeperBytes) return Bad("a message that is too long");
  if (frame.descriptors > kMaxKeeperDescriptors) return Bad("too many descriptors");
  return frame;
}

std::string Pack(const KeeperMessage& message) {
  std::string bytes;
  Put(bytes, static_cast<uint16_t>(message.op));
  Put(bytes, message.number);
  Put(bytes, static_cast<uint32_t>(message.texts.size()));
  for (const std::string& text : message.texts) {
    Put(bytes, static_cast<uint32_t>(text.size()));
    bytes += text;
  }
  return bytes;
}

Result<KeeperMessage> ParseMessage(std::string_view bytes) {
  if (bytes.size() > kMaxKeeperBytes) return Bad("a message that is too long");
  auto op = Take<uint16_t>(bytes);
  auto number = Take<uint64_t>(bytes);
  auto count = Take<uint32_t>(bytes);
  if (!op || !number || !count) return Bad("a message that is too short");
  if (!IsKnown(*op)) return Bad("a message of an unknown kind");
  // Each text has its length at least: no count makes us reserve more than was sent.
  if (*count > kMaxKeeperTexts || *count > bytes.size() / sizeof(uint32_t))
    return Bad("more texts than there are bytes");
  KeeperMessage message;
  message.op = static_cast<KeeperOp>(*op);
  message.number = *number;
  message.texts.reserve(*count);
  for (uint32_t i = 0; i < *count; ++i) {
    auto length = Take<uint32_t>(bytes);
    if (!length || *length > bytes.size()) return Bad("a text that is cut");
    message.texts.emplace_back(bytes.substr(0, *length));
    bytes.remove_prefix(*length);
  }
  if (!bytes.empty()) return Bad("bytes behind a message");
  return message;
}

void PackState(const event::FileState& state, KeeperMessage& message) {
  message.number = static_cast<uint64_t>(static_cast<uint32_t>(state.error)) |
                   (state.is_directory ? uint64_t{1} << 32 : 0);
  message.texts.push_back(PackSignature(state.file));
  for (const auto& [name, signature] : state.files) {
    message.texts.push_back(name);
    message.texts.push_back(PackSignature(signature));
  }
}

Result<event::FileState> ParseState(const KeeperMessage& message) {
  event::FileState state;
  state.error = static_cast<int>(static_cast<uint32_t>(message.number));
  state.is_directory = (message.number >> 32) != 0;
  const auto& texts = message.texts;
  if (texts.size() % 2 != 1 || !ParseSignature(texts[0], state.file)) return Bad("no file's state");
  for (size_t i = 1; i < texts.size(); i += 2) {
    auto& file = state.files.emplace_back(texts[i], event::FileSignature{});
    if (!ParseSignature(texts[i + 1], file.second)) return Bad("no file's state");
  }
  return state;
}

void PackSteps(const std::vector<event::ArmedStep>& steps, KeeperMessage& message) {
  for (const event::ArmedStep& step : steps) {
    message.texts.push_back(step.directory);
    message.texts.push_back(step.name);
    std::string& numbers = message.texts.emplace_back();
    Put(numbers, static_cast<int32_t>(step.watch));
    Put(numbers, static_cast<int32_t>(step.error));
  }
}

Result<std::vector<event::ArmedStep>> ParseSteps(const KeeperMessage& message) {
  const auto& texts = message.texts;
  if (texts.size() % 3 != 0) return Bad("no steps of a path");
  std::vector<event::ArmedStep> steps;
  for (size_t i = 0; i < texts.size(); i += 3) {
    std::string_view numbers = texts[i + 2];
    auto watch = Take<int32_t>(numbers);
    auto error = Take<int32_t>(numbers);
    if (!watch || !error || !numbers.empty()) return Bad("no steps of a path");
    steps.push_back({texts[i], texts[i + 1], *watch, *error});
  }
  return steps;
}

void PackHook(const HookRequest& hook, KeeperMessage& message) {
  message.texts.push_back(hook.name);
  Put(message.texts.emplace_back(), static_cast<int64_t>(hook.timeout.count()));
  Put(message.texts.emplace_back(), static_cast<uint32_t>(hook.argv.size()));
  message.texts.insert(message.texts.end(), hook.argv.begin(), hook.argv.end());
  for (const auto& [name, value] : hook.environment) {
    message.texts.push_back(name);
    message.texts.push_back(value);
  }
}

Result<HookRequest> ParseHook(const KeeperMessage& message) {
  const auto& texts = message.texts;
  constexpr size_t kFixed = 3;
  if (texts.size() < kFixed) return Bad("no command");
  HookRequest hook;
  hook.name = texts[0];
  std::string_view timeout = texts[1], words = texts[2];
  auto millis = Take<int64_t>(timeout);
  auto count = Take<uint32_t>(words);
  if (!millis || !timeout.empty() || !count || !words.empty()) return Bad("no command");
  if (*count > texts.size() - kFixed || (texts.size() - kFixed - *count) % 2 != 0)
    return Bad("no command");
  hook.timeout = Millis(*millis);
  auto at = texts.begin() + kFixed;
  hook.argv.assign(at, at + *count);
  for (at += *count; at != texts.end(); at += 2) hook.environment.emplace_back(at[0], at[1]);
  return hook;
}

void PackOutcome(const HookOutcome& outcome, KeeperMessage& message) {
  std::string& numbers = message.texts.emplace_back();
  Put(numbers, static_cast<int32_t>(outcome.exit_code));
  Put(numbers, static_cast<int32_t>(outcome.signal));
  Put(numbers, static_cast<uint8_t>(outcome.is_timed_out));
  Put(numbers, static_cast<uint8_t>(outcome.is_cut));
  Put(numbers, static_cast<int64_t>(outcome.took.count()));
  message.texts.push_back(outcome.output);
}

Result<HookOutcome> ParseOutcome(const KeeperMessage& message) {
  if (message.texts.size() != 2) return Bad("no command's end");
  std::string_view numbers = message.texts[0];
  auto exit_code = Take<int32_t>(numbers);
  auto signal = Take<int32_t>(numbers);
  auto is_timed_out = Take<uint8_t>(numbers);
  auto is_cut = Take<uint8_t>(numbers);
  auto took = Take<int64_t>(numbers);
  if (!took || !numbers.empty()) return Bad("no command's end");
  HookOutcome outcome;
  outcome.exit_code = *exit_code;
  outcome.signal = *signal;
  outcome.is_timed_out = *is_timed_out != 0;
  outcome.is_cut = *is_cut != 0;
  outcome.took = Millis(*took);
  outcome.output = message.texts[1];
  return outcome;
}

KeeperMessage MakeError(const Error& error) {
  return {KeeperOp::kError, static_cast<uint64_t>(error.code), {error.detail}};
}

Error ErrorOf(const KeeperMessage& message) {
  Error error{ErrorCode::kInternal, "keeper: an answer that is none"};
  if (message.op != KeeperOp::kError || message.texts.empty()) return error;
  if (message.number <= static_cast<uint64_t>(ErrorCode::kInternal))
    error.code = static_cast<ErrorCode>(message.number);
  error.detail = message.texts.front();
  return error;
}

}  // namespace genkan::control
