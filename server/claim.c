/* claim.c - see claim.h. */
#include "server/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/database.h"
#include "layout/device/device.h"
#include "layout/journal/journal.h"
#include "layout/refusal.h"
#include "layout/reservation/reservation.h"
#include "server/base/log.h"
#include "server/base/node.h"
#include "server/base/node_record.h"
#include "server/config/config.h"
#include "server/export/export.h"

static void say_record(const struct config *config, int err, FILE *errors)
{
    char text[512];
    if (err == -EUCLEAN)
        snprintf(text, sizeof text,
                 "%s/nodes, which says which machines have served from there, cannot be "
                 "understood; put it back from a copy. If this is the only machine that ever "
                 "did, or all others are switched off, remove it",
                 config->state_dir);
    else
        snprintf(text, sizeof text, "%s/nodes cannot be read: %s", config->state_dir,
                 strerror(-err));
    if (errors)
        fprintf(errors, "sealnfsd: %s\n", text);
    else
        log_error("%s", text);
}

int claim_open(const struct config *config, struct node_record **out)
{
    int err = node_record_open(config->state_dir, config->node, out);
    if (err)
        say_record(config, err, NULL);
    return err;
}

/* ---- disks ---- */

struct claim {
    const struct config *config;
    bool take_over;
    bool all; /* every disk has to be shown to be ours; else those that have a reservation */
    uint64_t own;
};

static int refuse_disk(const struct claim *claim, const char *path, int err, uint64_t holder)
{
    if (err == -EBUSY && reservation_key_is_node(holder) && !claim->take_over)
        log_error("%s is held by another node (key 0x%016" PRIx64
                  "): this machine, \"%s\", was fenced, or never had it. If the other one is to "
                  "serve no more, start with --take-over",
                  path, holder, claim->config->node);
    else if (err == -EBUSY && node_has_taken())
        log_error("%s: this machine, \"%s\", was fenced: it had taken the disks, and may have "
                  "their file systems mounted since; now it is held by key 0x%016" PRIx64
                  ". Restart the machine",
                  path, claim->config->node, holder);
    else if (err == -EBUSY)
        log_error("%s: the other node's key is not seen to be gone (the disk is held by key "
                  "0x%016" PRIx64 "); see sg_persist --in --full-status, and start again",
                  path, holder);
    else
        log_error("%s: whether another node can write to it cannot be told: %s; mend the path to "
                  "the disk and start again",
                  path, strerror(-err));
    return -EKEYREVOKED;
}

/* Who holds it, where that is no node, is for the keeper to see: it gives no layouts then. */
static int look_at_disk(const struct claim *claim, const struct reservation_ops *ops, int fd,
                        struct reservation_view *view)
{
    int err = ops->read(fd, view);
    const bool foreign = !err && view->held && view->holder_key != claim->own &&
                         reservation_key_is_node(view->holder_key);
    return foreign ? -EBUSY : err;
}

/* What was mounted before a fence is no reason to register again (node_taken_file()). A disk that
 * is nobody's is one that ocf:sealnfs:disks was not told of. */
static int take_disk(const struct claim *claim, const struct reservation_ops *ops, int fd,
                     struct reservation_view *view, unsigned *expelled)
{
    int err = node_has_taken() ? reservation_hold(ops, fd, claim->own, view, expelled) : -ENOENT;
    if (err == -ENOENT || (err == -EBUSY && !view->held))
        err = reservation_take_over(ops, fd, claim->own, view, expelled);
    return err;
}

/* One that does not answer serves nobody, and the keeper ends the process when it says that it is
 * another node's. */
static bool may_be_silent(const struct claim *claim, const char *path, int err)
{
    if (claim->take_over || err == -EBUSY)
        return false;
    log_warning("%s does not say whether another node has it: %s", path, strerror(-err));
    return true;
}

static int claim_disk(const struct claim *claim, const struct device *device, uint32_t i)
{
    const struct reservation_ops *ops;
    const char *path = device_volume(device)->base[i].path;
    unsigned expelled = 0;
    int fd;
    struct reservation_view *view = calloc(1, sizeof *view);
    if (!view)
        return -ENOMEM;
    int err = device_open_disk(device, i, true, &fd);
    if (!err) {
        err = reservation_of(fd, &ops);
        if (!err && claim->take_over)
            err = take_disk(claim, ops, fd, view, &expelled);
        else if (!err)
            err = look_at_disk(claim, ops, fd, view);
        close(fd);
    }
    if (err && may_be_silent(claim, path, err))
        err = 0;
    else if (err)
        err = refuse_disk(claim, path, err, view->held ? view->holder_key : 0);
    else if (expelled)
        log_warning("%s: the key of the node that had it was preempted, and is seen gone", path);
    free(view);
    return err;
}

static int claim_device(const struct claim *claim, const struct device *device, const char *of)
{
    int err = 0;
    if (!device_is_reserved(device) && claim->all) {
        log_error("%s is on %s, which has no persistent reservations, so that another node cannot "
                  "be shown to be off it. Switch that node off, say so (sealctl node-fenced), and "
                  "start again",
                  of, device_volume_path(device));
        return -EKEYREVOKED;
    }
    for (uint32_t i = 0;
         !err && device_is_reserved(device) && i < device_volume(device)->base_count; i++)
        err = claim_disk(claim, device, i);
    return err;
}

