/*
 * journal.c - the journal as the keeper uses it: opened and judged at start, written record
 * by record. Its commits are commit.c's, its watermarks mark.c's.
 *
 * A damaged journal is put aside under another name, and a new one is begun: the server comes up,
 * every file system it exports is in doubt, and nothing there is granted or released until the
 * operator has spoken. The same follows when the journal is missing or older than the file systems
 * remember. Putting the right journal back and starting again ends the doubt: watermarks are not
 * written while there is any.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/database.h"
#include "layout/journal/watermark.h"
#include "layout/reservation/reservation.h"
#include "server/base/log.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/keeper/private.h"

static int take_doubt(const uint8_t *fs_uuid, void *arg)
{
    return engine_restore_doubt(arg, fs_uuid, true);
}

static int take_device(const struct journal_device *device, void *arg)
{
    return engine_restore_device(arg, device);
}

static int take_seal(const struct journal_seal *seal, void *arg)
{
    return engine_restore_seal(arg, seal);
}

static int take_holder(const struct journal_holder *holder, void *arg)
{
    return engine_restore_holder(arg, holder);
}

static int take_fenced(const struct journal_holder *holder, void *arg)
{
    return engine_restore_fenced(arg, holder);
}

const char *keeper_contradiction(const struct keeper *keeper, int err, const struct watermark *mark,
                                 bool *passing)
{
    *passing = err && err != -ENODATA && err != -EUCLEAN;
    if (err == -ENODATA)
        return NULL;
    if (err == -EUCLEAN)
        return "what the file system remembers of its journal makes no sense";
    if (err)
        return "what the file system remembers of its journal cannot be read just now";
    if (mark->journal_id != keeper->at_start.journal_id)
        return "the file system belongs to another journal";
    if (mark->count > keeper->at_start.count)
        return "the journal is older than what the file system remembers of it";
    return NULL;
}

static const char *find_reason(struct keeper *keeper, const struct export *export, bool *passing)
{
    struct watermark mark;
    int err = watermark_read(export_root_fd(export), export_fs_uuid(export), &mark);
    return keeper_contradiction(keeper, err, &mark, passing);
}

/* A failed read is no reason that lasts: it is tried again with every look at the devices. */
static int doubt_for_now(struct keeper *keeper, unsigned i, const char *why)
{
    const struct export *export = export_at(keeper->exports, i);
    log_error("export %s: %s: nothing there is granted or released until it can; see to its disk "
              "and file system",
              export_config(export)->path, why);
    keeper->unread[i] = true;
    return engine_restore_passing_doubt(keeper->engine, export_fs_uuid(export));
}

/* What it remembers of the journal is looked at when it comes (arrival.c). But a new journal in
 * place of a damaged one says nothing of the seals there, whatever mark it bears then. */
static int doubt_of_away(struct keeper *keeper, const struct export *export, bool set_aside)
{
    uint8_t fs_uuid[FILE_KEY_UUID_SIZE];
    if (!set_aside || !export_served_before(keeper->exports, export, fs_uuid))
        return 0;
    return engine_restore_doubt(keeper->engine, fs_uuid, false);
}

static int find_doubts(struct keeper *keeper, bool set_aside)
{
    int err = 0;
    keeper->at_start =
        (struct watermark){journal_id(keeper->journal), journal_watermark(keeper->journal)};
    for (unsigned i = 0; !err && i < export_count(keeper->exports); i++) {
        const struct export *export = export_at(keeper->exports, i);
        bool passing = false;
        if (export_is_away(export)) {
            err = doubt_of_away(keeper, export, set_aside);
            continue;
        }
        const char *why =
            set_aside ? "the journal was damaged" : find_reason(keeper, export, &passing);
        if (!why)
            continue;
        if (passing) {
            err = doubt_for_now(keeper, i, why);
            continue;
        }
        log_error("export %s: %s: there may be seals and clients with layouts that nobody knows "
                  "of, so nothing "
                  "there is granted or released; put the right journal back into %s and restart "
                  "sealnfsd, or "
                  "cut all clients off or restart them and say so: sealctl forget-holders --yes "
                  "and any file of it",
                  export_config(export)->path, why, keeper->config->state_dir);
        err = engine_restore_doubt(keeper->engine, export_fs_uuid(export), false);
    }
    return err;
}

