/*
 * recall.c - recalls by the backchannel (CB_LAYOUTRECALL, RFC 8881 section 20.3), and requests
 * to give something back (CB_RECALL_ANY, section 20.6).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/container_of.h"
#include "layout/type/local.h"
#include "proto/nfs4/attr.h"
#include "proto/nfs4/cb.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/place.h"
#include "server/base/probe.h"
#include "server/base/worker.h"
#include "server/client/backchannel.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/keeper/private.h"

_Static_assert((int)ENGINE_REFERRALS <= (int)CB_REFERRING_MAX, "a recall names all that granted");

enum { CALL_TIMEOUT_MS = 10000 };

struct recall_job {
    struct cb_call call;
    struct work work;
    struct keeper *keeper;
    struct engine_effect effect;
    struct file *file;
    uint8_t handle[NFS4_FHSIZE];
};

static enum engine_recall_outcome to_outcome(enum cb_outcome outcome)
{
    switch (outcome) {
    case CB_ANSWERED:
        return ENGINE_RECALL_ANSWERED;
    case CB_NO_CLIENT:
    case CB_NO_CHANNEL:
        return ENGINE_RECALL_NO_CHANNEL;
    case CB_TIMEOUT:
        return ENGINE_RECALL_TIMEOUT;
    case CB_BROKEN:
        break;
    }
    return ENGINE_RECALL_BROKEN;
}

void keeper_recall_answered(struct keeper *keeper, const struct engine_effect *effect,
                            enum engine_recall_outcome outcome, nfsstat4 status)
{
    const struct engine_event event = {.type = ENGINE_EV_RECALL_ANSWERED,
                                       .recall = {.ticket = effect->recall.ticket,
                                                  .client_id = effect->recall.client_id,
                                                  .scope = effect->recall.scope,
                                                  .type = effect->recall.type,
                                                  .key = effect->key,
                                                  .outcome = outcome,
                                                  .status = status}};
    PROBE3(recall_answered, effect->recall.client_id, outcome, status);
    keeper_feed(keeper, &event);
}

static void answered(struct loop_msg *msg)
{
    struct cb_call *call = container_of(msg, struct cb_call, done);
    struct recall_job *job = container_of(call, struct recall_job, call);
    keeper_recall_answered(job->keeper, &job->effect, to_outcome(call->outcome), call->status);
    file_unref(job->file);
    free(job);
}

static void call(struct recall_job *job)
{
    const struct engine_effect *effect = &job->effect;
    CB_LAYOUTRECALL4args *args = &job->call.args.cb_layoutrecall;
    *args = (CB_LAYOUTRECALL4args){.clora_type = effect->recall.type,
                                   .clora_iomode = LAYOUTIOMODE4_ANY};
    args->clora_recall.lor_recalltype = effect->recall.scope;
    if (effect->recall.scope == LAYOUTRECALL4_FILE) {
        struct place place = {.file = job->file,
                              .export = export_by_id(job->keeper->exports, effect->recall.place)};
        if (!place.export)
            place.export = file_export(job->file);
        args->clora_recall.lor_layout.lor_fh = file_handle(&place, job->handle);
        args->clora_recall.lor_layout.lor_length = NFS4_UINT64_MAX;
        args->clora_recall.lor_layout.lor_stateid = effect->recall.stateid;
    }
    job->call.op = OP_CB_LAYOUTRECALL;
    job->call.client_id = effect->recall.client_id;
    job->call.timeout_ms = CALL_TIMEOUT_MS;
    for (uint32_t i = 0; i < effect->recall.referral_count; i++) {
        const struct engine_referral *from = &effect->recall.referral[i];
        struct cb_referring *to = &job->call.referring[job->call.referring_count++];
        memcpy(to->session, from->session, sizeof to->session);
        to->call = (referring_call4){.rc_slotid = from->slot, .rc_sequenceid = from->sequence};
    }
    backchannel_call(job->keeper->clients, &job->call);
}

static void call_found(struct loop_msg *msg)
{
    struct cb_call *found = container_of(msg, struct cb_call, done);
    found->done.run = answered;
    call(container_of(found, struct recall_job, call));
}

/* The file was not in memory: its handle has to be found first. */
static void find_and_call(struct work *item)
{
    struct recall_job *job = container_of(item, struct recall_job, work);
    if (keeper_find_file(job->keeper, &job->effect.key, true, &job->file)) {
        job->call.outcome = CB_BROKEN;
        jobs_come_home(&job->keeper->jobs, &job->call.done);
        return;
    }
    job->call.done.run = call_found;
    jobs_come_home(&job->keeper->jobs, &job->call.done);
}

