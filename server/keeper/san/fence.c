/*
 * fence.c - fences by reservation keys: see keeper/san/san.h.
 *
 * An attempt looks, asks whoever shares a nexus to return its layouts and waits for it, marks what
 * is to go, preempts, looks, and hears the rule's verdict. Where a key has come in between, it goes
 * on with that one. What is not proven by the deadline is tried again by the engine.
 */
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <utlist.h>

#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/keeper/san/private.h"

enum { ROUNDS = 3, LOOK_AGAIN_US = 500000 };

struct san_fence {
    struct san_fence *next;
    struct reserver_job job;
    struct loop_msg failed;
    struct keeper_san *san;
    struct san_slot *slot;
    struct event *deadline, *again;
    uint64_t ticket, client_id;
    uint32_t run;
    unsigned rounds;
    bool answered; /* its time was over: only the job is waited for */
    bool waiting;  /* for `again`, and no job is under way */
    bool forgot;   /* it believes in none of its layouts */
    char why[SAN_WHY_MAX];
    char address[JOURNAL_ADDRESS_MAX];
};

static void look_first(struct san_fence *fence);

/* From whatever device: its disks may be this one's too. */
bool san_is_being_fenced(const struct keeper_san *san, uint32_t run)
{
    const struct san_fence *fence;
    LL_FOREACH(san->fences, fence)
    {
        if (fence->run == run && !fence->answered)
            return true;
    }
    return false;
}

static void free_fence(struct san_fence *fence)
{
    if (fence->deadline)
        event_free(fence->deadline);
    if (fence->again)
        event_free(fence->again);
    reserver_job_clear(&fence->job);
    free(fence);
}

void san_free_fences(struct keeper_san *san, bool all)
{
    while (san->fences) {
        struct san_fence *fence = san->fences;
        san->fences = fence->next;
        if (all) {
            free_fence(fence);
            continue;
        }
        if (fence->deadline)
            event_free(fence->deadline);
        if (fence->again)
            event_free(fence->again);
    }
}

static void say_failed(const struct san_fence *fence, const char *why)
{
    log_error("client %s (id %016" PRIx64
              ") could not be fenced from %s: %s; its files stay sealed, and it is tried "
              "again in %u s",
              fence->address, fence->client_id, device_volume_path(fence->slot->device), why,
              san_config(fence->san)->fence_retry);
}

static void fence_is_over(const struct san_fence *fence)
{
    const struct device_volume *volume = device_volume(fence->slot->device);
    for (uint32_t i = 0; i < volume->base_count; i++)
        key_rule_fence_over(fence->san->rule, fence->run, &volume->base[i].designator);
}

/* The last job is home. */
static void end_fence(struct san_fence *fence, const char *why)
{
    struct keeper_san *san = fence->san;
    uint64_t ticket = fence->ticket, client_id = fence->client_id;
    bool answered = fence->answered, success = !why;
    if (!answered && success)
        log_warning("client %s (id %016" PRIx64
                    ") was fenced from %s: its key is gone; it reads and writes through "
                    "the server until it mounts anew, or initiator_settle_time has passed",
                    fence->address, client_id, device_volume_path(fence->slot->device));
    else if (!answered)
        say_failed(fence, why);
    fence_is_over(fence);
    LL_DELETE(san->fences, fence);
    free_fence(fence);
    if (!answered)
        san->calls.fence_done(san->calls.arg, ticket, client_id, success);
}

/* ---- who shares the nexus ---- */

static bool holds_something(const struct keeper_san *san, uint32_t run, uint64_t *client_id)
{
    if (!san_run_client(san, run, client_id))
        return false;
    return *client_id == 0 || engine_client_holds(san->calls.engine, *client_id);
}

/* Who lost its layouts has nothing to return, and commands queued. */
static bool is_drained(uint32_t run, void *arg)
{
    return !san_run_holds(arg, run);
}

