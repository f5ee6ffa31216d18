#include "proxy/server/local_reply.h"

#include <fmt/core.h>

#include "proxy/http/types.h"

namespace genkan::server {
namespace {

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

std::string Title(int status) {
  std::string_view phrase = http::ReasonPhrase(status);
  return phrase.empty() ? fmt::format("{}", status) : fmt::format("{} {}", status, phrase);
}

std::string Page(int status, std::string_view more) {
  std::string title = Title(status);
  return fmt::format(
      "<!doctype html>\n<html><head><title>{0}</title></head>\n<body><h1>{0}</h1>{1}</body></html>\n", title,
      more);
}

}  // namespace

void CompleteLocalHead(http::ResponseHead& head, std::string_view body, WallTime now) {
  if (!head.headers.Has("date")) head.headers.Add("Date", FormatHttpDate(now));
  if (!body.empty() && !head.headers.Has("content-type")) {
    bool is_page = body.starts_with("<!");
    head.headers.Add("Content-Type", is_page ? "text/html; charset=utf-8" : "text/plain; charset=utf-8");
  }
  if (http::HasNoBody(head.status)) {
    head.framing = http::BodyFraming::kNone;
    head.content_length.reset();
    return;
  }
  head.framing = http::BodyFraming::kContentLength;
  head.content_length = body.size();
}

LocalReply MakeLocalReply(int status, WallTime now) {
  LocalReply reply;
  reply.head.status = status;
  if (!http::HasNoBody(status)) reply.body = Page(status, "");
  // RFC 9110 15.6.4: when to come again. A queue that was full has moved on by then.
  if (status == 503) reply.head.headers.Add("Retry-After", "5");
  // RFC 9110 15.5.6 asks for the list.
  if (status == 405) reply.head.headers.Add("Allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
  CompleteLocalHead(reply.head, reply.body, now);
  return reply;
}

LocalReply MakeRedirect(int status, std::string_view location, WallTime now) {
  LocalReply reply;
  reply.head.status = status;
  std::string escaped = EscapeHtml(location);
  reply.body = Page(status, fmt::format("<p><a href=\"{0}\">{0}</a></p>", escaped));
  reply.head.headers.Add("Location", location);
  CompleteLocalHead(reply.head, reply.body, now);
  return reply;
}

}  // namespace genkan::server
