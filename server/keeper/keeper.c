/*
 * keeper.c - the keeper's thread: it feeds the layout engine and carries out its effects; see
 * keeper.h.
 *
 * Journal records are written as they come out and committed once the loop's queue is empty, so
 * that requests that arrive together share one flush; those of many files being sealed wait for one
 * another (want_commit); only then the engine hears of the commit and lets go of what depends on
 * it. While the journal cannot be written nothing is reported as committed: no grant, no seal and
 * no release comes of it, those who wait are told, and the commit is tried again every second.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <uthash.h>

#include "layout/block_type.h"
#include "layout/local_type.h"
#include "layout/rdma_type.h"
#include "layout/scsi_type.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/client/client.h"
#include "server/client/recovery.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/keeper/private.h"
#include "server/keeper/rdma/past.h"
#include "server/keeper/rdma/rdma.h"
#include "server/keeper/san/san.h"
#include "server/server.h"

#define SECONDS(n) ((uint64_t)(n)*UINT64_C(1000000000))

enum { COMMIT_RETRY_SECONDS = 1, ASK_PAUSE_SECONDS = 10, GATHER_MIN = 4, GATHER_MS = 200 };

static const struct layout_type *const layout_types[] = {
    &block_layout_type, &scsi_layout_type, &rdma_layout_type, &local_layout_type, NULL};

void keeper_options(struct keeper *keeper, struct engine_options *options)
{
    const struct config *config = keeper->config;
    *options = (struct engine_options){
        .types = layout_types,
        .boot = journal_boot(keeper->journal),
        .recall_timeout = SECONDS(config->recall_timeout),
        .lease_time = SECONDS(config->lease_time),
        .recall_pause = SECONDS(1),
        .fence_retry = SECONDS(config->fence_retry),
        .quiesce_time = SECONDS(config->quiesce_time),
        .scrub_interval = SECONDS(config->scrub_interval),
        .at_rest_pause = SECONDS(config->at_rest_pause),
        .at_rest_max = config->at_rest_max,
        .ask_pause = SECONDS(ASK_PAUSE_SECONDS),
        .max_grants = config->max_grants,
        .fence_hook = config->fence_hook != NULL,
        .quiesce_is_safe = config->quiesce_is_safe,
        .trace = keeper->trace != NULL,
    };
}

struct fenced_mark {
    uint64_t client_id;
    UT_hash_handle hh;
};

void keeper_note_fenced(struct keeper *keeper, uint64_t client_id)
{
    struct fenced_mark *mark;
    pthread_mutex_lock(&keeper->fenced_lock);
    HASH_FIND(hh, keeper->fenced, &client_id, sizeof client_id, mark);
    if (!mark && (mark = calloc(1, sizeof *mark))) {
        mark->client_id = client_id;
        HASH_ADD(hh, keeper->fenced, client_id, sizeof mark->client_id, mark);
    }
    atomic_store(&keeper->fenced_count, HASH_COUNT(keeper->fenced));
    pthread_mutex_unlock(&keeper->fenced_lock);
}

void keeper_forget_fenced(struct keeper *keeper, uint64_t client_id)
{
    struct fenced_mark *mark;
    if (atomic_load(&keeper->fenced_count) == 0)
        return;
    pthread_mutex_lock(&keeper->fenced_lock);
    HASH_FIND(hh, keeper->fenced, &client_id, sizeof client_id, mark);
    if (mark)
        HASH_DEL(keeper->fenced, mark);
    free(mark);
    atomic_store(&keeper->fenced_count, HASH_COUNT(keeper->fenced));
    pthread_mutex_unlock(&keeper->fenced_lock);
}

bool keeper_client_was_fenced(struct keeper *keeper, uint64_t client_id)
{
    struct fenced_mark *mark;
    if (atomic_load(&keeper->fenced_count) == 0)
        return false;
    pthread_mutex_lock(&keeper->fenced_lock);
    HASH_FIND(hh, keeper->fenced, &client_id, sizeof client_id, mark);
    pthread_mutex_unlock(&keeper->fenced_lock);
    return mark != NULL;
}

static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

/*
 * Many files that are sealed at once share flushes: while steps are under way whose records will
 * come, records of steps wait until half of those have come home, GATHER_MS at most. Records that a
 * client or a release waits for go at once and take the others along.
 */
