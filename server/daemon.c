/*
 * daemon.c - see daemon.h. Runs on the main thread.
 */
#include "server/daemon.h"

#include <errno.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/container_of.h"
#include "server/base/buffer.h"
#include "server/base/cpu_count.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/client/backchannel.h"
#include "server/client/clients.h"
#include "server/client/recovery.h"
#include "server/config/config.h"
#include "server/control/control.h"
#include "server/control/metrics.h"
#include "server/export/export.h"
#include "server/export/idmap.h"
#include "server/file/file.h"
#include "server/keeper/keeper.h"
#include "server/keeper/watch.h"
#include "server/net/conn.h"
#include "server/net/portmap.h"
#include "server/nfs/commit.h"
#include "server/nfs/op_counts.h"
#include "server/nfs/rpc_service.h"
#include "server/server.h"
#include "server/state/state.h"

/* One loop's sign of life. */
struct pulse {
    struct loop_msg msg;
    atomic_bool answered;
};

enum { DRAIN_SECONDS = 5 }; /* longer than an operation waits for a seal */
enum { WORKERS_MAX = 512 };

struct daemon {
    struct server server;
    struct control *control;
    struct metrics *metrics;
    struct config **outdated; /* replaced by reloads; somebody may still look at them */
    size_t outdated_count;
    struct pulse *pulses;    /* one a loop */
    bool serving;            /* the loops run */
    struct portmap *portmap; /* NULL: not registered */
};

static unsigned loop_count(const struct config *config)
{
    if (config->loops > 0)
        return config->loops;
    unsigned cpus = cpu_count();
    return cpus < 8 ? cpus : 8;
}

static unsigned worker_count(const struct config *config)
{
    if (config->workers > 0)
        return config->workers;
    unsigned n = 2 * cpu_count();
    return n < 4 ? 4 : n > 16 ? 16 : n;
}

/* As many for each file system as the configuration says, and as many again for all else: one that
 * hangs keeps its own. */
static unsigned thread_count(const struct config *config)
{
    size_t n = worker_count(config) * (config->export_count + 1);
    return n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

static void on_pulse(struct loop_msg *msg)
{
    struct pulse *pulse = container_of(msg, struct pulse, msg);
    atomic_store(&pulse->answered, true);
}

static int create_loops(struct daemon *d)
{
    struct server *s = &d->server;
    unsigned count = loop_count(s->config);
    s->loops = calloc(count, sizeof(struct loop *));
    d->pulses = calloc(count, sizeof(*d->pulses));
    if (!s->loops || !d->pulses)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "loop-%u", i);
        int err = loop_create(name, i, &s->loops[i]);
        if (err < 0)
            return err;
        s->loop_count++;
        d->pulses[i].msg.run = on_pulse;
        atomic_init(&d->pulses[i].answered, true);
    }
    return 0;
}

static int open_recovery(struct server *s)
{
    int err = recovery_open(s->config->state_dir, s->workers, &s->recovery);
    if (err < 0)
        return err;
    recovery_identity(s->recovery, s->server_uuid, s->fh_key);
    randombytes_buf(&s->boot_verifier, sizeof(s->boot_verifier));
    return recovery_start_grace(s->recovery, s->loops[0], s->config->grace_time);
}

static int make_clients(struct server *s)
{
    const struct clients_parts parts = {
        .loops = s->loops,
        .loop_count = s->loop_count,
        .recovery = s->recovery,
        .boot_verifier = s->boot_verifier,
        .config = s->config,
        .annex = &client_state_annex,
    };
    return clients_create(&parts, &s->clients);
}

/* Which clients there are is what the keeper goes by; what becomes of them it is told. */
static int make_keeper(struct server *s)
{
    const struct keeper_parts parts = {
        .config = s->config,
        .loop_index = s->loop_count,
        .workers = s->workers,
        .exports = s->exports,
        .files = s->files,
        .recovery = s->recovery,
        .clients = s->clients,
    };
    int err = keeper_create(&parts, &s->keeper);
    if (err < 0)
        return err;
    const struct client_watcher watcher = keeper_watcher(s->keeper);
    clients_watch(s->clients, &watcher);
    return 0;
}

static int open_listener(struct server *s)
{
    const struct conn_service service = {.on_record = rpc_service_record, .context = s};
    return listener_create(s->config, s->loops, s->loop_count, &service, &s->listener);
}

static int start_loops(struct server *s)
{
    for (unsigned i = 0; i < s->loop_count; i++) {
        int err = loop_start(s->loops[i]);
        if (err < 0)
            return err;
    }
    return 0;
}

static int start_parts(struct daemon *d)
{
    struct server *s = &d->server;
    int err = create_loops(d);
    if (err == 0)
        err = op_counts_create(s->loop_count, &s->op_counts);
    if (err == 0)
        err = worker_pool_create(thread_count(s->config), worker_count(s->config), &s->workers);
    if (err == 0)
        err = committer_create(s, &s->committer);
    if (err == 0)
        err = open_recovery(s);
    if (err == 0)
        err = export_table_create(s->config, &s->exports);
    if (err == 0)
        err = file_table_create(s->exports, s->fh_key, &s->files);
    if (err == 0)
        err = idmap_create(s->config, &s->idmap);
    if (err == 0)
        err = make_clients(s);
    if (err == 0)
        err = make_keeper(s);
    if (err == 0)
        err = open_listener(s);
    if (err == 0 && s->config->rpcbind)
        (void)portmap_start(listener_port(s->listener), &d->portmap); /* clients do not need it */
    if (err == 0)
        err = start_loops(s);
    d->serving = err == 0;
    if (err == 0)
        err = control_create(s, &d->control);
    if (err == 0)
        err = metrics_create(s, &d->metrics);
    return err;
}

