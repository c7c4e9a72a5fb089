/*
 * The layout type of local holds: see layout_type.h. Pure.
 *
 * A local program is handed the sealed map itself (the host has it from engine_seal_view), so
 * nothing is encoded, and a grant is always of the whole file.
 */
#include "layout/type/local.h"

#include <errno.h>

static int describe_device(const struct device *device, const struct layout_access *access,
                           uint8_t *body, size_t cap, size_t *len)
{
    (void)device;
    (void)access;
    (void)body;
    (void)cap;
    *len = 0;
    return 0;
}

static int encode_grant(const struct seal_map *map, const uint8_t device_id[DEVICE_ID_SIZE],
                        bool writable, const struct layout_request *request, uint8_t *body,
                        size_t cap, struct layout_cover *cover)
{
    (void)device_id;
    (void)body;
    (void)cap;
    if (request->iomode != LAYOUTIOMODE4_READ && request->iomode != LAYOUTIOMODE4_RW)
        return -EINVAL;
    if (request->iomode == LAYOUTIOMODE4_RW && !writable)
        return -EACCES;
    *cover =
        (struct layout_cover){.length = map_end(map), .extents = (uint32_t)map_extent_count(map)};
    return 0;
}

/* Local programs commit by saying that they wrote, not where. */
static int check_commit(const struct seal_map *map, uint64_t granted_offset,
                        uint64_t granted_length, const uint8_t *body, size_t len)
{
    (void)map;
    (void)granted_offset;
    (void)granted_length;
    (void)body;
    return len ? -EBADMSG : 0;
}

const struct layout_type local_layout_type = {
    .number = LAYOUT_TYPE_LOCAL,
    .name = "local",
    .fence = LAYOUT_FENCE_DECLARED,
    .describe_device = describe_device,
    .encode_grant = encode_grant,
    .check_commit = check_commit,
};
