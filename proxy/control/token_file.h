// A token's file below a webroot, as an ACME client puts it there, for as long as this object
// lives; also a signal that ends the process takes it away. One at a time in a process; main
// thread.
#pragma once

#include <memory>
#include <string>

#include "proxy/base/result.h"

namespace genkan::control {

class TokenFile {
 public:
  // Makes WEBROOT/.well-known/acme-challenge/TOKEN with `answer`, readable for all, and the folders
  // on the way where they are missing (they go too). Follows no symlink below the webroot,
  // overwrites nothing.
  static Result<std::unique_ptr<TokenFile>> Put(const std::string& webroot,
                                                const std::string& token,
                                                const std::string& answer);
  ~TokenFile();
  TokenFile(const TokenFile&) = delete;
  TokenFile& operator=(const TokenFile&) = delete;

  // The folder that it lies in.
  const std::string& folder() const { return folder_; }

 private:
  explicit TokenFile(std::string folder) : folder_(std::move(folder)) {}

  std::string folder_;
};

}  // namespace genkan::control
