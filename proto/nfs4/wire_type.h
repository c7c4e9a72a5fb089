/*
 * Descriptions of XDR types, and the two functions that decode and encode by them. Private to
 * proto/ and its tests.
 *
 * A wire_type says where the fields of a C structure are and how each is encoded, in the order of
 * the wire. So each structure of the protocol is written down once, for both directions, and what
 * must never go wrong with hostile input (bounds, counts, allocation) is in one place: wire.c.
 * Recursion follows the nesting of types, never the data.
 */
#ifndef PROTO_NFS4_WIRE_TYPE_H
#define PROTO_NFS4_WIRE_TYPE_H

#include "proto/arena.h"
#include "proto/nfs4/types.h"
#include "proto/xdr.h"

enum wire_kind {
    WIRE_KIND_VOID,
    WIRE_KIND_U32, /* enums too: any value, as rpcgen's code does; meaning is judged by the user of
                    * the value
                    */
    WIRE_KIND_U64, /* signed too */
    WIRE_KIND_BOOL,
    WIRE_KIND_FIXED,   /* opaque[bound] */
    WIRE_KIND_OPAQUE,  /* opaque<bound> as a view */
    WIRE_KIND_PAYLOAD, /* opaque<>, encoded by reference when the owner's pointer (at `second`) is
                          set */
    WIRE_KIND_SUB,     /* a structure within */
    WIRE_KIND_ARRAY,   /* type<bound>: count at `at`, pointer at `second` */
    WIRE_KIND_U32S,    /* uint32_t<bound> kept in the structure: count at `at`, array at `second` */
};

struct wire_type;

struct wire_field {
    uint8_t kind;
    uint16_t at; /* offset in the C structure */
    uint16_t second;
    uint32_t bound;
    const struct wire_type *type;
    const char *name;
};

/* An arm of a union. The default arm comes last. */
struct wire_arm {
    uint32_t value;
    bool is_default;
    struct wire_field body;
};

struct wire_type {
    const char *name;
    uint16_t size; /* of the C structure */
    uint16_t fields_count;
    uint16_t arms_count; /* not 0: a union; its one field is the discriminant */
    const struct wire_field *fields;
    const struct wire_arm *arms;
    /* Set for the few types that the kinds above do not describe; fields are then not used. */
    bool (*decode)(struct xdr_in *in, struct arena *arena, void *value);
    bool (*encode)(struct xdr_out *out, const void *value);
};

/* One field of the structure at value. */
bool wire_decode_field(const struct wire_field *field, struct xdr_in *in, struct arena *arena,
                       void *value);
bool wire_encode_field(const struct wire_field *field, struct xdr_out *out, const void *value);
/* The fields of a table whose bits are set in `count` words, in the order of the table. */
bool wire_encode_chosen(const struct wire_field *table, const uint32_t *words, unsigned count,
                        struct xdr_out *out, const void *value);

/* False: malformed, or the arena is used up; *value is then undefined. */
bool wire_decode(const struct wire_type *type, struct xdr_in *in, struct arena *arena, void *value);
/* False: does not fit, or has no encoding; out is then full. */
bool wire_encode(const struct wire_type *type, struct xdr_out *out, const void *value);

#define WIRE_UNBOUNDED UINT32_MAX /* by the message's length only: views cost nothing */

/*
 * How to write a type down. T is the C structure, m its member; sizes are checked by the compiler.
 *
 *     WIRE_STRUCT(CLOSE4args, WIRE_U32(CLOSE4args, seqid), WIRE_SUB(CLOSE4args, open_stateid,
 * stateid4));
 *
 * `static` in front keeps a type to its file.
 */
#define WIRE_MEMBER(T, m) (((T *)0)->m)
#define WIRE_AT(T, m, want)                                                                        \
    (offsetof(T, m) + 0 * sizeof(char[(sizeof(WIRE_MEMBER(T, m)) == (want)) ? 1 : -1]))
#define WIRE_FIELD(k, T, m, sz) .kind = WIRE_KIND_##k, .at = (uint16_t)WIRE_AT(T, m, sz), .name = #m

