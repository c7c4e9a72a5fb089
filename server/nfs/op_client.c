/*
 * op_client.c - EXCHANGE_ID, DESTROY_CLIENTID, RECLAIM_COMPLETE (RFC 8881
 * sections 18.35, 18.50, 18.51). They run on the loop of the client that they name.
 */
#include <string.h>

#include "layout/container_of.h"
#include "server/base/log.h"
#include "server/client/client_private.h"
#include "server/client/ending.h"
#include "server/client/exchange_policy.h"
#include "server/config/config.h"
#include "server/keeper/keeper.h"
#include "server/nfs/compound.h"
#include "server/nfs/route.h"
#include "server/server.h"
#include "server/state/state.h"

static const uint64_t second_ns = 1000000000u;

/* ---- does a client hold grants? The keeper knows ---- */

struct grants_question {
    struct keeper_client_query query;
    struct compound *compound;
};

static void on_queried(struct loop_msg *msg)
{
    struct keeper_client_query *query = container_of(msg, struct keeper_client_query, call.reply);
    compound_resume((container_of(query, struct grants_question, query))->compound);
}

/* The compound goes on at its next stage. */
static enum op_next ask_grants(struct compound *c, struct grants_question *question,
                               const struct client *client)
{
    question->compound = c;
    question->query.call.reply.run = on_queried;
    question->query.call.reply_loop = c->loop;
    question->query.client_id = client->id;
    c->stage++;
    keeper_client_query(c->server->keeper, &question->query);
    return OP_WAIT;
}

/* ---- EXCHANGE_ID ---- */

/* What EXCHANGE_ID waits for: the keeper's word on what another holds, and that one's end. */
struct exchange_wait {
    struct grants_question question;
    struct expiry_wait expiry;
    bool expired; /* or tried to */
};

/* SSV needs RPCSEC_GSS, which is not here; what cannot be with it either is told as that (RFC 8881
 * section 18.35.3). */
static nfsstat4 check_ssv(const ssv_sp_parms4 *parms)
{
    bool possible =
        parms->ssp_hash_algs_count > 0 && parms->ssp_encr_algs_count > 0 && parms->ssp_window > 0;
    return possible ? NFS4ERR_ENCR_ALG_UNSUPP : NFS4ERR_INVAL;
}

static nfsstat4 check_exchange(const EXCHANGE_ID4args *args)
{
    const uint32_t known = EXCHGID4_FLAG_SUPP_MOVED_REFER | EXCHGID4_FLAG_SUPP_MOVED_MIGR |
                           EXCHGID4_FLAG_BIND_PRINC_STATEID | EXCHGID4_FLAG_MASK_PNFS |
                           EXCHGID4_FLAG_UPD_CONFIRMED_REC_A;
    if ((args->eia_flags & ~known) != 0)
        return NFS4ERR_INVAL;
    switch (args->eia_state_protect.spa_how) {
    case SP4_NONE:
        return NFS4_OK;
    case SP4_MACH_CRED:
        /* Only with RPCSEC_GSS, which this server does not have (RFC 8881 section 18.35.3). */
        return NFS4ERR_INVAL;
    case SP4_SSV:
        return check_ssv(&args->eia_state_protect.spa_ssv_parms);
    }
    return NFS4ERR_INVAL;
}

static bool lease_runs(const struct config *config, const struct client *client)
{
    uint64_t lease = config->lease_time * second_ns;
    return !client->lapsed && loop_now_ns() - client->renewed_at <= lease;
}

static bool is_busy(const struct client *client)
{
    return client->session_count > 0 || !client_state_is_empty(client->state);
}

/* AUTH_SYS's principal is a user of a machine: another address is another one's, unless it knows
 * the verifier too; that is the client itself, by another of its ways to us. A port that anybody
 * may have is nobody's word for a client which had a reserved one, whatever it knows. */
static bool is_its_principal(const struct compound *c, const struct client *client,
                             bool same_verifier)
{
    return principal_equal(client->principal, principal_of(c)) && client_trusts(client, &c->peer) &&
           (same_verifier || client_is_at(client, &c->peer));
}

/* It may be the client, started anew, under an address that it did not have before. */
static bool may_be_it(const struct compound *c, const struct client *client)
{
    return principal_equal(client->principal, principal_of(c)) && client_trusts(client, &c->peer);
}

/* Its state is not to be ended by another principal: its lease runs; or the other has a port that
 * anybody may have, and then never. */
static bool is_guarded(const struct compound *c, const struct client *client)
{
    return lease_runs(c->server->config, client) || !client_trusts(client, &c->peer);
}

