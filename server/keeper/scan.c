/*
 * scan.c - seals that the journal does not know: files that carry our mark and the immutable
 * flag (layout/seal/mark.h). They are safe without being known, since nothing clears their flag;
 * they are looked for so that the operator can see them and, in the end, release them.
 *
 * The exports of file systems in doubt are searched at start by a thread of its own: one statx a
 * file, which tells the flag; only immutable files are opened. One file is looked at when the
 * operator asks about it.
 *
 * A look may see what is being undone: a seal that was known when it began, and is not when it
 * comes home. So what is not known is looked at once more, and believed if no seal ended meanwhile.
 * Only a look that shows the file without a seal says that it has none; one that fails does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utlist.h>

#include "layout/container_of.h"
#include "layout/seal/fs.h"
#include "server/base/confine.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/export/export.h"
#include "server/keeper/private.h"

enum { LOOK_PATH_MAX = 1024 };

/* Not known, and looked at once more. */
struct recheck {
    bool again;
    uint64_t ended; /* seals, when that began */
};

struct found {
    struct work work;
    struct loop_msg msg;
    struct keeper *keeper;
    struct found *prev, *next; /* of the scan's rechecks */
    struct recheck recheck;
    struct file_key key, named;
    enum seal_kind kind;
    bool sealed;
    char path[];
};

struct scan {
    struct loop_msg over;
    struct keeper *keeper;
    pthread_t thread;
    atomic_bool stop, running;
    bool *exports; /* which to search, of those at the start */
    unsigned export_count;
    uint64_t looked_at, found;
    bool searched;          /* the keeper's, and the next */
    struct found *rechecks; /* under way */
};

/* Its file system's UUID was changed under the seal, which is on record. Where the old one is still
 * exported this is a copy of that disk, and the seal is the original's. */
static bool is_known_by_its_mark(const struct keeper *keeper, const struct file_key *key,
                                 const struct file_key *named)
{
    struct engine_seal_view view;
    return !file_key_equal(key, named) && !keeper_may_export_fs_of(keeper, named) &&
           engine_seal_view(keeper->engine, named, &view) == 0;
}

static void feed_found(struct keeper *keeper, const struct file_key *key,
                       const struct file_key *named, const char *path, enum seal_kind kind)
{
    struct engine_seal_view view;
    if (!file_key_equal(key, named) && engine_seal_view(keeper->engine, key, &view) != 0)
        log_warning("%s: its seal was made when its file system had another UUID, or on the disk "
                    "that this one is a copy of",
                    path);
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_FOUND,
                                               .found = {.key = *key, .path = path, .kind = kind}});
}

static bool needs_recheck(const struct keeper *keeper, const struct file_key *key,
                          struct recheck *recheck)
{
    struct engine_seal_view view;
    uint64_t ended = engine_seals_ended(keeper->engine);
    if (engine_seal_view(keeper->engine, key, &view) == 0 ||
        (recheck->again && recheck->ended == ended))
        return false;
    *recheck = (struct recheck){.again = true, .ended = ended};
    return true;
}

/* -errno: it could not be looked at, and *sealed is as it was. */
static int read_seal(struct file *file, bool *sealed, enum seal_kind *kind, struct file_key *named)
{
    bool is = false;
    int fd, err = file_data_open(file, FILE_READ, &fd);
    if (err)
        return err;
    err = seal_fs_is_sealed(fd, &is, kind, named);
    file_data_close(file, FILE_READ);
    if (!err)
        *sealed = is;
    return err;
}

static bool is_sealed_at(const char *path, struct file_key *key, struct file_key *named,
                         enum seal_kind *kind)
{
    bool sealed = false;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        log_error("%s is immutable and cannot be looked at: %s", path, strerror(errno));
        return false;
    }
    sealed = seal_fs_is_sealed(fd, &sealed, kind, named) == 0 && sealed &&
             file_key_from_fd(fd, key) == 0;
    close(fd);
    return sealed;
}

