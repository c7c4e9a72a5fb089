/*
 * commit.c - when the journal is committed.
 *
 * Journal records are written as they come out and committed once the loop's queue is empty, so
 * that requests that arrive together share one flush; those of many files being sealed wait for one
 * another (want_commit); only then the engine hears of the commit and lets go of what depends on
 * it. While the journal cannot be written nothing is reported as committed: no grant, no seal and
 * no release comes of it, those who wait are told, and the commit is tried again every second.
 */
#include <errno.h>
#include <event2/event.h>
#include <time.h>

#include "server/base/loop.h"
#include "server/keeper/private.h"

enum { COMMIT_RETRY_SECONDS = 1, GATHER_MIN = 4, GATHER_MS = 200 };

/*
 * Many files that are sealed at once share flushes: while steps are under way whose records will
 * come, records of steps wait until half of those have come home, GATHER_MS at most. Records that a
 * client or a release waits for go at once and take the others along.
 */
static void want_commit(struct keeper *keeper)
{
    unsigned steps = jobs_under_way(&keeper->jobs);
    bool first = !keeper->dirty;
    keeper->dirty = true;
    if (!keeper->patient || steps < GATHER_MIN) {
        event_active(keeper->commit_now, 0, 0);
    } else if (first) {
        keeper->gather_until = steps / 2;
        evtimer_add(keeper->commit_gathered, &(struct timeval){.tv_usec = GATHER_MS * 1000});
    }
}

void keeper_gathered(struct keeper *keeper)
{
    if (keeper->dirty && jobs_under_way(&keeper->jobs) <= keeper->gather_until)
        event_active(keeper->commit_now, 0, 0);
}

void keeper_do_journal(struct keeper *keeper, const struct engine_effect *effect)
{
    keeper->ticket = effect->journal.ticket;
    keeper_write_record(keeper, &effect->journal.record);
    keeper->records++;
    want_commit(keeper);
}

/* The loops' clock is too coarse for a flush. */
static uint64_t precise_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECONDS(1) + (uint64_t)now.tv_nsec;
}

static void on_commit(evutil_socket_t fd, short what, void *arg)
{
    struct keeper *keeper = arg;
    (void)fd;
    (void)what;
    evtimer_del(keeper->commit_gathered);
    if (!keeper->dirty)
        return;
    uint64_t began = precise_ns();
    int err = keeper_commit(keeper);
    keeper->commits++;
    keeper->commit_ns += precise_ns() - began;
    if (err) {
        evtimer_add(keeper->commit_later, &(struct timeval){.tv_sec = COMMIT_RETRY_SECONDS});
        keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_JOURNAL_FAILING,
                                                   .failing = keeper->failing});
        return;
    }
    keeper->dirty = false;
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_JOURNAL_COMMITTED,
                                               .committed = keeper->ticket});
}

int keeper_commits_start(struct keeper *keeper)
{
    struct event_base *base = loop_base(keeper->loop);
    keeper->commit_now = event_new(base, -1, EV_PERSIST, on_commit, keeper);
    keeper->commit_later = evtimer_new(base, on_commit, keeper);
    keeper->commit_gathered = evtimer_new(base, on_commit, keeper);
    return keeper->commit_now && keeper->commit_later && keeper->commit_gathered ? 0 : -ENOMEM;
}

void keeper_commits_stop(struct keeper *keeper)
{
    if (keeper->commit_now)
        event_free(keeper->commit_now);
    if (keeper->commit_later)
        event_free(keeper->commit_later);
    if (keeper->commit_gathered)
        event_free(keeper->commit_gathered);
}
