/* san.c - devices under a reservation, and looks at them: see keeper/san/san.h. */
#include "server/keeper/san/san.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "layout/reservation/reservation.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/keeper/san/private.h"

#define SECONDS(n) ((uint64_t)(n)*UINT64_C(1000000000))

enum {
    LOOK_SECONDS = 5,
    WAIT_SECONDS = 10,
    MISSED_MAX = 2,
    ORPHANS_AT_ONCE = 16,
    STORE_PATH_MAX = 4096
};

struct san_orphan {
    struct san_orphan *next;
    struct reserver_job job;
    struct san_slot *slot;
};

/* ---- the record ---- */

void san_set_time(struct keeper_san *san)
{
    uint64_t now = loop_now_ns();
    key_rule_set_time(san->rule, now ? now : 1, SECONDS(san_config(san)->initiator_settle_time));
}

static int restore_run(uint32_t id, const struct key_run *name, bool doubt, void *arg)
{
    struct keeper_san *san = arg;
    return key_rule_add_run(san->rule, id, name, doubt);
}

static int restore_row(const struct key_row *row, void *arg)
{
    struct keeper_san *san = arg;
    return key_rule_restore(san->rule, row);
}

static int load_rule(struct keeper_san *san)
{
    static const struct key_store_visitor visitor = {.run = restore_run, .row = restore_row};
    const struct key_rule_store store = {.arg = san->keys,
                                         .put = key_store_put,
                                         .drop = key_store_drop,
                                         .drop_run = key_store_drop_run};
    int err = key_rule_create(key_store_server(san->keys), &store, &san->rule);
    if (err)
        return err;
    san_set_time(san);
    return key_store_load(san->keys, &visitor, san);
}

static void say_news(const char *path, enum key_store_news news)
{
    if (news == KEY_STORE_BEHIND)
        log_error("%s is an older copy, or another journal's: what clients were told since is not "
                  "in it, so those in it can only be released by returning their layouts, by "
                  "unmounting, or by sealctl forget-holders",
                  path);
    if (news == KEY_STORE_UPGRADED)
        log_warning("%s was taken over from an earlier version, which did not record each telling "
                    "of a key: clients that were told before cannot be shown to be fenced until "
                    "they have unmounted",
                    path);
}

static void drop_record(struct keeper_san *san)
{
    key_rule_destroy(san->rule);
    key_store_close(san->keys);
    san->rule = NULL;
    san->keys = NULL;
}

static const char *explain_store(int err)
{
    return err == -EPROTO    ? "it is of a later version of sealnfsd"
           : err == -EUCLEAN ? "it is damaged; put it back from a copy, or remove it: clients that "
                               "hold layouts then have to return them or unmount"
                             : strerror(-err);
}

static int open_keys(struct keeper_san *san)
{
    const struct key_store_journal journal = {.id = san->calls.journal_id,
                                              .boot = san->calls.journal_boot};
    enum key_store_news news;
    char path[STORE_PATH_MAX];
    if (san->rule)
        return 0;
    if (snprintf(path, sizeof path, "%s/keys.db", san_config(san)->state_dir) >= (int)sizeof path)
        return -ENAMETOOLONG;
    int err = key_store_open(path, &journal, &san->keys, &news);
    if (!err)
        say_news(path, news);
    if (!err)
        err = load_rule(san);
    if (err) {
        log_error("the reservation keys in %s cannot be read: %s; clients get no SCSI layouts, and "
                  "those who have some cannot be fenced",
                  path, explain_store(err));
        drop_record(san);
    }
    return err;
}

/* ---- slots ---- */

/* Of an earlier look. Another volume's look that goes on at the same time is none, so it is read
 * before this one begins. */
static void read_notes(struct san_slot *slot)
{
    const struct device_volume *volume = device_volume(slot->device);
    for (uint32_t i = 0; i < volume->base_count; i++) {
        struct key_store_disk note;
        if (slot->generation[i] ||
            key_store_disk(slot->san->keys, &volume->base[i].designator, &note))
            continue;
        slot->generation[i] = note.generation;
        slot->forgets = slot->forgets || note.forgets;
    }
}

