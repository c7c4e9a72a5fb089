/*
 * From the wish to release a seal to its last grant gone: recalls (RFC 8881 sections 12.5.5, 20.3),
 * their repetition, and what is left to the fence.
 *
 * A recall carries the layout stateid with its seqid one higher than anything the client has seen,
 * and keeps that seqid when it is repeated. It is repeated while the client has not said that it
 * knows: DELAY, no channel, no answer, any error. NFS4_OK, and OLD_STATEID to a repetition, mean
 * that it knows; then only LAYOUTRETURN, the deadline and the fence are left. NOMATCHING_LAYOUT can
 * be believed of a client that has not lost its state since the grant, because the recall names the
 * requests that granted (referring calls), which the client must have finished before it answers.
 * Of one that may have lost it, it says that the grant is haunted.
 *
 * A client that knows and does not return is reminded by the same call, less and less often. The
 * Linux client needs it: a write that was under way when the recall came keeps the layout in use
 * until its LAYOUTCOMMIT, and the client commits when it is recalled, or else only when its flusher
 * comes by, half a minute later. What it answers to a reminder is no news, but for
 * NOMATCHING_LAYOUT.
 *
 * What a holder may have from before (granted by an earlier run of the server, or under a client id
 * that is gone) has no stateid any more. Over a disk it is haunted and not recalled
 * (engine/haunt.c). Over memory, which the server takes back in any case, it is recalled in bulk,
 * by LAYOUTRECALL4_ALL, as soon as the client is there. Deviating from section 12.5.5.2.1.5 in the
 * forgiving direction: LAYOUTRETURNs of single files are taken while a bulk recall is out (the
 * Linux client answers it that way), and only LAYOUTGETs are refused.
 */
#include "layout/engine/private.h"

#include <stdio.h>

enum { NO_CHANNEL_PAUSES = 5, REMINDER_PAUSES = 2, REMINDER_PAUSES_MAX = 32 };

static bool is_releasing_from_grants(const struct seal *seal)
{
    return seal->state == ENGINE_RECALLING || seal->state == ENGINE_FENCING ||
           seal->state == ENGINE_STUCK_STATE || seal->state == ENGINE_BROKEN_STATE;
}

/* A file that was sealed since the restart is not among what anybody had before. */
struct reach *seal_maybes(const struct seal *seal)
{
    return seal->volume && seal->of_before ? seal->volume->maybe : NULL;
}

bool release_check(struct engine *e, struct seal *seal)
{
    if (!is_releasing_from_grants(seal) || seal->grants || seal_maybes(seal) ||
        growing_is_busy(seal) || doubt_is_about(e, &seal->key))
        return false;
    if (seal->broken && !seal->by_operator) {
        seal_set_state(e, seal, ENGINE_BROKEN_STATE);
        seal_plan(e, seal, 0);
        return true;
    }
    if (!effect_has_room(e)) {
        seal_plan(e, seal, e->now + e->options.recall_pause);
        return false;
    }
    seal_release_now(e, seal);
    return true;
}

static void recall_send(struct engine *e, struct grant *grant)
{
    struct recall *recall = &grant->recall;
    if (!effect_has_room(e)) {
        recall->phase = RECALL_PAUSED;
        recall->at = e->now + e->options.recall_pause;
        return;
    }
    struct engine_effect *effect = effect_push(e, ENGINE_DO_RECALL, &grant->seal->key);
    e->counters.recalls++;
    recall->phase = RECALL_SENT;
    recall->ticket = effect->recall.ticket = ++e->next_ticket;
    effect->recall.client_id = grant->holder->client_id;
    effect->recall.scope = LAYOUTRECALL4_FILE;
    effect->recall.type = (layouttype4)grant->key.type;
    effect->recall.referral_count = grant->referral_count;
    if (grant->referrals)
        memcpy(effect->recall.referral, grant->referrals,
               grant->referral_count * sizeof grant->referrals[0]);
    effect->recall.place = grant->place;
    grant_stateid(e, grant, recall->seqid, &effect->recall.stateid);
    trace(e, "recall", grant->seal, grant->holder->client_id, "\"seqid\":%u", recall->seqid);
}

