/* client.c - see keeper/rdma/private.h. */
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/container_of.h"
#include "server/base/confine.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/keeper/rdma/past.h"
#include "server/keeper/rdma/private.h"

struct rdma_client *rdma_client_of_run(struct keeper_rdma *rdma, const uint8_t *owner,
                                       uint32_t owner_len, const uint8_t *verifier)
{
    struct rdma_client *client;
    LL_FOREACH(rdma->clients, client)
    {
        if (client->owner_len == owner_len && memcmp(client->owner, owner, owner_len) == 0 &&
            memcmp(client->verifier, verifier, JOURNAL_VERIFIER_SIZE) == 0)
            return client;
    }
    return NULL;
}

struct rdma_client *rdma_client_of_id(struct keeper_rdma *rdma, uint64_t client_id)
{
    struct rdma_client *client;
    LL_FOREACH(rdma->clients, client)
    {
        if (client->client_id == client_id)
            return client;
    }
    return NULL;
}

static struct rdma_client *client_make(struct keeper_rdma *rdma, uint64_t client_id,
                                       const struct engine_run_name *run)
{
    struct rdma_client *client = calloc(1, sizeof *client);
    if (client)
        client->owner = malloc(run->owner_len + 1);
    if (!client || !client->owner) {
        free(client);
        return NULL;
    }
    memcpy(client->owner, run->owner, run->owner_len);
    client->owner_len = run->owner_len;
    memcpy(client->verifier, run->verifier, sizeof client->verifier);
    snprintf(client->address, sizeof client->address, "%s", run->address);
    client->rdma = rdma;
    client->client_id = client_id;
    randombytes_buf(&client->number, sizeof client->number);
    randombytes_buf(client->secret, sizeof client->secret);
    LL_PREPEND(rdma->clients, client);
    return client;
}

static void client_free(struct rdma_client *client)
{
    sodium_memzero(client->secret, sizeof client->secret);
    free(client->owner);
    free(client);
}

struct rdma_client *rdma_client_get(struct keeper_rdma *rdma, uint64_t client_id, nfsstat4 *status,
                                    const char **why)
{
    struct engine_run_name run;
    struct rdma_client *client;
    *status = NFS4ERR_LAYOUTUNAVAILABLE;
    *why = "the client is not known to the layout engine";
    if (!engine_client_run(rdma->parts.engine, client_id, &run))
        return NULL;
    *why = rdma->why[0] ? rdma->why : "the RDMA device is away";
    if (!rdma->target || rdma->gone || rdma->stopping)
        return NULL;
    client = rdma_client_of_run(rdma, run.owner, run.owner_len, run.verifier);
    *status = NFS4ERR_LAYOUTTRYLATER;
    *why = "what was registered for the client before is being taken back";
    if (client && client->client_id != client_id) {
        client->over = true;
        rdma_client_settle(client);
        return NULL;
    }
    if (client && (client->state == CLIENT_FENCING || client->state == CLIENT_STUCK))
        return NULL;
    if (!client)
        client = client_make(rdma, client_id, &run);
    if (!client)
        *why = "out of memory";
    return client;
}

/* ---- its peer ---- */

static void create_work(struct work *work)
{
    struct rdma_job *job = rdma_job_of_work(work);
    job->error =
        rdma_peer_create(job->rdma->target, job->client->number, job->client->secret, &job->peer);
    jobs_come_home(job->rdma->parts.jobs, &job->home);
}

static void drive_registrations(struct rdma_client *client)
{
    struct registration *registration, *next;
    LL_FOREACH_SAFE2(client->registrations, registration, next, client_next)
    {
        rdma_registration_drive(registration);
    }
}

static void created(struct loop_msg *msg)
{
    struct rdma_job *job = rdma_job_of_home(msg);
    struct rdma_client *client = job->client;
    client->jobs--;
    client->peer = job->error ? NULL : job->peer;
    client->state = job->error ? CLIENT_NEW : CLIENT_READY;
    if (job->error) {
        snprintf(job->why, sizeof job->why, "the RDMA device gives no protection domain: %s",
                 strerror(-job->error));
        rdma_registrations_fail(client, NFS4ERR_LAYOUTTRYLATER, job->why);
        rdma_calls_finish(client->rdma, &client->describing, NFS4ERR_DELAY, job->why);
        client->over = true;
        (void)rdma_room_is_coming(client->rdma, ROOM_FOR_PEER); /* it asks again */
    } else {
        if (client->lapsed)
            rdma_peer_set_lease(client->peer, false);
        if (client->fences || client->rdma->gone || client->rdma->stopping)
            rdma_client_begin_fence(client);
        else
            drive_registrations(client);
        rdma_calls_post(client->rdma, &client->describing);
    }
    rdma_job_free(job);
    rdma_client_settle(client);
}

