#include "proxy/control/system_calls.h"

#include <sched.h>
#include <seccomp.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "proxy/base/log.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GENKAN_HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GENKAN_HAS_SANITIZER 1
#endif
#endif

namespace genkan::control {
namespace {

// By what they are for. Names that an architecture does not have are left out there.
constexpr const char* kAllowed[] = {
    // Descriptors: what goes through them, and waiting for it.
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "ioctl",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd",
    "eventfd2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "signalfd4",
    "splice",
    "tee",
    "vmsplice",
    "sendfile",
    "memfd_create",
    // Sockets.
    "socket",
    "socketpair",
    "bind",
    "listen",
    "accept",
    "accept4",
    "connect",
    "shutdown",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    // Files.
    "open",
    "openat",
    "openat2",
    "creat",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "statfs",
    "fstatfs",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents",
    "getdents64",
    "getcwd",
    "lseek",
    "ftruncate",
    "truncate",
    "fallocate",
    "fadvise64",
    "fsync",
    "fdatasync",
    "flock",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "utimensat",
    "umask",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    // Memory.
    "brk",
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "mlock",
    "mlock2",
    "munlock",
    "membarrier",
    "mincore",
    "msync",
    // Threads and their time.
    "futex",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "set_tid_address",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "getcpu",
    "arch_prctl",
    "prctl",
    "exit",
    "exit_group",
    "restart_syscall",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "getitimer",
    "setitimer",
    "alarm",
    "timer_create",
    "timer_settime",
    "timer_delete",
    "times",
    // Signals, to oneself too: abort().
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigsuspend",
    "sigaltstack",
    "tgkill",
    "tkill",
    "pause",
    // Who and what we are, and how much we may have.
    "getpid",
    "getppid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "getpgrp",
    "getpgid",
    "getsid",
    "uname",
    "sysinfo",
    "getrandom",
    "getrlimit",
    "prlimit64",
    "getrusage",
    "capget",
    "wait4",
    "waitid",
};

#ifndef GENKAN_HAS_SANITIZER
// A name that the kernel or this libseccomp does not know is no reason not to start.
Status Allow(scmp_filter_ctx list, const char* name) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR) return {};
  const int error = seccomp_rule_add(list, SCMP_ACT_ALLOW, number, 0);
  if (error == 0 || error == -EDOM || error == -EFAULT) return {};
  return Fail(ErrorCode::kIo, "seccomp: {}: {}", name, std::strerror(-error));
}
#endif

}  // namespace

Status RestrictSystemCalls() {
#ifdef GENKAN_HAS_SANITIZER
  return {};
#else
  std::unique_ptr<void, void (*)(void*)> list(seccomp_init(SCMP_ACT_ERRNO(EPERM)),
                                              [](void* context) { seccomp_release(context); });
  if (list == nullptr) return Fail(ErrorCode::kIo, "seccomp: no list");
  for (const char* name : kAllowed) {
    if (auto allowed = Allow(list.get(), name); !allowed) return allowed;
  }
  // Threads, but no processes. clone3 hides its flags in memory; the C library falls back to clone.
  int error = seccomp_rule_add(list.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  if (error == 0) error = seccomp_rule_add(list.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  // The log's thread is there already.
  if (error == 0) error = seccomp_attr_set(list.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (error == 0) error = seccomp_load(list.get());
  if (error == -EINVAL || error == -ENOSYS) {
    LOG_WARN("seccomp_unavailable", "error=\"{}\" going on without a list of system calls",
             std::strerror(-error));
    return {};
  }
  if (error != 0) return Fail(ErrorCode::kIo, "seccomp: {}", std::strerror(-error));
  return {};
#endif
}

}  // namespace genkan::control
