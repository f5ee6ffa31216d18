// A TLS connection of the load generator: TLS 1.3, AES-128-GCM, X25519, so that every proxy does
// the same work. Certificates are not verified: that is the client's work, and not what is
// measured. One thread, one epoll.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "tests/bench/load/meter.h"

namespace bench {

// Where connections go, and what they share.
class Target {
 public:
  // `alpn` in wire form. `is_bulk`: reads ahead, as a client of large files does.
  Target(int port, std::string name, std::string_view alpn, bool is_bulk);
  ~Target();
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  SSL_CTX* context() { return context_; }
  const std::string& name() const { return name_; }
  int epoll() const { return epoll_; }
  // A connected or connecting socket from one of many source addresses, or -1.
  int Connect();

 private:
  static int OnSession(SSL* ssl, SSL_SESSION* session);

  int port_;
  std::string name_;
  int epoll_;
  SSL_CTX* context_;
  uint32_t connected_ = 0;
};

class Link {
 public:
  class Owner {
   public:
    virtual void OnOpen(Link& link) = 0;                         // the handshake is done
    virtual void OnData(Link& link, std::string_view data) = 0;  // may call Close
    virtual void OnWritable(Link&) {}                            // all that was sent has gone
    virtual void OnClosed(Link& link,
                          const std::string& why) = 0;  // why: "" after a close in order

   protected:
    ~Owner() = default;
  };

  Link(Target& target, Owner& owner) : target_(target), owner_(owner) {}
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // `resumes`: with the newest ticket of this link's last connection, where there is one. Each is
  // used once, as clients should (RFC 8446 C.4) and as servers with a cache demand.
  void Open(bool resumes);
  bool has_session() const { return session_ != nullptr; }
  void Send(std::string_view data);
  // Ours: close_notify, then the socket. OnClosed is not called.
  void Close();
  // From epoll.
  void OnEvent();

  bool is_open() const { return is_open_; }
  bool has_unsent() const { return !out_.empty(); }
  bool is_resumed() const { return SSL_session_reused(ssl_) == 1; }
  std::string_view alpn() const;

  Time since{};  // for whoever uses it

 private:
  void Handshake();
  void Read();
  void Write();
  void Fail(const std::string& why);
  void KeepSession(SSL_SESSION* session);

  friend class Target;

  Target& target_;
  Owner& owner_;
  SSL_SESSION* session_ = nullptr;
  SSL* ssl_ = nullptr;
  int fd_ = -1;
  bool is_open_ = false;
  std::string out_;
};

// Waits until `until` at most and hands events to their links.
void RunEvents(Target& target, Time until);

}  // namespace bench
