/*
 * arrival.c - disks that go and come. Whether an export's file system is there is looked at when
 * the mount table changes, when an operation failed as it does when a disk has gone, and every few
 * seconds. One that went is let go of (server/file/exchange.c), so that it can be unmounted and
 * mounted again; what comes is taken in when the journal has nothing against it: where it has, only
 * a start may judge, before the engine knows of the seals.
 *
 * Looking, letting go and taking in block, and are done by workers, one at a time for an export and
 * changes one at a time for all.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "layout/container_of.h"
#include "layout/fd_path.h"
#include "layout/journal/watermark.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/export/fs_root.h"
#include "server/keeper/private.h"

enum {
    RETRY_SECONDS = 5,
    HEALTH_ROUNDS = 6, /* of retries: those that are here are asked so often */
    TRUST_SECONDS = 5, /* an error counts for so long after the file system was seen to answer */
};

/* Of one export. */
struct arrival {
    struct work work;
    struct loop_msg home, ask;
    struct keeper *keeper;
    struct export *export;
    bool under_way, again;
    bool closely, next_closely; /* it may be mounted, and not answer */
    bool was_asked;             /* before the look that is under way */
    atomic_bool asked;
    _Atomic uint64_t trusted_until;
    int error; /* of one that is here */
    struct fs_root *found;
    int mark_error;
    struct watermark mark;
};

struct keeper_arrivals {
    pthread_mutex_t changing;
    int mounts_fd;
    int inert_fd; /* what descriptors stand for while their file is away */
    struct event *mounts, *retry;
    unsigned rounds, count;
    struct arrival arrival[];
};

/* Not when it merely could not be asked (no memory, no descriptor). */
static bool is_gone(int error)
{
    switch (-error) {
    case ENOENT: /* unmounted */
    case EIO:
    case ENODEV:
    case ENXIO:
    case ESHUTDOWN:
    case ESTALE:
    case EROFS:   /* ext4, after it gave up its journal */
    case EUCLEAN: /* XFS, shut down over what it read */
        return true;
    default:
        return false;
    }
}

static void leave(struct arrival *a)
{
    struct keeper_arrivals *all = a->keeper->arrivals;
    const char *path = export_config(a->export)->path;
    char why[FS_WHY_MAX];

    if (a->error == -ENOENT)
        snprintf(why, sizeof why, "what was mounted for %.400s was unmounted; mount it again",
                 path);
    else
        snprintf(why, sizeof why,
                 "the file system at %.400s does not answer: %s; see the kernel's log, unmount it, "
                 "repair it and mount it again",
                 path, strerror(-a->error));
    pthread_mutex_lock(&all->changing);
    if (!export_is_away(a->export)) { /* else another on the same mount has taken it along */
        export_leave(a->keeper->exports, a->export, why);
        const struct export *other =
            export_here_of_fs(a->keeper->exports, export_fs_uuid(a->export));
        file_table_exchange(a->keeper->files, export_fs_uuid(a->export),
                            other ? export_root_fd(other) : -1, all->inert_fd);
        export_let_go(a->keeper->exports, all->inert_fd);
    }
    pthread_mutex_unlock(&all->changing);
}

static void look(struct work *work)
{
    struct arrival *a = container_of(work, struct arrival, work);
    a->found = NULL;
    a->error = 0;
    if (!export_is_away(a->export)) {
        a->error = a->closely ? export_ask(a->export) : export_ask_mounted(a->export);
        if (is_gone(a->error))
            leave(a);
    } else if (export_seek(a->keeper->exports, a->export, &a->found) == 0) {
        a->mark_error = watermark_read(a->found->fd, a->found->fs_uuid, &a->mark);
    }
    jobs_come_home(&a->keeper->jobs, &a->home);
}

static void take(struct work *work)
{
    struct arrival *a = container_of(work, struct arrival, work);
    struct keeper_arrivals *all = a->keeper->arrivals;
    struct export_table *exports = a->keeper->exports;
    pthread_mutex_lock(&all->changing);
    const bool alone = !export_here_of_fs(exports, a->found->fs_uuid);
    export_place(a->export, a->found);
    a->found = NULL;
    if (alone)
        file_table_exchange(a->keeper->files, export_fs_uuid(a->export), export_root_fd(a->export),
                            all->inert_fd);
    export_arrive(exports, a->export);
    int err = export_remember(exports, a->export);
    pthread_mutex_unlock(&all->changing);
    if (err)
        log_error("export %s: %s/exports cannot be written (%s): after a start without its disk "
                  "the directory underneath may be taken for it; say mountpoint = \"true\"",
                  export_config(a->export)->pseudo, a->keeper->config->state_dir, strerror(-err));
    jobs_come_home(&a->keeper->jobs, &a->home);
}

static void look_home(struct loop_msg *msg);
static void take_home(struct loop_msg *msg);

static void submit(struct arrival *a, void (*run)(struct work *), void (*home)(struct loop_msg *))
{
    a->under_way = true;
    a->work.run = run;
    a->work.key = export_work_key(a->export);
    a->home.run = home;
    jobs_submit(&a->keeper->jobs, &a->work);
}

static void start_look(struct arrival *a, bool closely)
{
    if (a->under_way) {
        a->next_closely = a->next_closely || closely;
        a->again = true;
        return;
    }
    a->closely = closely || a->next_closely;
    a->again = a->next_closely = false;
    a->was_asked = atomic_load(&a->asked);
    submit(a, look, look_home);
}

static void end_look(struct arrival *a)
{
    if (a->was_asked) {
        if (!export_is_away(a->export) && !a->error)
            atomic_store(&a->trusted_until, loop_now_ns() + SECONDS(TRUST_SECONDS));
        atomic_store(&a->asked, false);
    }
    a->under_way = false;
    if (a->again)
        start_look(a, false);
}

