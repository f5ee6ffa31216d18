#include "proxy/event/event_memory.h"

#include <event2/event.h>

#include "proxy/base/allocator.h"

namespace genkan::event {

void KeepEventBlocks() { event_set_mem_functions(&TakeBlock, &ResizeBlock, &GiveBlock); }

}  // namespace genkan::event
