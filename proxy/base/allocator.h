// How freed memory is kept: by the C library, and for libraries that take and free thousands of
// small blocks.
#pragma once

#include <cstddef>

namespace genkan {

// glibc gives the top of a thread's heap back to the kernel as soon as 128 KiB of it are free, and
// takes blocks of that size from the kernel one by one. For a proxy that moves blocks of 64 to 256
// KiB that is a system call and dozens of page faults a block: more than half of the cost of an
// upload. What stays with us instead is bounded: a few MiB a thread. Called once, before there are
// threads.
void TuneAllocator();

// malloc, realloc and free for libraries that can be given their own. A handshake takes and frees
// some thousand blocks of a few dozen sizes; glibc keeps seven of a size for a thread and searches,
// splits and joins for the rest. Here each thread has a list for each size up to 8 KiB, 256 KiB
// in all unless it says otherwise, which end with it. Any thread may free what another took. Under a sanitizer, which wants to
// see each block, they are what they are named after.
void* TakeBlock(size_t bytes);
void* ResizeBlock(void* block, size_t bytes);
void GiveBlock(void* block);
// The same for a caller that knows how much it asked for: nobody has to look.
void GiveBlock(void* block, size_t bytes);
// What the lists of this thread may hold in all: about what its work takes and frees in one turn.
void KeepAtMost(size_t bytes);
// Once in a while, by a thread that may keep more than 256 KiB: what it has not needed since the last time goes back
// to the C library, down to those. A thread that only frees what others took would hold it for good.
void TrimBlocks();
// After work that took much more than usual: whatever is free goes back to the kernel. Takes milliseconds.
void GiveBackFreed();

}  // namespace genkan
