#include "proxy/control/succession.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/control/keeper_client.h"

namespace genkan::control {

const char* Succession::WhyNot(bool is_serving) const {
  if (!options_.is_possible) return "this command cannot be started twice";
  if (getpid() == 1) {
    return "as process 1 of a container it cannot be followed: the container would end with it; "
           "start a new container instead";
  }
  if (!is_serving) return "it does not serve";
  return successor_ ? "it is under way already" : nullptr;
}

void Succession::Begin(bool is_serving) {
  if (const char* why_not = WhyNot(is_serving); why_not != nullptr) {
    LOG_WARN("handover_refused", "reason=\"{}\"", why_not);
    return;
  }
  auto fail = [](const std::string& reason) {
    LOG_ERROR("handover_failed", "reason=\"{}\" this process goes on serving", reason);
  };
  KeeperClient* keeper = options_.keeper;
  auto successor = Successor::Start({options_.loop,
                                     [this, keeper](int descriptor) {
                                       return keeper != nullptr
                                                  ? keeper->StartProgram(descriptor)
                                                  : StartProgram(options_.program, descriptor);
                                     },
                                     [keeper](pid_t pid) {
                                       if (keeper != nullptr) return keeper->EndProgram(pid);
                                       kill(pid, SIGKILL);
                                       waitpid(pid, nullptr, 0);
                                     },
                                     options_.on_ready,
                                     [this, fail](const std::string& reason) {
                                       fail(reason);
                                       options_.loop.Defer([this] { successor_.reset(); });
                                     }},
                                    options_.collect());
  if (!successor) return fail(successor.error().detail);
  successor_ = *std::move(successor);
  LOG_INFO("handover", "program={} pid={}", options_.program.path, successor_->pid());
}

}  // namespace genkan::control
