/*
 * compound.c - the dispatcher: from a COMPOUND call to its reply (RFC 8881
 * sections 2.10.6.4, 15.1, 16.2).
 *
 * A compound lies in one pooled buffer: the struct, then the start of the reply, then the arena's
 * first chunk; ordinary requests need no other memory. It starts on its connection's loop, runs on
 * the loop of the client that its first operation names, visits the workers when an operation asks,
 * and ends on the client's loop, where the reply is cached and handed to the connection.
 */
#include "server/nfs/compound.h"

#include <string.h>

#include "layout/container_of.h"
#include "proto/utf8.h"
#include "server/base/buffer.h"
#include "server/base/log.h"
#include "server/base/probe.h"
#include "server/client/client.h"
#include "server/client/session.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/file/fs_status.h"
#include "server/file/op_error.h"
#include "server/keeper/keeper.h"
#include "server/nfs/op_counts.h"
#include "server/nfs/route.h"
#include "server/server.h"

enum {
    REPLY_ROOM = 6 << 10,        /* in the compound's own buffer */
    ARENA_LIMIT = 4 << 20,       /* what one compound's operations may ask for together */
    SESSIONLESS_REPLY = 8 << 10, /* before a session has said more */
    ERROR_ROOM = 32,             /* kept free for the error of a following operation */
    ILLEGAL_OP = UINT32_MAX,
};

/* ---- memory ---- */

static struct compound *compound_create(struct server *server, struct conn *conn,
                                        struct buffer *request, uint32_t request_len)
{
    struct buffer *memory = buffer_get(BUFFER_SMALL);
    if (!memory)
        return NULL;
    struct compound *c = (struct compound *)(void *)memory->data;
    memset(c, 0, sizeof(*c));
    uint8_t *reply = memory->data + (sizeof(*c) + 63) / 64 * 64;
    uint8_t *arena = reply + REPLY_ROOM;
    c->memory = memory;
    c->request = buffer_ref(request);
    c->request_len = request_len;
    c->server = server;
    c->conn = conn_ref(conn);
    c->loop = conn_loop(conn);
    c->peer = *conn_peer(conn);
    c->max_reply = SESSIONLESS_REPLY;
    xdr_out_init(&c->out, reply, REPLY_ROOM);
    arena_init_with(&c->arena, ARENA_LIMIT, arena, (size_t)(memory->data + memory->size - arena));
    c->charged = memory->size + request_len;
    conn_charge(conn, c->charged);
    conn_request_begin(conn);
    return c;
}

/* The reply has left, or never will. The connection's loop. */
static void compound_sent(struct conn_out *out, bool ok)
{
    (void)ok;
    struct compound *c = container_of(out, struct compound, send);
    struct conn *conn = c->conn;
    const struct xdr_splice *splice;
    for (unsigned i = 0; (splice = xdr_out_splice_at(&c->out, i)); i++)
        buffer_unref(splice->owner);
    arena_free(&c->arena);
    buffer_unref(c->larger);
    buffer_unref(c->request);
    conn_discharge(conn, c->charged);
    buffer_unref(c->memory);
    conn_request_end(conn);
    conn_unref(conn);
}

static void charge_more(struct compound *c, size_t bytes)
{
    c->charged += bytes;
    conn_charge(c->conn, bytes);
}

/* What decoding and handlers took beyond the compound's own memory. */
static void charge_arena(struct compound *c)
{
    size_t grown = arena_grown(&c->arena);
    if (grown == c->arena_charged)
        return;
    charge_more(c, grown - c->arena_charged);
    c->arena_charged = grown;
}

/* ---- the end ---- */

static void drop_files(struct compound *c)
{
    file_unref(c->current.file);
    file_unref(c->saved.file);
    c->current.file = c->saved.file = NULL;
}

/* The slot is another request's from here on. */
static void end_turn(struct compound *c)
{
    const struct session_turn turn = {.client = c->client, .session = c->session, .slot = c->slot};
    /* An uncached SEQUENCE alone needs no memory: its retry is answered anew. */
    bool kept = c->cache_this && c->numops > 1;
    session_end_turn(&turn, kept ? &c->out : NULL, c->body_at);
    c->slot = NULL;
    c->session = NULL;
    c->client = NULL;
}