void keeper_do_recall(struct keeper *keeper, const struct engine_effect *effect)
{
    PROBE3(recall, effect->recall.client_id, effect->key.data, effect->key.len);
    if (effect->recall.type == LAYOUT_TYPE_LOCAL) {
        keeper_recall_local(keeper, effect);
        return;
    }
    struct recall_job *job = calloc(1, sizeof *job);
    if (!job) {
        /* The engine waits for an answer that does not come; the deadline and the fence are left.
         */
        log_error("out of memory: client %016llx is not recalled",
                  (unsigned long long)effect->recall.client_id);
        return;
    }
    job->keeper = keeper;
    job->effect = *effect;
    job->work.run = find_and_call;
    job->work.key = worker_key(effect->key.data);
    job->call.done.run = answered;
    job->call.done_loop = keeper->loop;
    if (effect->recall.scope == LAYOUTRECALL4_FILE &&
        keeper_find_file(keeper, &effect->key, false, &job->file))
        jobs_submit(&keeper->jobs, &job->work);
    else
        call(job);
}

struct recall_all {
    struct cb_call call;
};

static void recall_all_answered(struct loop_msg *msg)
{
    struct cb_call *call = container_of(msg, struct cb_call, done);
    free(container_of(call, struct recall_all, call));
}

/* Beside the engine's recalls: for somebody whose path to the disk is about to go. What it gives
 * back comes by LAYOUTRETURN. */
void keeper_recall_all(struct keeper *keeper, uint64_t client_id, layouttype4 type)
{
    struct recall_all *job = calloc(1, sizeof *job);
    if (!job) {
        log_error("out of memory: client %016llx is not asked for its layouts",
                  (unsigned long long)client_id);
        return;
    }
    job->call.op = OP_CB_LAYOUTRECALL;
    job->call.client_id = client_id;
    job->call.timeout_ms = CALL_TIMEOUT_MS;
    job->call.args.cb_layoutrecall =
        (CB_LAYOUTRECALL4args){.clora_type = type,
                               .clora_iomode = LAYOUTIOMODE4_ANY,
                               .clora_recall.lor_recalltype = LAYOUTRECALL4_ALL};
    job->call.done.run = recall_all_answered;
    job->call.done_loop = keeper->loop;
    backchannel_call(keeper->clients, &job->call);
}

struct ask_job {
    struct cb_call call;
    struct keeper *keeper;
    uint64_t ticket;
};

static void ask_answered(struct loop_msg *msg)
{
    struct cb_call *call = container_of(msg, struct cb_call, done);
    struct ask_job *job = container_of(call, struct ask_job, call);
    const struct engine_event event = {
        .type = ENGINE_EV_ASK_ANSWERED,
        .ask = {.ticket = job->ticket, .client_id = call->client_id}};
    struct keeper *keeper = job->keeper;
    if (call->outcome != CB_ANSWERED || call->status != NFS4_OK)
        log_debug("client %016llx was asked to return layouts and did not agree (%s)",
                  (unsigned long long)call->client_id, nfs4_status_name(call->status));
    free(job);
    keeper_feed(keeper, &event);
}

void keeper_do_ask(struct keeper *keeper, const struct engine_effect *effect)
{
    struct ask_job *job = calloc(1, sizeof *job);
    if (!job) {
        log_error("out of memory: client %016llx is not asked to return layouts",
                  (unsigned long long)effect->ask.client_id);
        return;
    }
    job->keeper = keeper;
    job->ticket = effect->ask.ticket;
    job->call.op = OP_CB_RECALL_ANY;
    job->call.client_id = effect->ask.client_id;
    job->call.timeout_ms = CALL_TIMEOUT_MS;
    job->call.args.cb_recall_any.craa_objects_to_keep = effect->ask.keep;
    bitmap4_set(&job->call.args.cb_recall_any.craa_type_mask, RCA4_TYPE_MASK_BLK_LAYOUT);
    job->call.done.run = ask_answered;
    job->call.done_loop = keeper->loop;
    log_info("more than %u grants: client %016llx is asked to keep %u", keeper->config->max_grants,
             (unsigned long long)effect->ask.client_id, effect->ask.keep);
    backchannel_call(keeper->clients, &job->call);
}
