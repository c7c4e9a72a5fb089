/*
 * op_stateid.c - TEST_STATEID and FREE_STATEID (RFC 8881 sections 18.48, 18.38). On the client's
 * loop; layout stateids are the keeper's to judge, all of a call together.
 */
#include <stddef.h>

#include "layout/container_of.h"
#include "server/client/client.h"
#include "server/keeper/keeper.h"
#include "server/nfs/compound.h"
#include "server/server.h"
#include "server/state/state.h"

struct stateid_work {
    struct keeper_stateids ask;
    struct compound *compound;
    nfsstat4 code; /* of FREE_STATEID's */
};

static void on_answer(struct loop_msg *msg)
{
    struct stateid_work *work = container_of(msg, struct stateid_work, ask.call.reply);

    compound_resume(work->compound);
}

/* codes NULL: of one. */
static enum op_next ask_keeper(struct compound *c, const stateid4 *stateids, uint32_t count,
                               nfsstat4 *codes)
{
    struct stateid_work *work = arena_alloc(&c->arena, sizeof *work);

    if (!work)
        return op_done(c, NFS4ERR_DELAY);
    c->op_state = work;
    work->compound = c;
    work->ask = (struct keeper_stateids){
        .call = {.reply.run = on_answer, .reply_loop = c->loop},
        .client_id = c->client_id,
        .stateids = stateids,
        .codes = codes ? codes : &work->code,
        .count = count,
    };
    keeper_test_stateids(c->server->keeper, &work->ask);
    return OP_WAIT;
}

static bool is_layout(const stateid4 *stateid)
{
    return stateid->other[0] == STATEID_LAYOUT;
}

static enum op_next give_codes(struct compound *c, nfsstat4 *codes)
{
    c->res.test_stateid.tsr_resok4.tsr_status_codes_count = c->args.test_stateid.ts_stateids_count;
    c->res.test_stateid.tsr_resok4.tsr_status_codes = codes;
    return op_done(c, NFS4_OK);
}

/* Out of memory there: nothing is judged. */
static enum op_next layouts_judged(struct compound *c, const struct stateid_work *work)
{
    if (work->ask.call.status != NFS4_OK)
        return op_done(c, NFS4ERR_DELAY);
    return give_codes(c, work->ask.codes);
}

enum op_next op_test_stateid(struct compound *c)
{
    const TEST_STATEID4args *args = &c->args.test_stateid;
    bool layouts = false;
    nfsstat4 *codes;

    if (c->on_worker)
        return OP_LOOP;
    if (c->op_state)
        return layouts_judged(c, c->op_state);
    codes = arena_array(&c->arena, args->ts_stateids_count, sizeof codes[0]);
    if (!codes)
        return op_done(c, NFS4ERR_DELAY);
    for (uint32_t i = 0; i < args->ts_stateids_count; i++) {
        if (is_layout(&args->ts_stateids[i]))
            layouts = true;
        else
            codes[i] = state_test_stateid(client_state(c->client), &args->ts_stateids[i]);
    }
    if (layouts)
        return ask_keeper(c, args->ts_stateids, args->ts_stateids_count, codes);
    return give_codes(c, codes);
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
    const struct stateid_work *work = c->op_state;
    stateid4 *stateid = &c->args.free_stateid.fsa_stateid;

    if (c->on_worker)
        return OP_LOOP;
    if (work)
        return op_done(c, work->ask.call.status == NFS4_OK ? free_layout_status(work->code)
                                                           : NFS4ERR_DELAY);
    c->res.status = compound_resolve_stateid(c, stateid, stateid);
    if (c->res.status != NFS4_OK)
        return OP_DONE;
    if (!is_layout(stateid))
        return op_done(c, state_free_stateid(client_state(c->client), stateid));
    return ask_keeper(c, stateid, 1, NULL);
}