static void finish_compound(struct compound *c)
{
    drop_files(c);
    caller_groups_drop(c);
    if (c->slot)
        end_turn(c);
    c->send.sent = compound_sent;
    size_t len = xdr_out_len(&c->out);
    if (len > REPLY_ROOM + c->payload_charged)
        charge_more(c, len - c->payload_charged);
    if (!conn_out_set(&c->send, &c->out)) {
        log_some_errors("%s: a reply could not be put together", conn_describe(c->conn));
        /* An empty record answers nothing; the client retries on a new connection. */
        xdr_out_truncate(&c->out, 0);
        conn_out_set(&c->send, &c->out);
    }
    conn_send(c->conn, &c->send);
}

static void go_home(struct compound *c)
{
    loop_post(c->loop, &c->msg);
}

static void end_compound(struct compound *c, nfsstat4 status)
{
    nfs4_compound_res_end(&c->out, &c->head, status, c->op_count);
    if (c->on_worker) {
        c->ended = true;
        drop_files(c);
        go_home(c);
    } else {
        finish_compound(c);
    }
}

/* The reply is the one that the slot kept. */
static void end_with_replay(struct compound *c)
{
    xdr_out_truncate(&c->out, c->body_at);
    if (xdr_out_left(&c->out) < c->replay.len) {
        c->larger = buffer_get(c->body_at + c->replay.len);
        if (c->larger)
            xdr_out_rebase(&c->out, c->larger->data, c->larger->size);
    }
    xdr_put_fixed(&c->out, c->replay.data, c->replay.len);
    finish_compound(c);
}

/* ---- one operation's result ---- */

static bool is_last(const struct compound *c)
{
    return c->op_index + 1 >= c->numops;
}

/* What the reply may have in all once this operation's result is in it. Nothing follows a failure:
 * it may have the room that is kept for one. */
static size_t reply_limit(const struct compound *c)
{
    size_t limit = c->max_reply;
    if (c->cache_this && c->max_cached < limit)
        limit = c->max_cached;
    return c->res.status != NFS4_OK || is_last(c) || limit < ERROR_ROOM ? limit
                                                                        : limit - ERROR_ROOM;
}

static nfsstat4 too_big(const struct compound *c, size_t need)
{
    return c->cache_this && need <= c->max_reply ? NFS4ERR_REP_TOO_BIG_TO_CACHE
                                                 : NFS4ERR_REP_TOO_BIG;
}

static bool put_result(struct compound *c)
{
    return nfs4_op_encode(&c->out, c->op) && nfs4_res_encode(c->op, &c->out, &c->res);
}

static bool grow_reply(struct compound *c, size_t limit)
{
    size_t want = !c->larger ? 60 << 10 : c->larger->size * 4;
    size_t now = !c->larger ? REPLY_ROOM : c->larger->size;
    if (want > limit + BUFFER_SMALL)
        want = limit + BUFFER_SMALL;
    if (want <= now)
        return false;
    struct buffer *larger = buffer_get(want);
    if (!larger)
        return false;
    xdr_out_rebase(&c->out, larger->data, larger->size);
    buffer_unref(c->larger);
    c->larger = larger;
    return true;
}

/* Takes the buffer of what travels by reference, if there is one, out of the result. */
static struct buffer *take_payload(struct compound *c)
{
    void **owner = NULL, *taken = NULL;
    if (c->op == OP_READ && c->res.status == NFS4_OK)
        owner = &c->res.read.resok4.data_owner;
    if (c->op == OP_READDIR && c->res.status == NFS4_OK)
        owner = &c->res.readdir.resok4.reply.encoded_owner;
    if (owner) {
        taken = *owner;
        *owner = NULL;
    }
    return taken;
}

/* READ's data and READDIR's list travel by reference as long as there are references left; then
 * they are copied. */
static struct buffer *detach_payload(struct compound *c)
{
    return xdr_out_splice_at(&c->out, XDR_OUT_MAX_SPLICES - 1) ? take_payload(c) : NULL;
}

static void count_op(struct compound *c)
{
    const bool ok = c->res.status == NFS4_OK;
    const uint64_t now = loop_fine_ns();
    op_counts_add(c->server->op_counts, loop_index(c->loop), c->op, c->res.status,
                  now - c->op_began);
    PROBE4(operation, c->op, c->res.status, now - c->op_began,
           c->client ? client_id(c->client) : 0);
    c->op_began = now; /* of the next */
    if (c->client)
        client_count_op(c->client, ok && c->op == OP_READ ? c->res.read.resok4.data.len : 0,
                        ok && c->op == OP_WRITE ? c->res.write.resok4.count : 0);
}

