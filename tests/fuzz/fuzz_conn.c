/*
 * fuzz_conn.c - the real connection entry: a whole daemon in this process, and the input as what a
 * peer sends, byte for byte, over a socketpair.
 *
 * The first byte cuts the rest into pieces. Any session id or client id in the input would never be
 * right, so the marks SSSS and CCCC are replaced by those of a living session and client, and
 * sequence ids after a session id by the next one of its slot. The input passes when the daemon
 * still serves a good client afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/arena.h"
#include "proto/nfs4/ops.h"
#include "proto/record.h"
#include "proto/rpc.h"
#include "server/config/config.h"
#include "server/daemon.h"
#include "server/net/conn.h"
#include "server/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 64 << 10 };

static struct daemon *daemon_of_fuzz;
static char base[64];
static sessionid4 session;
static clientid4 client;
static sequenceid4 create_seq;
static uint32_t next_seq = 1; /* of slot 0 */

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

static int connect_to_daemon(void)
{
    int fds[2];
    struct server *server = daemon_server(daemon_of_fuzz);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
    must(conn_adopt(server->listener, server->loops[0], fds[1]) == 0, "conn_adopt");
    return fds[0];
}

static void read_exactly(int fd, uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = read(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue; /* libFuzzer's alarm */
        must(n > 0, "the daemon does not answer a good client");
        data += n;
        len -= (size_t)n;
    }
}

/* One operation alone; the result is left in res. */
static nfsstat4 ask(int fd, uint32_t op, const union nfs4_args *args, union nfs4_res *res)
{
    static uint8_t bytes[ROOM];
    static struct arena arena;
    struct xdr_out out;
    struct xdr_in in;
    struct rpc_call call = {
        .xid = 1, .rpcvers = 2, .prog = NFS4_PROGRAM, .vers = NFS_V4, .proc = 1};
    struct nfs4_compound_args head = {.minorversion = 1, .numops = 1};
    struct rpc_reply reply;
    struct nfs4_compound_res got;
    uint32_t got_op;
    arena_init(&arena, ROOM);
    xdr_out_init(&out, bytes + RECORD_MARK_SIZE, sizeof(bytes) - RECORD_MARK_SIZE);
    must(rpc_call_encode(&out, &call) && nfs4_compound_args_encode(&out, &head) &&
             nfs4_op_encode(&out, op) && nfs4_args_encode(op, &out, args),
         "encode");
    record_mark_put(bytes, (uint32_t)xdr_out_len(&out));
    size_t len = RECORD_MARK_SIZE + xdr_out_len(&out);
    must(write(fd, bytes, len) == (ssize_t)len, "write");
    read_exactly(fd, bytes, RECORD_MARK_SIZE);
    uint32_t reply_len = (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    must(reply_len <= ROOM, "a reply of that length");
    read_exactly(fd, bytes, reply_len);
    xdr_in_init(&in, bytes, reply_len);
    must(rpc_reply_decode(&in, &reply) == 0 && nfs4_compound_res_decode(&in, &got) &&
             nfs4_op_decode(&in, &got_op) && nfs4_res_decode(op, &in, &arena, res),
         "decode");
    arena_free(&arena);
    return res->status;
}

static const channel_attrs4 channel = {.ca_maxrequestsize = ROOM,
                                       .ca_maxresponsesize = ROOM,
                                       .ca_maxresponsesize_cached = 4096,
                                       .ca_maxoperations = 32,
                                       .ca_maxrequests = 8};

static int make_session(int fd)
{
    union nfs4_res res;
    union nfs4_args args = {.create_session = {.csa_clientid = client,
                                               .csa_sequence = ++create_seq,
                                               .csa_fore_chan_attrs = channel,
                                               .csa_back_chan_attrs = channel}};
    if (ask(fd, OP_CREATE_SESSION, &args, &res) != NFS4_OK)
        return 0;
    memcpy(session, res.create_session.csr_resok4.csr_sessionid, sizeof(session));
    next_seq = 1;
    return 1;
}

static void make_client(int fd)
{
    union nfs4_res res;
    union nfs4_args args = {
        .exchange_id = {.eia_clientowner = {.co_ownerid = xdr_bytes_of("fuzz")}}};
    static uint8_t incarnation;
    args.exchange_id.eia_clientowner.co_verifier[0] = ++incarnation;
    must(ask(fd, OP_EXCHANGE_ID, &args, &res) == NFS4_OK, "EXCHANGE_ID");
    client = res.exchange_id.eir_resok4.eir_clientid;
    create_seq = res.exchange_id.eir_resok4.eir_sequenceid - 1;
    must(make_session(fd), "CREATE_SESSION");
}

static void clean(void)
{
    char command[128];
    daemon_stop(daemon_of_fuzz);
    snprintf(command, sizeof(command), "rm -rf %s", base);
    must(system(command) == 0, "rm");
}

static void start(void)
{
    char path[96];
    struct config *config;
    strcpy(base, "/tmp/sealnfs-fuzz-XXXXXX");
    must(mkdtemp(base) != NULL, "mkdtemp");
    snprintf(path, sizeof(path), "%s/files", base);
    must(mkdir(path, 0777) == 0 && chmod(path, 0777) == 0, "mkdir");
    snprintf(path, sizeof(path), "%s/state", base);
    must(mkdir(path, 0700) == 0, "mkdir");
    snprintf(path, sizeof(path), "%s/conf", base);
    FILE *file = fopen(path, "w");
    must(file != NULL, "fopen");
    fprintf(
        file,
        "listen = {\"127.0.0.1\"}\nloops = 1\nworkers = 1\nrpcbind = false\nlog_level = \"error\"\n"
        "state_dir = \"%s/state\"\ncontrol_socket = \"%s/control\"\nexport \"/data\" {\n path = "
        "\"%s/files\"\n"
        " clients = {\"::/0\", \"0.0.0.0/0\"}\n squash = \"all\"\n layouts = false\n}\n",
        base, base, base);
    fclose(file);
    must(config_load(path, stderr, &config) == 0, "config_load");
    config->port = 0;
    must(daemon_start(config, false, &daemon_of_fuzz) == 0, "daemon_start");
    int fd = connect_to_daemon();
    make_client(fd);
    close(fd);
    atexit(clean);
}

/* Puts living ids in the places of the marks. */
static void bring_to_life(uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 4 <= size; i++) {
        if (memcmp(data + i, "SSSS", 4) == 0 && i + NFS4_SESSIONID_SIZE + 4 <= size) {
            memcpy(data + i, session, NFS4_SESSIONID_SIZE);
            uint32_t seq = __builtin_bswap32(next_seq++);
            memcpy(data + i + NFS4_SESSIONID_SIZE, &seq, sizeof(seq));
            i += NFS4_SESSIONID_SIZE + 3;
        } else if (memcmp(data + i, "CCCC", 4) == 0 && i + 8 <= size) {
            uint64_t id = __builtin_bswap64(client);
            memcpy(data + i, &id, sizeof(id));
            i += 7;
        }
    }
}