static bool recall_is_waiting(const struct recall *recall)
{
    return recall->phase == RECALL_PAUSED || recall->phase == RECALL_KNOWN;
}

void recall_drive(struct engine *e, struct grant *grant)
{
    struct recall *recall = &grant->recall;
    if (grant->stale)
        bulk_drive(e, grant->holder);
    else if (recall->phase == RECALL_DUE && grant->holder->callable)
        recall_send(e, grant);
    else if (recall_is_waiting(recall) && recall->at <= e->now)
        recall_send(e, grant);
}

/* So that it goes on after a crash. Nothing waits for this record. */
static void record_wish(struct engine *e, struct seal *seal)
{
    uint64_t ticket;
    if (!is_releasing_from_grants(seal) || seal->wish_on_record || seal->broken ||
        !effect_has_room(e))
        return;
    struct journal_record *record = journal_push(e, JOURNAL_SEAL_PHASE, &ticket);
    record->seal = (struct journal_seal){.key = seal->key, .phase = JOURNAL_WANTED};
    seal->wish_on_record = true;
}

void release_start(struct engine *e, struct seal *seal)
{
    at_rest_busy(e, seal);
    seal->linger_at = 0;
    seal->release_wanted = true;
    seal->deadline = e->now + e->options.recall_timeout;
    seal_set_state(e, seal, ENGINE_RECALLING);
    struct grant *grant;
    DL_FOREACH2(seal->grants, grant, seal_next)
    {
        if (grant->stale || grant->leaving_until)
            continue;
        grant->seqid = seqid_next(grant->seqid);
        grant->recall = (struct recall){.phase = RECALL_DUE, .seqid = grant->seqid};
        grant->recalled_at = e->now;
    }
    release_drive(e, seal);
    record_wish(e, seal);
}

/* What one look at all holders finds. */
struct survey {
    bool fencing, failed;
    uint64_t wake;
};

static void survey_reach(struct engine *e, struct seal *seal, struct reach *reach,
                         uint64_t deadline, struct survey *survey)
{
    if (e->now < deadline) {
        survey->wake = sooner(survey->wake, deadline);
        return;
    }
    fence_drive(e, reach, seal);
    switch (reach->fence) {
    case FENCE_RUNNING:
    case FENCE_RECORDING:
        survey->fencing = true;
        return;
    case FENCE_QUIESCING:
        survey->fencing = true;
        survey->wake = sooner(survey->wake, reach->fence_at);
        return;
    case FENCE_FAILED:
        survey->failed = true;
        survey->wake = sooner(survey->wake, reach->fence_at);
        return;
    case FENCE_NONE:
        survey->wake = sooner(survey->wake, e->now + e->options.recall_pause);
        return;
    }
}

/* A haunt that ends by itself is waited for: its client is healthy, as far as is known. */
static uint64_t past_deadline(const struct engine *e, const struct seal *seal,
                              const struct reach *reach)
{
    uint64_t end = haunt_ends_at(e, reach);
    return end > seal->deadline ? end : seal->deadline;
}

static void survey_grants(struct engine *e, struct seal *seal, struct survey *survey)
{
    struct grant *grant;
    DL_FOREACH2(seal->grants, grant, seal_next)
    {
        struct reach *reach = grant->reach;
        if (grant->leaving_until)
            continue;
        if (reach->fence != FENCE_RUNNING && reach->fence != FENCE_RECORDING)
            recall_drive(e, grant);
        if (recall_is_waiting(&grant->recall) && grant->recall.at > e->now)
            survey->wake = sooner(survey->wake, grant->recall.at);
        survey_reach(e, seal, reach, grant->stale ? past_deadline(e, seal, reach) : seal->deadline,
                     survey);
    }
}

/* A client of before the restart that has not been heard of gets the time of a lease to come back.
 */
