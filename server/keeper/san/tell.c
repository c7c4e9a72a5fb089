/* tell.c - who is told of a key, and the ends of runs: see keeper/san/san.h. */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "layout/reservation/reservation.h"
#include "proto/quote.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/keeper/san/private.h"

/* A client registers its key as soon as it is told of it: what a fence needs to know is known soon
 * after. */
enum { LOOK_SOON_US = 250000, RUNS_AT_ONCE = 16 };

struct search {
    const uint8_t *verifier;
    bool found, fenced, holds;
    uint64_t client_id;
    char address[JOURNAL_ADDRESS_MAX];
};

static void compare_run(const struct engine_run_view *run, void *arg)
{
    struct search *search = arg;
    if (memcmp(run->verifier, search->verifier, JOURNAL_VERIFIER_SIZE) != 0)
        return;
    search->found = true;
    search->fenced = run->fenced;
    search->holds = run->holds;
    search->client_id = run->client_id;
    snprintf(search->address, sizeof search->address, "%s", run->address);
}

static struct search search_engine(const struct keeper_san *san, const struct key_run *run)
{
    struct search search = {.verifier = run->verifier};
    engine_each_run(san->calls.engine, JOURNAL_HOLDER_NFS, run->owner, run->owner_len, compare_run,
                    &search);
    return search;
}

bool san_run_client(const struct keeper_san *san, uint32_t run, uint64_t *client_id)
{
    const struct key_run *name = key_rule_run(san->rule, run);
    struct search search = {.found = false};
    if (name)
        search = search_engine(san, name);
    *client_id = search.client_id;
    return search.found;
}

bool san_run_holds(const struct keeper_san *san, uint32_t run)
{
    const struct key_run *name = key_rule_run(san->rule, run);
    struct search search = {.found = false};
    if (name)
        search = search_engine(san, name);
    return search.found && (!search.client_id || search.holds);
}

const char *san_run_text(const struct keeper_san *san, uint32_t run, char text[SAN_NAME_MAX])
{
    const struct key_run *name = key_rule_run(san->rule, run);
    int n;
    if (!name) {
        snprintf(text, SAN_NAME_MAX, "a client that is no more");
        return text;
    }
    struct search search = search_engine(san, name);
    n = snprintf(text, SAN_NAME_MAX, "client %s \"", search.address[0] ? search.address : "?");
    n += (int)quote_text(text + n, SAN_NAME_MAX - 1 - (size_t)n, name->owner, name->owner_len,
                         "\"\\");
    text[n++] = '"';
    text[n] = '\0';
    return text;
}

static bool is_known(uint32_t run, void *arg)
{
    uint64_t client_id;
    return san_run_client(arg, run, &client_id);
}

/* Of those who were never told of a key. The others may come back with their device set up. */
void san_retire_departed(struct keeper_san *san)
{
    if (san->rule)
        (void)key_rule_retire(san->rule, is_known, san);
}

/* A client that comes back after a restart of the server has told so by the end of its lease, grace
 * or not. */
static bool may_be_here(uint32_t run, void *arg)
{
    struct keeper_san *san = arg;
    uint64_t settled = san->started + UINT64_C(2000000000) * san_config(san)->lease_time;
    return san->calls.in_grace(san->calls.arg) || loop_now_ns() < settled || is_known(run, arg);
}

struct settled {
    const struct keeper_san *san;
    uint32_t run[RUNS_AT_ONCE];
    uint64_t client_id[RUNS_AT_ONCE];
    unsigned count;
};

static void find_settled(uint32_t run, void *arg)
{
    struct settled *settled = arg;
    const struct keeper_san *san = settled->san;
    if (settled->count >= RUNS_AT_ONCE || !key_rule_has_settled(san->rule, run))
        return;
    struct search search = search_engine(san, key_rule_run(san->rule, run));
    if (!search.fenced || !search.client_id)
        return;
    settled->client_id[settled->count] = search.client_id;
    settled->run[settled->count++] = run;
}

void san_tell_settled(struct keeper_san *san)
{
    struct settled settled = {.san = san};
    if (!san->rule || !san->calls.settled)
        return;
    san_set_time(san);
    key_rule_each_run(san->rule, find_settled, &settled);
    for (unsigned i = 0; i < settled.count; i++)
        san->calls.settled(san->calls.arg, settled.client_id[i],
                           key_rule_run(san->rule, settled.run[i]));
}

static bool name_client(const struct keeper_san *san, uint64_t client_id, struct key_run *run)
{
    struct engine_run_name name;
    if (!engine_client_run(san->calls.engine, client_id, &name))
        return false;
    *run = (struct key_run){.owner = name.owner, .owner_len = name.owner_len};
    memcpy(run->verifier, name.verifier, sizeof run->verifier);
    return true;
}

