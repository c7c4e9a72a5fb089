/*
 * Our codecs against rpcgen's code for the RFCs' XDR, and against libtirpc: random values of every
 * type, from fixed seeds.
 *
 * Bytes alone would not notice two fields of one size in the wrong order; test_oracle_order.c does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "oracle.h"
#include "proto/layout/block_wire.h"
#include "proto/layout/rdma_wire.h"
#include "proto/layout/scsi_wire.h"
#include "proto/nfs4/attr.h"
#include "proto/nfs4/wire.h"
#include "proto/rpc.h"
#include "tests/unit/proto/wire_random.h"

enum { VALUES = 200, MUTATIONS = 20, ROOM = 1 << 17, ARENA = 1 << 22 };

/* libtirpc wants words aligned. */
static _Alignas(8) uint8_t ours[ROOM];
static _Alignas(8) uint8_t theirs[ROOM];
static _Alignas(8) uint8_t again[ROOM];
static union {
    union nfs4_args args;
    union nfs4_res res;
    union nfs4_cb_args cb_args;
    struct nfs4_attrs attrs;
    pnfs_block_deviceaddr4 addr;
    pnfs_scsi_deviceaddr4 scsi_addr;
} value, decoded;

/* One type under test: by type, or by one field of a structure. */
struct subject {
    const char *name; /* the oracle's */
    const struct wire_type *type;
    const struct wire_field *field;
};

static bool subject_random(const struct subject *s, struct wire_random *r)
{
    memset(&value, 0, sizeof(value));
    return s->type != NULL ? wire_random_value(r, s->type, &value)
                           : wire_random_field(r, s->field, &value);
}

static bool subject_encode(const struct subject *s, struct xdr_out *out, const void *from)
{
    return s->type != NULL ? wire_encode(s->type, out, from)
                           : wire_encode_field(s->field, out, from);
}

static bool subject_decode(const struct subject *s, struct xdr_in *in, struct arena *arena)
{
    memset(&decoded, 0, sizeof(decoded));
    return s->type != NULL ? wire_decode(s->type, in, arena, &decoded)
                           : wire_decode_field(s->field, in, arena, &decoded);
}

static size_t encode(const struct subject *s, const void *from, uint8_t *buf)
{
    struct xdr_out out;

    xdr_out_init(&out, buf, ROOM);
    if (!subject_encode(s, &out, from))
        fail_msg("%s: does not encode", s->name);
    return xdr_out_len(&out);
}

/* Our bytes, decoded and encoded by the oracle, are the same bytes; and so are the oracle's,
 * decoded and encoded by us. */
static void agree_on_value(const struct subject *s, struct arena *arena)
{
    size_t len = encode(s, &value, ours);
    size_t consumed, written;
    struct xdr_in in;

    if (!oracle_recode(s->name, ours, len, &consumed, theirs, ROOM, &written))
        fail_msg("%s: the oracle refuses what we encode", s->name);
    assert_int_equal(consumed, len);
    assert_int_equal(written, len);
    assert_memory_equal(ours, theirs, len);

    xdr_in_init(&in, theirs, written);
    if (!subject_decode(s, &in, arena))
        fail_msg("%s: we refuse what the oracle encodes", s->name);
    assert_int_equal(xdr_in_left(&in), 0);
    assert_int_equal(encode(s, &decoded, again), len);
    assert_memory_equal(again, ours, len);
}

/* A message cut short is refused by both, wherever it is cut. */
static void agree_on_truncation(const struct subject *s, size_t len, struct arena *arena)
{
    for (size_t cut = 0; cut < len; cut += cut < 128 ? 1 : 61) {
        size_t consumed, written;
        struct xdr_in in;

        xdr_in_init(&in, ours, cut);
        if (subject_decode(s, &in, arena))
            fail_msg("%s: we accept %zu of %zu bytes", s->name, cut, len);
        if (oracle_recode(s->name, ours, cut, &consumed, theirs, ROOM, &written))
            fail_msg("%s: the oracle accepts %zu of %zu bytes", s->name, cut, len);
    }
}

/* We may be stricter than the oracle (booleans, bounds), never laxer, and must read the same bytes.
 */
