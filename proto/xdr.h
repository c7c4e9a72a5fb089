/*
 * XDR (RFC 4506): a bounded input cursor that yields views, and a bounded output buffer that can
 * carry payload by reference.
 *
 * Both directions have sticky failure: after the first bad read or the first write that does not
 * fit, every further call fails too and changes nothing, so callers may check once at the end.
 * Nothing is allocated and no payload is copied on input; a view lives as long as the buffer it was
 * read from. No locks, no globals: usable on any thread, one thread at a time per object.
 */
#ifndef PROTO_XDR_H
#define PROTO_XDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* A view of bytes owned by somebody else. Not terminated. data may be NULL when len is 0. */
struct xdr_bytes {
    const uint8_t *data;
    uint32_t len;
};

/* A view of a C string's bytes, without the terminator. */
struct xdr_bytes xdr_bytes_of(const char *string);
bool xdr_bytes_equal(struct xdr_bytes a, struct xdr_bytes b);

/* Input cursor. Fields are private to xdr.h and xdr.c. */
struct xdr_in {
    const uint8_t *next;
    const uint8_t *end;
    bool bad;
};

void xdr_in_init(struct xdr_in *in, const void *data, size_t len);

/* Marks the input as bad: for callers that find a value they cannot accept. Returns false. */
static inline bool xdr_in_fail(struct xdr_in *in)
{
    in->bad = true;
    return false;
}

/* Takes n bytes off the front; NULL, and the input is bad, when they are not there. The readers
 * below are made of it. */
static inline const uint8_t *xdr_in_take(struct xdr_in *in, size_t n)
{
    const uint8_t *at = in->next;

    if (in->bad || (size_t)(in->end - at) < n) {
        in->bad = true;
        return NULL;
    }
    in->next = at + n;
    return at;
}

static inline uint32_t xdr_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline bool xdr_get_u32(struct xdr_in *in, uint32_t *value)
{
    const uint8_t *p = xdr_in_take(in, 4);

    if (p == NULL)
        return false;
    *value = xdr_load_u32(p);
    return true;
}

static inline bool xdr_get_u64(struct xdr_in *in, uint64_t *value)
{
    const uint8_t *p = xdr_in_take(in, 8);

    if (p == NULL)
        return false;
    *value = (uint64_t)xdr_load_u32(p) << 32 | xdr_load_u32(p + 4);
    return true;
}

/* Anything but 0 and 1 is bad (RFC 4506 section 4.4). */
static inline bool xdr_get_bool(struct xdr_in *in, bool *value)
{
    uint32_t word;

    if (!xdr_get_u32(in, &word))
        return false;
    if (word > 1)
        return xdr_in_fail(in);
    *value = word == 1;
    return true;
}

bool xdr_get_i64(struct xdr_in *in, int64_t *value);
/* opaque<max> and string<max>. The padding must be there; its value is not looked at, as peers do.
 */
bool xdr_get_opaque(struct xdr_in *in, uint32_t max, struct xdr_bytes *bytes);
/* opaque[n]: *bytes points into the input. */
bool xdr_get_fixed(struct xdr_in *in, uint32_t n, const uint8_t **bytes);
/* Passes over n bytes and their padding. */
bool xdr_in_skip(struct xdr_in *in, uint32_t n);

static inline size_t xdr_in_left(const struct xdr_in *in)
{
    return in->bad ? 0 : (size_t)(in->end - in->next);
}

static inline bool xdr_in_ok(const struct xdr_in *in)
{
    return !in->bad;
}

/* Where the next read starts, for callers that remember a range of the input. */
static inline const uint8_t *xdr_in_pos(const struct xdr_in *in)
{
    return in->next;
}

/* Payload carried by reference: sent after the first `at` bytes of the buffer. */
struct xdr_splice {
    size_t at;
    const void *data;
    uint32_t len;
    void *owner;
};

enum { XDR_OUT_MAX_SPLICES = 8, XDR_OUT_MAX_IOV = 2 * XDR_OUT_MAX_SPLICES + 1 };

/* Bounded output over one caller-provided buffer. Fields are private to xdr.h and xdr.c. */
struct xdr_out {
    uint8_t *base;
    size_t pos;
    size_t cap;
    size_t spliced; /* bytes in splices */
    size_t limit;   /* of the whole message, splices included */
    struct xdr_splice splice[XDR_OUT_MAX_SPLICES];
    unsigned splices;
    bool full;
};

void xdr_out_init(struct xdr_out *out, void *buf, size_t cap);
/* Bounds the whole message, splices included (a channel's ca_maxresponsesize). Without it only cap
 * bounds. */
void xdr_out_set_limit(struct xdr_out *out, size_t limit);
/*
 * Goes on in a larger buffer: what was written is copied there, the old buffer is the caller's
 * again, `full` stays as it is. A buffer too small for what was written is not taken.
 */
void xdr_out_rebase(struct xdr_out *out, void *buf, size_t cap);