static int claim_export(const struct claim *claim, const struct export *export)
{
    const char *path = export_config(export)->path;
    const struct device *device = export_is_away(export) ? NULL : export_device(export);
    if (device)
        return claim_device(claim, device, path);
    if (!claim->all)
        return 0;
    log_error("%s: %s, so that another node cannot be shown to be off its disk. %s, or switch that "
              "node off and say so (sealctl node-fenced), and start again",
              path,
              export_is_away(export) ? "its file system is not there" : "its disk is not known",
              export_is_away(export) ? "Mount it" : "See sealctl explain");
    return -EKEYREVOKED;
}

/* The journal is as much of what must not be written by two. */
static int claim_state_disk(const struct claim *claim)
{
    const char *path = claim->config->state_dir;
    struct seal_refusal why = {.text = ""};
    struct device *device;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = device_find(fd, &device, &why);
    close(fd);
    if (err) {
        log_error("%s, the state directory: its disk is not known (%s), so that another node "
                  "cannot be shown to be off it. Switch that node off, say so (sealctl "
                  "node-fenced), and start again",
                  path, why.text);
        return -EKEYREVOKED;
    }
    if (device_can_reserve(device))
        device_set_reserved(device);
    err = claim_device(claim, device, path);
    device_free(device);
    return err;
}

static int claim_disks(const struct claim *claim, const struct export_table *exports)
{
    int err = 0;
    for (unsigned i = 0; !err && i < export_count(exports); i++)
        err = claim_export(claim, export_at(exports, i));
    if (!err && claim->all)
        err = claim_state_disk(claim);
    if (err && err != -EKEYREVOKED)
        log_error("whether another node has the disks cannot be found out: %s; start again",
                  strerror(-err));
    return err;
}

/* ---- the record ---- */

static int refuse_other(const struct config *config, const struct node_entry *other)
{
    log_error("%s was last used by node \"%s\" (boot %s), which is not on record as fenced, and "
              "may be writing still; this is node \"%s\". Fence it and start with --take-over, "
              "which cuts it off from the disks and sees that; or switch it off and say: sealctl "
              "node-fenced --yes %s",
              config->state_dir, other->name, other->boot, config->node, other->name);
    return -EKEYREVOKED;
}

/* The record is gone, and what it was kept beside is not. */
static bool is_record_lost(const struct config *config, uint64_t own, uint64_t *key)
{
    char path[DATABASE_PATH_MAX];
    if (snprintf(path, sizeof path, "%s/journal.db", config->state_dir) >= (int)sizeof path)
        return false; /* nor will it be opened */
    /* A damaged one is judged when it is opened. */
    return journal_last_node(path, key) == 0 && *key != 0 && *key != own;
}

static int refuse_lost(const struct config *config, uint64_t key)
{
    log_error("%s/nodes is missing, and the journal there was last used by another node (key "
              "0x%016" PRIx64 "), not by this one, \"%s\". Put it back from a copy, or start with "
              "--take-over; where that cannot cut the other one off, switch it off and serve from "
              "its name (node = ...) once",
              config->state_dir, key, config->node);
    return -EKEYREVOKED;
}

static int note_cut(const struct config *config, struct node_record *record)
{
    const struct node_entry *other;
    char by[NODE_BY_SIZE];
    int err = 0;
    snprintf(by, sizeof by, "sealnfsd --take-over on %s", config->node);
    while (!err && (other = node_record_other(record))) {
        log_warning("node \"%s\" is off every disk: this one, \"%s\", takes over what it served",
                    other->name, config->node);
        err = node_record_fenced(record, other->name, NODE_CUT, by);
    }
    return err;
}

static int write_record(const struct config *config, struct node_record *record, bool cut)
{
    int err = cut ? note_cut(config, record) : 0;
    if (!err)
        err = node_record_take(record);
    if (err)
        log_error("%s/nodes cannot be written: %s; see that there is room, and start again",
                  config->state_dir, strerror(-err));
    return err;
}

int claim_state(const struct config *config, const struct export_table *exports, bool take_over,
                struct node_record *record)
{
    const struct node_entry *other = node_record_other(record);
    struct claim claim = {
        .config = config, .take_over = take_over, .own = reservation_node_key(config->node)};
    uint64_t key;
    const bool lost = node_record_is_new(record) && is_record_lost(config, claim.own, &key);
    int err = lost && !take_over ? refuse_lost(config, key) : 0;
    claim.all = take_over && (other || lost);
    if (!err && other && !take_over)
        err = refuse_other(config, other);
    if (!err)
        err = claim_disks(&claim, exports);
    return err ? err : write_record(config, record, other != NULL);
}

int claim_note_fenced(const struct config *config, const char *node, const char *who, FILE *errors,
                      FILE *out)
{
    struct node_record *record;
    int err = node_record_open(config->state_dir, config->node, &record);
    if (err) {
        say_record(config, err, errors);
        return err;
    }
    if (strcmp(node, config->node) == 0)
        err = -EINVAL;
    if (!err)
        err = node_record_fenced(record, node, NODE_OFF, who);
    if (err == -EINVAL)
        fprintf(errors, "sealnfsd: \"%s\" is this machine; say it on another one\n", node);
    else if (err == -ENOENT)
        fprintf(errors, "sealnfsd: no node \"%s\" has served from %s; see %s/nodes\n", node,
                config->state_dir, config->state_dir);
    else if (err)
        fprintf(errors, "sealnfsd: %s/nodes cannot be written: %s\n", config->state_dir,
                strerror(-err));
    else
        fprintf(out, "node \"%s\" is on record as off, by %s; it counts from the next start\n",
                node, who);
    node_record_close(record);
    return err;
}
