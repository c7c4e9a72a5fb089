/*
 * device.c - devices while they are in use: every export's is looked for again from time to
 * time, and what has changed is told to the engine, to the exports, and through CB_NOTIFY_DEVICEID
 * to clients. Looking reads disks, so it is done by a worker; all else is on the keeper's thread.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

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
        found->why.text[0] = '\0';
        export_find_device(found->export, &found->device, &found->why);
    }
    jobs_come_home(&job->keeper->jobs, &job->home);
}

static void see(struct keeper *keeper, struct device *device)
{
    keeper_san_see(keeper->san, device);
    keeper_feed(keeper, &(struct engine_event){.type = ENGINE_EV_DEVICE, .device = device});
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
    for (unsigned i = 0; i < export_count(exports); i++) {
        struct export *export = export_at(exports, i);
        const struct device *device = export_device(export);
        if (!export_config(export)->layouts)
            continue;
        job->found[job->count++].export = export;
        if (device) /* nothing else runs yet */
            see(keeper, (struct device *)(uintptr_t)device);
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
