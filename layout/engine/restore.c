/*
 * The engine after a restart: what the journal says is taken over before the first event. A seal is
 * a seal again at once; a holder on record may hold anything on its device until it is known not
 * to.
 */
#include "layout/engine/private.h"

#include <stdio.h>

static const uint8_t no_device[DEVICE_ID_SIZE];

/* Who was past the size before may have left something there. */
static void growing_restore(struct seal *seal, const struct journal_seal *kept)
{
    seal->reserve = kept->reserve;
    seal->size = kept->size;
    seal->tail = seal->dirty_by = kept->tail;
    seal->dirty_start = seal->size;
    seal->dirty_end = seal->reserve;
}

static int fill_restored(struct engine *e, struct seal *seal, const struct journal_seal *kept)
{
    seal->kind = kept->kind;
    seal->of_before = true;
    seal->at_rest = kept->at_rest;
    growing_restore(seal, kept);
    seal->map = kept->map ? map_ref(kept->map) : NULL;
    seal->mtime_ns = kept->mtime_ns;
    seal->change = kept->change;
    /* A phase that makes no sense is the most careful one. So is any phase under doubt: what came
     * after it may be lost. */
    enum journal_seal_phase phase = kept->phase;
    seal->state = ENGINE_SEALED;
    seal->release_wanted =
        phase == JOURNAL_SEALING || phase == JOURNAL_RELEASING || phase == JOURNAL_WANTED;
    if (phase == JOURNAL_SEALING && !doubt_is_about(e, &kept->key)) {
        seal->state = ENGINE_SEALING;
        seal->release_wanted = false;
        seal->undo = true;
        return 0;
    }
    if (phase == JOURNAL_RELEASING && !doubt_is_about(e, &kept->key)) {
        seal->state = ENGINE_RELEASING;
        seal->resumed = true;
    }
    seal->wish_on_record = phase == JOURNAL_WANTED;
    seal->broken = phase == JOURNAL_BROKEN;
    if (memcmp(kept->device_id, no_device, DEVICE_ID_SIZE) != 0)
        return volume_need(e, kept->device_id, &seal->volume);
    seal->volume = volume_of_fs(e, kept->key.data);
    return 0;
}

int engine_restore_seal(struct engine *e, const struct journal_seal *kept)
{
    struct seal *seal;
    int err = seal_create(e, &kept->key, kept->path, &seal);
    if (!err) {
        err = fill_restored(e, seal, kept);
        seal_tally(e, seal);
    }
    return err;
}

int engine_restore_holder(struct engine *e, const struct journal_holder *kept)
{
    struct holder *holder;
    struct volume *volume;
    int err = volume_need(e, kept->device_id, &volume);
    if (!err)
        err = holder_make(e, kept->kind, kept->owner, kept->owner_len, kept->verifier, &holder);
    if (err)
        return err;
    struct reach *reach = reach_make(holder, volume, kept->way);
    if (!reach)
        return -ENOMEM;
    reach_set_maybe(e, reach, true);
    holder->last_client_id = kept->client_id;
    holder_was_at(holder, kept->address);
    holder->lapsed = true;
    return 0;
}

int engine_restore_fenced(struct engine *e, const struct journal_holder *kept)
{
    struct holder *holder;
    int err = holder_make(e, kept->kind, kept->owner, kept->owner_len, kept->verifier, &holder);
    if (err)
        return err;
    const struct volume *volume = volume_find(e, kept->device_id);
    holder->fenced = true;
    holder->fenced_by_hook = holder->fenced_by_hook || (kept->way == JOURNAL_WAY_DISK &&
                                                        (!volume || !volume_is_reserved(volume)));
    holder->last_client_id = kept->client_id;
    holder->lapsed = true;
    holder_was_at(holder, kept->address);
    return 0;
}

void engine_start(struct engine *e)
{
    doubts_record(e);
    struct volume *volume, *next_volume;
    HASH_ITER(hh, e->volumes, volume, next_volume)
    {
        struct reach *reach;
        /* It may have renewed its lease just before we went down. */
        DL_FOREACH2(volume->maybe, reach, maybe_next)
        reach->holder->lapsed_at = e->started + e->options.lease_time;
    }
    struct seal *seal, *next_seal;
    HASH_ITER(hh, e->seals, seal, next_seal)
    {
        seal_resume(e, seal);
    }
}