/* Writes the result of the operation; false: it was the last one to run. */
static bool put_op_result(struct compound *c)
{
    size_t at = xdr_out_pos(&c->out);
    size_t limit = reply_limit(c);
    struct buffer *detached = detach_payload(c);
    xdr_out_set_limit(&c->out, limit);
    bool ok = put_result(c);
    while (!ok) {
        xdr_out_truncate(&c->out, at);
        if (!grow_reply(c, limit))
            break;
        ok = put_result(c);
    }
    buffer_unref(detached);
    xdr_out_set_limit(&c->out, SIZE_MAX);
    if (!ok) {
        buffer_unref(take_payload(c));
        memset(&c->res, 0, sizeof(c->res));
        c->res.status = too_big(c, c->max_reply);
        put_result(c);
    }
    c->op_count++;
    count_op(c);
    return c->res.status == NFS4_OK;
}

static bool fail_op(struct compound *c, nfsstat4 status)
{
    memset(&c->res, 0, sizeof(c->res));
    c->res.status = status;
    put_op_result(c);
    return false;
}

/* ---- before one operation ---- */

/* Where SEQUENCE and the operations that need none may stand (RFC 8881 sections 2.10.6.4
 * and 18.46.3). */
static nfsstat4 check_position(const struct compound *c)
{
    if (c->op_index > 0) {
        if (c->op == OP_SEQUENCE)
            return NFS4ERR_SEQUENCE_POS;
        if (c->op == OP_BIND_CONN_TO_SESSION)
            return NFS4ERR_NOT_ONLY_OP;
        return c->retry_uncached ? NFS4ERR_RETRY_UNCACHED_REP : NFS4_OK;
    }
    return c->op != OP_SEQUENCE && c->numops > 1 ? NFS4ERR_NOT_ONLY_OP : NFS4_OK;
}

/* An operation that changes something does not run unless its reply will fit (RFC 8881
 * section 2.10.6.4). */
static nfsstat4 check_reply_size(const struct compound *c, const struct op_entry *entry)
{
    if ((entry->needs & OP_MODIFIES) == 0)
        return NFS4_OK;
    size_t bound = entry->reply_bound ? entry->reply_bound(c) : entry->reply_max;
    size_t need = xdr_out_len(&c->out) + 4 + bound;
    if (need > c->max_reply)
        return NFS4ERR_REP_TOO_BIG;
    return c->cache_this && need > c->max_cached ? NFS4ERR_REP_TOO_BIG_TO_CACHE : NFS4_OK;
}

/* Once a compound and export. */
static nfsstat4 admit_place(struct compound *c, const struct place *place)
{
    if (!place->export || place->export == c->admitted)
        return NFS4_OK;
    nfsstat4 status = export_admit(place->export, &c->peer);
    if (status == NFS4_OK)
        c->admitted = place->export;
    return status;
}

/* NFS4_OK, NFS4ERR_ACCESS, or NFS4ERR_DELAY: that is not known yet. */
static nfsstat4 admit_caller(struct compound *c, const struct op_entry *entry)
{
    nfsstat4 status = NFS4_OK;
    if (entry->who == WHO_ADMITTED)
        return export_table_admits(c->server->exports, &c->peer);
    if (entry->who == WHO_EXPORT)
        status = admit_place(c, &c->current);
    if (status == NFS4_OK && entry->who == WHO_EXPORT && (entry->needs & OP_NEEDS_SAVED_FH))
        status = admit_place(c, &c->saved);
    return status;
}

static nfsstat4 check_op(struct compound *c, const struct op_entry *entry)
{
    nfsstat4 status = check_position(c);
    if (status != NFS4_OK)
        return status;
    if ((entry->needs & OP_PNFS) != 0 && c->no_layouts)
        return NFS4ERR_NOTSUPP; /* the client was told so (RFC 8881 section 12.6) */
    if ((entry->needs & OP_NEEDS_FH) != 0 && !c->current.file)
        return NFS4ERR_NOFILEHANDLE;
    if ((entry->needs & OP_NEEDS_SAVED_FH) != 0 && !c->saved.file)
        return NFS4ERR_NOFILEHANDLE;
    status = admit_caller(c, entry);
    if (status != NFS4_OK)
        return status == NFS4ERR_ACCESS && entry->unwelcome != NFS4_OK ? entry->unwelcome : status;
    if ((entry->needs & OP_ROFS) != 0 &&
        (!c->current.export || !export_is_writable(c->current.export)))
        return NFS4ERR_ROFS;
    return check_reply_size(c, entry);
}