static void ask_sharer(struct san_fence *fence, uint32_t run, uint64_t client_id)
{
    struct keeper_san *san = fence->san;
    struct san_asked *asked = calloc(1, sizeof *asked);
    char name[SAN_NAME_MAX];
    if (!asked)
        return; /* it goes without being asked */
    asked->run = run;
    asked->fenced = fence->run;
    asked->at = loop_now_ns();
    LL_PREPEND(san->asked, asked);
    log_warning("%s is on the machine of client %s, which is being fenced from %s: it is asked to "
                "return its layouts, and loses its direct access with it",
                san_run_text(san, run, name), fence->address,
                device_volume_path(fence->slot->device));
    if (client_id)
        san->calls.recall_all(san->calls.arg, client_id);
}

/* It may still give back what it was asked for. */
static bool waits_for_sharer(struct san_fence *fence, uint32_t run)
{
    struct keeper_san *san = fence->san;
    const struct san_asked *asked = san_find_asked(san, run);
    uint64_t client_id, patience = UINT64_C(1000000000) * san_config(san)->recall_timeout;
    char name[SAN_NAME_MAX];
    if (san_is_being_fenced(san, run))
        return false; /* it has had its time */
    if (!asked) {
        bool holds = holds_something(san, run, &client_id);
        ask_sharer(fence, run, holds ? client_id : 0);
        asked = san_find_asked(san, run);
    }
    if (!asked || loop_now_ns() - asked->at >= patience || !holds_something(san, run, &client_id))
        return false;
    snprintf(fence->why, sizeof fence->why,
             "%s is on the same machine and has not returned its layouts yet",
             san_run_text(san, run, name));
    return true;
}

static bool waits_for_sharers(struct san_fence *fence)
{
    bool waits = false;
    for (uint32_t i = 0; i < fence->job.disk_count; i++) {
        struct key_look look = san_look_of(&fence->job, i);
        struct key_plan plan;
        key_rule_plan(fence->san->rule, fence->run, &look, &plan);
        for (size_t s = 0; s < plan.sharer_count; s++)
            waits = waits_for_sharer(fence, plan.sharer[s]) || waits;
    }
    return waits;
}

/* Neither asked nor fenced any more. */
static void forget_asked(const struct san_fence *fence)
{
    struct san_asked *asked, *next;
    LL_FOREACH_SAFE(fence->san->asked, asked, next)
    {
        if (asked->fenced != fence->run)
            continue;
        LL_DELETE(fence->san->asked, asked);
        free(asked);
    }
}

/* ---- the verdict ---- */

static const char *explain_proof(enum key_proof proof)
{
    switch (proof) {
    case KEY_PROVEN:
        return "";
    case KEY_OUTSTANDING:
        return "%s: %s was told of key 0x%016" PRIx64
               " and has not been seen to register it since, so it still may; restart it, or have "
               "it unmount";
    case KEY_STRANGER:
        return "%s: %s has just been told of key 0x%016" PRIx64
               " and may be on the same machine; that is seen in a moment";
    case KEY_PRESENT:
        return "%s: the machine is still registered there, by a key of %s (0x%016" PRIx64 ")";
    case KEY_PRESENT_FOREIGN:
        return "%s: the machine of %s has registered key 0x%016" PRIx64
               ", which is not ours and is left alone; find out what registered it (sg_persist "
               "--in --full-status)";
    case KEY_PRESENT_OWN:
        return "%s: %s is on a machine that runs the server, or stands by to, and which cannot be "
               "cut off from its own disk; have it unmount (key 0x%016" PRIx64 ")";
    case KEY_VANISHED:
        return "%s: the key of %s (0x%016" PRIx64
               ") is gone, and not because the server preempted it, so nothing of what it had "
               "under way was stopped; have it unmount, or restart its machine and say sealctl "
               "forget-holders";
    case KEY_UNMOVED:
        return "%s: the disk did not carry out the preempt of %s (0x%016" PRIx64 ")";
    case KEY_DOUBTFUL:
        return "%s: what %s was told is not known for certain (key 0x%016" PRIx64
               "): keys.db is an older copy, or of an earlier version; have it unmount";
    case KEY_NOT_WRITTEN:
        return "%s: that %s is fenced could not be written down (key 0x%016" PRIx64 ")";
    }
    return "";
}