static void survey_maybes(struct engine *e, struct seal *seal, struct survey *survey)
{
    uint64_t absent = e->started + e->options.lease_time;
    if (absent < seal->deadline)
        absent = seal->deadline;
    struct reach *reach;
    DL_FOREACH2(seal_maybes(seal), reach, maybe_next)
    {
        bulk_drive(e, reach->holder);
        survey_reach(e, seal, reach,
                     reach->holder->client_id ? past_deadline(e, seal, reach) : absent, survey);
    }
}

static void became_stuck(struct engine *e, struct seal *seal)
{
    char why[ENGINE_WHY_MAX];
    seal_set_state(e, seal, ENGINE_STUCK_STATE);
    release_explain(e, seal, why, sizeof why);
    if (!seal->told)
        alarm_push(e, seal, "%s: %s", seal->path, why);
    seal->told = true;
    answer_all(e, &seal->release_calls, ENGINE_STUCK, why);
}

/* Holders that may be there from before the restart are none of this file's: its last grant is on
 * record as gone. */
static void try_again(struct engine *e, struct seal *seal)
{
    bool due = seal->step_at <= e->now && effect_has_room(e);
    if (due && seal->broken && !seal->by_operator) {
        seal->held_back = false;
        seal->step_at = 0;
        seal_set_state(e, seal, ENGINE_BROKEN_STATE);
    } else if (due) {
        seal_release_now(e, seal);
        return;
    }
    seal_plan(e, seal, 0);
}

void release_drive(struct engine *e, struct seal *seal)
{
    if (seal->held_back) {
        try_again(e, seal);
        return;
    }
    struct survey survey = {.wake = leave_drive(e, seal)};
    if (!is_releasing_from_grants(seal) || release_check(e, seal))
        return;
    survey_grants(e, seal, &survey);
    survey_maybes(e, seal, &survey);
    if (!seal->grants && !seal_maybes(seal) && !growing_is_busy(seal))
        survey.failed = true; /* nobody is left but those whom nobody knows */
    if (survey.fencing)
        seal_set_state(e, seal, ENGINE_FENCING);
    else if (survey.failed)
        became_stuck(e, seal);
    else {
        seal_set_state(e, seal, ENGINE_RECALLING);
        seal->told = false;
    }
    seal_plan(e, seal, survey.wake);
}

void release_drive_volume(struct engine *e, const struct volume *volume)
{
    struct seal *seal, *next;
    DL_FOREACH_SAFE2(e->active, seal, next, active_next)
    {
        if (seal->volume == volume)
            release_drive(e, seal);
    }
}

void release_request(struct engine *e, struct engine_release *call)
{
    struct seal *seal = seal_find(e, &call->key);
    if (!seal) {
        answer(e, &call->call, ENGINE_OK, "%s", "");
        return;
    }
    if (!call->by_operator && !seal->at_rest && seal->state == ENGINE_SEALING) {
        answer(e, &call->call, ENGINE_UNDER_WAY, "is being sealed");
        return;
    }
    if (!call->by_operator && !seal->at_rest && !seal->release_wanted) {
        answer(e, &call->call, ENGINE_NOT_ALLOWED,
               "has a seal that only the operator can take off: sealctl unseal");
        return;
    }
    char why[ENGINE_WHY_MAX];
    if (!call->by_operator && seal->broken) {
        release_explain(e, seal, why, sizeof why);
        answer(e, &call->call, ENGINE_NOT_ALLOWED, "%s", why);
        return;
    }
    trace(e, "release-wanted", seal, 0, "\"by_operator\":%s", call->by_operator ? "true" : "false");
    seal->release_wanted = true;
    seal->next_reserve = 0; /* somebody is to have the file without a seal */
    seal->by_operator = seal->by_operator || call->by_operator;
    seal->gave_way = seal->gave_way || (seal->at_rest && !call->by_operator);
    if (seal->state == ENGINE_SEALED)
        release_start(e, seal);
    else if (seal->state == ENGINE_BROKEN_STATE)
        release_check(e, seal);
    else if (seal->held_up && seal->step_at && call->by_operator) {
        seal->step_at = e->now;
        seal_plan(e, seal, seal->wake);
    }
    release_explain(e, seal, why, sizeof why);
    if (seal->state == ENGINE_STUCK_STATE) {
        answer(e, &call->call, ENGINE_STUCK, "%s", why);
    } else if (call->patience == 0) {
        answer(e, &call->call, ENGINE_UNDER_WAY, "%s", why);
    } else {
        call->call.next = NULL;
        call->call.due = e->now + call->patience;
        LL_APPEND(seal->release_calls, &call->call);
        seal_plan(e, seal, seal->wake);
    }
}