void rdma_client_drive(struct rdma_client *client)
{
    if (client->state != CLIENT_NEW)
        return;
    struct rdma_job *job = rdma_job_make(client->rdma, create_work, created);
    job->client = client;
    client->state = CLIENT_CREATING;
    client->jobs++;
    rdma_job_submit(job);
}

/* ---- the end of it ---- */

static void tell(struct loop_msg *msg)
{
    struct rdma_fence *fence = container_of(msg, struct rdma_fence, msg);
    struct keeper_rdma *rdma = fence->rdma;
    uint64_t ticket = fence->ticket, client_id = fence->client_id;
    bool success = fence->success && keeper_past_is_void(rdma->parts.past);
    if (fence->success && !success)
        log_error("client id %016llx may have RDMA layouts of an earlier sealnfsd, which is not "
                  "seen to have ended",
                  (unsigned long long)client_id);
    free(fence);
    rdma->parts.fence_done(rdma->parts.owner, ticket, client_id, success);
}

static void tell_fences(struct rdma_client *client, bool success)
{
    while (client->fences) {
        struct rdma_fence *fence = client->fences;
        client->fences = fence->next;
        fence->success = success;
        loop_post(client->rdma->parts.jobs->loop, &fence->msg);
    }
}

static void destroy_work(struct work *work)
{
    struct rdma_job *job = rdma_job_of_work(work);
    job->error = rdma_peer_destroy(job->peer);
    if (job->error && rdma_peer_fence(job->peer, 1000) == 0)
        job->error = rdma_peer_destroy(job->peer);
    jobs_come_home(job->rdma->parts.jobs, &job->home);
}

static void destroyed(struct loop_msg *msg)
{
    struct rdma_job *job = rdma_job_of_home(msg);
    struct rdma_client *client = job->client;
    client->jobs--;
    if (!job->error) {
        LL_DELETE(job->rdma->zombies, client);
        client_free(client);
        rdma_target_settle(job->rdma);
    }
    rdma_job_free(job);
}

/* Of a fenced client nothing can be reached; its protection domain goes when the kernel lets it. */
static void destroy(struct rdma_client *client)
{
    struct rdma_job *job = rdma_job_make(client->rdma, destroy_work, destroyed);
    job->client = client;
    job->peer = client->peer;
    client->jobs++;
    rdma_job_submit(job);
}

/* It is void: out of the list, so that its run can have another. */
static void bury(struct rdma_client *client)
{
    struct keeper_rdma *rdma = client->rdma;
    rdma_registrations_voided(client);
    rdma_calls_finish(client->rdma, &client->describing, NFS4ERR_DELAY,
                      "the client is being fenced");
    rdma_calls_finish(client->rdma, &client->returning, NFS4_OK, "");
    tell_fences(client, true);
    LL_DELETE(rdma->clients, client);
    if (!client->peer) {
        client_free(client);
        return;
    }
    LL_PREPEND(rdma->zombies, client);
    if (!client->jobs)
        destroy(client);
}

static void fenced(struct loop_msg *msg)
{
    struct rdma_job *job = rdma_job_of_home(msg);
    struct rdma_client *client = job->client;
    struct keeper_rdma *rdma = client->rdma;
    const bool made_room = client->making_room;
    client->making_room = false;
    client->jobs--;
    if (!job->error) {
        if (made_room)
            log_warning("client %s (id %016llx) is away, and another wants the room: what "
                        "was registered for it is taken back, its layouts of memory are useless",
                        client->address, (unsigned long long)client->client_id);
        if (client->fences)
            log_warning("client %s (id %016llx) was fenced from memory: what was registered for it "
                        "is taken back, "
                        "or its connections are gone",
                        client->address, (unsigned long long)client->client_id);
        bury(client);
    } else {
        log_error("what is registered for client %s (id %016llx) could not be taken back (%s), nor "
                  "could its "
                  "connections be seen to be gone; its files stay sealed, and it is tried again",
                  client->address, (unsigned long long)client->client_id, strerror(-job->error));
        client->state = CLIENT_STUCK;
        rdma_gates_fail(client);
        rdma_calls_finish(client->rdma, &client->returning, NFS4_OK, "");
        tell_fences(client, false);
    }
    rdma_job_free(job);
    if (made_room)
        rdma_room_came(rdma);
}

static void *fence_main(void *arg)
{
    struct rdma_job *job = arg;
    confine_thread(CONFINE_MEMORY); /* and the threads of its steps */
    job->error = rdma_peer_fence(job->peer, (unsigned)job->size);
    jobs_come_home(job->rdma->parts.jobs, &job->home);
    return NULL;
}

/* On a thread of its own: all workers may be stuck in the kernel already. */
static void start_thread(struct rdma_job *job)
{
    pthread_attr_t attr;
    pthread_t thread;
    jobs_begin(job->rdma->parts.jobs);
    int err = pthread_attr_init(&attr);
    if (!err) {
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        err = pthread_create(&thread, &attr, fence_main, job);
        pthread_attr_destroy(&attr);
    }
    if (err) {
        job->error = -err;
        jobs_come_home(job->rdma->parts.jobs, &job->home);
    }
}

