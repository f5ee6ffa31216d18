// What the name of a file says of its being a certificate or a key, and whether a path is a
// pattern. Pure; any thread.
#pragma once

#include <string_view>

namespace genkan::control {

// By its extension; never a hidden file.
bool LooksLikeCertificateFile(std::string_view path);
bool HasGlob(std::string_view path);

}  // namespace genkan::control
