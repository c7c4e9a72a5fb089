/*
 * daemon_fixture.c - see daemon_fixture.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/record.h"
#include "server/config/config.h"
#include "server/daemon.h"
#include "server/net/conn.h"
#include "server/server.h"
#include "tests/unit/server/daemon_fixture.h"
#include "tests/unit/server/errors_allowed.h"

enum { ROOM = 2 << 20, REPLY_TIMEOUT_MS = 20000 };

static char base[64], files[96];
static bool on_disk; /* files is the test's own, and clients may have layouts */

const char *fixture_files(void)
{
    return files;
}

static void make_dirs(void)
{
    char path[128];
    if (base[0] != '\0')
        return;
    strcpy(base, "/tmp/sealnfs-test-XXXXXX");
    assert_non_null(mkdtemp(base));
    snprintf(files, sizeof(files), "%s/files", base);
    assert_int_equal(mkdir(files, 0777), 0);
    assert_int_equal(chmod(files, 0777), 0);
    snprintf(path, sizeof(path), "%s/state", base);
    assert_int_equal(mkdir(path, 0700), 0);
}

static const char *const usual_clients = "\"127.0.0.1\", \"127.0.0.2\", \"127.0.0.3\", \"::1\"";
static char kept_extra[256], kept_export[256]; /* of the last start, for a reload */

static const char *layouts_line(void)
{
    return on_disk ? "" : " layouts = false\n";
}

static void write_config(const char *path, const char *clients)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "listen = {\"127.0.0.1\"}\nloops = 2\n%srpcbind = false\nlog_level = \"error\"\n"
            "state_dir = \"%s/state\"\ncontrol_socket = \"%s/control\"\n%s\n"
            "export \"/data\" {\n path = \"%s\"\n clients = {%s}\n"
            " squash = \"none\"\n"
            "%s%s\n}\n",
            strstr(kept_extra, "workers =") ? "" : "workers = 2\n", base, base, kept_extra, files,
            clients, strstr(kept_export, "layouts =") ? "" : layouts_line(), kept_export);
    fclose(file);
}

struct daemon *fixture_start_with(const char *extra_config, const char *export_config)
{
    char path[128];
    struct config *config;
    struct daemon *daemon;
    make_dirs();
    snprintf(path, sizeof(path), "%s/conf", base);
    assert_in_range(snprintf(kept_extra, sizeof(kept_extra), "%s", extra_config), 0,
                    sizeof(kept_extra) - 1);
    assert_in_range(snprintf(kept_export, sizeof(kept_export), "%s", export_config), 0,
                    sizeof(kept_export) - 1);
    write_config(path, usual_clients);
    assert_int_equal(config_load(path, stderr, &config), 0);
    config->port = 0; /* any that is free */
    assert_int_equal(daemon_start(config, false, &daemon), 0);
    return daemon;
}

struct daemon *fixture_start_on(const char *dir, const char *extra_config,
                                const char *export_config)
{
    make_dirs();
    assert_in_range(snprintf(files, sizeof(files), "%s", dir), 1, sizeof(files) - 1);
    on_disk = true;
    return fixture_start_with(extra_config, export_config);
}

void fixture_ask(const char *line, char *answer, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", base);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
    assert_int_equal(send(fd, "\n", 1, MSG_NOSIGNAL), 1);
    do {
        ssize_t n = recv(fd, answer + len, size - 1 - len, 0);
        assert_true(n > 0);
        len += (size_t)n;
        answer[len] = '\0';
    } while (!strchr(answer, '\n'));
    close(fd);
}

bool fixture_control(const char *line)
{
    char answer[4096];
    fixture_ask(line, answer, sizeof(answer));
    if (strstr(answer, "\"ok\":true"))
        return true;
    print_message("%s: %s", line, answer);
    return false;
}

void fixture_admit(struct daemon *daemon, const char *clients)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/conf", base);
    write_config(path, clients);
    assert_int_equal(daemon_reload(daemon), 0);
}

struct daemon *fixture_start(const char *extra_config)
{
    return fixture_start_with(extra_config, "");
}

void fixture_stop(struct daemon *daemon)
{
    daemon_stop(daemon);
}

void fixture_clean(void)
{
    char command[128];
    if (base[0] == '\0')
        return;
    snprintf(command, sizeof(command), "rm -rf %s", base);
    assert_int_equal(system(command), 0);
    base[0] = '\0';
    on_disk = false;
}

/* ---- one connection ---- */

static void wire_init(struct wire *w, int fd)
{
    memset(w, 0, sizeof(*w));
    w->fd = fd;
    w->xid = 1000;
    w->out_bytes = malloc(ROOM);
    w->in_bytes = malloc(ROOM);
    assert_non_null(w->out_bytes);
    assert_non_null(w->in_bytes);
    arena_init(&w->arena, ROOM);
}

