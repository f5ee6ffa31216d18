// Bytes of a key, wiped when they go. Those of a handshake have their room here; longer ones get a
// block of their own. One thread at a time.
#pragma once

#include <openssl/crypto.h>

#include <array>
#include <cstring>

#include "proxy/tls/provider/sha2.h"
#include "proxy/tls/provider/wipe.h"

namespace genkan::tls::provider {

class Secret {
 public:
  Secret() = default;
  ~Secret() { Clear(); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  // A copy of `bytes`. False: no memory.
  bool Set(Bytes bytes) {
    Clear();
    if (bytes.size() > inline_.size()) {
      block_ = static_cast<unsigned char*>(OPENSSL_malloc(bytes.size()));
      if (block_ == nullptr) return false;
    }
    if (!bytes.empty())
      std::memcpy(block_ != nullptr ? block_ : inline_.data(), bytes.data(), bytes.size());
    size_ = bytes.size();
    is_set_ = true;
    return true;
  }

  void Clear() {
    if (block_ != nullptr) {
      OPENSSL_clear_free(block_, size_);
      block_ = nullptr;
    } else if (size_ > 0) {
      Wipe(inline_.data(), size_);
    }
    size_ = 0;
    is_set_ = false;
  }

  bool is_set() const { return is_set_; }  // perhaps to nothing
  Bytes bytes() const { return {block_ != nullptr ? block_ : inline_.data(), size_}; }

 private:
  std::array<unsigned char, 64> inline_;
  unsigned char* block_ = nullptr;
  size_t size_ = 0;
  bool is_set_ = false;
};

}  // namespace genkan::tls::provider
