/*
 * Bodies of SCSI layouts: a word that chooses the body, then the body.
 */
#include "fuzz.h"
#include "proto/layout/scsi.h"

enum { DEVICEADDR, LAYOUTUPDATE, BODIES };

static bool decode(uint32_t body, struct xdr_in *in, struct arena *arena, void *value)
{
    struct xdr_bytes bytes = {xdr_in_pos(in), (uint32_t)xdr_in_left(in)};

    xdr_in_skip(in, bytes.len & ~3u);
    return (body == DEVICEADDR ? scsi_deviceaddr_decode(bytes, arena, value)
                               : scsi_layoutupdate_decode(bytes, arena, value)) == 0;
}

static bool encode(uint32_t body, struct xdr_out *out, const void *value)
{
    return body == DEVICEADDR ? scsi_deviceaddr_encode(out, value)
                              : scsi_layoutupdate_encode(out, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_codec codec = {decode, encode, sizeof(pnfs_scsi_deviceaddr4)};
    struct xdr_in in;
    uint32_t body;

    xdr_in_init(&in, data, size);
    if (xdr_get_u32(&in, &body) && body < BODIES)
        fuzz_recode(&codec, body, xdr_in_pos(&in), xdr_in_left(&in));
    return 0;
}
