/*
 * mark.c - the journal's watermarks on the file systems that it speaks of
 * (layout/journal/watermark.h).
 *
 * Each is written by a worker, after the commit and before the engine hears of it. A file system
 * that does not answer holds up the others for MARK_PATIENCE_SECONDS, once: then the commit stands
 * without its watermark, which follows when the file system answers again. What is lost meanwhile
 * is only that an older journal, put in place of this one, would not be noticed by that file
 * system.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "layout/journal/watermark.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/export/export.h"
#include "server/keeper/private.h"

enum { MARK_PATIENCE_SECONDS = 1 };

/* Of one export. */
struct keeper_mark {
    struct work work;
    struct loop_msg home;
    struct keeper *keeper;
    const struct export *export;
    struct watermark value;
    bool raised;    /* by a record that waits for its commit */
    bool chosen;    /* by one that is being committed */
    bool under_way; /* a worker has it */
    bool awaited;   /* by the commit */
    bool again;     /* it has gone up since */
    bool failing;   /* and that was said */
    int error;
};

struct keeper_marks {
    struct jobs jobs;
    struct event *patience;
    unsigned awaited, count;
    struct keeper_mark mark[];
};

static void write_mark(struct work *work)
{
    struct keeper_mark *mark = container_of(work, struct keeper_mark, work);
    mark->error =
        watermark_write(export_root_fd(mark->export), export_fs_uuid(mark->export), &mark->value);
    jobs_come_home(&mark->keeper->marks->jobs, &mark->home);
}

static void submit_mark(struct keeper_mark *mark)
{
    const struct keeper *keeper = mark->keeper;
    mark->value = (struct watermark){journal_id(keeper->journal), keeper->commit.watermark};
    mark->work.key = export_work_key(mark->export);
    mark->under_way = true;
    mark->again = false;
    jobs_submit(&keeper->marks->jobs, &mark->work);
}

static void stop_waiting(struct keeper *keeper, struct keeper_mark *mark)
{
    mark->awaited = false;
    if (--keeper->marks->awaited > 0)
        return;
    evtimer_del(keeper->marks->patience);
    keeper_marks_written(keeper);
}

/* Without the watermark the journal still stands; only an older one put in its place would not be
 * noticed. */
static void mark_home(struct loop_msg *msg)
{
    struct keeper_mark *mark = container_of(msg, struct keeper_mark, home);
    struct keeper *keeper = mark->keeper;
    mark->under_way = false;
    if (mark->error && !mark->failing)
        log_error("export %s: the journal's watermark cannot be written: %s; until it can, which "
                  "is not said again, an older journal put in place of this one is not noticed",
                  export_config(mark->export)->path, strerror(-mark->error));
    else if (!mark->error && mark->failing)
        log_info("export %s: the journal's watermark is written again",
                 export_config(mark->export)->path);
    mark->failing = mark->error;
    if (mark->again)
        submit_mark(mark);
    if (mark->awaited)
        stop_waiting(keeper, mark);
}

static void patience_is_over(evutil_socket_t fd, short what, void *arg)
{
    struct keeper *keeper = arg;
    (void)fd;
    (void)what;
    for (unsigned i = 0; i < keeper->marks->count; i++) {
        struct keeper_mark *mark = &keeper->marks->mark[i];
        if (!mark->awaited)
            continue;
        log_warning("export %s: its file system does not answer (is it frozen, or does its disk "
                    "hang?): the journal's watermark is written when it does, and all else goes on",
                    export_config(mark->export)->path);
        stop_waiting(keeper, mark);
    }
}

void keeper_marks_raise(struct keeper *keeper, const uint8_t *fs_uuid)
{
    for (unsigned i = 0; i < keeper->marks->count; i++) {
        struct keeper_mark *mark = &keeper->marks->mark[i];
        if (memcmp(export_fs_uuid(mark->export), fs_uuid, FILE_KEY_UUID_SIZE) == 0)
            mark->raised = true;
    }
}

void keeper_marks_choose(struct keeper *keeper)
{
    for (unsigned i = 0; i < keeper->marks->count; i++) {
        struct keeper_mark *mark = &keeper->marks->mark[i];
        mark->chosen = mark->raised;
        mark->raised = false;
    }
}

void keeper_marks_unchoose(struct keeper *keeper)
{
    for (unsigned i = 0; i < keeper->marks->count; i++) {
        struct keeper_mark *mark = &keeper->marks->mark[i];
        mark->raised = mark->raised || mark->chosen;
        mark->chosen = false;
    }
}

/* None where there is doubt: putting the right journal back is what ends it. */
static bool is_due(const struct keeper *keeper, const struct keeper_mark *mark)
{
    return mark->chosen && !export_is_away(mark->export) &&
           !engine_is_in_doubt(keeper->engine, export_fs_uuid(mark->export));
}

void keeper_marks_write(struct keeper *keeper)
{
    struct keeper_marks *marks = keeper->marks;
    keeper->commit.watermark = journal_watermark(keeper->journal);
    for (unsigned i = 0; i < marks->count; i++) {
        struct keeper_mark *mark = &marks->mark[i];
        bool due = is_due(keeper, mark);
        mark->chosen = false;
        if (!due)
            continue;
        if (mark->under_way) { /* for longer than the patience */
            mark->again = true;
            continue;
        }
        mark->awaited = true;
        marks->awaited++;
        submit_mark(mark);
    }
    const struct timeval patience = {.tv_sec = MARK_PATIENCE_SECONDS};
    if (marks->awaited == 0)
        keeper_marks_written(keeper);
    else
        evtimer_add(marks->patience, &patience);
}

int keeper_marks_create(struct keeper *keeper)
{
    const unsigned room = export_room(keeper->exports);
    struct keeper_marks *marks = calloc(1, sizeof *marks + room * sizeof marks->mark[0]);
    if (!marks)
        return -ENOMEM;
    keeper->marks = marks;
    keeper_marks_grow(keeper, export_count(keeper->exports));
    return 0;
}

void keeper_marks_grow(struct keeper *keeper, unsigned count)
{
    struct keeper_marks *marks = keeper->marks;
    for (; marks->count < count; marks->count++) {
        struct keeper_mark *mark = &marks->mark[marks->count];
        mark->keeper = keeper;
        mark->export = export_at(keeper->exports, marks->count);
        mark->work = (struct work){.run = write_mark, .key = export_work_key(mark->export)};
        mark->home.run = mark_home;
    }
}

int keeper_marks_start(struct keeper *keeper)
{
    keeper->marks->jobs.loop = keeper->loop;
    keeper->marks->jobs.workers = keeper->jobs.workers;
    keeper->marks->patience = evtimer_new(loop_base(keeper->loop), patience_is_over, keeper);
    return keeper->marks->patience ? 0 : -ENOMEM;
}

/* The loop has stopped, and all is committed. */
void keeper_marks_end(struct keeper *keeper)
{
    struct keeper_marks *marks = keeper->marks;
    const struct watermark value = {journal_id(keeper->journal),
                                    journal_watermark(keeper->journal)};
    jobs_wait(&marks->jobs);
    keeper_marks_unchoose(keeper);
    for (unsigned i = 0; i < marks->count; i++) {
        struct keeper_mark *mark = &marks->mark[i];
        mark->chosen = mark->raised || mark->under_way || mark->again;
        if (is_due(keeper, mark))
            (void)watermark_write(export_root_fd(mark->export), export_fs_uuid(mark->export),
                                  &value);
    }
}

void keeper_marks_destroy(struct keeper *keeper)
{
    if (keeper->marks && keeper->marks->patience)
        event_free(keeper->marks->patience);
    free(keeper->marks);
}