static void want_commit(struct keeper *keeper)
{
    unsigned steps = atomic_load(&keeper->jobs);
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
    if (keeper->dirty && atomic_load(&keeper->jobs) <= keeper->gather_until)
        event_active(keeper->commit_now, 0, 0);
}

static void write_record(struct keeper *keeper, const struct engine_effect *effect)
{
    keeper->ticket = effect->journal.ticket;
    keeper_write_record(keeper, &effect->journal.record);
    keeper->records++;
    want_commit(keeper);
}

/* The word is what keeps writers away, so there is no going on without it. */
static void set_word(struct keeper *keeper, const struct engine_effect *effect)
{
    static const unsigned words[] = {
        [ENGINE_WORD_NONE] = SEAL_NONE,           [ENGINE_WORD_SEALING] = SEAL_SEALING,
        [ENGINE_WORD_FROZEN] = SEAL_FROZEN,       [ENGINE_WORD_PINNED] = SEAL_PINNED,
        [ENGINE_WORD_RELEASING] = SEAL_RELEASING, [ENGINE_WORD_BROKEN] = SEAL_BROKEN,
    };
    unsigned word = words[effect->word.word];
    if (word != SEAL_NONE && effect->word.at_rest)
        word |= SEAL_WORD_AT_REST;
    while (file_table_set_seal(keeper->server->files, &effect->key, word) == -ENOMEM)
        pause_ms(10);
}

static void set_overlay(struct keeper *keeper, const struct engine_effect *effect)
{
    while (file_table_set_overlay(keeper->server->files, &effect->key, effect->overlay.mtime_ns,
                                  effect->overlay.change) == -ENOMEM)
        pause_ms(10);
}

static void write_trace(struct keeper *keeper, const char *text)
{
    if (keeper->trace && text) {
        fputs(text, keeper->trace);
        fputc('\n', keeper->trace);
    }
}

static void carry_out(struct keeper *keeper, const struct engine_effect *effect)
{
    switch (effect->type) {
    case ENGINE_DO_JOURNAL:
        write_record(keeper, effect);
        return;
    case ENGINE_DO_STEP:
        keeper_do_step(keeper, effect);
        return;
    case ENGINE_DO_RECALL:
        keeper_do_recall(keeper, effect);
        return;
    case ENGINE_DO_ASK:
        keeper_do_ask(keeper, effect);
        return;
    case ENGINE_DO_FENCE:
        keeper_do_fence(keeper, effect);
        return;
    case ENGINE_DO_EXPIRE:
        client_yield_expired(keeper->server->clients, effect->expire);
        return;
    case ENGINE_DO_LET_GO:
        keeper_rdma_let_go(keeper, effect);
        return;
    case ENGINE_DO_DEVICE_CHANGED:
        keeper_notify_changed(keeper, effect->device_id);
        return;
    case ENGINE_DO_ANSWER:
        keeper_answer(keeper, effect->answer);
        return;
    case ENGINE_DO_SEAL_WORD:
        set_word(keeper, effect);
        return;
    case ENGINE_DO_OVERLAY:
        set_overlay(keeper, effect);
        return;
    case ENGINE_DO_ALARM:
        log_error("%s", effect->text ? effect->text : "an alarm was lost for want of memory");
        return;
    case ENGINE_DO_TRACE:
        write_trace(keeper, effect->text);
        return;
    }
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
    keeper->patient = event->type == ENGINE_EV_STEP_DONE;
    while (engine_event(keeper->engine, event, now_ns()) == -ENOMEM)
        pause_ms(10);
    while (engine_next_effect(keeper->engine, &effect))
        carry_out(keeper, &effect);
    if (keeper->trace)
        fflush(keeper->trace);
    set_timer(keeper);
}

void keeper_look_at_grace(struct keeper *keeper)
{
    if (!keeper->grace || (keeper->server->recovery && recovery_in_grace(keeper->server->recovery)))
        return;
    keeper->grace = false;
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_GRACE_ENDED});
}

void keeper_submit(struct keeper *keeper, struct work *work)
{
    atomic_fetch_add(&keeper->jobs, 1);
    worker_submit(keeper->server->workers, work);
}

