/*
 * Decoding and encoding by description: see proto/nfs4/wire_type.h. Every bound on hostile input is
 * enforced here.
 */
#include "proto/nfs4/wire_type.h"

#include <string.h>

static const struct wire_arm *arm_of(const struct wire_type *type, uint32_t value)
{
    for (unsigned i = 0; i < type->arms_count; i++) {
        if (type->arms[i].is_default || type->arms[i].value == value)
            return &type->arms[i];
    }
    return NULL;
}

static uint32_t discriminant_of(const struct wire_type *type, const char *value)
{
    const struct wire_field *field = &type->fields[0];
    uint32_t word;

    if (field->kind == WIRE_KIND_BOOL)
        return *(const bool *)(value + field->at) ? 1 : 0;
    memcpy(&word, value + field->at, sizeof(word));
    return word;
}

static bool decode_fixed(const struct wire_field *field, struct xdr_in *in, char *at)
{
    const uint8_t *bytes;

    if (!xdr_get_fixed(in, field->bound, &bytes))
        return false;
    memcpy(at, bytes, field->bound);
    return true;
}

/*
 * A count may only size something once it is within its bound and within what is left of the
 * message: no element takes less than four bytes there.
 */
static bool decode_count(const struct wire_field *field, struct xdr_in *in, uint32_t *count)
{
    if (!xdr_get_u32(in, count))
        return false;
    if (*count > field->bound || *count > xdr_in_left(in) / 4)
        return xdr_in_fail(in);
    return true;
}

static bool decode_array(const struct wire_field *field, struct xdr_in *in, struct arena *arena,
                         char *value)
{
    char *items = NULL;
    uint32_t count;

    if (!decode_count(field, in, &count))
        return false;
    if (count > 0) {
        items = arena_array(arena, count, field->type->size);
        if (items == NULL)
            return xdr_in_fail(in);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!wire_decode(field->type, in, arena, items + (size_t)i * field->type->size))
            return false;
    }
    memcpy(value + field->at, &count, sizeof(count));
    memcpy(value + field->second, &items, sizeof(items));
    return true;
}

static bool decode_u32s(const struct wire_field *field, struct xdr_in *in, char *value)
{
    uint32_t count;

    if (!decode_count(field, in, &count))
        return false;
    memcpy(value + field->at, &count, sizeof(count));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t word = 0;

        xdr_get_u32(in, &word);
        memcpy(value + field->second + 4 * (size_t)i, &word, sizeof(word));
    }
    return xdr_in_ok(in);
}

static bool decode_payload(const struct wire_field *field, struct xdr_in *in, char *value)
{
    void *owner = NULL;

    memcpy(value + field->second, &owner, sizeof(owner));
    return xdr_get_opaque(in, WIRE_UNBOUNDED, (struct xdr_bytes *)(value + field->at));
}

static inline bool decode_field(const struct wire_field *field, struct xdr_in *in,
                                struct arena *arena, char *value)
{
    char *at = value + field->at;

    switch (field->kind) {
    case WIRE_KIND_U32:
        return xdr_get_u32(in, (uint32_t *)at);
    case WIRE_KIND_U64:
        return xdr_get_u64(in, (uint64_t *)at);
    case WIRE_KIND_BOOL:
        return xdr_get_bool(in, (bool *)at);
    case WIRE_KIND_FIXED:
        return decode_fixed(field, in, at);
    case WIRE_KIND_OPAQUE:
        return xdr_get_opaque(in, field->bound, (struct xdr_bytes *)at);
    case WIRE_KIND_PAYLOAD:
        return decode_payload(field, in, value);
    case WIRE_KIND_SUB:
        return wire_decode(field->type, in, arena, at);
    case WIRE_KIND_ARRAY:
        return decode_array(field, in, arena, value);
    case WIRE_KIND_U32S:
        return decode_u32s(field, in, value);
    default:
        return true;
    }
}

bool wire_decode_field(const struct wire_field *field, struct xdr_in *in, struct arena *arena,
                       void *value)
{
    return decode_field(field, in, arena, value);
}

bool wire_decode(const struct wire_type *type, struct xdr_in *in, struct arena *arena, void *value)
{
    const struct wire_arm *arm;

    if (type->decode != NULL)
        return type->decode(in, arena, value);
    for (unsigned i = 0; i < type->fields_count; i++) {
        if (!decode_field(&type->fields[i], in, arena, value))
            return false;
    }
    if (type->arms_count == 0)
        return true;
    arm = arm_of(type, discriminant_of(type, value));
    return arm != NULL ? decode_field(&arm->body, in, arena, value) : xdr_in_fail(in);
}

static bool encode_opaque(const struct wire_field *field, struct xdr_out *out, const char *at)
{
    const struct xdr_bytes *bytes = (const struct xdr_bytes *)at;

    return bytes->len <= field->bound ? xdr_put_bytes(out, *bytes) : xdr_out_fail(out);
}

static bool encode_payload(const struct wire_field *field, struct xdr_out *out, const char *value)
{
    const struct xdr_bytes *bytes = (const struct xdr_bytes *)(value + field->at);
    void *owner;

    memcpy(&owner, value + field->second, sizeof(owner));
    return owner != NULL ? xdr_out_splice(out, bytes->data, bytes->len, owner)
                         : xdr_put_bytes(out, *bytes);
}