static void agree_on_mutation(const struct subject *s, size_t len, struct wire_random *r,
                              struct arena *arena)
{
    size_t at = wire_random_below(r, (uint32_t)len);
    uint8_t was = ours[at];
    size_t consumed, written;
    struct xdr_in in;

    ours[at] ^= (uint8_t)(1u << wire_random_below(r, 8));
    xdr_in_init(&in, ours, len);
    if (subject_decode(s, &in, arena)) {
        if (!oracle_recode(s->name, ours, len, &consumed, theirs, ROOM, &written))
            fail_msg("%s: we accept what the oracle refuses (byte %zu of %zu)", s->name, at, len);
        assert_int_equal(len - xdr_in_left(&in), consumed);
    }
    ours[at] = was;
}

static void agree(const struct subject *s)
{
    struct wire_random r;
    struct arena arena;

    assert_true(oracle_knows(s->name));
    arena_init(&arena, ARENA);
    for (unsigned seed = 1; seed <= VALUES; seed++) {
        size_t len;

        wire_random_init(&r, seed, &arena);
        if (!subject_random(s, &r))
            fail_msg("%s: no random value", s->name);
        agree_on_value(s, &arena);
        len = encode(s, &value, ours);
        if (seed <= 12)
            agree_on_truncation(s, len, &arena);
        for (unsigned i = 0; i < MUTATIONS && len > 0; i++)
            agree_on_mutation(s, len, &r, &arena);
        arena_reset(&arena);
    }
    arena_free(&arena);
}

static void agree_on_op(const char *op_name, const char *suffix, const struct wire_type *type)
{
    char name[64];

    snprintf(name, sizeof(name), "%s%s", op_name + strlen("OP_"), suffix);
    agree(&(struct subject){.name = name, .type = type});
}

static void every_operation_agrees_with_rpcgen(void **state)
{
    (void)state;
    for (uint32_t op = NFS4_OP_FIRST; op <= NFS4_OP_LAST; op++) {
        const struct nfs4_wire_op *entry = nfs4_wire_op(op);

        assert_non_null(entry);
        if (entry->args != &wire_nothing)
            agree_on_op(entry->name, "4args", entry->args);
        agree_on_op(entry->name, "4res", entry->res);
    }
}

static void every_callback_agrees_with_rpcgen(void **state)
{
    (void)state;
    for (uint32_t op = NFS4_CB_OP_FIRST; op <= NFS4_CB_OP_LAST; op++) {
        const struct nfs4_wire_op *entry = nfs4_wire_cb_op(op);

        assert_non_null(entry);
        agree_on_op(entry->name, "4args", entry->args);
        agree_on_op(entry->name, "4res", entry->res);
    }
}

/* "FATTR4_SPACE_FREE" is fattr4_space_free in the XDR. */
static void attr_type_name(unsigned attr, char name[64])
{
    snprintf(name, 64, "%s", nfs4_attr_name(attr));
    for (char *c = name; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    }
}

static void every_attribute_agrees_with_rpcgen(void **state)
{
    unsigned checked = 0;
    char name[64];

    (void)state;
    for (unsigned attr = 0; attr <= FATTR4_LAST; attr++) {
        if (nfs4_wire_attr(attr) == NULL)
            continue;
        attr_type_name(attr, name);
        agree(&(struct subject){.name = name, .field = nfs4_wire_attr(attr)});
        checked++;
    }
    assert_in_range(checked, 60, 77);
}

static void block_layout_bodies_agree_with_rpcgen(void **state)
{
    const struct wire_type *const types[] = {&wire_pnfs_block_deviceaddr4, &wire_pnfs_block_layout4,
                                             &wire_pnfs_block_layoutupdate4,
                                             &wire_pnfs_block_layouthint4};

    (void)state;
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        agree(&(struct subject){.name = types[i]->name, .type = types[i]});
}

static void rdma_layout_bodies_agree_with_rpcgen(void **state)
{
    const struct wire_type *const types[] = {&wire_rdma_deviceaddr4, &wire_rdma_layout4,
                                             &wire_rdma_layoutupdate4, &wire_rdma_hello4,
                                             &wire_rdma_refused4};

    (void)state;
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        agree(&(struct subject){.name = types[i]->name, .type = types[i]});
}