void keeper_come_home(struct keeper *keeper, struct loop_msg *msg)
{
    loop_post(keeper->loop, msg);
    atomic_fetch_sub(&keeper->jobs, 1);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    keeper_feed(arg, &(struct engine_event){.type = ENGINE_EV_TIMER});
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

static int open_trace(struct keeper *keeper)
{
    const char *path = keeper->config->trace_file;
    if (!path)
        return 0;
    keeper->trace = fopen(path, "ae");
    if (!keeper->trace) {
        int err = -errno;
        log_error("trace_file %s: %s", path, strerror(errno));
        return err;
    }
    return 0;
}

static int make_events(struct keeper *keeper)
{
    struct event_base *base = loop_base(keeper->loop);
    keeper->timer = evtimer_new(base, on_timer, keeper);
    keeper->commit_now = event_new(base, -1, EV_PERSIST, on_commit, keeper);
    keeper->commit_later = evtimer_new(base, on_commit, keeper);
    keeper->commit_gathered = evtimer_new(base, on_commit, keeper);
    return keeper->timer && keeper->commit_now && keeper->commit_later && keeper->commit_gathered
               ? 0
               : -ENOMEM;
}

int keeper_create(struct server *server, struct keeper **out)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return -ENOMEM;
    keeper->server = server;
    keeper->config = server->config;
    keeper->grace = true;
    pthread_mutex_init(&keeper->fenced_lock, NULL);
    int err = open_trace(keeper);
    if (!err)
        err = keeper_open_journal(keeper);
    if (!err)
        err = loop_create("keeper", server->loop_count, &keeper->loop);
    if (!err)
        err = make_events(keeper);
    if (!err)
        err = keeper_san_create(keeper);
    if (!err)
        err = keeper_past_create(keeper);
    if (!err)
        err = keeper_rdma_create(keeper);
    if (err)
        goto fail;
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_START});
    keeper_past_look(keeper);
    err = keeper_devices_start(keeper);
    if (err)
        goto fail;
    struct engine_figures figures;
    engine_figures(keeper->engine, &figures);
    log_info("the journal has %zu seals and %zu clients that may hold layouts", figures.seals,
             figures.holders);
    err = loop_start(keeper->loop);
    if (err)
        goto fail;
    keeper->running = true;
    keeper_scan_start(keeper);
    *out = keeper;
    return 0;
fail:
    keeper_destroy(keeper);
    return err;
}

struct reload {
    struct loop_msg msg;
    struct keeper *keeper;
    const struct config *config;
};

static void run_reload(struct loop_msg *msg)
{
    struct reload *reload = KEEPER_FROM(msg, struct reload, msg);
    struct engine_options options;
    reload->keeper->config = reload->config;
    keeper_options(reload->keeper, &options);
    engine_set_options(reload->keeper->engine, &options);
    free(reload);
}

void keeper_reload(struct keeper *keeper)
{
    struct reload *reload = malloc(sizeof *reload);
    if (!reload) {
        log_error("out of memory: the keeper goes on with the old configuration; reload again");
        return;
    }
    *reload =
        (struct reload){.msg.run = run_reload, .keeper = keeper, .config = keeper->server->config};
    loop_post(keeper->loop, &reload->msg);
}

void keeper_destroy(struct keeper *keeper)
{
    if (!keeper)
        return;
    keeper_scan_stop(keeper);
    if (keeper->running) {
        keeper_rdma_stop(keeper);
        loop_stop(keeper->loop);
    }
    while (atomic_load(&keeper->jobs) > 0)
        pause_ms(1);
    if (keeper->running) {
        keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_STOP});
        (void)keeper_commit(keeper);
    }
    keeper_cancel_fences(keeper);
    keeper_past_destroy(keeper, keeper_rdma_destroy(keeper));
    keeper_san_destroy(keeper);
    keeper_devices_stop(keeper);
    keeper_notify_stop(keeper);
    if (keeper->timer)
        event_free(keeper->timer);
    if (keeper->commit_now)
        event_free(keeper->commit_now);
    if (keeper->commit_later)
        event_free(keeper->commit_later);
    if (keeper->commit_gathered)
        event_free(keeper->commit_gathered);
    if (keeper->loop)
        loop_destroy(keeper->loop);
    keeper_scan_free(keeper);
    engine_destroy(keeper->engine);
    journal_close(keeper->journal);
    if (keeper->trace)
        fclose(keeper->trace);
    struct fenced_mark *mark, *next;
    HASH_ITER(hh, keeper->fenced, mark, next)
    {
        HASH_DEL(keeper->fenced, mark);
        free(mark);
    }
    pthread_mutex_destroy(&keeper->fenced_lock);
    free(keeper->raise);
    free(keeper->unread);
    free(keeper);
}
