/*
 * RPC message headers (RFC 5531): what the comparison with libtirpc does not say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/rpc.h"

static uint8_t buf[1024];
static struct xdr_out out;

static int setup(void **state)
{
    (void)state;
    xdr_out_init(&out, buf, sizeof(buf));
    return 0;
}

static struct rpc_reply decoded(void)
{
    struct rpc_reply reply;
    struct xdr_in in;

    xdr_in_init(&in, buf, xdr_out_len(&out));
    assert_int_equal(rpc_reply_decode(&in, &reply), 0);
    assert_int_equal(xdr_in_left(&in), 0);
    return reply;
}

static void a_call_survives_a_round_trip(void **state)
{
    const authsys_parms parms = {.stamp = 7,
                                 .machinename = xdr_bytes_of("client.example"),
                                 .uid = 1000,
                                 .gid = 100,
                                 .gids_count = 2,
                                 .gids = {4, 24}};
    struct rpc_call call = {.xid = 5, .rpcvers = RPC_VERSION, .prog = 100003, .vers = 4, .proc = 1};
    uint8_t body[RPC_MAX_AUTH_BYTES];
    struct rpc_call got;
    authsys_parms who;
    struct xdr_in in;

    (void)state;
    assert_true(rpc_authsys_cred(&parms, body, sizeof(body), &call.cred));
    assert_true(rpc_call_encode(&out, &call));
    xdr_put_u32(&out, 42);
    xdr_in_init(&in, buf, xdr_out_len(&out));
    assert_int_equal(rpc_call_decode(&in, &got), 0);
    assert_int_equal(xdr_in_left(&in), 4);
    assert_int_equal(got.xid, 5);
    assert_int_equal(got.prog, 100003);
    assert_int_equal(got.cred.flavor, RPC_AUTH_SYS);
    assert_int_equal(got.verf.flavor, RPC_AUTH_NONE);
    assert_true(rpc_authsys_decode(got.cred.body, &who));
    assert_int_equal(who.stamp, 7);
    assert_int_equal(who.uid, 1000);
    assert_int_equal(who.gid, 100);
    assert_int_equal(who.gids_count, 2);
    assert_int_equal(who.gids[1], 24);
    assert_true(xdr_bytes_equal(who.machinename, parms.machinename));
}

static void another_rpc_version_is_told_apart_from_garbage(void **state)
{
    struct rpc_call call = {.xid = 9, .rpcvers = 3};
    struct rpc_call got = {0};
    struct xdr_in in;

    (void)state;
    assert_true(rpc_call_encode(&out, &call));
    xdr_in_init(&in, buf, xdr_out_len(&out));
    assert_int_equal(rpc_call_decode(&in, &got), -EPROTONOSUPPORT);
    assert_int_equal(got.xid, 9);
    xdr_in_init(&in, buf, 11);
    assert_int_equal(rpc_call_decode(&in, &got), -EBADMSG);
}

static void a_reply_is_not_taken_for_a_call(void **state)
{
    enum rpc_msg_type type;
    struct rpc_call call;
    struct xdr_in in;
    uint32_t xid;

    (void)state;
    assert_true(rpc_reply_put_accepted(&out, 77, RPC_ACCEPT_SUCCESS));
    assert_true(rpc_msg_peek(buf, xdr_out_len(&out), &xid, &type));
    assert_int_equal(xid, 77);
    assert_int_equal(type, RPC_REPLY);
    xdr_in_init(&in, buf, xdr_out_len(&out));
    assert_int_equal(rpc_call_decode(&in, &call), -EBADMSG);
    assert_false(rpc_msg_peek(buf, 7, &xid, &type));
    buf[7] = 2;
    assert_false(rpc_msg_peek(buf, 8, &xid, &type));
}

static void credentials_over_400_bytes_are_malformed(void **state)
{
    static const uint8_t body[RPC_MAX_AUTH_BYTES + 1];
    struct rpc_call call = {.rpcvers = RPC_VERSION};
    struct xdr_in in;

    (void)state;
    call.cred = (struct rpc_auth){RPC_AUTH_GSS, {body, RPC_MAX_AUTH_BYTES}};
    assert_true(rpc_call_encode(&out, &call));
    xdr_out_patch_u32(&out, 28, RPC_MAX_AUTH_BYTES + 1);
    xdr_in_init(&in, buf, sizeof(buf));
    assert_int_equal(rpc_call_decode(&in, &call), -EBADMSG);
    call = (struct rpc_call){.rpcvers = RPC_VERSION, .cred = {RPC_AUTH_GSS, {body, sizeof(body)}}};
    xdr_out_truncate(&out, 0);
    assert_false(rpc_call_encode(&out, &call));
}

static void authsys_has_at_most_16_groups_and_no_rest(void **state)
{
    authsys_parms parms = {.gids_count = RPC_MAX_GIDS};
    authsys_parms got;

    (void)state;
    assert_true(rpc_authsys_put(&out, &parms));
    assert_int_equal(xdr_out_len(&out), 84);
    assert_true(rpc_authsys_decode((struct xdr_bytes){buf, 84}, &got));
    assert_false(rpc_authsys_decode((struct xdr_bytes){buf, 80}, &got));
    assert_false(rpc_authsys_decode((struct xdr_bytes){buf, 88}, &got));
    xdr_out_patch_u32(&out, 16, RPC_MAX_GIDS + 1);
    assert_false(rpc_authsys_decode((struct xdr_bytes){buf, 88}, &got));
    xdr_out_patch_u32(&out, 16, 0xffffffff);
    assert_false(rpc_authsys_decode((struct xdr_bytes){buf, 88}, &got));
    parms.gids_count++;
    assert_false(rpc_authsys_put(&out, &parms));
}

/* Swapped neighbours of one size would pass every comparison of bytes. */
static void the_words_of_a_header_are_where_the_rfc_puts_them(void **state)
{
    const authsys_parms parms = {.stamp = 1, .uid = 2, .gid = 3, .gids_count = 1, .gids = {4}};
    const struct rpc_call call = {.xid = 1,
                                  .rpcvers = 2,
                                  .prog = 3,
                                  .vers = 4,
                                  .proc = 5,
                                  .cred = {.flavor = 6},
                                  .verf = {.flavor = 7}};

    (void)state;
    assert_true(rpc_call_encode(&out, &call));
    assert_memory_equal(buf,
                        "\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5"
                        "\0\0\0\6\0\0\0\0\0\0\0\7\0\0\0\0",
                        40);
    xdr_out_truncate(&out, 0);
    assert_true(rpc_authsys_put(&out, &parms));
    assert_memory_equal(buf, "\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\3\0\0\0\1\0\0\0\4", 24);
}

