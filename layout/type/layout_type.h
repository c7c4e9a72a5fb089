/*
 * A layout type (RFC 8881 section 12.2.7) as a table of pure functions: how its device is
 * described, how a grant over a sealed map is written down, what a commit may say, and what kind of
 * fence makes its grants useless. The engine knows layout types through this only. No I/O, no
 * state: any thread.
 */
#ifndef LAYOUT_TYPE_LAYOUT_TYPE_H
#define LAYOUT_TYPE_LAYOUT_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout/device/device.h"
#include "layout/seal/map.h"
#include "proto/layout/rdma.h"
#include "proto/nfs4/types.h"

/* How a holder's grants are made useless. The server executes it; the engine wants to see it
 * succeed. */
enum layout_fence {
    LAYOUT_FENCE_HOOK, /* an operator's program that must exit 0 (the SAN cuts the client off) */
    LAYOUT_FENCE_KEY,  /* its reservation key is preempted, and seen to be gone */
    LAYOUT_FENCE_DECLARED,   /* as the local program declared when it became a holder */
    LAYOUT_FENCE_DEREGISTER, /* what was registered for it is taken back, or every way there is
                                closed */
};

/* How the client that asks reaches the device, and as whom: what only the host knows of a
 * description. */
struct layout_access {
    uint64_t key;                 /* its reservation key; 0: there is none */
    const rdma_deviceaddr4 *rdma; /* the data path, as it may use it; NULL: there is none */
};

enum { LAYOUT_MEMORY_PIECES = 64 };

/* Bytes of the file that are in one registration. */
struct layout_piece {
    uint64_t offset, length; /* in the file */
    uint64_t address;
    uint32_t key;
};

/* The file as memory that is registered for the client. What is between its pieces is holes. */
struct layout_memory {
    uint64_t length;                   /* of the file, when it was registered */
    bool writable;                     /* by the client */
    uint32_t pieces_count;             /* LAYOUT_MEMORY_PIECES at most */
    const struct layout_piece *pieces; /* in order, without overlap */
};

/* What a LAYOUTGET asks of the map. length and minlength may be UINT64_MAX: to the end of the file.
 */
struct layout_request {
    layoutiomode4 iomode;
    uint64_t offset;
    uint64_t length;
    uint64_t minlength;
    uint32_t
        maxcount; /* loga_maxcount: what the client can take, the layout4's own header included */
    const struct layout_memory *memory; /* NULL: not registered (yet) */
};

/* What a grant really covers: whole extents, beginning at or before the offset asked for. */
struct layout_cover {
    uint64_t offset;
    uint64_t length;
    uint32_t body_len; /* bytes of loc_body */
    uint32_t extents;
};

struct layout_type {
    layouttype4 number;
    const char *name;
    enum layout_fence fence;

    /*
     * da_addr_body. *len is set to the bytes written. -ENOSPC: needs more than cap; *len then says
     * how much (gdir_mincount). -ENOMEM. -ENOTCONN: access lacks what this type needs.
     */
    int (*describe_device)(const struct device *device, const struct layout_access *access,
                           uint8_t *body, size_t cap, size_t *len);
    /*
     * loc_body over a sealed map on the device, as much of the file as fits in maxcount and cap.
     * -EINVAL: iomode or ranges that RFC 8881 section 18.43.3 forbids. -EACCES: RW over a frozen
     * map (writable false). -ENXIO: nothing at offset (past the end). -ERANGE: minlength reaches
     * past what a sealed file can ever have. -EMSGSIZE: what minlength asks for does not fit in
     * maxcount. -EAGAIN: all is well, but the file has to be registered for the client first.
     */
    int (*encode_grant)(const struct seal_map *map, const uint8_t device_id[DEVICE_ID_SIZE],
                        bool writable, const struct layout_request *request, uint8_t *body,
                        size_t cap, struct layout_cover *cover);
    /*
     * Judges lou_body of a LAYOUTCOMMIT against what the committing holder was granted: granted is
     * its RW range on this map. 0; -EBADMSG malformed; -EINVAL out of order, overlapping or
     * misaligned; -EACCES outside of the grant.
     */
    int (*check_commit)(const struct seal_map *map, uint64_t granted_offset,
                        uint64_t granted_length, const uint8_t *body, size_t len);
};

/* Block layouts, RFC 5663. */
extern const struct layout_type block_layout_type;

#endif
