/*
 * Callbacks: a word that is 0 for arguments and 1 for results, the operation's number, then its
 * arguments or result. Also the values in device notifications.
 */
#include "fuzz.h"
#include "proto/nfs4/cb.h"
#include "proto/nfs4/ops.h"

/* A notification that is understood must be written back as the same values. */
static void recode_notify(const notify4 *notify)
{
    uint8_t vals[NFS4_DEVICE_NOTIFY_SIZE];
    struct nfs4_device_notify change;
    notify4 again;

    if (!nfs4_device_notify_get(notify, &change))
        return;
    fuzz_must(nfs4_device_notify_put(&change, vals, &again), "what was decoded does not encode");
    fuzz_must(xdr_bytes_equal(again.notify_vals, notify->notify_vals), "notification changed");
}

static bool decode_args(uint32_t op, struct xdr_in *in, struct arena *arena, void *value)
{
    const union nfs4_cb_args *args = value;

    if (!nfs4_cb_args_decode(op, in, arena, value))
        return false;
    if (op == OP_CB_NOTIFY_DEVICEID && args->cb_notify_deviceid.cnda_changes_count > 0)
        recode_notify(&args->cb_notify_deviceid.cnda_changes[0]);
    return true;
}

static bool encode_args(uint32_t op, struct xdr_out *out, const void *value)
{
    return nfs4_cb_args_encode(op, out, value);
}

static bool decode_res(uint32_t op, struct xdr_in *in, struct arena *arena, void *value)
{
    return nfs4_cb_res_decode(op, in, arena, value);
}

static bool encode_res(uint32_t op, struct xdr_out *out, const void *value)
{
    return nfs4_cb_res_encode(op, out, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_codec args = {decode_args, encode_args, sizeof(union nfs4_cb_args)};
    static const struct fuzz_codec res = {decode_res, encode_res, sizeof(union nfs4_cb_res)};
    struct xdr_in in;
    uint32_t op;
    bool is_res;

    xdr_in_init(&in, data, size);
    if (xdr_get_bool(&in, &is_res) && nfs4_op_decode(&in, &op))
        fuzz_recode(is_res ? &res : &args, op, xdr_in_pos(&in), xdr_in_left(&in));
    return 0;
}
