/*
 * accept_pause.c - see accept_pause.h.
 */
#include "server/base/accept_pause.h"

#include <event2/event.h>
#include <event2/listener.h>
#include <string.h>

#include "server/base/log.h"

static void on_moment(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    evconnlistener_enable(arg);
}

void accept_pause(struct evconnlistener *listener, const char *what, int err)
{
    static const struct timeval moment = {.tv_usec = 200000};
    log_some_errors("%s: cannot accept a connection: %s; trying again in a moment", what,
                    strerror(err));
    evconnlistener_disable(listener);
    if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT, on_moment, listener,
                        &moment) != 0)
        evconnlistener_enable(listener);
}
