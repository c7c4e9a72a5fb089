/*
 * The extents of a file (RFC 5663 section 2.3). See map.h.
 */
#include "client/disk/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sealio_map {
    size_t count;
    struct sealio_run *runs; /* by offset */
    unsigned volume_count;
    deviceid4 *volumes;
};

/* MAX_VOLUMES: a file lies on one volume, two at most (RFC 5663 section 2.2.3); more is a server
 * gone wild. MAX_RUNS: as many as one layout may have.
 */
enum { SECTOR = 512, MAX_VOLUMES = 64, MAX_RUNS = BLOCK_LAYOUT_MAX_EXTENTS };

int sealio_map_create(struct sealio_map **out)
{
    struct sealio_map *map = calloc(1, sizeof(*map));
    if (!map)
        return -ENOMEM;
    *out = map;
    return 0;
}

void sealio_map_free(struct sealio_map *map)
{
    if (!map)
        return;
    free(map->runs);
    free(map->volumes);
    free(map);
}

static bool state_allowed(layoutiomode4 iomode, pnfs_block_extent_state4 state)
{
    if (iomode == LAYOUTIOMODE4_RW)
        return state == PNFS_BLOCK_READ_WRITE_DATA || state == PNFS_BLOCK_INVALID_DATA;
    return state == PNFS_BLOCK_READ_DATA || state == PNFS_BLOCK_NONE_DATA;
}

static int check_extent(layoutiomode4 iomode, const pnfs_block_extent4 *extent, uint64_t expected)
{
    uint64_t end;
    if (extent->bex_length == 0 || extent->bex_length % SECTOR || extent->bex_file_offset % SECTOR)
        return -EBADMSG;
    if (__builtin_add_overflow(extent->bex_file_offset, extent->bex_length, &end) ||
        end > INT64_MAX)
        return -EBADMSG;
    if (iomode == LAYOUTIOMODE4_RW && extent->bex_state == PNFS_BLOCK_READ_DATA)
        return -ENOTSUP;
    if (!state_allowed(iomode, extent->bex_state) || extent->bex_file_offset != expected)
        return -EBADMSG;
    if (extent->bex_state == PNFS_BLOCK_NONE_DATA)
        return 0;
    if (extent->bex_storage_offset % SECTOR ||
        __builtin_add_overflow(extent->bex_storage_offset, extent->bex_length, &end) ||
        end > INT64_MAX)
        return -EBADMSG;
    return 0;
}

static int check_body(const struct sealio_map *map, layoutiomode4 iomode,
                      const pnfs_block_layout4 *body)
{
    if (body->blo_extents_count == 0)
        return -EBADMSG;
    uint64_t expected = body->blo_extents[0].bex_file_offset;
    if (expected > sealio_map_end(map))
        return -EBADMSG;
    for (uint32_t i = 0; i < body->blo_extents_count; i++) {
        int rc = check_extent(iomode, &body->blo_extents[i], expected);
        if (rc < 0)
            return rc;
        expected += body->blo_extents[i].bex_length;
    }
    return 0;
}

