// The fields of an h2 request, as HPACK gives them, become a RequestHead (RFC 9113 8.3, RFC 8441).
// Stricter than libnghttp2 where that is loose, and complete without it, so that the rules can be
// tested field by field. A value; one thread at a time.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/http/codec.h"
#include "proxy/http/messages.h"

namespace genkan::http {

// RFC 9113 8.2.2: they have no meaning in h2 and must not be there.
bool IsConnectionSpecific(FieldKind kind);

class H2RequestReader {
 public:
  explicit H2RequestReader(const CodecLimits& limits) : limits_(limits) {
    head_.headers.Reserve(kUsualFields, kUsualBytes);
  }

  // Takes the next field. What is over the limits is counted, not kept.
  void Add(std::string_view name, std::string_view value);
  // Names and values so far.
  size_t bytes() const { return bytes_; }

  // The head is complete; `end`: nothing follows. A refusal says why nobody may see it. Empties the
  // reader.
  std::optional<Refusal> Finish(bool end, RequestHead& head);

 private:
  void AddPseudo(std::string_view name, std::string_view value);
  void AddRegular(std::string_view name, std::string_view value);
  void Break(std::string_view rule) {
    if (broken_.empty()) broken_ = rule;
  }
  void CheckTarget();
  void CheckAuthority();
  void DecideFraming(bool end);

  // A browser's head without its cookies.
  static constexpr size_t kUsualFields = 16;
  static constexpr size_t kUsualBytes = 1024 - 64;

  const CodecLimits& limits_;
  RequestHead head_;
  std::optional<std::string> method_, scheme_, path_, authority_, protocol_, host_;
  std::optional<uint64_t> content_length_;
  std::string cookie_;
  std::string_view broken_;  // the first rule that was broken, in words
  size_t bytes_ = 0;
  size_t count_ = 0;
  bool has_regular_ = false;
  bool is_too_large_ = false;
};

}  // namespace genkan::http