/* A layout is the block layout's, under RFC 8154's names. */
static void scsi_layout_bodies_agree_with_rpcgen(void **state)
{
    (void)state;
    agree(&(struct subject){.name = "pnfs_scsi_deviceaddr4", .type = &wire_pnfs_scsi_deviceaddr4});
    agree(&(struct subject){.name = "pnfs_scsi_layoutupdate4",
                            .type = &wire_pnfs_scsi_layoutupdate4});
    agree(&(struct subject){.name = "pnfs_scsi_layout4", .type = &wire_pnfs_block_layout4});
}

/* A COMPOUND of up to eight random operations, put together as server and client do it. */
static size_t put_compound(struct wire_random *r, const char *type,
                           const struct nfs4_wire_op *(*op_of)(uint32_t), uint32_t last)
{
    const bool is_res = strstr(type, "res") != NULL;
    const uint32_t count = wire_random_below(r, 9);
    struct xdr_out out;

    xdr_out_init(&out, ours, ROOM);
    if (is_res)
        nfs4_compound_res_encode(
            &out, &(struct nfs4_compound_res){NFS4_OK, xdr_bytes_of("a tag"), count});
    else if (op_of == nfs4_wire_op)
        nfs4_compound_args_encode(&out,
                                  &(struct nfs4_compound_args){xdr_bytes_of("a tag"), 1, count});
    else
        nfs4_cb_compound_args_encode(
            &out, &(struct nfs4_cb_compound_args){xdr_bytes_of("a tag"), 1, 7, count});
    for (uint32_t i = 0; i < count; i++) {
        uint32_t op = 3 + wire_random_below(r, last - 2);
        const struct wire_type *body = is_res ? op_of(op)->res : op_of(op)->args;

        memset(&value, 0, sizeof(value));
        assert_true(wire_random_value(r, body, &value));
        assert_true(nfs4_op_encode(&out, op) && wire_encode(body, &out, &value));
    }
    return xdr_out_len(&out);
}

static void compounds_agree(const char *type, const struct nfs4_wire_op *(*op_of)(uint32_t),
                            uint32_t last)
{
    size_t len, consumed, written;
    struct wire_random r;
    struct arena arena;

    arena_init(&arena, ARENA);
    for (unsigned seed = 1; seed <= VALUES; seed++) {
        wire_random_init(&r, seed, &arena);
        len = put_compound(&r, type, op_of, last);
        if (!oracle_recode(type, ours, len, &consumed, theirs, ROOM, &written))
            fail_msg("%s: the oracle refuses compound %u", type, seed);
        assert_int_equal(consumed, len);
        assert_int_equal(written, len);
        assert_memory_equal(theirs, ours, len);
        arena_reset(&arena);
    }
    arena_free(&arena);
}

static void whole_compounds_agree_with_rpcgen(void **state)
{
    (void)state;
    compounds_agree("COMPOUND4args", nfs4_wire_op, NFS4_OP_LAST);
    compounds_agree("COMPOUND4res", nfs4_wire_op, NFS4_OP_LAST);
    compounds_agree("CB_COMPOUND4args", nfs4_wire_cb_op, NFS4_CB_OP_LAST);
    compounds_agree("CB_COMPOUND4res", nfs4_wire_cb_op, NFS4_CB_OP_LAST);
}

static void authsys_bodies_agree_with_libtirpc(void **state)
{
    (void)state;
    agree(&(struct subject){.name = "authsys_parms", .type = &wire_authsys_parms});
}

static size_t put_call(struct wire_random *r, uint8_t *body)
{
    struct rpc_call call = {.xid = wire_random_u32(r),
                            .rpcvers = RPC_VERSION,
                            .prog = NFS4_PROGRAM,
                            .vers = NFS_V4,
                            .proc = wire_random_below(r, 2)};
    struct xdr_out out;

    call.cred = (struct rpc_auth){wire_random_below(r, 8),
                                  {body, wire_random_below(r, RPC_MAX_AUTH_BYTES + 1)}};
    call.verf = (struct rpc_auth){wire_random_below(r, 8),
                                  {body, wire_random_below(r, RPC_MAX_AUTH_BYTES + 1)}};
    xdr_out_init(&out, ours, ROOM);
    assert_true(rpc_call_encode(&out, &call));
    return xdr_out_len(&out);
}