static enum key_proof judge_disk(struct san_fence *fence, uint32_t i)
{
    struct keeper_san *san = fence->san;
    struct key_look look = san_look_of(&fence->job, i);
    struct key_verdict verdict;
    char name[SAN_NAME_MAX];
    key_rule_verdict(san->rule, fence->run, &look, fence->forgot, is_drained, san, &verdict);
    if (verdict.proof == KEY_PROVEN)
        return KEY_PROVEN;
    san_run_text(san, verdict.run, name);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(fence->why, sizeof fence->why, explain_proof(verdict.proof),
             san_disk_path(fence->slot, i), name, verdict.key);
#pragma GCC diagnostic pop
    return verdict.proof;
}

/* Of all disks; the one that says most about what to do next counts. */
static enum key_proof judge_fence(struct san_fence *fence)
{
    enum key_proof worst = KEY_PROVEN;
    for (uint32_t i = 0; i < fence->job.disk_count; i++) {
        enum key_proof proof = judge_disk(fence, i);
        worst = proof == KEY_PROVEN || worst > KEY_PRESENT ? worst : proof;
    }
    return worst;
}

static void look_again(evutil_socket_t fd, short what, void *arg)
{
    struct san_fence *fence = arg;
    (void)fd;
    (void)what;
    fence->waiting = false;
    look_first(fence);
}

static void wait_a_little(struct san_fence *fence)
{
    reserver_job_clear(&fence->job);
    if (evtimer_add(fence->again, &(struct timeval){.tv_usec = LOOK_AGAIN_US}) != 0) {
        end_fence(fence, fence->why);
        return;
    }
    fence->waiting = true;
}

/* Whatever becomes of this attempt: the next would take what went by itself for its doing. */
static void take_missed(const struct san_fence *fence)
{
    for (uint32_t i = 0; i < fence->job.disk_count; i++)
        if (fence->job.disk[i].missed)
            (void)key_rule_missed(fence->san->rule, fence->run, &fence->job.disk[i].name);
}

static void preempted(struct loop_msg *msg)
{
    struct san_fence *fence =
        container_of(container_of(msg, struct reserver_job, home), struct san_fence, job);
    take_missed(fence);
    if (fence->answered || !san_judge(fence->slot, &fence->job, fence->why, sizeof fence->why)) {
        end_fence(fence, fence->why); /* once answered, the run may have been told anew */
        return;
    }
    san_take_keys(fence->slot, &fence->job);
    enum key_proof proof = judge_fence(fence);
    fence_is_over(fence);
    if (proof == KEY_PROVEN) {
        forget_asked(fence);
        end_fence(fence, NULL);
    } else if (proof == KEY_PRESENT && ++fence->rounds < ROUNDS) {
        reserver_job_clear(&fence->job);
        look_first(fence);
    } else if (proof == KEY_STRANGER) {
        wait_a_little(fence);
    } else {
        end_fence(fence, fence->why);
    }
}

static void settle_fence(const struct san_fence *fence)
{
    const struct device_volume *volume = device_volume(fence->slot->device);
    take_missed(fence);
    for (uint32_t i = 0; fence->job.disk_count == 0 && i < volume->base_count; i++)
        (void)key_rule_missed(fence->san->rule, fence->run, &volume->base[i].designator);
}

void san_settle_fences(struct keeper_san *san)
{
    const struct san_fence *fence;
    LL_FOREACH(san->fences, fence)
    {
        if (fence->slot && fence->slot->ended && fence->job.home.run == preempted)
            settle_fence(fence);
    }
}

/* Who has registered is on record before anything is done about it: what is gone after a crash in
 * between is gone because it was preempted. */
static int mark_victims(struct san_fence *fence)
{
    struct reserver_job *job = &fence->job;
    int err = 0;
    job->victim_count = 0;
    for (uint32_t i = 0; !err && i < job->disk_count; i++) {
        struct key_look look = san_look_of(job, i);
        struct key_plan plan;
        key_rule_plan(fence->san->rule, fence->run, &look, &plan);
        for (size_t v = 0; v < plan.victim_count && job->victim_count < RESERVER_VICTIMS_MAX; v++)
            job->victim[job->victim_count++] =
                (struct reserver_victim){.disk = *look.disk, .key = plan.victim[v]};
        err = key_rule_mark(fence->san->rule, &plan, &look);
    }
    return err;
}

