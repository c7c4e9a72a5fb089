/*
 * op_session.c - SEQUENCE, CREATE_SESSION, DESTROY_SESSION, BIND_CONN_TO_SESSION, BACKCHANNEL_CTL
 * (RFC 8881 sections 18.33, 18.34, 18.36, 18.37, 18.46). They run on the loop of the client that
 * they name.
 */
#include <errno.h>
#include <string.h>

#include "layout/container_of.h"
#include "server/base/log.h"
#include "server/client/backchannel.h"
#include "server/client/client_private.h"
#include "server/client/ending.h"
#include "server/client/session.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/keeper/keeper.h"
#include "server/nfs/compound.h"
#include "server/nfs/route.h"
#include "server/server.h"

static struct loop *loop_at(const struct compound *c, unsigned index)
{
    return index < c->server->loop_count ? c->server->loops[index] : c->loop;
}

static void take_turn(struct compound *c, const struct session_turn *turn)
{
    c->max_reply = turn->max_reply;
    c->max_cached = turn->max_cached;
    c->replay = turn->replay;
    c->retry_uncached = turn->retry_uncached;
    if (!turn->slot)
        return;
    c->client = turn->client;
    c->client_id = client_id(turn->client);
    c->no_layouts = turn->client->no_layouts;
    c->session = turn->session;
    c->slot = turn->slot;
    c->cache_this = c->args.sequence.sa_cachethis;
}

enum op_next op_sequence(struct compound *c)
{
    const struct session_call call = {
        .principal = principal_of(c),
        .peer = &c->peer,
        .connection = conn_serial(c->conn),
        .digest = c->digest,
        .len = c->request_len,
        .numops = c->numops,
        .reply_len = xdr_out_len(&c->out),
    };
    struct session_turn turn;
    nfsstat4 status = session_sequence(client_table_of(c), &c->args.sequence, &call,
                                       &c->res.sequence.sr_resok4, &turn);
    if (status != NFS4_OK)
        return op_done(c, status);
    take_turn(c, &turn);
    conn_set_bound(c->conn);
    return op_done(c, NFS4_OK);
}

/* ---- CREATE_SESSION ---- */

/* What waits for the client's recovery record. */
struct confirming {
    struct recovery_call recovery;
    struct compound *compound;
    struct client *client; /* pinned */
};

static void on_recorded(struct loop_msg *msg)
{
    struct recovery_call *call = container_of(msg, struct recovery_call, done);
    struct confirming *wait = container_of(call, struct confirming, recovery);
    compound_resume(wait->compound);
}

/* The client's record first, then the reply: a client that was told of its confirmation can reclaim
 * after a crash. */
static enum op_next record_client(struct compound *c, struct client *client)
{
    struct confirming *wait = arena_alloc(&c->arena, sizeof(*wait));
    if (!wait)
        return op_done(c, NFS4ERR_DELAY);
    wait->compound = c;
    wait->client = client;
    wait->recovery = (struct recovery_call){
        .done.run = on_recorded,
        .done_loop = c->loop,
        .owner = client->owner,
        .owner_len = client->owner_len,
        .client_id = client->id,
    };
    client_pin(client);
    host_await_no_more(client);
    client->create_busy = true;
    c->op_state = wait;
    c->stage = 1;
    recovery_confirm(c->server->recovery, &wait->recovery);
    return OP_WAIT;
}

/* Its previous incarnation goes with everything it had (RFC 8881 section 18.36.4). */
static nfsstat4 confirm_client(struct keeper *keeper, struct client *client)
{
    struct client *old = client_find_owner(
        client->table, (struct xdr_bytes){client->owner, client->owner_len}, true);
    uint64_t replaces = old ? old->id : 0;
    if (old)
        client_remove(old);
    if (client_confirm(client) < 0)
        return NFS4ERR_DELAY;
    enum keeper_client_event event =
        replaces != 0 ? KEEPER_CLIENT_RESTARTED : KEEPER_CLIENT_CONFIRMED;
    keeper_client(keeper, event, client->id, replaces, client->owner, client->owner_len,
                  client->verifier, client->address);
    log_info("%s: client confirmed%s", client_describe(client),
             replaces != 0 ? ", started anew" : "");
    return NFS4_OK;
}

static void fill_session(struct compound *c, struct session *session, const channel_attrs4 *fore,
                         const channel_attrs4 *back)
{
    const CREATE_SESSION4args *args = &c->args.create_session;
    CREATE_SESSION4resok *ok = &c->res.create_session.csr_resok4;
    memcpy(ok->csr_sessionid, session_id(session), sizeof(ok->csr_sessionid));
    ok->csr_sequence = args->csa_sequence;
    ok->csr_fore_chan_attrs = *fore;
    ok->csr_back_chan_attrs = *back;
    c->res.status = NFS4_OK;
}

