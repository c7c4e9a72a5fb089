/*
 * arrival.c - disks, and exports, that come after the start. Whether the file system of an export
 * that is held back is there is looked at when the mount table changes and every few seconds. One
 * that comes is taken in, once, when the journal has nothing against it: where it has, only a start
 * may judge, before the engine knows of the seals. The engine has been told of those seals at its
 * start, and has looked at none of them since, so it looks at each before it grants anything of it,
 * as it does after a restart.
 *
 * One that goes is not let go of, and nothing that comes takes the place of what was here: files,
 * maps and devices were learnt from that, and who holds layouts writes by them.
 *
 * Looking and taking in block, and are done by workers.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/container_of.h"
#include "layout/journal/watermark.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/export/fs_root.h"
#include "server/keeper/private.h"

enum { RETRY_SECONDS = 5 };

/* Of one export. */
struct arrival {
    struct work work;
    struct loop_msg home;
    struct keeper *keeper;
    struct export *export;
    bool under_way, again;
    struct fs_root *found;
    int mark_error;
    struct watermark mark;
};

struct keeper_arrivals {
    pthread_mutex_t taking; /* two copies of one file system may come at once */
    int mounts_fd;
    struct event *mounts, *retry;
    unsigned count;
    struct arrival arrival[];
};

static void look(struct work *work)
{
    struct arrival *a = container_of(work, struct arrival, work);
    a->found = NULL;
    if (export_seek(a->keeper->exports, a->export, &a->found) == 0)
        a->mark_error = watermark_read(a->found->fd, a->found->fs_uuid, &a->mark);
    jobs_come_home(&a->keeper->jobs, &a->home);
}

static void take(struct work *work)
{
    struct arrival *a = container_of(work, struct arrival, work);
    const struct export_table *exports = a->keeper->exports;
    pthread_mutex_lock(&a->keeper->arrivals->taking);
    if (export_arrive(exports, a->export, a->found) == 0)
        a->found = NULL;
    pthread_mutex_unlock(&a->keeper->arrivals->taking);
    int err = export_remember(exports, a->export);
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

static void start_look(struct arrival *a)
{
    a->again = a->under_way;
    if (!a->under_way && export_is_away(a->export) && !export_is_withdrawn(a->export))
        submit(a, look, look_home);
}

static void end_look(struct arrival *a)
{
    fs_root_free(a->found);
    a->found = NULL;
    a->under_way = false;
    if (a->again)
        start_look(a);
}

static void look_home(struct loop_msg *msg)
{
    struct arrival *a = container_of(msg, struct arrival, home);
    bool passing;
    if (!a->found) {
        end_look(a);
        return;
    }
    const char *against = keeper_contradiction(a->keeper, a->mark_error, &a->mark, &passing);
    if (!against) {
        submit(a, take, take_home);
        return;
    }
    char why[FS_WHY_MAX];
    snprintf(why, sizeof why, "%s: see to its disk, or restart sealnfsd, which judges that",
             against);
    export_hold(a->export, why);
    end_look(a);
}

static void take_home(struct loop_msg *msg)
{
    struct arrival *a = container_of(msg, struct arrival, home);
    if (!export_is_away(a->export)) {
        log_info("export %s: the disk of %s is there: it is served",
                 export_config(a->export)->pseudo, export_config(a->export)->path);
        keeper_marks_raise(a->keeper, export_fs_uuid(a->export)); /* with the next commit */
        keeper_device_look(a->keeper, a->export);
    }
    end_look(a);
}

void keeper_arrivals_look(struct keeper *keeper)
{
    for (unsigned i = 0; i < keeper->arrivals->count; i++)
        start_look(&keeper->arrivals->arrival[i]);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    keeper_arrivals_look(arg);
}

/* The mount table is always readable: what counts is the edge. */
static int watch_mounts(struct keeper *keeper, struct keeper_arrivals *all)
{
    const struct timeval wait = {.tv_sec = RETRY_SECONDS};
    all->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (all->mounts_fd < 0)
        return -errno;
    all->mounts = event_new(loop_base(keeper->loop), all->mounts_fd, EV_READ | EV_ET | EV_PERSIST,
                            on_look, keeper);
    all->retry = event_new(loop_base(keeper->loop), -1, EV_PERSIST, on_look, keeper);
    if (!all->mounts || !all->retry)
        return -ENOMEM;
    return event_add(all->mounts, NULL) == 0 && event_add(all->retry, &wait) == 0 ? 0 : -ENOMEM;
}

static void stop_watching(struct keeper_arrivals *all)
{
    if (all->mounts)
        event_free(all->mounts);
    if (all->retry)
        event_free(all->retry);
    all->mounts = all->retry = NULL;
    if (all->mounts_fd >= 0)
        close(all->mounts_fd);
    all->mounts_fd = -1;
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

static int watch_if_wanted(struct keeper *keeper)
{
    struct keeper_arrivals *all = keeper->arrivals;
    if (all->retry || export_away_count(keeper->exports) == 0)
        return 0;
    int err = watch_mounts(keeper, all);
    if (err)
        stop_watching(all);
    return err;
}

static void take_up(struct keeper *keeper, unsigned count)
{
    struct keeper_arrivals *all = keeper->arrivals;
    for (; all->count < count; all->count++) {
        all->arrival[all->count].keeper = keeper;
        all->arrival[all->count].export = export_at(keeper->exports, all->count);
    }
}

int keeper_arrivals_start(struct keeper *keeper)
{
    const unsigned room = export_room(keeper->exports);
    struct keeper_arrivals *all = calloc(1, sizeof *all + room * sizeof all->arrival[0]);
    if (!all)
        return -ENOMEM;
    keeper->arrivals = all;
    all->mounts_fd = -1;
    pthread_mutex_init(&all->taking, NULL);
    take_up(keeper, export_count(keeper->exports));
    remember_all(keeper);
    return watch_if_wanted(keeper);
}

void keeper_arrivals_grow(struct keeper *keeper, unsigned count)
{
    take_up(keeper, count);
    int err = watch_if_wanted(keeper);
    if (err)
        log_error("mounts cannot be watched (%s): a disk that is not there now is looked for at "
                  "the next reload only",
                  strerror(-err));
    keeper_arrivals_look(keeper);
}

void keeper_arrivals_stop(struct keeper *keeper)
{
    struct keeper_arrivals *all = keeper->arrivals;
    if (!all)
        return;
    stop_watching(all);
    for (unsigned i = 0; i < all->count; i++)
        fs_root_free(all->arrival[i].found);
    pthread_mutex_destroy(&all->taking);
    free(all);
}
