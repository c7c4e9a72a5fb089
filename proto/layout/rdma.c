/*
 * Bodies of the RDMA layout type: see proto/layout/rdma.h for the contract, docs/rdma-layout.md for
 * the format.
 */
#include "proto/layout/rdma.h"

#include <errno.h>

#include "proto/layout/rdma_wire.h"
#include "proto/nfs4/wire.h"

WIRE_STRUCT(rdma_deviceaddr4, WIRE_U32(rdma_deviceaddr4, rda_version),
            WIRE_U64(rdma_deviceaddr4, rda_peer), WIRE_FIXED(rdma_deviceaddr4, rda_secret),
            WIRE_U32(rdma_deviceaddr4, rda_durability), WIRE_U32(rdma_deviceaddr4, rda_alignment),
            WIRE_ARRAY(rdma_deviceaddr4, rda_addrs, netaddr4, RDMA_LAYOUT_MAX_ADDRS));
static WIRE_STRUCT(rdma_extent4, WIRE_U64(rdma_extent4, rex_file_offset),
                   WIRE_U64(rdma_extent4, rex_length), WIRE_U64(rdma_extent4, rex_remote_address),
                   WIRE_U32(rdma_extent4, rex_rkey), WIRE_U32(rdma_extent4, rex_iomode));
WIRE_STRUCT(rdma_layout4, WIRE_U32(rdma_layout4, rlo_version), WIRE_FIXED(rdma_layout4, rlo_device),
            WIRE_ARRAY(rdma_layout4, rlo_extents, rdma_extent4, RDMA_LAYOUT_MAX_EXTENTS));
static WIRE_STRUCT(rdma_range4, WIRE_U64(rdma_range4, rra_offset),
                   WIRE_U64(rdma_range4, rra_length));
WIRE_STRUCT(rdma_layoutupdate4, WIRE_U32(rdma_layoutupdate4, rlu_version),
            WIRE_ARRAY(rdma_layoutupdate4, rlu_written, rdma_range4, RDMA_LAYOUT_MAX_EXTENTS));
WIRE_STRUCT(rdma_hello4, WIRE_U32(rdma_hello4, rhe_version), WIRE_U64(rdma_hello4, rhe_peer),
            WIRE_U64(rdma_hello4, rhe_counter), WIRE_FIXED(rdma_hello4, rhe_tag));
WIRE_STRUCT(rdma_refused4, WIRE_U32(rdma_refused4, rre_version), WIRE_U32(rdma_refused4, rre_why));

/* Moves *from past a range. False: empty, wraps, or begins before *from. */
static bool range_follows(uint64_t *from, uint64_t offset, uint64_t length)
{
    if (length == 0 || length > UINT64_MAX - offset || offset < *from)
        return false;
    *from = offset + length;
    return true;
}

static bool deviceaddr_ok(const rdma_deviceaddr4 *addr)
{
    return addr->rda_durability <= RDMA_DURABLE_BY_COMMIT && addr->rda_addrs_count > 0 &&
           addr->rda_alignment != 0 && (addr->rda_alignment & (addr->rda_alignment - 1)) == 0;
}

static bool layout_ok(const rdma_layout4 *layout)
{
    uint64_t from = 0;

    for (uint32_t i = 0; i < layout->rlo_extents_count; i++) {
        const rdma_extent4 *e = &layout->rlo_extents[i];

        if (!range_follows(&from, e->rex_file_offset, e->rex_length) ||
            e->rex_length > UINT64_MAX - e->rex_remote_address ||
            (e->rex_iomode != LAYOUTIOMODE4_READ && e->rex_iomode != LAYOUTIOMODE4_RW))
            return false;
    }
    return true;
}

static bool update_ok(const rdma_layoutupdate4 *update)
{
    uint64_t from = 0;

    for (uint32_t i = 0; i < update->rlu_written_count; i++)
        if (!range_follows(&from, update->rlu_written[i].rra_offset,
                           update->rlu_written[i].rra_length))
            return false;
    return true;
}