void rdma_client_begin_fence(struct rdma_client *client)
{
    if (client->state == CLIENT_FENCING || client->state == CLIENT_CREATING)
        return;
    if (!client->peer) {
        bury(client);
        return;
    }
    struct rdma_job *job = rdma_job_make(client->rdma, NULL, fenced);
    job->client = client;
    job->peer = client->peer;
    job->size = client->rdma->parts.config->fence_timeout * 1000 / 2; /* each of two steps */
    client->state = CLIENT_FENCING;
    client->jobs++;
    start_thread(job);
}

static bool is_returning(const struct rdma_client *client)
{
    const struct registration *registration;
    LL_FOREACH2(client->registrations, registration, client_next)
    {
        if (registration->state == REGISTRATION_GOING)
            return true;
    }
    return false;
}

void rdma_client_settle(struct rdma_client *client)
{
    struct rdma_client *zombie;
    LL_FOREACH(client->rdma->zombies, zombie)
    {
        if (zombie == client) {
            if (!client->jobs)
                destroy(client);
            return;
        }
    }
    if (!is_returning(client))
        rdma_calls_finish(client->rdma, &client->returning, NFS4_OK, "");
    if (client->over && !client->registrations && !client->jobs && client->state != CLIENT_FENCING)
        rdma_client_begin_fence(client);
}

void keeper_rdma_fence(struct keeper_rdma *rdma, const struct engine_effect *effect)
{
    struct rdma_fence *fence;
    while (!(fence = calloc(1, sizeof *fence))) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL); /* a fence that is lost would leave its seal in FENCING */
    }
    fence->rdma = rdma;
    fence->msg.run = tell;
    fence->ticket = effect->fence.ticket;
    fence->client_id = effect->fence.client_id;
    fence->success = true; /* of whom nothing is registered */
    struct rdma_client *client = rdma_client_of_run(
        rdma, effect->fence.owner, effect->fence.owner_len, effect->fence.verifier);
    if (!client) {
        loop_post(rdma->parts.jobs->loop, &fence->msg);
        return;
    }
    LL_PREPEND(client->fences, fence);
    rdma_client_begin_fence(client);
}

void keeper_rdma_client(struct keeper_rdma *rdma, enum engine_client_event what, uint64_t client_id)
{
    struct engine_run_name run;
    struct rdma_client *client, *next;
    client = rdma_client_of_id(rdma, client_id);
    if (client) {
        if (what == ENGINE_CLIENT_LAPSED && !client->lapsed)
            client->lapsed_ns = loop_now_ns();
        /* All else is heard of who has yet to renew it, too. */
        client->lapsed =
            what == ENGINE_CLIENT_LAPSED || (client->lapsed && what != ENGINE_CLIENT_RENEWED);
        if (engine_client_run(rdma->parts.engine, client_id, &run))
            snprintf(client->address, sizeof client->address, "%s", run.address);
        if (client->peer)
            rdma_peer_set_lease(client->peer, !client->lapsed);
    }
    LL_FOREACH_SAFE(rdma->clients, client, next)
    {
        if (engine_client_run(rdma->parts.engine, client->client_id, &run))
            continue;
        client->over = true;
        if (client->peer)
            rdma_peer_set_lease(client->peer, false);
        rdma_client_settle(client);
    }
}

bool rdma_clients_stop(struct keeper_rdma *rdma)
{
    struct rdma_client *client, *next;
    LL_FOREACH_SAFE(rdma->clients, client, next)
    {
        client->over = true; /* what is being created ends when it is there */
        rdma_client_begin_fence(client);
    }
    return !rdma->clients && !rdma->zombies;
}

/* Everything is taken back while that is possible; what is not goes with the process. */
void rdma_clients_destroy(struct keeper_rdma *rdma)
{
    struct rdma_client *client, *next;
    LL_CONCAT(rdma->zombies, rdma->clients);
    rdma->clients = NULL;
    LL_FOREACH_SAFE(rdma->zombies, client, next)
    {
        /* What a job was doing when the loop stopped is not known. */
        bool gone = !client->jobs && (!client->peer || rdma_peer_fence(client->peer, 1000) == 0);
        while (gone && client->registrations) {
            struct registration *registration = client->registrations;
            LL_DELETE2(client->registrations, registration, client_next);
            LL_DELETE2(registration->file->registrations, registration, file_next);
            if (registration->region)
                (void)rdma_region_release(registration->region);
            free(registration);
        }
        if (gone && client->peer)
            gone = rdma_peer_destroy(client->peer) == 0;
        if (!gone)
            continue;
        while (client->fences) {
            struct rdma_fence *fence = client->fences;
            client->fences = fence->next;
            free(fence);
        }
        LL_DELETE(rdma->zombies, client);
        client_free(client);
    }
}
