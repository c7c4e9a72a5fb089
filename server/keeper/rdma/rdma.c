/* rdma.c - see keeper/rdma/rdma.h and keeper/rdma/private.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "layout/container_of.h"
#include "proto/arena.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/keeper/rdma/private.h"

enum {
    LOOK_SECONDS = 5,
    PROBE_PATIENCE = 6, /* looks */
    CONNECTIONS_OF_A_CLIENT = 8,
    UPDATE_LIMIT = 4 << 20
};

/* ---- jobs and requests ---- */

struct rdma_job *rdma_job_make(struct keeper_rdma *rdma, void (*run)(struct work *work),
                               void (*home)(struct loop_msg *msg))
{
    struct rdma_job *job;
    while (!(job = calloc(1, sizeof *job))) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause,
                  NULL); /* a release or a fence that is lost would hold its seal for ever */
    }
    job->rdma = rdma;
    job->fd = -1;
    job->work.run = run;
    job->home.run = home;
    DL_APPEND(rdma->jobs, job);
    return job;
}

void rdma_job_free(struct rdma_job *job)
{
    DL_DELETE(job->rdma->jobs, job);
    free(job);
}

/* Those that came home when the keeper's loop had stopped. */
static void free_jobs(struct keeper_rdma *rdma)
{
    struct rdma_job *job, *next;
    DL_FOREACH_SAFE(rdma->jobs, job, next)
    rdma_job_free(job);
}

void rdma_job_submit(struct rdma_job *job)
{
    jobs_submit(job->rdma->parts.jobs, &job->work);
}

struct rdma_job *rdma_job_of_work(struct work *work)
{
    return container_of(work, struct rdma_job, work);
}

struct rdma_job *rdma_job_of_home(struct loop_msg *msg)
{
    return container_of(msg, struct rdma_job, home);
}

void rdma_calls_finish(struct keeper_rdma *rdma, struct rdma_call **list, nfsstat4 status,
                       const char *why)
{
    while (*list) {
        struct rdma_call *call = *list;
        *list = call->next;
        rdma->parts.finish(call, status, why);
    }
}

void rdma_calls_post(struct keeper_rdma *rdma, struct rdma_call **list)
{
    while (*list) {
        struct rdma_call *call = *list;
        *list = call->next;
        rdma->parts.post(call);
    }
}

/* ---- the device ---- */

static void plan_look(struct keeper_rdma *rdma)
{
    evtimer_add(rdma->timer, &(struct timeval){.tv_sec = LOOK_SECONDS});
}

static void unwatch(struct keeper_rdma *rdma)
{
    for (int i = 0; i < 2; i++) {
        if (rdma->events[i])
            event_free(rdma->events[i]);
        rdma->events[i] = NULL;
    }
}

/* The kernel has taken back all that was registered; each client's fence sees that, and clears up.
 */
static void device_is_gone(struct keeper_rdma *rdma)
{
    struct rdma_client *client, *next;
    log_error(
        "the RDMA device %s was removed: RDMA layouts are useless, their holders go on through the "
        "server; it "
        "is looked for again every %d s",
        rdma_target_device(rdma->target), LOOK_SECONDS);
    rdma->gone = true;
    snprintf(rdma->why, sizeof rdma->why, "the RDMA device was removed");
    unwatch(rdma);
    LL_FOREACH_SAFE(rdma->clients, client, next)
    {
        rdma_client_begin_fence(client);
    }
    rdma_target_settle(rdma);
    plan_look(rdma);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct keeper_rdma *rdma = arg;
    (void)fd;
    (void)what;
    if (rdma_target_dispatch(rdma->target) == -ENODEV)
        device_is_gone(rdma);
}

static void add_counters(struct rdma_counters *sum, const struct rdma_counters *more)
{
    for (int i = 0; i < RDMA_ADMISSIONS; i++)
        sum->admissions[i] += more->admissions[i];
    sum->gave_way += more->gave_way;
    sum->dead += more->dead;
}

static void drop_target(struct keeper_rdma *rdma)
{
    struct rdma_counters counters;
    rdma_target_counters(rdma->target, &counters);
    add_counters(&rdma->past, &counters);
    rdma_target_destroy(rdma->target);
    rdma->target = NULL;
    rdma->gone = false;
}

void rdma_target_settle(struct keeper_rdma *rdma)
{
    if (rdma->gone && !rdma->clients && !rdma->zombies)
        drop_target(rdma);
}

