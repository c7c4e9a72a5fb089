/*
 * Bodies of RDMA layouts: a word that chooses the body, then the body.
 */
#include "fuzz.h"
#include "proto/layout/rdma.h"

enum { DEVICEADDR, LAYOUT, LAYOUTUPDATE, HELLO, REFUSED, BODIES };

static bool decode(uint32_t body, struct xdr_in *in, struct arena *arena, void *value)
{
    struct xdr_bytes bytes = {xdr_in_pos(in), (uint32_t)xdr_in_left(in)};
    int err;

    switch (body) {
    case DEVICEADDR:
        err = rdma_deviceaddr_decode(bytes, arena, value);
        break;
    case LAYOUT:
        err = rdma_layout_decode(bytes, arena, value);
        break;
    case LAYOUTUPDATE:
        err = rdma_layoutupdate_decode(bytes, arena, value);
        break;
    case HELLO:
        bytes.len = bytes.len < RDMA_HELLO_SIZE ? bytes.len : RDMA_HELLO_SIZE;
        err = rdma_hello_decode(bytes, value);
        break;
    default:
        bytes.len = bytes.len < RDMA_REFUSED_SIZE ? bytes.len : RDMA_REFUSED_SIZE;
        err = rdma_refused_decode(bytes, value);
        break;
    }
    xdr_in_skip(in, bytes.len & ~3u);
    return err == 0;
}

static bool encode(uint32_t body, struct xdr_out *out, const void *value)
{
    switch (body) {
    case DEVICEADDR:
        return rdma_deviceaddr_encode(out, value);
    case LAYOUT:
        return rdma_layout_encode(out, value);
    case LAYOUTUPDATE:
        return rdma_layoutupdate_encode(out, value);
    case HELLO:
        return rdma_hello_encode(out, value);
    default:
        return rdma_refused_encode(out, value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_codec codec = {decode, encode, sizeof(rdma_deviceaddr4)};
    struct xdr_in in;
    uint32_t body;

    xdr_in_init(&in, data, size);
    if (xdr_get_u32(&in, &body) && body < BODIES)
        fuzz_recode(&codec, body, xdr_in_pos(&in), xdr_in_left(&in));
    return 0;
}
