// Sets, adds and removes fields: of requests on their way to the origin, of responses on their way
// to the client. Values may hold variables, {client} or {host}, by the names that the access log
// has for them.
#include "proxy/module/api.h"

namespace {
using namespace genkan;

struct Variable {
  std::string_view name;
  std::string (*get)(Exchange&);
};

std::string Scheme(const Exchange& exchange) {
  return exchange.connection().is_tls ? "https" : "http";
}

// With those of the access log that are known while a request is under way.
constexpr Variable kVariables[] = {
    {"client", [](Exchange& x) { return std::string(x.client_address()); }},
    {"host", [](Exchange& x) { return x.request().authority; }},
    {"id", [](Exchange& x) { return x.id(); }},
    {"method", [](Exchange& x) { return x.request().method; }},
    {"port", [](Exchange& x) { return std::to_string(x.connection().local_port); }},
    {"request_id", [](Exchange& x) { return std::string(x.request_id()); }},
    {"scheme", [](Exchange& x) { return Scheme(x); }},
    {"site", [](Exchange& x) { return std::string(x.site()); }},
    {"sni", [](Exchange& x) { return std::string(x.connection().server_name); }},
    {"target", [](Exchange& x) { return x.request().target; }},
    {"tls_version", [](Exchange& x) { return std::string(x.connection().tls_version); }},
    {"user", [](Exchange& x) { return std::string(x.user()); }},
};

const Variable* FindVariable(std::string_view name) {
  for (const Variable& variable : kVariables) {
    if (variable.name == name) return &variable;
  }
  return nullptr;
}

bool IsName(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  for (char c : name) {
    if (!IsAlpha(c) && !IsDigit(c) && kMarks.find(c) == std::string_view::npos) return false;
  }
  return !name.empty();
}

// They are about this hop or about where the body ends: the codecs write them.
bool IsOurs(std::string_view name) {
  for (std::string_view ours :
       {"connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "http2-settings"}) {
    if (EqualsIgnoreCase(name, ours)) return true;
  }
  return false;
}

// Text with variables: pieces in order.
struct Template {
  struct Piece {
    std::string text;
    const Variable* variable = nullptr;
  };
  std::vector<Piece> pieces;

  std::string Fill(Exchange& exchange) const {
    std::string value;
    for (const Piece& piece : pieces) {
      value += piece.text;
      if (piece.variable != nullptr) value += piece.variable->get(exchange);
    }
    for (char& c : value) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return value;
  }
};

struct Field {
  std::string name;
  Template value;
};

struct Edits {
  std::vector<Field> set, add;
  std::vector<std::string> remove;  // "X-Debug-*": all that begin so
  bool empty() const { return set.empty() && add.empty() && remove.empty(); }
};

// {{ is a brace. What is wrong with it, or "".
std::string ReadTemplate(std::string_view text, Template& made) {
  Template::Piece piece;
  while (!text.empty()) {
    if (text.starts_with("{{") || text.starts_with("}}")) {
      piece.text += text.front();
      text.remove_prefix(2);
    } else if (text.starts_with('{')) {
      size_t close = text.find('}');
      if (close == std::string_view::npos) return "a { without its }; {{ stands for a brace";
      std::string_view name = text.substr(1, close - 1);
      piece.variable = FindVariable(name);
      if (piece.variable == nullptr) {
        std::vector<std::string_view> known;
        for (const Variable& variable : kVariables) known.push_back(variable.name);
        std::string_view nearest = NearestWord(name, known);
        std::string what = "unknown variable {" + EscapeControl(name) + "}";
        if (!nearest.empty()) what += "; did you mean {" + std::string(nearest) + "}?";
        return what;
      }
      made.pieces.push_back(std::exchange(piece, {}));
      text.remove_prefix(close + 1);
    } else {
      auto byte = static_cast<unsigned char>(text.front());
      if (byte < 0x20 || byte == 0x7f) return "a byte that no field's value may have";
      piece.text += text.front();
      text.remove_prefix(1);
    }
  }
  made.pieces.push_back(std::move(piece));
  return "";
}

struct Options {
  std::vector<std::string> set_request, add_request, remove_request, set_response, add_response,
      remove_response;
  Edits request, response;

  void Read(ConfigReader& config) {
    ReadFields(config, "set_request", set_request, request.set);
    ReadFields(config, "add_request", add_request, request.add);
    ReadNames(config, "remove_request", remove_request, request.remove);
    ReadFields(config, "set_response", set_response, response.set);
    ReadFields(config, "add_response", add_response, response.add);
    ReadNames(config, "remove_response", remove_response, response.remove);
  }

  static void ReadFields(ConfigReader& config, std::string_view key,
                         std::vector<std::string>& lines, std::vector<Field>& fields) {
    config.Read(key, lines);
    for (const std::string& line : lines) {
      size_t colon = line.find(':');
      Field field;
      field.name = std::string(Trim(std::string_view(line).substr(0, colon)));
      bool is_name = IsName(field.name) && field.name.find('*') == std::string::npos;
      if (colon == std::string::npos || !is_name) {
        config.Fail(key, "\"" + EscapeControl(line) + "\" is no \"Name: value\"");
        continue;
      }
      if (IsOurs(field.name)) {
        config.Fail(key, field.name + " belongs to the proxy and cannot be rewritten");
        continue;
      }
      std::string fault = ReadTemplate(Trim(std::string_view(line).substr(colon + 1)), field.value);
      if (!fault.empty()) config.Fail(key, field.name + ": " + fault);
      fields.push_back(std::move(field));
    }
  }

  static void ReadNames(ConfigReader& config, std::string_view key, std::vector<std::string>& names,
                        std::vector<std::string>& kept) {
    config.Read(key, names);
    for (const std::string& name : names) {
      if (!IsName(name)) {
        config.Fail(key, "\"" + EscapeControl(name) + "\" is no name of a field");
      } else if (IsOurs(name)) {
        config.Fail(key, name + " belongs to the proxy and cannot be rewritten");
      } else {
        kept.push_back(name);
      }
    }
  }
};

// As CGI sees a name: what is no letter or digit is all one, so that no other spelling of a field
// that was removed reaches the origin.
char Folded(char c) { return IsAlpha(c) || IsDigit(c) ? ToLower(c) : '-'; }

bool IsSpelling(std::string_view name, std::string_view wanted) {
  bool is_prefix = wanted.ends_with('*');
  if (is_prefix) wanted.remove_suffix(1);
  if (is_prefix ? name.size() < wanted.size() : name.size() != wanted.size()) return false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (Folded(name[i]) != Folded(wanted[i])) return false;
  }
  return true;
}

class HeaderRewrite final : public ExchangeFilter {
 public:
  explicit HeaderRewrite(const Options& options) : options_(options) {}

