/*
 * Record marking for RPC over streams (RFC 5531 section 11), as a pure incremental reader. No I/O,
 * no buffers: the owner brings bytes, the reader says what they are.
 *
 * Two ways to feed it, which may be mixed at any point between calls:
 *  - bytes already received: record_reader_next() takes markers and payload off the front of a view
 * and hands out payload chunks. A record that arrived whole comes out as one chunk, which can be
 * decoded in place;
 *  - bytes about to be received: while record_reader_fragment_left() is not 0, that many payload
 * bytes come next and may be received straight into the owner's buffer at offset
 * record_reader_length(); record_reader_took() tells.
 */
#ifndef PROTO_RECORD_H
#define PROTO_RECORD_H

#include "proto/xdr.h"

enum record_event {
    RECORD_MORE,  /* the input is used up, no record has ended */
    RECORD_CHUNK, /* *chunk is a piece of the record, more follows */
    RECORD_DONE,  /* *chunk (perhaps empty) is the last piece of the record */
    RECORD_BAD,   /* longer than the limit, or endless empty fragments: close the connection */
};

enum { RECORD_MARK_SIZE = 4, RECORD_MAX_FRAGMENTS = 4096 };

/* Fields are private to record.c. */
struct record_reader {
    uint32_t limit;
    uint32_t length;    /* payload of this record taken so far */
    uint32_t left;      /* payload of this fragment still to come */
    uint32_t fragments; /* of this record */
    uint32_t mark;      /* marker bytes gathered so far */
    uint8_t mark_bytes;
    bool last;
    bool in_fragment;
    bool bad;
};

/* limit bounds the assembled length of one record. */
void record_reader_init(struct record_reader *r, uint32_t limit);
/* A session that was granted larger requests may raise it, between any two calls. */
void record_reader_set_limit(struct record_reader *r, uint32_t limit);

/* Takes bytes off the front of *in until an event. After RECORD_DONE the next call starts the next
 * record. */
enum record_event record_reader_next(struct record_reader *r, struct xdr_bytes *in,
                                     struct xdr_bytes *chunk);

/* Payload bytes of the current fragment that have not been taken; 0 when a marker comes next. */
uint32_t record_reader_fragment_left(const struct record_reader *r);
/* True when the current fragment is the record's last: with fragment_left, the record's final
 * length is known. */
bool record_reader_is_last(const struct record_reader *r);
/* Payload bytes of the current record taken so far. */
uint32_t record_reader_length(const struct record_reader *r);
/* True when nothing of a record has been taken: end of stream is clean only here. */
bool record_reader_idle(const struct record_reader *r);
/* The owner received n payload bytes itself, n at most fragment_left. RECORD_CHUNK, RECORD_DONE, or
 * RECORD_BAD if n is too large. */
enum record_event record_reader_took(struct record_reader *r, uint32_t n);

/* Writes the marker of a single-fragment record of len bytes (below 2^31). */
void record_mark_put(uint8_t mark[RECORD_MARK_SIZE], uint32_t len);

#endif