/* Nothing of its file system was served yet: then nobody has written a watermark there. */
static bool is_first(const struct arrival *a)
{
    for (unsigned i = 0; i < export_count(a->keeper->exports); i++)
        if (memcmp(export_fs_uuid(export_at(a->keeper->exports, i)), a->found->fs_uuid,
                   FILE_KEY_UUID_SIZE) == 0)
            return false;
    return true;
}

static const char *contradiction(const struct arrival *a)
{
    bool passing;
    struct watermark mark = a->mark;
    if (!a->mark_error && !is_first(a) && mark.count <= journal_watermark(a->keeper->journal))
        mark.count = 0; /* of this life */
    return keeper_contradiction(a->keeper, a->mark_error, &mark, &passing);
}

static void look_home(struct loop_msg *msg)
{
    struct arrival *a = container_of(msg, struct arrival, home);
    if (!a->found) {
        end_look(a);
        return;
    }
    const char *against = contradiction(a);
    if (!against) {
        submit(a, take, take_home);
        return;
    }
    char why[FS_WHY_MAX];
    snprintf(why, sizeof why, "%s: see to its disk, or restart sealnfsd, which judges that",
             against);
    export_hold(a->export, why);
    fs_root_free(a->found);
    a->found = NULL;
    end_look(a);
}

static void take_home(struct loop_msg *msg)
{
    struct arrival *a = container_of(msg, struct arrival, home);
    log_info("export %s: the disk of %s is there: it is served", export_config(a->export)->pseudo,
             export_config(a->export)->path);
    keeper_marks_raise(a->keeper, export_fs_uuid(a->export)); /* with the next commit */
    keeper_devices_look(a->keeper);
    end_look(a);
}

/* Those that are away; and those that are here, if `here`. */
static void look_at_all(struct keeper *keeper, bool here, bool closely)
{
    for (unsigned i = 0; i < keeper->arrivals->count; i++) {
        struct arrival *a = &keeper->arrivals->arrival[i];
        if (here || export_is_away(a->export))
            start_look(a, closely);
    }
}

static void on_mounts(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    look_at_all(arg, true, false);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct keeper *keeper = arg;
    (void)fd;
    (void)what;
    look_at_all(keeper, ++keeper->arrivals->rounds % HEALTH_ROUNDS == 0, true);
}

void keeper_arrivals_look(struct keeper *keeper)
{
    look_at_all(keeper, true, true);
}

static void on_ask(struct loop_msg *msg)
{
    start_look(container_of(msg, struct arrival, ask), true);
}

bool keeper_asks_disk(struct keeper *keeper, const struct export *export)
{
    for (unsigned i = 0; i < keeper->arrivals->count; i++) {
        struct arrival *a = &keeper->arrivals->arrival[i];
        if (a->export != export)
            continue;
        if (loop_now_ns() < atomic_load(&a->trusted_until))
            return false;
        if (!atomic_exchange(&a->asked, true))
            loop_post(keeper->loop, &a->ask);
        return true;
    }
    return false;
}

/* A socket that nobody can open: neither data nor names are found by it. */
static int open_inert(void)
{
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return -errno;
    const struct fd_path path = fd_path_of(sock);
    int fd = open(path.text, O_PATH | O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    close(sock);
    return fd;
}

/* The mount table is always readable: what counts is the edge. */
static int watch_mounts(struct keeper *keeper, struct keeper_arrivals *all)
{
    const struct timeval wait = {.tv_sec = RETRY_SECONDS};
    all->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (all->mounts_fd < 0)
        return -errno;
    all->mounts = event_new(loop_base(keeper->loop), all->mounts_fd, EV_READ | EV_ET | EV_PERSIST,
                            on_mounts, keeper);
    all->retry = event_new(loop_base(keeper->loop), -1, EV_PERSIST, on_retry, keeper);
    if (!all->mounts || !all->retry)
        return -ENOMEM;
    return event_add(all->mounts, NULL) == 0 && event_add(all->retry, &wait) == 0 ? 0 : -ENOMEM;
}

static void remember_all(struct keeper *keeper)
{
    for (unsigned i = 0; i < keeper->arrivals->count; i++) {
        int err = export_remember(keeper->exports, keeper->arrivals->arrival[i].export);
        if (err)
            log_error("%s/exports, which says what was served, cannot be written: %s",
                      keeper->config->state_dir, strerror(-err));
    }
}

int keeper_arrivals_start(struct keeper *keeper)
{
    const unsigned count = export_count(keeper->exports);
    struct keeper_arrivals *all = calloc(1, sizeof *all + count * sizeof all->arrival[0]);
    if (!all)
        return -ENOMEM;
    keeper->arrivals = all;
    all->mounts_fd = -1;
    pthread_mutex_init(&all->changing, NULL);
    for (; all->count < count; all->count++) {
        struct arrival *a = &all->arrival[all->count];
        a->keeper = keeper;
        a->export = export_at(keeper->exports, all->count);
        a->ask.run = on_ask;
    }
    remember_all(keeper);
    all->inert_fd = open_inert();
    return all->inert_fd < 0 ? all->inert_fd : watch_mounts(keeper, all);
}

void keeper_arrivals_stop(struct keeper *keeper)
{
    struct keeper_arrivals *all = keeper->arrivals;
    if (!all)
        return;
    if (all->mounts)
        event_free(all->mounts);
    if (all->retry)
        event_free(all->retry);
    for (unsigned i = 0; i < all->count; i++)
        fs_root_free(all->arrival[i].found);
    if (all->mounts_fd >= 0)
        close(all->mounts_fd);
    if (all->inert_fd >= 0)
        close(all->inert_fd);
    pthread_mutex_destroy(&all->changing);
    free(all);
}
