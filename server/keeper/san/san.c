/* san.c - see keeper/san/san.h. */
#include "server/keeper/san/san.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "layout/key_store.h"
#include "layout/reservation.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/keeper/private.h"
#include "server/keeper/san/reserver.h"
#include "server/server.h"

/* A client registers its key as soon as it is told of it: what a fence needs to know is known soon
 * after. */
enum { LOOK_SECONDS = 5, LOOK_SOON_US = 250000 };
enum { ORPHANS_AT_ONCE = 16, STORE_PATH_MAX = 4096, WHY_MAX = 320 };

/* A device under a reservation. */
struct slot {
    struct slot *next;
    struct keeper *keeper;
    struct device *device;
    struct reserver *reserver;
    struct reserver_job look;
    bool looking;
    bool ours;         /* as the last look saw it */
    uint64_t foreign;  /* the last key of somebody else that was reported */
    char why[WHY_MAX]; /* not ours: why */
};

struct orphan {
    struct orphan *next;
    struct reserver_job job;
    struct slot *slot;
};

struct fence {
    struct fence *next;
    struct reserver_job job;
    struct loop_msg failed;
    struct keeper *keeper;
    struct slot *slot;
    struct event *deadline;
    uint64_t ticket, client_id;
    uint32_t number;
    bool answered; /* its time was over: only the job is waited for */
    char address[JOURNAL_ADDRESS_MAX];
};

struct keeper_san {
    struct key_store *keys; /* NULL: not needed so far */
    struct slot *slots;
    struct orphan *orphans;
    struct fence *fences;
    struct event *timer;
    struct event *soon; /* somebody has been told of its key */
    uint64_t started;
};

/* What is on the disk as a key. */
static uint64_t key_of(const struct keeper_san *san, uint32_t number)
{
    return reservation_key(key_store_server(san->keys), number);
}

static int open_keys(struct keeper *keeper)
{
    struct keeper_san *san = keeper->san;
    char path[STORE_PATH_MAX];
    if (san->keys)
        return 0;
    if (snprintf(path, sizeof path, "%s/keys.db", keeper->config->state_dir) >= (int)sizeof path)
        return -ENAMETOOLONG;
    int err = key_store_open(path, &san->keys);
    if (err)
        log_error("the reservation keys in %s cannot be read: %s; clients get no SCSI layouts, and "
                  "those who have "
                  "some cannot be fenced",
                  path,
                  err == -EPROTO ? "they are of another version of sealnfsd" : strerror(-err));
    return err;
}

static void submit(struct slot *slot, struct reserver_job *job)
{
    job->loop = slot->keeper->loop;
    job->since = key_store_now(slot->keeper->san->keys);
    reserver_submit(slot->reserver, job);
}

static struct slot *slot_find(const struct keeper_san *san, const struct device *device)
{
    struct slot *slot;
    LL_FOREACH(san->slots, slot)
    {
        if (memcmp(device_id(slot->device), device_id(device), DEVICE_ID_SIZE) == 0)
            return slot;
    }
    return NULL;
}

static void orphan_home(struct loop_msg *msg)
{
    struct orphan *orphan =
        KEEPER_FROM(KEEPER_FROM(msg, struct reserver_job, home), struct orphan, job);
    struct keeper_san *san = orphan->slot->keeper->san;
    bool gone = orphan->job.disk_count > 0;
    for (uint32_t i = 0; i < orphan->job.disk_count; i++)
        gone = gone && orphan->job.disk[i].removed;
    if (gone)
        log_info("key 0x%016" PRIx64
                 " of a client that is no more, or was fenced, was taken off the disk",
                 orphan->job.victim);
    reserver_job_clear(&orphan->job);
    LL_DELETE(san->orphans, orphan);
    free(orphan);
}