/* Those of NFSv4.0 have no other error than NFS4ERR_NOTSUPP, wherever they stand. */
static bool may_begin(uint32_t op)
{
    const uint32_t needs = op_table[op].needs;
    return op == OP_SEQUENCE || (needs & (OP_FIRST_ONLY | OP_OF_MINOR_0)) != 0;
}

/* The arguments of the next operation. NFS4_OK, or what is wrong with them. */
static nfsstat4 decode_op(struct compound *c)
{
    if (!nfs4_op_decode(&c->in, &c->op)) {
        c->op = ILLEGAL_OP;
        return NFS4ERR_BADXDR;
    }
    if (!nfs4_op_known(c->op))
        return NFS4ERR_OP_ILLEGAL;
    if (c->op_index == 0 && !may_begin(c->op))
        return NFS4ERR_OP_NOT_IN_SESSION;
    if (!op_table[c->op].handler)
        return op_table[c->op].absent;
    return nfs4_args_decode(c->op, &c->in, &c->arena, &c->args) ? NFS4_OK : NFS4ERR_BADXDR;
}

static void put_illegal(struct compound *c)
{
    nfs4_illegal_res_encode(&c->out);
    c->op_count++;
}

/* Nothing that may be asked from this address and port has an answer in NFS (EXCHANGE_ID's errors,
 * RFC 8881 section 15.2, have none for it): RPC's own (RFC 5531 section 9). */
static void deny_call(struct compound *c)
{
    log_info("%s: denied: no export admits its address and port (clients, unprivileged_ports)",
             conn_describe(c->conn));
    xdr_out_truncate(&c->out, 0);
    rpc_reply_put_auth_error(&c->out, c->xid, RPC_AUTHSTAT_TOOWEAK);
    finish_compound(c);
}

/* What READ and READDIR will read. It may be much more than the request, and is known only now:
 * whoever has no room left for it comes again. */
static nfsstat4 charge_payload(struct compound *c)
{
    if (c->op != OP_READ && c->op != OP_READDIR)
        return NFS4_OK;
    uint32_t asked = c->op == OP_READ ? c->args.read.count : c->args.readdir.maxcount;
    uint32_t bytes = asked < c->max_reply ? asked : c->max_reply;
    if (bytes > REPLY_ROOM && !conn_may_hold(c->conn, bytes))
        return NFS4ERR_DELAY;
    charge_more(c, bytes);
    c->payload_charged += bytes;
    return NFS4_OK;
}

/* Gets the next operation ready. False: there is none, or it cannot run, and the reply has ended;
 * or it is not known yet who asks. */
static bool begin_op(struct compound *c)
{
    if (c->op_index >= c->numops) {
        end_compound(c, NFS4_OK);
        return false;
    }
    if (c->op_index == 0 && !c->op_decoded)
        c->op_began = loop_fine_ns();
    if (!c->op_decoded)
        c->op_status = c->op_index == 0 ? c->first_status : decode_op(c);
    c->op_decoded = true;
    nfsstat4 status = c->op_status;
    if (status == NFS4ERR_OP_ILLEGAL) {
        put_illegal(c);
        end_compound(c, status);
        return false;
    }
    if (c->op == ILLEGAL_OP) {
        end_compound(c, status);
        return false;
    }
    if (status == NFS4_OK && caller_names_settle(c) == CALLER_WAITED)
        return false; /* it may be running by now */
    if (status == NFS4_OK && c->op_index == 0 &&
        admit_caller(c, &op_table[c->op]) == NFS4ERR_ACCESS) {
        deny_call(c);
        return false;
    }
    if (status == NFS4_OK)
        status = check_op(c, &op_table[c->op]);
    if (status == NFS4_OK)
        status = charge_payload(c);
    if (status != NFS4_OK) {
        fail_op(c, status);
        end_compound(c, c->res.status);
        return false;
    }
    memset(&c->res, 0, sizeof(c->res));
    c->stage = 0;
    c->op_state = NULL;
    c->op_decoded = false;
    c->op_ready = true;
    charge_arena(c);
    return true;
}

/* ---- running ---- */