  Verdict OnUpstreamRequest(Exchange& exchange) override {
    if (!options_.request.empty()) Apply(options_.request, exchange, exchange.request().headers);
    return Verdict::kContinue;
  }
  Verdict OnResponseHead(Exchange& exchange) override {
    if (!options_.response.empty()) Apply(options_.response, exchange, exchange.response().headers);
    return Verdict::kContinue;
  }

 private:
  static void Remove(http::Headers& headers, std::string_view wanted) {
    headers.RemoveIf([&](std::string_view name, std::string_view) {
      return !IsOurs(name) && IsSpelling(name, wanted);
    });
  }

  // Removals first, so that "remove X-A, add X-A: b" leaves one.
  static void Apply(const Edits& edits, Exchange& exchange, http::Headers& headers) {
    for (const std::string& name : edits.remove) Remove(headers, name);
    for (const Field& field : edits.set) {
      std::string value = field.value.Fill(exchange);
      Remove(headers, field.name);
      if (!value.empty()) headers.Add(field.name, value);
    }
    for (const Field& field : edits.add) {
      if (std::string value = field.value.Fill(exchange); !value.empty())
        headers.Add(field.name, value);
    }
  }

  const Options& options_;
};
}  // namespace

GENKAN_MODULE(header_rewrite, HeaderRewrite, Options);
