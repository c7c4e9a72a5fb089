/*
 * The devices that seals are on: every one that a client was ever told of, by its id. Their
 * descriptions are in the journal, so that GETDEVICEINFO has an answer for every id also after a
 * restart (RFC 8881 section 12.2.10: an id lives as long as a layout names it).
 */
#include "layout/engine/private.h"

struct volume *volume_find(const struct engine *e, const uint8_t id[DEVICE_ID_SIZE])
{
    struct volume *volume;
    HASH_FIND(hh, e->volumes, id, DEVICE_ID_SIZE, volume);
    return volume;
}

/* device NULL: the journal names a device that it does not describe; its seals are kept, and grant
 * nothing.
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

int volume_need(struct engine *e, const uint8_t id[DEVICE_ID_SIZE], struct volume **out)
{
    *out = volume_find(e, id);
    return *out ? 0 : volume_add(e, id, NULL, out);
}

static void volume_replace(struct volume *volume, struct device *device)
{
    struct device *old = volume->device;
    volume->device = device_ref(device);
    device_free(old);
}

static void journal_volume(struct engine *e, const struct volume *volume)
{
    uint64_t ticket;
    struct journal_record *record = journal_push(e, JOURNAL_DEVICE_PUT, &ticket);
    memcpy(record->device.id, volume->id, DEVICE_ID_SIZE);
    memcpy(record->device.fs_uuid, device_fs_uuid(volume->device), DEVICE_UUID_SIZE);
    record->device.volume = device_volume(volume->device);
}

/* The device as it is now (it may have grown, and has a node) takes the place of the journal's
 * description.
 */
int volume_make(struct engine *e, struct device *device, struct volume **out)
{
    struct volume *volume = volume_find(e, device_id(device));
    bool is_new = !volume || !volume->device;
    int err = volume ? 0 : volume_add(e, device_id(device), device, &volume);
    if (err)
        return err;
    /* A step that began before it grew still has the smaller one. */
    bool older =
        !is_new && !device_volume_covers(device_volume(device), device_volume(volume->device));
    bool changed = !is_new && !older && !device_describes_same(volume->device, device);
    if (!volume->device || (!older && !device_same(volume->device, device)))
        volume_replace(volume, device);
    if (is_new || changed)
        journal_volume(e, volume);
    if (changed)
        memcpy(effect_push(e, ENGINE_DO_DEVICE_CHANGED, NULL)->device_id, volume->id,
               DEVICE_ID_SIZE);
    *out = volume;
    return 0;
}

/*
 * The newest generation of the device that is known, and what the one that is there now has to be:
 * the same if everything is where it was, else the next.
 */
static void settle_generation(struct engine *e, struct device *device)
{
    struct volume *newest = NULL, *volume;
    uint32_t generation = 0;
    for (;; generation++) {
        device_set_generation(device, generation);
        volume = volume_find(e, device_id(device));
        if (!volume || !volume->device)
            break;
        if (newest)
            newest->superseded = true;
        newest = volume;
    }
    if (newest && device_volume_covers(device_volume(device), device_volume(newest->device)))
        device_set_generation(device, generation - 1);
    else if (newest)
        newest->superseded = true;
}

bool volume_is_settled(const struct volume *volume)
{
    return !volume->superseded && !volume->undescribed;
}

static bool any_is_unsettled(const struct engine *e)
{
    for (const struct volume *volume = e->volumes; volume; volume = volume->hh.next)
        if (volume->seal_count && !volume_is_settled(volume))
            return true;
    return false;
}

/* Their blocks are not where clients look for them any more: every layout has to come back. */
static void release_unsettled(struct engine *e, const char *what)
{
    struct seal *seal, *next;
    if (!any_is_unsettled(e))
        return;
    HASH_ITER(hh, e->seals, seal, next)
    {
        if (!seal->volume || volume_is_settled(seal->volume) || seal->state != ENGINE_SEALED)
            continue;
        if (!effect_has_room(e)) /* the next look goes on */
            return;
        alarm_push(e, seal,
                   "%s: the volume that it is on has been changed underneath (%s): its layouts "
                   "are recalled and its seal is taken off; seal it again when the volume is "
                   "settled, and compare the file if clients were writing to it",
                   seal->path, what);
        release_start(e, seal);
    }
}

/* Without memory it is not taken over; the next look brings it again. */
void device_seen(struct engine *e, struct device *device)
{
    struct volume *volume;
    settle_generation(e, device);
    if (volume_make(e, device, &volume) == 0)
        volume->undescribed = false;
    release_unsettled(e, "pvmove? a new partition table?");
    watch_unseen(e, device_fs_uuid(device));
}

/* A volume without a device is one of a journal that lost it: it grants nothing anyhow. */
void device_undescribed(struct engine *e, const uint8_t *fs_uuid, const char *why)
{
    for (struct volume *volume = e->volumes; volume; volume = volume->hh.next) {
        if (volume->device &&
            memcmp(device_fs_uuid(volume->device), fs_uuid, FILE_KEY_UUID_SIZE) == 0)
            volume->undescribed = true;
    }
    release_unsettled(e, why);
}

bool engine_device_is_superseded(const struct engine *e, const uint8_t id[DEVICE_ID_SIZE])
{
    const struct volume *volume = volume_find(e, id);
    return volume && volume->superseded;
}

bool engine_client_holds_on(const struct engine *e, uint64_t client_id,
                            const uint8_t id[DEVICE_ID_SIZE])
{
    const struct holder *holder = holder_find(e, client_id);
    const struct grant *grant;
    DL_FOREACH2(holder ? holder->grants : NULL, grant, holder_next)
    {
        if (grant->seal->volume && memcmp(grant->seal->volume->id, id, DEVICE_ID_SIZE) == 0)
            return true;
    }
    return false;
}

void engine_each_device(const struct engine *e,
                        void (*visit)(const struct device *device, void *arg), void *arg)
{
    for (const struct volume *volume = e->volumes; volume; volume = volume->hh.next)
        if (volume->device)
            visit(volume->device, arg);
}

const struct device *engine_device(const struct engine *e, const uint8_t id[DEVICE_ID_SIZE])
{
    const struct volume *volume = volume_find(e, id);
    return volume ? volume->device : NULL;
}

/* By its id: the journal does not say which generation it was. */
static void restore_generation(struct device *device, const uint8_t id[DEVICE_ID_SIZE])
{
    enum { GENERATIONS_MAX = 4096 };
    uint32_t generation = 0;
    while (memcmp(device_id(device), id, DEVICE_ID_SIZE) != 0 && generation < GENERATIONS_MAX)
        device_set_generation(device, ++generation);
}

int engine_restore_device(struct engine *e, const struct journal_device *described)
{
    struct device *device;
    int err = device_from_description(described->fs_uuid, described->volume, &device);
    if (err)
        return err;
    restore_generation(device, described->id);
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
