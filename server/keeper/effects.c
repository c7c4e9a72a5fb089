/*
 * effects.c - the layout engine's effects, each carried out by its part of the keeper.
 */
#include <errno.h>
#include <stdio.h>

#include "server/base/log.h"
#include "server/base/probe.h"
#include "server/client/client.h"
#include "server/keeper/private.h"
#include "server/keeper/rdma/rdma.h"

/* The word is what keeps writers away, so there is no going on without it. */
static void set_word(struct keeper *keeper, const struct engine_effect *effect)
{
    static const unsigned words[] = {
        [ENGINE_WORD_NONE] = SEAL_NONE,           [ENGINE_WORD_SEALING] = SEAL_SEALING,
        [ENGINE_WORD_FROZEN] = SEAL_FROZEN,       [ENGINE_WORD_PINNED] = SEAL_PINNED,
        [ENGINE_WORD_RELEASING] = SEAL_RELEASING, [ENGINE_WORD_BROKEN] = SEAL_BROKEN,
    };
    unsigned word = words[effect->word.word];
    if (word != SEAL_NONE && effect->word.at_rest)
        word |= SEAL_WORD_AT_REST;
    while (file_table_set_seal(keeper->files, &effect->key, word) == -ENOMEM)
        keeper_pause_ms(10);
    if (word == SEAL_NONE) {
        keeper_unguard(keeper, &effect->key);
        PROBE2(release, effect->key.data, effect->key.len);
    }
}

static void set_overlay(struct keeper *keeper, const struct engine_effect *effect)
{
    const struct file_overlay overlay = {.mtime_ns = effect->overlay.mtime_ns,
                                         .change = effect->overlay.change,
                                         .has_size = effect->overlay.has_size,
                                         .size = effect->overlay.size};
    while (file_table_set_overlay(keeper->files, &effect->key, &overlay) == -ENOMEM)
        keeper_pause_ms(10);
}

static void expire_client(struct keeper *keeper, const struct engine_effect *effect)
{
    client_yield_expired(keeper->clients, effect->expire);
}

static void let_go_memory(struct keeper *keeper, const struct engine_effect *effect)
{
    if (keeper->rdma)
        keeper_rdma_ops->let_go(keeper->rdma, effect);
}

static void tell_changed(struct keeper *keeper, const struct engine_effect *effect)
{
    keeper_notify_changed(keeper, effect->device_id);
}

static void answer_call(struct keeper *keeper, const struct engine_effect *effect)
{
    keeper_answer(keeper, effect->answer);
}

static void raise_alarm(struct keeper *keeper, const struct engine_effect *effect)
{
    (void)keeper;
    log_error("%s", effect->text ? effect->text : "an alarm was lost for want of memory");
}

static void write_trace(struct keeper *keeper, const struct engine_effect *effect)
{
    if (effect->text)
        keeper_trace_write(&keeper->trace, effect->text);
}

typedef void effect_fn(struct keeper *keeper, const struct engine_effect *effect);

static effect_fn *const effects[] = {
    [ENGINE_DO_JOURNAL] = keeper_do_journal, [ENGINE_DO_STEP] = keeper_do_step,
    [ENGINE_DO_RECALL] = keeper_do_recall,   [ENGINE_DO_ASK] = keeper_do_ask,
    [ENGINE_DO_FENCE] = keeper_do_fence,     [ENGINE_DO_EXPIRE] = expire_client,
    [ENGINE_DO_LET_GO] = let_go_memory,      [ENGINE_DO_DEVICE_CHANGED] = tell_changed,
    [ENGINE_DO_ANSWER] = answer_call,        [ENGINE_DO_SEAL_WORD] = set_word,
    [ENGINE_DO_OVERLAY] = set_overlay,       [ENGINE_DO_ALARM] = raise_alarm,
    [ENGINE_DO_TRACE] = write_trace,
};

void keeper_carry_out(struct keeper *keeper, const struct engine_effect *effect)
{
    effects[effect->type](keeper, effect);
}
