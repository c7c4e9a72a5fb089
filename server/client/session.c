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
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/client/session_private.h"
#include "server/config/config.h"
#include "server/keeper/keeper.h"
#include "server/server.h"

enum {
    MIN_REQUEST = 512, /* below these sizes no useful COMPOUND fits */
    MIN_REPLY = 512,
    MIN_CACHED = 256,
    MAX_CACHED = 8 << 10,
    ENOUGH_CACHED = 2 << 10,   /* for what changes something; the kernel's server keeps as much */
    SESSION_CACHED = 64 << 10, /* all slots' replies together, if that leaves each enough */
    MAX_OPS = 64,
    REQUEST_OVERHEAD = 8 << 10, /* headers and operations around one READ or WRITE */
    MIN_CB_SIZE = 512,
    REPLY_KEEP = 1 << 10, /* a slot keeps so much memory between replies */
};

unsigned session_loop(const sessionid4 id)
{
    uint64_t client;
    memcpy(&client, id, sizeof(client));
    return client_id_loop(client);
}

struct session *session_find(struct client_table *table, const sessionid4 id)
{
    struct session *session;
    HASH_FIND(hh, table->sessions, id, NFS4_SESSIONID_SIZE, session);
    return session;
}

void session_current_call(const struct compound *c, sessionid4 session, slotid4 *slot,
                          sequenceid4 *sequence)
{
    memcpy(session, c->session->id, NFS4_SESSIONID_SIZE);
    *slot = (slotid4)(c->slot - c->session->slots);
    *sequence = c->slot->seq;
}

const uint8_t *session_id(const struct session *session)
{
    return session->id;
}

