/* file.c - see keeper/rdma/private.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/keeper/rdma/private.h"

#define NO_WRITABLE_MAPPING                                                                        \
    "the file is not mapped for writing: that is done when it is sealed, by the server that "      \
    "seals it, and "                                                                               \
    "not again "                                                                                   \
    "after a restart; to write to it by RDMA, unseal it and seal it anew (reading works)"

/* NULL: what is known of it is nothing. */
static const char *why_readonly(const struct rdma_file *file)
{
    return file && file->why_readonly[0] ? file->why_readonly : NO_WRITABLE_MAPPING;
}

struct rdma_file *rdma_file_find(const struct keeper_rdma *rdma, const struct file_key *key)
{
    struct rdma_file *file;
    HASH_FIND(hh, rdma->files, key, sizeof *key, file);
    return file;
}

static struct rdma_file *file_make(struct keeper_rdma *rdma, const struct file_key *key)
{
    struct rdma_file *file = rdma_file_find(rdma, key);
    if (file)
        return file;
    file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->key = *key;
    file->fd = -1;
    HASH_ADD(hh, rdma->files, key, sizeof file->key, file);
    if (!file->hh.tbl) {
        free(file);
        return NULL;
    }
    return file;
}

static void put_away(struct work *work)
{
    struct rdma_job *job = rdma_job_of_work(work);
    rdma_memory_put(job->memory);
    if (job->fd >= 0)
        close(job->fd);
    jobs_come_home(job->rdma->parts.jobs, &job->home);
}

static void was_put_away(struct loop_msg *msg)
{
    struct rdma_job *job = rdma_job_of_home(msg);
    if (job->rfile) {
        job->rfile->jobs--;
        rdma_file_settle(job->rdma, job->rfile);
    }
    rdma_job_free(job);
}

/* Taking a large mapping down takes its time, and a close may wait for the file system. file NULL:
 * nothing waits for it. */
static void discard(struct keeper_rdma *rdma, struct rdma_file *file, struct rdma_memory *memory,
                    int fd)
{
    if (!memory && fd < 0)
        return;
    struct rdma_job *job = rdma_job_make(rdma, put_away, was_put_away);
    job->rfile = file;
    job->memory = memory;
    job->fd = fd;
    if (file) {
        job->work.key = worker_key(file->key.data);
        file->jobs++;
    }
    rdma_job_submit(job);
}

static void unmap(struct keeper_rdma *rdma, struct rdma_file *file, bool writable)
{
    struct rdma_memory *memory = file->memory[writable];
    file->memory[writable] = NULL;
    discard(rdma, file, memory, -1);
}

static bool uses(const struct rdma_file *file, bool writable)
{
    const struct registration *registration;
    LL_FOREACH2(file->registrations, registration, file_next)
    {
        if (registration->writable == writable)
            return true;
    }
    return false;
}

static void drop_fd(struct keeper_rdma *rdma, struct rdma_file *file)
{
    int fd = file->fd;
    file->fd = -1;
    discard(rdma, file, NULL, fd);
}

/* A release has come to this file: nothing of it may stay. */
static void clear(struct keeper_rdma *rdma, struct rdma_file *file)
{
    struct registration *registration, *next;
    LL_FOREACH_SAFE2(file->registrations, registration, next, file_next)
    {
        registration->granted = false;
        rdma_registration_drop(registration);
    }
    drop_fd(rdma, file);
    if (!file->registrations && file->memory[1])
        unmap(rdma, file, true);
}

static void open_gates(struct rdma_file *file, int err, const char *why)
{
    struct keeper_rdma_gate *gates = file->gates;
    file->gates = NULL;
    while (gates) {
        struct keeper_rdma_gate *gate = gates;
        gates = gate->next;
        gate->pass(gate, err, why);
    }
}

static bool is_idle(const struct rdma_file *file)
{
    return !file->registrations && !file->jobs && !file->memory[0] && !file->memory[1] &&
           file->fd < 0;
}

void rdma_file_settle(struct keeper_rdma *rdma, struct rdma_file *file)
{
    if (file->memory[0] && !file->mapping && !uses(file, false))
        unmap(rdma, file, false);
    if (file->gates)
        clear(rdma, file);
    if (!is_idle(file))
        return;
    bool sealed = !file->gates && (file->why[0] || file->why_readonly[0]);
    open_gates(file, 0, "");
    if (sealed) /* what was said of it is kept until its release */
        return;
    HASH_DEL(rdma->files, file);
    free(file);
}

