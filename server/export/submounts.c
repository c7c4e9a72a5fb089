/*
 * See submounts.h. Kept is the list of mounts that have another within, and read anew only when the
 * kernel says so: a question costs one poll.
 */
#include "server/export/submounts.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct submounts {
    pthread_mutex_t lock;
    FILE *mountinfo;
    bool known;
    int *parents; /* of each mount, the one that it is mounted on */
    size_t count, room;
};

int submounts_create(struct submounts **out)
{
    struct submounts *submounts = calloc(1, sizeof(*submounts));

    if (!submounts)
        return -ENOMEM;
    submounts->mountinfo = fopen("/proc/self/mountinfo", "re");
    if (!submounts->mountinfo) {
        int error = -errno;

        free(submounts);
        return error;
    }
    pthread_mutex_init(&submounts->lock, NULL);
    *out = submounts;
    return 0;
}

void submounts_destroy(struct submounts *submounts)
{
    if (!submounts)
        return;
    fclose(submounts->mountinfo);
    pthread_mutex_destroy(&submounts->lock);
    free(submounts->parents);
    free(submounts);
}

/* Since this was asked last, or the file was opened. */
static bool has_changed(const struct submounts *submounts)
{
    struct pollfd poll_fd = {.fd = fileno(submounts->mountinfo), .events = POLLPRI};

    return poll(&poll_fd, 1, 0) != 0;
}

static bool add_parent(struct submounts *submounts, int parent)
{
    if (submounts->count == submounts->room) {
        const size_t room = submounts->room ? 2 * submounts->room : 64;
        int *larger = realloc(submounts->parents, room * sizeof(*larger));

        if (!larger)
            return false;
        submounts->parents = larger;
        submounts->room = room;
    }
    submounts->parents[submounts->count++] = parent;
    return true;
}

/* Lines begin with the mount's id and its parent's (proc_pid_mountinfo(5)). */
static bool read_parents(struct submounts *submounts)
{
    int parent, fields;

    submounts->count = 0;
    rewind(submounts->mountinfo);
    while ((fields = fscanf(submounts->mountinfo, "%*d %d%*[^\n]", &parent)) == 1)
        if (!add_parent(submounts, parent))
            return false;
    return fields == EOF && !ferror(submounts->mountinfo);
}

/* What changes while it is read is not known. */
static bool look_again(struct submounts *submounts)
{
    return read_parents(submounts) && !has_changed(submounts);
}

static bool is_parent(const struct submounts *submounts, int mount_id)
{
    for (size_t i = 0; i < submounts->count; i++)
        if (submounts->parents[i] == mount_id)
            return true;
    return false;
}

bool submounts_none(struct submounts *submounts, int mount_id)
{
    bool none;

    pthread_mutex_lock(&submounts->lock);
    if (has_changed(submounts) || !submounts->known)
        submounts->known = look_again(submounts);
    none = submounts->known && !is_parent(submounts, mount_id);
    pthread_mutex_unlock(&submounts->lock);
    return none;
}
