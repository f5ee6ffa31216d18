// libevent's memory, buffers above all, from our lists of blocks.
#pragma once

namespace genkan::event {

// Called once, before anything of libevent's is made and before there are threads.
void KeepEventBlocks();

}  // namespace genkan::event
