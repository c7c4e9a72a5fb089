/*
 * Devices, and the engine after a restart: what the journal says is taken over before the first event. A seal
 * is a seal again at once; a holder on record may hold anything on its device until it is known not to.
 */
#include "layout/engine_private.h"

#include <stdio.h>

struct volume *volume_find(const struct engine *e, const uint8_t id[DEVICE_ID_SIZE])
{
    struct volume *volume;
    HASH_FIND(hh, e->volumes, id, DEVICE_ID_SIZE, volume);
    return volume;
}

/* device NULL: the journal names a device that it does not describe; its seals are kept, and grant nothing.
 */
static int volume_add(struct engine *e, const uint8_t id[DEVICE_ID_SIZE], struct device *device,
                      struct volume **out)
{
    struct volume *volume = calloc(1, sizeof *volume);
    if (!volume)
        return -ENOMEM;
    memcpy(volume->id, id, DEVICE_ID_SIZE);
    HASH_ADD(hh, e->volumes, id, DEVICE_ID_SIZE, volume);
    if (!volume->hh.tbl) {
        free(volume);
        return -ENOMEM;
    }
    volume->device = device ? device_ref(device) : NULL;
    *out = volume;
    return 0;
}

static int volume_need(struct engine *e, const uint8_t id[DEVICE_ID_SIZE], struct volume **out)
{
    *out = volume_find(e, id);
    return *out ? 0 : volume_add(e, id, NULL, out);
}

/* The device as it is now (it may have grown, and has a node) takes the place of the journal's description.
 */
int volume_make(struct engine *e, struct device *device, struct volume **out, bool *is_new)
{
    struct volume *volume = volume_find(e, device_id(device));
    *is_new = !volume || !volume->device || device_st_dev(volume->device) != device_st_dev(device);
    if (!volume) {
        int err = volume_add(e, device_id(device), device, &volume);
        if (err)
            return err;
    } else if (*is_new) {
        struct device *old = volume->device;
        volume->device = device_ref(device);
        device_free(old);
    }
    *out = volume;
    return 0;
}

const struct device *engine_device(const struct engine *e, const uint8_t id[DEVICE_ID_SIZE])
{
    const struct volume *volume = volume_find(e, id);
    return volume ? volume->device : NULL;
}

int engine_restore_device(struct engine *e, const struct journal_device *described)
{
    struct device *device;
    int err = device_from_description(described->fs_uuid, &described->volume, &device);
    if (err)
        return err;
    struct volume *volume = volume_find(e, described->id);
    if (volume) {
        device_free(volume->device);
        volume->device = device;
        return 0;
    }
    err = volume_add(e, described->id, device, &volume);
    device_free(device);
    return err;
}

void engine_adopt_device(struct engine *e, struct device *device)
{
    struct volume *volume;
    bool is_new;
    if (volume_find(e, device_id(device)))
        volume_make(e, device, &volume, &is_new);
}

int engine_restore_seal(struct engine *e, const struct journal_seal *kept)
{
    struct seal *seal;
    int err = seal_create(e, &kept->key, kept->path, &seal);
    if (err)
        return err;
    seal->kind = kept->kind;
    seal->at_rest = kept->at_rest;
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