static struct exchange_facts facts_of(const struct compound *c, const struct client *confirmed)
{
    const EXCHANGE_ID4args *args = &c->args.exchange_id;
    struct exchange_facts facts = {.update =
                                       (args->eia_flags & EXCHGID4_FLAG_UPD_CONFIRMED_REC_A) != 0};
    if (!confirmed)
        return facts;
    facts.confirmed = true;
    facts.same_verifier = memcmp(confirmed->verifier, args->eia_clientowner.co_verifier,
                                 sizeof(confirmed->verifier)) == 0;
    facts.same_principal = is_its_principal(c, confirmed, facts.same_verifier);
    facts.same_user = may_be_it(c, confirmed);
    facts.outranked = client_is_outranked(confirmed, &c->peer);
    facts.in_use = is_guarded(c, confirmed) && is_busy(confirmed);
    return facts;
}

/* The roles do not mix (RFC 8881 section 13.1). */
static bool gives_layouts(const struct config *config)
{
    for (size_t i = 0; i < config->export_count; i++)
        if (config->exports[i].layouts)
            return true;
    return false;
}

/* What the operator says, as far as the reply has room for it (op_table.c). */
static struct xdr_bytes impl_text(const char *configured, const char *ours)
{
    struct xdr_bytes text = xdr_bytes_of(configured ? configured : ours);
    if (text.len > OP_IMPL_TEXT_MAX)
        text.len = OP_IMPL_TEXT_MAX;
    return text;
}

static void fill_exchange(struct compound *c, const struct client *client)
{
    EXCHANGE_ID4resok *ok = &c->res.exchange_id.eir_resok4;
    struct server *server = c->server;
    ok->eir_clientid = client->id;
    ok->eir_sequenceid = client->create_seq + 1;
    ok->eir_flags = client->no_layouts ? EXCHGID4_FLAG_USE_NON_PNFS : EXCHGID4_FLAG_USE_PNFS_MDS;
    if (client->confirmed)
        ok->eir_flags |= EXCHGID4_FLAG_CONFIRMED_R;
    ok->eir_state_protect.spr_how = SP4_NONE;
    ok->eir_server_owner.so_minor_id = 0;
    ok->eir_server_owner.so_major_id =
        (struct xdr_bytes){server->server_uuid, sizeof(server->server_uuid)};
    ok->eir_server_scope = (struct xdr_bytes){server->server_uuid, sizeof(server->server_uuid)};
    nfs_impl_id4 *impl = arena_alloc(&c->arena, sizeof(*impl));
    if (impl) {
        impl->nii_domain = impl_text(server->config->implementation_domain, "sealnfs.org");
        impl->nii_name =
            impl_text(server->config->implementation_name, "sealnfsd " SEALNFS_VERSION);
        ok->eir_server_impl_id_count = 1;
        ok->eir_server_impl_id = impl;
    }
}

/* An unconfirmed record gives way to any other (RFC 8881 section 18.35.4, case 4), but not while
 * its confirmation is being recorded, nor to a port that is worth less. */
static bool gives_way(const struct compound *c, const struct client *unconfirmed)
{
    if (client_is_outranked(unconfirmed, &c->peer))
        return true;
    return !unconfirmed->create_busy && client_trusts(unconfirmed, &c->peer);
}

static enum op_next exchange_new(struct compound *c, const struct client *confirmed,
                                 struct client *unconfirmed)
{
    struct client_table *table = client_table_of(c);
    struct xdr_bytes owner = c->args.exchange_id.eia_clientowner.co_ownerid;
    bool known = confirmed || recovery_may_reclaim(c->server->recovery, owner.data, owner.len);

    if (unconfirmed && !gives_way(c, unconfirmed))
        return op_done(c, NFS4ERR_DELAY);
    if (unconfirmed)
        client_remove(unconfirmed);
    if (!host_make_room(table, &c->peer, known)) {
        log_warning("%s: refused: max_clients (%u) are known", conn_describe(c->conn),
                    c->server->config->max_clients);
        return op_done(c, NFS4ERR_DELAY);
    }
    struct client *client =
        client_create(table, &c->args.exchange_id, principal_of(c), conn_peer(c->conn));
    if (!client)
        return op_done(c, NFS4ERR_DELAY);
    client->no_layouts = !gives_layouts(c->server->config);
    fill_exchange(c, client);
    return op_done(c, NFS4_OK);
}

