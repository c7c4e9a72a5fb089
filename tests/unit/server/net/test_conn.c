/*
 * test_conn.c - connections: records in any cut, limits, back-pressure, and what ends a connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/record.h"
#include "server/daemon.h"
#include "server/net/conn.h"
#include "server/net/private.h"
#include "server/server.h"
#include "tests/unit/server/daemon_fixture.h"

static struct daemon *daemon_of_test;

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("max_connections = 64\nmax_request_memory = 32M\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static bool is_closed(struct wire *w)
{
    struct pollfd pfd = {.fd = w->fd, .events = POLLIN};
    char byte;
    return poll(&pfd, 1, 5000) == 1 && recv(w->fd, &byte, 1, 0) <= 0;
}

/* A call of any program; returns its length with the mark. */
static size_t build_call(uint8_t *bytes, size_t room, uint32_t rpcvers, uint32_t prog,
                         uint32_t vers, uint32_t proc, uint32_t flavor)
{
    struct xdr_out out;
    struct rpc_call call = {.xid = 7,
                            .rpcvers = rpcvers,
                            .prog = prog,
                            .vers = vers,
                            .proc = proc,
                            .cred = {.flavor = flavor}};
    xdr_out_init(&out, bytes + RECORD_MARK_SIZE, room - RECORD_MARK_SIZE);
    assert_true(rpc_call_encode(&out, &call));
    record_mark_put(bytes, (uint32_t)xdr_out_len(&out));
    return RECORD_MARK_SIZE + xdr_out_len(&out);
}

static struct rpc_reply ask(struct wire *w, uint32_t rpcvers, uint32_t prog, uint32_t vers,
                            uint32_t proc, uint32_t flavor)
{
    uint8_t bytes[256];
    struct rpc_reply reply;
    enum rpc_msg_type type;
    wire_send_raw(w, bytes, build_call(bytes, sizeof(bytes), rpcvers, prog, vers, proc, flavor));
    assert_true(wire_next_message(w, 5000, &type));
    assert_int_equal(rpc_reply_decode(&w->in, &reply), 0);
    assert_int_equal(reply.xid, 7);
    return reply;
}

static void wrong_programs_versions_and_flavors_are_answered_as_rfc_5531_says(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w, daemon_of_test);
    struct rpc_reply reply = ask(&w, 2, NFS4_PROGRAM, 4, 0, RPC_AUTH_NONE);
    assert_int_equal(reply.accept_stat, RPC_ACCEPT_SUCCESS);
    reply = ask(&w, 2, NFS4_PROGRAM + 1, 4, 0, RPC_AUTH_NONE);
    assert_int_equal(reply.accept_stat, RPC_ACCEPT_PROG_UNAVAIL);
    reply = ask(&w, 2, NFS4_PROGRAM, 3, 0, RPC_AUTH_NONE);
    assert_int_equal(reply.accept_stat, RPC_ACCEPT_PROG_MISMATCH);
    assert_int_equal(reply.low, 4);
    assert_int_equal(reply.high, 4);
    reply = ask(&w, 2, NFS4_PROGRAM, 4, 2, RPC_AUTH_NONE);
    assert_int_equal(reply.accept_stat, RPC_ACCEPT_PROC_UNAVAIL);
    reply = ask(&w, 2, NFS4_PROGRAM, 4, 1, RPC_AUTH_NONE);
    assert_int_equal(reply.accept_stat, RPC_ACCEPT_GARBAGE_ARGS);
    reply = ask(&w, 3, NFS4_PROGRAM, 4, 0, RPC_AUTH_NONE);
    assert_int_equal(reply.stat, RPC_MSG_DENIED);
    assert_int_equal(reply.reject_stat, RPC_REJECT_RPC_MISMATCH);
    reply = ask(&w, 2, NFS4_PROGRAM, 4, 0, RPC_AUTH_GSS);
    assert_int_equal(reply.reject_stat, RPC_REJECT_AUTH_ERROR);
    assert_int_equal(reply.auth_stat, RPC_AUTHSTAT_REJECTEDCRED);
    reply = ask(&w, 2, NFS4_PROGRAM, 4, 0, RPC_AUTH_SYS); /* an empty body */
    assert_int_equal(reply.auth_stat, RPC_AUTHSTAT_BADCRED);
    wire_close(&w);
}

