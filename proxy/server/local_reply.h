// Answers that the proxy itself makes: a status and a short page. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/http/messages.h"

namespace genkan::server {

struct LocalReply {
  http::ResponseHead head;
  std::string body;
};

// The standard page of a status. What must stand beside a status is there: Retry-After (503), Allow (405).
LocalReply MakeLocalReply(int status, WallTime now);
// `location` is escaped where a page names it.
LocalReply MakeRedirect(int status, std::string_view location, WallTime now);

// Content-Length of `body`; Date and Content-Type where they are missing.
void CompleteLocalHead(http::ResponseHead& head, std::string_view body, WallTime now);

}  // namespace genkan::server