static void recheck_found(struct work *work)
{
    struct found *found = container_of(work, struct found, work);
    struct seal_refusal why;
    struct file *file;
    int err = keeper_find_file(found->keeper, &found->key, true, &file);
    if (!err) {
        (void)read_seal(file, &found->sealed, &found->kind, &found->named);
        file_unref(file);
    } else if (keeper_judge_absence(found->keeper, &found->key, err, &why) == FILE_GONE) {
        found->sealed = false;
    }
    jobs_come_home(&found->keeper->jobs, &found->msg);
}

/* When the last of what it found has come home. */
static void say_over(struct scan *scan)
{
    if (!scan->searched || scan->rechecks)
        return;
    log_info("the search for seals that the journal does not know is over: %" PRIu64
             " files looked at, %" PRIu64 " seals found",
             scan->looked_at, scan->found);
    atomic_store(&scan->running, false);
}

static void run_found(struct loop_msg *msg)
{
    struct found *found = container_of(msg, struct found, msg);
    struct keeper *keeper = found->keeper;
    if (found->recheck.again)
        DL_DELETE(keeper->scan->rechecks, found);
    if (found->sealed && !is_known_by_its_mark(keeper, &found->key, &found->named)) {
        if (needs_recheck(keeper, &found->key, &found->recheck)) {
            DL_APPEND(keeper->scan->rechecks, found);
            jobs_submit(&keeper->jobs, &found->work);
            return;
        }
        feed_found(keeper, &found->key, &found->named, found->path, found->kind);
    }
    say_over(keeper->scan);
    free(found);
}

static void post_found(struct scan *scan, const char *path, const struct file_key *key,
                       const struct file_key *named, enum seal_kind kind)
{
    size_t size = strlen(path) + 1;
    struct found *found = malloc(sizeof *found + size);
    if (!found) {
        log_error("out of memory: %s is sealed, but is not listed", path);
        return;
    }
    *found = (struct found){.work = {.run = recheck_found, .key = worker_key(key->data)},
                            .msg.run = run_found,
                            .keeper = scan->keeper,
                            .key = *key,
                            .named = *named,
                            .kind = kind,
                            .sealed = true};
    memcpy(found->path, path, size);
    scan->found++;
    loop_post(scan->keeper->loop, &found->msg);
}

static void look_at_path(struct scan *scan, const char *path)
{
    struct statx stx;
    struct file_key key, named;
    enum seal_kind kind;
    scan->looked_at++;
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &stx) || !S_ISREG(stx.stx_mode) ||
        !(stx.stx_attributes & STATX_ATTR_IMMUTABLE))
        return;
    if (is_sealed_at(path, &key, &named, &kind))
        post_found(scan, path, &key, &named, kind);
}

