/*
 * Group commit of directories; see commit.h. Exports have lanes by their number: a lane
 * flushes one group at a time, so that a slow disk holds up those that share its lane and no
 * others.
 */
#include "server/nfs/commit.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "layout/container_of.h"
#include "server/base/worker.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/nfs/attr.h"
#include "server/server.h"

enum { LANES = 64, KNOWN_DIRS = 64 };

struct lane {
    struct committer *committer;
    pthread_mutex_t lock;
    struct commit_wait *first, **last;
    bool flushing; /* its work is with the workers */
    struct work work;
};

struct committer {
    struct server *server;
    struct lane lanes[LANES];
};

/* What this group has flushed: directories, and file systems. One that does not fit is flushed once
 * more. */
struct flushed {
    unsigned count;
    const void *what[KNOWN_DIRS];
    int error[KNOWN_DIRS];
};

static int flush_once(const struct server *server, struct flushed *flushed, struct file *dir)
{
    const void *what = attr_commit_scope(dir);
    int error;

    for (unsigned i = 0; i < flushed->count; i++)
        if (flushed->what[i] == what)
            return flushed->error[i];
    error = attr_commit(server, dir);
    if (flushed->count < KNOWN_DIRS) {
        flushed->what[flushed->count] = what;
        flushed->error[flushed->count++] = error;
    }
    return error;
}

static int flush_all(const struct server *server, struct flushed *flushed, struct file *const *dirs)
{
    int error = 0;

    for (unsigned i = 0; i < COMMIT_DIRS && !error; i++)
        if (dirs[i])
            error = flush_once(server, flushed, dirs[i]);
    return error;
}

static struct commit_wait *take_group(struct lane *lane)
{
    struct commit_wait *group;

    pthread_mutex_lock(&lane->lock);
    group = lane->first;
    lane->first = NULL;
    lane->last = &lane->first;
    pthread_mutex_unlock(&lane->lock);
    return group;
}

/* True: changes came while the group was flushed; the lane keeps flushing. */
static bool has_next_group(struct lane *lane)
{
    bool more;

    pthread_mutex_lock(&lane->lock);
    more = lane->first;
    lane->flushing = more;
    pthread_mutex_unlock(&lane->lock);
    return more;
}

/* Everything in the group was changed before the first of these flushes began. */
static void flush_group(struct work *work)
{
    struct lane *lane = container_of(work, struct lane, work);
    struct server *server = lane->committer->server;
    struct commit_wait *group = take_group(lane), *wait, *next;
    struct flushed flushed = {.count = 0};

    for (wait = group; wait; wait = wait->next)
        wait->error = flush_all(server, &flushed, wait->dirs);
    for (wait = group; wait; wait = next) {
        next = wait->next;
        compound_resume(wait->compound);
    }
    if (has_next_group(lane))
        worker_follow(server->workers,
                      work); /* behind what waits, so that no lane keeps a worker */
}

static void join_lane(struct lane *lane, struct commit_wait *wait, uint64_t work_key)
{
    bool start;

    wait->next = NULL;
    pthread_mutex_lock(&lane->lock);
    *lane->last = wait;
    lane->last = &wait->next;
    start = !lane->flushing;
    lane->flushing = true;
    pthread_mutex_unlock(&lane->lock);
    if (!start)
        return;
    lane->work.key = work_key;
    lane->work.kind = WORK_FLUSH;
    worker_follow(lane->committer->server->workers, &lane->work);
}

enum op_next commit_dirs(struct compound *c, struct commit_wait *wait, struct file *dir,
                         struct file *other)
{
    struct committer *committer = c->server->committer;

    *wait = (struct commit_wait){.compound = c, .dirs = {dir, other == dir ? NULL : other}};
    if (!c->server->config->sync_metadata)
        return OP_DONE;
    if (!committer) {
        struct flushed flushed = {.count = 0};

        wait->error = flush_all(c->server, &flushed, wait->dirs);
        return OP_DONE;
    }
    join_lane(&committer->lanes[export_id(c->current.export) % LANES], wait,
              export_work_key(c->current.export));
    return OP_WAIT;
}

int committer_create(struct server *server, struct committer **out)
{
    struct committer *committer = calloc(1, sizeof(*committer));

    if (!committer)
        return -ENOMEM;
    committer->server = server;
    for (unsigned i = 0; i < LANES; i++) {
        struct lane *lane = &committer->lanes[i];

        lane->committer = committer;
        lane->last = &lane->first;
        lane->work.run = flush_group;
        pthread_mutex_init(&lane->lock, NULL);
    }
    *out = committer;
    return 0;
}

void committer_destroy(struct committer *committer)
{
    if (!committer)
        return;
    for (unsigned i = 0; i < LANES; i++)
        pthread_mutex_destroy(&committer->lanes[i].lock);
    free(committer);
}