/* The last steps, which nothing interrupts. */
static nfsstat4 make_session(struct compound *c, struct client *client)
{
    const CREATE_SESSION4args *args = &c->args.create_session;
    channel_attrs4 fore, back;
    struct session *session;
    nfsstat4 status = session_clamp(c->server->config, args, &fore, &back);
    if (status == NFS4_OK && !session_fit(client, &fore))
        status = NFS4ERR_NOSPC;
    if (status != NFS4_OK)
        return status;
    if (!client->confirmed) {
        status = confirm_client(c->server->keeper, client);
        if (status != NFS4_OK)
            return status;
    }
    if (session_create(client, args, &fore, &back, &session) < 0)
        return NFS4ERR_NOSPC;
    fill_session(c, session, &fore, &back);
    client_show_address(client, &c->peer);
    session_associate(session, conn_serial(c->conn));
    conn_set_bound(c->conn);
    if ((args->csa_flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN) != 0 &&
        backchannel_bind(session, c->conn) == 0)
        c->res.create_session.csr_resok4.csr_flags |= CREATE_SESSION4_FLAG_CONN_BACK_CHAN;
    return NFS4_OK;
}

static enum op_next finish_create(struct compound *c, struct client *client)
{
    nfsstat4 status = make_session(c, client);
    c->res.status = status;
    if (status != NFS4ERR_DELAY) {
        client->create_seq = c->args.create_session.csa_sequence;
        client->create_res = c->res.create_session;
    }
    return OP_DONE;
}

static enum op_next create_recorded(struct compound *c)
{
    struct confirming *wait = c->op_state;
    struct client *client = wait->client;
    enum op_next next;
    client->create_busy = false;
    if (wait->recovery.err < 0) {
        log_some_errors("%s: cannot record the client: %s", client_describe(client),
                        strerror(-wait->recovery.err));
        if (!client->gone)
            host_await(client);
        next = op_done(c, NFS4ERR_DELAY);
    } else if (client->gone) {
        next = op_done(c, NFS4ERR_STALE_CLIENTID);
    } else {
        next = finish_create(c, client);
    }
    client_unpin(client);
    return next;
}

/* It comes back, or takes the place of what it was. */
static bool has_record(const struct compound *c, const struct client *client)
{
    const struct xdr_bytes owner = {client->owner, client->owner_len};
    return client_find_owner(client->table, owner, true) ||
           recovery_may_reclaim(c->server->recovery, owner.data, owner.len);
}

static nfsstat4 check_create(const struct compound *c, const struct client *client)
{
    const uint32_t known = CREATE_SESSION4_FLAG_PERSIST | CREATE_SESSION4_FLAG_CONN_BACK_CHAN |
                           CREATE_SESSION4_FLAG_CONN_RDMA;
    channel_attrs4 fore, back;
    if ((c->args.create_session.csa_flags & ~known) != 0)
        return NFS4ERR_INVAL;
    if (client->session_count >= c->server->config->max_sessions_per_client)
        return NFS4ERR_NOSPC;
    nfsstat4 status = session_clamp(c->server->config, &c->args.create_session, &fore, &back);
    return status == NFS4_OK && !session_fit(client, &fore) ? NFS4ERR_NOSPC : status;
}

static enum op_next create_session(struct compound *c)
{
    if (c->stage == 1)
        return create_recorded(c);
    const CREATE_SESSION4args *args = &c->args.create_session;
    struct client *client = client_find_any(client_table_of(c), args->csa_clientid);
    if (!client || client->expiring || !client_is_at(client, &c->peer))
        return op_done(c, NFS4ERR_STALE_CLIENTID);
    const nfsstat4 admitted =
        client->confirmed ? NFS4_OK : export_table_admits(c->server->exports, &c->peer);
    if (admitted != NFS4_OK) /* a reload came between */
        return op_done(c, admitted == NFS4ERR_DELAY ? admitted : NFS4ERR_STALE_CLIENTID);
    if (!principal_equal(client->principal, principal_of(c)))
        return op_done(c, NFS4ERR_CLID_INUSE);
    if (client->create_busy)
        return op_done(c, NFS4ERR_DELAY);
    if (args->csa_sequence == client->create_seq) {
        c->res.create_session = client->create_res;
        return OP_DONE;
    }
    if (args->csa_sequence != client->create_seq + 1)
        return op_done(c, NFS4ERR_SEQ_MISORDERED);
    nfsstat4 status = check_create(c, client);
    if (status != NFS4_OK) {
        client->create_seq = args->csa_sequence;
        memset(&client->create_res, 0, sizeof(client->create_res));
        client->create_res.status = status;
        return op_done(c, status);
    }
    if (client->confirmed)
        return finish_create(c, client);
    if (!host_may_confirm(client, has_record(c, client)))
        return op_done(c, NFS4ERR_DELAY);
    return record_client(c, client);
}

enum op_next op_create_session(struct compound *c)
{
    return compound_visit(c, loop_at(c, client_id_loop(c->args.create_session.csa_clientid)),
                          create_session);
}

/* ---- the others ---- */

/* The session of that id, if it is one of a client at the sender's address. To others there is
 * none.
 */
