/*
 * How the wire encodes (RFC 5662): structures that several families of operations share, and the
 * three that no kind describes: bitmap4, authsys_parms, dirlist4. See proto/nfs4/wire_type.h for
 * how to read it.
 */
#include "proto/nfs4/wire.h"

WIRE_STRUCT(nfstime4, WIRE_U64(nfstime4, seconds), WIRE_U32(nfstime4, nseconds));
WIRE_STRUCT(fsid4, WIRE_U64(fsid4, major), WIRE_U64(fsid4, minor));
static WIRE_STRUCT(nfsace4, WIRE_U32(nfsace4, type), WIRE_U32(nfsace4, flag),
                   WIRE_U32(nfsace4, access_mask), WIRE_OPAQUE(nfsace4, who, WIRE_UNBOUNDED));
WIRE_STRUCT(specdata4, WIRE_U32(specdata4, specdata1), WIRE_U32(specdata4, specdata2));
WIRE_STRUCT(netaddr4, WIRE_OPAQUE(netaddr4, na_r_netid, WIRE_UNBOUNDED),
            WIRE_OPAQUE(netaddr4, na_r_addr, WIRE_UNBOUNDED));
WIRE_STRUCT(stateid4, WIRE_U32(stateid4, seqid), WIRE_FIXED(stateid4, other));
WIRE_STRUCT(fattr4, WIRE_BITMAP(fattr4, attrmask), WIRE_OPAQUE(fattr4, attr_vals, WIRE_UNBOUNDED));
WIRE_STRUCT(change_info4, WIRE_BOOL(change_info4, atomic), WIRE_U64(change_info4, before),
            WIRE_U64(change_info4, after));
WIRE_STRUCT(state_owner4, WIRE_U64(state_owner4, clientid),
            WIRE_OPAQUE(state_owner4, owner, NFS4_OPAQUE_LIMIT));
static WIRE_STRUCT(nfs_modified_limit4, WIRE_U32(nfs_modified_limit4, num_blocks),
                   WIRE_U32(nfs_modified_limit4, bytes_per_block));
static WIRE_UNION(nfs_space_limit4, WIRE_U32(nfs_space_limit4, limitby),
                  WIRE_ARM(NFS_LIMIT_SIZE, WIRE_U64(nfs_space_limit4, filesize)),
                  WIRE_ARM(NFS_LIMIT_BLOCKS,
                           WIRE_SUB(nfs_space_limit4, mod_blocks, nfs_modified_limit4)));
static WIRE_STRUCT(open_read_delegation4, WIRE_SUB(open_read_delegation4, stateid, stateid4),
                   WIRE_BOOL(open_read_delegation4, recall),
                   WIRE_SUB(open_read_delegation4, permissions, nfsace4));
static WIRE_STRUCT(open_write_delegation4, WIRE_SUB(open_write_delegation4, stateid, stateid4),
                   WIRE_BOOL(open_write_delegation4, recall),
                   WIRE_SUB(open_write_delegation4, space_limit, nfs_space_limit4),
                   WIRE_SUB(open_write_delegation4, permissions, nfsace4));
static WIRE_UNION(open_none_delegation4, WIRE_U32(open_none_delegation4, ond_why),
                  WIRE_ARM(WND4_CONTENTION,
                           WIRE_BOOL(open_none_delegation4, ond_server_will_push_deleg)),
                  WIRE_ARM(WND4_RESOURCE,
                           WIRE_BOOL(open_none_delegation4, ond_server_will_signal_avail)),
                  WIRE_DEFAULT);
WIRE_UNION(open_delegation4, WIRE_U32(open_delegation4, delegation_type),
           WIRE_ARM(OPEN_DELEGATE_NONE, WIRE_NOTHING),
           WIRE_ARM(OPEN_DELEGATE_READ, WIRE_SUB(open_delegation4, read, open_read_delegation4)),
           WIRE_ARM(OPEN_DELEGATE_WRITE, WIRE_SUB(open_delegation4, write, open_write_delegation4)),
           WIRE_ARM(OPEN_DELEGATE_NONE_EXT,
                    WIRE_SUB(open_delegation4, od_whynone, open_none_delegation4)));

const struct wire_type wire_nothing = {.name = "void"};

const struct wire_type wire_status = {.name = "status",
                                      .size = sizeof(nfsstat4),
                                      WIRE_FIELDS({.kind = WIRE_KIND_U32, .name = "status"})};

/* Elements of arrays. */
const struct wire_type wire_uint32_t = {
    .name = "uint32_t", .size = sizeof(uint32_t), WIRE_FIELDS({.kind = WIRE_KIND_U32})};

const struct wire_type wire_sec_oid4 = {
    .name = "opaque",
    .size = sizeof(sec_oid4),
    WIRE_FIELDS({.kind = WIRE_KIND_OPAQUE, .bound = WIRE_UNBOUNDED})};

const struct wire_type wire_deviceid4 = {
    .name = "deviceid4",
    .size = sizeof(deviceid4),
    WIRE_FIELDS({.kind = WIRE_KIND_FIXED, .bound = sizeof(deviceid4)})};

static bool bitmap4_decode(struct xdr_in *in, struct arena *arena, void *value)
{
    bitmap4 *map = value;
    uint32_t count;

    (void)arena;
    *map = (bitmap4){.beyond = 0};
    if (!xdr_get_u32(in, &count))
        return false;
    if (count > NFS4_MAX_BITMAP_WORDS)
        return xdr_in_fail(in);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t word;

        if (!xdr_get_u32(in, &word))
            return false;
        if (i < WIRE_COUNT(map->word))
            map->word[i] = word;
        else
            map->beyond += (uint32_t)__builtin_popcount(word);
    }
    return true;
}

static bool bitmap4_encode(struct xdr_out *out, const void *value)
{
    const bitmap4 *map = value;
    uint32_t count = WIRE_COUNT(map->word);

    while (count > 0 && map->word[count - 1] == 0)
        count--;
    xdr_put_u32(out, count);
    for (uint32_t i = 0; i < count; i++)
        xdr_put_u32(out, map->word[i]);
    return xdr_out_ok(out);
}

const struct wire_type wire_bitmap4 = {
    .name = "bitmap4", .size = sizeof(bitmap4), .decode = bitmap4_decode, .encode = bitmap4_encode};

static bool authsys_decode(struct xdr_in *in, struct arena *arena, void *value)
{
    (void)arena;
    return rpc_authsys_get(in, value);
}

static bool authsys_encode(struct xdr_out *out, const void *value)
{
    return rpc_authsys_put(out, value);
}

const struct wire_type wire_authsys_parms = {.name = "authsys_parms",
                                             .size = sizeof(authsys_parms),
                                             .decode = authsys_decode,
                                             .encode = authsys_encode};
