// The connections of one worker to the servers of one cluster, idle and busy. The newest idle one
// goes first, so that those too many grow old and close. Worker's thread; owned by its cluster.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "proxy/upstream/upstream_connection.h"

namespace genkan::upstream {

// What a request asks of a connection.
struct Wish {
  bool is_idempotent = true;
  bool has_body = false;
  bool wants_new = false;  // the last try failed on an old one
  // PROXY protocol: the connection speaks for one client, told by these first bytes of it.
  std::string_view proxy_header;
};

class Pool final : private UpstreamConnection::Owner {
 public:
  class Owner {
   public:
    // Call RunTurn at the end of this turn.
    virtual void OnPoolDirty() = 0;
    // A connection became idle or a slot free.
    virtual void OnRoom() = 0;
    // True: this connection, free now, must not be kept.
    virtual bool MustGiveUp(size_t server) = 0;

   protected:
    ~Owner() = default;
  };

  Pool(event::EventLoop& loop, ClusterShared& shared, Owner& owner);
  ~Pool();

  // `tls` outlives the pool; null: plain.
  Status AddServers(event::BlockingPool& blocking, const tls::ClientContext* tls);

  // An idle connection, or one more may be made, perhaps in the place of an idle one.
  bool HasRoom(size_t server) const;
  // One that is connected, or null.
  UpstreamConnection* TakeIdle(size_t server, const Wish& wish, ConnectionUser& user);
  // A new one, which tells the user when it stands; null when other workers have taken the slots.
  UpstreamConnection* Connect(size_t server, const Wish& wish, ConnectionUser& user);

  // The oldest ones, at most `most` of this server's.
  size_t CloseIdle(size_t server, size_t most);
  void CloseAllIdle();
  void RunTurn();

  size_t idle_count() const;
  size_t connection_count(size_t server) const { return servers_[server].connections; }
  Endpoint& endpoint(size_t server) { return *servers_[server].endpoint; }
  const std::string& tls_name(size_t server) const { return servers_[server].tls_name; }

 private:
  struct Server {
    std::unique_ptr<Endpoint> endpoint;
    std::string tls_name;
    std::vector<UpstreamConnection*> idle;  // the newest at the end
    size_t connections = 0;
  };

  void OnConnectionDirty(UpstreamConnection& connection) override;
  void OnConnectionUp(UpstreamConnection& connection) override;
  void OnConnectionDown(UpstreamConnection& connection) override;
  void OnConnectionFree(UpstreamConnection& connection) override;
  void OnConnectionClosed(UpstreamConnection& connection) override;
  void Remove(UpstreamConnection& connection);

  event::EventLoop& loop_;
  ClusterShared& shared_;
  Owner& owner_;
  const tls::ClientContext* tls_ = nullptr;
  std::vector<Server> servers_;
  std::vector<std::unique_ptr<UpstreamConnection>> connections_;
  std::vector<UpstreamConnection*> dirty_;
};

}  // namespace genkan::upstream
