/*
 * fattr4 in both directions.
 */
#include <errno.h>

#include "fuzz.h"
#include "proto/nfs4/attr.h"

static bool decode(uint32_t op, struct xdr_in *in, struct arena *arena, void *value)
{
    int err = nfs4_attrs_decode(in, value);

    (void)op;
    (void)arena;
    fuzz_must(err == 0 || err == -EBADMSG || err == -ENOTSUP, "undocumented error");
    return err == 0;
}

static bool encode(uint32_t op, struct xdr_out *out, const void *value)
{
    const struct nfs4_attrs *attrs = value;

    (void)op;
    return nfs4_attrs_encode(out, &attrs->present, NULL, attrs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_codec codec = {decode, encode, sizeof(struct nfs4_attrs)};

    fuzz_recode(&codec, 0, data, size);
    return 0;
}