struct session *session_next(const struct session *session)
{
    return session->next;
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

nfsstat4 session_clamp(const struct server *server, const CREATE_SESSION4args *args,
                       channel_attrs4 *fore, channel_attrs4 *back)
{
    const struct config *config = server->config;
    uint32_t max_size = config->max_io_size + REQUEST_OVERHEAD;
    *fore = args->csa_fore_chan_attrs;
    *back = args->csa_back_chan_attrs;
    if (fore->ca_maxrequests == 0 || fore->ca_maxoperations == 0)
        return NFS4ERR_INVAL;
    if (fore->ca_maxrequestsize < MIN_REQUEST || fore->ca_maxresponsesize < MIN_REPLY)
        return NFS4ERR_TOOSMALL;
    bool wants_back = (args->csa_flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN) != 0;
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

int session_create(struct client *client, const CREATE_SESSION4args *args,
                   const channel_attrs4 *fore, const channel_attrs4 *back, struct session **out)
{
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return -ENOMEM;
    session->slots = calloc(fore->ca_maxrequests, sizeof(*session->slots));
    if (session->slots == NULL)
        goto fail;
    session->slot_count = fore->ca_maxrequests;
    session->fore = *fore;
    session->back = *back;
    session->refs = 1;
    session->cb_slot_count = at_most(back->ca_maxrequests, CB_SLOTS_MAX);
    session_set_callback(session, args->csa_cb_program, args->csa_sec_parms,
                         args->csa_sec_parms_count);
    uint32_t serial = ++client->next_serial;
    memcpy(session->id, &client->id, sizeof(client->id));
    memcpy(session->id + 8, &serial, sizeof(serial));
    HASH_ADD(hh, client->table->sessions, id, NFS4_SESSIONID_SIZE, session);
    if (session->hh.tbl == NULL)
        goto fail;
    session->client = client;
    session->next = client->sessions;
    client->sessions = session;
    client->session_count++;
    *out = session;
    return 0;

fail:
    free(session->slots);
    free(session);
    return -ENOMEM;
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

void session_destroy(struct session *session)
{
    struct client *client = session->client;
    struct session **at = &client->sessions;
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    client->session_count--;
    HASH_DELETE(hh, client->table->sessions, session);
    session->client = NULL;
    backchannel_session_gone(session, client);
    session_unref(session);
}

/* ---- SEQUENCE ---- */

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
    if (keeper_client_was_fenced(client->table->server->keeper, client->id))
        flags |= SEQ4_STATUS_RECALLABLE_STATE_REVOKED;
    return flags;
}

static void fill_result(struct compound *c, const struct session *session)
{
    const SEQUENCE4args *args = &c->args.sequence;
    SEQUENCE4resok *ok = &c->res.sequence.sr_resok4;
    memcpy(ok->sr_sessionid, session->id, sizeof(ok->sr_sessionid));
    ok->sr_sequenceid = args->sa_sequenceid;
    ok->sr_slotid = args->sa_slotid;
    ok->sr_highest_slotid = session->slot_count - 1;
    ok->sr_target_highest_slotid = session->slot_count - 1;
    ok->sr_status_flags = status_flags(session);
    c->res.status = NFS4_OK;
}

/* A retry of the slot's last request (RFC 8881 section 2.10.6.2). */
static nfsstat4 replay(struct compound *c, struct session *session, struct slot *slot)
{
    if (slot->busy)
        return NFS4ERR_DELAY;
    if (slot->digest != c->digest || !principal_equal(slot->principal, principal_of(&c->cred)))
        return NFS4ERR_SEQ_FALSE_RETRY;
    if (slot->cached) {
        c->replay = (struct xdr_bytes){slot->reply, slot->reply_len};
        return NFS4_OK;
    }
    c->retry_uncached = true;
    c->max_reply = session->fore.ca_maxresponsesize;
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

static nfsstat4 check_request(const struct compound *c, const struct session *session)
{
    enum { SEQUENCE_REPLY = 80 }; /* header, and SEQUENCE's result */
    if (c->request_len > session->fore.ca_maxrequestsize)
        return NFS4ERR_REQ_TOO_BIG;
    if (c->numops > session->fore.ca_maxoperations)
        return NFS4ERR_TOO_MANY_OPS;
    if (c->args.sequence.sa_cachethis &&
        session->fore.ca_maxresponsesize_cached < xdr_out_len(&c->out) + SEQUENCE_REPLY)
        return NFS4ERR_REP_TOO_BIG_TO_CACHE;
    return NFS4_OK;
}

static void take_slot(struct compound *c, struct session *session, struct slot *slot)
{
    slot->seq++;
    slot->used = true;
    slot->busy = true;
    slot->cached = false;
    slot->digest = c->digest;
    slot->principal = principal_of(&c->cred);
    if (slot->reply_room > REPLY_KEEP) {
        free(slot->reply);
        slot->reply = NULL;
        slot->reply_room = 0;
    }
    client_pin(session->client);
    c->client = session->client;
    c->client_id = session->client->id;
    c->session = session_ref(session);
    c->slot = slot;
    c->max_reply = session->fore.ca_maxresponsesize;
    c->max_cached = session->fore.ca_maxresponsesize_cached;
    c->cache_this = c->args.sequence.sa_cachethis;
}

void session_sequence(struct compound *c)
{
    const SEQUENCE4args *args = &c->args.sequence;
    struct session *session = session_find(client_table_of(c), args->sa_sessionid);
    if (session == NULL) {
        c->res.status = NFS4ERR_BADSESSION;
        return;
    }
    nfsstat4 status = check_slot(session, args);
    if (status != NFS4_OK) {
        c->res.status = status;
        return;
    }
    struct slot *slot = &session->slots[args->sa_slotid];
    if (args->sa_sequenceid == slot->seq && slot->used) {
        status = replay(c, session, slot);
    } else if (args->sa_sequenceid != slot->seq + 1 || slot->busy) {
        status = NFS4ERR_SEQ_MISORDERED;
    } else {
        status = check_request(c, session);
        if (status == NFS4_OK)
            take_slot(c, session, slot);
    }
    c->res.status = status;
    if (status != NFS4_OK)
        return;
    client_renew(session->client);
    fill_result(c, session);
}

/* ---- the reply cache ---- */

static bool make_room(struct slot *slot, size_t len)
{
    if (slot->reply_room >= len)
        return true;
    uint8_t *larger = realloc(slot->reply, len);
    if (larger == NULL)
        return false;
    slot->reply = larger;
    slot->reply_room = (uint32_t)len;
    return true;
}

/* The reply from COMPOUND4res on, payload included. */
static void keep_reply(struct slot *slot, const struct compound *c)
{
    struct iovec iov[XDR_OUT_MAX_IOV];
    unsigned count = xdr_out_iov(&c->out, iov, XDR_OUT_MAX_IOV);
    size_t skip = c->body_at, len = xdr_out_len(&c->out) - skip, at = 0;
    if (!make_room(slot, len)) {
        log_error("%s: no memory to keep a reply: a retry of this request will be refused",
                  client_describe(c->client));
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        size_t drop = skip < iov[i].iov_len ? skip : iov[i].iov_len;
        memcpy(slot->reply + at, (const uint8_t *)iov[i].iov_base + drop, iov[i].iov_len - drop);
        at += iov[i].iov_len - drop;
        skip -= drop;
    }
    slot->reply_len = (uint32_t)len;
    slot->cached = true;
}

void session_request_done(struct compound *c)
{
    struct slot *slot = c->slot;
    /* An uncached SEQUENCE alone needs no memory: its retry is answered anew. */
    if (c->cache_this && c->numops > 1)
        keep_reply(slot, c);
    slot->busy = false;
    client_renew(c->client);
    c->slot = NULL;
    session_unref(c->session);
    client_unpin(c->client);
    c->session = NULL;
    c->client = NULL;
}

/* ---- the backchannel's side of a session ---- */

bool session_set_callback(struct session *session, uint32_t program,
                          const callback_sec_parms4 *parms, uint32_t count)
{
    const callback_sec_parms4 *usable = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (parms[i].cb_secflavor == RPC_AUTH_SYS) {
            usable = &parms[i];
            break;
        }
        if (parms[i].cb_secflavor == RPC_AUTH_NONE && usable == NULL)
            usable = &parms[i];
    }
    if (usable == NULL)
        return false;
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
    return session->cb_usable && session->binds != NULL;
}

bool session_has_back(const struct session *session, const struct conn *conn)
{
    for (const struct cb_bind *bind = session->binds; bind != NULL; bind = bind->next)
        if (bind->conn == conn)
            return true;
    return false;
}
