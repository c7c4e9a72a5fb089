/*
 * Alignment for O_DIRECT. See align.h.
 */
#include "client/disk/align.h"

struct sealio_read_step sealio_align_read(uint64_t offset, size_t length, const void *memory,
                                          size_t unit, size_t chunk)
{
    const size_t mask = unit - 1;
    struct sealio_read_step step = {.offset = offset, .length = length, .wanted = length};
    if ((offset & mask) == 0 && ((uintptr_t)memory & mask) == 0 && length >= unit) {
        step.length = step.wanted = length & ~mask;
        return step;
    }
    step.bounce = true;
    step.skip = (size_t)(offset & mask);
    step.offset = offset - step.skip;
    if (length > chunk - step.skip)
        length = chunk - step.skip;
    step.wanted = length;
    step.length = (step.skip + length + mask) & ~mask;
    return step;
}

bool sealio_align_write(uint64_t offset, uint64_t length, uint64_t unit, uint64_t *start,
                        uint64_t *end)
{
    const uint64_t mask = unit - 1;
    if (offset > UINT64_MAX - mask || length > UINT64_MAX - offset)
        return false;
    const uint64_t first = (offset + mask) & ~mask;
    const uint64_t last = (offset + length) & ~mask;
    if (first >= last)
        return false;
    *start = first;
    *end = last;
    return true;
}