void san_submit(struct san_slot *slot, struct reserver_job *job)
{
    read_notes(slot);
    job->loop = slot->san->calls.loop;
    job->since = key_rule_clock(slot->san->rule);
    reserver_submit(slot->reserver, job);
}

struct san_slot *san_slot_find(const struct keeper_san *san, const struct device *device)
{
    struct san_slot *slot;
    LL_FOREACH(san->slots, slot)
    {
        if (memcmp(device_id(slot->device), device_id(device), DEVICE_ID_SIZE) == 0)
            return slot;
    }
    return NULL;
}

/* As the device is now: a job may have come home from what it was before. */
const char *san_disk_path(const struct san_slot *slot, uint32_t disk)
{
    const struct device_volume *volume = device_volume(slot->device);
    return disk < volume->base_count ? volume->base[disk].path : device_volume_path(slot->device);
}

/* ---- keys that nobody should have ---- */

static void orphan_home(struct loop_msg *msg)
{
    struct san_orphan *orphan =
        container_of(container_of(msg, struct reserver_job, home), struct san_orphan, job);
    struct keeper_san *san = orphan->slot->san;
    bool gone = orphan->job.disk_count > 0;
    for (uint32_t i = 0; i < orphan->job.disk_count; i++)
        gone = gone && !orphan->job.disk[i].error;
    if (gone)
        log_info("key 0x%016" PRIx64
                 " of a client that is no more, or was fenced, was taken off the disk",
                 orphan->job.victim[0].key);
    reserver_job_clear(&orphan->job);
    LL_DELETE(san->orphans, orphan);
    free(orphan);
}

static bool is_removing(const struct san_orphan *orphan, const struct san_slot *slot,
                        const struct designator *disk, uint64_t key)
{
    return orphan->slot == slot && orphan->job.victim[0].key == key &&
           designator_equal(&orphan->job.victim[0].disk, disk);
}

static void remove_orphan(struct san_slot *slot, const struct designator *disk, uint64_t key)
{
    struct keeper_san *san = slot->san;
    struct san_orphan *orphan;
    unsigned count = 0;
    LL_FOREACH(san->orphans, orphan)
    {
        if (is_removing(orphan, slot, disk, key))
            return;
        count++;
    }
    if (count >= ORPHANS_AT_ONCE || !(orphan = calloc(1, sizeof *orphan)))
        return; /* the next look finds it again */
    orphan->slot = slot;
    orphan->job.victim[0] = (struct reserver_victim){.disk = *disk, .key = key};
    orphan->job.victim_count = 1;
    orphan->job.home.run = orphan_home;
    LL_PREPEND(san->orphans, orphan);
    san_submit(slot, &orphan->job);
}

/* ---- what a look shows ---- */

struct seeing {
    struct san_slot *slot;
    const char *path;
    const struct designator *disk;
};

static void say_foreign(struct san_slot *slot, const char *path, uint64_t key, const char *nexus)
{
    if (slot->told_foreign && slot->foreign == key)
        return;
    slot->told_foreign = true;
    slot->foreign = key;
    if (key == 0) {
        log_warning("%s: %s is registered with key 0, which nobody can preempt: it may read and "
                    "write the disk, and gets no SCSI layouts again before it has unregistered. A "
                    "Linux client leaves that behind on NVMe when it unmounts; on that machine "
                    "say: nvme resv-register %s --rrega=1 --crkey=0",
                    path, nexus, path);
        return;
    }
    log_warning(
        "%s: key 0x%016" PRIx64
        " was not given out by this server and lets its owner, %s, write to the disk; it is "
        "left alone",
        path, key, nexus);
}

