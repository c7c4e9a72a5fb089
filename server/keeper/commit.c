/*
 * commit.c - when the journal is committed, and what follows from it.
 *
 * Journal records are written as they come out and committed once the loop's queue is empty, so
 * that requests that arrive together share one flush; those of many files being sealed wait for one
 * another (want_commit). The flush is made by a thread of its own; what is written meanwhile waits
 * for the next. Then the watermarks of the file systems that the records speak of are written
 * (mark.c), and only then the engine hears of the commit and lets go of what depends on it. While
 * the journal cannot be written nothing is reported as committed: no grant, no seal and no release
 * comes of it, those who wait are told, and the commit is tried again every second.
 */
#include <errno.h>
#include <event2/event.h>
#include <time.h>

#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/keeper/private.h"

enum { COMMIT_RETRY_SECONDS = 1, GATHER_MIN = 4, GATHER_MS = 200 };

/*
 * Many files that are sealed at once share flushes: while steps are under way whose records will
 * come, records of steps wait until half of those have come home, GATHER_MS at most. Records that a
 * client or a release waits for go at once and take the others along.
 */
static void want_commit(struct keeper *keeper)
{
    struct keeper_commit *commit = &keeper->commit;
    unsigned steps = jobs_under_way(&keeper->jobs);
    bool first = !commit->dirty;
    commit->dirty = true;
    if (!keeper->patient || steps < GATHER_MIN) {
        event_active(commit->now, 0, 0);
    } else if (first) {
        commit->gather_until = steps / 2;
        evtimer_add(commit->gathered, &(struct timeval){.tv_usec = GATHER_MS * 1000});
    }
}

void keeper_gathered(struct keeper *keeper)
{
    const struct keeper_commit *commit = &keeper->commit;
    if (commit->dirty && jobs_under_way(&keeper->jobs) <= commit->gather_until)
        event_active(commit->now, 0, 0);
}

void keeper_do_journal(struct keeper *keeper, const struct engine_effect *effect)
{
    keeper->commit.written = effect->journal.ticket;
    keeper_write_record(keeper, &effect->journal.record);
    keeper->commit.records++;
    want_commit(keeper);
}

/* The loops' clock is too coarse for a flush. */
static uint64_t precise_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECONDS(1) + (uint64_t)now.tv_nsec;
}

/* The journal's thread. */
static void flush_records(struct work *work)
{
    struct keeper_commit *commit = container_of(work, struct keeper_commit, work);
    struct keeper *keeper = container_of(commit, struct keeper, commit);
    uint64_t began = precise_ns();
    commit->error = journal_commit(keeper->journal);
    commit->took = precise_ns() - began;
    jobs_come_home(&commit->jobs, &commit->home);
}

static void on_commit(evutil_socket_t fd, short what, void *arg)
{
    struct keeper *keeper = arg;
    struct keeper_commit *commit = &keeper->commit;
    (void)fd;
    (void)what;
    evtimer_del(commit->gathered);
    if (!commit->dirty || commit->under_way)
        return;
    commit->dirty = false;
    commit->under_way = true;
    commit->ticket = commit->written;
    keeper_marks_choose(keeper);
    jobs_submit(&commit->jobs, &commit->work);
}

static void end_round(struct keeper *keeper)
{
    keeper->commit.under_way = false;
    if (keeper->commit.dirty)
        event_active(keeper->commit.now, 0, 0);
}

static void commit_failed(struct keeper *keeper)
{
    struct keeper_commit *commit = &keeper->commit;
    keeper_note_failing(keeper);
    keeper_marks_unchoose(keeper);
    commit->dirty = true;
    commit->under_way = false;
    evtimer_add(commit->later, &(struct timeval){.tv_sec = COMMIT_RETRY_SECONDS});
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_JOURNAL_FAILING,
                                               .failing = keeper->failing});
}

static void flushed(struct loop_msg *msg)
{
    struct keeper_commit *commit = container_of(msg, struct keeper_commit, home);
    struct keeper *keeper = container_of(commit, struct keeper, commit);
    commit->commits++;
    commit->commit_ns += commit->took;
    if (commit->error) {
        commit_failed(keeper);
        return;
    }
    keeper_note_written(keeper);
    keeper_marks_write(keeper);
}

void keeper_marks_written(struct keeper *keeper)
{
    uint64_t ticket = keeper->commit.ticket;
    end_round(keeper);
    keeper_feed(keeper,
                &(struct engine_event){.type = ENGINE_EV_JOURNAL_COMMITTED, .committed = ticket});
}

int keeper_commits_start(struct keeper *keeper)
{
    struct event_base *base = loop_base(keeper->loop);
    struct keeper_commit *commit = &keeper->commit;
    commit->jobs.loop = keeper->loop;
    commit->work.run = flush_records;
    commit->home.run = flushed;
    commit->now = event_new(base, -1, EV_PERSIST, on_commit, keeper);
    commit->later = evtimer_new(base, on_commit, keeper);
    commit->gathered = evtimer_new(base, on_commit, keeper);
    if (!commit->now || !commit->later || !commit->gathered)
        return -ENOMEM;
    return worker_pool_create_as(CONFINE_JOURNAL, 1, 1, &commit->jobs.workers);
}

/* The loop has stopped: what was written last is made durable here. */
void keeper_commits_end(struct keeper *keeper)
{
    jobs_wait(&keeper->commit.jobs);
    if (journal_commit(keeper->journal))
        keeper_note_failing(keeper);
    else
        keeper_marks_end(keeper);
}

void keeper_commits_stop(struct keeper *keeper)
{
    struct keeper_commit *commit = &keeper->commit;
    worker_pool_destroy(commit->jobs.workers);
    if (commit->now)
        event_free(commit->now);
    if (commit->later)
        event_free(commit->later);
    if (commit->gathered)
        event_free(commit->gathered);
}