static size_t put_reply(struct wire_random *r, uint8_t *body)
{
    struct rpc_reply reply = {.xid = wire_random_u32(r),
                              .stat = wire_random_below(r, 2),
                              .accept_stat = wire_random_below(r, RPC_ACCEPT_SYSTEM_ERR + 1),
                              .reject_stat = wire_random_below(r, 2),
                              .auth_stat = wire_random_below(r, 15),
                              .low = 4,
                              .high = 4};
    struct xdr_out out;

    reply.verf = (struct rpc_auth){wire_random_below(r, 8),
                                   {body, wire_random_below(r, RPC_MAX_AUTH_BYTES + 1)}};
    xdr_out_init(&out, ours, ROOM);
    assert_true(rpc_reply_encode(&out, &reply));
    return xdr_out_len(&out);
}

/* Decodes `len` of ours and encodes it into again. */
static bool recode_call(size_t len, size_t *written)
{
    struct rpc_call call;
    struct xdr_out out;
    struct xdr_in in;

    xdr_in_init(&in, ours, len);
    xdr_out_init(&out, again, ROOM);
    if (rpc_call_decode(&in, &call) != 0 || !rpc_call_encode(&out, &call))
        return false;
    *written = xdr_out_len(&out);
    return true;
}

static bool recode_reply(size_t len, size_t *written)
{
    struct rpc_reply reply;
    struct xdr_out out;
    struct xdr_in in;

    xdr_in_init(&in, ours, len);
    xdr_out_init(&out, again, ROOM);
    if (rpc_reply_decode(&in, &reply) != 0 || !rpc_reply_encode(&out, &reply))
        return false;
    *written = xdr_out_len(&out);
    return true;
}

static void headers_agree(const char *type, size_t (*put)(struct wire_random *, uint8_t *),
                          bool (*recode)(size_t, size_t *))
{
    uint8_t body[RPC_MAX_AUTH_BYTES];
    size_t consumed, written, mine;
    struct wire_random r;

    memset(body, 7, sizeof(body));
    for (unsigned seed = 1; seed <= VALUES; seed++) {
        size_t len;

        wire_random_init(&r, seed, NULL);
        len = put(&r, body);
        /* libtirpc passes over the padding of credentials without writing it. */
        memset(theirs, 0, len);
        assert_true(oracle_recode(type, ours, len, &consumed, theirs, ROOM, &written));
        assert_int_equal(consumed, len);
        assert_int_equal(written, len);
        assert_memory_equal(theirs, ours, len);
        assert_true(recode(len, &mine));
        assert_int_equal(mine, len);
        assert_memory_equal(again, ours, len);
        for (size_t cut = 0; cut < len; cut++) {
            assert_false(recode(cut, &mine));
            assert_false(oracle_recode(type, ours, cut, &consumed, theirs, ROOM, &written));
        }
    }
}

static void rpc_headers_agree_with_libtirpc(void **state)
{
    (void)state;
    headers_agree("rpc_call", put_call, recode_call);
    headers_agree("rpc_reply", put_reply, recode_reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_agrees_with_rpcgen),
        cmocka_unit_test(every_callback_agrees_with_rpcgen),
        cmocka_unit_test(every_attribute_agrees_with_rpcgen),
        cmocka_unit_test(block_layout_bodies_agree_with_rpcgen),
        cmocka_unit_test(rdma_layout_bodies_agree_with_rpcgen),
        cmocka_unit_test(scsi_layout_bodies_agree_with_rpcgen),
        cmocka_unit_test(whole_compounds_agree_with_rpcgen),
        cmocka_unit_test(authsys_bodies_agree_with_libtirpc),
        cmocka_unit_test(rpc_headers_agree_with_libtirpc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