/* A key of ours that nobody should have: its owner departed, or was fenced. */
static void remove_orphan(struct slot *slot, uint64_t key)
{
    struct keeper_san *san = slot->keeper->san;
    struct orphan *orphan;
    unsigned count = 0;
    LL_FOREACH(san->orphans, orphan)
    {
        if (orphan->slot == slot && orphan->job.victim == key)
            return;
        count++;
    }
    if (count >= ORPHANS_AT_ONCE || !(orphan = calloc(1, sizeof *orphan)))
        return; /* the next look finds it again */
    orphan->slot = slot;
    orphan->job.victim = key;
    orphan->job.home.run = orphan_home;
    LL_PREPEND(san->orphans, orphan);
    submit(slot, &orphan->job);
}

/* As the device is now: a job may have come home from what it was before. */
static const char *disk_path(const struct slot *slot, uint32_t disk)
{
    const struct device_volume *volume = device_volume(slot->device);
    return disk < volume->base_count ? volume->base[disk].path : device_volume_path(slot->device);
}

static void foreign_key(struct slot *slot, const char *disk, uint64_t key)
{
    if (slot->foreign == key)
        return;
    slot->foreign = key;
    log_warning("%s: key 0x%016" PRIx64
                " was not given out by this server and lets its owner write to the disk; "
                "it is left alone (sg_persist --in --full-status shows whose it is)",
                disk, key);
}

static void seen_key(struct slot *slot, const char *path, const struct reserver_disk *disk,
                     uint64_t key, uint64_t since)
{
    enum key_sight sight;
    if (key_store_seen(slot->keeper->san->keys, reservation_key_number(key), &disk->name, since,
                       &sight))
        return; /* the next look sees it again */
    if (sight == KEY_IS_NEW)
        log_info("%s: key 0x%016" PRIx64
                 " is registered: its client may read and write the disk directly",
                 path, key);
    if (sight == KEY_IS_BACK) {
        log_error("%s: key 0x%016" PRIx64 " has come back after it was preempted for a fence, "
                  "which no client should do; it is taken "
                  "off again, but what its client wrote in between may be in files that were given "
                  "its blocks: "
                  "check what was written since the fence, and find out what registered it "
                  "(sg_persist --in "
                  "--full-status)",
                  path, key);
        remove_orphan(slot, key);
    }
}

/* What the disks say of keys: who has registered, and who should not have. */
static void take_keys(struct slot *slot, const struct reserver_job *job)
{
    struct key_store *keys = slot->keeper->san->keys;
    for (uint32_t i = 0; i < job->disk_count; i++) {
        const struct reserver_disk *disk = &job->disk[i];
        const char *path = disk_path(slot, i);
        for (size_t k = 0; k < disk->key_count; k++) {
            uint64_t key = disk->keys[k];
            uint32_t number = reservation_key_number(key);
            if (!reservation_key_is_ours(key_store_server(keys), key))
                foreign_key(slot, path, key);
            else if (number != 0 && !key_store_has(keys, number))
                remove_orphan(slot, key);
            else if (number != 0)
                seen_key(slot, path, disk, key, job->since);
        }
    }
}

static void say(const struct reserver_disk *disk, const char *path, char *why, size_t size)
{
    if (disk->error == -EBUSY && disk->holder_key)
        snprintf(why, size,
                 "%s is reserved by somebody else (key 0x%016" PRIx64
                 "); have them release it, or use layout_types "
                 "= \"block\"",
                 path, disk->holder_key);
    else
        snprintf(why, size, "%s cannot be reserved: %s", path, strerror(-disk->error));
}

/* All disks of the job are ours. */
static bool judge(struct slot *slot, const struct reserver_job *job, char *why, size_t size)
{
    if (job->disk_count == 0)
        snprintf(why, size, "the device has no disks");
    for (uint32_t i = 0; i < job->disk_count; i++) {
        if (job->disk[i].error) {
            say(&job->disk[i], disk_path(slot, i), why, size);
            return false;
        }
        if (job->disk[i].lost && slot->ours)
            log_warning("%s had lost the server's reservation (was the target restarted?); it has "
                        "been taken again",
                        disk_path(slot, i));
    }
    return job->disk_count > 0;
}

