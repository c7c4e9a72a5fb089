/*
 * A file's pages as memory that can be registered: which way there is for it (policy, pure), and
 * the mapping.
 *
 * Who calls promises that the file is sealed for as long as the memory is open: what is registered
 * follows the file's pages only while its block map stays. Any thread, one at a time per object.
 */
#ifndef RDMA_MEMORY_H
#define RDMA_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RDMA_WHY_MAX = 256, RDMA_MEMORY_PIECES = 64 };

enum rdma_strategy {
    RDMA_REFUSED,
    RDMA_ON_DEMAND, /* fsdax: pages are found at the access, nothing is pinned */
    RDMA_PINNED,    /* the page cache of a frozen file, for reading */
};

/* What the choice stands on. */
struct rdma_facts {
    bool dax; /* STATX_ATTR_DAX: loads and stores go to persistent memory */
    bool
        on_demand; /* the device pages on demand, for RDMA READ and WRITE on reliable connections */
    bool frozen;   /* the file's data does not change while it is registered */
    bool writable; /* RDMA WRITE is asked for too */
};

/* why (of RDMA_WHY_MAX) is set to a sentence when the answer is RDMA_REFUSED. */
enum rdma_strategy rdma_strategy_choose(const struct rdma_facts *facts, char *why);

struct rdma_memory;

struct rdma_range {
    uint64_t offset, length;
};

/*
 * Maps `size` bytes of the file, which are not more than it has. fd: open for reading, or, with
 * writable, for both (opened before the immutable flag was set); it may be closed afterwards.
 * facts->dax is found out here. -EOPNOTSUPP: there is no way to register this file; -EINVAL: size
 * is 0; or what mmap says. why: a sentence.
 */
int rdma_memory_open(int fd, uint64_t size, const struct rdma_facts *facts,
                     struct rdma_memory **out, char *why);
/*
 * Before it is registered: these ranges (RDMA_MEMORY_PIECES at most, in order, within the memory)
 * hold data, and nothing else of it is registered if that would pin pages; each grows to whole
 * pages.
 */
void rdma_memory_set_data(struct rdma_memory *memory, const struct rdma_range *data,
                          unsigned count);
/* Drops one reference. The mapping goes with the last. */
void rdma_memory_put(struct rdma_memory *memory);
void rdma_memory_get(struct rdma_memory *memory);

void *rdma_memory_base(const struct rdma_memory *memory);
size_t rdma_memory_size(const struct rdma_memory *memory);
/* What is registered of it, in order. */
unsigned rdma_memory_piece_count(const struct rdma_memory *memory);
struct rdma_range rdma_memory_piece(const struct rdma_memory *memory, unsigned i);
/* Bytes of pages that its registration pins, however many registrations there are. */
uint64_t rdma_memory_pinned(const struct rdma_memory *memory);
enum rdma_strategy rdma_memory_strategy(const struct rdma_memory *memory);
/* Whether stores by a client can reach it. */
bool rdma_memory_writable(const struct rdma_memory *memory);

/* A registration more, or less. True: it is the first, or was the last. Under a lock of the
 * caller's. */
bool rdma_memory_is_used(const struct rdma_memory *memory);
bool rdma_memory_begin_use(struct rdma_memory *memory);
bool rdma_memory_end_use(struct rdma_memory *memory);

/*
 * Makes the bytes of the range that clients have written durable: msync, which on a MAP_SYNC
 * mapping writes back the processor's caches. -EINVAL: beyond the memory; or what msync says.
 */
int rdma_memory_commit(struct rdma_memory *memory, uint64_t offset, uint64_t length);

#endif
