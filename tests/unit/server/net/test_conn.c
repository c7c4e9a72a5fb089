/*
 * test_conn.c - connections: records in any cut, limits, back-pressure, and what ends a connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/container_of.h"
#include "proto/record.h"
#include "server/config/config.h"
#include "server/daemon.h"
#include "server/net/conn.h"
#include "server/net/private.h"
#include "server/server.h"
#include "tests/unit/server/daemon_fixture.h"

static struct daemon *daemon_of_test;

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("max_connections = 64\nmax_request_memory = 16M\n");
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

struct pass_count {
    struct loop_msg msg;
    const struct turns *turns;
    uint64_t *count;
    sem_t *done;
};

static void count_on_loop(struct loop_msg *msg)
{
    struct pass_count *count = container_of(msg, struct pass_count, msg);
    *count->count += count->turns->pass;
    sem_post(count->done);
}

/* Of all loops: how often somebody's turn has come. */
static uint64_t count_passes(void)
{
    struct server *server = daemon_server(daemon_of_test);
    uint64_t passes = 0;
    sem_t done;
    assert_int_equal(sem_init(&done, 0, 0), 0);
    for (unsigned i = 0; i < server->loop_count; i++) {
        struct pass_count count = {.msg.run = count_on_loop,
                                   .turns = &server->listener->homes[i].turns,
                                   .count = &passes,
                                   .done = &done};
        loop_post(server->loops[i], &count.msg);
        while (sem_wait(&done) != 0)
            ;
    }
    sem_destroy(&done);
    return passes;
}

/* Turns are for the sake of others. Wrong: what an address has used in this pass is forgotten with
 * the next tick of a clock, until when its loop spins. Right: with the next pass; each pass that
 * was asked for has the time of half a turn at least behind it. */