static bool complete_op(struct compound *c)
{
    c->op_ready = false;
    charge_arena(c);
    if (c->replay.data) {
        end_with_replay(c);
        return false;
    }
    c->res.status = op_error(c->op, c->res.status);
    if (!put_op_result(c)) {
        end_compound(c, c->res.status);
        return false;
    }
    c->op_index++;
    return true;
}

/* What the operation may hang on. */
static uint64_t work_key(const struct compound *c)
{
    return export_work_key(c->op == OP_PUTFH
                               ? file_export_of_handle(c->server->files, c->args.putfh.object)
                               : c->current.export);
}

/* Does it wait until something is on a disk, for as long as that takes? A pinned file is written to
 * there however the client would have it. */
static bool flushes(const struct compound *c)
{
    switch (c->op) {
    case OP_COMMIT:
        return true;
    case OP_WRITE:
        return c->args.write.stable != UNSTABLE4 ||
               seal_kind(file_seal(c->current.file)) == SEAL_PINNED;
    case OP_SETATTR:
        return c->server->config->sync_metadata;
    default:
        return false;
    }
}

static enum work_kind work_kind(const struct compound *c)
{
    return flushes(c) ? WORK_FLUSH : WORK_SHORT;
}

/* A worker is taken for one file system: it is left before another. And one of those that are for
 * short work is left before what is not. */
static bool is_out_of_place(const struct compound *c)
{
    return c->on_worker && (work_key(c) != c->work.key ||
                            (work_kind(c) == WORK_FLUSH && c->work.kind == WORK_SHORT));
}

/* False: the compound is elsewhere, waits, or has ended. */
static bool know_groups(struct compound *c)
{
    switch (caller_groups_get(c)) {
    case CALLER_KNOWN:
        return true;
    case CALLER_ON_LOOP:
        go_home(c);
        return false;
    case CALLER_WAITED: /* it may be running by now */
        return false;
    default:
        fail_op(c, op_error(c->op, NFS4ERR_DELAY));
        end_compound(c, c->res.status);
        return false;
    }
}

static void run_ops(struct compound *c);

struct look {
    struct keeper_call call;
    struct compound *c;
};

static void on_looked(struct loop_msg *msg)
{
    struct look *look =
        container_of(container_of(msg, struct keeper_call, reply), struct look, call);
    struct compound *c = look->c;
    c->on_worker = false;
    run_ops(c);
}

/* Where the other node of two has taken the disks, this one's file systems give errors. They are
 * not the client's files': a program that hears of one gives up what the other node would have done
 * for it. So before an error of a device is told, the disks are looked at, and who was fenced ends
 * before it has told anybody. True: it waits for that, and is run again. */
static bool looks_first(struct compound *c)
{
    const bool is_device =
        c->res.status == NFS4ERR_IO || (c->res.status == NFS4ERR_ROFS && c->current.export &&
                                        export_is_writable(c->current.export));
    struct look *look = NULL;
    if (!is_device || c->looked)
        return false;
    c->looked = true;
    look = arena_alloc(&c->arena, sizeof(*look));
    if (!look)
        return false;
    *look = (struct look){.call = {.reply.run = on_looked, .reply_loop = c->loop}, .c = c};
    c->op_over = true;
    keeper_look(c->server->keeper, &look->call);
    return true;
}

static bool end_op(struct compound *c)
{
    if (!c->op_over && looks_first(c))
        return false;
    c->op_over = false;
    return complete_op(c);
}

static void run_ops(struct compound *c)
{
    for (;;) {
        if (c->op_over) {
            if (!end_op(c))
                return;
            continue;
        }
        if (!c->op_ready) {
            if (!begin_op(c))
                return;
            if (is_out_of_place(c)) {
                go_home(c);
                return;
            }
        }
        if (!know_groups(c))
            return;
        switch (op_table[c->op].handler(c)) {
        case OP_DONE:
            if (!end_op(c))
                return;
            if (c->on_worker && c->op_index < c->numops &&
                worker_yield(c->server->workers, &c->work))
                return;
            break;
        case OP_BLOCK:
            if (c->on_worker)
                break;
            c->work.key = work_key(c);
            c->work.peer = peer_address_number(conn_peer(c->conn));
            c->work.kind = work_kind(c);
            worker_submit(c->server->workers, &c->work);
            return;
        case OP_LOOP:
            if (!c->on_worker && loop_self() == c->loop)
                break;
            go_home(c);
            return;
        case OP_WAIT:
            /* It may be running elsewhere by now. */
            return;
        }
    }
}