/* Marks the output as failed. Returns false. */
static inline bool xdr_out_fail(struct xdr_out *out)
{
    out->full = true;
    return false;
}

/* What buffer and limit leave, whether or not out is full. */
static inline size_t xdr_out_room(const struct xdr_out *out)
{
    size_t buffer = out->cap - out->pos;
    size_t len = out->pos + out->spliced;
    size_t message = out->limit > len ? out->limit - len : 0;

    return buffer < message ? buffer : message;
}

/* The place of the next n bytes; NULL, and the output is full, when they do not fit. The writers
 * below are made of it. */
static inline uint8_t *xdr_out_reserve(struct xdr_out *out, size_t n)
{
    uint8_t *at;

    if (out->full || xdr_out_room(out) < n) {
        out->full = true;
        return NULL;
    }
    at = out->base + out->pos;
    out->pos += n;
    return at;
}

/* Where the next byte goes and, in *end, as far as it may: for a writer of many small values that
 * looks after its room itself, and says with xdr_out_advance() how far it came. */
static inline uint8_t *xdr_out_next(const struct xdr_out *out, uint8_t **end)
{
    uint8_t *at = out->base + out->pos;

    *end = at + (out->full ? 0 : xdr_out_room(out));
    return at;
}

static inline void xdr_out_advance(struct xdr_out *out, const uint8_t *at)
{
    out->pos = (size_t)(at - out->base);
}

static inline void xdr_store_u32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

static inline bool xdr_put_u32(struct xdr_out *out, uint32_t value)
{
    uint8_t *p = xdr_out_reserve(out, 4);

    if (p == NULL)
        return false;
    xdr_store_u32(p, value);
    return true;
}

static inline bool xdr_put_u64(struct xdr_out *out, uint64_t value)
{
    uint8_t *p = xdr_out_reserve(out, 8);

    if (p == NULL)
        return false;
    xdr_store_u32(p, (uint32_t)(value >> 32));
    xdr_store_u32(p + 4, (uint32_t)value);
    return true;
}

static inline bool xdr_put_bool(struct xdr_out *out, bool value)
{
    return xdr_put_u32(out, value ? 1 : 0);
}

bool xdr_put_i64(struct xdr_out *out, int64_t value);
/* Length, bytes, padding. */
bool xdr_put_opaque(struct xdr_out *out, const void *data, uint32_t len);
bool xdr_put_bytes(struct xdr_out *out, struct xdr_bytes bytes);
/* Bytes and padding, no length. */
bool xdr_put_fixed(struct xdr_out *out, const void *data, uint32_t len);

/*
 * opaque<> by reference: writes the length, records the segment, writes the padding. data must stay
 * as it is until the message is sent; owner is what the sender releases then (see
 * xdr_out_splice_at). False, and owner still the caller's, when it does not fit or
 * XDR_OUT_MAX_SPLICES are taken.
 */
bool xdr_out_splice(struct xdr_out *out, const void *data, uint32_t len, void *owner);
/* The same for bytes that are encoded already: no length, no padding. False if len is not a
 * multiple of 4. xdr_out_truncate to the very position where it was put keeps it. */
bool xdr_out_splice_encoded(struct xdr_out *out, const void *data, uint32_t len, void *owner);

/* Position in the buffer (splices not counted): for xdr_out_patch_u32 and xdr_out_truncate. */
static inline size_t xdr_out_pos(const struct xdr_out *out)
{
    return out->pos;
}

/* Length of the whole message, splices included. */
static inline size_t xdr_out_len(const struct xdr_out *out)
{
    return out->pos + out->spliced;
}

static inline bool xdr_out_ok(const struct xdr_out *out)
{
    return !out->full;
}

/* Bytes that may still be written; 0 once full. */
size_t xdr_out_left(const struct xdr_out *out);
/* Overwrites four bytes written earlier at pos. False when pos + 4 is past what was written. */
bool xdr_out_patch_u32(struct xdr_out *out, size_t pos, uint32_t value);
/*
 * Goes back to pos, forgets what came after it, splices included, and clears `full`. Owners of the
 * forgotten splices are not released: a caller that splices before it truncates looks at
 * xdr_out_splice_at() first.
 */
void xdr_out_truncate(struct xdr_out *out, size_t pos);

/* The message as an iovec of at most max entries (XDR_OUT_MAX_IOV always suffices); returns the
 * count, 0 when max is too small. */
unsigned xdr_out_iov(const struct xdr_out *out, struct iovec *iov, unsigned max);
/* The i-th splice, or NULL past the last: for releasing owners after the send. */
const struct xdr_splice *xdr_out_splice_at(const struct xdr_out *out, unsigned i);

/* len rounded up to a multiple of four; 64 bits so that it cannot wrap. */
static inline uint64_t xdr_padded(uint64_t len)
{
    return (len + 3) & ~(uint64_t)3;
}

#endif