static void say_intruder(const struct keeper_san *san, const char *path, const char *nexus,
                         const struct key_finding *finding)
{
    char name[SAN_NAME_MAX], other[SAN_NAME_MAX];
    san_run_text(san, finding->run, name);
    if (finding->kind == KEY_IS_BACK)
        log_error("%s: key 0x%016" PRIx64
                  " of %s has come back by %s after it was preempted for a fence, which no client "
                  "should do; it is taken off again, but what was written in between may be in "
                  "files that were given its blocks: check what was written since the fence",
                  path, finding->key, name, nexus);
    else
        log_error("%s: %s has registered by %s, where %s was fenced: both are on one machine. Its "
                  "key 0x%016" PRIx64
                  " is taken off again, but what the other had queued may have been written in "
                  "between, in files that were given its blocks: check what was written since the "
                  "fence",
                  path, name, nexus, san_run_text(san, finding->other, other), finding->key);
}

static void take_finding(const struct key_finding *finding, void *arg)
{
    const struct seeing *seeing = arg;
    struct san_slot *slot = seeing->slot;
    char name[SAN_NAME_MAX], other[SAN_NAME_MAX], nexus[KEY_NEXUS_TEXT];
    key_nexus_text(finding->nexus, nexus, sizeof nexus);
    switch (finding->kind) {
    case KEY_SHARES:
        log_warning("%s: %s and %s are on one machine (%s): the disk cannot tell them apart, so "
                    "the fence of one is a fence of both, and when one unmounts the other loses "
                    "its direct access",
                    seeing->path, san_run_text(slot->san, finding->run, name),
                    san_run_text(slot->san, finding->other, other), nexus);
        /* fall through */
    case KEY_IS_NEW:
        log_info("%s: key 0x%016" PRIx64
                 " is registered by %s: its client may read and write the disk directly",
                 seeing->path, finding->key, nexus);
        return;
    case KEY_IS_FOREIGN:
        say_foreign(slot, seeing->path, finding->key, nexus);
        return;
    case KEY_IS_BACK:
    case KEY_OPENS_FENCED:
        say_intruder(slot->san, seeing->path, nexus, finding);
        remove_orphan(slot, seeing->disk, finding->key);
        return;
    case KEY_IS_ORPHAN:
        remove_orphan(slot, seeing->disk, finding->key);
        return;
    }
}

struct key_look san_look_of(const struct reserver_job *job, uint32_t disk)
{
    return (struct key_look){.disk = &job->disk[disk].name,
                             .since = job->since,
                             .generation = job->disk[disk].generation,
                             .reg = job->disk[disk].reg,
                             .count = job->disk[disk].count};
}

/* A look that could not be written down is taken again with the next one. */
void san_take_keys(struct san_slot *slot, const struct reserver_job *job)
{
    san_set_time(slot->san);
    for (uint32_t i = 0; i < job->disk_count; i++) {
        struct key_look look = san_look_of(job, i);
        struct seeing seeing = {slot, san_disk_path(slot, i), look.disk};
        if (!job->disk[i].error)
            (void)key_rule_look(slot->san->rule, &look, take_finding, &seeing);
    }
}

/* ---- is the disk ours, and does it keep what is registered? ---- */

static void explain_disk(const struct reserver_disk *disk, const char *path, char *why, size_t size)
{
    if (disk->error == -EBUSY && disk->holder_key)
        snprintf(why, size,
                 "%s is reserved by somebody else (key 0x%016" PRIx64
                 "); have them release it, or use layout_types = \"block\"",
                 path, disk->holder_key);
    else if (disk->error == -EBUSY && disk->held)
        snprintf(why, size,
                 "%s is reserved by somebody else, for all who are registered there; have them "
                 "release it (sg_persist --in --full-status names them), or use layout_types = "
                 "\"block\"",
                 path);
    else
        snprintf(why, size, "%s cannot be reserved: %s", path, strerror(-disk->error));
}

