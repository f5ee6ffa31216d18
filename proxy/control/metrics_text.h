// The status as Prometheus' text format. Pure.
#pragma once

#include <string>

#include "proxy/control/status.h"

namespace genkan::control {

// Metric names are stable: they are only ever added.
std::string MetricsText(const RunStatus& status);

}  // namespace genkan::control
