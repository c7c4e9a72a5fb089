/*
 * recall.c - recalls by the backchannel (CB_LAYOUTRECALL, RFC 8881 section 20.3), requests
 * to give something back (CB_RECALL_ANY, section 20.6), and fences: by the operator's hook, or for
 * a local program that declared it by seeing that its process is gone. Those by reservation keys
 * are in keeper/san/san.c, those of registered memory in keeper/rdma/client.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "layout/local_type.h"
#include "proto/nfs4_attr.h"
#include "proto/nfs4_cb.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/peer.h"
#include "server/base/worker.h"
#include "server/client/backchannel.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/keeper/hook.h"
#include "server/keeper/private.h"
#include "server/keeper/rdma/rdma.h"
#include "server/keeper/san/san.h"
#include "server/nfs/compound.h"
#include "server/server.h"

enum { CALL_TIMEOUT_MS = 10000, FENCES_AT_ONCE = 16, OWNER_TEXT = 256, NAME_TEXT = 4096 };

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

static void answered(struct loop_msg *msg)
{
    struct cb_call *call = KEEPER_FROM(msg, struct cb_call, done);
    struct recall_job *job = KEEPER_FROM(call, struct recall_job, call);
    struct engine_event event = {.type = ENGINE_EV_RECALL_ANSWERED,
                                 .recall = {.ticket = job->effect.recall.ticket,
                                            .client_id = job->effect.recall.client_id,
                                            .scope = job->effect.recall.scope,
                                            .type = job->effect.recall.type,
                                            .key = job->effect.key,
                                            .outcome = to_outcome(call->outcome),
                                            .status = call->status}};
    keeper_feed(job->keeper, &event);
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
        struct fh_slot place = {
            .file = job->file,
            .export = export_by_id(job->keeper->server->exports, effect->recall.place)};
        if (!place.export)
            place.export = file_export(job->file);
        args->clora_recall.lor_layout.lor_fh = file_handle(&place, job->handle);
        args->clora_recall.lor_layout.lor_length = NFS4_UINT64_MAX;
        args->clora_recall.lor_layout.lor_stateid = effect->recall.stateid;
    }
    job->call.op = OP_CB_LAYOUTRECALL;
    job->call.client_id = effect->recall.client_id;
    job->call.timeout_ms = CALL_TIMEOUT_MS;
    if (effect->recall.referral.present) {
        job->call.referring_count = 1;
        memcpy(job->call.referring_session, effect->recall.referral.session,
               sizeof job->call.referring_session);
        job->call.referring.rc_slotid = effect->recall.referral.slot;
        job->call.referring.rc_sequenceid = effect->recall.referral.sequence;
    }
    backchannel_call(job->keeper->server, &job->call);
}

static void call_found(struct loop_msg *msg)
{
    struct cb_call *found = KEEPER_FROM(msg, struct cb_call, done);
    found->done.run = answered;
    call(KEEPER_FROM(found, struct recall_job, call));
}

/* The file was not in memory: its handle has to be found first. */
static void find_and_call(struct work *item)
{
    struct recall_job *job = KEEPER_FROM(item, struct recall_job, work);
    if (keeper_find_file(job->keeper, &job->effect.key, true, &job->file)) {
        job->call.outcome = CB_BROKEN;
        keeper_come_home(job->keeper, &job->call.done);
        return;
    }
    job->call.done.run = call_found;
    keeper_come_home(job->keeper, &job->call.done);
}

void keeper_do_recall(struct keeper *keeper, const struct engine_effect *effect)
{
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
    job->call.done.run = answered;
    job->call.done_loop = keeper->loop;
    if (effect->recall.scope == LAYOUTRECALL4_FILE &&
        keeper_find_file(keeper, &effect->key, false, &job->file))
        keeper_submit(keeper, &job->work);
    else
        call(job);
}

struct recall_all {
    struct cb_call call;
};

static void recall_all_answered(struct loop_msg *msg)
{
    struct cb_call *call = KEEPER_FROM(msg, struct cb_call, done);
    free(KEEPER_FROM(call, struct recall_all, call));
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
    backchannel_call(keeper->server, &job->call);
}

struct ask_job {
    struct cb_call call;
    struct keeper *keeper;
    uint64_t ticket;
};

static void ask_answered(struct loop_msg *msg)
{
    struct cb_call *call = KEEPER_FROM(msg, struct cb_call, done);
    struct ask_job *job = KEEPER_FROM(call, struct ask_job, call);
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
    backchannel_call(keeper->server, &job->call);
}

struct fence_job {
    struct fence_job *next;
    struct loop_msg msg;
    struct keeper *keeper;
    struct hook *hook; /* NULL: waits for its turn */
    uint64_t ticket, client_id;
    enum journal_holder_kind kind;
    char address[JOURNAL_ADDRESS_MAX], owner[OWNER_TEXT], device[NAME_TEXT],
        device_id[2 * DEVICE_ID_SIZE + 1], file[NAME_TEXT];
};

static void start_waiting(struct keeper *keeper);