void keeper_rdma_enter(struct keeper_rdma *rdma, const struct file_key *key,
                       struct keeper_rdma_gate *gate)
{
    struct rdma_file *file = rdma_file_find(rdma, key);
    gate->next = NULL;
    if (!file) {
        gate->pass(gate, 0, "");
        return;
    }
    LL_PREPEND(file->gates, gate);
    struct registration *registration;
    LL_FOREACH2(file->registrations, registration, file_next)
    {
        if (registration->client->state == CLIENT_STUCK)
            rdma_client_begin_fence(registration->client);
    }
    rdma_file_settle(rdma, file);
}

/* The client's registrations are not known to be void: releases of their files do not get through.
 */
void rdma_gates_fail(struct rdma_client *client)
{
    char why[KEEPER_RDMA_WHY_MAX];
    struct registration *registration, *next;
    snprintf(why, sizeof why,
             "cannot be released: what is registered for client %s (id %016llx) with the RDMA "
             "device could not be "
             "taken back, nor could its connections be seen to be gone; it is tried again, and "
             "restarting "
             "sealnfsd "
             "takes all of it back",
             client->address, (unsigned long long)client->client_id);
    LL_FOREACH_SAFE2(client->registrations, registration, next, client_next)
    {
        open_gates(registration->file, -EBUSY, why);
    }
}

static void registration_free(struct registration *registration)
{
    struct rdma_file *file = registration->file;
    struct rdma_client *client = registration->client;
    if (client)
        LL_DELETE2(client->registrations, registration, client_next);
    LL_DELETE2(file->registrations, registration, file_next);
    free(registration);
}

struct registration *rdma_registration_find(const struct rdma_client *client,
                                            const struct file_key *key, bool writable)
{
    struct registration *registration;
    LL_FOREACH2(client->registrations, registration, client_next)
    {
        if (registration->writable == writable &&
            memcmp(&registration->file->key, key, sizeof *key) == 0)
            return registration;
    }
    return NULL;
}

/* Once, as long as it is the same. */
static void say_refused(const struct registration *registration, const char *why)
{
    const struct rdma_client *client = registration->client;
    struct engine_seal_view seal;
    if (strcmp(registration->file->why, why) == 0 ||
        engine_seal_view(client->rdma->parts.engine, &registration->file->key, &seal) != 0)
        return;
    log_warning("client %s (id %016llx) gets no layout of %s in memory: %s", client->address,
                (unsigned long long)client->client_id, seal.path, why);
}

static void fail(struct registration *registration, nfsstat4 status, const char *why)
{
    struct keeper_rdma *rdma = registration->client->rdma;
    struct rdma_file *file = registration->file;
    say_refused(registration, why);
    snprintf(file->why, sizeof file->why, "%s", why);
    rdma_calls_finish(rdma, &registration->waiting, status, why);
    registration_free(registration);
    rdma_file_settle(rdma, file);
}

void rdma_registrations_fail(struct rdma_client *client, nfsstat4 status, const char *why)
{
    struct registration *registration, *next;
    LL_FOREACH_SAFE2(client->registrations, registration, next, client_next)
    {
        if (registration->state == REGISTRATION_WANTED)
            fail(registration, status, why);
    }
}

/* ---- mapping for reading ---- */

static void map_work(struct work *work)
{
    struct rdma_job *job = rdma_job_of_work(work);
    struct rdma_range data[RDMA_MEMORY_PIECES];
    int fd;
    job->error = file_data_open(job->file, FILE_READ, &fd);
    if (job->error) {
        snprintf(job->why, sizeof job->why, "the file cannot be opened: %s", strerror(-job->error));
    } else {
        job->error = rdma_memory_open(fd, job->size, &job->facts, &job->memory, job->why);
        if (!job->error && map_has_holes(job->map))
            rdma_memory_set_data(job->memory, data, rdma_data_of_map(job->map, data));
        file_data_close(job->file, FILE_READ);
    }
    jobs_come_home(job->rdma->parts.jobs, &job->home);
}

static void mapped(struct loop_msg *msg)
{
    struct rdma_job *job = rdma_job_of_home(msg);
    struct rdma_file *file = job->rfile;
    struct registration *registration, *next;
    file->mapping = false;
    file->memory[0] = job->memory;
    LL_FOREACH_SAFE2(file->registrations, registration, next, file_next)
    {
        if (registration->state != REGISTRATION_WANTED || registration->writable)
            continue;
        if (job->error)
            fail(registration, NFS4ERR_LAYOUTUNAVAILABLE, job->why);
        else
            rdma_registration_drive(registration);
    }
    file->jobs--; /* not before: it would have gone with its last registration */
    rdma_file_settle(job->rdma, file);
    file_unref(job->file);
    map_free(job->map);
    rdma_job_free(job);
}

