// How the C library keeps freed memory. Called once, before there are threads.
#pragma once

namespace genkan {

// glibc gives the top of a thread's heap back to the kernel as soon as 128 KiB of it are free, and
// takes blocks of that size from the kernel one by one. For a proxy that moves blocks of 64 to 256
// KiB that is a system call and dozens of page faults a block: more than half of the cost of an
// upload. What stays with us instead is bounded: a few MiB a thread.
void TuneAllocator();

}  // namespace genkan
