/*
 * life.c - how a keeper begins and ends: its parts made in order and ended in the reverse, and
 * a new configuration.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/container_of.h"
#include "layout/reservation/reservation.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/keeper/private.h"
#include "server/keeper/rdma/past.h"
#include "server/keeper/rdma/rdma.h"
#include "server/keeper/san/san.h"

static void memory_is_void(void *owner)
{
    keeper_feed(owner, &(struct engine_event){.type = ENGINE_EV_MEMORY_VOID});
}

static void fence_of_memory_done(void *owner, uint64_t ticket, uint64_t client_id, bool success)
{
    keeper_fence_done(owner, ticket, client_id, success);
}

static int make_memory(struct keeper *keeper)
{
    const struct keeper_past_parts past = {.loop = keeper->loop,
                                           .engine = keeper->engine,
                                           .state_dir = keeper->config->state_dir,
                                           .owner = keeper,
                                           .is_void = memory_is_void};
    int err = keeper_past_create(&past, &keeper->past);
    if (err || !keeper_rdma_ops || keeper->config->rdma_listen_count == 0)
        return err;
    const struct keeper_rdma_parts parts = {.config = keeper->config,
                                            .engine = keeper->engine,
                                            .jobs = &keeper->jobs,
                                            .past = keeper->past,
                                            .owner = keeper,
                                            .post = keeper_rdma_post,
                                            .finish = keeper_rdma_finish,
                                            .fence_done = fence_of_memory_done};
    return keeper_rdma_ops->create(&parts, &keeper->rdma);
}

/* What the room of reserved disks calls. */
static const struct config *san_config(void *arg)
{
    return ((const struct keeper *)arg)->config;
}

static bool san_in_grace(void *arg)
{
    return ((const struct keeper *)arg)->grace;
}

static void san_fence_done(void *arg, uint64_t ticket, uint64_t client_id, bool success)
{
    keeper_fence_done(arg, ticket, client_id, success);
}

struct sight {
    struct loop_msg msg;
    struct keeper *keeper;
    unsigned shakes;
    struct engine_event event;
};

static void run_sight(struct loop_msg *msg)
{
    struct sight *sight = container_of(msg, struct sight, msg);
    if (sight->shakes == sight->keeper->shakes)
        keeper_feed(sight->keeper, &sight->event);
    free(sight);
}

/* Later: what the engine makes of it may be a fence, and the room is in the middle of a look. */
static void san_nexus_seen(void *arg, uint64_t client_id, const uint8_t device[DEVICE_ID_SIZE])
{
    struct keeper *keeper = arg;
    struct sight *sight = calloc(1, sizeof *sight);
    if (!sight)
        return; /* it is fenced where it would have settled */
    *sight =
        (struct sight){.msg.run = run_sight,
                       .keeper = keeper,
                       .shakes = keeper->shakes,
                       .event = {.type = ENGINE_EV_NEXUS_SEEN, .seen = {.client_id = client_id}}};
    memcpy(sight->event.seen.device_id, device, DEVICE_ID_SIZE);
    loop_post(keeper->loop, &sight->msg);
}

static void san_settled(void *arg, uint64_t client_id, const struct key_run *name)
{
    struct keeper *keeper = arg;
    struct engine_event event = {.type = ENGINE_EV_CLIENT,
                                 .client = {.what = ENGINE_CLIENT_SETTLED,
                                            .kind = JOURNAL_HOLDER_NFS,
                                            .client_id = client_id,
                                            .owner = name->owner,
                                            .owner_len = name->owner_len}};
    memcpy(event.client.verifier, name->verifier, sizeof name->verifier);
    keeper_feed(keeper, &event);
    if (engine_client_was_fenced(keeper->engine, client_id))
        return;
    keeper_forget_fenced(keeper, client_id);
    log_info("client id %016llx was fenced, and initiator_settle_time has passed since: it gets "
             "layouts again",
             (unsigned long long)client_id);
}

static void san_recall_all(void *arg, uint64_t client_id)
{
    keeper_recall_all(arg, client_id, LAYOUT4_SCSI);
}

/* Nothing in order: its disks refuse what it writes, another machine has its state and its clients,
 * and what it says to them from here on may be wrong. */
static void san_taken_over(void *arg, const char *path, uint64_t key)
{
    (void)arg;
    log_error("%s was taken over by another node (key 0x%016" PRIx64
              "), so this one was fenced: sealnfsd ends here, at once. Unmount its file systems or "
              "restart this machine before it serves again; see sealnfsd(8), TWO MACHINES",
              path, key);
    _exit(KEEPER_EXIT_FENCED);
}