static enum op_next exchange_existing(struct compound *c, struct client *client)
{
    client_show_address(client, &c->peer);
    fill_exchange(c, client);
    return op_done(c, NFS4_OK);
}

/* It establishes its lease anew, or looks for another way to this server. In the first case Linux
 * throws its layouts away without waiting for its I/O, although it keeps its client id. */
static enum op_next exchange_again(struct compound *c, struct client *client)
{
    enum op_next next = exchange_existing(c, client);
    keeper_client(c->server->keeper, KEEPER_CLIENT_SHAKEN, client->id, 0, client->owner,
                  client->owner_len, client->verifier, client->address);
    return next;
}

static void on_expired(struct loop_msg *msg)
{
    struct exchange_wait *wait = container_of(msg, struct exchange_wait, expiry.msg);
    compound_resume(wait->question.compound);
}

/* The record of another principal, which has no state that counts, goes first; then as if it had
 * never been. */
static enum op_next exchange_take_over(struct compound *c, struct client *confirmed)
{
    struct exchange_wait *wait = c->op_state;
    if (wait->expired) /* it could not go, or there is another one already */
        return op_done(c, NFS4ERR_DELAY);
    wait->expired = true;
    wait->expiry.msg.run = on_expired;
    client_expire_then(confirmed, &wait->expiry);
    return OP_WAIT;
}

/* Layouts are state too: whoever holds nothing else is asked for at the keeper's before another
 * takes his name. False: that was done, or need not be. */
static bool needs_to_ask(const struct compound *c, const struct client *confirmed,
                         struct exchange_facts *facts)
{
    const struct exchange_wait *wait = c->op_state;
    if (!confirmed || facts->in_use || facts->same_principal || facts->outranked ||
        !is_guarded(c, confirmed))
        return false;
    if (wait->question.query.client_id != confirmed->id)
        return true;
    facts->in_use = wait->question.query.call.status != NFS4_OK;
    return false;
}

/* Once a client: who waits for it asks again and again. */
static void say_contested(const struct compound *c, struct client *client)
{
    if (!client->contested)
        log_warning("%s sends the name of a client that is here: %s; it has to wait until that "
                    "one's lease has run out; if it is another machine, give it a name of its own",
                    conn_describe(c->conn), client_describe(client));
    client->contested = true;
}

static enum op_next exchange_id(struct compound *c)
{
    const EXCHANGE_ID4args *args = &c->args.exchange_id;
    struct client_table *table = client_table_of(c);
    nfsstat4 status = check_exchange(args);
    if (status != NFS4_OK)
        return op_done(c, status);
    if (!c->op_state)
        c->op_state = arena_alloc(&c->arena, sizeof(struct exchange_wait));
    struct exchange_wait *wait = c->op_state;
    if (!wait)
        return op_done(c, NFS4ERR_DELAY);
    wait->question.compound = c;
    struct client *confirmed = client_find_owner(table, args->eia_clientowner.co_ownerid, true);
    struct client *unconfirmed = client_find_owner(table, args->eia_clientowner.co_ownerid, false);
    if (confirmed && confirmed->expiring)
        return op_done(c, NFS4ERR_DELAY);
    struct exchange_facts facts = facts_of(c, confirmed);
    if (needs_to_ask(c, confirmed, &facts))
        return ask_grants(c, &wait->question, confirmed);
    switch (exchange_decide(&facts)) {
    case EXCHANGE_NEW:
    case EXCHANGE_RESTART:
        return exchange_new(c, confirmed, unconfirmed);
    case EXCHANGE_EXISTING:
        return exchange_again(c, confirmed);
    case EXCHANGE_UPDATE:
        return exchange_existing(c, confirmed);
    case EXCHANGE_TAKE_OVER:
        return exchange_take_over(c, confirmed);
    case EXCHANGE_IN_USE:
        say_contested(c, confirmed);
        return op_done(c, NFS4ERR_CLID_INUSE);
    case EXCHANGE_WAIT:
        say_contested(c, confirmed);
        return op_done(c, NFS4ERR_DELAY);
    case EXCHANGE_NO_ENTRY:
        return op_done(c, NFS4ERR_NOENT);
    case EXCHANGE_NOT_SAME:
        return op_done(c, NFS4ERR_NOT_SAME);
    case EXCHANGE_PERMISSION:
        return op_done(c, NFS4ERR_PERM);
    }
    return op_done(c, NFS4ERR_SERVERFAULT);
}

