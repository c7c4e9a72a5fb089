/*
 * keeper.c - the keeper's thread: it feeds the layout engine, has its effects carried out
 * (effects.c), and keeps the engine's time; see keeper.h.
 */
#include <errno.h>
#include <event2/event.h>
#include <time.h>

#include "server/base/loop.h"
#include "server/client/recovery.h"
#include "server/keeper/private.h"

void keeper_pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

const char *keeper_to_hex(const uint8_t *bytes, size_t len, char *text)
{
    text[0] = '\0';
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return text;
}

static uint64_t now_ns(void)
{
    uint64_t now = loop_now_ns();
    return now ? now : 1;
}

static void set_timer(struct keeper *keeper)
{
    uint64_t due = engine_deadline(keeper->engine), now = now_ns();
    if (!due) {
        evtimer_del(keeper->timer);
        return;
    }
    uint64_t left = due > now ? due - now : 0;
    /* The coarse clock may be a tick behind the timer's: a tick later is never too early. */
    left += UINT64_C(5000000);
    struct timeval wait = {.tv_sec = (time_t)(left / SECONDS(1)),
                           .tv_usec = (suseconds_t)(left % SECONDS(1) / 1000)};
    evtimer_add(keeper->timer, &wait);
}

void keeper_feed(struct keeper *keeper, const struct engine_event *event)
{
    struct engine_effect effect;
    if (event->type != ENGINE_EV_GAP)
        keeper_gap_look(keeper);
    keeper->patient = event->type == ENGINE_EV_STEP_DONE;
    while (engine_event(keeper->engine, event, now_ns()) == -ENOMEM)
        keeper_pause_ms(10);
    while (engine_next_effect(keeper->engine, &effect))
        keeper->carry_out(keeper, &effect);
    keeper_trace_flush(&keeper->trace);
    set_timer(keeper);
}

void keeper_look_at_grace(struct keeper *keeper)
{
    if (!keeper->grace || (keeper->recovery && recovery_in_grace(keeper->recovery)))
        return;
    keeper->grace = false;
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_GRACE_ENDED});
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    keeper_feed(arg, &(struct engine_event){.type = ENGINE_EV_TIMER});
}

int keeper_timer_start(struct keeper *keeper)
{
    keeper->timer = evtimer_new(loop_base(keeper->loop), on_timer, keeper);
    return keeper->timer ? keeper_gap_start(keeper) : -ENOMEM;
}

void keeper_timer_stop(struct keeper *keeper)
{
    keeper_gap_stop(keeper);
    if (keeper->timer)
        event_free(keeper->timer);
}