static void a_record_over_the_limit_ends_its_connection(void **state)
{
    (void)state;
    struct wire w;
    uint8_t mark[RECORD_MARK_SIZE];
    wire_open(&w, daemon_of_test);
    record_mark_put(mark, 512u << 20);
    wire_send_raw(&w, mark, sizeof(mark));
    assert_true(is_closed(&w));
    wire_close(&w);
}

static void what_is_no_rpc_message_ends_its_connection(void **state)
{
    (void)state;
    static const uint8_t junk[][16] = {
        {0x80, 0, 0, 4, 1, 2, 3, 4},                          /* too short for a message */
        {0x80, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 9},              /* neither call nor reply */
        {0x80, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2}, /* a call cut short */
        {0x80, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 1},              /* a reply, and nobody has called */
    };
    static const size_t lens[] = {8, 12, 16, 12};
    for (unsigned i = 0; i < 4; i++) {
        struct wire w;
        wire_open(&w, daemon_of_test);
        wire_send_raw(&w, junk[i], lens[i]);
        assert_true(is_closed(&w));
        wire_close(&w);
    }
}

static void a_request_may_come_in_any_cut(void **state)
{
    (void)state;
    struct wire w;
    uint8_t whole[256], cut[512];
    enum rpc_msg_type type;
    wire_open(&w, daemon_of_test);
    size_t len = build_call(whole, sizeof(whole), 2, NFS4_PROGRAM, 4, 0, RPC_AUTH_NONE);
    for (size_t i = 0; i < len; i++) { /* byte by byte */
        wire_send_raw(&w, whole + i, 1);
        if (i % 7 == 0)
            usleep(1000);
    }
    assert_true(wire_next_message(&w, 5000, &type));
    size_t at = 0;
    for (size_t i = RECORD_MARK_SIZE; i < len; i++) { /* a fragment a byte, all at once */
        record_mark_put(cut + at, 1);
        if (i + 1 < len)
            cut[at] = 0;
        cut[at + RECORD_MARK_SIZE] = whole[i];
        at += RECORD_MARK_SIZE + 1;
    }
    wire_send_raw(&w, cut, at);
    assert_true(wire_next_message(&w, 5000, &type));
    wire_close(&w);
}

/* Far more than may be under way at once: everything is answered, nothing is dropped. */
static void a_flood_of_requests_is_answered_to_the_last(void **state)
{
    (void)state;
    enum { CALLS = 3000 };
    struct wire w;
    uint8_t call[256];
    enum rpc_msg_type type;
    unsigned sent = 0, answered = 0;
    wire_open(&w, daemon_of_test);
    size_t len = build_call(call, sizeof(call), 2, NFS4_PROGRAM, 4, 0, RPC_AUTH_NONE);
    while (answered < CALLS) {
        struct pollfd pfd = {.fd = w.fd,
                             .events = (short)(sent < CALLS ? POLLIN | POLLOUT : POLLIN)};
        assert_int_equal(poll(&pfd, 1, 5000), 1);
        if ((pfd.revents & POLLOUT) != 0 && sent < CALLS) {
            wire_send_raw(&w, call, len);
            sent++;
        }
        if ((pfd.revents & POLLIN) != 0) {
            assert_true(wire_next_message(&w, 5000, &type));
            answered++;
        }
    }
    wire_close(&w);
}

static void make_file(const char *name, size_t size)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", fixture_files(), name);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

/* It asks for 1 MiB again and again on every slot and reads nothing: the server stops reading from
 * it, and others are served. */