static void look_home(struct loop_msg *msg)
{
    struct slot *slot = KEEPER_FROM(KEEPER_FROM(msg, struct reserver_job, home), struct slot, look);
    char why[WHY_MAX] = "";
    bool ours = judge(slot, &slot->look, why, sizeof why);
    slot->looking = false;
    if (!ours && strcmp(why, slot->why) != 0)
        log_error("no SCSI layouts: %s", why);
    else if (ours && !slot->ours)
        log_info("%s is reserved for SCSI layouts", device_volume_path(slot->device));
    slot->ours = ours;
    memcpy(slot->why, why, sizeof why);
    take_keys(slot, &slot->look);
    reserver_job_clear(&slot->look);
}

static void look(struct slot *slot)
{
    if (slot->looking)
        return;
    slot->looking = true;
    slot->look.home.run = look_home;
    slot->look.victim = 0;
    submit(slot, &slot->look);
}

static struct slot *slot_make(struct keeper *keeper, struct device *device)
{
    struct slot *slot = calloc(1, sizeof *slot);
    if (!slot)
        return NULL;
    slot->keeper = keeper;
    if (open_keys(keeper) || reserver_create(device, key_of(keeper->san, 0), &slot->reserver)) {
        free(slot);
        return NULL;
    }
    slot->device = device_ref(device);
    snprintf(slot->why, sizeof slot->why, "the disk is being reserved");
    LL_PREPEND(keeper->san->slots, slot);
    return slot;
}

void keeper_san_see(struct keeper *keeper, struct device *device)
{
    if (!device_is_reserved(device))
        return;
    struct slot *slot = slot_find(keeper->san, device);
    if (slot) {
        struct device *old = slot->device;
        slot->device = device_ref(device);
        device_free(old);
        reserver_set_device(slot->reserver, device);
    } else if (!(slot = slot_make(keeper, device))) {
        log_error("%s gets no SCSI layouts: its reservation cannot be kept",
                  device_volume_path(device));
        return;
    }
    look(slot);
}

struct search {
    const uint8_t *verifier;
    bool found;
};

static void compare(const struct engine_run_view *run, void *arg)
{
    struct search *search = arg;
    if (memcmp(run->verifier, search->verifier, JOURNAL_VERIFIER_SIZE) == 0)
        search->found = true;
}

static bool engine_knows(const struct keeper *keeper, const struct key_run *run)
{
    struct search search = {.verifier = run->verifier};
    engine_each_run(keeper->engine, JOURNAL_HOLDER_NFS, run->owner, run->owner_len, compare,
                    &search);
    return search.found;
}

struct departed {
    struct keeper *keeper;
    uint32_t number[ORPHANS_AT_ONCE];
    unsigned count;
};

static void find_departed(uint32_t number, const struct key_run *run, void *arg)
{
    struct departed *departed = arg;
    if (departed->count < ORPHANS_AT_ONCE && !engine_knows(departed->keeper, run))
        departed->number[departed->count++] = number;
}

/* A client that came back after a restart of the server has told so by the end of its lease, grace
 * or not. */
static void retire_departed(struct keeper *keeper)
{
    struct keeper_san *san = keeper->san;
    struct departed departed = {.keeper = keeper};
    uint64_t settled = san->started + UINT64_C(2000000000) * keeper->config->lease_time;
    if (!san->keys || keeper->grace || loop_now_ns() < settled)
        return;
    if (key_store_each(san->keys, find_departed, &departed))
        return;
    for (unsigned i = 0; i < departed.count; i++)
        (void)key_store_retire(san->keys, departed.number[i]);
}