static int listen_now(struct keeper_rdma *rdma, struct rdma_target **target, char *why)
{
    const struct sockaddr *addresses[RDMA_TARGET_MAX_ADDRESSES];
    for (unsigned i = 0; i < rdma->addresses_count; i++)
        addresses[i] = (const struct sockaddr *)&rdma->addresses[i];
    struct rdma_target_options options = {
        .addresses = addresses,
        .addresses_count = rdma->addresses_count,
        .peer_connections = CONNECTIONS_OF_A_CLIENT,
        .limits = rdma->limits,
        .verbs = &rdma_verbs_system,
    };
    return rdma_target_create(&options, target, why);
}

static void take_target(struct keeper_rdma *rdma, struct rdma_target *target, const char *why)
{
    int fds[2];
    if (!target) {
        if (strcmp(rdma->why, why) != 0)
            log_warning("no RDMA layouts are given: %s; it is tried again every %d s", why,
                        LOOK_SECONDS);
        snprintf(rdma->why, sizeof rdma->why, "%s", why);
        return;
    }
    rdma_target_fds(target, fds);
    for (int i = 0; i < 2; i++) {
        rdma->events[i] = event_new(loop_base(rdma->parts.jobs->loop), fds[i], EV_READ | EV_PERSIST,
                                    on_event, rdma);
        if (!rdma->events[i] || event_add(rdma->events[i], NULL) != 0) {
            unwatch(rdma);
            rdma_target_destroy(target);
            snprintf(rdma->why, sizeof rdma->why, "out of memory");
            return;
        }
    }
    rdma->target = target;
    rdma->why[0] = '\0';
    log_info("RDMA layouts are given by %s%s", rdma_target_device(target),
             rdma_target_on_demand(target)
                 ? ""
                 : ", which does not page on demand: not of persistent memory");
}

static void listen_work(struct work *work)
{
    struct rdma_job *job = rdma_job_of_work(work);
    struct rdma_target *target = NULL;
    job->error = listen_now(job->rdma, &target, job->why);
    job->peer = (struct rdma_peer *)(void *)(job->error ? NULL : target);
    jobs_come_home(job->rdma->parts.jobs, &job->home);
}

static void listened(struct loop_msg *msg)
{
    struct rdma_job *job = rdma_job_of_home(msg);
    job->rdma->listening = false;
    take_target(job->rdma, (struct rdma_target *)(void *)job->peer, job->why);
    rdma_job_free(job);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct keeper_rdma *rdma = arg;
    struct rdma_client *client, *next;
    (void)fd;
    (void)what;
    LL_FOREACH_SAFE(rdma->clients, client, next)
    {
        if (client->state == CLIENT_STUCK)
            rdma_client_begin_fence(client);
    }
    LL_FOREACH_SAFE(rdma->zombies, client, next)
    {
        rdma_client_settle(client);
    }
    if (rdma->target && !rdma->gone)
        rdma_target_probe(rdma->target, PROBE_PATIENCE);
    if (!rdma->target && !rdma->listening && !rdma->stopping) {
        rdma->listening = true;
        rdma_job_submit(rdma_job_make(rdma, listen_work, listened));
    }
    plan_look(rdma);
}

/* ---- beginning and end ---- */

static void learn_address(struct keeper_rdma *rdma, const char *text, uint16_t port)
{
    unsigned i = rdma->addresses_count++;
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&rdma->addresses[i];
    bool is_v4 = inet_pton(AF_INET, text, &v4->sin_addr) == 1;
    if (is_v4) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
    } else {
        rdma->addresses[i] =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
        (void)inet_pton(AF_INET6, text, &rdma->addresses[i].sin6_addr);
    }
    snprintf(rdma->netids[i], sizeof rdma->netids[i], "%s", is_v4 ? "rdma" : "rdma6");
    snprintf(rdma->uaddrs[i], sizeof rdma->uaddrs[i], "%s.%u.%u", text, port >> 8, port & 0xffu);
    rdma->netaddrs[i] =
        (netaddr4){.na_r_netid = {(uint8_t *)rdma->netids[i], (uint32_t)strlen(rdma->netids[i])},
                   .na_r_addr = {(uint8_t *)rdma->uaddrs[i], (uint32_t)strlen(rdma->uaddrs[i])}};
}