static int load(struct keeper *keeper, bool set_aside)
{
    static const struct journal_visitor visitor = {.doubt = take_doubt,
                                                   .device = take_device,
                                                   .seal = take_seal,
                                                   .holder = take_holder,
                                                   .fenced = take_fenced};
    struct engine_options options;
    keeper_options(keeper, &options);
    int err = engine_create(&options, &keeper->engine);
    if (!err)
        err = find_doubts(keeper, set_aside);
    if (!err)
        err = journal_load(keeper->journal, &visitor, keeper->engine);
    return err;
}

static void forget(struct keeper *keeper)
{
    engine_destroy(keeper->engine);
    journal_close(keeper->journal);
    keeper->engine = NULL;
    keeper->journal = NULL;
}

static int open_and_load(struct keeper *keeper, const char *path, bool set_aside)
{
    int err = journal_open(path, &keeper->journal);
    if (!err)
        err = load(keeper, set_aside);
    if (err)
        forget(keeper);
    return err;
}

static int set_aside(const char *path)
{
    char name[DATABASE_PATH_MAX];
    int err = database_set_aside(path, name);
    if (!err)
        log_error("the journal %s is damaged: it is kept as %s, and a new one is begun", path,
                  name);
    return err;
}

int keeper_open_journal(struct keeper *keeper)
{
    char path[DATABASE_PATH_MAX];
    if (snprintf(path, sizeof path, "%s/journal.db", keeper->config->state_dir) >= (int)sizeof path)
        return -ENAMETOOLONG;
    keeper->unread = calloc(export_count(keeper->exports) + 1, sizeof *keeper->unread);
    if (!keeper->unread)
        return -ENOMEM;
    int err = open_and_load(keeper, path, false);
    if (err == -EUCLEAN) {
        err = set_aside(path);
        if (!err)
            err = open_and_load(keeper, path, true);
    }
    if (!err)
        err = journal_set_node(keeper->journal, reservation_node_key(keeper->config->node));
    if (err)
        log_error("the journal %s cannot be opened: %s; it says which files are sealed: do not "
                  "remove it, see "
                  "that no other sealnfsd uses it, and that this one may write it",
                  path, err == -EPROTO ? "it is of another version of sealnfsd" : strerror(-err));
    return err;
}

/* Whose watermark goes up with the record; NULL: none (see raises_watermark() in
 * layout/journal/journal.c).
 */
static const uint8_t *fs_of(const struct keeper *keeper, const struct journal_record *record)
{
    const struct device *device;
    switch (record->op) {
    case JOURNAL_SEAL_PUT:
        return record->seal.phase == JOURNAL_SEALED || record->seal.reserve ? record->seal.key.data
                                                                            : NULL;
    case JOURNAL_SEAL_PHASE:
        return record->seal.phase == JOURNAL_RELEASING ? record->seal.key.data : NULL;
    case JOURNAL_SEAL_OVERLAY:
        return record->seal.reserve ? record->seal.key.data : NULL;
    case JOURNAL_HOLDER_PUT:
        device = engine_device(keeper->engine, record->holder.device_id);
        return device ? device_fs_uuid(device) : NULL;
    case JOURNAL_DOUBT_DELETE:
        return record->fs_uuid;
    default:
        return NULL;
    }
}

void keeper_write_record(struct keeper *keeper, const struct journal_record *record)
{
    const uint8_t *fs_uuid = fs_of(keeper, record);
    while (journal_write(keeper->journal, record) == -ENOMEM)
        keeper_pause_ms(10);
    if (fs_uuid)
        keeper_marks_raise(keeper, fs_uuid);
}

void keeper_note_failing(struct keeper *keeper)
{
    if (!keeper->failing[0])
        log_error("the journal in %s cannot be written (%s): nothing is sealed, granted or "
                  "released until it can; it is tried again every second",
                  keeper->config->state_dir, journal_error(keeper->journal));
    snprintf(keeper->failing, sizeof keeper->failing,
             "the journal in %.90s cannot be written just now (%.60s); see to its disk, it "
             "goes on by itself",
             keeper->config->state_dir, journal_error(keeper->journal));
}

void keeper_note_written(struct keeper *keeper)
{
    if (keeper->failing[0])
        log_info("the journal in %s can be written again", keeper->config->state_dir);
    keeper->failing[0] = '\0';
}