static void send_in_pieces(int fd, const uint8_t *data, size_t size, size_t piece)
{
    uint8_t sink[4096];
    while (size > 0) {
        size_t len = size < piece ? size : piece;
        if (send(fd, data, len, MSG_NOSIGNAL) < 0)
            return;
        while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
            ;
        data += len;
        size -= len;
    }
}

/* Until the daemon has said all that it will say to this: it closes when it has read our end. */
static void drain(int fd)
{
    uint8_t sink[4096];
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    shutdown(fd, SHUT_WR);
    while (poll(&pfd, 1, 5000) == 1 && recv(fd, sink, sizeof(sink), 0) > 0)
        ;
}

/* A good client is served. The input may rightly have used the slot or destroyed the session: then
 * another is made. */
static void use_again(void)
{
    int fd = connect_to_daemon();
    union nfs4_res res;
    union nfs4_args args = {.sequence = {.sa_sequenceid = next_seq}};
    memcpy(args.sequence.sa_sessionid, session, sizeof(session));
    if (ask(fd, OP_SEQUENCE, &args, &res) == NFS4_OK) {
        next_seq++;
    } else {
        memcpy(args.destroy_session.dsa_sessionid, session, sizeof(session));
        ask(fd, OP_DESTROY_SESSION, &args, &res);
        if (!make_session(fd))
            make_client(fd);
    }
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (daemon_of_fuzz == NULL)
        start();
    if (size < 2 || size > ROOM)
        return 0;
    uint8_t *copy = malloc(size);
    must(copy != NULL, "malloc");
    memcpy(copy, data, size);
    bring_to_life(copy + 1, size - 1);
    int fd = connect_to_daemon();
    send_in_pieces(fd, copy + 1, size - 1, copy[0] == 0 ? size : copy[0]);
    drain(fd);
    close(fd);
    free(copy);
    use_again();
    return 0;
}