/* A local program is told once: what it was told does not get lost, and it need not be told to
 * commit. */
static void recall_is_known(struct engine *e, struct grant *grant)
{
    struct recall *recall = &grant->recall;
    recall->phase = RECALL_KNOWN;
    recall->at = UINT64_MAX;
    if (holder_is_local(grant->holder))
        return;
    if (!recall->reminder_pause)
        recall->reminder_pause = e->options.recall_pause * REMINDER_PAUSES;
    else if (recall->reminder_pause < e->options.recall_pause * REMINDER_PAUSES_MAX)
        recall->reminder_pause *= 2;
    recall->at = e->now + recall->reminder_pause;
    seal_plan(e, grant->seal, sooner(grant->seal->wake, recall->at));
}

/* The client has none. Whether it has waited for its I/O as well depends on what happened to it
 * since the grant. */
static void denied(struct engine *e, struct grant *grant)
{
    struct seal *seal = grant->seal;
    if (end_is_proven(grant, ENGINE_END_DENIED)) {
        grant_end(e, grant, ENGINE_END_DENIED);
        return;
    }
    haunt_begin(e, grant);
    release_drive(e, seal);
}

static void file_recall_answered(struct engine *e, const struct engine_event *event,
                                 struct holder *holder)
{
    struct seal *seal = seal_find(e, &event->recall.key);
    struct grant *grant = seal ? grant_find(e, seal, holder, event->recall.type) : NULL;
    if (!grant || grant->recall.phase != RECALL_SENT ||
        grant->recall.ticket != event->recall.ticket)
        return;
    struct recall *recall = &grant->recall;
    trace(e, "recall-answered", seal, holder->client_id, "\"outcome\":%d,\"status\":%d",
          event->recall.outcome, event->recall.status);
    if (grant->leaving_until) {
        leave_answered(e, event, grant);
        return;
    }
    uint64_t pause = e->options.recall_pause;
    if (event->recall.outcome == ENGINE_RECALL_ANSWERED) {
        if (event->recall.status == NFS4ERR_NOMATCHING_LAYOUT) {
            denied(e, grant);
            return;
        }
        if (event->recall.status == NFS4_OK || event->recall.status == NFS4ERR_OLD_STATEID) {
            recall_is_known(e, grant);
            return;
        }
    } else {
        pause *= NO_CHANNEL_PAUSES;
        if (event->recall.outcome == ENGINE_RECALL_NO_CHANNEL)
            holder->callable = false;
    }
    recall->phase = RECALL_PAUSED;
    recall->at = e->now + pause;
    seal_plan(e, seal, sooner(seal->wake, recall->at));
}

