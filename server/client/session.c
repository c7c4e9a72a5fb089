/*
 * session.c - sessions and SEQUENCE: slots and the reply cache (RFC 8881 sections 2.10.6
 * and 18.46).
 *
 * A SEQUENCE that fails changes nothing: neither the slot, nor its cached reply, nor the lease. A
 * request that runs owns its slot until its reply is complete; a retry that comes meanwhile gets
 * NFS4ERR_DELAY.
 */
#include "server/client/session.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/client/cb_message.h"
#include "server/client/session_private.h"
#include "server/config/config.h"

enum {
    MIN_REQUEST =
        128, /* SEQUENCE alone takes 88 and 80 bytes: below these nothing fits beside it */
    MIN_REPLY = 128,
    MAX_CACHED = 8 << 10,
    ENOUGH_CACHED = 2 << 10,   /* for what changes something; the kernel's server keeps as much */
    SESSION_CACHED = 64 << 10, /* all slots' replies together, if that leaves each enough */
    MAX_OPS = 64,
    REQUEST_OVERHEAD = 8 << 10, /* headers and operations around one READ or WRITE */
    MIN_CB_SIZE = 512,
    REPLY_KEEP = 1 << 10, /* a slot keeps so much memory between replies */
};

/* Random bits, so that to know an id is to have been told it; and the loop, so that a request finds
 * its way before anything is looked up. */
static void make_id(const struct client_table *table, sessionid4 id)
{
    randombytes_buf(id, NFS4_SESSIONID_SIZE);
    id[0] = (uint8_t)loop_index(table->loop);
}

unsigned session_loop(const sessionid4 id)
{
    return id[0];
}

struct session *session_find(struct client_table *table, const sessionid4 id)
{
    struct session *session;
    HASH_FIND(hh, table->sessions, id, NFS4_SESSIONID_SIZE, session);
    return session;
}

void session_current_call(const struct session *session, const struct session_slot *slot,
                          sessionid4 id, slotid4 *slot_id, sequenceid4 *sequence)
{
    memcpy(id, session->id, NFS4_SESSIONID_SIZE);
    *slot_id = (slotid4)(slot - session->slots);
    *sequence = slot->seq;
}

const uint8_t *session_id(const struct session *session)
{
    return session->id;
}

/* ---- life ---- */

static uint32_t at_most(uint32_t value, uint32_t limit)
{
    return value < limit ? value : limit;
}

/* What a client can make its session keep is bounded in all, not by slot alone. */
static uint32_t cached_per_slot(uint32_t slots)
{
    const uint32_t share = SESSION_CACHED / slots;
    return share < ENOUGH_CACHED ? ENOUGH_CACHED : at_most(share, MAX_CACHED);
}

nfsstat4 session_clamp(const struct config *config, const CREATE_SESSION4args *args,
                       channel_attrs4 *fore, channel_attrs4 *back)
{
    uint32_t max_size = config->max_io_size + REQUEST_OVERHEAD;
    *fore = args->csa_fore_chan_attrs;
    *back = args->csa_back_chan_attrs;
    if (fore->ca_maxrequests == 0 || fore->ca_maxoperations == 0)
        return NFS4ERR_INVAL;
    if (fore->ca_maxrequestsize < MIN_REQUEST || fore->ca_maxresponsesize < MIN_REPLY)
        return NFS4ERR_TOOSMALL;
    /* Whoever wants no backchannel, now or later, asks for one of no size. */
    bool wants_back = (args->csa_flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN) != 0 ||
                      back->ca_maxrequestsize != 0 || back->ca_maxresponsesize != 0;
    if (wants_back &&
        (back->ca_maxrequestsize < MIN_CB_SIZE || back->ca_maxresponsesize < MIN_CB_SIZE))
        return NFS4ERR_TOOSMALL;
    fore->ca_headerpadsize = 0;
    fore->ca_maxrequestsize = at_most(fore->ca_maxrequestsize, max_size);
    fore->ca_maxresponsesize = at_most(fore->ca_maxresponsesize, max_size);
    fore->ca_maxoperations = at_most(fore->ca_maxoperations, MAX_OPS);
    fore->ca_maxrequests = at_most(fore->ca_maxrequests, config->max_slots);
    fore->ca_maxresponsesize_cached =
        at_most(at_most(fore->ca_maxresponsesize_cached, cached_per_slot(fore->ca_maxrequests)),
                fore->ca_maxresponsesize);
    fore->ca_rdma_ird_count = 0;
    /* Of the backchannel, operations and requests are the client's to say (RFC 8881
     * section 18.36.3). */
    back->ca_headerpadsize = 0;
    back->ca_maxrequestsize = at_most(back->ca_maxrequestsize, max_size);
    back->ca_maxresponsesize = at_most(back->ca_maxresponsesize, max_size);
    back->ca_maxresponsesize_cached =
        at_most(back->ca_maxresponsesize_cached, back->ca_maxresponsesize);
    back->ca_rdma_ird_count = 0;
    return NFS4_OK;
}

