/*
 * XDR (RFC 4506): see proto/xdr.h for the contract.
 */
#include "proto/xdr.h"

#include <string.h>

static const uint8_t zeros[4];

struct xdr_bytes xdr_bytes_of(const char *string)
{
    return (struct xdr_bytes){(const uint8_t *)string, (uint32_t)strlen(string)};
}

bool xdr_bytes_equal(struct xdr_bytes a, struct xdr_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

void xdr_in_init(struct xdr_in *in, const void *data, size_t len)
{
    static const uint8_t nothing[1];

    /* NULL with length 0 is a fair input, but NULL + 0 is not fair C. */
    in->next = data != NULL ? data : nothing;
    in->end = in->next + (data != NULL ? len : 0);
    in->bad = false;
}

bool xdr_get_i64(struct xdr_in *in, int64_t *value)
{
    uint64_t bits;

    if (!xdr_get_u64(in, &bits))
        return false;
    memcpy(value, &bits, sizeof(bits));
    return true;
}

bool xdr_get_fixed(struct xdr_in *in, uint32_t n, const uint8_t **bytes)
{
    const uint8_t *p = xdr_in_take(in, (size_t)xdr_padded(n));

    if (p == NULL)
        return false;
    *bytes = p;
    return true;
}

bool xdr_get_opaque(struct xdr_in *in, uint32_t max, struct xdr_bytes *bytes)
{
    const uint8_t *p;
    uint32_t len;

    if (!xdr_get_u32(in, &len))
        return false;
    if (len > max)
        return xdr_in_fail(in);
    if (!xdr_get_fixed(in, len, &p))
        return false;
    *bytes = (struct xdr_bytes){p, len};
    return true;
}

bool xdr_in_skip(struct xdr_in *in, uint32_t n)
{
    return xdr_in_take(in, (size_t)xdr_padded(n)) != NULL;
}

void xdr_out_init(struct xdr_out *out, void *buf, size_t cap)
{
    out->base = buf;
    out->pos = 0;
    out->cap = cap;
    out->spliced = 0;
    out->limit = SIZE_MAX;
    out->splices = 0;
    out->full = false;
}

void xdr_out_set_limit(struct xdr_out *out, size_t limit)
{
    out->limit = limit;
}

size_t xdr_out_left(const struct xdr_out *out)
{
    return out->full ? 0 : xdr_out_room(out);
}

bool xdr_put_i64(struct xdr_out *out, int64_t value)
{
    return xdr_put_u64(out, (uint64_t)value);
}

bool xdr_put_fixed(struct xdr_out *out, const void *data, uint32_t len)
{
    size_t padded = (size_t)xdr_padded(len);
    uint8_t *p = xdr_out_reserve(out, padded);

    if (p == NULL)
        return false;
    if (len > 0)
        memcpy(p, data, len);
    memcpy(p + len, zeros, padded - len);
    return true;
}

bool xdr_put_opaque(struct xdr_out *out, const void *data, uint32_t len)
{
    /* Checked as a whole, so that a failure leaves no length word without its bytes. */
    if (xdr_out_left(out) < 4 + xdr_padded(len))
        return xdr_out_fail(out);
    return xdr_put_u32(out, len) && xdr_put_fixed(out, data, len);
}

bool xdr_put_bytes(struct xdr_out *out, struct xdr_bytes bytes)
{
    return xdr_put_opaque(out, bytes.data, bytes.len);
}

bool xdr_out_splice(struct xdr_out *out, const void *data, uint32_t len, void *owner)
{
    size_t padding = (size_t)(xdr_padded(len) - len);
    size_t inline_size = 4 + padding;

    /* The room is within the message's limit; the payload itself takes nothing of the buffer. */
    if (out->full || xdr_out_room(out) < inline_size || out->splices == XDR_OUT_MAX_SPLICES ||
        out->limit - xdr_out_len(out) - inline_size < len)
        return xdr_out_fail(out);
    xdr_put_u32(out, len);
    out->splice[out->splices++] = (struct xdr_splice){out->pos, data, len, owner};
    out->spliced += len;
    memset(xdr_out_reserve(out, padding), 0, padding);
    return true;
}

bool xdr_out_splice_encoded(struct xdr_out *out, const void *data, uint32_t len, void *owner)
{
    const size_t now = xdr_out_len(out);

    if (out->full || len % 4 != 0 || out->splices == XDR_OUT_MAX_SPLICES || out->limit < now ||
        out->limit - now < len)
        return xdr_out_fail(out);
    out->splice[out->splices++] = (struct xdr_splice){out->pos, data, len, owner};
    out->spliced += len;
    return true;
}

bool xdr_out_patch_u32(struct xdr_out *out, size_t pos, uint32_t value)
{
    if (pos > out->pos || out->pos - pos < 4)
        return false;
    xdr_store_u32(out->base + pos, value);
    return true;
}

void xdr_out_rebase(struct xdr_out *out, void *buf, size_t cap)
{
    if (cap < out->pos)
        return;
    if (out->pos > 0)
        memcpy(buf, out->base, out->pos);
    out->base = buf;
    out->cap = cap;
}

void xdr_out_truncate(struct xdr_out *out, size_t pos)
{
    if (pos > out->pos)
        return;
    /* A splice's length word comes before it, so one that began at or after pos has at > pos. */
    while (out->splices > 0 && out->splice[out->splices - 1].at > pos)
        out->spliced -= out->splice[--out->splices].len;
    out->pos = pos;
    out->full = false;
}

unsigned xdr_out_iov(const struct xdr_out *out, struct iovec *iov, unsigned max)
{
    unsigned count = 0;
    size_t from = 0;

    for (unsigned i = 0; i <= out->splices; i++) {
        size_t to = i < out->splices ? out->splice[i].at : out->pos;

        if (to > from) {
            if (count == max)
                return 0;
            iov[count++] = (struct iovec){out->base + from, to - from};
            from = to;
        }
        if (i < out->splices && out->splice[i].len > 0) {
            /* iov_base is not const, but sendmsg only reads. */
            union {
                const void *in;
                void *out;
            } payload = {out->splice[i].data};

            if (count == max)
                return 0;
            iov[count++] = (struct iovec){payload.out, out->splice[i].len};
        }
    }
    return count;
}

const struct xdr_splice *xdr_out_splice_at(const struct xdr_out *out, unsigned i)
{
    return i < out->splices ? &out->splice[i] : NULL;
}