static void look_at_all(evutil_socket_t fd, short what, void *arg)
{
    const struct keeper *keeper = arg;
    struct slot *slot;
    (void)fd;
    (void)what;
    LL_FOREACH(keeper->san->slots, slot)
    look(slot);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    retire_departed(arg);
    look_at_all(fd, what, arg);
}

int keeper_san_create(struct keeper *keeper)
{
    struct keeper_san *san = calloc(1, sizeof *san);
    if (!san)
        return -ENOMEM;
    keeper->san = san;
    san->started = loop_now_ns();
    san->timer = event_new(loop_base(keeper->loop), -1, EV_PERSIST, on_timer, keeper);
    san->soon = evtimer_new(loop_base(keeper->loop), look_at_all, keeper);
    return san->timer && san->soon &&
                   evtimer_add(san->timer, &(struct timeval){.tv_sec = LOOK_SECONDS}) == 0
               ? 0
               : -ENOMEM;
}

void keeper_san_destroy(struct keeper *keeper)
{
    struct keeper_san *san = keeper->san;
    bool all = true;
    if (!san)
        return;
    for (struct slot *slot = san->slots; slot; slot = slot->next)
        all = reserver_destroy(slot->reserver) && all;
    if (san->timer)
        event_free(san->timer);
    if (san->soon)
        event_free(san->soon);
    key_store_close(san->keys);
    keeper->san = NULL;
    while (san->fences) {
        struct fence *fence = san->fences;
        san->fences = fence->next;
        if (fence->deadline)
            event_free(fence->deadline);
        if (all) {
            reserver_job_clear(&fence->job);
            free(fence);
        }
    }
    while (all && san->orphans) {
        struct orphan *orphan = san->orphans;
        san->orphans = orphan->next;
        reserver_job_clear(&orphan->job);
        free(orphan);
    }
    while (all && san->slots) {
        struct slot *slot = san->slots;
        san->slots = slot->next;
        reserver_job_clear(&slot->look);
        device_free(slot->device);
        free(slot);
    }
    if (all) /* else a thread may still write to a job */
        free(san);
}

static int number_of(struct keeper *keeper, uint64_t client_id, uint32_t *number)
{
    struct engine_run_name name;
    if (!engine_client_run(keeper->engine, client_id, &name))
        return -ENOENT;
    struct key_run run = {.owner = name.owner, .owner_len = name.owner_len};
    memcpy(run.verifier, name.verifier, sizeof run.verifier);
    return key_store_give(keeper->san->keys, &run, number);
}

int keeper_san_prepare(struct keeper *keeper, uint64_t client_id, const struct device *device,
                       const char **why)
{
    struct slot *slot = device ? slot_find(keeper->san, device) : NULL;
    uint32_t number;
    if (!slot || !slot->ours) {
        *why = slot ? slot->why : "the disk is not reserved";
        return -EAGAIN;
    }
    int err = number_of(keeper, client_id, &number);
    if (err)
        *why = err == -ENOENT ? "the client is not known to the layout engine"
                              : "no reservation key can be kept";
    return err;
}

/* From whatever device: its disks may be this one's too. By the key: after a restart of the server
 * a run has another client id. */
static bool is_being_fenced(const struct keeper_san *san, uint32_t number)
{
    const struct fence *fence;
    LL_FOREACH(san->fences, fence)
    {
        if (fence->number == number && !fence->answered)
            return true;
    }
    return false;
}

nfsstat4 keeper_san_key(struct keeper *keeper, uint64_t client_id, const struct device *device,
                        uint64_t *key)
{
    struct keeper_san *san = keeper->san;
    const struct device_volume *volume = device_volume(device);
    struct slot *slot = slot_find(san, device);
    uint32_t number;
    if (!slot || engine_client_was_fenced(keeper->engine, client_id))
        return NFS4ERR_NOENT;
    if (!slot->ours || number_of(keeper, client_id, &number) || is_being_fenced(san, number))
        return NFS4ERR_DELAY;
    for (uint32_t i = 0; i < volume->base_count; i++) {
        if (key_store_tell(san->keys, number, &volume->base[i].designator))
            return NFS4ERR_DELAY;
    }
    if (!evtimer_pending(san->soon, NULL)) /* else the next of the usual looks sees it */
        (void)evtimer_add(san->soon, &(struct timeval){.tv_usec = LOOK_SOON_US});
    *key = key_of(san, number);
    return NFS4_OK;
}

