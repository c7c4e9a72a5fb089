/*
 * The map of one file as its layout tells it (RFC 5663 section 2.3, docs/rdma-layout.md): extents,
 * without gaps or overlaps, from offset 0 on. Pure; owned by the layout that holds it.
 */
#ifndef CLIENT_DISK_MAP_H
#define CLIENT_DISK_MAP_H

#include "proto/layout/block.h"
#include "proto/layout/rdma.h"

struct sealio_map;

/* A run of the file inside one extent. */
struct sealio_run {
    uint64_t offset, length;
    uint64_t storage; /* offset on the volume, or remote address; meaningless for NONE_DATA */
    unsigned volume;  /* index among the map's device ids */
    uint32_t key;     /* of remote memory */
    pnfs_block_extent_state4 state;
};

int sealio_map_create(struct sealio_map **out);
void sealio_map_free(struct sealio_map *map);

/*
 * Adds the extents of one layout segment, which must begin where the map ends (or before: what is
 * known is skipped). -EBADMSG: not what RFC 5663 section 2.3.1 allows (order, gaps, 512-byte units,
 * states that the iomode excludes); -ENOTSUP: the copy-on-write form, where READ_DATA and
 * INVALID_DATA overlap. The map is unchanged on error.
 */
int sealio_map_add(struct sealio_map *map, layoutiomode4 iomode, const pnfs_block_layout4 *body);

/* The same for a layout over memory: what its extents leave out of the segment is holes, if it is
 * to be read. -EBADMSG: it is to be written, or an extent is not of the segment.
 */
int sealio_map_add_memory(struct sealio_map *map, const layout4 *segment, const rdma_layout4 *body);

/* The offset up to which the map is known. */
uint64_t sealio_map_end(const struct sealio_map *map);
/* The end of what is no hole. */
uint64_t sealio_map_data_end(const struct sealio_map *map);
size_t sealio_map_count(const struct sealio_map *map);
struct sealio_run sealio_map_at(const struct sealio_map *map, size_t index);
/* The run that begins at offset and ends with its extent. False past the end. */
bool sealio_map_find(const struct sealio_map *map, uint64_t offset, struct sealio_run *run);

/* The device ids that the extents name. */
unsigned sealio_map_volumes(const struct sealio_map *map);
const uint8_t *sealio_map_volume_id(const struct sealio_map *map, unsigned volume);

#endif