static int make_san(struct keeper *keeper)
{
    const struct keeper_san_calls calls = {
        .arg = keeper,
        .loop = keeper->loop,
        .engine = keeper->engine,
        .journal_id = journal_id(keeper->journal),
        .journal_boot = journal_boot(keeper->journal),
        .own_key = reservation_node_key(keeper->config->node),
        .config = san_config,
        .in_grace = san_in_grace,
        .fence_done = san_fence_done,
        .nexus_seen = san_nexus_seen,
        .settled = san_settled,
        .taken_over = san_taken_over,
        .recall_all = san_recall_all,
    };
    return keeper_san_create(&calls, &keeper->san);
}

/* Everything the keeper has before its thread starts. */
static int make_parts(struct keeper *keeper, unsigned index)
{
    int err = keeper_trace_open(&keeper->trace, keeper->config);
    if (!err)
        err = keeper_marks_create(keeper);
    if (!err)
        err = keeper_open_journal(keeper);
    if (!err)
        err = loop_create("keeper", index, &keeper->loop);
    keeper->jobs.loop = keeper->loop;
    if (!err)
        err = keeper_timer_start(keeper);
    if (!err)
        err = keeper_commits_start(keeper);
    if (!err)
        err = keeper_marks_start(keeper);
    if (!err)
        err = make_san(keeper);
    if (!err)
        err = make_memory(keeper);
    return err;
}

static void log_journal(const struct keeper *keeper)
{
    struct engine_figures figures;
    engine_figures(keeper->engine, &figures);
    log_info("the journal has %zu seals and %zu clients that may hold layouts", figures.seals,
             figures.holders);
}

int keeper_create(const struct keeper_parts *parts, struct keeper **out)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return -ENOMEM;
    keeper->config = parts->config;
    keeper->jobs.workers = parts->workers;
    keeper->exports = parts->exports;
    keeper->files = parts->files;
    keeper->recovery = parts->recovery;
    keeper->clients = parts->clients;
    keeper->carry_out = keeper_carry_out;
    keeper->grace = true;
    pthread_mutex_init(&keeper->fenced_lock, NULL);
    keeper_guard_start(keeper, parts->waiting);
    int err = make_parts(keeper, parts->loop_index);
    if (err)
        goto fail;
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_START});
    keeper_past_look(keeper->past);
    err = keeper_devices_start(keeper);
    if (!err)
        err = keeper_arrivals_start(keeper);
    if (err)
        goto fail;
    log_journal(keeper);
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
    struct reload *reload = container_of(msg, struct reload, msg);
    const unsigned exports = export_count(reload->keeper->exports);
    struct engine_options options;
    reload->keeper->config = reload->config;
    if (reload->keeper->rdma)
        keeper_rdma_ops->reload(reload->keeper->rdma, reload->config);
    (void)keeper_trace_open(&reload->keeper->trace, reload->config); /* it is in the log */
    keeper_options(reload->keeper, &options);
    engine_set_options(reload->keeper->engine, &options);
    keeper_marks_grow(reload->keeper, exports);
    keeper_devices_grow(reload->keeper, exports);
    keeper_arrivals_grow(reload->keeper, exports);
    keeper_devices_look(reload->keeper); /* what is offered of them may be another thing now */
    free(reload);
}

void keeper_reload(struct keeper *keeper, const struct config *config)
{
    struct reload *reload = malloc(sizeof *reload);
    if (!reload) {
        log_error("out of memory: the keeper goes on with the old configuration; reload again");
        return;
    }
    *reload = (struct reload){.msg.run = run_reload, .keeper = keeper, .config = config};
    loop_post(keeper->loop, &reload->msg);
}

static void close_parts(struct keeper *keeper)
{
    keeper_steps_drop(keeper);
    jobs_wait(&keeper->jobs); /* what they had mapped is taken down */
    keeper_cancel_fences(keeper);
    keeper_past_destroy(keeper->past, !keeper->rdma || keeper_rdma_ops->destroy(keeper->rdma));
    keeper_san_destroy(keeper->san);
    keeper->san = NULL;
    keeper_arrivals_stop(keeper);
    keeper_devices_stop(keeper);
    keeper_notify_stop(keeper);
    keeper_timer_stop(keeper);
    keeper_commits_stop(keeper);
    keeper_marks_destroy(keeper);
    keeper_guard_stop(keeper);
    if (keeper->loop)
        loop_destroy(keeper->loop);
    keeper_scan_free(keeper);
    engine_destroy(keeper->engine);
    journal_close(keeper->journal);
    keeper_trace_close(&keeper->trace);
    keeper_fenced_clear(keeper);
    pthread_mutex_destroy(&keeper->fenced_lock);
    free(keeper->unread);
    free(keeper);
}

void keeper_destroy(struct keeper *keeper)
{
    if (!keeper)
        return;
    keeper_scan_stop(keeper);
    if (keeper->running) {
        if (keeper->rdma)
            keeper_rdma_ops->stop(keeper->rdma);
        loop_stop(keeper->loop);
    }
    jobs_wait(&keeper->jobs);
    if (keeper->running) {
        keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_STOP});
        keeper_commits_end(keeper);
    }
    close_parts(keeper);
}
