/*
 * guard.c - see guard.h.
 */
#include "server/keeper/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "layout/fd_path.h"
#include "layout/file_key.h"
#include "server/base/confine.h"
#include "server/base/log.h"

enum { EVENTS = 16, PATH_SHOWN = 512, NAME_SHOWN = 32 };

struct inode_id {
    uint64_t dev, ino;
};

struct waiter {
    int fd; /* the event's, by which it is answered */
    struct waiter *next;
};

struct guarded {
    struct file_key key;
    struct inode_id id;
    UT_hash_handle by_key, by_id;
    uint64_t serial;
    bool waits, alone;
    bool over; /* everybody is let in; the mark is still there */
    bool busy; /* its mark is being set or taken off */
    bool told; /* that somebody was kept from it */
    struct waiter *waiters;
};

struct guard {
    int group, stop; /* of fanotify; an eventfd */
    pthread_t thread;
    pthread_mutex_t lock; /* memory only: never held while anything is opened, or can wait */
    pthread_cond_t idle;
    struct guarded *by_key, *by_id;
    uint64_t serial;
    unsigned waiting, waiting_max;
};

static void respond(const struct guard *guard, int fd, bool allow)
{
    const struct fanotify_response response = {.fd = fd, .response = allow ? FAN_ALLOW : FAN_DENY};
    /* ENOENT: the opener was killed. */
    if (write(guard->group, &response, sizeof response) < 0 && errno != ENOENT)
        log_error("an answer to who opens a sealed file is lost: %s", strerror(errno));
}

/* The descriptor first, as it is one that reads the file: who proves that he is alone would find
 * it. Only this thread takes events, so that no other has this one's number. */
static void answer_at_once(const struct guard *guard, int fd, bool allow)
{
    close(fd);
    respond(guard, fd, allow);
}

/* ---- who opens ---- */

static void name_process(pid_t pid, char *name, size_t size)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, name, size - 1);
    if (fd >= 0)
        close(fd);
    name[len < 0 ? 0 : len] = '\0';
    for (char *p = name; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 127)
            *p = p[1] ? '?' : '\0';
}