static void every_reply_form_says_what_it_means(void **state)
{
    struct rpc_reply reply;

    (void)state;
    assert_true(rpc_reply_put_accepted(&out, 1, RPC_ACCEPT_GARBAGE_ARGS));
    reply = decoded();
    assert_int_equal(reply.xid, 1);
    assert_int_equal(reply.stat, RPC_MSG_ACCEPTED);
    assert_int_equal(reply.accept_stat, RPC_ACCEPT_GARBAGE_ARGS);

    xdr_out_truncate(&out, 0);
    assert_true(rpc_reply_put_prog_mismatch(&out, 2, 3, 4));
    reply = decoded();
    assert_int_equal(reply.accept_stat, RPC_ACCEPT_PROG_MISMATCH);
    assert_int_equal(reply.low, 3);
    assert_int_equal(reply.high, 4);

    xdr_out_truncate(&out, 0);
    assert_true(rpc_reply_put_rpc_mismatch(&out, 3));
    reply = decoded();
    assert_int_equal(reply.stat, RPC_MSG_DENIED);
    assert_int_equal(reply.reject_stat, RPC_REJECT_RPC_MISMATCH);
    assert_int_equal(reply.low, RPC_VERSION);

    xdr_out_truncate(&out, 0);
    assert_true(rpc_reply_put_auth_error(&out, 4, RPC_AUTHSTAT_TOOWEAK));
    reply = decoded();
    assert_int_equal(reply.reject_stat, RPC_REJECT_AUTH_ERROR);
    assert_int_equal(reply.auth_stat, RPC_AUTHSTAT_TOOWEAK);
}

static void a_reply_with_an_unknown_form_is_malformed(void **state)
{
    struct rpc_reply reply;
    struct xdr_in in;

    (void)state;
    assert_true(rpc_reply_put_auth_error(&out, 4, RPC_AUTHSTAT_TOOWEAK));
    xdr_out_patch_u32(&out, 12, 2);
    xdr_in_init(&in, buf, xdr_out_len(&out));
    assert_int_equal(rpc_reply_decode(&in, &reply), -EBADMSG);
    xdr_out_patch_u32(&out, 8, 2);
    xdr_in_init(&in, buf, xdr_out_len(&out));
    assert_int_equal(rpc_reply_decode(&in, &reply), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_call_survives_a_round_trip, setup),
        cmocka_unit_test_setup(another_rpc_version_is_told_apart_from_garbage, setup),
        cmocka_unit_test_setup(a_reply_is_not_taken_for_a_call, setup),
        cmocka_unit_test_setup(credentials_over_400_bytes_are_malformed, setup),
        cmocka_unit_test_setup(authsys_has_at_most_16_groups_and_no_rest, setup),
        cmocka_unit_test_setup(the_words_of_a_header_are_where_the_rfc_puts_them, setup),
        cmocka_unit_test_setup(every_reply_form_says_what_it_means, setup),
        cmocka_unit_test_setup(a_reply_with_an_unknown_form_is_malformed, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
