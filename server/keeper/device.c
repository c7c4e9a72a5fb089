/*
 * device.c - devices while they are in use: every export's is looked for again from time to
 * time, and what has changed is told to the engine, to the exports, and through CB_NOTIFY_DEVICEID
 * to clients. Looking reads disks, so it is done by a worker; all else is on the keeper's thread.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "layout/container_of.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/keeper/private.h"
#include "server/keeper/san/san.h"

/* At the device of one export: a disk that hangs keeps nobody from looking at the others. */
struct device_look {
    struct work work;
    struct loop_msg home;
    struct keeper *keeper;
    bool under_way;
    struct export *export;
    struct device *device; /* found; NULL: why */
    struct seal_refusal why;
    uint64_t ambiguous_since; /* by its signature, at every look since; 0: not at the last */
    bool unread; /* in doubt as long as what it remembers of the journal cannot be read */
    int mark_error;
    struct watermark mark;
};

struct keeper_looks {
    unsigned count, seen; /* of the exports, those that have layouts or not */
    struct device_look look[];
};

static void find_device(struct work *item)
{
    struct device_look *look = container_of(item, struct device_look, work);
    look->device = NULL;
    look->why = (struct seal_refusal){.text = ""};
    export_find_device(look->export, &look->device, &look->why);
    if (look->unread)
        look->mark_error =
            watermark_read(export_root_fd(look->export), export_fs_uuid(look->export), &look->mark);
    jobs_come_home(&look->keeper->jobs, &look->home);
}

static void see(struct keeper *keeper, struct device *device)
{
    keeper_san_see(keeper->san, device);
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_DEVICE, .device = device});
}

/* Not when it merely could not be looked at: then what was described last still stands. */
static void lose_device(struct keeper *keeper, const struct export *export, const char *why)
{
    keeper_feed(keeper, &(struct engine_event){
                            .type = ENGINE_EV_UNDESCRIBED,
                            .undescribed = {.fs_uuid = export_fs_uuid(export), .why = why}});
}

/* The old place of a volume that was moved between two looks, or a copy, is as good as the volume
 * to a client. Once is not enough, nor twice in a moment: a path of a multipath device looks so
 * until it is claimed. */
static bool is_lost(struct device_look *found)
{
    const uint64_t now = loop_now_ns(), wait = SECONDS(found->keeper->config->device_interval) / 2;
    if (found->why.definite)
        return true;
    if (found->why.code != SEAL_REFUSED_SIGNATURE)
        found->ambiguous_since = 0;
    else if (found->ambiguous_since == 0)
        found->ambiguous_since = now;
    else
        return now - found->ambiguous_since >= wait;
    return false;
}

static void take_found(struct keeper *keeper, struct device_look *found)
{
    const char *why = NULL, *name = export_config(found->export)->pseudo;
    const bool had = export_has_layouts(found->export, &why);
    if (!found->device) {
        if (had || strcmp(why, found->why.text) != 0)
            log_warning("export %s: no more layouts are given: %s", name, found->why.text);
        if (export_set_no_device(found->export, &found->why))
            log_error("out of memory: export %s still gives layouts", name);
        if (is_lost(found))
            lose_device(keeper, found->export, found->why.text);
        return;
    }
    const struct device *before = export_device(found->export);
    found->ambiguous_since = 0;
    see(keeper, found->device);
    if (had && before && device_same(before, found->device))
        return;
    if (export_set_device(found->export, found->device))
        log_error("out of memory: export %s keeps the device it had", name);
    else if (!had)
        log_info("export %s: layouts are given again", name);
}

/* Of any export of the same file system. */
static bool is_unread_elsewhere(const struct keeper_looks *looks, const struct export *export)
{
    for (unsigned i = 0; i < looks->count; i++) {
        const struct device_look *other = &looks->look[i];
        if (other->unread &&
            memcmp(export_fs_uuid(other->export), export_fs_uuid(export), FILE_KEY_UUID_SIZE) == 0)
            return true;
    }
    return false;
}

