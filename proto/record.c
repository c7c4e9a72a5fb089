/*
 * Record marking (RFC 5531 section 11): see proto/record.h for the contract.
 */
#include "proto/record.h"

#include <string.h>

static const uint32_t LAST_FRAGMENT = 0x80000000u;

void record_reader_init(struct record_reader *r, uint32_t limit)
{
    *r = (struct record_reader){.limit = limit};
}

void record_reader_set_limit(struct record_reader *r, uint32_t limit)
{
    r->limit = limit;
}

static enum record_event fail(struct record_reader *r)
{
    r->bad = true;
    return RECORD_BAD;
}

/* A whole marker is here. False: the record is longer than allowed. */
static bool begin_fragment(struct record_reader *r)
{
    uint32_t len = r->mark & ~LAST_FRAGMENT;

    r->last = (r->mark & LAST_FRAGMENT) != 0;
    r->mark_bytes = 0;
    if (r->length > r->limit || len > r->limit - r->length || ++r->fragments > RECORD_MAX_FRAGMENTS)
        return false;
    r->left = len;
    r->in_fragment = true;
    return true;
}

/* The fragment is used up. */
static enum record_event end_fragment(struct record_reader *r)
{
    r->in_fragment = false;
    if (!r->last)
        return RECORD_CHUNK;
    r->length = 0;
    r->fragments = 0;
    return RECORD_DONE;
}

enum record_event record_reader_took(struct record_reader *r, uint32_t n)
{
    if (r->bad || !r->in_fragment || n > r->left)
        return fail(r);
    r->left -= n;
    r->length += n;
    return r->left > 0 ? RECORD_CHUNK : end_fragment(r);
}

static void read_mark(struct record_reader *r, struct xdr_bytes *in)
{
    while (r->mark_bytes < RECORD_MARK_SIZE && in->len > 0) {
        r->mark = r->mark << 8 | *in->data;
        r->mark_bytes++;
        in->data++;
        in->len--;
    }
}

enum record_event record_reader_next(struct record_reader *r, struct xdr_bytes *in,
                                     struct xdr_bytes *chunk)
{
    enum record_event event;

    if (r->bad)
        return RECORD_BAD;
    for (;;) {
        if (!r->in_fragment) {
            read_mark(r, in);
            if (r->mark_bytes < RECORD_MARK_SIZE)
                return RECORD_MORE;
            if (!begin_fragment(r))
                return fail(r);
        }
        if (in->len == 0 && r->left > 0)
            return RECORD_MORE;
        *chunk = (struct xdr_bytes){in->data, in->len < r->left ? in->len : r->left};
        event = record_reader_took(r, chunk->len);
        if (chunk->len > 0) {
            in->data += chunk->len;
            in->len -= chunk->len;
        }
        /* An empty fragment that is not the last says nothing: go on to the next marker. */
        if (event != RECORD_CHUNK || chunk->len > 0)
            return event;
    }
}

uint32_t record_reader_fragment_left(const struct record_reader *r)
{
    return r->left;
}

bool record_reader_is_last(const struct record_reader *r)
{
    return r->in_fragment && r->last;
}

uint32_t record_reader_length(const struct record_reader *r)
{
    return r->length;
}

bool record_reader_idle(const struct record_reader *r)
{
    return !r->in_fragment && r->mark_bytes == 0 && r->fragments == 0;
}

void record_mark_put(uint8_t mark[RECORD_MARK_SIZE], uint32_t len)
{
    uint32_t word = LAST_FRAGMENT | len;

    for (int i = 0; i < RECORD_MARK_SIZE; i++)
        mark[i] = (uint8_t)(word >> (24 - 8 * i));
}