static void on_loop(struct loop_msg *msg)
{
    struct compound *c = container_of(msg, struct compound, msg);
    c->on_worker = false;
    if (c->ended)
        finish_compound(c);
    else
        run_ops(c);
}

static void on_worker(struct work *work)
{
    struct compound *c = container_of(work, struct compound, work);
    c->on_worker = true;
    run_ops(c);
}

void compound_resume(struct compound *c)
{
    loop_post(c->loop, &c->msg);
}

enum op_next compound_visit(struct compound *c, struct loop *target,
                            enum op_next (*body)(struct compound *c))
{
    if (c->visited) {
        c->visited = false;
        return OP_DONE;
    }
    if (c->on_worker && !c->home && target == c->loop)
        return OP_LOOP;
    if (target != c->loop) {
        c->home = c->loop;
        c->loop = target;
        return OP_LOOP;
    }
    enum op_next next = body(c);
    if (next != OP_DONE || !c->home)
        return next;
    c->loop = c->home;
    c->home = NULL;
    c->visited = true;
    return OP_LOOP;
}

/* ---- the start ---- */

/* A retry is told from a different request under the same slot and sequence id by this (RFC 8881
 * section 2.10.6.1.3.1). It need not resist an attacker, who could only fool his own session. Long
 * payloads are sampled at both ends. */
static uint64_t digest_of(const uint8_t *data, size_t len)
{
    enum { SAMPLE = 1024 };
    uint64_t h = 0x9e3779b97f4a7c15u ^ len;
    const uint8_t *ends[2] = {data, data + len - (len > SAMPLE ? SAMPLE : 0)};
    size_t lens[2] = {len > SAMPLE ? SAMPLE : len, len > SAMPLE ? SAMPLE : 0};
    for (unsigned e = 0; e < 2; e++)
        for (size_t i = 0; i + 8 <= lens[e]; i += 8) {
            uint64_t word;
            memcpy(&word, ends[e] + i, sizeof(word));
            h = (h ^ word) * 0xff51afd7ed558ccdu;
            h ^= h >> 32;
        }
    for (size_t i = lens[0] & ~(size_t)7; i < lens[0]; i++)
        h = (h ^ data[i]) * 0xff51afd7ed558ccdu;
    return h ^ (h >> 29);
}

/* Its head is well-formed: rpc_service.c has looked. What is wrong with it before any operation
 * (section 16.2.5), or NFS4_OK. */
static nfsstat4 read_head(struct compound *c, const struct rpc_call *call, const struct xdr_in *in)
{
    struct nfs4_compound_args head;
    c->in = *in;
    c->digest = digest_of(xdr_in_pos(in), xdr_in_left(in));
    nfs4_compound_args_decode(&c->in, &head);
    c->xid = call->xid;
    c->minor = head.minorversion;
    c->numops = head.numops;
    rpc_reply_put_accepted(&c->out, call->xid, RPC_ACCEPT_SUCCESS);
    c->body_at = xdr_out_pos(&c->out);
    nfs4_compound_res_begin(&c->out, head.tag, &c->head);
    if (head.minorversion != 1)
        return NFS4ERR_MINOR_VERS_MISMATCH;
    return utf8_is_valid(head.tag.data, head.tag.len) ? NFS4_OK : NFS4ERR_INVAL;
}

bool compound_start(struct server *server, struct conn *conn, struct buffer *request,
                    uint32_t request_len, const struct rpc_call *call, const struct cred *cred,
                    const struct xdr_in *in)
{
    struct compound *c = compound_create(server, conn, request, request_len);
    if (!c) {
        conn_close(conn, "out of memory");
        return false;
    }
    c->cred = *cred;
    c->msg.run = on_loop;
    c->work.run = on_worker;
    nfsstat4 status = read_head(c, call, in);
    if (status != NFS4_OK || c->numops == 0) {
        end_compound(c, status);
        return true;
    }
    c->first_status = decode_op(c);
    struct loop *target = c->first_status == NFS4_OK ? compound_route(c) : c->loop;
    if (target == c->loop) {
        run_ops(c);
        return true;
    }
    c->loop = target;
    /* Alone on its connection, it takes the connection along; else only the compound goes. The
     * arrival of the connection is posted first. */
    bool moves = conn_requests(conn) == 1;
    if (moves)
        conn_move(conn, target);
    loop_post(target, &c->msg);
    return !moves;
}