static void a_peer_that_reads_nothing_costs_bounded_memory_and_nobody_else(void **state)
{
    (void)state;
    struct nfs_client greedy, other;
    unsigned sent = 0;
    nfs_client_start(&greedy, daemon_of_test, "greedy", 0);
    make_file("zeros", 1 << 20);
    int small = 4096;
    setsockopt(greedy.wire.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    for (; sent < 5000; sent++) {
        struct pollfd pfd = {.fd = greedy.wire.fd, .events = POLLOUT};
        if (poll(&pfd, 1, 300) != 1)
            break; /* the server has stopped reading */
        union nfs4_args lookup = {.lookup = {.objname = xdr_bytes_of("zeros")}};
        union nfs4_args read = {.read = {.count = 1 << 20}};
        union nfs4_args args = {.sequence = {.sa_sequenceid = sent / 7 + 1,
                                             .sa_slotid = 1 + sent % 7,
                                             .sa_highest_slotid = 7}};
        memcpy(args.sequence.sa_sessionid, greedy.session, sizeof(greedy.session));
        wire_begin(&greedy.wire);
        wire_op(&greedy.wire, OP_SEQUENCE, &args);
        nfs_lookup_export(&greedy);
        wire_op(&greedy.wire, OP_LOOKUP, &lookup);
        wire_op(&greedy.wire, OP_READ, &read);
        wire_send(&greedy.wire);
    }
    assert_in_range(sent, 1, 4999);
    nfs_client_start(&other, daemon_of_test, "modest", 0);
    for (unsigned i = 0; i < 100; i++) {
        nfs_begin(&other, false);
        assert_true(wire_call(&other.wire));
        nfs_sequence_ok(&other);
    }
    /* When it reads after all, it gets everything. */
    for (unsigned i = 0; i < sent; i++)
        assert_true(wire_receive(&greedy.wire));
    wire_close(&other.wire);
    wire_close(&greedy.wire);
}

/* ---- over TCP ---- */

static int tcp_connect(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port =
                                   htons(listener_port(daemon_server(daemon_of_test)->listener)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

/* Those of the tests before are closed here, and maybe not yet there. */
static void wait_until_nobody_is_connected(void)
{
    for (unsigned i = 0;
         i < 1000 && listener_connections(daemon_server(daemon_of_test)->listener) > 0; i++)
        usleep(20000);
}

static void more_connections_than_configured_are_refused_and_room_is_used_again(void **state)
{
    (void)state;
    wait_until_nobody_is_connected();
    enum { MORE = 80 };
    int fds[MORE];
    struct pollfd left[MORE];
    unsigned refused = 0;
    for (unsigned i = 0; i < MORE; i++) {
        fds[i] = tcp_connect();
        left[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    }
    while (refused < MORE - 64 && poll(left, MORE, 20000) > 0) {
        for (unsigned i = 0; i < MORE; i++) {
            if (left[i].fd >= 0 && left[i].revents != 0) {
                left[i].fd = -1;
                refused++;
            }
        }
    }
    assert_int_equal(refused, MORE - 64);
    assert_int_equal(poll(left, MORE, 0), 0);
    for (unsigned i = 0; i < MORE; i++)
        close(fds[i]);
    wait_until_nobody_is_connected();
    struct wire w;
    wire_open(&w, daemon_of_test);
    close(w.fd);
    w.fd = tcp_connect();
    struct rpc_reply reply = ask(&w, 2, NFS4_PROGRAM, 4, 0, RPC_AUTH_NONE);
    assert_int_equal(reply.accept_stat, RPC_ACCEPT_SUCCESS);
    wire_close(&w);
}

/* Wrong: the time of the last small piece counts, so that a byte now and then goes on for ever, and
 * an honest 1 MiB over a slow line is cut off after 30 s. Right: what has come for the time. */
static void a_request_may_take_as_long_as_it_brings_bytes(void **state)
{
    const uint64_t second = 1000000000u;
    (void)state;
    assert_false(conn_record_is_late(30 * second, 1));
    assert_true(conn_record_is_late(31 * second, 1));
    assert_true(conn_record_is_late(100 * second, 100)); /* a byte a second */
    assert_false(conn_record_is_late(100 * second, 800 << 10));
    assert_false(conn_record_is_late(280 * second, 1 << 20));
    assert_true(conn_record_is_late(300 * second, 1 << 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_programs_versions_and_flavors_are_answered_as_rfc_5531_says),
        cmocka_unit_test(a_record_over_the_limit_ends_its_connection),
        cmocka_unit_test(what_is_no_rpc_message_ends_its_connection),
        cmocka_unit_test(a_request_may_come_in_any_cut),
        cmocka_unit_test(a_request_may_take_as_long_as_it_brings_bytes),
        cmocka_unit_test(a_flood_of_requests_is_answered_to_the_last),
        cmocka_unit_test(a_peer_that_reads_nothing_costs_bounded_memory_and_nobody_else),
        cmocka_unit_test(more_connections_than_configured_are_refused_and_room_is_used_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