static void fence_free(struct keeper_san *san, struct fence *fence)
{
    LL_DELETE(san->fences, fence);
    event_free(fence->deadline);
    reserver_job_clear(&fence->job);
    free(fence);
}

static void fence_failed(struct fence *fence, const char *why)
{
    log_error("client %s (id %016" PRIx64
              ") could not be fenced from %s: %s; its files stay sealed, and it is tried "
              "again in %u s",
              fence->address, fence->client_id, device_volume_path(fence->slot->device), why,
              fence->keeper->config->fence_retry);
}

/* The last job is home. */
static void fence_end(struct fence *fence, const char *why)
{
    struct keeper *keeper = fence->keeper;
    uint64_t ticket = fence->ticket, client_id = fence->client_id;
    bool answered = fence->answered, success = !why;
    if (!answered && success)
        log_warning("client %s (id %016" PRIx64
                    ") was fenced from %s: its key is gone; it reads and writes through "
                    "the server until it mounts anew",
                    fence->address, client_id, device_volume_path(fence->slot->device));
    else if (!answered)
        fence_failed(fence, why);
    fence_free(keeper->san, fence);
    if (!answered)
        keeper_fence_done(keeper, ticket, client_id, success);
}

/* NULL: every disk was seen to be without the key, and the client cannot register it any more. */
static const char *unproven(const struct fence *fence, char *why, size_t size)
{
    struct key_store *keys = fence->keeper->san->keys;
    if (!judge(fence->slot, &fence->job, why, size))
        return why;
    for (uint32_t i = 0; i < fence->job.disk_count; i++) {
        const struct reserver_disk *disk = &fence->job.disk[i];
        enum key_use use;
        int err = key_store_use(keys, fence->number, &disk->name, &use);
        if (!err && disk->removed && (use != KEY_TOLD || disk->was_there))
            continue;
        snprintf(why, size,
                 "%s: it was told of its key and has not been seen to register it since, so it "
                 "still may; "
                 "restart the client, or have it unmount",
                 disk_path(fence->slot, i));
        return why;
    }
    for (uint32_t i = 0; i < fence->job.disk_count; i++)
        (void)key_store_removed(keys, fence->number,
                                &fence->job.disk[i].name); /* only an alarm needs it */
    return NULL;
}

static void preempted(struct loop_msg *msg)
{
    struct fence *fence =
        KEEPER_FROM(KEEPER_FROM(msg, struct reserver_job, home), struct fence, job);
    char why[WHY_MAX];
    /* Once it has been answered the client may have been told of its key anew. */
    fence_end(fence, fence->answered ? NULL : unproven(fence, why, sizeof why));
}

/* Who has registered is written down before anything is done about it: after a crash in between, a
 * key that is gone is gone because it was preempted. */
static void looked(struct loop_msg *msg)
{
    struct fence *fence =
        KEEPER_FROM(KEEPER_FROM(msg, struct reserver_job, home), struct fence, job);
    char why[WHY_MAX] = "";
    if (fence->answered || !judge(fence->slot, &fence->job, why, sizeof why)) {
        fence_end(fence, why);
        return;
    }
    take_keys(fence->slot, &fence->job);
    reserver_job_clear(&fence->job);
    fence->job.victim = key_of(fence->keeper->san, fence->number);
    fence->job.home.run = preempted;
    submit(fence->slot, &fence->job);
}