#define WIRE_U32(T, m)                                                                             \
    {                                                                                              \
        WIRE_FIELD(U32, T, m, 4)                                                                   \
    }
#define WIRE_U64(T, m)                                                                             \
    {                                                                                              \
        WIRE_FIELD(U64, T, m, 8)                                                                   \
    }
#define WIRE_BOOL(T, m)                                                                            \
    {                                                                                              \
        WIRE_FIELD(BOOL, T, m, sizeof(bool))                                                       \
    }
#define WIRE_FIXED(T, m)                                                                           \
    {                                                                                              \
        WIRE_FIELD(FIXED, T, m, sizeof(WIRE_MEMBER(T, m))), .bound = sizeof(WIRE_MEMBER(T, m))     \
    }
#define WIRE_OPAQUE(T, m, max)                                                                     \
    {                                                                                              \
        WIRE_FIELD(OPAQUE, T, m, sizeof(struct xdr_bytes)), .bound = (uint32_t)(max)               \
    }
#define WIRE_PAYLOAD(T, m, own)                                                                    \
    {                                                                                              \
        WIRE_FIELD(PAYLOAD, T, m, sizeof(struct xdr_bytes)), .second = offsetof(T, own)            \
    }
#define WIRE_SUB(T, m, U)                                                                          \
    {                                                                                              \
        WIRE_FIELD(SUB, T, m, sizeof(U)), .type = &wire_##U                                        \
    }
#define WIRE_BITMAP(T, m) WIRE_SUB(T, m, bitmap4)
#define WIRE_ARRAY(T, m, U, max)                                                                   \
    {                                                                                              \
        .kind = WIRE_KIND_ARRAY, .at = offsetof(T, m##_count), .bound = (max), .type = &wire_##U,  \
        .name = #m,                                                                                \
        .second = (uint16_t)(offsetof(T, m) +                                                      \
                             0 * sizeof(char[(sizeof(*WIRE_MEMBER(T, m)) == sizeof(U)) ? 1 : -1])) \
    }
#define WIRE_U32S(T, m)                                                                            \
    {                                                                                              \
        .kind = WIRE_KIND_U32S, .at = offsetof(T, m##_count), .second = offsetof(T, m),            \
        .bound = sizeof(WIRE_MEMBER(T, m)) / 4, .name = #m                                         \
    }
#define WIRE_NOTHING                                                                               \
    {                                                                                              \
        .kind = WIRE_KIND_VOID                                                                     \
    }

#define WIRE_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define WIRE_FIELDS(...)                                                                           \
    .fields_count = WIRE_COUNT(((const struct wire_field[]){__VA_ARGS__})),                        \
    .fields = (const struct wire_field[])                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define WIRE_ARMS(...)                                                                             \
    .arms_count = WIRE_COUNT(((const struct wire_arm[]){__VA_ARGS__})),                            \
    .arms = (const struct wire_arm[])                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

#define WIRE_STRUCT(T, ...)                                                                        \
    const struct wire_type wire_##T = {.name = #T, .size = sizeof(T), WIRE_FIELDS(__VA_ARGS__)}

/* A union: its discriminant (a WIRE_U32 or WIRE_BOOL), then WIRE_ARM, WIRE_DEFAULT. */
#define WIRE_UNION(T, discriminant, ...)                                                           \
    const struct wire_type wire_##T = {                                                            \
        .name = #T, .size = sizeof(T), WIRE_FIELDS(discriminant), WIRE_ARMS(__VA_ARGS__)}

#define WIRE_ARM(v, ...)                                                                           \
    {                                                                                              \
        .value = (v), .body = __VA_ARGS__                                                          \
    }
#define WIRE_DEFAULT                                                                               \
    {                                                                                              \
        .is_default = true                                                                         \
    }

/* A result: `status`, then the arms listed; every other status has no content. */
#define WIRE_RESULT(T, ...) WIRE_UNION(T, WIRE_U32(T, status), __VA_ARGS__, WIRE_DEFAULT)

#endif
