#include "proxy/tls/openssl_ptr.h"

#include <openssl/err.h>

namespace genkan::tls {

std::string TakeOpensslErrors() {
  std::string line;
  const char* data = nullptr;
  int flags = 0;
  while (const unsigned long code = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags)) {
    if (!line.empty()) line += "; ";
    if (const char* reason = ERR_reason_error_string(code)) {
      line += reason;
    } else {
      line += "error " + std::to_string(ERR_GET_REASON(code));
    }
    if ((flags & ERR_TXT_STRING) != 0 && data != nullptr && *data != '\0') {
      line += " (";
      line += data;
      line += ")";
    }
  }
  return line;
}

// On an empty queue ERR_set_mark() sets no mark and ERR_pop_to_mark() then empties the queue: right
// both ways.
ErrorQueueGuard::ErrorQueueGuard() { ERR_set_mark(); }
ErrorQueueGuard::~ErrorQueueGuard() { ERR_pop_to_mark(); }

}  // namespace genkan::tls
