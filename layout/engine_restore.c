/*
 * The engine after a restart: what the journal says is taken over before the first event. A seal is a seal
 * again at once; a holder on record may hold anything on its device until it is known not to.
 */
#include "layout/engine_private.h"

#include <stdio.h>

int engine_restore_seal(struct engine *e, const struct journal_seal *kept)
{
    struct seal *seal;
    int err = seal_create(e, &kept->key, kept->path, &seal);
    if (err)
        return err;
    seal->kind = kept->kind;
    seal->at_rest = kept->at_rest;
    e->at_rest_count += seal->at_rest;
    seal->map = kept->map ? map_ref(kept->map) : NULL;
    seal->mtime_ns = kept->mtime_ns;
    seal->change = kept->change;
    switch (kept->phase) {
    case JOURNAL_SEALING:
        seal->state = ENGINE_SEALING;
        seal->undo = true;
        return 0;
    case JOURNAL_RELEASING:
        seal->state = ENGINE_RELEASING;
        seal->release_wanted = true;
        return volume_need(e, kept->device_id, &seal->volume);
    case JOURNAL_BROKEN:
        seal->broken = true;
        break;
    case JOURNAL_SEALED:
        break;
    }
    /* A phase that makes no sense is the most careful one. */
    seal->state = ENGINE_SEALED;
    return volume_need(e, kept->device_id, &seal->volume);
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
    struct reach *reach = reach_make(holder, volume);
    if (!reach)
        return -ENOMEM;
    reach_set_maybe(reach, true);
    holder->last_client_id = kept->client_id;
    snprintf(holder->address, sizeof holder->address, "%s", kept->address ? kept->address : "");
    holder->lapsed = true;
    return 0;
}

int engine_restore_fenced(struct engine *e, const struct journal_holder *kept)
{
    struct holder *holder;
    int err = holder_make(e, kept->kind, kept->owner, kept->owner_len, kept->verifier, &holder);
    if (err)
        return err;
    holder->fenced = true;
    holder->last_client_id = kept->client_id;
    holder->lapsed = true;
    snprintf(holder->address, sizeof holder->address, "%s", kept->address ? kept->address : "");
    return 0;
}

void engine_start(struct engine *e)
{
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