static int rdma_create(const struct keeper_rdma_parts *parts, struct keeper_rdma **out)
{
    const struct config *config = parts->config;
    struct rdma_target *target = NULL;
    char why[RDMA_WHY_MAX];
    struct keeper_rdma *rdma = calloc(1, sizeof *rdma);
    if (!rdma)
        return -ENOMEM;
    rdma->parts = *parts;
    rdma->limits = rdma_limits_of(config);
    for (size_t i = 0; i < config->rdma_listen_count && i < RDMA_TARGET_MAX_ADDRESSES; i++)
        learn_address(rdma, config->rdma_listen[i], config->rdma_port);
    rdma->timer = evtimer_new(loop_base(parts->jobs->loop), on_look, rdma);
    if (!rdma->timer) {
        free(rdma);
        return -ENOMEM;
    }
    take_target(rdma, listen_now(rdma, &target, why) ? NULL : target, why);
    plan_look(rdma);
    *out = rdma;
    return 0;
}

static void take_config(struct keeper_rdma *rdma, const struct config *config)
{
    rdma->parts.config = config;
    rdma->limits = rdma_limits_of(config);
    if (rdma->target)
        rdma_target_set_limits(rdma->target, &rdma->limits);
}

struct stop {
    struct loop_msg msg;
    struct keeper_rdma *rdma;
    sem_t looked;
    bool all;
};

static void on_stop(struct loop_msg *msg)
{
    struct stop *stop = container_of(msg, struct stop, msg);
    struct keeper_rdma *rdma = stop->rdma;
    rdma->stopping = true;
    stop->all = rdma_clients_stop(rdma) && !rdma->listening;
    sem_post(&stop->looked);
}

static void stop_giving(struct keeper_rdma *rdma)
{
    struct stop stop = {.msg = {.run = on_stop}, .rdma = rdma};
    uint64_t end = loop_now_ns() + UINT64_C(1000000000) * rdma->parts.config->fence_timeout;
    if (sem_init(&stop.looked, 0, 0) != 0)
        return;
    do {
        struct timespec pause = {.tv_nsec = 5000000};
        loop_post(rdma->parts.jobs->loop, &stop.msg);
        while (sem_wait(&stop.looked) != 0 && errno == EINTR)
            ;
        if (!stop.all)
            nanosleep(&pause, NULL);
    } while (!stop.all && loop_now_ns() < end);
    sem_destroy(&stop.looked);
}

static bool rdma_destroy(struct keeper_rdma *rdma)
{
    unwatch(rdma);
    if (rdma->timer)
        event_free(rdma->timer);
    rdma_clients_destroy(rdma);
    bool all = !rdma->zombies;
    free_jobs(rdma);
    if (all) {
        rdma_files_destroy(rdma);
        if (rdma->target)
            rdma_target_destroy(rdma->target);
        free(rdma);
    }
    rdma = NULL; /* what is left goes with the process */
    return all;
}

/* ---- requests ---- */

static void offer_memory(struct keeper_rdma *rdma, struct rdma_call *call,
                         struct engine_layoutget *get)
{
    get->want.memory = NULL;
    if (get->type != LAYOUT4_SEALNFS_RDMA)
        return;
    struct rdma_client *client = rdma_client_of_id(rdma, get->client_id);
    if (!client || client->state != CLIENT_READY)
        return;
    struct registration *registration =
        rdma_registration_find(client, &get->key, get->want.iomode == LAYOUTIOMODE4_RW);
    if (!registration || registration->state != REGISTRATION_THERE)
        return;
    registration->users++;
    call->registration = registration;
    get->want.memory = &registration->memory;
}

static void prepare_memory(struct keeper_rdma *rdma, struct rdma_call *call,
                           const struct engine_layoutget *get, struct file *file)
{
    struct rdma_want want = {.get = get, .file = file};
    nfsstat4 status;
    const char *why;
    struct rdma_client *client = rdma_client_get(rdma, get->client_id, &status, &why);
    if (call->registration) { /* it was not what the engine wanted */
        keeper_rdma_answered(call, false);
        rdma->parts.finish(call, NFS4ERR_LAYOUTTRYLATER, "the file is registered in another size");
    } else if (!client) {
        rdma->parts.finish(call, status, why);
    } else if (engine_seal_view(rdma->parts.engine, &get->key, &want.seal) || !want.seal.map) {
        rdma->parts.finish(call, NFS4ERR_LAYOUTTRYLATER, "the file is not sealed any more");
    } else {
        rdma_registration_want(client, call, &want);
    }
}

void keeper_rdma_answered(struct rdma_call *call, bool granted)
{
    struct registration *registration = call->registration;
    if (!registration)
        return;
    call->registration = NULL;
    registration->granted = registration->granted || granted;
    rdma_registration_leave(registration);
}