static size_t memory_of(uint32_t slots, uint32_t cached)
{
    return sizeof(struct session) + slots * (sizeof(struct session_slot) + (size_t)cached);
}

size_t session_most_memory(const struct config *config)
{
    return memory_of(config->max_slots, cached_per_slot(config->max_slots));
}

bool session_fit(const struct client *client, channel_attrs4 *fore)
{
    const size_t room = host_room_for_session(client, memory_of(1, ENOUGH_CACHED));
    if (memory_of(fore->ca_maxrequests, fore->ca_maxresponsesize_cached) <= room)
        return true;
    fore->ca_maxresponsesize_cached = at_most(fore->ca_maxresponsesize_cached, ENOUGH_CACHED);
    while (fore->ca_maxrequests > 1 &&
           memory_of(fore->ca_maxrequests, fore->ca_maxresponsesize_cached) > room)
        fore->ca_maxrequests--;
    return memory_of(fore->ca_maxrequests, fore->ca_maxresponsesize_cached) <= room;
}

int session_create(struct client *client, const CREATE_SESSION4args *args,
                   const channel_attrs4 *fore, const channel_attrs4 *back, struct session **out)
{
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return -ENOMEM;
    session->slots = calloc(fore->ca_maxrequests, sizeof(*session->slots));
    if (!session->slots)
        goto fail;
    session->slot_count = fore->ca_maxrequests;
    session->fore = *fore;
    session->back = *back;
    session->refs = 1;
    session->cb_slot_count = at_most(back->ca_maxrequests, CB_SLOTS_MAX);
    session_set_callback(session, args->csa_cb_program, args->csa_sec_parms,
                         args->csa_sec_parms_count);
    do
        make_id(client->table, session->id);
    while (session_find(client->table, session->id));
    HASH_ADD(hh, client->table->sessions, id, NFS4_SESSIONID_SIZE, session);
    if (!session->hh.tbl)
        goto fail;
    session->client = client;
    session->next = client->sessions;
    client->sessions = session;
    client->session_count++;
    session->kept = memory_of(fore->ca_maxrequests, fore->ca_maxresponsesize_cached);
    host_keep(client, session->kept);
    *out = session;
    return 0;

fail:
    free(session->slots);
    free(session);
    return -ENOMEM;
}

void session_associate(struct session *session, uint64_t connection)
{
    if (session_is_associated(session, connection))
        return;
    session->conns[session->conn_next] = connection;
    session->conn_next = (session->conn_next + 1) % SESSION_CONNS_MAX;
}

bool session_is_associated(const struct session *session, uint64_t connection)
{
    for (unsigned i = 0; i < SESSION_CONNS_MAX && session->conns[i] != 0; i++)
        if (session->conns[i] == connection)
            return true;
    return false;
}

struct client *session_client(const struct session *session)
{
    return session->client;
}

struct session *session_ref(struct session *session)
{
    session->refs++;
    return session;
}

void session_unref(struct session *session)
{
    if (--session->refs > 0)
        return;
    for (unsigned i = 0; i < session->slot_count; i++)
        free(session->slots[i].reply);
    free(session->slots);
    free(session);
}

/* ---- SEQUENCE ---- */

static bool has_back(const struct client *client, bool recalls)
{
    if (client->cb_down)
        return false;
    for (const struct session *s = client->sessions; s; s = s->next)
        if (session_back_is_bound(s) && (!recalls || (s->cb_recalls && !s->cb_fault)))
            return true;
    return false;
}

bool client_is_callable(const struct client *client)
{
    return has_back(client, false);
}

bool client_is_recallable(const struct client *client)
{
    return has_back(client, true);
}