static void time_is_over(evutil_socket_t fd, short what, void *arg)
{
    struct fence *fence = arg;
    struct keeper *keeper = fence->keeper;
    (void)fd;
    (void)what;
    fence->answered = true;
    fence_failed(fence, "the disk did not answer in time");
    keeper_fence_done(keeper, fence->ticket, fence->client_id, false);
}

static void cannot_begin(struct loop_msg *msg)
{
    struct fence *fence = KEEPER_FROM(msg, struct fence, failed);
    struct keeper *keeper = fence->keeper;
    uint64_t ticket = fence->ticket, client_id = fence->client_id;
    log_error("client %s (id %016" PRIx64
              ") cannot be fenced: its key or its disk is not known, or the disk still "
              "does not answer to the last try",
              fence->address, client_id);
    fence_free(keeper->san, fence);
    keeper_fence_done(keeper, ticket, client_id, false);
}

static int fence_begin(struct fence *fence, const struct engine_effect *effect)
{
    struct keeper *keeper = fence->keeper;
    struct keeper_san *san = keeper->san;
    struct key_run run = {.owner = effect->fence.owner, .owner_len = effect->fence.owner_len};
    struct device *device = (struct device *)(uintptr_t)effect->fence.device;
    const struct fence *other;
    memcpy(run.verifier, effect->fence.verifier, sizeof run.verifier);
    fence->slot = slot_find(san, device);
    if (!fence->slot)
        fence->slot = slot_make(keeper, device);
    if (!fence->slot || key_store_find(san->keys, &run, &fence->number))
        return -ENOENT;
    LL_FOREACH(san->fences, other)
    {
        if (other != fence && other->slot == fence->slot && other->number == fence->number)
            return -EBUSY;
    }
    fence->job.home.run = looked;
    if (evtimer_add(fence->deadline, &(struct timeval){.tv_sec = keeper->config->fence_timeout}) !=
        0)
        return -ENOMEM;
    submit(fence->slot, &fence->job);
    return 0;
}

void keeper_san_fence(struct keeper *keeper, const struct engine_effect *effect)
{
    struct fence *fence;
    while (!(fence = calloc(1, sizeof *fence)) ||
           !(fence->deadline = evtimer_new(loop_base(keeper->loop), time_is_over, fence))) {
        struct timespec pause = {.tv_nsec = 10000000};
        free(fence);
        nanosleep(&pause, NULL); /* a fence that is lost would leave its seal in FENCING */
    }
    fence->keeper = keeper;
    fence->ticket = effect->fence.ticket;
    fence->client_id = effect->fence.client_id;
    snprintf(fence->address, sizeof fence->address, "%s", effect->fence.address);
    LL_PREPEND(keeper->san->fences, fence);
    if (fence_begin(fence, effect)) {
        fence->failed.run = cannot_begin;
        loop_post(keeper->loop, &fence->failed);
    }
}

struct san_farewell {
    uint32_t number;
    struct key_run run;
    uint8_t owner[];
};

struct san_farewell *keeper_san_farewell_begin(struct keeper *keeper, uint64_t client_id)
{
    struct engine_run_name name;
    struct san_farewell *farewell;
    if (!keeper->san->keys || !engine_client_run(keeper->engine, client_id, &name))
        return NULL;
    farewell = malloc(sizeof *farewell + name.owner_len);
    if (!farewell)
        return NULL; /* the next looks find it departed */
    memcpy(farewell->owner, name.owner, name.owner_len);
    farewell->run = (struct key_run){.owner = farewell->owner, .owner_len = name.owner_len};
    memcpy(farewell->run.verifier, name.verifier, sizeof farewell->run.verifier);
    return farewell;
}

/* The same run may begin anew at once, and is to have another key then. */
void keeper_san_farewell_end(struct keeper *keeper, struct san_farewell *farewell)
{
    uint32_t number;
    if (farewell && !engine_knows(keeper, &farewell->run) &&
        key_store_find(keeper->san->keys, &farewell->run, &number) == 0)
        (void)key_store_retire(keeper->san->keys, number);
    free(farewell);
}
