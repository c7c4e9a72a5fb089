/*
 * loop.c - event loops and the messages between them.
 *
 * The message queue is a stack that any thread pushes to with one compare-and-swap and that the
 * loop takes whole and turns round: order per sender is kept, and only the push that found it empty
 * pays for a wake-up.
 */
#include "server/base/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "layout/container_of.h"

struct loop {
    struct event_base *base;
    struct event *wake_event;
    _Atomic(struct loop_msg *) posted;
    struct loop_msg stop;
    pthread_t thread;
    bool started;
    bool stopping; /* the loop's thread only */
    unsigned index;
    enum confine_role role;
    int wake_fd;
    char name[16];
};

static _Thread_local struct loop *self;

static struct loop_msg *take_all(struct loop *loop)
{
    struct loop_msg *newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
    struct loop_msg *oldest = NULL;
    while (newest) {
        struct loop_msg *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void on_wake(evutil_socket_t fd, short events, void *arg)
{
    (void)events;
    struct loop *loop = arg;
    uint64_t count;
    /* Reset the counter before taking: a push after the take then wakes again. */
    while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    for (struct loop_msg *msg = take_all(loop), *next; msg && !loop->stopping; msg = next) {
        next = msg->next;
        msg->next = NULL;
        msg->run(msg);
    }
}

static void on_stop(struct loop_msg *msg)
{
    struct loop *loop = container_of(msg, struct loop, stop);
    loop->stopping = true;
    event_base_loopbreak(loop->base);
}

static void *loop_main(void *arg)
{
    struct loop *loop = arg;
    self = loop;
    pthread_setname_np(pthread_self(), loop->name);
    confine_thread(loop->role);
    /* The wake event keeps the base from running dry. */
    event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

static struct event_base *base_create(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    /* A base is used on its own thread only. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

int loop_create(const char *name, unsigned index, struct loop **out)
{
    int err = -ENOMEM;
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    snprintf(loop->name, sizeof(loop->name), "%s", name);
    loop->index = index;
    loop->stop.run = on_stop;
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0) {
        err = -errno;
        goto free_loop;
    }
    loop->base = base_create();
    if (!loop->base)
        goto close_wake;
    loop->wake_event = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    if (!loop->wake_event || event_add(loop->wake_event, NULL) != 0)
        goto free_base;
    *out = loop;
    return 0;

free_base:
    if (loop->wake_event)
        event_free(loop->wake_event);
    event_base_free(loop->base);
close_wake:
    close(loop->wake_fd);
free_loop:
    free(loop);
    return err;
}

void loop_confine(struct loop *loop, enum confine_role role)
{
    loop->role = role;
}

int loop_start(struct loop *loop)
{
    int err = pthread_create(&loop->thread, NULL, loop_main, loop);
    if (err != 0)
        return -err;
    loop->started = true;
    return 0;
}

void loop_stop(struct loop *loop)
{
    if (!loop->started)
        return;
    loop_post(loop, &loop->stop);
    pthread_join(loop->thread, NULL);
    loop->started = false;
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    loop_stop(loop);
    event_free(loop->wake_event);
    event_base_free(loop->base);
    close(loop->wake_fd);
    free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

unsigned loop_index(const struct loop *loop)
{
    return loop->index;
}

struct loop *loop_self(void)
{
    return self;
}

void loop_post(struct loop *loop, struct loop_msg *msg)
{
    struct loop_msg *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);
    do
        msg->next = head;
    while (!atomic_compare_exchange_weak_explicit(&loop->posted, &head, msg, memory_order_release,
                                                  memory_order_relaxed));
    if (head)
        return;
    /* Fails only when the counter is full, and then the loop wakes anyway. */
    uint64_t one = 1;
    while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t loop_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

uint64_t loop_fine_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}