static void write_note(const struct san_slot *slot, const struct reserver_disk *disk)
{
    const struct key_store_disk note = {.generation = disk->generation, .forgets = slot->forgets};
    if (key_store_note_disk(slot->san->keys, &disk->name, &note))
        log_error("keys.db cannot be written: whether a target forgets its registrations is not "
                  "known after the next start of the server");
}

/* It counts from the start again. */
static bool has_forgotten(const struct san_slot *slot, const struct reserver_disk *disk, uint32_t i)
{
    return disk->loss.lost && slot->generation[i] &&
           (int32_t)(disk->loss.generation - slot->generation[i]) < 0;
}

/* Whatever volumes are on it. */
static void note_forgetful(const struct keeper_san *san, const struct designator *disk)
{
    struct san_slot *slot;
    LL_FOREACH(san->slots, slot)
    {
        const struct device_volume *volume = device_volume(slot->device);
        for (uint32_t i = 0; i < volume->base_count; i++)
            slot->forgets = slot->forgets || designator_equal(&volume->base[i].designator, disk);
    }
}

static void note_loss(struct san_slot *slot, const struct reserver_disk *disk, uint32_t i)
{
    const char *path = san_disk_path(slot, i);
    if (has_forgotten(slot, disk, i)) {
        note_forgetful(slot->san, &disk->name);
        log_error("%s has lost every registration (its target was restarted and does not keep "
                  "them): whoever was fenced from it could write to it until now; check what was "
                  "written in files that were given a fenced client's blocks, and have the target "
                  "keep registrations (see sealnfs.conf(5))",
                  path);
    } else if (disk->loss.lost && slot->ours) {
        log_warning("%s had lost the server's reservation; it has been taken again", path);
    }
    if (disk->loss.lost || !slot->generation[i])
        write_note(slot, disk);
    slot->generation[i] = disk->generation;
}

static bool explain_volatile(struct san_slot *slot, const struct reserver_disk *disk, uint32_t i,
                             char *why, size_t size)
{
    const char *path = san_disk_path(slot, i);
    if (disk->persists && !slot->forgets)
        return false;
    snprintf(
        why, size,
        "%s %s over a loss of power (APTPL), so that a client which was fenced could write "
        "again after the target's restart: have the target keep them, or use layout_types = "
        "\"block\", or say scsi_volatile_reservations = \"allow\" (see sealnfs.conf(5)); when it "
        "keeps them now, say sealctl forget-holders",
        path,
        disk->persists ? "has lost registrations that it said it keeps"
                       : "does not keep its registrations");
    if (!device_may_forget(slot->device))
        return true;
    if (!slot->told_volatile)
        log_error("scsi_volatile_reservations is \"allow\", and %s: after each restart of the "
                  "target, whatever a fenced client has queued is written over whatever its blocks "
                  "hold by then",
                  why);
    slot->told_volatile = true;
    return false;
}

bool san_judge(struct san_slot *slot, const struct reserver_job *job, char *why, size_t size)
{
    if (job->disk_count == 0)
        snprintf(why, size, "the device has no disks");
    for (uint32_t i = 0; i < job->disk_count; i++) {
        if (job->disk[i].error) {
            explain_disk(&job->disk[i], san_disk_path(slot, i), why, size);
            return false;
        }
        note_loss(slot, &job->disk[i], i);
    }
    return job->disk_count > 0;
}

/* Fit to be offered, beyond that. */
static bool judge_persistence(struct san_slot *slot, const struct reserver_job *job, char *why,
                              size_t size)
{
    for (uint32_t i = 0; i < job->disk_count; i++) {
        if (explain_volatile(slot, &job->disk[i], i, why, size))
            return false;
    }
    why[0] = '\0';
    return true;
}

/* Of what keeps the disk from being ours. */
static bool is_passing(const struct reserver_job *job)
{
    for (uint32_t i = 0; i < job->disk_count; i++) {
        const struct reserver_disk *disk = &job->disk[i];
        if (disk->error == -EAGAIN || disk->error == -ENOMEM ||
            (disk->error == -EBUSY && !disk->held))
            continue;
        if (disk->error)
            return false;
    }
    return job->disk_count > 0;
}

