/*
 * The engine's outbox: effects in order, answers after them, traces beside them. See
 * layout/engine/engine.h.
 *
 * Every event starts by reserving room for as many effects as a bounded handler may have; handlers
 * with an unbounded number (recalls) ask effect_has_room() before each and leave the rest to a
 * timer.
 */
#include "layout/engine/private.h"

#include <stdarg.h>
#include <stdio.h>

#include "proto/quote.h"

enum { EFFECT_RESERVE = 64, EFFECT_ROOM_STEP = 256, EFFECTS_KEPT = 4096, TRACE_MAX = 1024 };

static int grow(struct engine *e, size_t want)
{
    if (e->effect_cap - e->effect_count >= want)
        return 0;
    size_t cap = e->effect_count + want + EFFECT_ROOM_STEP;
    struct engine_effect *effects = realloc(e->effects, cap * sizeof *effects);
    if (!effects)
        return -ENOMEM;
    e->effects = effects;
    e->effect_cap = cap;
    return 0;
}

/* An event for each of a million seals, the start, leaves room for as many effects. */
static void give_back_room(struct engine *e)
{
    if (e->effect_cap <= EFFECTS_KEPT)
        return;
    struct engine_effect *effects = realloc(e->effects, EFFECTS_KEPT * sizeof *effects);
    if (!effects)
        return;
    e->effects = effects;
    e->effect_cap = EFFECTS_KEPT;
}

/* What the last event left behind has been looked at; its texts can go. */
void effects_drop(struct engine *e)
{
    for (size_t i = 0; i < e->effect_count; i++) {
        if (e->effects[i].type == ENGINE_DO_ALARM || e->effects[i].type == ENGINE_DO_TRACE)
            free(e->effects[i].text);
    }
    e->effect_head = e->effect_count = 0;
    give_back_room(e);
}

int effect_reserve(struct engine *e)
{
    return grow(e, 2 * EFFECT_RESERVE);
}

bool effect_has_room(struct engine *e)
{
    return grow(e, EFFECT_RESERVE) == 0;
}

struct engine_effect *effect_push(struct engine *e, enum engine_effect_type type,
                                  const struct file_key *key)
{
    struct engine_effect *effect = grow(e, 1) == 0 ? &e->effects[e->effect_count++] : &e->overflow;
    *effect = (struct engine_effect){.type = type};
    if (key)
        effect->key = *key;
    return effect;
}

struct journal_record *journal_push(struct engine *e, enum journal_op op, uint64_t *ticket)
{
    struct engine_effect *effect = effect_push(e, ENGINE_DO_JOURNAL, NULL);
    effect->journal.ticket = *ticket = ++e->next_ticket;
    effect->journal.record.op = op;
    return &effect->journal.record;
}

bool engine_next_effect(struct engine *e, struct engine_effect *effect)
{
    if (e->effect_head < e->effect_count) {
        *effect = e->effects[e->effect_head++];
        return true;
    }
    struct engine_call *call = e->answers;
    if (!call)
        return false;
    e->answers = call->next;
    if (!e->answers)
        e->answers_tail = NULL;
    *effect = (struct engine_effect){.type = ENGINE_DO_ANSWER, .answer = call};
    return true;
}

void answer(struct engine *e, struct engine_call *call, enum engine_result result, const char *why,
            ...)
{
    call->result = result;
    va_list args;
    va_start(args, why);
    vsnprintf(call->why, sizeof call->why, why, args);
    va_end(args);
    call->next = NULL;
    if (e->answers_tail)
        e->answers_tail->next = call;
    else
        e->answers = call;
    e->answers_tail = call;
}

void answer_after(struct engine *e, struct engine_call *call, uint64_t ticket)
{
    call->due = ticket;
    call->subject = NULL;
    call->again = NULL;
    call->next = NULL;
    LL_APPEND(e->commit_calls, call);
}

void answer_all(struct engine *e, struct engine_call **calls, enum engine_result result,
                const char *why)
{
    while (*calls) {
        struct engine_call *call = *calls;
        *calls = call->next;
        answer(e, call, result, "%s", why);
    }
}

void note_time(struct engine_times *times, uint64_t took)
{
    static const unsigned tenths[ENGINE_TIMES] = {1, 10, 100, 600, 3000};
    unsigned i = 0;
    while (i < ENGINE_TIMES && took > tenths[i] * UINT64_C(100000000))
        i++;
    if (i < ENGINE_TIMES)
        times->within[i]++;
    times->count++;
    times->sum_ns += took;
}

void alarm_push(struct engine *e, const struct seal *seal, const char *format, ...)
{
    char text[TRACE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct engine_effect *effect = effect_push(e, ENGINE_DO_ALARM, seal ? &seal->key : NULL);
    effect->text = strdup(text);
}

void trace(struct engine *e, const char *what, const struct seal *seal, uint64_t client_id,
           const char *format, ...)
{
    if (!e->options.trace)
        return;
    char detail[TRACE_MAX / 2], path[TRACE_MAX / 2], text[2 * TRACE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    const char *name = seal && seal->path ? seal->path : "";
    quote_text(path, sizeof path, name, strlen(name), "\"\\");
    snprintf(text, sizeof text,
             "{\"seq\":%llu,\"time_ns\":%llu,\"what\":\"%s\",\"file\":\"%s\",\"state\":\"%s\","
             "\"client\":\"%016llx\"%s%s}",
             (unsigned long long)++e->next_trace, (unsigned long long)e->now, what, path,
             seal ? engine_state_name(seal->state) : "", (unsigned long long)client_id,
             *detail ? "," : "", detail);
    struct engine_effect *effect = effect_push(e, ENGINE_DO_TRACE, seal ? &seal->key : NULL);
    effect->text = strdup(text);
}