static int give_run(struct keeper_san *san, uint64_t client_id, uint32_t *run)
{
    struct key_run name;
    if (!name_client(san, client_id, &name))
        return -ENOENT;
    if (key_rule_find_run(san->rule, &name, run))
        return 0;
    if (key_rule_run_count(san->rule) >= KEY_RUNS_MAX)
        return -ENOSPC;
    int err = key_store_add_run(san->keys, &name, run);
    return err ? err : key_rule_add_run(san->rule, *run, &name, false);
}

/* The engine hears of the client in a moment; all else is for somebody to act on. */
static bool is_soon_over(int err)
{
    return err == -EAGAIN || err == -ENOENT || err == -ENOMEM;
}

struct san_asked *san_find_asked(const struct keeper_san *san, uint32_t run)
{
    struct san_asked *asked;
    LL_FOREACH(san->asked, asked)
    {
        if (asked->run == run)
            break;
    }
    return asked;
}

const char *keeper_san_why_not(const struct keeper_san *san, const struct device *device)
{
    const struct san_slot *slot = san_slot_find(san, device);
    if (!slot)
        return "the disk is not reserved";
    return slot->ours ? NULL : slot->why;
}

int keeper_san_prepare(struct keeper_san *san, uint64_t client_id, const struct device *device,
                       const char **why)
{
    uint32_t run;
    const struct san_slot *slot = device ? san_slot_find(san, device) : NULL;
    *why = device ? keeper_san_why_not(san, device) : "the disk is not reserved";
    if (*why)
        return slot && slot->passing ? -EAGAIN : -ENODEV;
    int err = give_run(san, client_id, &run);
    if (!err && !san_find_asked(san, run))
        return 0;
    *why = !err             ? "the client's machine is shared with a client that is being fenced"
           : err == -ENOENT ? "the client is not known to the layout engine"
           : err == -ENOSPC ? "too many clients went without a word; when each of them was "
                              "restarted, or cut off, say sealctl forget-holders"
                            : "no reservation key can be kept";
    return !err ? -EBUSY : is_soon_over(err) ? -EAGAIN : err;
}

static size_t disks_of(const struct device *device, struct designator disks[DEVICE_BASES_MAX])
{
    const struct device_volume *volume = device_volume(device);
    for (uint32_t i = 0; i < volume->base_count; i++)
        disks[i] = volume->base[i].designator;
    return volume->base_count;
}

static int tell(struct keeper_san *san, uint32_t run, const struct device *device, uint64_t *key)
{
    struct designator disks[DEVICE_BASES_MAX];
    size_t count = disks_of(device, disks);
    uint32_t number;
    int err = key_store_number(san->keys, &number);
    if (!err)
        err = key_rule_tell(san->rule, run, number, disks, count);
    if (!err)
        *key = reservation_key(key_store_server(san->keys), number);
    return err;
}

/* Without memory nobody hears that it was seen, which is to be on the safe side. */
static void note_told(struct keeper_san *san, uint32_t run, uint64_t client_id,
                      const struct device *device, uint64_t key)
{
    struct san_told *told;
    LL_FOREACH(san->told, told)
    {
        if (told->run == run && memcmp(told->device, device_id(device), DEVICE_ID_SIZE) == 0)
            break;
    }
    if (!told && (told = calloc(1, sizeof *told)))
        LL_PREPEND(san->told, told);
    if (!told)
        return;
    told->run = run;
    told->client_id = client_id;
    told->number = reservation_key_number(key);
    memcpy(told->device, device_id(device), DEVICE_ID_SIZE);
}

/* The telling is over on no disk, and outstanding on none. */
static bool is_seen(const struct san_slot *slot, const struct san_told *told, bool *over)
{
    struct designator disks[DEVICE_BASES_MAX];
    size_t count = disks_of(slot->device, disks);
    bool seen = true;
    *over = false;
    for (size_t i = 0; i < count; i++) {
        enum key_state state =
            key_rule_telling(slot->san->rule, told->run, told->number, &disks[i]);
        seen = seen && state == KEY_SEEN;
        *over = *over || state == 0;
    }
    return seen;
}

void san_tell_seen(struct san_slot *slot)
{
    struct keeper_san *san = slot->san;
    struct san_told *told, *next;
    LL_FOREACH_SAFE(san->told, told, next)
    {
        bool over, seen;
        if (memcmp(told->device, device_id(slot->device), DEVICE_ID_SIZE) != 0)
            continue;
        seen = is_seen(slot, told, &over);
        if (!seen && !over)
            continue;
        LL_DELETE(san->told, told);
        if (seen && san->calls.nexus_seen)
            san->calls.nexus_seen(san->calls.arg, told->client_id, told->device);
        free(told);
    }
}

void keeper_san_shaken(struct keeper_san *san, uint64_t client_id)
{
    struct san_told *told, *next;
    LL_FOREACH_SAFE(san->told, told, next)
    {
        if (told->client_id != client_id)
            continue;
        LL_DELETE(san->told, told);
        free(told);
    }
}