static void bulk_recall_answered(struct engine *e, const struct engine_event *event,
                                 struct holder *holder)
{
    struct recall *bulk = &holder->bulk;
    if (bulk->phase != RECALL_SENT || bulk->ticket != event->recall.ticket)
        return;
    trace(e, "bulk-recall-answered", NULL, holder->client_id, "\"outcome\":%d,\"status\":%d",
          event->recall.outcome, event->recall.status);
    uint64_t pause = e->options.recall_pause * NO_CHANNEL_PAUSES;
    if (event->recall.outcome == ENGINE_RECALL_ANSWERED) {
        if (event->recall.status == NFS4ERR_NOMATCHING_LAYOUT) {
            holder_past_is_over(e, holder, JOURNAL_WAY_MEMORY, ENGINE_END_DENIED);
            return;
        }
        if (event->recall.status == NFS4_OK) {
            bulk->phase = RECALL_KNOWN;
            return;
        }
        if (event->recall.status == NFS4ERR_DELAY)
            pause = e->options.recall_pause;
    } else if (event->recall.outcome == ENGINE_RECALL_NO_CHANNEL) {
        holder->callable = false;
    }
    bulk->phase = RECALL_PAUSED;
    bulk->at = e->now + pause;
    e->wake = sooner(e->wake, bulk->at);
}

void recall_answered(struct engine *e, const struct engine_event *event)
{
    struct holder *holder = holder_find(e, event->recall.client_id);
    if (!holder)
        return;
    if (event->recall.outcome == ENGINE_RECALL_ANSWERED)
        holder_is_heard(holder);
    if (event->recall.scope == LAYOUTRECALL4_FILE)
        file_recall_answered(e, event, holder);
    else
        bulk_recall_answered(e, event, holder);
}

static layouttype4 memory_type(const struct engine *e)
{
    const struct layout_type *const *type = e->options.types;
    while (*type && type_way(*type) != JOURNAL_WAY_MEMORY)
        type++;
    return *type ? (*type)->number : e->options.types[0]->number;
}

/* What this process has registered for it, and its stateid is dead. */
static bool has_stale_memory(const struct holder *holder)
{
    const struct grant *grant;
    if (!holder->stale_count) /* the usual case, and a release asks it of everybody */
        return false;
    DL_FOREACH2(holder->grants, grant, holder_next)
    {
        if (grant->stale && grant->reach->way == JOURNAL_WAY_MEMORY)
            return true;
    }
    return false;
}

void bulk_drive(struct engine *e, struct holder *holder)
{
    struct recall *bulk = &holder->bulk;
    if (!holder->client_id || !holder->callable || holder_is_local(holder) ||
        !has_stale_memory(holder))
        return;
    if (bulk->phase == RECALL_SENT || bulk->phase == RECALL_KNOWN ||
        (bulk->phase == RECALL_PAUSED && bulk->at > e->now) || !effect_has_room(e))
        return;
    if (bulk->phase == RECALL_NONE)
        holder->bulk_since = e->now;
    struct engine_effect *effect = effect_push(e, ENGINE_DO_RECALL, NULL);
    e->counters.recalls++;
    bulk->phase = RECALL_SENT;
    bulk->ticket = effect->recall.ticket = ++e->next_ticket;
    effect->recall.client_id = holder->client_id;
    effect->recall.scope = LAYOUTRECALL4_ALL;
    effect->recall.type = memory_type(e);
    trace(e, "bulk-recall", NULL, holder->client_id, "%s", "");
}

bool bulk_is_pending(const struct engine *e, const struct holder *holder)
{
    return holder->bulk.phase != RECALL_NONE &&
           e->now < holder->bulk_since + e->options.recall_timeout;
}

void recall_redrive(struct engine *e, struct holder *holder)
{
    struct grant *grant;
    DL_FOREACH2(holder->grants, grant, holder_next)
    {
        if (!grant->stale &&
            (grant->recall.phase == RECALL_DUE || grant->recall.phase == RECALL_PAUSED))
            recall_send(e, grant);
    }
    if (holder->bulk.phase == RECALL_PAUSED)
        holder->bulk.at = e->now;
    bulk_drive(e, holder);
}

static const char *seconds_left(const struct engine *e, uint64_t at, char text[32])
{
    uint64_t left = at > e->now ? (at - e->now) / UINT64_C(1000000000) : 0;
    snprintf(text, 32, "%llu s", (unsigned long long)left);
    return text;
}