/* A disk has one node. It says who, and gives it to nobody by itself. */
static void note_take_over(const struct san_slot *slot, const struct reserver_job *job)
{
    const struct keeper_san_calls *calls = &slot->san->calls;
    for (uint32_t i = 0; i < job->disk_count; i++) {
        const struct reserver_disk *disk = &job->disk[i];
        if (disk->error == -EBUSY && disk->holder_key != calls->own_key &&
            reservation_key_is_node(disk->holder_key))
            calls->taken_over(calls->arg, san_disk_path(slot, i), disk->holder_key);
    }
}

static void look_at(struct san_slot *slot);

static bool is_looked_at(const struct keeper_san *san, const struct san_wait *wait)
{
    const struct san_slot *slot;
    LL_FOREACH(san->slots, slot)
    {
        if (slot->seen < wait->from)
            return false;
    }
    return true;
}

/* A disk that does not answer keeps nobody for ever. */
static void tell_looked(struct keeper_san *san, uint64_t patience)
{
    struct san_wait *wait, *next;
    LL_FOREACH_SAFE(san->waits, wait, next)
    {
        if (!is_looked_at(san, wait) && loop_now_ns() - wait->since < patience)
            continue;
        LL_DELETE(san->waits, wait);
        wait->done(wait);
    }
}

void keeper_san_look_then(struct keeper_san *san, struct san_wait *wait)
{
    struct san_slot *slot;
    if (!san) {
        wait->done(wait);
        return;
    }
    wait->from = ++san->asks;
    wait->since = loop_now_ns();
    LL_APPEND(san->waits, wait);
    LL_FOREACH(san->slots, slot)
    {
        if (slot->looking)
            slot->again = true;
        else
            look_at(slot);
    }
    tell_looked(san, SECONDS(WAIT_SECONDS));
}

static void look_home(struct loop_msg *msg)
{
    struct san_slot *slot =
        container_of(container_of(msg, struct reserver_job, home), struct san_slot, look);
    char why[SAN_WHY_MAX] = "";
    note_take_over(slot, &slot->look);
    bool reserved = san_judge(slot, &slot->look, why, sizeof why);
    bool ours = reserved && judge_persistence(slot, &slot->look, why, sizeof why);
    slot->looking = false;
    if (!ours && strcmp(why, slot->why) != 0)
        log_error("no SCSI layouts: %s", why);
    else if (ours && !slot->ours)
        log_info("%s is reserved for SCSI layouts", device_volume_path(slot->device));
    slot->ours = ours;
    slot->missed = !reserved && is_passing(&slot->look) ? slot->missed + 1 : 0;
    slot->passing = slot->missed > 0 && slot->missed < MISSED_MAX;
    memcpy(slot->why, why, sizeof why);
    san_take_keys(slot, &slot->look);
    reserver_job_clear(&slot->look);
    san_tell_seen(slot);
    san_tell_settled(slot->san);
    slot->seen = slot->began;
    if (slot->again)
        look_at(slot);
    tell_looked(slot->san, SECONDS(WAIT_SECONDS));
}

static void look_at(struct san_slot *slot)
{
    if (slot->looking)
        return;
    slot->looking = true;
    slot->again = false;
    slot->began = slot->san->asks;
    slot->look.home.run = look_home;
    slot->look.victim_count = 0;
    san_submit(slot, &slot->look);
}

struct san_slot *san_slot_make(struct keeper_san *san, struct device *device)
{
    struct san_slot *slot = calloc(1, sizeof *slot);
    if (!slot)
        return NULL;
    slot->san = san;
    if (open_keys(san) ||
        reserver_create(device, san->calls.own_key, reservation_key(key_store_server(san->keys), 0),
                        &slot->reserver)) {
        free(slot);
        return NULL;
    }
    slot->device = device_ref(device);
    snprintf(slot->why, sizeof slot->why, "the disk is being reserved");
    slot->passing = true;
    LL_PREPEND(san->slots, slot);
    return slot;
}

