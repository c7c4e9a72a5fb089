/*
 * test_stop.c - the server is stopped under clients that are still there. What memory it leaks,
 * LeakSanitizer tells at the end of the program (the asan build); of descriptors and threads, and
 * of what the clients see, any build does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/server/daemon_fixture.h"

enum { ROUNDS = 10, CLIENTS = 8 };

/* Each client's backchannel is on both loops, wherever the client lives, and its probe is not
 * answered on one of them. */
static void start_clients(struct daemon *daemon, struct nfs_client *clients, struct wire *others)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        char owner[16];
        snprintf(owner, sizeof(owner), "stop %u", i);
        nfs_client_start(&clients[i], daemon, owner, CREATE_SESSION4_FLAG_CONN_BACK_CHAN);
        union nfs4_args args = {.bind_conn_to_session = {.bctsa_dir = CDFC4_BACK_OR_BOTH}};
        memcpy(args.bind_conn_to_session.bctsa_sessid, clients[i].session, NFS4_SESSIONID_SIZE);
        wire_open_on(&others[i], daemon, 1);
        assert_int_equal(wire_one(&others[i], OP_BIND_CONN_TO_SESSION, &args, NULL), NFS4_OK);
    }
}

/* Requests that bind, which nobody waits for: some are under way when the server stops. */
static void leave_requests(struct nfs_client *client, struct wire *other)
{
    union nfs4_args args =
        session_args(client->id, client->create_seq + 1, CREATE_SESSION4_FLAG_CONN_BACK_CHAN);
    wire_begin(&client->wire);
    wire_op(&client->wire, OP_CREATE_SESSION, &args);
    wire_send(&client->wire);
    args = (union nfs4_args){.bind_conn_to_session = {.bctsa_dir = CDFC4_BACK_OR_BOTH}};
    memcpy(args.bind_conn_to_session.bctsa_sessid, client->session, NFS4_SESSIONID_SIZE);
    wire_begin(other);
    wire_op(other, OP_BIND_CONN_TO_SESSION, &args);
    wire_send(other);
    args = exchange_args(client->owner, 2, 0);
    wire_begin(other);
    wire_op(other, OP_EXCHANGE_ID, &args);
    wire_send(other);
}

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* Whole messages, and then the end. */
static void assert_is_closed(struct wire *w)
{
    struct pollfd end = {.fd = w->fd, .events = POLLIN};
    enum rpc_msg_type type;
    char byte;
    while (wire_next_message(w, 0, &type))
        ;
    assert_int_equal(poll(&end, 1, 0), 1);
    ssize_t n = recv(w->fd, &byte, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

static void a_server_that_is_stopped_under_its_clients_leaks_nothing(void **state)
{
    static struct nfs_client clients[CLIENTS];
    static struct wire others[CLIENTS];
    unsigned descriptors = 0, threads = 0;
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct daemon *daemon = fixture_start("");
        start_clients(daemon, clients, others);
        for (unsigned i = 0; i < CLIENTS; i++)
            leave_requests(&clients[i], &others[i]);
        fixture_stop(daemon);
        for (unsigned i = 0; i < CLIENTS; i++) {
            assert_is_closed(&clients[i].wire);
            assert_is_closed(&others[i]);
            wire_close(&clients[i].wire);
            wire_close(&others[i]);
        }
        fixture_clean();
        if (round > 0) { /* the first may have opened what is opened once */
            assert_int_equal(count_entries("/proc/self/fd"), descriptors);
            assert_int_equal(count_entries("/proc/self/task"), threads);
        }
        descriptors = count_entries("/proc/self/fd");
        threads = count_entries("/proc/self/task");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_is_stopped_under_its_clients_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
