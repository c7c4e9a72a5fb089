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
#include "server/base/budget.h"
#include "server/base/buffer.h"
#include "server/base/confine.h"
#include "server/base/cpu_count.h"
#include "server/base/descriptors.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/node_record.h"
#include "server/base/peer.h"
#include "server/base/process_limits.h"
#include "server/base/worker.h"
#include "server/claim.h"
#include "server/client/backchannel.h"
#include "server/client/clients.h"
#include "server/client/recovery.h"
#include "server/client/watcher.h"
#include "server/config/config.h"
#include "server/control/control.h"
#include "server/control/metrics.h"
#include "server/control/reload.h"
#include "server/export/export.h"
#include "server/export/host_names.h"
#include "server/export/idmap.h"
#include "server/export/user_groups.h"
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
enum { WORKERS_MAX = 1024 };

struct daemon {
    struct server server;
    struct descriptor_plan plan;
    struct budget budget;      /* of opens and locks */
    struct node_record *nodes; /* which machines have served from the state directory */
    struct control *control;
    struct metrics *metrics;
    struct worker_pool *lookup_threads;
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
    unsigned n = worker_threads(worker_count(config), (unsigned)config->export_count);
    return n > WORKERS_MAX ? WORKERS_MAX : n;
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
        loop_confine(s->loops[i], CONFINE_LOOP);
        s->loop_count++;
        d->pulses[i].msg.run = on_pulse;
        atomic_init(&d->pulses[i].answered, true);
    }
    return 0;
}

