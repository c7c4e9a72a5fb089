/*
 * device.c - devices while they are in use: every export's is looked for again from time to
 * time, and what has changed is told to the engine, to the exports, and through CB_NOTIFY_DEVICEID
 * to clients. Looking reads disks, so it is done by a worker; all else is on the keeper's thread.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "layout/watermark.h"
#include "server/base/container_of.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/keeper/private.h"
#include "server/keeper/san/san.h"

struct found {
    struct export *export;
    struct device *device; /* NULL: why */
    struct seal_refusal why;
    bool unread; /* in doubt as long as what it remembers of the journal cannot be read */
    int mark_error;
    struct watermark mark;
};

struct keeper_look {
    struct work work;
    struct loop_msg home;
    struct keeper *keeper;
    bool under_way;
    unsigned count;
    struct found found[];
};

static void look(struct work *item)
{
    struct keeper_look *job = container_of(item, struct keeper_look, work);
    for (unsigned i = 0; i < job->count; i++) {
        struct found *found = &job->found[i];
        found->device = NULL;
        found->why = (struct seal_refusal){.text = ""};
        export_find_device(found->export, &found->device, &found->why);
        if (found->unread)
            found->mark_error = watermark_read(export_root_fd(found->export),
                                               export_fs_uuid(found->export), &found->mark);
    }
    jobs_come_home(&job->keeper->jobs, &job->home);
}

static void see(struct keeper *keeper, struct device *device)
{
    keeper_san_see(keeper, device);
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_DEVICE, .device = device});
}

/* Not when it merely could not be looked at: then what was described last still stands. */
static void lose(struct keeper *keeper, const struct export *export, const char *why)
{
    keeper_feed(keeper, &(struct engine_event){
                            .type = ENGINE_EV_UNDESCRIBED,
                            .undescribed = {.fs_uuid = export_fs_uuid(export), .why = why}});
}

static void take(struct keeper *keeper, struct found *found)
{
    const char *why = NULL, *name = export_config(found->export)->pseudo;
    const bool had = export_has_layouts(found->export, &why);
    if (!found->device) {
        if (had || strcmp(why, found->why.text) != 0)
            log_warning("export %s: no more layouts are given: %s", name, found->why.text);
        if (export_set_no_device(found->export, &found->why))
            log_error("out of memory: export %s still gives layouts", name);
        if (found->why.definite)
            lose(keeper, found->export, found->why.text);
        return;
    }
    const struct device *before = export_device(found->export);
    see(keeper, found->device);
    if (had && before && device_same(before, found->device))
        return;
    if (export_set_device(found->export, found->device))
        log_error("out of memory: export %s keeps the device it had", name);
    else if (!had)
        log_info("export %s: layouts are given again", name);
}

/* Of any export of the same file system. */
static bool is_unread_elsewhere(const struct keeper_look *job, const struct found *found)
{
    for (unsigned i = 0; i < job->count; i++) {
        const struct found *other = &job->found[i];
        if (other->unread && memcmp(export_fs_uuid(other->export), export_fs_uuid(found->export),
                                    FILE_KEY_UUID_SIZE) == 0)
            return true;
    }
    return false;
}

/* A contradiction is for the next start to judge: till then it stays in doubt. */
static void reread(struct keeper *keeper, struct found *found)
{
    const char *name = export_config(found->export)->path;
    bool passing;
    if (!found->unread || (found->mark_error && found->mark_error != -ENODATA))
        return;
    const char *why = keeper_contradiction(keeper, found->mark_error, &found->mark, &passing);
    found->unread = false;
    if (why) {
        log_error("export %s: %s: restart sealnfsd", name, why);
        return;
    }
    if (is_unread_elsewhere(keeper->look, found))
        return;
    log_info("export %s: what the file system remembers of its journal can be read, and agrees "
             "with it: seals there are granted and released again",
             name);
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_DOUBT_PASSED,
                                               .doubt_passed = export_fs_uuid(found->export)});
}

static void plan(struct keeper_look *job)
{
    struct timeval wait = {.tv_sec = job->keeper->config->device_interval};
    evtimer_add(job->keeper->look_timer, &wait);
}

static void come_home(struct loop_msg *msg)
{
    struct keeper_look *job = container_of(msg, struct keeper_look, home);
    for (unsigned i = 0; i < job->count; i++) {
        take(job->keeper, &job->found[i]);
        reread(job->keeper, &job->found[i]);
        device_free(job->found[i].device);
        job->found[i].device = NULL;
    }
    job->under_way = false;
    keeper_notify_all_due(job->keeper);
    plan(job);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct keeper *keeper = arg;
    (void)fd;
    (void)what;
    if (keeper->look->under_way)
        return;
    keeper->look->under_way = true;
    jobs_submit(&keeper->jobs, &keeper->look->work);
}

int keeper_devices_start(struct keeper *keeper)
{
    struct export_table *exports = keeper->exports;
    struct keeper_look *job = calloc(1, sizeof *job + export_count(exports) * sizeof job->found[0]);
    if (!job)
        return -ENOMEM;
    job->keeper = keeper;
    job->work.run = look;
    job->home.run = come_home;
    keeper->look = job;
    const char *why = NULL;
    for (unsigned i = 0; i < export_count(exports); i++) {
        struct export *export = export_at(exports, i);
        const struct device *device = export_device(export);
        if (!export_config(export)->layouts)
            continue;
        job->found[job->count++] = (struct found){.export = export, .unread = keeper->unread[i]};
        if (device) /* nothing else runs yet */
            see(keeper, (struct device *)(uintptr_t)device);
        if (export_device_is_lost(export, &why))
            lose(keeper, export, why);
    }
    keeper->look_timer = evtimer_new(loop_base(keeper->loop), on_look, keeper);
    if (!keeper->look_timer)
        return -ENOMEM;
    plan(job);
    return 0;
}

void keeper_devices_stop(struct keeper *keeper)
{
    if (keeper->look_timer)
        event_free(keeper->look_timer);
    for (unsigned i = 0; keeper->look && i < keeper->look->count; i++)
        device_free(keeper->look->found[i].device);
    free(keeper->look);
}