static bool encode_array(const struct wire_field *field, struct xdr_out *out, const char *value)
{
    const char *items;
    uint32_t count;

    memcpy(&count, value + field->at, sizeof(count));
    memcpy(&items, value + field->second, sizeof(items));
    if (count > field->bound || (count > 0 && items == NULL))
        return xdr_out_fail(out);
    if (!xdr_put_u32(out, count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!wire_encode(field->type, out, items + (size_t)i * field->type->size))
            return false;
    }
    return true;
}

static bool encode_u32s(const struct wire_field *field, struct xdr_out *out, const char *value)
{
    uint32_t count;

    memcpy(&count, value + field->at, sizeof(count));
    if (count > field->bound)
        return xdr_out_fail(out);
    xdr_put_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t word;

        memcpy(&word, value + field->second + 4 * (size_t)i, sizeof(word));
        xdr_put_u32(out, word);
    }
    return xdr_out_ok(out);
}

static inline bool encode_field(const struct wire_field *field, struct xdr_out *out,
                                const char *value)
{
    const char *at = value + field->at;

    switch (field->kind) {
    case WIRE_KIND_U32:
        return xdr_put_u32(out, *(const uint32_t *)at);
    case WIRE_KIND_U64:
        return xdr_put_u64(out, *(const uint64_t *)at);
    case WIRE_KIND_BOOL:
        return xdr_put_bool(out, *(const bool *)at);
    case WIRE_KIND_FIXED:
        return xdr_put_fixed(out, at, field->bound);
    case WIRE_KIND_OPAQUE:
        return encode_opaque(field, out, at);
    case WIRE_KIND_PAYLOAD:
        return encode_payload(field, out, value);
    case WIRE_KIND_SUB:
        return wire_encode(field->type, out, at);
    case WIRE_KIND_ARRAY:
        return encode_array(field, out, value);
    case WIRE_KIND_U32S:
        return encode_u32s(field, out, value);
    default:
        return true;
    }
}

bool wire_encode_field(const struct wire_field *field, struct xdr_out *out, const void *value)
{
    return encode_field(field, out, value);
}

enum { NUMBERS_MAX = 16 }; /* bytes that store_numbers writes at most */

/* A number, where there is room for it: the place after it; NULL for what is none. */
static inline uint8_t *store_number(const struct wire_field *field, uint8_t *at, const char *value)
{
    uint64_t wide;
    uint32_t word;

    switch (field->kind) {
    case WIRE_KIND_U32:
        memcpy(&word, value + field->at, sizeof(word));
        break;
    case WIRE_KIND_BOOL:
        word = *(const bool *)(value + field->at) ? 1 : 0;
        break;
    case WIRE_KIND_U64:
        memcpy(&wide, value + field->at, sizeof(wide));
        xdr_store_u32(at, (uint32_t)(wide >> 32));
        xdr_store_u32(at + 4, (uint32_t)wide);
        return at + 8;
    default:
        return NULL;
    }
    xdr_store_u32(at, word);
    return at + 4;
}

/* The same for a structure of two numbers, as times and file system ids are. */
static inline uint8_t *store_numbers(const struct wire_field *field, uint8_t *at, const char *value)
{
    const struct wire_type *type = field->type;

    if (field->kind != WIRE_KIND_SUB)
        return store_number(field, at, value);
    if (type->fields_count != 2 || type->arms_count != 0 || type->encode != NULL)
        return NULL;
    at = store_number(&type->fields[0], at, value + field->at);
    return at != NULL ? store_number(&type->fields[1], at, value + field->at) : NULL;
}

/* Most attributes are numbers, and there is room for most: what is used of it is told to out only
 * before something else, and at the end. */
static bool encode_word(const struct wire_field *table, uint32_t bits, struct xdr_out *out,
                        const void *value)
{
    uint8_t *end, *at = xdr_out_next(out, &end);

    for (; bits != 0; bits &= bits - 1) {
        const struct wire_field *field = &table[__builtin_ctz(bits)];
        uint8_t *after = end - at >= NUMBERS_MAX ? store_numbers(field, at, value) : NULL;

        if (after != NULL) {
            at = after;
            continue;
        }
        xdr_out_advance(out, at);
        if (!encode_field(field, out, value))
            return false;
        at = xdr_out_next(out, &end);
    }
    xdr_out_advance(out, at);
    return true;
}

bool wire_encode_chosen(const struct wire_field *table, const uint32_t *words, unsigned count,
                        struct xdr_out *out, const void *value)
{
    for (unsigned i = 0; i < count; i++) {
        if (!encode_word(table + (size_t)i * 32, words[i], out, value))
            return false;
    }
    return xdr_out_ok(out);
}

bool wire_encode(const struct wire_type *type, struct xdr_out *out, const void *value)
{
    const struct wire_arm *arm;

    if (type->encode != NULL)
        return type->encode(out, value);
    for (unsigned i = 0; i < type->fields_count; i++) {
        if (!encode_field(&type->fields[i], out, value))
            return false;
    }
    if (type->arms_count == 0)
        return xdr_out_ok(out);
    arm = arm_of(type, discriminant_of(type, value));
    return arm != NULL ? encode_field(&arm->body, out, value) : xdr_out_fail(out);
}
