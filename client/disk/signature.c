/*
 * Disk signatures. See signature.h.
 */
#include "client/disk/signature.h"

#include <errno.h>
#include <string.h>

/* Where a component begins; a negative offset counts from the end of the disk. False: not inside
 * it. */
static bool component_start(const pnfs_block_sig_component4 *component, uint64_t size,
                            uint64_t *start)
{
    uint64_t at = (uint64_t)component->bsc_sig_offset;
    if (component->bsc_sig_offset < 0) {
        const uint64_t back = 0 - at;
        if (back > size)
            return false;
        at = size - back;
    }
    if (at > size || component->bsc_contents.len > size - at)
        return false;
    *start = at;
    return true;
}

static int component_match(const pnfs_block_sig_component4 *component, uint64_t size,
                           sealio_read_at *read, void *arg)
{
    uint8_t seen[BLOCK_LAYOUT_MAX_SIG_LEN];
    const struct xdr_bytes *wanted = &component->bsc_contents;
    uint64_t start;
    if (wanted->len == 0 || wanted->len > sizeof(seen) || !component_start(component, size, &start))
        return 0;
    int rc = read(arg, seen, wanted->len, start);
    if (rc < 0)
        return rc;
    return memcmp(seen, wanted->data, wanted->len) == 0;
}

int sealio_signature_match(const pnfs_block_simple_volume_info4 *signature, uint64_t size,
                           sealio_read_at *read, void *arg)
{
    int rc = 0;
    for (uint32_t i = 0; i < signature->bsv_ds_count; i++) {
        rc = component_match(&signature->bsv_ds[i], size, read, arg);
        if (rc <= 0)
            return rc;
    }
    return rc;
}