int daemon_start(struct config *config, struct daemon **out)
{
    struct daemon *d = calloc(1, sizeof(*d));
    if (!d) {
        config_free(config);
        return -ENOMEM;
    }
    d->server.config = config;
    log_set_level(config->log_level);
    int err = start_parts(d);
    if (err < 0) {
        log_error("cannot start: %s", strerror(-err));
        daemon_stop(d);
        return err;
    }
    *out = d;
    return 0;
}

struct settling {
    struct loop_msg msg;
    sem_t done;
};

static void on_settled(struct loop_msg *msg)
{
    sem_post(&container_of(msg, struct settling, msg)->done);
}

/* Until the loops have done what was posted to them, and what that has posted to others: a
 * connection closes on its loop, and its client's loop, which hears of it, must not have stopped by
 * then. */
static void settle_loops(struct server *s)
{
    enum { ROUNDS = 4 }; /* the listener's word, each home's, a client's, and one to spare */
    for (unsigned i = 0; i < ROUNDS * s->loop_count; i++) {
        struct settling settling = {.msg.run = on_settled};
        sem_init(&settling.done, 0, 0);
        loop_post(s->loops[i % s->loop_count], &settling.msg);
        while (sem_wait(&settling.done) < 0 && errno == EINTR)
            ;
        sem_destroy(&settling.done);
    }
}

static void stop_loops(struct server *s)
{
    for (unsigned i = 0; i < s->loop_count; i++)
        loop_stop(s->loops[i]);
}

static void destroy_loops(struct daemon *d)
{
    struct server *s = &d->server;
    for (unsigned i = 0; i < s->loop_count; i++)
        loop_destroy(s->loops[i]);
    free(s->loops);
    free(d->pulses);
}

/* The reverse of start_parts: first no new work, what is under way answered, then the threads, then
 * what they used. */
void daemon_stop(struct daemon *d)
{
    struct server *s = &d->server;
    metrics_destroy(d->metrics); /* it asks the others */
    portmap_stop(d->portmap);
    if (s->listener) {
        if (d->serving)
            listener_drain(s->listener, DRAIN_SECONDS);
        listener_close(s->listener);
        if (d->serving)
            settle_loops(s);
    }
    stop_loops(s);
    clients_close(s->clients);
    if (d->control)
        control_stop(d->control);
    keeper_destroy(s->keeper);
    if (d->control)
        control_destroy(d->control);
    worker_pool_destroy(s->workers);
    committer_destroy(s->committer);
    listener_destroy(s->listener);
    idmap_destroy(s->idmap);
    file_table_destroy(s->files);
    export_table_destroy(s->exports);
    clients_destroy(s->clients);
    recovery_close(s->recovery);
    op_counts_destroy(s->op_counts);
    destroy_loops(d);
    for (size_t i = 0; i < d->outdated_count; i++)
        config_free(d->outdated[i]);
    free(d->outdated);
    config_free(s->config);
    free(d);
    buffer_pool_drain();
}

/* What clients were told, and what threads were made for, holds until a restart. */
static void keep_fixed(const struct config *old, struct config *new)
{
    char names[512];
    config_name_fixed(old, new, names, sizeof(names));
    if (names[0])
        log_warning("these options were changed, and take effect at a restart only: %s", names);
    new->lease_time = old->lease_time;
    new->grace_time = old->grace_time;
    new->max_io_size = old->max_io_size;
    new->max_request_memory = old->max_request_memory;
    new->max_connections = old->max_connections;
    new->port = old->port;
    new->rdma_port = old->rdma_port;
}

/* The old configuration lives on: who is looking at it is not known, and reloads are rare. */
static int replace_config(struct daemon *d, struct config *config)
{
    struct config **outdated = realloc(d->outdated, (d->outdated_count + 1) * sizeof(*outdated));
    if (!outdated)
        return -ENOMEM;
    d->outdated = outdated;
    int err = export_table_reload(d->server.exports, config);
    if (err < 0)
        return err;
    d->outdated[d->outdated_count++] = d->server.config;
    d->server.config = config;
    clients_reload(d->server.clients, config);
    idmap_set_config(d->server.idmap, config);
    return 0;
}

int daemon_reload(struct daemon *d)
{
    struct server *s = &d->server;
    const struct config *old = s->config;
    struct config *config;
    int err = config_load(old->file, stderr, &config);
    if (err < 0) {
        log_error("the configuration was not reloaded: %s", strerror(-err));
        return err;
    }
    keep_fixed(old, config);
    err = replace_config(d, config);
    if (err < 0) {
        log_error("the configuration was not reloaded: %s",
                  err == -EINVAL ? "exports were added, removed or moved; restart for that"
                                 : strerror(-err));
        config_free(config);
        return err;
    }
    log_set_level(config->log_level);
    keeper_reload(s->keeper, config);
    log_info("the configuration was reloaded");
    return 0;
}

bool daemon_is_alive(struct daemon *d)
{
    bool alive = true;
    for (unsigned i = 0; i < d->server.loop_count; i++) {
        if (!atomic_exchange(&d->pulses[i].answered, false))
            alive = false;
        else
            loop_post(d->server.loops[i], &d->pulses[i].msg);
    }
    return alive;
}

struct server *daemon_server(struct daemon *d)
{
    return &d->server;
}