static bool refused_ok(const rdma_refused4 *refused)
{
    return refused->rre_why >= RDMA_REFUSED_VERSION && refused->rre_why <= RDMA_REFUSED_BUSY;
}

/* The version comes first, so that what a later one looks like need not be known. */
static int check_version(struct xdr_bytes body)
{
    struct xdr_in in;
    uint32_t version;

    xdr_in_init(&in, body.data, body.len);
    if (!xdr_get_u32(&in, &version))
        return -EBADMSG;
    return version == RDMA_LAYOUT_VERSION ? 0 : -EPROTONOSUPPORT;
}

static int decode_front(const struct wire_type *type, struct xdr_bytes body, struct arena *arena,
                        void *value, size_t *left)
{
    struct xdr_in in;
    int err = check_version(body);

    if (err)
        return err;
    xdr_in_init(&in, body.data, body.len);
    if (!wire_decode(type, &in, arena, value))
        return -EBADMSG;
    *left = xdr_in_left(&in);
    return 0;
}

static int decode_body(const struct wire_type *type, struct xdr_bytes body, struct arena *arena,
                       void *value)
{
    size_t left = 0;
    int err = decode_front(type, body, arena, value, &left);

    return err ? err : left == 0 ? 0 : -EBADMSG;
}

int rdma_deviceaddr_decode(struct xdr_bytes body, struct arena *arena, rdma_deviceaddr4 *addr)
{
    rdma_deviceaddr4 found;
    int err = decode_body(&wire_rdma_deviceaddr4, body, arena, &found);

    if (!err && !deviceaddr_ok(&found))
        err = -EBADMSG;
    if (!err)
        *addr = found;
    return err;
}

int rdma_layout_decode(struct xdr_bytes body, struct arena *arena, rdma_layout4 *layout)
{
    rdma_layout4 found;
    int err = decode_body(&wire_rdma_layout4, body, arena, &found);

    if (!err && !layout_ok(&found))
        err = -EBADMSG;
    if (!err)
        *layout = found;
    return err;
}

int rdma_layoutupdate_decode(struct xdr_bytes body, struct arena *arena, rdma_layoutupdate4 *update)
{
    rdma_layoutupdate4 found;
    int err = decode_body(&wire_rdma_layoutupdate4, body, arena, &found);

    if (!err && !update_ok(&found))
        err = -EBADMSG;
    if (!err)
        *update = found;
    return err;
}

int rdma_hello_decode(struct xdr_bytes data, rdma_hello4 *hello)
{
    rdma_hello4 found;
    size_t padding;
    int err = decode_front(&wire_rdma_hello4, data, NULL, &found, &padding);

    if (!err)
        *hello = found;
    return err;
}

int rdma_refused_decode(struct xdr_bytes data, rdma_refused4 *refused)
{
    rdma_refused4 found;
    size_t padding;
    int err = decode_front(&wire_rdma_refused4, data, NULL, &found, &padding);

    if (!err && !refused_ok(&found))
        err = -EBADMSG;
    if (!err)
        *refused = found;
    return err;
}

bool rdma_deviceaddr_encode(struct xdr_out *out, const rdma_deviceaddr4 *addr)
{
    return deviceaddr_ok(addr) ? wire_encode(&wire_rdma_deviceaddr4, out, addr) : xdr_out_fail(out);
}

bool rdma_layout_encode(struct xdr_out *out, const rdma_layout4 *layout)
{
    return layout_ok(layout) ? wire_encode(&wire_rdma_layout4, out, layout) : xdr_out_fail(out);
}

bool rdma_layoutupdate_encode(struct xdr_out *out, const rdma_layoutupdate4 *update)
{
    return update_ok(update) ? wire_encode(&wire_rdma_layoutupdate4, out, update)
                             : xdr_out_fail(out);
}

bool rdma_hello_encode(struct xdr_out *out, const rdma_hello4 *hello)
{
    return wire_encode(&wire_rdma_hello4, out, hello);
}

bool rdma_refused_encode(struct xdr_out *out, const rdma_refused4 *refused)
{
    return refused_ok(refused) ? wire_encode(&wire_rdma_refused4, out, refused) : xdr_out_fail(out);
}