static void map_for_reading(struct keeper_rdma *rdma, struct rdma_file *file, struct file *of,
                            const struct engine_seal_view *seal)
{
    struct rdma_job *job = rdma_job_make(rdma, map_work, mapped);
    job->work.key = worker_key(file->key.data);
    job->rfile = file;
    job->file = file_ref(of);
    job->map = map_ref(seal->map);
    job->size = map_file_size(seal->map);
    job->facts = (struct rdma_facts){.on_demand = rdma_target_on_demand(rdma->target),
                                     .frozen = seal->kind == SEAL_KIND_FROZEN};
    file->mapping = true;
    file->jobs++;
    rdma_job_submit(job);
}

/* ---- registration ---- */

static void register_work(struct work *work)
{
    struct rdma_job *job = rdma_job_of_work(work);
    job->error = rdma_peer_register(job->peer, job->memory, job->writable, &job->region, job->why);
    rdma_memory_put(job->memory);
    jobs_come_home(job->rdma->parts.jobs, &job->home);
}

static void take_region(struct registration *registration, struct rdma_region *region,
                        uint64_t size)
{
    const unsigned count = rdma_region_piece_count(region);
    for (unsigned i = 0; i < count; i++) {
        const struct rdma_piece piece = rdma_region_piece(region, i);
        registration->pieces[i] = (struct layout_piece){.offset = piece.offset,
                                                        .length = piece.length,
                                                        .address = piece.address,
                                                        .key = piece.key};
    }
    registration->region = region;
    registration->memory = (struct layout_memory){.length = size,
                                                  .writable = registration->writable,
                                                  .pieces_count = count,
                                                  .pieces = registration->pieces};
}

/* What is in its way may go, or it is refused. */
static void was_refused(struct registration *registration, int err, const char *why)
{
    struct rdma_client *client = registration->client;
    if (err == -ENOTRECOVERABLE) { /* keys that nobody was told, but they can be guessed */
        rdma_calls_finish(client->rdma, &registration->waiting, NFS4ERR_LAYOUTTRYLATER, why);
        registration->state = REGISTRATION_LEFT;
        if (client->state == CLIENT_READY)
            rdma_client_begin_fence(client);
        return;
    }
    registration->state = REGISTRATION_WANTED;
    if ((err == -ENOSPC && rdma_room_is_coming(client->rdma, ROOM_FOR_PAGES)) ||
        (err == -ENOMEM && rdma_room_is_coming(client->rdma, ROOM_FOR_REGISTRATION)))
        return;
    fail(registration, err == -ESHUTDOWN ? NFS4ERR_LAYOUTTRYLATER : NFS4ERR_LAYOUTUNAVAILABLE, why);
}

static void registered(struct loop_msg *msg)
{
    struct rdma_job *job = rdma_job_of_home(msg);
    struct registration *registration = job->registration;
    struct rdma_client *client = job->client;
    client->jobs--;
    registration->users--;
    if (registration->detached && !job->error)
        (void)rdma_region_release(job->region); /* a fence has it: does not block */
    if (registration->detached) {
        if (!registration->users)
            free(registration);
    } else if (job->error) {
        was_refused(registration, job->error, job->why);
    } else {
        take_region(registration, job->region, job->size);
        registration->file->why[0] = '\0';
        registration->state = REGISTRATION_THERE;
        rdma_calls_post(
            client->rdma,
            &registration->waiting); /* they find it; if none does any more, the gate drops it */
    }
    rdma_client_settle(client);
    rdma_job_free(job);
}

static void make(struct registration *registration)
{
    struct rdma_client *client = registration->client;
    struct rdma_job *job = rdma_job_make(client->rdma, register_work, registered);
    job->registration = registration;
    job->client = client;
    job->peer = client->peer;
    job->writable = registration->writable;
    job->memory = registration->file->memory[registration->writable];
    job->size = rdma_memory_size(job->memory);
    rdma_memory_get(job->memory);
    registration->state = REGISTRATION_MAKING;
    registration->users++;
    client->jobs++;
    rdma_job_submit(job);
}

static bool is_refused(struct registration *registration)
{
    char why[RDMA_WHY_MAX];
    struct rdma_target *target = registration->client->rdma->target;
    const struct rdma_memory *memory = registration->file->memory[registration->writable];
    struct rdma_facts facts = {.dax = true, .on_demand = target && rdma_target_on_demand(target)};
    if (rdma_memory_strategy(memory) != RDMA_ON_DEMAND ||
        rdma_strategy_choose(&facts, why) != RDMA_REFUSED)
        return false;
    fail(registration, NFS4ERR_LAYOUTUNAVAILABLE, why);
    return true;
}