static struct session *find_own(const struct compound *c, const sessionid4 id)
{
    struct session *session = session_find(client_table_of(c), id);
    return session && client_is_at(session_client(session), &c->peer) ? session : NULL;
}

static bool is_principal(const struct compound *c, const struct session *session)
{
    return principal_equal(session_client(session)->principal, principal_of(c));
}

static enum op_next destroy_session(struct compound *c)
{
    struct session *session = find_own(c, c->args.destroy_session.dsa_sessionid);
    if (!session)
        return op_done(c, NFS4ERR_BADSESSION);
    if (!is_principal(c, session))
        return op_done(c, NFS4ERR_WRONG_CRED);
    if (!session_is_associated(session, conn_serial(c->conn)) &&
        !session_has_back(session, c->conn))
        return op_done(c, NFS4ERR_CONN_NOT_BOUND_TO_SESSION);
    session_destroy(session);
    return op_done(c, NFS4_OK);
}

enum op_next op_destroy_session(struct compound *c)
{
    const uint8_t *id = c->args.destroy_session.dsa_sessionid;
    bool own = c->session && memcmp(session_id(c->session), id, NFS4_SESSIONID_SIZE) == 0;
    if (own && !c->visited && c->op_index + 1 < c->numops)
        return op_done(c, NFS4ERR_NOT_ONLY_OP);
    return compound_visit(c, loop_at(c, session_loop(id)), destroy_session);
}

/* Of a connection that is bound nothing is taken away (RFC 8881 section 18.34.3). What is added is,
 * although that section has INVAL for it too: a connection that SEQUENCE has associated could else
 * never get the backchannel. */
static bool takes_away(const struct session *session, const struct conn *conn,
                       channel_dir_from_client4 dir)
{
    return (dir == CDFC4_FORE && session_has_back(session, conn)) ||
           (dir == CDFC4_BACK && session_is_associated(session, conn_serial(conn)));
}

enum op_next op_bind_conn_to_session(struct compound *c)
{
    const BIND_CONN_TO_SESSION4args *args = &c->args.bind_conn_to_session;
    BIND_CONN_TO_SESSION4resok *ok = &c->res.bind_conn_to_session.bctsr_resok4;
    if (args->bctsa_dir != CDFC4_FORE && args->bctsa_dir != CDFC4_BACK &&
        args->bctsa_dir != CDFC4_FORE_OR_BOTH && args->bctsa_dir != CDFC4_BACK_OR_BOTH)
        return op_done(c, NFS4ERR_BADXDR); /* no value of the enumeration (15.1.1.1) */
    struct session *session = find_own(c, args->bctsa_sessid);
    if (!session ||
        !is_principal(c, session)) /* its errors have none for another principal (15.2) */
        return op_done(c, NFS4ERR_BADSESSION);
    if (takes_away(session, c->conn, args->bctsa_dir))
        return op_done(c, NFS4ERR_INVAL);
    memcpy(ok->bctsr_sessid, args->bctsa_sessid, sizeof(ok->bctsr_sessid));
    bool back = args->bctsa_dir != CDFC4_FORE;
    if (back && !session_has_back(session, c->conn)) {
        int err = backchannel_bind(session, c->conn);
        if (err == -EPROTONOSUPPORT && args->bctsa_dir == CDFC4_FORE_OR_BOTH)
            back = false;
        else if (err < 0)
            return op_done(c, err == -EPROTONOSUPPORT ? NFS4ERR_INVAL : NFS4ERR_DELAY);
    }
    if (!back)
        ok->bctsr_dir = CDFS4_FORE;
    else
        ok->bctsr_dir = args->bctsa_dir == CDFC4_BACK ? CDFS4_BACK : CDFS4_BOTH;
    client_show_address(session_client(session), &c->peer);
    if (ok->bctsr_dir != CDFS4_BACK)
        session_associate(session, conn_serial(c->conn));
    conn_set_bound(c->conn);
    return op_done(c, NFS4_OK);
}

enum op_next op_backchannel_ctl(struct compound *c)
{
    if (c->on_worker)
        return OP_LOOP;
    const BACKCHANNEL_CTL4args *args = &c->args.backchannel_ctl;
    if (!session_client(c->session)) /* destroyed since SEQUENCE, perhaps by this compound */
        return op_done(c, NFS4ERR_DEADSESSION);
    if (!is_principal(c, c->session)) /* its errors have none for another principal (15.2) */
        return op_done(c, NFS4ERR_INVAL);
    for (uint32_t i = 0; i < args->bca_sec_parms_count; i++)
        if (args->bca_sec_parms[i].cb_secflavor == RPC_AUTH_GSS)
            return op_done(c, NFS4ERR_NOENT); /* there are no GSS handles here */
    if (!session_set_callback(c->session, args->bca_cb_program, args->bca_sec_parms,
                              args->bca_sec_parms_count))
        return op_done(c, NFS4ERR_INVAL);
    return op_done(c, NFS4_OK);
}