/* What keeps a local program's fence from working, and what to do. */
static void explain_local(const struct engine *e, const struct holder *holder, const char *address,
                          const char *when, char *text, size_t size)
{
    const enum journal_holder_kind kind = holder->owner->kind;
    const int len = (int)holder->owner->len;
    const char *name = (const char *)holder->owner->bytes, *what;
    bool has_word = true; /* of the operator, which ends it */
    if (kind == JOURNAL_HOLDER_HOOK && e->options.fence_hook) {
        what = "the fence hook did not succeed; it is called again";
        has_word = false;
    } else if (kind == JOURNAL_HOLDER_HOOK) {
        what = "no fence hook is configured; set fence_hook, or end the program";
    } else if (holder->client_id) {
        what = "is still there; have it give the file back, or end it";
        has_word = false;
    } else if (kind == JOURNAL_HOLDER_CLOSE) {
        what = "is not known to be gone; have it come back, or end it";
    } else {
        what = "declared no fence; have it come back";
    }
    snprintf(text, size, "cannot be released: local program %.*s (%s)%s %s%s%.*s%s", len, name,
             address, when, what, has_word ? ", or say sealctl fenced " : "", has_word ? len : 0,
             name, has_word ? " when it is certain not to touch the disk" : "");
}

static void explain_haunted(const struct engine *e, const struct reach *reach, const char *address,
                            char *text, size_t size)
{
    const char *what = volume_is_reserved(reach->volume)
                           ? "its key could not be seen to be gone from the disk (the log says why)"
                       : e->options.fence_hook ? "the fence hook did not succeed"
                                               : "no fence hook is configured";
    snprintf(
        text, size,
        "cannot be released: client %s (id %016llx) lost its layout of it without giving it back "
        "(a restart of the server, a lost lease, another verifier), so that what it wrote may "
        "still be queued, and %s; unmount there, or cut the client off from the disk, or, when "
        "it is certain that nothing of it is queued any more, say so: sealctl fenced %s (tried "
        "again every %llu s)",
        address, (unsigned long long)reach->holder->last_client_id, what,
        reach->holder->address[0] ? reach->holder->address : "OWNER",
        (unsigned long long)(e->options.fence_retry / UINT64_C(1000000000)));
}

static void explain_stuck(const struct engine *e, const struct seal *seal,
                          const struct reach *reach, char *text, size_t size)
{
    const char *address = reach->holder->address[0] ? reach->holder->address : "of unknown address";
    const char *when = seal->grants ? "" : " of before the restart";
    unsigned long long id = reach->holder->last_client_id;
    if (holder_is_local(reach->holder)) {
        explain_local(e, reach->holder, address, when, text, size);
        return;
    }
    if (haunt_is_on(reach)) {
        explain_haunted(e, reach, address, text, size);
        return;
    }
    if (reach->way == JOURNAL_WAY_MEMORY) {
        snprintf(text, size,
                 "cannot be released: client %s (id %016llx)%s did not return its layout, and what "
                 "is registered "
                 "for it with the RDMA device could not be seen to be taken back (the log says "
                 "why); it is tried "
                 "again every %llu s, and restarting sealnfsd takes all of it back",
                 address, id, when,
                 (unsigned long long)(e->options.fence_retry / UINT64_C(1000000000)));
        return;
    }
    if (volume_is_reserved(reach->volume)) {
        snprintf(text, size,
                 "cannot be released: client %s (id %016llx)%s did not return its layout, and its "
                 "key could not "
                 "be seen to be gone from the disk (the log says why); see that the server reaches "
                 "the disk and "
                 "holds its reservation, or make the client unmount or restart it (tried again "
                 "every %llu s)",
                 address, id, when,
                 (unsigned long long)(e->options.fence_retry / UINT64_C(1000000000)));
        return;
    }
    if (!e->options.fence_hook && e->options.quiesce_is_safe) {
        snprintf(text, size,
                 "cannot be released yet: client %s (id %016llx)%s did not return its layout, and "
                 "its lease is "
                 "not over; the seal goes %llu s after the lease has run out, or when the client "
                 "unmounts or "
                 "restarts",
                 address, id, when,
                 (unsigned long long)(e->options.quiesce_time / UINT64_C(1000000000)));
        return;
    }
    snprintf(text, size,
             "cannot be released: client %s (id %016llx)%s did not return its layout and %s; make "
             "it unmount, or cut it off from the disk by a working fence_hook (tried again every "
             "%llu s), or, when it is switched off or has no disk any more, say so: sealctl fenced "
             "--yes %016llx",
             address, id, when,
             e->options.fence_hook ? "the fence hook did not succeed"
                                   : "no fence hook is configured",
             (unsigned long long)(e->options.fence_retry / UINT64_C(1000000000)), id);
}

