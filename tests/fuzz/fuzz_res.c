/*
 * Results of every operation: its number as on the wire, then the result.
 */
#include "fuzz.h"
#include "proto/nfs4/ops.h"

static bool decode(uint32_t op, struct xdr_in *in, struct arena *arena, void *value)
{
    return nfs4_res_decode(op, in, arena, value);
}

static bool encode(uint32_t op, struct xdr_out *out, const void *value)
{
    return nfs4_res_encode(op, out, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_codec codec = {decode, encode, sizeof(union nfs4_res)};
    struct xdr_in in;
    uint32_t op;

    xdr_in_init(&in, data, size);
    if (nfs4_op_decode(&in, &op))
        fuzz_recode(&codec, op, xdr_in_pos(&in), xdr_in_left(&in));
    return 0;
}
