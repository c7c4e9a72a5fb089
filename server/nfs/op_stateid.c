/*
 * op_stateid.c - TEST_STATEID and FREE_STATEID (RFC 8881 sections 18.48, 18.38). On the client's
 * loop; layout stateids are the keeper's to judge, one after another.
 */
#include <stddef.h>

#include "layout/container_of.h"
#include "server/client/client.h"
#include "server/keeper/keeper.h"
#include "server/nfs/compound.h"
#include "server/server.h"
#include "server/state/state.h"

struct stateid_work {
    struct keeper_stateid ask;
    struct compound *compound;
    nfsstat4 *codes;
    uint32_t at;
};

static void on_answer(struct loop_msg *msg)
{
    struct stateid_work *work = container_of(msg, struct stateid_work, ask.call.reply);

    compound_resume(work->compound);
}

static enum op_next ask_keeper(struct compound *c, struct stateid_work *work,
                               const stateid4 *stateid)
{
    work->ask = (struct keeper_stateid){
        .call = {.reply.run = on_answer, .reply_loop = c->loop},
        .client_id = c->client_id,
        .stateid = *stateid,
    };
    keeper_test_stateid(c->server->keeper, &work->ask);
    return OP_WAIT;
}

static struct stateid_work *begin_work(struct compound *c)
{
    struct stateid_work *work = arena_alloc(&c->arena, sizeof *work);

    if (work)
        work->compound = c;
    c->op_state = work;
    return work;
}

static bool is_layout(const stateid4 *stateid)
{
    return stateid->other[0] == STATEID_LAYOUT;
}

enum op_next op_test_stateid(struct compound *c)
{
    const TEST_STATEID4args *args = &c->args.test_stateid;
    struct stateid_work *work = c->op_state;

    if (c->on_worker)
        return OP_LOOP;
    if (work) {
        work->codes[work->at++] = work->ask.call.status;
    } else {
        work = begin_work(c);
        if (work)
            work->codes = arena_array(&c->arena, args->ts_stateids_count, sizeof work->codes[0]);
        if (!work || !work->codes)
            return op_done(c, NFS4ERR_DELAY);
    }
    for (; work->at < args->ts_stateids_count; work->at++) {
        const stateid4 *stateid = &args->ts_stateids[work->at];

        if (is_layout(stateid))
            return ask_keeper(c, work, stateid);
        work->codes[work->at] = state_test_stateid(client_state(c->client), stateid);
    }
    c->res.test_stateid.tsr_resok4.tsr_status_codes_count = args->ts_stateids_count;
    c->res.test_stateid.tsr_resok4.tsr_status_codes = work->codes;
    return op_done(c, NFS4_OK);
}

/* A layout that is still one is not freed; one that was revoked is acknowledged thereby (12.5.6).
 */
static nfsstat4 free_layout_status(nfsstat4 status)
{
    switch (status) {
    case NFS4_OK:
    case NFS4ERR_OLD_STATEID:
        return NFS4ERR_LOCKS_HELD;
    case NFS4ERR_ADMIN_REVOKED:
    case NFS4ERR_DELEG_REVOKED:
    case NFS4ERR_EXPIRED:
        return NFS4_OK;
    default:
        return status;
    }
}

enum op_next op_free_stateid(struct compound *c)
{
    struct stateid_work *work = c->op_state;
    stateid4 stateid;

    if (c->on_worker)
        return OP_LOOP;
    if (work)
        return op_done(c, free_layout_status(work->ask.call.status));
    c->res.status = compound_resolve_stateid(c, &c->args.free_stateid.fsa_stateid, &stateid);
    if (c->res.status != NFS4_OK)
        return OP_DONE;
    if (!is_layout(&stateid))
        return op_done(c, state_free_stateid(client_state(c->client), &stateid));
    work = begin_work(c);
    if (work)
        return ask_keeper(c, work, &stateid);
    return op_done(c, NFS4ERR_DELAY);
}
