/*
 * Record marking, RPC headers and COMPOUND heads. A word that chooses, then:
 *  0: a size of steps and a stream of records, read in steps of that size and at once: the same
 * records must come out; 1: a call with what follows its header; 2: a reply; 3: an AUTH_SYS body.
 */
#include <errno.h>

#include "fuzz.h"
#include "proto/nfs4/cb.h"
#include "proto/nfs4/ops.h"
#include "proto/record.h"
#include "proto/rpc.h"

enum { STREAM, CALL, REPLY, AUTHSYS, LIMIT = 4096 };

/* What a reader made of a stream: a sum over the records' bytes and ends. */
struct digest {
    uint64_t sum;
    bool bad;
};

static void digest_add(struct digest *digest, uint32_t byte)
{
    digest->sum = (digest->sum ^ byte) * 0x100000001b3u;
}

static struct digest read_stream(const uint8_t *data, uint32_t size, uint32_t step)
{
    struct digest digest = {.sum = 1};
    struct record_reader r;
    uint32_t at = 0;

    record_reader_init(&r, LIMIT);
    while (at < size && !digest.bad) {
        struct xdr_bytes in = {data + at, size - at < step ? size - at : step};
        enum record_event event;
        struct xdr_bytes chunk;

        at += in.len;
        while ((event = record_reader_next(&r, &in, &chunk)) != RECORD_MORE) {
            digest.bad = event == RECORD_BAD;
            if (digest.bad)
                break;
            for (uint32_t i = 0; i < chunk.len; i++)
                digest_add(&digest, chunk.data[i]);
            if (event == RECORD_DONE)
                digest_add(&digest, 256);
        }
        fuzz_must(record_reader_length(&r) <= LIMIT, "record over its limit");
    }
    return digest;
}

static void fuzz_stream(struct xdr_in *in)
{
    struct digest whole, steps;
    uint32_t size, step;
    const uint8_t *data;

    if (!xdr_get_u32(in, &step) || step == 0)
        return;
    data = xdr_in_pos(in);
    size = (uint32_t)xdr_in_left(in);
    whole = read_stream(data, size, size);
    steps = read_stream(data, size, step % 64 + 1);
    fuzz_must(whole.bad == steps.bad && whole.sum == steps.sum,
              "records depend on how they arrive");
}

static bool decode_call(uint32_t op, struct xdr_in *in, struct arena *arena, void *value)
{
    (void)op;
    (void)arena;
    return rpc_call_decode(in, value) == 0;
}

static bool encode_call(uint32_t op, struct xdr_out *out, const void *value)
{
    (void)op;
    return rpc_call_encode(out, value);
}

static bool decode_reply(uint32_t op, struct xdr_in *in, struct arena *arena, void *value)
{
    (void)op;
    (void)arena;
    return rpc_reply_decode(in, value) == 0;
}

static bool encode_reply(uint32_t op, struct xdr_out *out, const void *value)
{
    (void)op;
    return rpc_reply_encode(out, value);
}

static bool decode_authsys(uint32_t op, struct xdr_in *in, struct arena *arena, void *value)
{
    (void)op;
    (void)arena;
    return rpc_authsys_get(in, value);
}

static bool encode_authsys(uint32_t op, struct xdr_out *out, const void *value)
{
    (void)op;
    return rpc_authsys_put(out, value);
}

/* The heads that follow a call's or a reply's header. */
static void fuzz_heads(struct xdr_in in)
{
    struct nfs4_compound_args args;
    struct nfs4_cb_compound_args cb_args;
    struct nfs4_compound_res res;
    struct xdr_in again = in;

    if (nfs4_compound_args_decode(&again, &args))
        fuzz_must(args.tag.len <= NFS4_MAX_TAG, "tag over its bound");
    again = in;
    if (nfs4_cb_compound_args_decode(&again, &cb_args))
        fuzz_must(cb_args.tag.len <= NFS4_MAX_TAG, "tag over its bound");
    again = in;
    if (nfs4_compound_res_decode(&again, &res))
        fuzz_must(res.tag.len <= NFS4_MAX_TAG, "tag over its bound");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_codec call = {decode_call, encode_call, sizeof(struct rpc_call)};
    static const struct fuzz_codec reply = {decode_reply, encode_reply, sizeof(struct rpc_reply)};
    static const struct fuzz_codec authsys = {decode_authsys, encode_authsys,
                                              sizeof(authsys_parms)};
    enum rpc_msg_type type;
    struct rpc_call header;
    struct xdr_in in;
    uint32_t what;
    uint32_t xid;

    xdr_in_init(&in, data, size);
    if (!xdr_get_u32(&in, &what))
        return 0;
    data = xdr_in_pos(&in);
    size = xdr_in_left(&in);
    rpc_msg_peek(data, size, &xid, &type);
    switch (what) {
    case STREAM:
        fuzz_stream(&in);
        break;
    case CALL:
        fuzz_recode(&call, 0, data, size);
        if (rpc_call_decode(&in, &header) == 0)
            fuzz_heads(in);
        break;
    case REPLY:
        fuzz_recode(&reply, 0, data, size);
        break;
    case AUTHSYS:
        fuzz_recode(&authsys, 0, data, size);
        break;
    default:
        break;
    }
    return 0;
}
