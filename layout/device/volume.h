/*
 * What clients are told of the device behind a file system: the disks it is made of, and how (RFC
 * 5663 section 2.2.2, RFC 8154 section 2.4.1). Plain data, no I/O.
 *
 * The nodes are an array in which each refers to earlier ones only; the last one is the root.
 * Extents of a map are relative to the root. Linux clients take a SLICE of a disk, and a CONCAT or
 * STRIPE of disks and slices, and map anything deeper to wrong places, so nothing deeper is ever
 * made.
 */
#ifndef LAYOUT_DEVICE_VOLUME_H
#define LAYOUT_DEVICE_VOLUME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout/device/signature.h"
#include "layout/reservation/designator.h"

enum {
    DEVICE_BASES_MAX = 16,
    DEVICE_PIECES_MAX = 64, /* of a CONCAT or STRIPE: the most that Linux takes */
    DEVICE_NODES_MAX = DEVICE_BASES_MAX + DEVICE_PIECES_MAX + 1,
    DEVICE_MEMBERS_MAX = 2 * DEVICE_PIECES_MAX,
    DEVICE_PATH_MAX = 128,
};

/* A disk. Path and number are this server's, and are not described to anybody. */
struct device_base {
    char path[DEVICE_PATH_MAX]; /* "/dev/sda"; "" when made from a description */
    dev_t dev;                  /* 0, then */
    uint64_t size;
    struct signature signature;   /* relative to the disk's start */
    struct designator designator; /* len 0: it has none, or cannot be reserved */
};

enum device_node_kind {
    DEVICE_BASE = 1,
    DEVICE_SLICE = 2,
    DEVICE_CONCAT = 3,
    DEVICE_STRIPE = 4
}; /* on disk */

struct device_node {
    enum device_node_kind kind;
    uint64_t size;
    uint64_t start;        /* SLICE: within its member */
    uint64_t unit;         /* STRIPE */
    uint32_t base;         /* BASE: which */
    uint32_t first, count; /* members: device_volume.member[first..] */
};

struct device_volume {
    bool reserved; /* its disks are kept under a reservation and offered by SCSI layouts */
    uint32_t base_count, node_count, member_count;
    struct device_base base[DEVICE_BASES_MAX];
    struct device_node node[DEVICE_NODES_MAX];
    uint32_t member[DEVICE_MEMBERS_MAX]; /* indices of nodes */
};

/*
 * Building, from the leaves to the root; `out` is the new node's index. -E2BIG: more than there is
 * room for. -EINVAL: it does not fit together.
 */
int device_volume_add_base(struct device_volume *volume, const struct device_base *base,
                           uint32_t *out);
int device_volume_add_slice(struct device_volume *volume, uint32_t of, uint64_t start,
                            uint64_t size, uint32_t *out);
int device_volume_add_concat(struct device_volume *volume, const uint32_t *of, uint32_t count,
                             uint32_t *out);
int device_volume_add_stripe(struct device_volume *volume, uint64_t unit, const uint32_t *of,
                             uint32_t count, uint32_t *out);

/* NULL when there is none. */
const struct device_node *device_volume_root(const struct device_volume *volume);
/* Builds it anew with the verbs above: what comes from a journal has to pass. */
int device_volume_check(const struct device_volume *volume);
/* In all that clients are told. */
bool device_volume_equal(const struct device_volume *a, const struct device_volume *b);
/*
 * Where a byte of the volume is: a base, an offset on it, and how many of `length` follow there.
 * -ERANGE: not on the volume.
 */
struct device_place {
    uint32_t base;
    uint64_t offset, length;
};
int device_volume_place(const struct device_volume *volume, uint64_t offset, uint64_t length,
                        struct device_place *out);
/*
 * Linux clients without "pNFS: Fix disk addr range check in block/scsi layout" (seen: 6.1.176)
 * compare an offset on the disk with the end of a piece in the volume. What they write behind that
 * end is lost, and no error is seen: it is the last `start` bytes of a slice, less what comes
 * before it in a CONCAT, and the first rows of a STRIPE. Does any of this range lie there?
 */
bool device_volume_is_lossy(const struct device_volume *volume, uint64_t offset, uint64_t length);
/* Is every byte of `old` at the same place of the same disk in `now`? Then `now` may take its place
 * under the same device id. */
bool device_volume_covers(const struct device_volume *now, const struct device_volume *old);

#endif
