/*
 * fence.c - fences: by the operator's hook, or for a local program that declared it by seeing that
 * its process is gone; and who was fenced. Those by reservation keys are in keeper/san/san.c, those
 * of registered memory in keeper/rdma/client.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "layout/container_of.h"
#include "proto/quote.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/peer.h"
#include "server/base/probe.h"
#include "server/config/config.h"
#include "server/keeper/hook.h"
#include "server/keeper/private.h"
#include "server/keeper/rdma/past.h"
#include "server/keeper/rdma/rdma.h"
#include "server/keeper/san/san.h"

enum { FENCES_AT_ONCE = 16, OWNER_TEXT = 256, NAME_TEXT = 4096 };

struct fenced_mark {
    uint64_t client_id;
    UT_hash_handle hh;
};

void keeper_note_fenced(struct keeper *keeper, uint64_t client_id)
{
    struct fenced_mark *mark;
    pthread_mutex_lock(&keeper->fenced_lock);
    HASH_FIND(hh, keeper->fenced, &client_id, sizeof client_id, mark);
    if (!mark && (mark = calloc(1, sizeof *mark))) {
        mark->client_id = client_id;
        HASH_ADD(hh, keeper->fenced, client_id, sizeof mark->client_id, mark);
    }
    atomic_store(&keeper->fenced_count, HASH_COUNT(keeper->fenced));
    pthread_mutex_unlock(&keeper->fenced_lock);
}

void keeper_forget_fenced(struct keeper *keeper, uint64_t client_id)
{
    struct fenced_mark *mark;
    if (atomic_load(&keeper->fenced_count) == 0)
        return;
    pthread_mutex_lock(&keeper->fenced_lock);
    HASH_FIND(hh, keeper->fenced, &client_id, sizeof client_id, mark);
    if (mark)
        HASH_DEL(keeper->fenced, mark);
    free(mark);
    atomic_store(&keeper->fenced_count, HASH_COUNT(keeper->fenced));
    pthread_mutex_unlock(&keeper->fenced_lock);
}

bool keeper_client_was_fenced(struct keeper *keeper, uint64_t client_id)
{
    struct fenced_mark *mark;
    if (atomic_load(&keeper->fenced_count) == 0)
        return false;
    pthread_mutex_lock(&keeper->fenced_lock);
    HASH_FIND(hh, keeper->fenced, &client_id, sizeof client_id, mark);
    pthread_mutex_unlock(&keeper->fenced_lock);
    return mark != NULL;
}

void keeper_fenced_clear(struct keeper *keeper)
{
    struct fenced_mark *mark, *next;
    HASH_ITER(hh, keeper->fenced, mark, next)
    {
        HASH_DEL(keeper->fenced, mark);
        free(mark);
    }
}

struct fence_job {
    struct fence_job *next;
    struct loop_msg msg;
    struct keeper *keeper;
    struct hook *hook; /* NULL: waits for its turn */
    uint64_t ticket, client_id;
    enum journal_holder_kind kind;
    enum journal_way way;
    bool reserved; /* its disks are: who has no key there reaches nothing */
    char address[JOURNAL_ADDRESS_MAX], addresses[JOURNAL_ADDRESSES_MAX], owner[OWNER_TEXT],
        device[NAME_TEXT], device_id[2 * DEVICE_ID_SIZE + 1], file[NAME_TEXT];
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
                    job->kind == JOURNAL_HOLDER_CLOSE
                        ? "its process is gone, or its machine is cut off"
                        : "the fence hook says so");
}

void keeper_fence_done(struct keeper *keeper, uint64_t ticket, uint64_t client_id, bool success)
{
    PROBE2(fence_done, client_id, success);
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_FENCE_DONE,
                                               .fence = {.ticket = ticket, .success = success}});
    if (success && client_id)
        keeper_note_fenced(keeper, client_id);
}

static void end_fence(struct fence_job *job, bool success)
{
    struct keeper *keeper = job->keeper;
    uint64_t ticket = job->ticket, client_id = job->client_id;
    bool is_nfs = job->kind == JOURNAL_HOLDER_NFS;
    LL_DELETE(keeper->fences, job);
    if (success && job->way != JOURNAL_WAY_MEMORY)
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
    end_fence(job, success);
}

static void failed_to_start(struct loop_msg *msg)
{
    end_fence(container_of(msg, struct fence_job, msg), false);
}

static void program_is_gone(struct loop_msg *msg)
{
    end_fence(container_of(msg, struct fence_job, msg), true);
}

/* Memory that an earlier process had registered, of this build or another, goes with it. */
static void past_is_told(struct loop_msg *msg)
{
    struct fence_job *job = container_of(msg, struct fence_job, msg);
    bool success = keeper_past_is_void(job->keeper->past);
    if (!success)
        log_error("client id %016llx may have RDMA layouts of an earlier sealnfsd, which is not "
                  "seen to have ended",
                  (unsigned long long)job->client_id);
    end_fence(job, success);
}

static void start_job(struct fence_job *job)
{
    if (job->way == JOURNAL_WAY_MEMORY) {
        job->msg.run = past_is_told;
        loop_post(job->keeper->loop, &job->msg);
        return;
    }
    if (job->kind == JOURNAL_HOLDER_CLOSE) {
        const bool off = peer_is_gone(job->address) || (job->reserved && peer_is_cut(job->address));
        job->msg.run = off ? program_is_gone : failed_to_start;
        loop_post(job->keeper->loop, &job->msg);
        return;
    }
    const struct config *config = job->keeper->config;
    struct hook_request request = {
        .program = config->fence_hook,
        .action = job->kind == JOURNAL_HOLDER_NFS ? "fence" : "fence-local",
        .address = job->address,
        .addresses = job->addresses,
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
            start_job(job);
    }
}

void keeper_do_fence(struct keeper *keeper, const struct engine_effect *effect)
{
    struct fence_job *job;
    PROBE2(fence, effect->fence.client_id, effect->fence.path);
    if (effect->fence.way == JOURNAL_WAY_MEMORY && keeper->rdma) {
        keeper_rdma_ops->fence(keeper->rdma, effect);
        return;
    }
    if (effect->fence.kind == JOURNAL_HOLDER_NFS && effect->fence.device &&
        device_is_reserved(effect->fence.device)) {
        keeper_san_fence(keeper->san, effect);
        return;
    }
    while (!(job = calloc(1, sizeof *job)))
        keeper_pause_ms(10); /* a fence that is lost would leave its seal in FENCING */
    job->keeper = keeper;
    job->ticket = effect->fence.ticket;
    job->client_id = effect->fence.client_id;
    job->kind = effect->fence.kind;
    snprintf(job->address, sizeof job->address, "%s", effect->fence.address);
    snprintf(job->addresses, sizeof job->addresses, "%s", effect->fence.addresses);
    quote_text(job->owner, sizeof job->owner, effect->fence.owner, effect->fence.owner_len, NULL);
    snprintf(job->file, sizeof job->file, "%s", effect->fence.path);
    if (effect->fence.device) {
        device_disks(effect->fence.device, job->device, sizeof job->device);
        keeper_to_hex(device_id(effect->fence.device), DEVICE_ID_SIZE, job->device_id);
        job->reserved = device_is_reserved(effect->fence.device);
    }
    job->way = effect->fence.way;
    LL_APPEND(keeper->fences, job);
    if (job->way == JOURNAL_WAY_MEMORY || keeper->fences_running < FENCES_AT_ONCE)
        start_job(job);
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
    hooks_forget();
}