static uint32_t status_flags(const struct session *session)
{
    struct client *client = session->client;
    uint32_t flags = 0;
    if (client->cb_asked && !client_is_callable(client))
        flags |= SEQ4_STATUS_CB_PATH_DOWN;
    if (session->cb_usable && !session_back_is_bound(session))
        flags |= SEQ4_STATUS_CB_PATH_DOWN_SESSION;
    if (session->cb_fault)
        flags |= SEQ4_STATUS_BACKCHANNEL_FAULT;
    const struct client_watcher *watcher = &client->table->all->watcher;
    if (watcher->was_fenced(watcher->context, client->id))
        flags |= SEQ4_STATUS_RECALLABLE_STATE_REVOKED;
    return flags;
}

static void fill_result(const struct session *session, const SEQUENCE4args *args,
                        SEQUENCE4resok *ok)
{
    memcpy(ok->sr_sessionid, session->id, sizeof(ok->sr_sessionid));
    ok->sr_sequenceid = args->sa_sequenceid;
    ok->sr_slotid = args->sa_slotid;
    ok->sr_highest_slotid = session->slot_count - 1;
    ok->sr_target_highest_slotid = session->slot_count - 1;
    ok->sr_status_flags = status_flags(session);
}

/* A retry of the slot's last request (RFC 8881 section 2.10.6.2). */
static nfsstat4 replay_slot(const struct session_slot *slot, const struct session_call *call,
                            struct session_turn *turn)
{
    if (slot->busy)
        return NFS4ERR_DELAY;
    if (slot->digest != call->digest || !principal_equal(slot->principal, call->principal))
        return NFS4ERR_SEQ_FALSE_RETRY;
    if (slot->cached)
        turn->replay = (struct xdr_bytes){slot->reply, slot->reply_len};
    else
        turn->retry_uncached = true;
    return NFS4_OK;
}

static nfsstat4 check_slot(const struct session *session, const SEQUENCE4args *args)
{
    if (args->sa_slotid >= session->slot_count)
        return NFS4ERR_BADSLOT;
    if (args->sa_highest_slotid >= session->slot_count)
        return NFS4ERR_BAD_HIGH_SLOT;
    return NFS4_OK;
}

static nfsstat4 check_call(const struct session *session, const SEQUENCE4args *args,
                           const struct session_call *call)
{
    /* SEQUENCE's own result, and the next operation's error */
    enum { RESULT = 8 + NFS4_SESSIONID_SIZE + 5 * 4, NEXT_ERROR = 36 };
    const size_t least = call->reply_len + RESULT + (call->numops > 1 ? NEXT_ERROR : 0);
    if (call->len > session->fore.ca_maxrequestsize)
        return NFS4ERR_REQ_TOO_BIG;
    if (call->numops > session->fore.ca_maxoperations)
        return NFS4ERR_TOO_MANY_OPS;
    /* Before the slot is taken: an error of SEQUENCE changes nothing (RFC 8881 section
     * 2.10.6.1.2). */
    if (least > session->fore.ca_maxresponsesize)
        return NFS4ERR_REP_TOO_BIG;
    if (args->sa_cachethis && least > session->fore.ca_maxresponsesize_cached)
        return NFS4ERR_REP_TOO_BIG_TO_CACHE;
    return NFS4_OK;
}

static void take_slot(struct session *session, struct session_slot *slot,
                      const struct session_call *call, struct session_turn *turn)
{
    slot->seq++;
    slot->used = true;
    slot->busy = true;
    slot->cached = false;
    slot->digest = call->digest;
    slot->principal = call->principal;
    if (slot->reply_room > REPLY_KEEP) {
        free(slot->reply);
        slot->reply = NULL;
        slot->reply_room = 0;
    }
    client_pin(session->client);
    turn->client = session->client;
    turn->session = session_ref(session);
    turn->slot = slot;
}

nfsstat4 session_sequence(struct client_table *table, const SEQUENCE4args *args,
                          const struct session_call *call, SEQUENCE4resok *ok,
                          struct session_turn *turn)
{
    struct session *session = session_find(table, args->sa_sessionid);
    *turn = (struct session_turn){0};
    if (!session || !client_is_at(session->client, call->peer))
        return NFS4ERR_BADSESSION;
    nfsstat4 status = check_slot(session, args);
    if (status != NFS4_OK)
        return status;
    struct session_slot *slot = &session->slots[args->sa_slotid];
    if (args->sa_sequenceid == slot->seq && slot->used) {
        status = replay_slot(slot, call, turn);
    } else if (args->sa_sequenceid != slot->seq + 1 || slot->busy) {
        status = NFS4ERR_SEQ_MISORDERED;
    } else {
        status = check_call(session, args, call);
        if (status == NFS4_OK)
            take_slot(session, slot, call, turn);
    }
    if (status != NFS4_OK)
        return status;
    turn->max_reply = session->fore.ca_maxresponsesize;
    turn->max_cached = session->fore.ca_maxresponsesize_cached;
    session_associate(session, call->connection);
    client_use_address(session->client, call->peer);
    client_renew(session->client);
    fill_result(session, args, ok);
    return NFS4_OK;
}