/* Whether what is there may be used is settled before anything of it is opened. */
static int claim(struct daemon *d, bool take_over)
{
    const struct server *s = &d->server;
    int err = claim_state(s->config, s->exports, take_over, d->nodes);
    if (err == 0)
        peer_set_nodes(d->nodes, s->config->node);
    return err;
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

static int make_lookups(struct daemon *d)
{
    int err = idmap_create(d->server.config, &d->server.idmap);
    if (err == 0)
        err = lookup_threads_create(1 + HOST_NAME_KINDS, &d->lookup_threads);
    if (err == 0)
        err = lookups_create(&user_groups, NULL, d->lookup_threads, &d->server.user_groups);
    if (err == 0)
        err = host_names_create(d->lookup_threads, &d->server.names);
    if (err == 0)
        export_table_use_names(d->server.exports, d->server.names);
    return err;
}

static int make_clients(struct daemon *d)
{
    struct server *s = &d->server;
    const struct client_annex annex = client_state_annex(&d->budget);
    const struct clients_parts parts = {
        .loops = s->loops,
        .loop_count = s->loop_count,
        .recovery = s->recovery,
        .boot_verifier = s->boot_verifier,
        .config = s->config,
        .annex = &annex,
    };
    return clients_create(&parts, &s->clients);
}

/* What the process may have, and what each part of it gets of that. */
static int make_files(struct daemon *d)
{
    struct server *s = &d->server;
    d->plan = descriptors_plan(descriptors_raise(), s->config->max_connections);
    budget_init(&d->budget, d->plan.opened, process_memory());
    return file_table_create(s->exports, s->fh_key, &d->plan, &s->files);
}

/* Which clients there are is what the keeper goes by; what becomes of them it is told. */
static int make_keeper(struct daemon *d)
{
    struct server *s = &d->server;
    const struct keeper_parts parts = {
        .config = s->config,
        .loop_index = s->loop_count,
        .workers = s->workers,
        .exports = s->exports,
        .files = s->files,
        .recovery = s->recovery,
        .clients = s->clients,
        .waiting = d->plan.waiting,
    };
    int err = keeper_create(&parts, &s->keeper);
    if (err < 0)
        return err;
    const struct client_watcher watcher = keeper_watcher(s->keeper);
    clients_watch(s->clients, &watcher);
    return 0;
}

static int open_listener(struct daemon *d)
{
    struct server *s = &d->server;
    const struct conn_service service = {.on_record = rpc_service_record, .context = s};
    return listener_create(s->config, d->plan.connections, s->loops, s->loop_count, &service,
                           &s->listener);
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

static int start_parts(struct daemon *d, bool take_over)
{
    struct server *s = &d->server;
    int err = claim_open(s->config, &d->nodes);
    if (err == 0)
        err = export_table_create(s->config, &s->exports);
    if (err == 0)
        err = claim(d, take_over);
    if (err == 0)
        err = create_loops(d);
    if (err == 0)
        err = op_counts_create(s->loop_count, &s->op_counts);
    if (err == 0)
        err = worker_pool_create(thread_count(s->config), worker_count(s->config), &s->workers);
    if (err == 0)
        err = committer_create(s, &s->committer);
    if (err == 0)
        err = open_recovery(s);
    if (err == 0)
        err = make_files(d);
    if (err == 0)
        err = make_lookups(d);
    if (err == 0)
        err = make_clients(d);
    if (err == 0)
        err = make_keeper(d);
    if (err == 0)
        err = open_listener(d);
    if (err == 0 && s->config->rpcbind)
        (void)portmap_start(listener_port(s->listener), &d->portmap); /* clients do not need it */
    if (err == 0)
        err = start_loops(s);
    d->serving = err == 0;
    if (err == 0)
        err = reload_desk_create(&s->reloads);
    if (err == 0)
        err = control_create(s, &d->control);
    if (err == 0)
        err = metrics_create(s, &d->metrics);
    return err;
}

/* Without looking for devices. */
static int check_exports(struct config *config)
{
    struct export_table *exports;
    for (size_t i = 0; i < config->export_count; i++)
        config->exports[i].layouts = false;
    int err = export_table_create(config, &exports);
    if (err == 0)
        export_table_destroy(exports);
    return err;
}

int daemon_check(const char *path, FILE *errors, FILE *out)
{
    struct config *config;
    int err = config_load(path, errors, &config);
    if (err < 0)
        return err;
    fprintf(out, "%s: ok\n", path);
    config_describe(config, out);
    fflush(out);
    err = check_exports(config);
    config_free(config);
    return err;
}

int daemon_dump(const char *path, FILE *errors, FILE *out)
{
    struct config *config;
    int err = config_load(path, errors, &config);
    if (err < 0)
        return err;
    config_dump(config, out);
    config_free(config);
    return fflush(out) == 0 ? 0 : -errno;
}

int daemon_start(struct config *config, bool take_over, struct daemon **out)
{
    struct daemon *d = calloc(1, sizeof(*d));
    if (!d) {
        config_free(config);
        return -ENOMEM;
    }
    d->server.config = config;
    log_set_level(config->log_level);
    confine_enable(config->confine);
    int err = start_parts(d, take_over);
    if (err < 0) {
        if (err != -EKEYREVOKED)
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
    reload_desk_close(s->reloads);
    if (d->control)
        control_stop(d->control);
    keeper_destroy(s->keeper);
    if (d->control)
        control_destroy(d->control);
    reload_desk_destroy(s->reloads);
    worker_pool_destroy(s->workers);
    worker_pool_destroy(d->lookup_threads);
    committer_destroy(s->committer);
    listener_destroy(s->listener);
    lookups_destroy(s->user_groups);
    host_names_destroy(s->names);
    idmap_destroy(s->idmap);
    file_table_destroy(s->files);
    export_table_destroy(s->exports);
    clients_destroy(s->clients);
    recovery_close(s->recovery);
    op_counts_destroy(s->op_counts);
    destroy_loops(d);
    peer_set_nodes(NULL, NULL);
    node_record_close(d->nodes);
    for (size_t i = 0; i < d->outdated_count; i++)
        config_free(d->outdated[i]);
    free(d->outdated);
    config_free(s->config);
    free(d);
    buffer_pool_drain();
}

/* What clients were told, and what threads were made for, holds until a restart. */
static void keep_fixed(const struct config *old, struct config *new, FILE *told)
{
    char names[512];
    config_name_fixed(old, new, names, sizeof(names));
    if (names[0]) {
        log_warning("these options were changed, and take effect at a restart only: %s", names);
        fprintf(told, "these options were changed, and take effect at a restart only: %s\n", names);
    }
    new->loops = old->loops;
    new->workers = old->workers;
    new->lease_time = old->lease_time;
    new->grace_time = old->grace_time;
    new->max_io_size = old->max_io_size;
    new->max_request_memory = old->max_request_memory;
    new->max_connections = old->max_connections;
    new->port = old->port;
    new->rdma_port = old->rdma_port;
}

/* The old configuration lives on: who is looking at it is not known, and reloads are rare. The new
 * one is taken over; where the reload failed half way, exports that came by then have their entries
 * there. */
static int replace_config(struct daemon *d, struct config *config, char why[EXPORT_WHY_MAX])
{
    struct config **outdated = realloc(d->outdated, (d->outdated_count + 1) * sizeof(*outdated));
    snprintf(why, EXPORT_WHY_MAX, "out of memory");
    if (!outdated) {
        config_free(config);
        return -ENOMEM;
    }
    d->outdated = outdated;
    const unsigned before = export_count(d->server.exports);
    int err = export_table_reload(d->server.exports, config, why);
    if (err < 0 && export_count(d->server.exports) > before)
        d->outdated[d->outdated_count++] = config;
    else if (err < 0)
        config_free(config);
    if (err < 0)
        return err;
    d->outdated[d->outdated_count++] = d->server.config;
    d->server.config = config;
    clients_reload(d->server.clients, config);
    idmap_set_config(d->server.idmap, config);
    lookups_flush(d->server.user_groups);
    export_table_learn_names(d->server.exports);
    return 0;
}

/* Each file system has its share of them. */
static void grow_workers(struct daemon *d, const struct config *config)
{
    int err = worker_pool_grow(d->server.workers, thread_count(config));
    if (err == 0)
        err = file_table_grow(d->server.files);
    if (err < 0)
        log_warning("no more threads for the file systems of new exports (%s): they share those "
                    "that there are",
                    strerror(-err));
}

/* told: sentences for who asked, besides the log's. */
static int reload(struct daemon *d, FILE *told)
{
    const struct config *old = d->server.config;
    struct config *config;
    char why[EXPORT_WHY_MAX];
    int err = config_load(old->file, told, &config);
    if (err < 0)
        return err;
    keep_fixed(old, config, told);
    err = replace_config(d, config, why);
    if (err < 0) {
        fprintf(told, "%s\n", why);
        return err;
    }
    log_set_level(config->log_level);
    grow_workers(d, config);
    keeper_reload(d->server.keeper, config);
    return 0;
}

static void log_refused(int err, const char *told)
{
    const char *line = told ? told : "";
    for (size_t len; *line; line += len + (line[len] == '\n')) {
        len = strcspn(line, "\n");
        log_error("%.*s", (int)len, line);
    }
    log_error("the configuration was not reloaded: %s",
              told && told[0] ? "see above" : strerror(-err));
}

int daemon_reload(struct daemon *d)
{
    struct reload_ask *asks = reload_desk_take(d->server.reloads);
    char *told = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&told, &len);
    int err = out ? reload(d, out) : -ENOMEM;
    if (out && fclose(out) != 0 && err == 0)
        log_warning("what the reload had to say is incomplete: out of memory");
    if (err < 0)
        log_refused(err, told);
    else
        log_info("the configuration was reloaded");
    reload_desk_answer(asks, err, told);
    free(told);
    return err;
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