static void a_flood_that_is_alone_has_turn_after_turn(void **state)
{
    (void)state;
    enum { CALLS = 20000, AT_ONCE = 2000 };
    struct wire w;
    uint8_t call[256];
    enum rpc_msg_type type;
    wire_open(&w, daemon_of_test);
    size_t len = build_call(call, sizeof(call), 2, NFS4_PROGRAM, 4, 0, RPC_AUTH_NONE);
    uint8_t *calls = malloc(AT_ONCE * len);
    assert_non_null(calls);
    for (unsigned i = 0; i < AT_ONCE; i++)
        memcpy(calls + i * len, call, len);
    const uint64_t before = count_passes(), begin = loop_fine_ns();
    for (unsigned sent = 0; sent < CALLS; sent += AT_ONCE) {
        wire_send_raw(&w, calls, AT_ONCE * len);
        for (unsigned i = 0; i < AT_ONCE; i++)
            assert_true(wire_next_message(&w, 5000, &type));
    }
    const uint64_t wall = loop_fine_ns() - begin, passes = count_passes() - before;
    assert_in_range(passes, 4, 16 + 2 * wall / (TURN_NS / 2));
    free(calls);
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

/* A READ of 1 MiB on each of seven slots, again and again, until no more is taken; nothing is read.
 */
static void ask_and_not_read(struct nfs_client *client, struct wire *w, unsigned *asked)
{
    int small = 4096;
    setsockopt(w->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    for (unsigned i = 0; i < 200; i++, ++*asked) {
        struct pollfd pfd = {.fd = w->fd, .events = POLLOUT};
        if (poll(&pfd, 1, 100) != 1)
            return;
        union nfs4_args lookup = {.lookup = {.objname = xdr_bytes_of("zeros")}};
        union nfs4_args read = {.read = {.count = 1 << 20}};
        union nfs4_args args = {.sequence = {.sa_sequenceid = *asked / 7 + 1,
                                             .sa_slotid = 1 + *asked % 7,
                                             .sa_highest_slotid = 7}};
        memcpy(args.sequence.sa_sessionid, client->session, sizeof(client->session));
        wire_begin(w);
        wire_op(w, OP_SEQUENCE, &args);
        wire_op(w, OP_PUTROOTFH, NULL);
        wire_op(w, OP_LOOKUP, &(union nfs4_args){.lookup = {.objname = xdr_bytes_of("data")}});
        wire_op(w, OP_LOOKUP, &lookup);
        wire_op(w, OP_READ, &read);
        wire_send(w);
    }
}

/* By 16 connections of one client, which alone could fill all memory there is: a client at another
 * address does not notice. */
static void peers_that_read_nothing_leave_memory_to_others(void **state)
{
    (void)state;
    enum { GREEDY = 16 };
    struct nfs_client greedy, other;
    struct wire wires[GREEDY];
    unsigned asked = 0;
    make_file("zeros", 1 << 20);
    nfs_client_start(&greedy, daemon_of_test, "by many ways", 0);
    for (unsigned i = 0; i < GREEDY; i++) {
        wire_open(&wires[i], daemon_of_test);
        ask_and_not_read(&greedy, &wires[i], &asked);
    }
    const struct shares *shares = daemon_server(daemon_of_test)->listener->shares;
    assert_in_range(shares_bytes(shares), 4 << 20, (16 << 20) * 2 / 3);
    nfs_client_start_from(&other, daemon_of_test, "elsewhere", "127.0.0.2");
    for (unsigned i = 0; i < 100; i++) {
        nfs_begin(&other, false);
        nfs_lookup_export(&other);
        wire_op(&other.wire, OP_LOOKUP,
                &(union nfs4_args){.lookup = {.objname = xdr_bytes_of("zeros")}});
        wire_op(&other.wire, OP_READ, &(union nfs4_args){.read = {.count = 1 << 20}});
        assert_true(wire_call(&other.wire));
        assert_int_equal(other.wire.status, NFS4_OK);
    }
    wire_close(&other.wire);
    for (unsigned i = 0; i < GREEDY; i++)
        wire_close(&wires[i]);
    wire_close(&greedy.wire);
}

/* A COMMIT goes to a worker: when the READ after it asks for memory, many requests are under way.
 */
static void ask_after_others(struct nfs_client *client)
{
    for (unsigned i = 0; i < 7; i++) {
        union nfs4_args args = {
            .sequence = {.sa_sequenceid = 1, .sa_slotid = 1 + i, .sa_highest_slotid = 7}};
        memcpy(args.sequence.sa_sessionid, client->session, sizeof(client->session));
        wire_begin(&client->wire);
        wire_op(&client->wire, OP_SEQUENCE, &args);
        nfs_lookup_export(client);
        wire_op(&client->wire, OP_LOOKUP,
                &(union nfs4_args){.lookup = {.objname = xdr_bytes_of("zeros")}});
        wire_op(&client->wire, OP_COMMIT, NULL);
        wire_op(&client->wire, OP_READ, &(union nfs4_args){.read = {.count = 1 << 20}});
        wire_send(&client->wire);
    }
}

static void what_requests_ask_for_later_is_bounded_too(void **state)
{
    (void)state;
    enum { CLIENTS = 8 };
    struct nfs_client clients[CLIENTS];
    size_t most = 0;
    make_file("zeros", 1 << 20);
    const struct shares *shares = daemon_server(daemon_of_test)->listener->shares;
    for (unsigned i = 0; i < CLIENTS; i++) {
        char owner[32];
        snprintf(owner, sizeof(owner), "asks late %u", i);
        nfs_client_start(&clients[i], daemon_of_test, owner, 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        ask_after_others(&clients[i]);
    for (unsigned i = 0; i < 4000 && shares_bytes(shares) < 4 << 20; i++)
        usleep(5000);
    for (unsigned i = 0; i < 200; i++, usleep(5000)) /* until no more comes: it is never read */
        if (shares_bytes(shares) > most)
            most = shares_bytes(shares);
    assert_in_range(most, 4 << 20, 16 << 20);
    assert_true(wire_receive(&clients[0].wire));
    assert_true(clients[0].wire.status == NFS4_OK || clients[0].wire.status == NFS4ERR_DELAY);
    for (unsigned i = 0; i < CLIENTS; i++)
        wire_close(&clients[i].wire);
}

/* Thirty of 1 MiB, begun all at once, are more than there is memory for. Wrong: each has some,
 * waits for more, and none ever ends. */
static void requests_that_have_their_room_come_to_their_end(void **state)
{
    (void)state;
    enum { COUNT = 30, BEGUN = 600 << 10, WHOLE = 1 << 20 };
    static uint8_t bytes[WHOLE];
    struct wire wires[COUNT];
    enum rpc_msg_type type;
    build_call(bytes, sizeof(bytes), 2, NFS4_PROGRAM, 4, 0, RPC_AUTH_NONE);
    record_mark_put(bytes, WHOLE - RECORD_MARK_SIZE);
    size_t sent[COUNT] = {0};
    for (unsigned i = 0; i < COUNT; i++) {
        wire_open(&wires[i], daemon_of_test);
        ssize_t n = 1;
        for (; sent[i] < BEGUN && n > 0; sent[i] += n > 0 ? (size_t)n : 0) {
            struct pollfd pfd = {.fd = wires[i].fd, .events = POLLOUT};
            n = poll(&pfd, 1, 100) == 1 ? send(wires[i].fd, bytes + sent[i], BEGUN - sent[i],
                                               MSG_DONTWAIT | MSG_NOSIGNAL)
                                        : 0;
        }
    }
    unsigned open = COUNT;
    for (unsigned round = 0; open > 0 && round < 20000; round++)
        for (unsigned i = 0; i < COUNT; i++) {
            if (sent[i] == WHOLE)
                continue;
            ssize_t n =
                send(wires[i].fd, bytes + sent[i], WHOLE - sent[i], MSG_DONTWAIT | MSG_NOSIGNAL);
            sent[i] += n > 0 ? (size_t)n : 0;
            open -= sent[i] == WHOLE;
            if (n < 0)
                usleep(100);
        }
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(wire_next_message(&wires[i], 20000, &type));
        wire_close(&wires[i]);
    }
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

/* Accepted after its peer had reset it: getpeername() has nothing to say. */
static int reset_connection(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct linger at_once = {.l_onoff = 1};
    socklen_t len = sizeof(addr);
    int listening = socket(AF_INET, SOCK_STREAM, 0), peer = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(listening >= 0 && peer >= 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&addr, &len), 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(peer);
    int fd = accept(listening, NULL, NULL);
    assert_true(fd >= 0);
    close(listening);
    return fd;
}

/* It counted as ::1 on a reserved port. */
static void who_cannot_be_named_is_not_served(void **state)
{
    (void)state;
    struct server *server = daemon_server(daemon_of_test);
    assert_int_equal(conn_adopt(server->listener, server->loops[0], reset_connection()), -ENOTCONN);
    int unnamed = socket(AF_INET, SOCK_STREAM, 0); /* never connected */
    assert_int_equal(conn_adopt(server->listener, server->loops[0], unnamed), -ENOTCONN);
    assert_int_equal(fcntl(unnamed, F_GETFD), -1);
}

/* Connections of one peer that only stand there. */
enum { AN_ADDRESS = 32, ALL = 64, MORE = 80 };
struct crowd {
    int fds[MORE];
    struct pollfd left[MORE];
    unsigned count, closed;
};

static void crowd_in(struct crowd *crowd, const char *address, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct wire w;
        wire_open_unprivileged(&w, daemon_of_test, address);
        crowd->fds[crowd->count] = dup(w.fd);
        assert_true(crowd->fds[crowd->count] >= 0);
        crowd->left[crowd->count] =
            (struct pollfd){.fd = crowd->fds[crowd->count], .events = POLLIN};
        crowd->count++;
        wire_close(&w);
    }
}

static void wait_until_closed(struct crowd *crowd, unsigned count)
{
    while (crowd->closed < count && poll(crowd->left, crowd->count, 20000) > 0)
        for (unsigned i = 0; i < crowd->count; i++)
            if (crowd->left[i].fd >= 0 && crowd->left[i].revents != 0) {
                crowd->left[i].fd = -1;
                crowd->closed++;
            }
    assert_int_equal(crowd->closed, count);
    assert_int_equal(poll(crowd->left, crowd->count, 0), 0);
}

static void disperse(struct crowd *crowd)
{
    for (unsigned i = 0; i < crowd->count; i++)
        close(crowd->fds[i]);
    wait_until_nobody_is_connected();
}

static void more_connections_than_an_address_may_have_push_its_oldest_out(void **state)
{
    (void)state;
    struct crowd crowd = {0};
    wait_until_nobody_is_connected();
    crowd_in(&crowd, "127.0.0.9", MORE);
    wait_until_closed(&crowd, MORE - AN_ADDRESS);
    for (unsigned i = 0; i < MORE; i++)
        assert_true((crowd.left[i].fd < 0) == (i < MORE - AN_ADDRESS));
    disperse(&crowd);
    struct wire w;
    wire_open(&w, daemon_of_test);
    close(w.fd);
    w.fd = tcp_connect();
    struct rpc_reply reply = ask(&w, 2, NFS4_PROGRAM, 4, 0, RPC_AUTH_NONE);
    assert_int_equal(reply.accept_stat, RPC_ACCEPT_SUCCESS);
    wire_close(&w);
}

static void assert_served(struct nfs_client *client)
{
    nfs_begin(client, false);
    assert_true(wire_call(&client->wire));
    nfs_sequence_ok(client);
}

/* Who has a session keeps his connection, at the same address too; whose connection was cut gets
 * another. */
static void a_crowd_keeps_no_client_out(void **state)
{
    (void)state;
    struct nfs_client client;
    struct crowd crowd = {0};
    struct wire again;
    wait_until_nobody_is_connected();
    nfs_client_start_from(&client, daemon_of_test, "among a crowd", "127.0.0.1");
    crowd_in(&crowd, "127.0.0.1", 8);
    crowd_in(&crowd, "127.0.0.8", AN_ADDRESS);
    crowd_in(&crowd, "127.0.0.9", AN_ADDRESS);
    assert_served(&client);
    wire_open_from(&again, daemon_of_test, "127.0.0.1");
    wire_close(&client.wire);
    client.wire = again;
    assert_served(&client);
    wire_close(&client.wire);
    disperse(&crowd);
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

/* Wrong: a byte now and then, and all the memory is kept for ever. */
static void a_reply_may_take_as_long_as_bytes_of_it_are_taken(void **state)
{
    const uint64_t second = 1000000000u;
    (void)state;
    assert_false(conn_reply_is_late(60 * second, 0, false));
    assert_true(conn_reply_is_late(61 * second, 0, false));
    assert_true(conn_reply_is_late(100 * second, 100, false));
    assert_false(conn_reply_is_late(280 * second, 1 << 20, false));
    assert_true(conn_reply_is_late(11 * second, 0, true));
    assert_false(conn_reply_is_late(200 * second, 1 << 20, true));
}

/* ---- the end ---- */

static bool has_ended(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&look, 1, 10000) == 1 && read(fd, &byte, 1) == 0;
}

/* Nobody tells them any more: one that was to give way, and the newcomer that has its place. Wrong:
 * they are there for ever (LeakSanitizer). */
static void who_gives_way_when_the_server_stops_is_gone(void **state)
{
    const struct config config = {
        .max_connections = 1, .max_io_size = 1 << 20, .max_request_memory = 16 << 20};
    const struct conn_service service = {0};
    struct listener *listener;
    struct loop *loop;
    int first[2], second[2];
    (void)state;
    assert_int_equal(loop_create("test", 0, &loop), 0);
    assert_int_equal(listener_create(&config, 1, &loop, 1, &service, &listener), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, first), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, second), 0);
    assert_int_equal(conn_adopt(listener, loop, first[0]), 0);
    assert_int_equal(conn_adopt(listener, loop, second[0]), 0);
    listener_destroy(listener);
    loop_destroy(loop);
    assert_true(has_ended(first[1]));
    assert_true(has_ended(second[1]));
    close(first[1]);
    close(second[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_programs_versions_and_flavors_are_answered_as_rfc_5531_says),
        cmocka_unit_test(a_record_over_the_limit_ends_its_connection),
        cmocka_unit_test(what_is_no_rpc_message_ends_its_connection),
        cmocka_unit_test(a_request_may_come_in_any_cut),
        cmocka_unit_test(a_request_may_take_as_long_as_it_brings_bytes),
        cmocka_unit_test(a_reply_may_take_as_long_as_bytes_of_it_are_taken),
        cmocka_unit_test(a_flood_of_requests_is_answered_to_the_last),
        cmocka_unit_test(a_peer_that_reads_nothing_costs_bounded_memory_and_nobody_else),
        cmocka_unit_test(peers_that_read_nothing_leave_memory_to_others),
        cmocka_unit_test(a_flood_that_is_alone_has_turn_after_turn),
        cmocka_unit_test(what_requests_ask_for_later_is_bounded_too),
        cmocka_unit_test(requests_that_have_their_room_come_to_their_end),
        cmocka_unit_test(more_connections_than_an_address_may_have_push_its_oldest_out),
        cmocka_unit_test(a_crowd_keeps_no_client_out),
        cmocka_unit_test(who_cannot_be_named_is_not_served),
        cmocka_unit_test(who_gives_way_when_the_server_stops_is_gone),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