/* ---- the reply cache ---- */

static bool make_room(struct session_slot *slot, size_t len)
{
    if (slot->reply_room >= len)
        return true;
    uint8_t *larger = realloc(slot->reply, len);
    if (!larger)
        return false;
    slot->reply = larger;
    slot->reply_room = (uint32_t)len;
    return true;
}

/* The reply from COMPOUND4res on, payload included. */
static bool keep_reply(struct session_slot *slot, const struct xdr_out *reply, size_t body_at)
{
    struct iovec iov[XDR_OUT_MAX_IOV];
    unsigned count = xdr_out_iov(reply, iov, XDR_OUT_MAX_IOV);
    size_t skip = body_at, len = xdr_out_len(reply) - skip, at = 0;
    if (!make_room(slot, len))
        return false;
    for (unsigned i = 0; i < count; i++) {
        size_t drop = skip < iov[i].iov_len ? skip : iov[i].iov_len;
        memcpy(slot->reply + at, (const uint8_t *)iov[i].iov_base + drop, iov[i].iov_len - drop);
        at += iov[i].iov_len - drop;
        skip -= drop;
    }
    slot->reply_len = (uint32_t)len;
    slot->cached = true;
    return true;
}

void session_end_turn(const struct session_turn *turn, const struct xdr_out *reply, size_t body_at)
{
    if (reply && !keep_reply(turn->slot, reply, body_at))
        log_some_errors("%s: no memory to keep a reply: a retry of this request will be refused",
                        client_describe(turn->client));
    turn->slot->busy = false;
    client_renew(turn->client);
    session_unref(turn->session);
    client_unpin(turn->client);
}

/* ---- the backchannel's side of a session ---- */

static bool parms_recall(const callback_sec_parms4 *parms, uint32_t program,
                         const channel_attrs4 *back)
{
    const struct cb_target target = {
        .program = program, .flavor = parms->cb_secflavor, .sys = &parms->cbsp_sys_cred};
    return cb_recall_fits(&target, back);
}

/* Those with which layouts can be recalled before others, then AUTH_SYS before AUTH_NONE. */
static const callback_sec_parms4 *usable_parms(uint32_t program, const callback_sec_parms4 *parms,
                                               uint32_t count, const channel_attrs4 *back,
                                               bool *recalls)
{
    const callback_sec_parms4 *usable = NULL;
    unsigned best = 0;
    for (; count > 0; parms++, count--) {
        if (parms->cb_secflavor != RPC_AUTH_SYS && parms->cb_secflavor != RPC_AUTH_NONE)
            continue;
        bool fits = parms_recall(parms, program, back);
        unsigned rank = 1 + 2 * fits + (parms->cb_secflavor == RPC_AUTH_SYS);
        if (rank <= best)
            continue;
        best = rank;
        usable = parms;
        *recalls = fits;
    }
    return usable;
}

bool session_set_callback(struct session *session, uint32_t program,
                          const callback_sec_parms4 *parms, uint32_t count)
{
    bool recalls = false;
    const callback_sec_parms4 *usable =
        usable_parms(program, parms, count, &session->back, &recalls);
    if (!usable || (session->cb_recalls && !recalls))
        return false;
    session->cb_recalls = recalls;
    session->cb_program = program;
    session->cb_flavor = usable->cb_secflavor;
    session->cb_usable = true;
    if (session->cb_flavor == RPC_AUTH_SYS) {
        session->cb_sys = usable->cbsp_sys_cred;
        memcpy(session->cb_machine, session->cb_sys.machinename.data,
               session->cb_sys.machinename.len);
        session->cb_sys.machinename.data = session->cb_machine;
    }
    return true;
}

bool session_back_is_bound(const struct session *session)
{
    return session->cb_usable && session->binds;
}

bool session_has_back(const struct session *session, const struct conn *conn)
{
    for (const struct cb_bind *bind = session->binds; bind; bind = bind->next)
        if (bind->conn == conn)
            return true;
    return false;
}