void rdma_registration_drive(struct registration *registration)
{
    if (registration->state != REGISTRATION_WANTED)
        return;
    if (registration->client->state != CLIENT_READY) {
        rdma_client_drive(registration->client);
        return;
    }
    if (registration->file->memory[registration->writable] && !is_refused(registration))
        make(registration);
}

void rdma_registration_want(struct rdma_client *client, struct rdma_call *call,
                            const struct rdma_want *want)
{
    struct keeper_rdma *rdma = client->rdma;
    bool writable = want->get->want.iomode == LAYOUTIOMODE4_RW;
    struct rdma_file *file = file_make(rdma, &want->get->key);
    struct registration *registration =
        file ? rdma_registration_find(client, &file->key, writable) : NULL;
    if (file && file->gates) {
        rdma->parts.finish(call, NFS4ERR_RECALLCONFLICT, "the seal is being released");
        return;
    }
    if (file && writable && !file->memory[1]) {
        snprintf(file->why, sizeof file->why, "%s", why_readonly(file));
        rdma->parts.finish(call, NFS4ERR_LAYOUTUNAVAILABLE, file->why);
        return;
    }
    if (registration && registration->state >= REGISTRATION_GOING) {
        rdma->parts.finish(call, NFS4ERR_LAYOUTTRYLATER,
                           "what was registered for the client before is being taken back");
        return;
    }
    if (!registration)
        registration = file ? calloc(1, sizeof *registration) : NULL;
    if (!registration) {
        rdma->parts.finish(call, NFS4ERR_LAYOUTTRYLATER, "out of memory");
        return;
    }
    if (!registration->file) {
        *registration = (struct registration){.file = file, .client = client, .writable = writable};
        LL_PREPEND2(file->registrations, registration, file_next);
        LL_PREPEND2(client->registrations, registration, client_next);
    }
    LL_PREPEND(registration->waiting, call);
    if (!writable && !file->memory[0] && !file->mapping)
        map_for_reading(rdma, file, want->file, &want->seal);
    rdma_registration_drive(registration);
}

/* ---- taking back ---- */

static void release_work(struct work *work)
{
    struct rdma_job *job = rdma_job_of_work(work);
    job->error = rdma_region_release(job->region);
    jobs_come_home(job->rdma->parts.jobs, &job->home);
}

static void released(struct loop_msg *msg)
{
    struct rdma_job *job = rdma_job_of_home(msg);
    struct registration *registration = job->registration;
    struct rdma_client *client = job->client;
    struct rdma_file *file = registration->file;
    client->jobs--;
    registration->users--;
    if (job->error)
        log_error("what was registered for client %s (id %016llx) could not be taken back: %s; it "
                  "is fenced",
                  client->address, (unsigned long long)client->client_id, strerror(-job->error));
    if (registration->detached) {
        if (!registration->users)
            free(registration);
    } else if (job->error || client->state != CLIENT_READY) {
        registration->state = REGISTRATION_LEFT;
        if (client->state == CLIENT_READY)
            rdma_client_begin_fence(client);
    } else {
        registration_free(registration);
        rdma_file_settle(job->rdma, file);
    }
    rdma_client_settle(client);
    rdma_job_free(job);
}

void rdma_registration_drop(struct registration *registration)
{
    struct rdma_client *client = registration->client;
    if (registration->granted || registration->users || registration->state != REGISTRATION_THERE ||
        registration->detached || client->state != CLIENT_READY)
        return;
    struct rdma_job *job = rdma_job_make(client->rdma, release_work, released);
    job->registration = registration;
    job->client = client;
    job->region = registration->region;
    registration->region = NULL;
    registration->state = REGISTRATION_GOING;
    registration->users++;
    client->jobs++;
    rdma_job_submit(job);
}

void rdma_registration_leave(struct registration *registration)
{
    registration->users--;
    if (registration->detached && !registration->users)
        free(registration);
    else if (!registration->detached)
        rdma_registration_drop(registration);
}

/* Those that a request or a job still has live on until it has done, out of every list. */
void rdma_registrations_voided(struct rdma_client *client)
{
    struct keeper_rdma *rdma = client->rdma;
    while (client->registrations) {
        struct registration *registration = client->registrations;
        struct rdma_file *file = registration->file;
        if (registration->region)
            (void)rdma_region_release(registration->region); /* a fence has it: does not block */
        registration->region = NULL;
        rdma_calls_finish(rdma, &registration->waiting, NFS4ERR_LAYOUTTRYLATER,
                          "the client is being fenced");
        LL_DELETE2(client->registrations, registration, client_next);
        LL_DELETE2(file->registrations, registration, file_next);
        registration->detached = true;
        registration->client = NULL;
        registration->file = NULL;
        if (!registration->users)
            free(registration);
        rdma_file_settle(rdma, file);
    }
}