static void tell(const struct fanotify_event_metadata *event, bool waits)
{
    char path[PATH_SHOWN], name[NAME_SHOWN];
    struct fd_path link = fd_path_of(event->fd);
    ssize_t len = readlink(link.text, path, sizeof path - 1);
    path[len < 0 ? 0 : len] = '\0';
    for (char *p = path; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    name_process(event->pid, name, sizeof name);
    log_warning("%s: process %d (%s) %s, as clients may write to it and it could be cloned here: "
                "sealctl unseal it first; this is said once",
                path, (int)event->pid, name,
                waits ? "wants to open it and waits for the end of its seal"
                      : "was refused to open it");
}

static struct guarded *find_inode(struct guard *guard, int fd)
{
    struct guarded *found = NULL;
    struct stat st;
    if (fstat(fd, &st) == 0) {
        const struct inode_id id = {st.st_dev, st.st_ino};
        HASH_FIND(by_id, guard->by_id, &id, sizeof id, found);
    }
    return found;
}

/* Under the lock. NULL: whoever opens it may. */
static struct guarded *find_closed(struct guard *guard, int fd)
{
    struct guarded *file = find_inode(guard, fd);
    return file && !file->over ? file : NULL;
}

static void tell_once(struct guard *guard, const struct fanotify_event_metadata *event)
{
    pthread_mutex_lock(&guard->lock);
    struct guarded *file = find_closed(guard, event->fd);
    bool first = file && !file->told, waits = file && file->waits;
    if (file)
        file->told = true;
    pthread_mutex_unlock(&guard->lock);
    if (first)
        tell(event, waits);
}

static bool make_wait(struct guard *guard, struct guarded *file, int fd)
{
    struct waiter *waiter = guard->waiting < guard->waiting_max ? malloc(sizeof *waiter) : NULL;
    if (!waiter)
        return false;
    *waiter = (struct waiter){.fd = fd, .next = file->waiters};
    file->waiters = waiter;
    guard->waiting++;
    return true;
}

static void judge_event(struct guard *guard, const struct fanotify_event_metadata *event)
{
    if (event->pid == getpid()) {
        answer_at_once(guard, event->fd, true);
        return;
    }
    tell_once(guard, event);
    pthread_mutex_lock(&guard->lock);
    struct guarded *file = find_closed(guard, event->fd);
    bool waits = file && file->waits && make_wait(guard, file, event->fd);
    pthread_mutex_unlock(&guard->lock);
    if (!waits)
        answer_at_once(guard, event->fd, !file);
}

/* An event whose descriptor cannot be made is refused by the kernel, and read() says why. */
static void read_events(struct guard *guard)
{
    struct fanotify_event_metadata events[EVENTS], *event = events;
    ssize_t len = read(guard->group, events, sizeof events);
    if (len < 0 && errno != EAGAIN && errno != EINTR)
        log_warning("an open of a sealed file was refused: %s", strerror(errno));
    for (; len > 0 && FAN_EVENT_OK(event, len); event = FAN_EVENT_NEXT(event, len))
        if (event->fd >= 0)
            judge_event(guard, event);
}

static void *run(void *arg)
{
    struct guard *guard = arg;
    struct pollfd fds[2] = {{.fd = guard->group, .events = POLLIN},
                            {.fd = guard->stop, .events = POLLIN}};
    pthread_setname_np(pthread_self(), "guard");
    confine_thread(CONFINE_GUARD);
    while (!fds[1].revents) {
        if (poll(fds, 2, -1) > 0 && fds[0].revents)
            read_events(guard);
    }
    return NULL;
}

/* ---- what is guarded ---- */

static struct guarded *find_key(struct guard *guard, const struct file_key *key)
{
    struct guarded *found;
    HASH_FIND(by_key, guard->by_key, key, sizeof *key, found);
    return found;
}

/* The same, once nobody is at its mark. */
static struct guarded *find_idle(struct guard *guard, const struct file_key *key)
{
    struct guarded *file;
    while ((file = find_key(guard, key)) && file->busy)
        pthread_cond_wait(&guard->idle, &guard->lock);
    return file;
}

static void take_out(struct guard *guard, struct guarded *file)
{
    HASH_DELETE(by_key, guard->by_key, file);
    HASH_DELETE(by_id, guard->by_id, file);
    pthread_cond_broadcast(&guard->idle);
}

static struct guarded *put_in(struct guard *guard, const struct file_key *key,
                              const struct stat *st)
{
    struct guarded *file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->key = *key;
    file->id = (struct inode_id){st->st_dev, st->st_ino};
    file->busy = true;
    HASH_ADD(by_key, guard->by_key, key, sizeof file->key, file);
    if (!file->by_key.tbl)
        goto fail;
    HASH_ADD(by_id, guard->by_id, id, sizeof file->id, file);
    if (file->by_id.tbl)
        return file;
    HASH_DELETE(by_key, guard->by_key, file);
fail:
    free(file);
    return NULL;
}

/* Whoever waits for it goes on. Not by the guard's thread, which may take an event meanwhile: so
 * the descriptor, whose number names the waiter, is closed afterwards. */
static void let_in(struct guard *guard, struct guarded *file)
{
    struct waiter *waiter;
    while ((waiter = file->waiters)) {
        file->waiters = waiter->next;
        respond(guard, waiter->fd, true);
        close(waiter->fd);
        free(waiter);
    }
}

static void drop(struct guard *guard, struct guarded *file)
{
    pthread_mutex_lock(&guard->lock);
    take_out(guard, file);
    for (const struct waiter *waiter = file->waiters; waiter; waiter = waiter->next)
        guard->waiting--;
    pthread_mutex_unlock(&guard->lock);
    let_in(guard, file);
    free(file);
}

/* Taking out of a mark what is not in it changes nothing, and says whether there is one. */
static bool has_mark(const struct guard *guard, int fd)
{
    return fanotify_mark(guard->group, FAN_MARK_REMOVE, FAN_ACCESS_PERM, fd, NULL) == 0;
}

static void let_go(struct guard *guard, struct guarded *file)
{
    pthread_mutex_lock(&guard->lock);
    file->busy = false;
    pthread_cond_broadcast(&guard->idle);
    pthread_mutex_unlock(&guard->lock);
}

/* Who came while there was none has it open still, perhaps. */
static void tell_lost(struct guard *guard, struct guarded *file)
{
    pthread_mutex_lock(&guard->lock);
    file->alone = false;
    pthread_mutex_unlock(&guard->lock);
    log_warning("a sealed file that is kept closed to local programs had lost its fanotify mark, "
                "which is set again: until now any program could open it, and clone it; please "
                "report this");
}

int guard_add(struct guard *guard, const struct file_key *key, int fd, bool waits)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -errno;
    pthread_mutex_lock(&guard->lock);
    struct guarded *file = find_idle(guard, key);
    bool is_new = !file;
    if (is_new)
        file = put_in(guard, key, &st);
    if (file) {
        file->serial = ++guard->serial;
        file->waits = waits;
        file->alone = file->alone && !file->over; /* or somebody came in between */
        file->over = false;
        file->busy = true;
    }
    pthread_mutex_unlock(&guard->lock);
    if (!file)
        return -ENOMEM;
    bool is_lost = !is_new && !has_mark(guard, fd);
    int err = fanotify_mark(guard->group, FAN_MARK_ADD, FAN_OPEN_PERM, fd, NULL) ? -errno : 0;
    if (is_lost)
        tell_lost(guard, file);
    if (err && is_new)
        drop(guard, file);
    else
        let_go(guard, file);
    return err;
}