void keeper_san_see(struct keeper_san *san, struct device *device)
{
    if (!device_is_reserved(device))
        return;
    struct san_slot *slot = san_slot_find(san, device);
    if (slot) {
        struct device *old = slot->device;
        slot->device = device_ref(device);
        device_free(old);
        reserver_set_device(slot->reserver, device);
    } else if (!(slot = san_slot_make(san, device))) {
        log_error("%s gets no SCSI layouts: its reservation cannot be kept",
                  device_volume_path(device));
        return;
    }
    look_at(slot);
}

/* ---- life ---- */

void keeper_san_look(const struct keeper_san *san)
{
    struct san_slot *slot;
    LL_FOREACH(san ? san->slots : NULL, slot)
    look_at(slot);
}

static void look_at_all(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    keeper_san_look(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct keeper_san *san = arg;
    uint64_t patience = 10 * SECONDS(san_config(san)->recall_timeout);
    struct san_asked *asked, *next;
    LL_FOREACH_SAFE(san->asked, asked, next)
    {
        if (loop_now_ns() - asked->at < patience)
            continue;
        LL_DELETE(san->asked, asked);
        free(asked);
    }
    san_retire_departed(san);
    look_at_all(fd, what, arg);
    tell_looked(san, SECONDS(WAIT_SECONDS));
}

/* A record that is there is opened at every start: it knows by that whether it missed one. */
static void open_what_is_there(struct keeper_san *san)
{
    char path[STORE_PATH_MAX];
    FILE *file = NULL;
    if (snprintf(path, sizeof path, "%s/keys.db", san_config(san)->state_dir) < (int)sizeof path)
        file = fopen(path, "re");
    if (!file)
        return;
    fclose(file);
    (void)open_keys(san);
}

int keeper_san_create(const struct keeper_san_calls *calls, struct keeper_san **out)
{
    struct keeper_san *san = calloc(1, sizeof *san);
    if (!san)
        return -ENOMEM;
    san->calls = *calls;
    san->started = loop_now_ns();
    san->timer = event_new(loop_base(calls->loop), -1, EV_PERSIST, on_timer, san);
    san->soon = evtimer_new(loop_base(calls->loop), look_at_all, san);
    if (!san->timer || !san->soon ||
        evtimer_add(san->timer, &(struct timeval){.tv_sec = LOOK_SECONDS}) != 0) {
        keeper_san_destroy(san);
        return -ENOMEM;
    }
    open_what_is_there(san);
    *out = san;
    return 0;
}

static void free_slots(struct keeper_san *san)
{
    while (san->orphans) {
        struct san_orphan *orphan = san->orphans;
        san->orphans = orphan->next;
        reserver_job_clear(&orphan->job);
        free(orphan);
    }
    while (san->slots) {
        struct san_slot *slot = san->slots;
        san->slots = slot->next;
        reserver_job_clear(&slot->look);
        device_free(slot->device);
        free(slot);
    }
    tell_looked(san, 0);
    while (san->asked) {
        struct san_asked *asked = san->asked;
        san->asked = asked->next;
        free(asked);
    }
    while (san->told) {
        struct san_told *told = san->told;
        san->told = told->next;
        free(told);
    }
}

void keeper_san_destroy(struct keeper_san *san)
{
    bool all = true;
    if (!san)
        return;
    for (struct san_slot *slot = san->slots; slot; slot = slot->next) {
        slot->ended = reserver_destroy(slot->reserver);
        all = all && slot->ended;
    }
    san_settle_fences(san);
    if (san->timer)
        event_free(san->timer);
    if (san->soon)
        event_free(san->soon);
    drop_record(san);
    san_free_fences(san, all);
    if (!all)
        return; /* a thread may still write to a job */
    free_slots(san);
    free(san);
}