static void looked(struct loop_msg *msg)
{
    struct san_fence *fence =
        container_of(container_of(msg, struct reserver_job, home), struct san_fence, job);
    if (fence->answered || !san_judge(fence->slot, &fence->job, fence->why, sizeof fence->why)) {
        end_fence(fence, fence->why);
        return;
    }
    san_take_keys(fence->slot, &fence->job);
    if (waits_for_sharers(fence)) {
        wait_a_little(fence);
        return;
    }
    if (mark_victims(fence)) {
        end_fence(fence, "keys.db cannot be written");
        return;
    }
    reserver_job_clear(&fence->job);
    fence->job.home.run = preempted;
    san_submit(fence->slot, &fence->job);
}

static void look_first(struct san_fence *fence)
{
    fence->job.victim_count = 0;
    fence->job.home.run = looked;
    san_submit(fence->slot, &fence->job);
}

/* ---- beginning, and the deadline ---- */

static void time_is_over(evutil_socket_t fd, short what, void *arg)
{
    struct san_fence *fence = arg;
    struct keeper_san *san = fence->san;
    (void)fd;
    (void)what;
    if (fence->waiting) {
        event_del(fence->again);
        end_fence(fence, fence->why);
        return;
    }
    fence->answered = true;
    say_failed(fence, "the disk did not answer in time");
    san->calls.fence_done(san->calls.arg, fence->ticket, fence->client_id, false);
}

static void cannot_begin(struct loop_msg *msg)
{
    struct san_fence *fence = container_of(msg, struct san_fence, failed);
    struct keeper_san *san = fence->san;
    uint64_t ticket = fence->ticket, client_id = fence->client_id;
    log_error("client %s (id %016" PRIx64
              ") cannot be fenced: its key or its disk is not known, or the disk still "
              "does not answer to the last try",
              fence->address, client_id);
    LL_DELETE(san->fences, fence);
    free_fence(fence);
    san->calls.fence_done(san->calls.arg, ticket, client_id, false);
}

static int begin_fence(struct san_fence *fence, const struct engine_effect *effect)
{
    struct keeper_san *san = fence->san;
    struct key_run run = {.owner = effect->fence.owner, .owner_len = effect->fence.owner_len};
    struct device *device = (struct device *)(uintptr_t)effect->fence.device;
    const struct san_fence *other;
    memcpy(run.verifier, effect->fence.verifier, sizeof run.verifier);
    fence->slot = san_slot_find(san, device);
    if (!fence->slot)
        fence->slot = san_slot_make(san, device);
    if (!fence->slot || !key_rule_find_run(san->rule, &run, &fence->run))
        return -ENOENT;
    LL_FOREACH(san->fences, other)
    {
        if (other != fence && other->slot == fence->slot && other->run == fence->run)
            return -EBUSY;
    }
    if (evtimer_add(fence->deadline, &(struct timeval){.tv_sec = san_config(san)->fence_timeout}) !=
        0)
        return -ENOMEM;
    look_first(fence);
    return 0;
}

static struct san_fence *make_fence(struct keeper_san *san)
{
    struct san_fence *fence = calloc(1, sizeof *fence);
    if (!fence)
        return NULL;
    fence->deadline = evtimer_new(loop_base(san->calls.loop), time_is_over, fence);
    fence->again = evtimer_new(loop_base(san->calls.loop), look_again, fence);
    if (fence->deadline && fence->again)
        return fence;
    free_fence(fence);
    return NULL;
}

void keeper_san_fence(struct keeper_san *san, const struct engine_effect *effect)
{
    struct san_fence *fence;
    while (!(fence = make_fence(san))) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL); /* a fence that is lost would leave its seal in FENCING */
    }
    fence->san = san;
    fence->ticket = effect->fence.ticket;
    fence->client_id = effect->fence.client_id;
    fence->forgot = effect->fence.forgot;
    snprintf(fence->address, sizeof fence->address, "%s", effect->fence.address);
    LL_PREPEND(san->fences, fence);
    if (begin_fence(fence, effect)) {
        fence->failed.run = cannot_begin;
        loop_post(san->calls.loop, &fence->failed);
    }
}