uint64_t guard_serial(struct guard *guard, const struct file_key *key)
{
    pthread_mutex_lock(&guard->lock);
    const struct guarded *file = find_key(guard, key);
    uint64_t serial = file ? file->serial : 0;
    pthread_mutex_unlock(&guard->lock);
    return serial;
}

uint64_t guard_let_in(struct guard *guard, const struct file_key *key)
{
    pthread_mutex_lock(&guard->lock);
    struct guarded *file = find_key(guard, key);
    uint64_t serial = file ? file->serial : 0;
    if (file)
        file->over = true;
    pthread_mutex_unlock(&guard->lock);
    return serial;
}

void guard_set_alone(struct guard *guard, const struct file_key *key, uint64_t serial)
{
    pthread_mutex_lock(&guard->lock);
    struct guarded *file = find_key(guard, key);
    if (file && file->serial == serial && !file->over)
        file->alone = true;
    pthread_mutex_unlock(&guard->lock);
}

bool guard_is_alone(struct guard *guard, const struct file_key *key)
{
    pthread_mutex_lock(&guard->lock);
    const struct guarded *file = find_key(guard, key);
    bool alone = file && file->alone;
    pthread_mutex_unlock(&guard->lock);
    return alone;
}

void guard_remove(struct guard *guard, const struct file_key *key, uint64_t serial, int path_fd)
{
    pthread_mutex_lock(&guard->lock);
    struct guarded *file = find_idle(guard, key);
    if (file && file->serial != serial)
        file = NULL;
    if (file)
        file->busy = true;
    pthread_mutex_unlock(&guard->lock);
    if (!file)
        return;
    struct fd_path path = fd_path_of(path_fd);
    if (path_fd >= 0 &&
        fanotify_mark(guard->group, FAN_MARK_REMOVE, FAN_OPEN_PERM, AT_FDCWD, path.text) != 0 &&
        errno != ENOENT)
        log_warning("a file that is unsealed costs a question at every open: %s", strerror(errno));
    drop(guard, file); /* who is asked for from here on is let in, mark or not */
}

/* ---- beginning and end ---- */

static void close_all(struct guard *guard)
{
    struct guarded *file, *next;
    if (guard->group >= 0)
        close(guard->group); /* lets everybody in */
    if (guard->stop >= 0)
        close(guard->stop);
    HASH_ITER(by_key, guard->by_key, file, next)
    {
        HASH_DELETE(by_id, guard->by_id, file);
        HASH_DELETE(by_key, guard->by_key, file);
        for (struct waiter *waiter; (waiter = file->waiters);) {
            file->waiters = waiter->next;
            close(waiter->fd);
            free(waiter);
        }
        free(file);
    }
    pthread_cond_destroy(&guard->idle);
    pthread_mutex_destroy(&guard->lock);
    free(guard);
}

int guard_create(unsigned waiting, struct guard **out)
{
    struct guard *guard = calloc(1, sizeof *guard);
    if (!guard)
        return -ENOMEM;
    guard->waiting_max = waiting;
    pthread_mutex_init(&guard->lock, NULL);
    pthread_cond_init(&guard->idle, NULL);
    /* What does not fit into a queue would be let in, so there is no limit; who asks waits. */
    guard->group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK |
                                     FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
                                 O_RDONLY | O_CLOEXEC);
    int err = guard->group < 0 ? -errno : 0;
    guard->stop = err ? -1 : eventfd(0, EFD_CLOEXEC);
    if (!err && guard->stop < 0)
        err = -errno;
    if (!err)
        err = -pthread_create(&guard->thread, NULL, run, guard);
    if (err) {
        close_all(guard);
        return err;
    }
    *out = guard;
    return 0;
}

void guard_destroy(struct guard *guard)
{
    const uint64_t one = 1;
    if (!guard)
        return;
    while (write(guard->stop, &one, sizeof one) < 0 && errno == EINTR)
        ;
    pthread_join(guard->thread, NULL);
    close_all(guard);
}
