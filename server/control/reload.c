/*
 * reload.c - see reload.h.
 */
#include "server/control/reload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct reload_desk {
    pthread_mutex_t lock;
    struct reload_ask *asks;
    bool closed;
};

int reload_desk_create(struct reload_desk **out)
{
    struct reload_desk *desk = calloc(1, sizeof(*desk));

    if (!desk)
        return -ENOMEM;
    pthread_mutex_init(&desk->lock, NULL);
    *out = desk;
    return 0;
}

void reload_desk_destroy(struct reload_desk *desk)
{
    if (!desk)
        return;
    pthread_mutex_destroy(&desk->lock);
    free(desk);
}

void reload_desk_answer(struct reload_ask *asks, int error, const char *told)
{
    while (asks) {
        struct reload_ask *ask = asks;

        asks = ask->next;
        ask->error = error;
        ask->told = told ? strdup(told) : NULL;
        loop_post(ask->loop, &ask->home);
    }
}

struct reload_ask *reload_desk_take(struct reload_desk *desk)
{
    struct reload_ask *asks;

    pthread_mutex_lock(&desk->lock);
    asks = desk->asks;
    desk->asks = NULL;
    pthread_mutex_unlock(&desk->lock);
    return asks;
}

void reload_desk_close(struct reload_desk *desk)
{
    if (!desk)
        return;
    pthread_mutex_lock(&desk->lock);
    desk->closed = true;
    pthread_mutex_unlock(&desk->lock);
    reload_desk_answer(reload_desk_take(desk), -ESHUTDOWN, NULL);
}

void reload_desk_ask(struct reload_desk *desk, struct reload_ask *ask)
{
    bool closed;

    pthread_mutex_lock(&desk->lock);
    closed = desk->closed;
    ask->next = closed ? NULL : desk->asks;
    if (!closed)
        desk->asks = ask;
    pthread_mutex_unlock(&desk->lock);
    if (closed)
        reload_desk_answer(ask, -ESHUTDOWN, NULL);
    else
        kill(getpid(), SIGHUP); /* every thread blocks it: the main thread takes it */
}
