/*
 * Bodies of block layouts: a word that chooses the body, then the body.
 */
#include "fuzz.h"
#include "proto/layout/block.h"

enum { DEVICEADDR, LAYOUT, LAYOUTUPDATE, LAYOUTHINT, BODIES };

static bool decode(uint32_t body, struct xdr_in *in, struct arena *arena, void *value)
{
    struct xdr_bytes bytes = {xdr_in_pos(in), (uint32_t)xdr_in_left(in)};
    int err;

    xdr_in_skip(in, bytes.len & ~3u);
    switch (body) {
    case DEVICEADDR:
        err = block_deviceaddr_decode(bytes, arena, value);
        break;
    case LAYOUT:
        err = block_layout_decode(bytes, arena, value);
        break;
    case LAYOUTUPDATE:
        err = block_layoutupdate_decode(bytes, arena, value);
        break;
    default:
        err = block_layouthint_decode(bytes, value);
        break;
    }
    return err == 0;
}

static bool encode(uint32_t body, struct xdr_out *out, const void *value)
{
    switch (body) {
    case DEVICEADDR:
        return block_deviceaddr_encode(out, value);
    case LAYOUT:
        return block_layout_encode(out, value);
    case LAYOUTUPDATE:
        return block_layoutupdate_encode(out, value);
    default:
        return block_layouthint_encode(out, value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_codec codec = {decode, encode, sizeof(pnfs_block_deviceaddr4)};
    struct xdr_in in;
    uint32_t body;

    xdr_in_init(&in, data, size);
    if (xdr_get_u32(&in, &body) && body < BODIES)
        fuzz_recode(&codec, body, xdr_in_pos(&in), xdr_in_left(&in));
    return 0;
}
