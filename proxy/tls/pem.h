// Finds the blocks of a PEM file (RFC 7468), however untidy: CRLF or bare CR, a BOM, UTF-16,
// blanks, text between blocks, END and BEGIN glued together by `cat`. Says what is half there.
// Pure; any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace genkan::tls {

struct PemBlock {
  int number = 0;            // from 1
  std::string_view label;    // "CERTIFICATE"
  std::string_view headers;  // RFC 1421's, "Proc-Type: 4,ENCRYPTED\n…"; mostly empty
  std::string_view base64;   // with its line ends
};

bool LooksLikePem(std::string_view text);

// Calls for each whole block, and for each thing that is broken ("block 2: BEGIN CERTIFICATE
// without END").
void ScanPem(std::string_view text, const std::function<void(const PemBlock&)>& on_block,
             const std::function<void(std::string)>& on_problem);

// Without blanks and line ends, padding completed; false where it is not base64.
bool DecodePemBody(std::string_view base64, std::string& der);

// UTF-16 as Windows editors write it becomes plain bytes; anything else is given back as it is.
std::string WithoutUtf16(std::string_view bytes);

}  // namespace genkan::tls
