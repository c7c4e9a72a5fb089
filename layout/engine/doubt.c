/*
 * Doubt: on a file system whose journal was lost, damaged or put back from an older copy there may
 * be holders and seals that nobody knows of. Until the operator has said that none of those holders
 * can reach the disk any more, no seal there is released, none is made and nothing is granted. A
 * hook cannot help: it fences clients that have a name.
 *
 * A file that carries our mark and the flag without a record (layout/seal/mark.h) is both: a seal,
 * taken in without its map, and a reason for doubt.
 */
#include "layout/engine/private.h"

struct doubt {
    uint8_t fs_uuid[FILE_KEY_UUID_SIZE];
    bool on_record;
    bool passing; /* not to be put on record: the file system could not be read */
    UT_hash_handle hh;
};

static struct doubt *doubt_find(const struct engine *e, const uint8_t *fs_uuid)
{
    struct doubt *doubt;
    HASH_FIND(hh, e->doubts, fs_uuid, FILE_KEY_UUID_SIZE, doubt);
    return doubt;
}

bool doubt_is_about(const struct engine *e, const struct file_key *key)
{
    return e->doubts && doubt_find(e, key->data);
}

bool engine_is_in_doubt(const struct engine *e, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE])
{
    return doubt_find(e, fs_uuid) != NULL;
}

static int doubt_add(struct engine *e, const uint8_t *fs_uuid, bool on_record)
{
    struct doubt *doubt = doubt_find(e, fs_uuid);
    if (doubt) { /* there is a better reason for it now */
        doubt->passing = false;
        doubt->on_record = doubt->on_record || on_record;
        return 0;
    }
    doubt = calloc(1, sizeof *doubt);
    if (!doubt)
        return -ENOMEM;
    memcpy(doubt->fs_uuid, fs_uuid, FILE_KEY_UUID_SIZE);
    doubt->on_record = on_record;
    HASH_ADD(hh, e->doubts, fs_uuid, FILE_KEY_UUID_SIZE, doubt);
    if (!doubt->hh.tbl) {
        free(doubt);
        return -ENOMEM;
    }
    return 0;
}

int engine_restore_passing_doubt(struct engine *e, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE])
{
    bool known = doubt_find(e, fs_uuid) != NULL;
    int err = doubt_add(e, fs_uuid, false);
    if (!err && !known)
        doubt_find(e, fs_uuid)->passing = true;
    return err;
}

int engine_restore_doubt(struct engine *e, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE],
                         bool on_record)
{
    return doubt_add(e, fs_uuid, on_record);
}

void doubts_record(struct engine *e)
{
    struct doubt *doubt, *next;
    HASH_ITER(hh, e->doubts, doubt, next)
    {
        uint64_t ticket;
        if (doubt->on_record || doubt->passing)
            continue;
        memcpy(journal_push(e, JOURNAL_DOUBT_PUT, &ticket)->fs_uuid, doubt->fs_uuid,
               FILE_KEY_UUID_SIZE);
        doubt->on_record = true;
    }
}

void doubts_free(struct engine *e)
{
    struct doubt *doubt, *next;
    HASH_ITER(hh, e->doubts, doubt, next)
    {
        HASH_DEL(e->doubts, doubt);
        free(doubt);
    }
}

/* The journal knows no device for it: that of another seal of the file system. NULL: there is none.
 */
struct volume *volume_of_fs(const struct engine *e, const uint8_t *fs_uuid)
{
    for (struct volume *volume = e->volumes; volume; volume = volume->hh.next) {
        if (volume->device &&
            memcmp(device_fs_uuid(volume->device), fs_uuid, FILE_KEY_UUID_SIZE) == 0)
            return volume;
    }
    return NULL;
}

void seal_found(struct engine *e, const struct engine_event *event)
{
    struct seal *seal;
    if (seal_find(e, &event->found.key))
        return;
    if (doubt_add(e, event->found.key.data, false) ||
        seal_create(e, &event->found.key, event->found.path, &seal)) {
        alarm_push(
            e, NULL,
            "out of memory: %s stays sealed, and cannot be released until it is looked at again",
            event->found.path);
        return;
    }
    doubts_record(e);
    seal->kind = event->found.kind;
    seal->of_before = true;
    seal->volume = volume_of_fs(e, seal->key.data);
    seal_adopt(e, seal);
    trace(e, "found", seal, 0, "%s", "");
    alarm_push(e, seal,
               "%s: is sealed, but the journal does not know it: the journal was lost, damaged or "
               "replaced; it "
               "stays sealed, and grants nothing, until the operator says that no client can use a "
               "layout of "
               "before (sealctl forget-holders --yes FILE)",
               seal->path);
}

/* Whatever comes of it is recorded after what ended the doubt, and so done after its commit. */
static void release_undoubted(struct engine *e, const uint8_t *fs_uuid)
{
    struct seal *seal, *next;
    DL_FOREACH_SAFE2(e->active, seal, next, active_next)
    {
        if (memcmp(seal->key.data, fs_uuid, FILE_KEY_UUID_SIZE) == 0)
            release_drive(e, seal);
    }
}

void doubt_passed(struct engine *e, const uint8_t *fs_uuid)
{
    struct doubt *doubt = doubt_find(e, fs_uuid);
    if (!doubt || !doubt->passing)
        return;
    HASH_DEL(e->doubts, doubt);
    free(doubt);
    trace(e, "doubt-passed", NULL, 0, "%s", "");
    release_undoubted(e, fs_uuid);
}

void doubt_forget(struct engine *e, struct engine_forget *call)
{
    struct doubt *doubt = doubt_find(e, call->fs_uuid);
    uint64_t ticket;
    if (!doubt) {
        answer(e, &call->call, ENGINE_OK,
               "there is no doubt about the holders on this file system");
        return;
    }
    if (!growing_distrust(e, call->fs_uuid)) {
        answer(e, &call->call, ENGINE_NO_MEMORY, "out of memory");
        return;
    }
    HASH_DEL(e->doubts, doubt);
    memcpy(journal_push(e, JOURNAL_DOUBT_DELETE, &ticket)->fs_uuid, call->fs_uuid,
           FILE_KEY_UUID_SIZE);
    free(doubt);
    trace(e, "doubt-over", NULL, 0, "%s", "");
    answer_after(e, &call->call, ticket);
    release_undoubted(e, call->fs_uuid);
}