enum op_next op_exchange_id(struct compound *c)
{
    unsigned index = owner_loop(c->server, c->args.exchange_id.eia_clientowner.co_ownerid);
    return compound_visit(c, c->server->loops[index], exchange_id);
}

/* ---- DESTROY_CLIENTID ---- */

struct destroying {
    struct grants_question question;
    struct recovery_call recovery;
    struct client *client; /* pinned */
};

static void on_forgotten(struct loop_msg *msg)
{
    struct recovery_call *call = container_of(msg, struct recovery_call, done);
    compound_resume((container_of(call, struct destroying, recovery))->question.compound);
}

/* Does the keeper hold grants of it? */
static enum op_next destroy_ask(struct compound *c)
{
    struct client *client =
        client_find_any(client_table_of(c), c->args.destroy_clientid.dca_clientid);
    if (!client || !client_is_at(client, &c->peer))
        return op_done(c, NFS4ERR_STALE_CLIENTID);
    if (!principal_equal(client->principal, principal_of(c)))
        return op_done(c, NFS4ERR_WRONG_CRED);
    if (is_busy(client) || client->create_busy || client->expiring)
        return op_done(c, NFS4ERR_CLIENTID_BUSY);
    if (!client->confirmed) {
        client_remove(client);
        return op_done(c, NFS4_OK);
    }
    struct destroying *wait = arena_alloc(&c->arena, sizeof(*wait));
    if (!wait)
        return op_done(c, NFS4ERR_DELAY);
    wait->client = client;
    client_pin(client);
    c->op_state = wait;
    return ask_grants(c, &wait->question, client);
}

/* Then its record. */
static enum op_next destroy_record(struct compound *c)
{
    struct destroying *wait = c->op_state;
    struct client *client = wait->client;
    if (wait->question.query.call.status != NFS4_OK || client->gone || client->expiring ||
        is_busy(client)) {
        client_unpin(client);
        return op_done(c, NFS4ERR_CLIENTID_BUSY);
    }
    c->stage = 2;
    client->expiring = true; /* no new session meanwhile */
    wait->recovery = (struct recovery_call){
        .done.run = on_forgotten,
        .done_loop = c->loop,
        .owner = client->owner,
        .owner_len = client->owner_len,
        .client_id = client->id,
    };
    recovery_forget(c->server->recovery, &wait->recovery);
    return OP_WAIT;
}

static enum op_next destroy_finish(struct compound *c)
{
    struct destroying *wait = c->op_state;
    struct client *client = wait->client;
    nfsstat4 status = NFS4_OK;
    if (wait->recovery.err < 0) {
        log_error("%s: cannot remove its record: %s", client_describe(client),
                  strerror(-wait->recovery.err));
        client_stay(client);
        status = NFS4ERR_DELAY;
    } else if (!client->gone) {
        recovery_reclaim_done(c->server->recovery, client->owner, client->owner_len);
        keeper_client(c->server->keeper, KEEPER_CLIENT_DESTROYED, client->id, 0, client->owner,
                      client->owner_len, client->verifier, client->address);
        log_info("%s: client id destroyed", client_describe(client));
        client_remove(client);
    }
    client_unpin(client);
    return op_done(c, status);
}

static enum op_next destroy_clientid(struct compound *c)
{
    switch (c->stage) {
    case 0:
        return destroy_ask(c);
    case 1:
        return destroy_record(c);
    default:
        return destroy_finish(c);
    }
}

enum op_next op_destroy_clientid(struct compound *c)
{
    unsigned index = client_id_loop(c->args.destroy_clientid.dca_clientid);
    struct loop *target = index < c->server->loop_count ? c->server->loops[index] : c->loop;
    return compound_visit(c, target, destroy_clientid);
}

/* ---- RECLAIM_COMPLETE ---- */

enum op_next op_reclaim_complete(struct compound *c)
{
    if (c->on_worker)
        return OP_LOOP;
    struct client *client = c->client;
    if (!principal_equal(client->principal, principal_of(c)))
        return op_done(c, NFS4ERR_WRONG_CRED); /* it ends what all users' locks could reclaim */
    if (c->args.reclaim_complete.rca_one_fs)
        /* For a file system that moved here; none do (RFC 8881 section 18.51.3). */
        return op_done(c, !c->current.file ? NFS4ERR_NOFILEHANDLE : NFS4_OK);
    if (client->reclaim_complete)
        return op_done(c, NFS4ERR_COMPLETE_ALREADY);
    client->reclaim_complete = true;
    recovery_reclaim_done(c->server->recovery, client->owner, client->owner_len);
    return op_done(c, NFS4_OK);
}
