/* past.c - see keeper/rdma/past.h. */
#include "server/keeper/rdma/past.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "layout/engine/engine.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/keeper/rdma/process_record.h"

enum { LOOK_SECONDS = 1 };

struct keeper_past {
    struct keeper_past_parts parts;
    struct process_record *record;
    struct event *timer;
    bool is_void, complained;
};

/* A record that is missing says nothing of who was here; nor is there anything to say if nobody had
 * any memory. */
static bool looks_void(const struct keeper_past *past)
{
    return process_record_all_gone(past->record) &&
           (!process_record_is_new(past->record) || !engine_has_memory_past(past->parts.engine));
}

void keeper_past_look(struct keeper_past *past)
{
    if (past->is_void)
        return;
    if (looks_void(past)) {
        past->is_void = true;
        past->parts.is_void(past->parts.owner);
        return;
    }
    if (!past->complained)
        log_warning("an earlier sealnfsd of this state directory is not seen to have ended "
                    "(%s/processes): what it "
                    "registered with an RDMA device may still be reached; files that clients had "
                    "RDMA layouts of "
                    "stay sealed until it is gone",
                    past->parts.state_dir);
    past->complained = true;
    evtimer_add(past->timer, &(struct timeval){.tv_sec = LOOK_SECONDS});
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    keeper_past_look(arg);
}

int keeper_past_create(const struct keeper_past_parts *parts, struct keeper_past **out)
{
    struct keeper_past *past = calloc(1, sizeof *past);
    if (!past)
        return -ENOMEM;
    past->parts = *parts;
    past->timer = evtimer_new(loop_base(parts->loop), on_look, past);
    int err = past->timer ? process_record_open(parts->state_dir, &past->record) : -ENOMEM;
    if (err) {
        keeper_past_destroy(past, false);
        return err;
    }
    *out = past;
    return 0;
}

bool keeper_past_is_void(const struct keeper_past *past)
{
    return past->is_void;
}

void keeper_past_destroy(struct keeper_past *past, bool in_order)
{
    if (!past)
        return;
    if (past->timer)
        event_free(past->timer);
    process_record_close(past->record, in_order);
    free(past);
}
