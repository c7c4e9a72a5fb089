/*
 * The byte ranges of one grant: a small sorted-by-nothing set, usually of one member, with an
 * iomode and the stateid's seqid that gave it. Pure.
 *
 * A return speaks of what its sender had seen: it ends ranges granted up to the seqid it carries
 * and leaves later ones, whose LAYOUTGET replies were still on their way (RFC 8881 section 12.5.3).
 */
#ifndef LAYOUT_ENGINE_RANGE_H
#define LAYOUT_ENGINE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4/nfs4.h"

enum { RANGES_MAX = 256 };

struct range {
    uint64_t start, end; /* end is not in it; UINT64_MAX: no end */
    uint32_t seqid;
    layoutiomode4 iomode;
};

struct range_set {
    struct range *items;
    uint32_t count, room;
};

/* a is b or older, in the arithmetic of seqids, which skips 0. */
bool seqid_is_upto(uint32_t a, uint32_t b);
uint32_t seqid_next(uint32_t seqid);
/* Where offset + length ends; UINT64_MAX for lengths to the end. */
uint64_t range_end(uint64_t offset, uint64_t length);

/* Joins with what overlaps or touches it. -ENOMEM: unchanged. -ENOSPC: RANGES_MAX pieces already.
 */
int ranges_add(struct range_set *set, layoutiomode4 iomode, uint64_t start, uint64_t end,
               uint32_t seqid);
/*
 * Takes out [start, end) of iomode (ANY: all) as far as it was given up to seqid. A piece that
 * cannot be cut out of the middle for want of room stays whole: believing in a grant too much is
 * safe. True if anything went.
 */
bool ranges_return(struct range_set *set, layoutiomode4 iomode, uint64_t start, uint64_t end,
                   uint32_t seqid);
/* Without regard to seqids. */
void ranges_drop(struct range_set *set, layoutiomode4 iomode);
/* The RW range that overlaps [start, end); NULL: none. */
const struct range *ranges_writable(const struct range_set *set, uint64_t start, uint64_t end);
/* From the first RW range's start to the last one's end; false: there is none. */
bool ranges_hull(const struct range_set *set, uint64_t *start, uint64_t *end);
void ranges_free(struct range_set *set);

#endif
