/* reserver.c - see reserver.h. */
#include "server/keeper/san/reserver.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "layout/reservation/reservation.h"
#include "server/base/confine.h"
#include "server/base/log.h"

enum { END_TIMEOUT_SECONDS = 2 };

struct reserver {
    pthread_t thread;
    pthread_mutex_t lock; /* of jobs, device, stop */
    pthread_cond_t wake;
    struct reserver_job *jobs;
    struct device *device;
    bool stop;
    uint64_t own, before;
    struct reservation_view view; /* the thread's */
};

static int take_keys(struct reserver_disk *disk, const struct reservation_view *view)
{
    disk->reg = malloc((view->count + 1) * sizeof(*disk->reg));
    if (!disk->reg)
        return -ENOMEM;
    memcpy(disk->reg, view->reg, view->count * sizeof(*disk->reg));
    disk->count = view->count;
    disk->generation = view->generation;
    disk->persists = view->persists;
    return 0;
}

static bool is_on(const struct reserver_victim *victim, const struct reserver_disk *disk)
{
    return designator_equal(&victim->disk, &disk->name);
}

static bool has_victim(const struct reserver_job *job, const struct reserver_disk *disk)
{
    for (size_t i = 0; i < job->victim_count; i++)
        if (is_on(&job->victim[i], disk))
            return true;
    return false;
}

/* Missed is who was gone before, and who was not reached: what takes that off later is not this. */
static int remove_victims(struct reserver *r, const struct reservation_ops *ops, int fd,
                          const struct reserver_job *job, struct reserver_disk *disk)
{
    int err = 0;

    disk->missed = false;
    for (size_t i = 0; i < job->victim_count; i++) {
        struct reservation_removal done = {.sent = false};

        if (!is_on(&job->victim[i], disk))
            continue;
        if (!err)
            err = reservation_remove(ops, fd, r->own, job->victim[i].key, &r->view, &done);
        if (done.loss.lost && !disk->loss.lost)
            disk->loss = done.loss;
        disk->missed = disk->missed || !(done.preempted || (err && done.sent));
    }
    return err;
}

static int work_on(struct reserver *r, const struct reservation_ops *ops, int fd,
                   const struct reserver_job *job, struct reserver_disk *disk)
{
    int err = reservation_check(ops, fd, r->own, &r->view, &disk->loss);

    if (err == -EBUSY && r->view.holder_key == r->before)
        err = reservation_succeed(ops, fd, r->own, r->before, &r->view);
    if (err == -EBUSY) {
        disk->held = r->view.held;
        disk->holder_key = r->view.holder_key;
    }
    if (!err)
        err = remove_victims(r, ops, fd, job, disk);
    return err ? err : take_keys(disk, &r->view);
}

static void work(struct reserver *r, const struct device *device, struct reserver_job *job)
{
    job->disk_count = device_volume(device)->base_count;
    for (uint32_t i = 0; i < job->disk_count; i++) {
        const struct reservation_ops *ops;
        struct reserver_disk *disk = &job->disk[i];
        int fd;

        disk->name = device_volume(device)->base[i].designator;
        disk->missed = has_victim(job, disk);
        disk->error = device_open_disk(device, i, true, &fd);
        if (disk->error)
            continue;
        disk->error = reservation_of(fd, &ops);
        if (!disk->error)
            disk->error = work_on(r, ops, fd, job, disk);
        (void)close(fd);
    }
}

static void *run(void *arg)
{
    struct reserver *r = arg;

    confine_thread(CONFINE_RESERVER);
    pthread_mutex_lock(&r->lock);
    for (;;) {
        struct reserver_job *job;
        struct device *device;

        while (!r->jobs && !r->stop)
            pthread_cond_wait(&r->wake, &r->lock);
        if (r->stop)
            break;
        job = r->jobs;
        LL_DELETE(r->jobs, job);
        device = device_ref(r->device);
        pthread_mutex_unlock(&r->lock);
        work(r, device, job);
        device_free(device);
        pthread_mutex_lock(&r->lock);
        if (!r->stop) /* else the loop may be gone, and nobody waits */
            loop_post(job->loop, &job->home);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

int reserver_create(struct device *device, uint64_t own_key, uint64_t before, struct reserver **out)
{
    struct reserver *r = calloc(1, sizeof(*r));
    int err;

    if (!r)
        return -ENOMEM;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    r->device = device_ref(device);
    r->own = own_key;
    r->before = before;
    err = pthread_create(&r->thread, NULL, run, r);
    if (err) {
        device_free(r->device);
        free(r);
        return -err;
    }
    (void)pthread_setname_np(r->thread, "reserver");
    *out = r;
    return 0;
}

void reserver_set_device(struct reserver *r, struct device *device)
{
    struct device *old;

    pthread_mutex_lock(&r->lock);
    old = r->device;
    r->device = device_ref(device);
    pthread_mutex_unlock(&r->lock);
    device_free(old);
}

void reserver_submit(struct reserver *r, struct reserver_job *job)
{
    job->next = NULL;
    job->disk_count = 0;
    memset(job->disk, 0, sizeof(job->disk));
    pthread_mutex_lock(&r->lock);
    LL_APPEND(r->jobs, job);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void reserver_job_clear(struct reserver_job *job)
{
    for (uint32_t i = 0; i < DEVICE_BASES_MAX; i++) {
        free(job->disk[i].reg);
        job->disk[i].reg = NULL;
    }
}

bool reserver_destroy(struct reserver *r)
{
    struct timespec until;

    if (!r)
        return true;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += END_TIMEOUT_SECONDS;
    if (pthread_timedjoin_np(r->thread, NULL, &until) != 0) {
        log_warning("a disk does not answer; its reservation's thread is left behind");
        (void)pthread_detach(r->thread);
        return false;
    }
    device_free(r->device);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
    return true;
}
