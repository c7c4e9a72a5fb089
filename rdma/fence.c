/*
 * The fence of a client, in two steps of which one that succeeds is enough:
 *
 *  1. Every registration is taken back: its keys are void.
 *  2. Every queue pair is destroyed: there is no way left into the protection domain. No new one
 * comes, since the peer has been marked before, and set-ups under way are waited for.
 *
 * The second is done in any case, for the connections of a fenced client are of no use. Each step
 * runs on a thread of its own, because a kernel or a device that is broken may keep it for ever;
 * the fence then says that it has not been seen to work. A step that is stuck goes on, and a later
 * fence waits for the same one.
 */
#include "rdma/fence.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

void rdma_fence_init(struct rdma_peer *peer)
{
    peer->deregister.peer = peer->disconnect.peer = peer;
}

/* The device's folder in sysfs goes after the kernel has destroyed what its users had. */
bool rdma_fence_device_gone(struct rdma_target *target)
{
    bool gone;

    pthread_mutex_lock(&target->mutex);
    gone = target->gone;
    pthread_mutex_unlock(&target->mutex);
    return gone && access(target->device->device->ibdev_path, F_OK) != 0 && errno == ENOENT;
}

/* The next region to take back after `last`; those that could not be are left behind. With the
 * mutex. */
static struct rdma_region *next_region(const struct rdma_peer *peer, const struct rdma_region *last)
{
    return last ? last->next : peer->regions;
}

static int take_back_regions(struct rdma_peer *peer)
{
    struct rdma_target *target = peer->target;
    struct rdma_region *region, *last = NULL;
    bool gone = rdma_fence_device_gone(target);
    int err = 0;

    pthread_mutex_lock(&target->mutex);
    while ((region = next_region(peer, last))) {
        int failed;

        pthread_mutex_unlock(&target->mutex);
        failed = rdma_region_void(region);
        pthread_mutex_lock(&target->mutex);
        if (failed && !gone) {
            err = -EIO;
            last = region;
        } else {
            rdma_region_drop(region);
        }
    }
    pthread_mutex_unlock(&target->mutex);
    return err;
}

static int close_connections(struct rdma_peer *peer)
{
    struct rdma_target *target = peer->target;
    struct rdma_connection *connection, *kept = NULL;
    bool gone = rdma_fence_device_gone(target);
    int err = 0;

    pthread_mutex_lock(&target->mutex);
    while ((connection = peer->connections)) {
        peer->connections = connection->next;
        pthread_mutex_unlock(&target->mutex);
        if (gone)
            connection->id->qp = NULL; /* it went with the device */
        connection->next = kept;
        if (rdma_connection_close(target->verbs, connection) != 0) {
            kept = connection;
            err = -EIO;
        } else {
            pthread_mutex_lock(&target->mutex);
            target->counters.connections--;
            peer->connections_count--;
            pthread_mutex_unlock(&target->mutex);
        }
        pthread_mutex_lock(&target->mutex);
    }
    peer->connections = kept;
    pthread_mutex_unlock(&target->mutex);
    return err;
}

static void *step_main(void *arg)
{
    struct rdma_step *step = arg;
    struct rdma_target *target = step->peer->target;
    int err = step->run(step->peer);

    pthread_mutex_lock(&target->mutex);
    step->error = err;
    step->running = false;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->mutex);
    return NULL;
}

/* With the mutex. */
static int start(struct rdma_step *step, int (*run)(struct rdma_peer *peer))
{
    pthread_attr_t attr;
    pthread_t thread;
    int err;

    if (step->running)
        return 0;
    step->run = run;
    err = pthread_attr_init(&attr);
    if (err)
        return -err;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    step->running = true;
    err = pthread_create(&thread, &attr, step_main, step);
    if (err)
        step->running = false;
    pthread_attr_destroy(&attr);
    return -err;
}

static struct timespec later(unsigned ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* With the mutex: first what others have under way, then the step. */
static int perform(struct rdma_step *step, int (*run)(struct rdma_peer *peer), const unsigned *busy,
                   unsigned patience_ms)
{
    struct rdma_target *target = step->peer->target;
    struct timespec end = later(patience_ms);
    int err = 0;

    while (*busy != 0 && !err)
        err = -pthread_cond_timedwait(&target->changed, &target->mutex, &end);
    if (!err)
        err = start(step, run);
    while (!err && step->running)
        err = -pthread_cond_timedwait(&target->changed, &target->mutex, &end);
    return err ? err : step->error;
}

int rdma_peer_fence(struct rdma_peer *peer, unsigned patience_ms)
{
    struct rdma_target *target = peer->target;
    int memory, connections, err;

    pthread_mutex_lock(&target->mutex);
    peer->over = true;
    pthread_cond_broadcast(&target->changed);
    memory = perform(&peer->deregister, take_back_regions, &peer->busy_memory, patience_ms);
    connections =
        perform(&peer->disconnect, close_connections, &peer->busy_connections, patience_ms);
    err = memory == 0 || connections == 0 ? 0 : memory;
    if (err)
        target->counters.fences_failed++;
    else
        target->counters.fences++;
    pthread_mutex_unlock(&target->mutex);
    return err;
}
