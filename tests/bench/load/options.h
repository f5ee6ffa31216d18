// What a run of the load generator was asked for.
#pragma once

#include <string>
#include <vector>

namespace bench {

struct Options {
  std::string workload, name = "bench.test", path = "/";
  int port = 0;
  int connections = 1;
  int streams = 32;  // of each h2 connection
  double rate = 0;   // units a second, whatever the answers do; 0 = the next when one is answered
  double settle = 0.3, seconds = 1, slice = 0.1;
  size_t body = 0;        // of each upload
  std::vector<int> pids;  // whose CPU time is measured
};

// Each runs a workload and prints its report; the exit code.
int RunRequests(
    const Options& options);  // h1: one request after another on kept connections; uploads
int RunHandshakes(const Options& options);  // full or resumed, one request on each connection
int RunH2(const Options& options);
int RunIdle(const Options& options);
int RunSink(const Options& options);

}  // namespace bench
