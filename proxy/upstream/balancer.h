// Which server takes the next request. Pure: the state of the servers comes in, an index goes out.
// One a worker and cluster; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "proxy/upstream/cluster.h"

namespace genkan::upstream {

// What counts about a server at this moment.
struct Candidate {
  bool is_up = true;
  bool has_room = true;    // an idle connection, or one more may be made
  bool was_tried = false;  // by this request, in vain
  uint32_t requests = 0;   // under way
};

struct Choice {
  enum class Outcome {
    kServer,  // `server`
    kWait,    // those that may take it are full
    kNone,    // all that there are were tried
  };
  Outcome outcome = Outcome::kNone;
  size_t server = 0;
};

class Balancer {
 public:
  Balancer(Balance balance, const std::vector<ServerSpec>& servers);

  // Primaries that are up, else backups that are up, else, rather than refuse all, whichever was
  // not tried: checks can be wrong. A server of weight 0 is taken by nobody. `key`: HashKey of the
  // client, for consistent hash.
  Choice Pick(std::span<const Candidate> candidates, uint64_t key);

  static uint64_t HashKey(std::string_view client_address);

 private:
  struct Server {
    uint32_t weight;
    bool is_backup;
    uint64_t hash;       // of its address
    int64_t credit = 0;  // smooth weighted round robin
  };
  template <class Allowed>
  std::optional<size_t> PickAmong(std::span<const Candidate> candidates, uint64_t key,
                                  Allowed allowed);

  Balance balance_;
  std::vector<Server> servers_;
};

}  // namespace genkan::upstream