void wire_open_on(struct wire *w, struct daemon *daemon, unsigned loop)
{
    int fds[2];
    struct server *server = daemon_server(daemon);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    wire_init(w, fds[0]);
    assert_int_equal(conn_adopt(server->listener, server->loops[loop % server->loop_count], fds[1]),
                     0);
}

void wire_open(struct wire *w, struct daemon *daemon)
{
    wire_open_on(w, daemon, 0);
}

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static socklen_t make_address(union address *made, const char *address, uint16_t port)
{
    memset(made, 0, sizeof(*made));
    if (strchr(address, ':')) {
        made->in6.sin6_family = AF_INET6;
        made->in6.sin6_port = htons(port);
        assert_int_equal(inet_pton(AF_INET6, address, &made->in6.sin6_addr), 1);
        return sizeof(made->in6);
    }
    made->in.sin_family = AF_INET;
    made->in.sin_port = htons(port);
    assert_int_equal(inet_pton(AF_INET, address, &made->in.sin_addr), 1);
    return sizeof(made->in);
}

/* A socket bound to this address and to one of these ports. */
static int bound_socket(const char *address, unsigned first, unsigned last)
{
    const int one = 1;
    union address from;
    make_address(&from, address, 0);
    int fd = socket(from.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    for (unsigned port = first; port <= last; port++) {
        socklen_t len = make_address(&from, address, (uint16_t)port);
        if (bind(fd, &from.any, len) == 0)
            return fd;
    }
    close(fd);
    return -1;
}

static int reserved_socket(const char *address)
{
    static unsigned used; /* one that has just been used cannot be had for the same server */
    unsigned first = 512 + used++ % 256;
    if (geteuid() != 0) {
        print_message("needs root, for a reserved port\n");
        skip();
    }
    int fd = bound_socket(address, first, 1023);
    assert_true(fd >= 0);
    return fd;
}

static void connect_to(int fd, const char *address, uint16_t port)
{
    union address to;
    socklen_t len = make_address(&to, address, port);
    assert_int_equal(connect(fd, &to.any, len), 0);
}

static void connect_wire(struct wire *w, struct daemon *daemon, int fd)
{
    connect_to(fd, "127.0.0.1", listener_port(daemon_server(daemon)->listener));
    wire_init(w, fd);
}

void wire_open_from(struct wire *w, struct daemon *daemon, const char *address)
{
    connect_wire(w, daemon, reserved_socket(address));
}

void wire_open_dual(struct wire *w, struct daemon *daemon, const char *address)
{
    const int off = 0;
    union address at;
    socklen_t len = make_address(&at, "::", 0);
    struct server *server = daemon_server(daemon);
    int listening = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listening >= 0);
    assert_int_equal(setsockopt(listening, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
    assert_int_equal(bind(listening, &at.any, len), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, &at.any, &len), 0);
    int fd = reserved_socket(address);
    connect_to(fd, strchr(address, ':') ? "::1" : "127.0.0.1", ntohs(at.in6.sin6_port));
    int accepted = accept(listening, NULL, NULL);
    assert_true(accepted >= 0);
    close(listening);
    wire_init(w, fd);
    assert_int_equal(conn_adopt(server->listener, server->loops[0], accepted), 0);
}

void wire_open_unprivileged(struct wire *w, struct daemon *daemon, const char *address)
{
    int fd = bound_socket(address, 0, 0);
    assert_true(fd >= 0);
    connect_wire(w, daemon, fd);
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    arena_free(&w->arena);
    free(w->out_bytes);
    free(w->in_bytes);
    w->out_bytes = w->in_bytes = NULL;
}

void wire_begin_tagged(struct wire *w, uint32_t minor, struct xdr_bytes tag)
{
    uint8_t body[RPC_MAX_AUTH_BYTES];
    authsys_parms parms = {
        .uid = w->uid, .machinename = xdr_bytes_of("test"), .gids_count = w->gid_count};
    memcpy(parms.gids, w->gids, sizeof(w->gids));
    struct rpc_call call = {
        .xid = ++w->xid, .rpcvers = 2, .prog = NFS4_PROGRAM, .vers = NFS_V4, .proc = 1};
    struct nfs4_compound_args head = {.tag = tag, .minorversion = minor};
    xdr_out_init(&w->out, w->out_bytes + RECORD_MARK_SIZE, ROOM - RECORD_MARK_SIZE);
    if (!w->anonymous)
        assert_true(rpc_authsys_cred(&parms, body, sizeof(body), &call.cred));
    assert_true(rpc_call_encode(&w->out, &call));
    assert_true(nfs4_compound_args_encode(&w->out, &head));
    w->numops_at = xdr_out_pos(&w->out) - 4;
    w->numops = 0;
}

void wire_begin_minor(struct wire *w, uint32_t minor)
{
    wire_begin_tagged(w, minor, xdr_bytes_of(""));
}

void wire_begin(struct wire *w)
{
    wire_begin_minor(w, 1);
}

void wire_count_op(struct wire *w)
{
    assert_true(xdr_out_patch_u32(&w->out, w->numops_at, ++w->numops));
}

void wire_op(struct wire *w, uint32_t op, const union nfs4_args *args)
{
    static const union nfs4_args none;
    assert_true(nfs4_op_encode(&w->out, op));
    assert_true(nfs4_args_encode(op, &w->out, args != NULL ? args : &none));
    wire_count_op(w);
}

void wire_word(struct wire *w, uint32_t word)
{
    assert_true(xdr_put_u32(&w->out, word));
}

void wire_send_raw(struct wire *w, const void *data, size_t len)
{
    const uint8_t *at = data;
    while (len > 0) {
        ssize_t n = send(w->fd, at, len, MSG_NOSIGNAL);
        if (n < 0)
            return; /* closed: the next receive says so */
        at += n;
        len -= (size_t)n;
    }
}

void wire_send(struct wire *w)
{
    assert_true(xdr_out_ok(&w->out));
    uint32_t len = (uint32_t)xdr_out_len(&w->out);
    record_mark_put(w->out_bytes, len);
    wire_send_raw(w, w->out_bytes, RECORD_MARK_SIZE + len);
}

static bool read_exactly(int fd, uint8_t *data, size_t len, int timeout_ms)
{
    while (len > 0) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        if (poll(&pfd, 1, timeout_ms) != 1)
            return false;
        ssize_t n = recv(fd, data, len, 0);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

bool wire_next_message(struct wire *w, int timeout_ms, enum rpc_msg_type *type)
{
    uint8_t mark[RECORD_MARK_SIZE];
    uint32_t xid;
    if (!read_exactly(w->fd, mark, sizeof(mark), timeout_ms))
        return false;
    w->in_len = (uint32_t)(mark[0] & 0x7f) << 24 | (uint32_t)mark[1] << 16 |
                (uint32_t)mark[2] << 8 | mark[3];
    assert_true((mark[0] & 0x80) != 0);
    assert_in_range(w->in_len, 8, ROOM);
    if (!read_exactly(w->fd, w->in_bytes, w->in_len, REPLY_TIMEOUT_MS))
        return false;
    assert_true(rpc_msg_peek(w->in_bytes, w->in_len, &xid, type));
    xdr_in_init(&w->in, w->in_bytes, w->in_len);
    return true;
}

static void answer_null(struct wire *w)
{
    uint8_t bytes[64];
    struct xdr_out out;
    struct rpc_call call;
    assert_int_equal(rpc_call_decode(&w->in, &call), 0);
    assert_int_equal(call.proc, 0);
    xdr_out_init(&out, bytes + RECORD_MARK_SIZE, sizeof(bytes) - RECORD_MARK_SIZE);
    assert_true(rpc_reply_put_accepted(&out, call.xid, RPC_ACCEPT_SUCCESS));
    record_mark_put(bytes, (uint32_t)xdr_out_len(&out));
    wire_send_raw(w, bytes, RECORD_MARK_SIZE + xdr_out_len(&out));
}

bool wire_receive(struct wire *w)
{
    struct rpc_reply reply;
    struct nfs4_compound_res head;
    enum rpc_msg_type type;
    for (;;) {
        if (!wire_next_message(w, REPLY_TIMEOUT_MS, &type))
            return false;
        if (type == RPC_REPLY)
            break;
        answer_null(w);
    }
    arena_reset(&w->arena);
    assert_int_equal(rpc_reply_decode(&w->in, &reply), 0);
    assert_int_equal(reply.stat, RPC_MSG_ACCEPTED);
    assert_int_equal(reply.accept_stat, RPC_ACCEPT_SUCCESS);
    assert_true(nfs4_compound_res_decode(&w->in, &head));
    w->status = head.status;
    w->numres = head.numres;
    return true;
}

bool wire_call(struct wire *w)
{
    wire_send(w);
    return wire_receive(w);
}

nfsstat4 wire_result(struct wire *w, uint32_t op, union nfs4_res *res)
{
    union nfs4_res own;
    uint32_t got;
    if (res == NULL)
        res = &own;
    assert_true(nfs4_op_decode(&w->in, &got));
    assert_int_equal(got, op);
    assert_true(nfs4_res_decode(op, &w->in, &w->arena, res));
    if (!error_is_allowed(op, res->status))
        fail_msg("%s answers %s (RFC 8881 section 15.2)", nfs4_op_name(op),
                 nfs4_status_name(res->status));
    return res->status;
}

nfsstat4 wire_one(struct wire *w, uint32_t op, const union nfs4_args *args, union nfs4_res *res)
{
    wire_begin(w);
    wire_op(w, op, args);
    assert_true(wire_call(w));
    nfsstat4 status = wire_result(w, op, res);
    assert_int_equal(w->status, status);
    return status;
}

/* ---- a client ---- */

union nfs4_args exchange_args(const char *owner, uint8_t verifier, uint32_t flags)
{
    union nfs4_args args = {.exchange_id = {.eia_flags = flags}};
    args.exchange_id.eia_clientowner.co_ownerid = xdr_bytes_of(owner);
    memset(args.exchange_id.eia_clientowner.co_verifier, verifier, sizeof(verifier4));
    return args;
}

union nfs4_args session_args(clientid4 id, sequenceid4 seq, uint32_t flags)
{
    static callback_sec_parms4 none = {.cb_secflavor = RPC_AUTH_NONE};
    return (union nfs4_args){
        .create_session =
            {
                .csa_clientid = id,
                .csa_sequence = seq,
                .csa_flags = flags,
                .csa_fore_chan_attrs = {.ca_headerpadsize = 64,
                                        .ca_maxrequestsize = 2 << 20,
                                        .ca_maxresponsesize = 2 << 20,
                                        .ca_maxresponsesize_cached = 4096,
                                        .ca_maxoperations = 16,
                                        .ca_maxrequests = 8},
                .csa_back_chan_attrs = {.ca_maxrequestsize = 4096,
                                        .ca_maxresponsesize = 4096,
                                        .ca_maxoperations = 2,
                                        .ca_maxrequests = 2},
                .csa_cb_program = 0x40000000,
                .csa_sec_parms_count = 1,
                .csa_sec_parms = &none,
            },
    };
}

/* Its wire is open. */
static void introduce_client(struct nfs_client *client, const char *owner, uint32_t session_flags)
{
    union nfs4_res res;
    snprintf(client->owner, sizeof(client->owner), "%s", owner);
    union nfs4_args args = exchange_args(client->owner, 1, 0);
    assert_int_equal(wire_one(&client->wire, OP_EXCHANGE_ID, &args, &res), NFS4_OK);
    client->id = res.exchange_id.eir_resok4.eir_clientid;
    client->create_seq = res.exchange_id.eir_resok4.eir_sequenceid;
    args = session_args(client->id, client->create_seq, session_flags);
    assert_int_equal(wire_one(&client->wire, OP_CREATE_SESSION, &args, &res), NFS4_OK);
    client->created = res.create_session.csr_resok4;
    memcpy(client->session, client->created.csr_sessionid, sizeof(client->session));
    nfs_begin(client, false);
    args = (union nfs4_args){.reclaim_complete = {.rca_one_fs = false}};
    wire_op(&client->wire, OP_RECLAIM_COMPLETE, &args);
    assert_true(wire_call(&client->wire));
    nfs_sequence_ok(client);
    assert_int_equal(wire_result(&client->wire, OP_RECLAIM_COMPLETE, NULL), NFS4_OK);
}

void nfs_client_start(struct nfs_client *client, struct daemon *daemon, const char *owner,
                      uint32_t session_flags)
{
    memset(client, 0, sizeof(*client));
    wire_open(&client->wire, daemon);
    introduce_client(client, owner, session_flags);
}

void nfs_client_start_from(struct nfs_client *client, struct daemon *daemon, const char *owner,
                           const char *address)
{
    memset(client, 0, sizeof(*client));
    wire_open_from(&client->wire, daemon, address);
    introduce_client(client, owner, 0);
}

void nfs_begin(struct nfs_client *client, bool cache)
{
    union nfs4_args args = {
        .sequence = {.sa_sequenceid = ++client->slot_seq[0], .sa_cachethis = cache}};
    memcpy(args.sequence.sa_sessionid, client->session, sizeof(client->session));
    wire_begin(&client->wire);
    wire_op(&client->wire, OP_SEQUENCE, &args);
}

void nfs_sequence_ok(struct nfs_client *client)
{
    assert_int_equal(wire_result(&client->wire, OP_SEQUENCE, NULL), NFS4_OK);
}

void nfs_lookup_export(struct nfs_client *client)
{
    union nfs4_args args = {.lookup = {.objname = xdr_bytes_of("data")}};
    wire_op(&client->wire, OP_PUTROOTFH, NULL);
    wire_op(&client->wire, OP_LOOKUP, &args);
}

void nfs_lookup_export_results(struct nfs_client *client)
{
    assert_int_equal(wire_result(&client->wire, OP_PUTROOTFH, NULL), NFS4_OK);
    assert_int_equal(wire_result(&client->wire, OP_LOOKUP, NULL), NFS4_OK);
}