static int find_volume(struct sealio_map *map, const deviceid4 id, unsigned *index)
{
    for (unsigned i = 0; i < map->volume_count; i++) {
        if (memcmp(map->volumes[i], id, NFS4_DEVICEID4_SIZE) == 0) {
            *index = i;
            return 0;
        }
    }
    if (map->volume_count == MAX_VOLUMES)
        return -EBADMSG;
    deviceid4 *grown = reallocarray(map->volumes, map->volume_count + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    map->volumes = grown;
    memcpy(grown[map->volume_count], id, NFS4_DEVICEID4_SIZE);
    *index = map->volume_count++;
    return 0;
}

/* Leaves what is not known yet. False: nothing. */
static bool skip_known(struct sealio_run *run, uint64_t known)
{
    if (run->offset + run->length <= known)
        return false;
    if (run->offset < known) {
        run->storage += known - run->offset;
        run->length -= known - run->offset;
        run->offset = known;
    }
    return true;
}

static int make_room(struct sealio_map *map, size_t more)
{
    if (map->count + more > MAX_RUNS)
        return -EBADMSG;
    struct sealio_run *runs = reallocarray(map->runs, map->count + more, sizeof(*runs));
    if (!runs)
        return -ENOMEM;
    map->runs = runs;
    return 0;
}

int sealio_map_add(struct sealio_map *map, layoutiomode4 iomode, const pnfs_block_layout4 *body)
{
    int rc = check_body(map, iomode, body);
    if (rc == 0)
        rc = make_room(map, body->blo_extents_count);
    if (rc < 0)
        return rc;
    const uint64_t known = sealio_map_end(map);
    size_t count = map->count;
    for (uint32_t i = 0; i < body->blo_extents_count; i++) {
        const pnfs_block_extent4 *extent = &body->blo_extents[i];
        struct sealio_run run = {.offset = extent->bex_file_offset,
                                 .length = extent->bex_length,
                                 .storage = extent->bex_storage_offset,
                                 .state = extent->bex_state};
        if (!skip_known(&run, known))
            continue;
        if (run.state == PNFS_BLOCK_NONE_DATA)
            run.storage = 0;
        else if ((rc = find_volume(map, extent->bex_vol_id, &run.volume)) < 0)
            return rc;
        map->runs[count++] = run;
    }
    map->count = count;
    return 0;
}

/* Only what is read may have holes. */
static int check_memory(const struct sealio_map *map, const layout4 *segment, uint64_t end,
                        const rdma_layout4 *body)
{
    uint64_t expected = segment->lo_offset;
    if (end <= expected || expected > sealio_map_end(map))
        return -EBADMSG;
    for (uint32_t i = 0; i < body->rlo_extents_count; i++) {
        const rdma_extent4 *extent = &body->rlo_extents[i];
        if (extent->rex_file_offset < expected || extent->rex_iomode != segment->lo_iomode ||
            extent->rex_file_offset > end || extent->rex_length > end - extent->rex_file_offset ||
            (extent->rex_file_offset > expected && segment->lo_iomode != LAYOUTIOMODE4_READ))
            return -EBADMSG;
        expected = extent->rex_file_offset + extent->rex_length;
    }
    return 0;
}

static void add_run(struct sealio_map *map, struct sealio_run run, uint64_t known)
{
    if (run.length == 0 || !skip_known(&run, known))
        return;
    if (run.state == PNFS_BLOCK_NONE_DATA)
        run.storage = 0;
    map->runs[map->count++] = run;
}

static void add_hole(struct sealio_map *map, uint64_t from, uint64_t to, uint64_t known)
{
    const struct sealio_run hole = {
        .offset = from, .length = to - from, .state = PNFS_BLOCK_NONE_DATA};
    add_run(map, hole, known);
}

int sealio_map_add_memory(struct sealio_map *map, const layout4 *segment, const rdma_layout4 *body)
{
    const uint64_t known = sealio_map_end(map);
    const uint64_t end = segment->lo_length > INT64_MAX - segment->lo_offset
                             ? INT64_MAX
                             : segment->lo_offset + segment->lo_length;
    unsigned device = 0;
    uint64_t at = segment->lo_offset;
    int rc = at > INT64_MAX ? -EBADMSG : check_memory(map, segment, end, body);
    if (rc == 0 && body->rlo_extents_count > 0)
        rc = find_volume(map, body->rlo_device, &device);
    if (rc == 0)
        rc = make_room(map, 2 * (size_t)body->rlo_extents_count + 1);
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < body->rlo_extents_count; i++) {
        const rdma_extent4 *extent = &body->rlo_extents[i];
        add_hole(map, at, extent->rex_file_offset, known);
        add_run(map,
                (struct sealio_run){.offset = extent->rex_file_offset,
                                    .length = extent->rex_length,
                                    .storage = extent->rex_remote_address,
                                    .volume = device,
                                    .key = extent->rex_rkey,
                                    .state = segment->lo_iomode == LAYOUTIOMODE4_RW
                                                 ? PNFS_BLOCK_READ_WRITE_DATA
                                                 : PNFS_BLOCK_READ_DATA},
                known);
        at = extent->rex_file_offset + extent->rex_length;
    }
    if (segment->lo_iomode == LAYOUTIOMODE4_READ && segment->lo_length != NFS4_UINT64_MAX)
        add_hole(map, at, end, known);
    return 0;
}

uint64_t sealio_map_end(const struct sealio_map *map)
{
    return map->count == 0 ? 0
                           : map->runs[map->count - 1].offset + map->runs[map->count - 1].length;
}

uint64_t sealio_map_data_end(const struct sealio_map *map)
{
    size_t i = map->count;
    while (i > 0 && map->runs[i - 1].state == PNFS_BLOCK_NONE_DATA)
        i--;
    return i == 0 ? 0 : map->runs[i - 1].offset + map->runs[i - 1].length;
}

size_t sealio_map_count(const struct sealio_map *map)
{
    return map->count;
}

struct sealio_run sealio_map_at(const struct sealio_map *map, size_t index)
{
    return map->runs[index];
}

bool sealio_map_find(const struct sealio_map *map, uint64_t offset, struct sealio_run *run)
{
    size_t low = 0, high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct sealio_run *at = &map->runs[middle];
        if (offset < at->offset) {
            high = middle;
        } else if (offset - at->offset >= at->length) {
            low = middle + 1;
        } else {
            const uint64_t into = offset - at->offset;
            *run = *at;
            run->offset = offset;
            run->length -= into;
            if (run->state != PNFS_BLOCK_NONE_DATA)
                run->storage += into;
            return true;
        }
    }
    return false;
}

unsigned sealio_map_volumes(const struct sealio_map *map)
{
    return map->volume_count;
}

const uint8_t *sealio_map_volume_id(const struct sealio_map *map, unsigned volume)
{
    return volume < map->volume_count ? map->volumes[volume] : NULL;
}
