/*
 * The devices that seals are on: every one that a client was ever told of, by its id. Their descriptions are
 * in the journal, so that GETDEVICEINFO has an answer for every id also after a restart (RFC 8881 section
 * 12.2.10: an id lives as long as a layout names it).
 */
#include "layout/engine_private.h"

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

/* The device as it is now (it may have grown, and has a node) takes the place of the journal's description.
 */
int volume_make(struct engine *e, struct device *device, struct volume **out)
{
    struct volume *volume = volume_find(e, device_id(device));
    bool is_new = !volume || !volume->device;
    int err = volume ? 0 : volume_add(e, device_id(device), device, &volume);
    if (err)
        return err;
    bool changed = !is_new && !device_describes_same(volume->device, device);
    if (!volume->device || !device_same(volume->device, device))
        volume_replace(volume, device);
    if (is_new || changed)
        journal_volume(e, volume);
    if (changed)
        memcpy(effect_push(e, ENGINE_DO_DEVICE_CHANGED, NULL)->device_id, volume->id, DEVICE_ID_SIZE);
    *out = volume;
    return 0;
}

/* Without memory it is not taken over; the next look brings it again. */
void device_seen(struct engine *e, struct device *device)
{
    struct volume *volume;
    (void)volume_make(e, device, &volume);
}

const struct device *engine_device(const struct engine *e, const uint8_t id[DEVICE_ID_SIZE])
{
    const struct volume *volume = volume_find(e, id);
    return volume ? volume->device : NULL;
}

int engine_restore_device(struct engine *e, const struct journal_device *described)
{
    struct device *device;
    int err = device_from_description(described->fs_uuid, described->volume, &device);
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