static void say_fenced(const struct fence_job *job)
{
    if (job->kind == JOURNAL_HOLDER_NFS)
        log_warning(
            "client %s (id %016llx) was fenced from %s; it gets layouts again after a restart",
            job->address, (unsigned long long)job->client_id, job->device);
    else
        log_warning("local program %s (%s) is off %s: %s", job->owner, job->address, job->device,
                    job->kind == JOURNAL_HOLDER_CLOSE ? "its process is gone"
                                                      : "the fence hook says so");
}

void keeper_fence_done(struct keeper *keeper, uint64_t ticket, uint64_t client_id, bool success)
{
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_FENCE_DONE,
                                               .fence = {.ticket = ticket, .success = success}});
    if (success && client_id)
        keeper_note_fenced(keeper, client_id);
}

static void fence_result(struct fence_job *job, bool success)
{
    struct keeper *keeper = job->keeper;
    uint64_t ticket = job->ticket, client_id = job->client_id;
    bool is_nfs = job->kind == JOURNAL_HOLDER_NFS;
    LL_DELETE(keeper->fences, job);
    if (success)
        say_fenced(job);
    free(job);
    keeper_fence_done(keeper, ticket, is_nfs ? client_id : 0, success);
    start_waiting(keeper);
}

static void hook_done(bool success, void *arg)
{
    struct fence_job *job = arg;
    job->hook = NULL;
    job->keeper->fences_running--;
    fence_result(job, success);
}

static void failed_to_start(struct loop_msg *msg)
{
    fence_result(KEEPER_FROM(msg, struct fence_job, msg), false);
}

static void program_is_gone(struct loop_msg *msg)
{
    fence_result(KEEPER_FROM(msg, struct fence_job, msg), true);
}

static void start(struct fence_job *job)
{
    if (job->kind == JOURNAL_HOLDER_CLOSE) {
        job->msg.run = peer_is_gone(job->address) ? program_is_gone : failed_to_start;
        loop_post(job->keeper->loop, &job->msg);
        return;
    }
    const struct config *config = job->keeper->config;
    struct hook_request request = {
        .program = config->fence_hook,
        .action = job->kind == JOURNAL_HOLDER_NFS ? "fence" : "fence-local",
        .address = job->address,
        .owner = job->owner,
        .device = job->device,
        .device_id = job->device_id,
        .file = job->file,
        .client_id = job->client_id,
        .timeout_ms = config->fence_timeout * 1000,
        .done = hook_done,
        .arg = job,
    };
    if (!config->fence_hook || hook_start(loop_base(job->keeper->loop), &request, &job->hook)) {
        job->msg.run = failed_to_start;
        loop_post(job->keeper->loop, &job->msg);
        return;
    }
    job->keeper->fences_running++;
}

static void start_waiting(struct keeper *keeper)
{
    struct fence_job *job;
    LL_FOREACH(keeper->fences, job)
    {
        if (keeper->fences_running >= FENCES_AT_ONCE)
            return;
        if (!job->hook && !job->msg.run)
            start(job);
    }
}

static void printable(const uint8_t *bytes, size_t len, char *text, size_t size)
{
    size_t n = len < size - 1 ? len : size - 1;
    for (size_t i = 0; i < n; i++)
        text[i] = bytes[i] < 0x20 || bytes[i] >= 0x7f ? '?' : (char)bytes[i];
    text[n] = '\0';
}

static void hex(const uint8_t *bytes, size_t len, char *text)
{
    for (size_t i = 0; i < len; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
}

void keeper_do_fence(struct keeper *keeper, const struct engine_effect *effect)
{
    struct fence_job *job;
    if (effect->fence.way == JOURNAL_WAY_MEMORY) {
        keeper_rdma_fence(keeper, effect);
        return;
    }
    if (effect->fence.kind == JOURNAL_HOLDER_NFS && effect->fence.device &&
        device_is_reserved(effect->fence.device)) {
        keeper_san_fence(keeper->san, effect);
        return;
    }
    while (!(job = calloc(1, sizeof *job))) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL); /* a fence that is lost would leave its seal in FENCING */
    }
    job->keeper = keeper;
    job->ticket = effect->fence.ticket;
    job->client_id = effect->fence.client_id;
    job->kind = effect->fence.kind;
    snprintf(job->address, sizeof job->address, "%s", effect->fence.address);
    printable(effect->fence.owner, effect->fence.owner_len, job->owner, sizeof job->owner);
    snprintf(job->file, sizeof job->file, "%s", effect->fence.path);
    if (effect->fence.device) {
        device_disks(effect->fence.device, job->device, sizeof job->device);
        hex(device_id(effect->fence.device), DEVICE_ID_SIZE, job->device_id);
    }
    LL_APPEND(keeper->fences, job);
    if (keeper->fences_running < FENCES_AT_ONCE)
        start(job);
}

void keeper_cancel_fences(struct keeper *keeper)
{
    while (keeper->fences) {
        struct fence_job *job = keeper->fences;
        keeper->fences = job->next;
        if (job->hook)
            hook_cancel(job->hook);
        free(job);
    }
}
