/*
 * What the fuzzers of the wire layer share: whatever decodes must encode, decode again and encode
 * to the same bytes.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/arena.h"
#include "proto/xdr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_ROOM = 1 << 16, FUZZ_ARENA = 1 << 20 };

struct fuzz_codec {
    bool (*decode)(uint32_t op, struct xdr_in *in, struct arena *arena, void *value);
    bool (*encode)(uint32_t op, struct xdr_out *out, const void *value);
    size_t value_size;
};

/*
 * One interpreter decodes every type, so its code alone does not tell libFuzzer that it has reached
 * another operation or come further into it: these counters do.
 */
enum { FUZZ_OPS = 64, FUZZ_DEPTHS = 64 };
__attribute__((
    section("__libfuzzer_extra_counters"))) static uint8_t fuzz_reached[FUZZ_OPS][FUZZ_DEPTHS];

static inline void fuzz_reach(uint32_t op, size_t words, bool decoded)
{
    size_t depth = words < FUZZ_DEPTHS - 1 ? words : FUZZ_DEPTHS - 2;

    fuzz_reached[op % FUZZ_OPS][decoded ? FUZZ_DEPTHS - 1 : depth]++;
}

static inline void fuzz_must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static inline size_t fuzz_encode(const struct fuzz_codec *codec, uint32_t op, const void *value,
                                 uint8_t *buf)
{
    struct xdr_out out;

    xdr_out_init(&out, buf, FUZZ_ROOM);
    fuzz_must(codec->encode(op, &out, value), "what was decoded does not encode");
    return xdr_out_len(&out);
}

static inline void fuzz_recode(const struct fuzz_codec *codec, uint32_t op, const uint8_t *data,
                               size_t size)
{
    static uint8_t first[FUZZ_ROOM];
    static uint8_t second[FUZZ_ROOM];
    /* Of exact size, so that the sanitizer sees a step over its end. */
    void *value = malloc(codec->value_size);
    struct arena arena;
    struct xdr_in in;
    bool decoded;
    size_t len;

    fuzz_must(value != NULL, "out of memory");
    arena_init(&arena, FUZZ_ARENA);
    xdr_in_init(&in, data, size);
    /* Members that are not decoded hold wild pointers: using one shows. */
    memset(value, 0xaa, codec->value_size);
    decoded = codec->decode(op, &in, &arena, value);
    fuzz_reach(op, (size_t)(xdr_in_pos(&in) - data) / 4, decoded);
    if (decoded) {
        len = fuzz_encode(codec, op, value, first);
        xdr_in_init(&in, first, len);
        memset(value, 0x55, codec->value_size);
        fuzz_must(codec->decode(op, &in, &arena, value), "what was encoded does not decode");
        fuzz_must(xdr_in_left(&in) == 0, "bytes left over");
        fuzz_must(fuzz_encode(codec, op, value, second) == len && memcmp(first, second, len) == 0,
                  "encoded differently the second time");
    }
    fuzz_must(arena.used <= FUZZ_ARENA, "arena over its limit");
    arena_free(&arena);
    free(value);
}

#endif
