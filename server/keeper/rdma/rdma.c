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

#include "proto/arena.h"
#include "server/base/container_of.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/keeper/rdma/private.h"

enum { LOOK_SECONDS = 5, CONNECTIONS_OF_A_CLIENT = 8, UPDATE_LIMIT = 4 << 20 };

/* ---- jobs and requests ---- */

struct rdma_job *rdma_job_make(struct keeper *keeper, void (*run)(struct work *work),
                               void (*home)(struct loop_msg *msg))
{
    struct rdma_job *job;
    while (!(job = calloc(1, sizeof *job))) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause,
                  NULL); /* a release or a fence that is lost would hold its seal for ever */
    }
    job->keeper = keeper;
    job->work.run = run;
    job->home.run = home;
    return job;
}

void rdma_job_submit(struct rdma_job *job)
{
    jobs_submit(&job->keeper->jobs, &job->work);
}

struct rdma_job *rdma_job_of_work(struct work *work)
{
    return container_of(work, struct rdma_job, work);
}

struct rdma_job *rdma_job_of_home(struct loop_msg *msg)
{
    return container_of(msg, struct rdma_job, home);
}

void rdma_requests_finish(struct request **list, nfsstat4 status, const char *why)
{
    while (*list) {
        struct request *request = *list;
        *list = request->next;
        request_finish(request, status, why);
    }
}

void rdma_requests_post(struct request **list)
{
    while (*list) {
        struct request *request = *list;
        *list = request->next;
        request_post(request);
    }
}

/* ---- the device ---- */