static void scan_tree(struct scan *scan, const char *root)
{
    char *const roots[] = {(char *)(uintptr_t)root, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    if (!tree) {
        log_error("%s cannot be searched for seals: %s", root, strerror(errno));
        return;
    }
    while ((entry = fts_read(tree))) {
        /* To stop is to enter no further directory: fts_close in the middle of a tree leaks memory.
         */
        if (atomic_load(&scan->stop))
            (void)fts_set(tree, entry, FTS_SKIP);
        else if (entry->fts_info == FTS_F)
            look_at_path(scan, entry->fts_path);
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
            log_error("%s cannot be searched for seals: %s", entry->fts_path,
                      strerror(entry->fts_errno));
    }
    fts_close(tree);
}

static void scan_is_over(struct loop_msg *msg)
{
    struct scan *scan = container_of(msg, struct scan, over);
    scan->searched = true;
    say_over(scan);
}

static void *run_scan(void *arg)
{
    struct scan *scan = arg;
    struct export_table *exports = scan->keeper->exports;
    confine_thread(CONFINE_SCAN);
    for (unsigned i = 0; i < scan->export_count; i++) {
        if (scan->exports[i])
            scan_tree(scan, export_config(export_at(exports, i))->path);
    }
    loop_post(scan->keeper->loop, &scan->over);
    return NULL;
}

static bool choose_exports(struct keeper *keeper, bool *chosen)
{
    bool any = false;
    for (unsigned i = 0; i < export_count(keeper->exports); i++) {
        chosen[i] =
            engine_is_in_doubt(keeper->engine, export_fs_uuid(export_at(keeper->exports, i)));
        any = any || chosen[i];
    }
    return any;
}

/* The engine is still ours alone: its loop has not started. */
void keeper_scan_start(struct keeper *keeper)
{
    struct scan *scan = calloc(1, sizeof *scan);
    bool *chosen = calloc(export_count(keeper->exports) + 1, sizeof *chosen);
    if (!scan || !chosen)
        log_error("out of memory: the file systems are not searched for seals that the journal "
                  "does not know");
    if (!scan || !chosen || !choose_exports(keeper, chosen)) {
        free(chosen);
        free(scan);
        return;
    }
    *scan = (struct scan){.over.run = scan_is_over,
                          .keeper = keeper,
                          .exports = chosen,
                          .export_count = export_count(keeper->exports)};
    keeper->scan = scan;
    atomic_store(&scan->running, true);
    int err = pthread_create(&scan->thread, NULL, run_scan, scan);
    if (err) {
        log_error("the file systems cannot be searched for seals: %s", strerror(err));
        keeper->scan = NULL;
        free(chosen);
        free(scan);
    }
}

bool keeper_scan_is_running(const struct keeper *keeper)
{
    return keeper->scan && atomic_load(&keeper->scan->running);
}

void keeper_scan_stop(struct keeper *keeper)
{
    if (!keeper->scan)
        return;
    atomic_store(&keeper->scan->stop, true);
    pthread_join(keeper->scan->thread, NULL);
}

void keeper_scan_free(struct keeper *keeper)
{
    struct found *found, *next;
    if (!keeper->scan)
        return;
    DL_FOREACH_SAFE(keeper->scan->rechecks, found, next)
    free(found);
    free(keeper->scan->exports);
    free(keeper->scan);
}

struct look {
    struct work work;
    struct loop_msg home;
    struct keeper *keeper;
    struct file *file;
    struct file_key *key; /* the asker's */
    struct loop_msg *then;
    struct recheck recheck;
    bool sealed;
    enum seal_kind kind;
    struct file_key named;
};

static void look_work(struct work *work)
{
    struct look *look = container_of(work, struct look, work);
    (void)read_seal(look->file, &look->sealed, &look->kind, &look->named);
    jobs_come_home(&look->keeper->jobs, &look->home);
}

static void look_home(struct loop_msg *msg)
{
    struct look *look = container_of(msg, struct look, home);
    struct loop_msg *then = look->then;
    char path[LOOK_PATH_MAX];
    if (look->sealed && is_known_by_its_mark(look->keeper, file_key(look->file), &look->named)) {
        *look->key = look->named;
    } else if (look->sealed && needs_recheck(look->keeper, file_key(look->file), &look->recheck)) {
        jobs_submit(&look->keeper->jobs, &look->work);
        return;
    } else if (look->sealed) {
        file_describe(look->file, path, sizeof path);
        feed_found(look->keeper, file_key(look->file), &look->named, path, look->kind);
    }
    file_unref(look->file);
    free(look);
    then->run(then);
}

void keeper_recognize(struct keeper *keeper, struct file *file, struct file_key *key,
                      struct loop_msg *then)
{
    struct look *look = NULL;
    *key = *file_key(file);
    if (file_type(file) == S_IFREG && file_seal(file) == SEAL_NONE)
        look = calloc(1, sizeof *look);
    if (!look) {
        loop_post(keeper->loop, then);
        return;
    }
    *look = (struct look){.work = {.run = look_work, .key = worker_key(file_key(file)->data)},
                          .home.run = look_home,
                          .keeper = keeper,
                          .file = file_ref(file),
                          .key = key,
                          .then = then};
    jobs_submit(&keeper->jobs, &look->work);
}
