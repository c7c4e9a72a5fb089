/*
 * Mappings of sealed files: see rdma/memory.h.
 *
 * Always shared: a private mapping would be registered as a copy and serve old bytes after a write.
 * Writable ones by MAP_SYNC, so that the file system's metadata is durable before a page can be
 * written.
 */
#include "rdma/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct rdma_memory {
    atomic_uint refs;
    void *base;
    size_t size;
    enum rdma_strategy strategy;
    bool writable;
    unsigned uses; /* registrations, as their peers say */
    unsigned pieces_count;
    struct rdma_range pieces[RDMA_MEMORY_PIECES];
};

enum rdma_strategy rdma_strategy_choose(const struct rdma_facts *facts, char *why)
{
    const char *reason;

    if (facts->dax && facts->on_demand)
        return RDMA_ON_DEMAND;
    if (facts->dax)
        reason =
            "the file is in persistent memory, and the RDMA device or its driver does not page on "
            "demand "
            "(soft-RoCE of Linux 6.12 does not, of 7.3 it does with a network MTU of 4300 or more)";
    else if (facts->writable)
        reason = "the file is not in persistent memory (mount -o dax): writes to the page cache "
                 "would not "
                 "follow its seal";
    else if (!facts->frozen)
        reason = "the file is not in persistent memory and its seal lets the data change: the page "
                 "cache "
                 "would go stale; seal it frozen";
    else
        return RDMA_PINNED;
    snprintf(why, RDMA_WHY_MAX, "%s", reason);
    return RDMA_REFUSED;
}

static int look(int fd, struct rdma_facts *facts, uint64_t *file_size)
{
    struct statx found;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &found) != 0)
        return -errno;
    facts->dax = (found.stx_attributes & STATX_ATTR_DAX) != 0;
    *file_size = found.stx_size;
    return 0;
}

static int map(int fd, struct rdma_memory *memory, char *why)
{
    int protection = PROT_READ | (memory->writable ? PROT_WRITE : 0);
    int flags = memory->writable ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
    void *base = mmap(NULL, memory->size, protection, flags, fd, 0);

    if (base == MAP_FAILED) {
        int err = -errno;

        snprintf(why, RDMA_WHY_MAX, "the file cannot be mapped: %s%s", strerror(-err),
                 err == -ENOMEM ? " (each file takes a mapping of the server: vm.max_map_count)"
                                : "");
        return err;
    }
    memory->base = base;
    return 0;
}

int rdma_memory_open(int fd, uint64_t size, const struct rdma_facts *facts,
                     struct rdma_memory **out, char *why)
{
    struct rdma_facts found = *facts;
    struct rdma_memory *memory;
    uint64_t file_size = 0;
    int err = look(fd, &found, &file_size);

    if (!err && (size == 0 || size > file_size || size > SIZE_MAX / 2))
        err = -EINVAL;
    if (err) {
        snprintf(why, RDMA_WHY_MAX, "%s",
                 err == -EINVAL ? "the file is empty or shorter than asked" : strerror(-err));
        return err;
    }
    memory = calloc(1, sizeof *memory);
    if (!memory)
        return -ENOMEM;
    memory->refs = 1;
    memory->size = (size_t)size;
    memory->writable = facts->writable;
    memory->pieces[memory->pieces_count++] = (struct rdma_range){.length = size};
    memory->strategy = rdma_strategy_choose(&found, why);
    err = memory->strategy == RDMA_REFUSED ? -EOPNOTSUPP : map(fd, memory, why);
    if (err) {
        free(memory);
        return err;
    }
    *out = memory;
    return 0;
}

static uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t round_up(uint64_t at)
{
    return (at + page_size() - 1) / page_size() * page_size();
}

void rdma_memory_set_data(struct rdma_memory *memory, const struct rdma_range *data, unsigned count)
{
    if (memory->strategy != RDMA_PINNED)
        return;
    memory->pieces_count = 0;
    for (unsigned i = 0; i < count && i < RDMA_MEMORY_PIECES; i++) {
        uint64_t begin = data[i].offset - data[i].offset % page_size();
        uint64_t end = round_up(data[i].offset + data[i].length);
        struct rdma_range *last =
            memory->pieces_count > 0 ? &memory->pieces[memory->pieces_count - 1] : NULL;

        end = end < memory->size ? end : memory->size;
        if (begin >= end)
            continue;
        if (last && begin <= last->offset + last->length)
            last->length = end - last->offset;
        else
            memory->pieces[memory->pieces_count++] = (struct rdma_range){begin, end - begin};
    }
}

unsigned rdma_memory_piece_count(const struct rdma_memory *memory)
{
    return memory->pieces_count;
}

struct rdma_range rdma_memory_piece(const struct rdma_memory *memory, unsigned i)
{
    return memory->pieces[i];
}

uint64_t rdma_memory_pinned(const struct rdma_memory *memory)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; memory->strategy == RDMA_PINNED && i < memory->pieces_count; i++)
        bytes += round_up(memory->pieces[i].length);
    return bytes;
}

bool rdma_memory_is_used(const struct rdma_memory *memory)
{
    return memory->uses > 0;
}

bool rdma_memory_begin_use(struct rdma_memory *memory)
{
    return memory->uses++ == 0;
}

bool rdma_memory_end_use(struct rdma_memory *memory)
{
    return --memory->uses == 0;
}

void rdma_memory_get(struct rdma_memory *memory)
{
    atomic_fetch_add(&memory->refs, 1);
}

void rdma_memory_put(struct rdma_memory *memory)
{
    if (!memory || atomic_fetch_sub(&memory->refs, 1) != 1)
        return;
    (void)munmap(memory->base, memory->size);
    free(memory);
}

void *rdma_memory_base(const struct rdma_memory *memory)
{
    return memory->base;
}

size_t rdma_memory_size(const struct rdma_memory *memory)
{
    return memory->size;
}

enum rdma_strategy rdma_memory_strategy(const struct rdma_memory *memory)
{
    return memory->strategy;
}

bool rdma_memory_writable(const struct rdma_memory *memory)
{
    return memory->writable;
}

int rdma_memory_commit(struct rdma_memory *memory, uint64_t offset, uint64_t length)
{
    uint64_t begin = offset - offset % page_size();

    if (offset > memory->size || length > memory->size - offset)
        return -EINVAL;
    if (length == 0)
        return 0;
    return msync((char *)memory->base + begin, (size_t)(offset + length - begin), MS_SYNC) == 0
               ? 0
               : -errno;
}