/* The reach that is in the way: of a grant first, then of a holder of before the restart. */
static const struct reach *obstacle(const struct seal *seal, bool only_failed)
{
    const struct grant *grant;
    DL_FOREACH2(seal->grants, grant, seal_next)
    {
        const struct reach *reach = grant->reach;
        if (!only_failed || reach->fence == FENCE_FAILED)
            return reach;
    }
    const struct reach *reach;
    DL_FOREACH2(seal_maybes(seal), reach, maybe_next)
    {
        if (!only_failed || reach->fence == FENCE_FAILED)
            return reach;
    }
    return NULL;
}

static void explain_broken(const struct seal *seal, char **text, size_t *size)
{
    int n = snprintf(*text, *size, "was broken from outside (%.*s), so that no layouts are given; ",
                     ENGINE_WHY_MAX / 2, seal->breach ? seal->breach : "the log says how");
    if (n > 0 && (size_t)n < *size) {
        *text += n;
        *size -= (size_t)n;
    }
}

void release_explain(const struct engine *e, const struct seal *seal, char *text, size_t size)
{
    char left[32];
    const struct reach *reach = obstacle(seal, seal->state == ENGINE_STUCK_STATE);
    text[0] = '\0';
    if (seal->broken)
        explain_broken(seal, &text, &size);
    switch (seal->state) {
    case ENGINE_OPEN:
        return;
    case ENGINE_SEALED:
        if (doubt_is_about(e, &seal->key))
            snprintf(text, size, "grants nothing: %s", ENGINE_DOUBT_TEXT);
        return;
    case ENGINE_SEALING:
        snprintf(text, size, "is being sealed");
        return;
    case ENGINE_RECALLING:
        if (reach)
            snprintf(
                text, size,
                "is being released: %u grants, and %u clients that may have had some before the "
                "restart, first client %s; it is fenced if it has not given it back in %s",
                seal->grant_count, seal_maybes(seal) ? seal->volume->maybe_count : 0,
                reach->holder->address, seconds_left(e, seal->deadline, left));
        return;
    case ENGINE_FENCING:
        if (reach)
            snprintf(text, size,
                     "is being released: client %s did not return its layout in time and is being "
                     "fenced",
                     reach->holder->address);
        return;
    case ENGINE_STUCK_STATE:
        if (reach)
            explain_stuck(e, seal, reach, text, size);
        else if (doubt_is_about(e, &seal->key))
            snprintf(text, size, "cannot be released: %s", ENGINE_DOUBT_TEXT);
        else if (seal->failure)
            snprintf(text, size, "%s", seal->failure);
        return;
    case ENGINE_RELEASING:
        if (seal->held_up)
            snprintf(text, size,
                     "cannot be released yet: the immutable flag could not be cleared (%.*s); it "
                     "is tried again every %llu s, and at once by sealctl unseal",
                     ENGINE_WHY_MAX / 2, seal->held_up,
                     (unsigned long long)(e->options.fence_retry / UINT64_C(1000000000)));
        else
            snprintf(text, size,
                     "is being released: all grants are gone, the flag is being cleared");
        return;
    case ENGINE_BROKEN_STATE:
        snprintf(text, size,
                 "no holder is left; check the file, then take the seal off: sealctl unseal");
        return;
    case ENGINE_STATES:
        return;
    }
}