static void plan_look(struct keeper *keeper)
{
    evtimer_add(keeper->rdma->timer, &(struct timeval){.tv_sec = LOOK_SECONDS});
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
static void device_is_gone(struct keeper *keeper)
{
    struct keeper_rdma *rdma = keeper->rdma;
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
    rdma_target_settle(keeper);
    plan_look(keeper);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct keeper *keeper = arg;
    (void)fd;
    (void)what;
    if (rdma_target_dispatch(keeper->rdma->target) == -ENODEV)
        device_is_gone(keeper);
}

static void add_counters(struct rdma_counters *sum, const struct rdma_counters *more)
{
    for (int i = 0; i < RDMA_ADMISSIONS; i++)
        sum->admissions[i] += more->admissions[i];
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

void rdma_target_settle(struct keeper *keeper)
{
    struct keeper_rdma *rdma = keeper->rdma;
    if (rdma->gone && !rdma->clients && !rdma->zombies)
        drop_target(rdma);
}

static int listen_now(struct keeper *keeper, struct rdma_target **target, char *why)
{
    const struct keeper_rdma *rdma = keeper->rdma;
    const struct sockaddr *addresses[RDMA_TARGET_MAX_ADDRESSES];
    for (unsigned i = 0; i < rdma->addresses_count; i++)
        addresses[i] = (const struct sockaddr *)&rdma->addresses[i];
    struct rdma_target_options options = {
        .addresses = addresses,
        .addresses_count = rdma->addresses_count,
        .peer_connections = CONNECTIONS_OF_A_CLIENT,
        .verbs = &rdma_verbs_system,
    };
    return rdma_target_create(&options, target, why);
}

static void take_target(struct keeper *keeper, struct rdma_target *target, const char *why)
{
    struct keeper_rdma *rdma = keeper->rdma;
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
        rdma->events[i] =
            event_new(loop_base(keeper->loop), fds[i], EV_READ | EV_PERSIST, on_event, keeper);
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
    job->error = listen_now(job->keeper, &target, job->why);
    job->peer = (struct rdma_peer *)(void *)(job->error ? NULL : target);
    jobs_come_home(&job->keeper->jobs, &job->home);
}

static void listened(struct loop_msg *msg)
{
    struct rdma_job *job = rdma_job_of_home(msg);
    job->keeper->rdma->listening = false;
    take_target(job->keeper, (struct rdma_target *)(void *)job->peer, job->why);
    free(job);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct keeper *keeper = arg;
    struct keeper_rdma *rdma = keeper->rdma;
    struct rdma_client *client, *next;
    (void)fd;
    (void)what;
    LL_FOREACH_SAFE(rdma->clients, client, next)
    {
        if (client->state == CLIENT_STUCK && (rdma->gone || client->over))
            rdma_client_begin_fence(client);
    }
    LL_FOREACH_SAFE(rdma->zombies, client, next)
    {
        rdma_client_settle(client);
    }
    if (!rdma->target && !rdma->listening && !rdma->stopping) {
        rdma->listening = true;
        rdma_job_submit(rdma_job_make(keeper, listen_work, listened));
    }
    plan_look(keeper);
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

int keeper_rdma_create(struct keeper *keeper)
{
    const struct config *config = keeper->config;
    struct rdma_target *target = NULL;
    char why[RDMA_WHY_MAX];
    if (config->rdma_listen_count == 0)
        return 0;
    struct keeper_rdma *rdma = calloc(1, sizeof *rdma);
    if (!rdma)
        return -ENOMEM;
    keeper->rdma = rdma;
    for (size_t i = 0; i < config->rdma_listen_count && i < RDMA_TARGET_MAX_ADDRESSES; i++)
        learn_address(rdma, config->rdma_listen[i], config->rdma_port);
    rdma->timer = evtimer_new(loop_base(keeper->loop), on_look, keeper);
    if (!rdma->timer)
        return -ENOMEM;
    take_target(keeper, listen_now(keeper, &target, why) ? NULL : target, why);
    plan_look(keeper);
    return 0;
}

struct stop {
    struct loop_msg msg;
    struct keeper *keeper;
    sem_t looked;
    bool all;
};

static void on_stop(struct loop_msg *msg)
{
    struct stop *stop = container_of(msg, struct stop, msg);
    struct keeper_rdma *rdma = stop->keeper->rdma;
    rdma->stopping = true;
    stop->all = rdma_clients_stop(stop->keeper) && !rdma->listening;
    sem_post(&stop->looked);
}

void keeper_rdma_stop(struct keeper *keeper)
{
    struct stop stop = {.msg = {.run = on_stop}, .keeper = keeper};
    uint64_t end = loop_now_ns() + UINT64_C(1000000000) * keeper->config->fence_timeout;
    if (!keeper->rdma || sem_init(&stop.looked, 0, 0) != 0)
        return;
    do {
        struct timespec pause = {.tv_nsec = 5000000};
        loop_post(keeper->loop, &stop.msg);
        while (sem_wait(&stop.looked) != 0 && errno == EINTR)
            ;
        if (!stop.all)
            nanosleep(&pause, NULL);
    } while (!stop.all && loop_now_ns() < end);
    sem_destroy(&stop.looked);
}

bool keeper_rdma_destroy(struct keeper *keeper)
{
    struct keeper_rdma *rdma = keeper->rdma;
    if (!rdma)
        return true;
    unwatch(rdma);
    if (rdma->timer)
        event_free(rdma->timer);
    rdma_clients_destroy(keeper);
    bool all = !rdma->zombies;
    if (all) {
        rdma_files_destroy(keeper);
        if (rdma->target)
            rdma_target_destroy(rdma->target);
        free(rdma);
    }
    keeper->rdma = NULL; /* what is left goes with the process */
    return all;
}

/* ---- requests ---- */

void keeper_rdma_offer(struct keeper *keeper, struct request *request)
{
    struct rdma_client *client;
    request->get.want.memory = NULL;
    if (!keeper->rdma || request->kind != REQUEST_LAYOUTGET ||
        request->get.type != LAYOUT4_SEALNFS_RDMA)
        return;
    client = rdma_client_of_id(keeper, request->get.client_id);
    if (!client || client->state != CLIENT_READY)
        return;
    struct registration *registration = rdma_registration_find(
        client, &request->get.key, request->get.want.iomode == LAYOUTIOMODE4_RW);
    if (!registration || registration->state != REGISTRATION_THERE)
        return;
    registration->users++;
    request->registration = registration;
    request->get.want.memory = &registration->memory;
}

void keeper_rdma_prepare(struct keeper *keeper, struct request *request)
{
    struct engine_seal_view seal;
    nfsstat4 status = NFS4ERR_LAYOUTUNAVAILABLE;
    const char *why = "this server gives no RDMA layouts (rdma_listen)";
    struct rdma_client *client =
        keeper->rdma ? rdma_client_get(keeper, request->get.client_id, &status, &why) : NULL;
    if (request->registration) { /* it was not what the engine wanted */
        keeper_rdma_answered(keeper, request, false);
        request_finish(request, NFS4ERR_LAYOUTTRYLATER, "the file is registered in another size");
    } else if (!client) {
        request_finish(request, status, why);
    } else if (engine_seal_view(keeper->engine, &request->get.key, &seal) || !seal.map) {
        request_finish(request, NFS4ERR_LAYOUTTRYLATER, "the file is not sealed any more");
    } else {
        rdma_registration_want(client, request, &seal);
    }
}

void keeper_rdma_answered(struct keeper *keeper, struct request *request, bool granted)
{
    struct registration *registration = request->registration;
    (void)keeper;
    if (!registration)
        return;
    request->registration = NULL;
    registration->granted = registration->granted || granted;
    rdma_registration_leave(registration);
}

bool keeper_rdma_returns(struct keeper *keeper, struct request *request)
{
    struct rdma_client *client = keeper->rdma && request->ret.type == LAYOUT4_SEALNFS_RDMA
                                     ? rdma_client_of_id(keeper, request->ret.client_id)
                                     : NULL;
    struct registration *registration;
    LL_FOREACH2(client ? client->registrations : NULL, registration, client_next)
    {
        if (registration->state != REGISTRATION_GOING)
            continue;
        LL_PREPEND(client->returning, request);
        return true;
    }
    return false;
}

void keeper_rdma_let_go(struct keeper *keeper, const struct engine_effect *effect)
{
    struct rdma_client *client =
        keeper->rdma ? rdma_client_of_run(keeper, effect->let_go.owner, effect->let_go.owner_len,
                                          effect->let_go.verifier)
                     : NULL;
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

nfsstat4 keeper_rdma_describe(struct keeper *keeper, struct request *request, uint64_t client_id,
                              const struct device *device, rdma_deviceaddr4 *addr, bool *later)
{
    struct keeper_rdma *rdma = keeper->rdma;
    nfsstat4 status;
    const char *why;
    if (!rdma || !rdma->target || rdma->gone || engine_client_was_fenced(keeper->engine, client_id))
        return NFS4ERR_NOENT;
    struct rdma_client *client = rdma_client_get(keeper, client_id, &status, &why);
    if (!client)
        return status == NFS4ERR_LAYOUTTRYLATER ? NFS4ERR_DELAY : NFS4ERR_NOENT;
    if (client->state != CLIENT_READY) {
        LL_PREPEND(client->describing, request);
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
    struct request *request;
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
    jobs_come_home(&job->keeper->jobs, &job->home);
}

static void committed(struct loop_msg *msg)
{
    struct rdma_job *job = rdma_job_of_home(msg);
    struct commit_job *commit = container_of(job, struct commit_job, job);
    commit->request->durable = true;
    if (job->error) {
        log_error("what clients wrote to memory could not be made durable: %s",
                  strerror(-job->error));
        request_finish(commit->request, NFS4ERR_IO, "the ranges could not be made durable");
    } else {
        request_post(commit->request);
    }
    job->rfile->jobs--;
    rdma_file_settle(job->keeper, job->rfile);
    arena_free(&commit->arena);
    free(commit);
}

bool keeper_rdma_commits(struct keeper *keeper, struct request *request)
{
    const struct engine_layoutcommit *args = &request->commit;
    struct rdma_file *file = keeper->rdma && args->type == LAYOUT4_SEALNFS_RDMA && !request->durable
                                 ? rdma_file_find(keeper, &args->key)
                                 : NULL;
    if (!file || !file->memory[1] || file->gates || args->update_len == 0)
        return false;
    struct commit_job *commit = calloc(1, sizeof *commit);
    if (!commit) {
        request_finish(request, NFS4ERR_DELAY, "out of memory");
        return true;
    }
    arena_init(&commit->arena, UPDATE_LIMIT);
    if (rdma_layoutupdate_decode((struct xdr_bytes){args->update, args->update_len}, &commit->arena,
                                 &commit->update)) {
        arena_free(&commit->arena);
        free(commit);
        return false; /* the engine says what is wrong with it */
    }
    commit->request = request;
    commit->job.keeper = keeper;
    commit->job.work.run = commit_work;
    commit->job.home.run = committed;
    commit->job.rfile = file;
    commit->job.memory = file->memory[1];
    rdma_memory_get(file->memory[1]);
    file->jobs++;
    rdma_job_submit(&commit->job);
    return true;
}

/* ---- what others see ---- */

bool keeper_rdma_wants_writable(const struct keeper *keeper, const struct file *file)
{
    const struct export *export = file_export(file);
    return keeper->rdma && export && export_offers(export, LAYOUT4_SEALNFS_RDMA);
}

void keeper_rdma_figures(struct keeper *keeper, struct keeper_rdma_figures *figures)
{
    struct keeper_rdma *rdma = keeper->rdma;
    struct rdma_counters now = {0};
    *figures = (struct keeper_rdma_figures){.configured = rdma != NULL};
    if (!rdma)
        return;
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
}

static unsigned count_clients(const struct rdma_client *client)
{
    unsigned count = 0;
    for (; client; client = client->next)
        count++;
    return count;
}

json_t *keeper_rdma_view(struct keeper *keeper)
{
    struct keeper_rdma *rdma = keeper->rdma;
    struct keeper_rdma_figures now;
    if (!rdma)
        return NULL;
    keeper_rdma_figures(keeper, &now);
    json_t *addresses = json_array();
    for (unsigned i = 0; i < rdma->addresses_count; i++)
        json_array_append_new(addresses, json_string(rdma->uaddrs[i]));
    return json_pack("{s:s, s:s, s:b, s:o, s:i, s:I, s:I, s:I, s:I, s:I}", "rdma",
                     rdma->target ? rdma_target_device(rdma->target) : "", "why", rdma->why,
                     "on_demand", rdma->target && rdma_target_on_demand(rdma->target), "addresses",
                     addresses, "clients", (int)count_clients(rdma->clients), "connections",
                     (json_int_t)now.connections, "registrations", (json_int_t)now.regions,
                     "registered_bytes", (json_int_t)now.bytes, "admitted",
                     (json_int_t)now.admitted, "refused", (json_int_t)now.refused);
}