static bool takes_back(struct keeper_rdma *rdma, struct rdma_call *call,
                       const struct engine_layoutreturn *args)
{
    struct rdma_client *client =
        args->type == LAYOUT4_SEALNFS_RDMA ? rdma_client_of_id(rdma, args->client_id) : NULL;
    struct registration *registration;
    LL_FOREACH2(client ? client->registrations : NULL, registration, client_next)
    {
        if (registration->state != REGISTRATION_GOING)
            continue;
        LL_PREPEND(client->returning, call);
        return true;
    }
    return false;
}

static void let_go(struct keeper_rdma *rdma, const struct engine_effect *effect)
{
    struct rdma_client *client = rdma_client_of_run(
        rdma, effect->let_go.owner, effect->let_go.owner_len, effect->let_go.verifier);
    for (int writable = effect->let_go.writing_only; client && writable < 2; writable++) {
        struct registration *registration = rdma_registration_find(client, &effect->key, writable);
        if (!registration)
            continue;
        registration->granted = false;
        rdma_registration_drop(registration);
    }
}

/* ---- GETDEVICEINFO ---- */

/* Is what is on the device written by loads and stores? Of a partition its disk knows. */
static bool is_persistent_memory(const struct device *device)
{
    static const char *const places[] = {"queue", "../queue"};
    dev_t dev = device_st_dev(device);
    for (int i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s/dax", major(dev), minor(dev),
                 places[i]);
        FILE *file = fopen(path, "re");
        int c = file ? fgetc(file) : '0';
        if (file)
            fclose(file);
        if (c == '1')
            return true;
    }
    return false;
}

static nfsstat4 describe_path(struct keeper_rdma *rdma, struct rdma_call *call, uint64_t client_id,
                              const struct device *device, rdma_deviceaddr4 *addr, bool *later)
{
    nfsstat4 status;
    const char *why;
    if (!rdma->target || rdma->gone || engine_client_was_fenced(rdma->parts.engine, client_id))
        return NFS4ERR_NOENT;
    struct rdma_client *client = rdma_client_get(rdma, client_id, &status, &why);
    if (!client)
        return status == NFS4ERR_LAYOUTTRYLATER ? NFS4ERR_DELAY : NFS4ERR_NOENT;
    if (client->state != CLIENT_READY) {
        LL_PREPEND(client->describing, call);
        rdma_client_drive(client);
        *later = true;
        return NFS4_OK;
    }
    *addr = (rdma_deviceaddr4){
        .rda_version = RDMA_LAYOUT_VERSION,
        .rda_peer = client->number,
        .rda_durability = rdma_target_on_demand(rdma->target) && is_persistent_memory(device)
                              ? RDMA_DURABLE_BY_COMMIT
                              : RDMA_DURABLE_NOT,
        .rda_alignment = rdma_target_alignment(rdma->target),
        .rda_addrs_count = rdma->addresses_count,
        .rda_addrs = rdma->netaddrs,
    };
    memcpy(addr->rda_secret, client->secret, sizeof addr->rda_secret);
    return NFS4_OK;
}

/* ---- LAYOUTCOMMIT ---- */

struct commit_job {
    struct rdma_job job;
    struct rdma_call *call;
    struct arena arena;
    rdma_layoutupdate4 update;
};

static void commit_work(struct work *work)
{
    struct commit_job *commit = container_of(rdma_job_of_work(work), struct commit_job, job);
    struct rdma_job *job = &commit->job;
    for (uint32_t i = 0; !job->error && i < commit->update.rlu_written_count; i++) {
        const rdma_range4 *range = &commit->update.rlu_written[i];
        job->error = rdma_memory_commit(job->memory, range->rra_offset, range->rra_length);
        if (job->error == -EINVAL) /* beyond the file: for the engine to judge */
            job->error = 0;
    }
    rdma_memory_put(job->memory);
    jobs_come_home(job->rdma->parts.jobs, &job->home);
}

static void committed(struct loop_msg *msg)
{
    struct rdma_job *job = rdma_job_of_home(msg);
    struct commit_job *commit = container_of(job, struct commit_job, job);
    commit->call->durable = true;
    if (job->error) {
        log_error("what clients wrote to memory could not be made durable: %s",
                  strerror(-job->error));
        job->rdma->parts.finish(commit->call, NFS4ERR_IO, "the ranges could not be made durable");
    } else {
        job->rdma->parts.post(commit->call);
    }
    job->rfile->jobs--;
    rdma_file_settle(job->rdma, job->rfile);
    arena_free(&commit->arena);
    free(commit);
}