static nfsstat4 refuse(const struct keeper_san *san, uint32_t run, enum key_may may,
                       const struct device *device)
{
    char name[SAN_NAME_MAX];
    if (may == KEY_MAY_LATER)
        return NFS4ERR_DELAY;
    log_warning("%s is told of no key for %s and reads and writes through the server: %s",
                san_run_text(san, run, name), device_volume_path(device),
                may == KEY_MAY_NOT
                    ? "it, or a client on its machine, was fenced, and commands of before may "
                      "still be queued there; have the fenced client unmount, or when it cannot "
                      "have any left say sealctl forget-holders"
                    : "it was told of several and registers none; does it see the disk?");
    return NFS4ERR_NOENT;
}

/* Linux repeats a DELAY for ever. */
static nfsstat4 cannot_tell(const struct keeper_san *san, uint32_t run, const struct device *device,
                            int err)
{
    char name[SAN_NAME_MAX];
    if (is_soon_over(err))
        return NFS4ERR_DELAY;
    log_some_errors("%s is told of no key for %s and reads and writes through the server: keys.db "
                    "cannot be written, or has no number left: %s",
                    san_run_text(san, run, name), device_volume_path(device), strerror(-err));
    return NFS4ERR_NOENT;
}

nfsstat4 keeper_san_key(struct keeper_san *san, uint64_t client_id, const struct device *device,
                        uint64_t *key)
{
    const struct san_slot *slot = san_slot_find(san, device);
    struct designator disks[DEVICE_BASES_MAX];
    size_t count = disks_of(device, disks);
    uint32_t run;
    if (!slot || engine_client_was_fenced(san->calls.engine, client_id))
        return NFS4ERR_NOENT;
    int err = slot->ours ? give_run(san, client_id, &run) : slot->passing ? -EAGAIN : -ENODEV;
    if (err && !is_soon_over(err))
        return NFS4ERR_NOENT;
    if (err || san_is_being_fenced(san, run))
        return NFS4ERR_DELAY;
    if (san_find_asked(san, run)) /* for longer than an application should wait */
        return NFS4ERR_NOENT;
    san_set_time(san);
    enum key_may may = key_rule_may_tell(san->rule, run, disks, count);
    if (may != KEY_MAY)
        return refuse(san, run, may, device);
    err = tell(san, run, device, key);
    if (err)
        return cannot_tell(san, run, device, err);
    note_told(san, run, client_id, device, *key);
    if (!evtimer_pending(san->soon, NULL)) /* else the next of the usual looks sees it */
        (void)evtimer_add(san->soon, &(struct timeval){.tv_usec = LOOK_SOON_US});
    return NFS4_OK;
}

void keeper_san_forgot(struct keeper_san *san, const struct key_run *name)
{
    uint32_t run;
    if (!san->rule || !key_rule_find_run(san->rule, name, &run))
        return;
    san_set_time(san);
    key_rule_forgot(san->rule, run);
}

void keeper_san_forgive(struct keeper_san *san, const uint8_t fs_uuid[DEVICE_UUID_SIZE])
{
    struct san_slot *slot;
    if (!san->rule)
        return;
    LL_FOREACH(san->slots, slot)
    {
        struct designator disks[DEVICE_BASES_MAX];
        size_t count = disks_of(slot->device, disks);
        if (memcmp(device_fs_uuid(slot->device), fs_uuid, DEVICE_UUID_SIZE) != 0)
            continue;
        slot->forgets = false;
        for (size_t i = 0; i < count; i++)
            if (key_rule_forgive(san->rule, &disks[i], may_be_here, san) ||
                key_store_note_disk(san->keys, &disks[i],
                                    &(struct key_store_disk){.generation = slot->generation[i]}))
                log_error("the word on fenced clients of %s could not be written down; say it "
                          "again",
                          device_volume_path(slot->device));
    }
}

struct san_farewell {
    struct key_run run;
    uint8_t owner[];
};

struct san_farewell *keeper_san_farewell_begin(struct keeper_san *san, uint64_t client_id)
{
    struct key_run name;
    if (!san->rule || !name_client(san, client_id, &name))
        return NULL;
    struct san_farewell *farewell = malloc(sizeof *farewell + name.owner_len);
    if (!farewell)
        return NULL; /* it is kept as one that went without a word */
    memcpy(farewell->owner, name.owner, name.owner_len);
    farewell->run = name;
    farewell->run.owner = farewell->owner;
    return farewell;
}

/* The same run may begin anew at once, and is to have other keys then. */
void keeper_san_farewell_end(struct keeper_san *san, struct san_farewell *farewell)
{
    uint32_t run;
    if (farewell && !search_engine(san, &farewell->run).found &&
        key_rule_find_run(san->rule, &farewell->run, &run))
        (void)key_rule_end_run(san->rule, run);
    free(farewell);
}