void rdma_files_destroy(struct keeper_rdma *rdma)
{
    struct rdma_file *file, *next;
    HASH_ITER(hh, rdma->files, file, next)
    {
        HASH_DEL(rdma->files, file);
        if (file->fd >= 0)
            close(file->fd);
        rdma_memory_put(file->memory[0]);
        rdma_memory_put(file->memory[1]);
        free(file);
    }
}

/* ---- what sealing leaves here ---- */

void keeper_rdma_keep_fd(struct keeper_rdma *rdma, const struct file_key *key, int fd)
{
    struct rdma_file *file = file_make(rdma, key);
    if (!file) {
        discard(rdma, NULL, NULL, fd);
        return;
    }
    drop_fd(rdma, file);
    file->fd = fd;
}

int keeper_rdma_take_fd(struct keeper_rdma *rdma, const struct file_key *key)
{
    struct rdma_file *file = rdma_file_find(rdma, key);
    int fd = file ? file->fd : -1;
    if (file)
        file->fd = -1;
    return fd;
}

struct rdma_memory *keeper_rdma_map(int fd, uint64_t size, char *why)
{
    /* Whether the device can page is asked when it is registered: devices come and go. */
    const struct rdma_facts facts = {.on_demand = true, .writable = true};
    struct rdma_memory *memory;
    char text[RDMA_WHY_MAX] = "";
    int err = rdma_memory_open(fd, size, &facts, &memory, text);
    snprintf(why, KEEPER_RDMA_WHY_MAX, "%s", text);
    return err ? NULL : memory;
}

void keeper_rdma_keep_memory(struct keeper_rdma *rdma, const struct file_key *key,
                             struct rdma_memory *memory, const char *why)
{
    struct rdma_file *file = memory || why[0] ? file_make(rdma, key) : NULL;
    if (!file) {
        discard(rdma, NULL, memory, -1);
        return;
    }
    file->memory[1] = memory;
    snprintf(file->why_readonly, sizeof file->why_readonly, "%s", why);
}

void keeper_rdma_drop_memory(struct keeper_rdma *rdma, struct rdma_memory *memory)
{
    discard(rdma, NULL, memory, -1);
}

const char *keeper_rdma_why(const struct keeper_rdma *rdma, const struct file_key *key)
{
    const struct rdma_file *file = rdma_file_find(rdma, key);
    if (!rdma->target || rdma->gone)
        return rdma->why;
    return file ? file->why : "";
}

/* By what the file is in, what the device can and how much may be pinned. */
static bool is_refused_by_facts(const struct keeper_rdma *rdma, struct file *file,
                                const struct engine_seal_view *seal, bool writable,
                                char why[RDMA_WHY_MAX])
{
    struct file_stat stat;
    if (file_stat(file, &stat) != 0)
        return false;
    const struct rdma_facts facts = {.dax = (stat.stx.stx_attributes & STATX_ATTR_DAX) != 0,
                                     .on_demand = rdma_target_on_demand(rdma->target),
                                     .frozen = seal->kind == SEAL_KIND_FROZEN,
                                     .writable = writable};
    const enum rdma_strategy strategy = rdma_strategy_choose(&facts, why);
    if (strategy != RDMA_PINNED || !seal->map || map_has_holes(seal->map))
        return strategy == RDMA_REFUSED;
    return rdma_is_beyond_limits(&rdma->limits, map_file_size(seal->map), why);
}

bool keeper_rdma_refuses(const struct keeper_rdma *rdma, struct file *file,
                         const struct engine_seal_view *seal, bool writable,
                         char why[KEEPER_RDMA_WHY_MAX])
{
    char text[RDMA_WHY_MAX];
    const struct rdma_file *known = rdma_file_find(rdma, &seal->key);
    if (!rdma->target || rdma->gone)
        snprintf(why, KEEPER_RDMA_WHY_MAX, "%s", rdma->why);
    else if (is_refused_by_facts(rdma, file, seal, writable, text))
        snprintf(why, KEEPER_RDMA_WHY_MAX, "%s", text);
    else if (writable && !(known && known->memory[1]))
        snprintf(why, KEEPER_RDMA_WHY_MAX, "%s", why_readonly(known));
    else
        return false;
    return true;
}