static bool makes_durable(struct keeper_rdma *rdma, struct rdma_call *call,
                          const struct engine_layoutcommit *args)
{
    struct rdma_file *file = args->type == LAYOUT4_SEALNFS_RDMA && !call->durable
                                 ? rdma_file_find(rdma, &args->key)
                                 : NULL;
    if (!file || !file->memory[1] || file->gates || args->update_len == 0)
        return false;
    struct commit_job *commit = calloc(1, sizeof *commit);
    if (!commit) {
        rdma->parts.finish(call, NFS4ERR_DELAY, "out of memory");
        return true;
    }
    arena_init(&commit->arena, UPDATE_LIMIT);
    if (rdma_layoutupdate_decode((struct xdr_bytes){args->update, args->update_len}, &commit->arena,
                                 &commit->update)) {
        arena_free(&commit->arena);
        free(commit);
        return false; /* the engine says what is wrong with it */
    }
    commit->call = call;
    commit->job.rdma = rdma;
    commit->job.work.run = commit_work;
    commit->job.work.key = worker_key(args->key.data);
    commit->job.home.run = committed;
    commit->job.rfile = file;
    commit->job.memory = file->memory[1];
    rdma_memory_get(file->memory[1]);
    file->jobs++;
    rdma_job_submit(&commit->job);
    return true;
}

/* ---- what others see ---- */

static void fill_figures(struct keeper_rdma *rdma, struct keeper_rdma_figures *figures)
{
    struct rdma_counters now = {0};
    *figures = (struct keeper_rdma_figures){.configured = true};
    figures->listening = rdma->target && !rdma->gone;
    if (rdma->target)
        rdma_target_counters(rdma->target, &now);
    add_counters(&now, &rdma->past);
    figures->admitted = now.admissions[RDMA_ADMITTED];
    for (int i = 0; i < RDMA_ADMISSIONS; i++)
        figures->refused += i == RDMA_ADMITTED ? 0 : now.admissions[i];
    figures->connections = now.connections;
    figures->regions = now.regions;
    figures->bytes = now.registered_bytes;
    figures->pinned = now.pinned_bytes;
    figures->pinned_max = rdma->limits.pinned;
    figures->gave_way = now.gave_way;
    figures->dead = now.dead;
}

static unsigned count_clients(const struct rdma_client *client)
{
    unsigned count = 0;
    for (; client; client = client->next)
        count++;
    return count;
}

static json_t *make_view(struct keeper_rdma *rdma)
{
    struct keeper_rdma_figures now;
    fill_figures(rdma, &now);
    json_t *addresses = json_array();
    for (unsigned i = 0; i < rdma->addresses_count; i++)
        json_array_append_new(addresses, json_string(rdma->uaddrs[i]));
    return json_pack("{s:s, s:s, s:b, s:o, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
                     "rdma", rdma->target ? rdma_target_device(rdma->target) : "", "why", rdma->why,
                     "on_demand", rdma->target && rdma_target_on_demand(rdma->target), "addresses",
                     addresses, "clients", (int)count_clients(rdma->clients), "connections",
                     (json_int_t)now.connections, "registrations", (json_int_t)now.regions,
                     "registered_bytes", (json_int_t)now.bytes, "admitted",
                     (json_int_t)now.admitted, "refused", (json_int_t)now.refused, "pinned_bytes",
                     (json_int_t)now.pinned, "max_pinned_bytes", (json_int_t)now.pinned_max,
                     "gave_way", (json_int_t)now.gave_way, "dead", (json_int_t)now.dead);
}

static const struct keeper_rdma_ops ops = {
    .create = rdma_create,
    .reload = take_config,
    .stop = stop_giving,
    .destroy = rdma_destroy,
    .offer = offer_memory,
    .prepare = prepare_memory,
    .answered = keeper_rdma_answered,
    .commits = makes_durable,
    .returns = takes_back,
    .let_go = let_go,
    .describe = describe_path,
    .fence = keeper_rdma_fence,
    .client = keeper_rdma_client,
    .enter = keeper_rdma_enter,
    .keep_fd = keeper_rdma_keep_fd,
    .take_fd = keeper_rdma_take_fd,
    .map = keeper_rdma_map,
    .keep_memory = keeper_rdma_keep_memory,
    .drop_memory = keeper_rdma_drop_memory,
    .why = keeper_rdma_why,
    .refuses = keeper_rdma_refuses,
    .view = make_view,
    .figures = fill_figures,
};

const struct keeper_rdma_ops *const keeper_rdma_ops = &ops;
