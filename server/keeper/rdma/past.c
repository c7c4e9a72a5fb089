/* past.c - see keeper/rdma/past.h. */
#include "server/keeper/rdma/past.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/keeper/private.h"
#include "server/keeper/rdma/process_record.h"

enum { LOOK_SECONDS = 1 };

struct keeper_past {
    struct process_record *record;
    struct event *timer;
    bool is_void, complained;
};

/* A record that is missing says nothing of who was here; nor is there anything to say if nobody had
 * any memory. */
static bool looks_void(const struct keeper *keeper)
{
    const struct keeper_past *past = keeper->past;
    return process_record_all_gone(past->record) &&
           (!process_record_is_new(past->record) || !engine_has_memory_past(keeper->engine));
}

void keeper_past_look(struct keeper *keeper)
{
    struct keeper_past *past = keeper->past;
    if (past->is_void)
        return;
    if (looks_void(keeper)) {
        past->is_void = true;
        keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_MEMORY_VOID});
        return;
    }
    if (!past->complained)
        log_warning("an earlier sealnfsd of this state directory is not seen to have ended "
                    "(%s/processes): what it "
                    "registered with an RDMA device may still be reached; files that clients had "
                    "RDMA layouts of "
                    "stay sealed until it is gone",
                    keeper->config->state_dir);
    past->complained = true;
    evtimer_add(past->timer, &(struct timeval){.tv_sec = LOOK_SECONDS});
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    keeper_past_look(arg);
}

int keeper_past_create(struct keeper *keeper)
{
    struct keeper_past *past = calloc(1, sizeof *past);
    if (!past)
        return -ENOMEM;
    keeper->past = past;
    past->timer = evtimer_new(loop_base(keeper->loop), on_look, keeper);
    return past->timer ? process_record_open(keeper->config->state_dir, &past->record) : -ENOMEM;
}

bool keeper_past_is_void(const struct keeper *keeper)
{
    return keeper->past->is_void;
}

void keeper_past_destroy(struct keeper *keeper, bool in_order)
{
    struct keeper_past *past = keeper->past;
    if (!past)
        return;
    if (past->timer)
        event_free(past->timer);
    process_record_close(past->record, in_order);
    free(past);
    keeper->past = NULL;
}
