/*
 * clones.c - pinned files that could be cloned (layout/seal/clone.h) are opened by nobody else:
 * guarded from before their flag on until their seal is gone, and after a start before the first
 * look at their map. What NFS clients ask for copies no file by reference: CLONE and COPY are
 * operations of NFSv4.2 (RFC 7862), and whoever adds them must not take such a file as a source.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "layout/seal/clone.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/file/pinned_cache.h"
#include "server/keeper/guard.h"
#include "server/keeper/private.h"

/* An open that is being refused counts until it has failed, and so does a READ of a client's. */
enum { PROOF_TRIES = 40, PROOF_PAUSE_MS = 5 };

void keeper_guard_start(struct keeper *keeper, unsigned waiting)
{
    int err = guard_create(waiting, &keeper->guard);
    if (!err)
        return;
    keeper->guard = NULL;
    snprintf(keeper->unguarded, sizeof keeper->unguarded,
             "sealnfsd cannot keep local programs from opening it (fanotify_init: %s; it takes "
             "CAP_SYS_ADMIN and CONFIG_FANOTIFY_ACCESS_PERMISSIONS)",
             strerror(-err));
}

const char *keeper_unguarded(const struct keeper *keeper, const struct file *file)
{
    if (!export_config(file_export(file))->pinned_on_reflink)
        return "pinned_on_reflink = \"refuse\"";
    return keeper->guard ? NULL : keeper->unguarded;
}

static int can_be_cloned(int fd, bool *can, struct seal_refusal *why)
{
    int err = seal_can_be_cloned(fd, can);
    return err ? seal_refuse_errno(why, -err, "asking XFS whether it clones files") : 0;
}

int keeper_guard_file(struct keeper *keeper, const struct file *file, int fd,
                      struct seal_refusal *why)
{
    bool can;
    int err = can_be_cloned(fd, &can, why);
    if (err || !can)
        return err;
    if (!keeper->guard)
        return seal_refuse(why, SEAL_REFUSED_REFLINK, EOPNOTSUPP, "%s", keeper->unguarded);
    err = guard_add(keeper->guard, file_key(file), fd,
                    export_config(file_export(file))->local_opens_wait);
    return err ? seal_refuse_errno(why, -err, "keeping local programs from opening it (fanotify)")
               : 0;
}

uint64_t keeper_guard_serial(struct keeper *keeper, const struct file *file)
{
    return keeper->guard ? guard_serial(keeper->guard, file_key(file)) : 0;
}

void keeper_guard_alone(struct keeper *keeper, const struct file *file, uint64_t serial)
{
    if (keeper->guard)
        guard_set_alone(keeper->guard, file_key(file), serial);
}

/* The server's own descriptors of it, all but fd. */
static int drop_others(struct file *file, struct seal_refusal *why)
{
    return pinned_cache_drop(file) || file_drop_direct(file)
               ? seal_refuse(why, SEAL_REFUSED_READER, EBUSY,
                             "clients read and write it through the server all the while; try "
                             "again")
               : 0;
}

static int prove_alone(struct file *file, int fd, struct seal_refusal *why)
{
    int err = -EBUSY;
    for (unsigned i = 0; err == -EBUSY && i < PROOF_TRIES; i++) {
        if (i)
            keeper_pause_ms(PROOF_PAUSE_MS);
        err = drop_others(file, why);
        if (!err)
            err = seal_prove_alone(fd, why);
    }
    return err;
}

int keeper_prove_alone(struct keeper *keeper, struct file *file, int fd, struct seal_refusal *why)
{
    uint64_t serial = keeper_guard_serial(keeper, file);
    if (!serial || guard_is_alone(keeper->guard, file_key(file)))
        return 0;
    int err = prove_alone(file, fd, why);
    if (!err)
        keeper_guard_alone(keeper, file, serial);
    return err;
}

int keeper_try_alone(struct file *file, int fd, struct seal_refusal *why)
{
    bool can;
    int err = can_be_cloned(fd, &can, why);
    return err || !can ? err : prove_alone(file, fd, why);
}

struct unguard_job {
    struct work work;
    struct loop_msg home;
    struct keeper *keeper;
    struct unguard_job *prev, *next; /* the keeper's */
    struct file_key key;
    uint64_t serial;
};

static void unguard_work(struct work *work)
{
    struct unguard_job *job = container_of(work, struct unguard_job, work);
    struct file *file = NULL;
    if (keeper_find_file(job->keeper, &job->key, true, &file))
        file = NULL;
    guard_remove(job->keeper->guard, &job->key, job->serial, file ? file_path_fd(file) : -1);
    file_unref(file);
    jobs_come_home(&job->keeper->jobs, &job->home);
}

static void free_unguard(struct unguard_job *job)
{
    DL_DELETE(job->keeper->unguards, job);
    free(job);
}

static void unguard_home(struct loop_msg *msg)
{
    free_unguard(container_of(msg, struct unguard_job, home));
}

void keeper_guard_stop(struct keeper *keeper)
{
    struct unguard_job *job, *next;
    DL_FOREACH_SAFE(keeper->unguards, job, next)
    free_unguard(job);
    guard_destroy(keeper->guard);
}

void keeper_unguard(struct keeper *keeper, const struct file_key *key)
{
    struct unguard_job *job;
    uint64_t serial = keeper->guard ? guard_let_in(keeper->guard, key) : 0;
    if (!serial)
        return;
    while (!(job = malloc(sizeof *job)))
        keeper_pause_ms(PROOF_PAUSE_MS); /* or nobody could open the file any more */
    *job = (struct unguard_job){.work = {.run = unguard_work, .key = worker_key(key->data)},
                                .home.run = unguard_home,
                                .keeper = keeper,
                                .key = *key,
                                .serial = serial};
    DL_APPEND(keeper->unguards, job);
    jobs_submit(&keeper->jobs, &job->work);
}
