/*
 * gap.c - the keeper's own time. A process that was stopped, on a machine that was paused, or
 * swapped out heard nobody for a while, and its clock ran on: on waking its deadlines are as due as
 * its sockets are readable. The keeper's thread wakes once a second; where it finds that more time
 * has gone, the engine hears of that first, and lets deadlines run on time in which somebody
 * listened (ENGINE_EV_GAP).
 */
#include <errno.h>
#include <event2/event.h>

#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/keeper/private.h"
#include "server/keeper/san/san.h"

enum { BEAT_SECONDS = 1, GAP_SECONDS = 3 };

#define NS_PER_S UINT64_C(1000000000)

uint64_t keeper_gap(uint64_t *listened_at, uint64_t now)
{
    uint64_t silent = *listened_at && now > *listened_at ? now - *listened_at : 0;
    if (now > *listened_at)
        *listened_at = now;
    return silent > GAP_SECONDS * NS_PER_S ? silent - BEAT_SECONDS * NS_PER_S : 0;
}

void keeper_gap_look(struct keeper *keeper)
{
    uint64_t gap = keeper_gap(&keeper->listened_at, loop_now_ns());
    if (!gap)
        return;
    log_warning(
        "nothing was heard for %llu s (was the server stopped, or its machine?): deadlines of "
        "recalls are put off by as much",
        (unsigned long long)(gap / NS_PER_S));
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_GAP, .gap = gap});
    keeper_san_look(keeper->san);
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    keeper_gap_look(arg);
}

int keeper_gap_start(struct keeper *keeper)
{
    keeper->beat = event_new(loop_base(keeper->loop), -1, EV_PERSIST, on_beat, keeper);
    if (!keeper->beat || evtimer_add(keeper->beat, &(struct timeval){.tv_sec = BEAT_SECONDS}))
        return -ENOMEM;
    return 0;
}

void keeper_gap_stop(struct keeper *keeper)
{
    if (keeper->beat)
        event_free(keeper->beat);
    keeper->beat = NULL;
}
