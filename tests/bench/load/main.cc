// The load of tests/bench/compare: TLS clients that make true full and resumed handshakes, and
// measure the CPU time of the processes that they load, slice by slice. Prints one JSON object.
//
//   genkan_bench_load WORKLOAD --port P [--name HOST] [--path /] [--connections N] [--streams N]
//   [--rate R]
//                     [--settle S] [--seconds S] [--slice S] [--body BYTES] [--pid PID]...
//
//   full, resumed          one connection, one request
//   h1, download, upload   HTTP/1.1 on kept connections; units are requests or MiB
//   h2, h2_download        HTTP/2
//   idle                   opens --connections, one request each; prints when they stand, holds
//   them until stdin ends sink                   an origin for uploads: prints its port, serves
//   until it is killed
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/bench/load/options.h"

namespace {

bool Parse(int count, char** arguments, bench::Options& options) {
  if (count < 2) return false;
  options.workload = arguments[1];
  for (int i = 2; i + 1 < count; i += 2) {
    std::string_view name = arguments[i];
    const char* value = arguments[i + 1];
    if (name == "--port")
      options.port = std::atoi(value);
    else if (name == "--name")
      options.name = value;
    else if (name == "--path")
      options.path = value;
    else if (name == "--connections")
      options.connections = std::atoi(value);
    else if (name == "--streams")
      options.streams = std::atoi(value);
    else if (name == "--rate")
      options.rate = std::atof(value);
    else if (name == "--settle")
      options.settle = std::atof(value);
    else if (name == "--seconds")
      options.seconds = std::atof(value);
    else if (name == "--slice")
      options.slice = std::atof(value);
    else if (name == "--body")
      options.body = std::strtoull(value, nullptr, 10);
    else if (name == "--pid")
      options.pids.push_back(std::atoi(value));
    else
      return false;
  }
  return count % 2 == 0 && options.connections > 0 && options.slice > 0;
}

}  // namespace

int main(int count, char** arguments) {
  bench::Options options;
  if (!Parse(count, arguments, options)) {
    std::fprintf(stderr,
                 "usage: genkan_bench_load "
                 "full|resumed|h1|download|upload|h2|h2_download|idle|sink --port P ...\n");
    return 64;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const std::string& workload = options.workload;
  if (workload == "full" || workload == "resumed") return bench::RunHandshakes(options);
  if (workload == "h1" || workload == "download" || workload == "upload")
    return bench::RunRequests(options);
  if (workload == "h2" || workload == "h2_download") return bench::RunH2(options);
  if (workload == "idle") return bench::RunIdle(options);
  if (workload == "sink") return bench::RunSink(options);
  std::fprintf(stderr, "genkan_bench_load: %s: no such workload\n", workload.c_str());
  return 64;
}