/* A contradiction is for the next start to judge: till then it stays in doubt. */
static void take_mark(struct keeper *keeper, struct device_look *look)
{
    const char *name = export_config(look->export)->path;
    bool passing;
    if (!look->unread || (look->mark_error && look->mark_error != -ENODATA))
        return;
    const char *why = keeper_contradiction(keeper, look->mark_error, &look->mark, &passing);
    look->unread = false;
    if (why) {
        log_error("export %s: %s: restart sealnfsd", name, why);
        return;
    }
    if (is_unread_elsewhere(keeper->looks, look->export))
        return;
    log_info("export %s: what the file system remembers of its journal can be read, and agrees "
             "with it: seals there are granted and released again",
             name);
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_DOUBT_PASSED,
                                               .doubt_passed = export_fs_uuid(look->export)});
}

static void plan_looks(struct keeper *keeper)
{
    struct timeval wait = {.tv_sec = keeper->config->device_interval};
    evtimer_add(keeper->look_timer, &wait);
}

static void come_home(struct loop_msg *msg)
{
    struct device_look *look = container_of(msg, struct device_look, home);
    take_found(look->keeper, look);
    take_mark(look->keeper, look);
    device_free(look->device);
    look->device = NULL;
    look->under_way = false;
    keeper_notify_all_due(look->keeper);
}

static void start_look(struct device_look *look)
{
    if (look->under_way || export_is_away(look->export))
        return;
    look->under_way = true;
    look->work.key = export_work_key(look->export);
    jobs_submit(&look->keeper->jobs, &look->work);
}

void keeper_devices_look(struct keeper *keeper)
{
    for (unsigned i = 0; i < keeper->looks->count; i++)
        start_look(&keeper->looks->look[i]);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct keeper *keeper = arg;
    (void)fd;
    (void)what;
    keeper_devices_look(keeper);
    plan_looks(keeper);
}

void keeper_device_look(struct keeper *keeper, const struct export *export)
{
    for (unsigned i = 0; i < keeper->looks->count; i++)
        if (keeper->looks->look[i].export == export)
            start_look(&keeper->looks->look[i]);
}

static void make_look(struct keeper *keeper, struct export *export, struct device_look *look)
{
    *look = (struct device_look){.work = {.run = find_device, .key = export_work_key(export)},
                                 .home.run = come_home,
                                 .keeper = keeper,
                                 .export = export};
}

void keeper_devices_grow(struct keeper *keeper, unsigned count)
{
    struct keeper_looks *looks = keeper->looks;
    for (; looks->seen < count; looks->seen++) {
        struct export *export = export_at(keeper->exports, looks->seen);
        if (export_config(export)->layouts)
            make_look(keeper, export, &looks->look[looks->count++]);
    }
}

int keeper_devices_start(struct keeper *keeper)
{
    const unsigned room = export_room(keeper->exports);
    struct keeper_looks *looks = calloc(1, sizeof *looks + room * sizeof looks->look[0]);
    if (!looks)
        return -ENOMEM;
    const char *why = NULL;
    keeper->looks = looks;
    for (unsigned i = 0; i < export_count(keeper->exports); i++) {
        struct export *export = export_at(keeper->exports, i);
        const struct device *device = export_device(export);
        looks->seen++;
        if (!export_config(export)->layouts)
            continue;
        make_look(keeper, export, &looks->look[looks->count]);
        looks->look[looks->count++].unread = keeper->unread[i];
        if (device) /* nothing else runs yet */
            see(keeper, (struct device *)(uintptr_t)device);
        if (export_device_is_lost(export, &why))
            lose_device(keeper, export, why);
    }
    keeper->look_timer = evtimer_new(loop_base(keeper->loop), on_look, keeper);
    if (!keeper->look_timer)
        return -ENOMEM;
    plan_looks(keeper);
    return 0;
}

void keeper_devices_stop(struct keeper *keeper)
{
    if (keeper->look_timer)
        event_free(keeper->look_timer);
    for (unsigned i = 0; keeper->looks && i < keeper->looks->count; i++)
        device_free(keeper->looks->look[i].device);
    free(keeper->looks);
}
