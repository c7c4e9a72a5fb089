/*
 * See device/stack.h. A walk from the top to the disks yields runs: pieces of disks, one after the
 * other or (unit set) the members of one stripe. Linux clients map stripes of concatenations, and
 * concatenations of stripes, to wrong places, so those are refused.
 */
#include "layout/device/stack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "layout/device/dm_table.h"
#include "layout/device/sysfs_block.h"

enum { DEPTH_MAX = 8, SECTOR = 512 };

const struct device_source device_source_kernel = {.sysfs = "/sys", .table = dm_table_read};

struct run {
    uint32_t base;
    uint64_t start, length;
};

struct walk {
    const struct device_source *source;
    struct seal_refusal *why;
    uint32_t base_count;
    struct device_base base[DEVICE_BASES_MAX];
    uint64_t home[DEVICE_BASES_MAX];
    uint32_t run_count;
    struct run run[DEVICE_PIECES_MAX];
    uint64_t unit;  /* not 0: the runs are the members of a stripe */
    bool in_stripe; /* a member is being walked */
};

/* A range of a device, and where on it begins what LVM or md was given. */
struct range {
    dev_t dev;
    uint64_t start, length, home;
};

static int walk(struct walk *w, const struct range *range, unsigned depth);

/* Seen to be something else; and what could not be seen, or makes no sense just now. */
#define refuse(w, ...)                                                                             \
    be_definite(w, seal_refuse((w)->why, SEAL_REFUSED_DEVICE, EOPNOTSUPP, __VA_ARGS__))
#define unread(w, ...) seal_refuse((w)->why, SEAL_REFUSED_DEVICE, EOPNOTSUPP, __VA_ARGS__)

static int be_definite(struct walk *w, int err)
{
    if (w->why)
        w->why->definite = true;
    return err;
}

static int too_many(struct walk *w, const char *node)
{
    return refuse(w, "%s is made of more than %d disks or %d pieces; clients take no more", node,
                  DEVICE_BASES_MAX, DEVICE_PIECES_MAX);
}

static int find_base(struct walk *w, const struct sysfs_block *disk, uint64_t home, uint32_t *out)
{
    uint32_t i = 0;

    while (i < w->base_count && w->base[i].dev != disk->dev)
        i++;
    if (i == DEVICE_BASES_MAX)
        return too_many(w, disk->node);
    if (i == w->base_count) {
        w->base[i] = (struct device_base){.dev = disk->dev, .size = disk->size};
        (void)snprintf(w->base[i].path, sizeof(w->base[i].path), "%s", disk->node);
        w->home[i] = home;
        w->base_count++;
    }
    *out = i;
    return 0;
}

/* What follows the run before it is one with it; members of a stripe are kept apart. */
static int add_run(struct walk *w, const struct sysfs_block *disk, const struct range *range)
{
    struct run *last = w->run_count ? &w->run[w->run_count - 1] : NULL;
    uint32_t base = 0;
    int err;

    if (range->start > disk->size || range->length > disk->size - range->start)
        return unread(w, "%s is too small for what lies on it", disk->node);
    if (w->unit && !w->in_stripe)
        return refuse(
            w,
            "a stripe with something behind it (up to %s): Linux clients map that to wrong places; "
            "make the volume of one stripe",
            disk->node);
    err = find_base(w, disk, range->home, &base);
    if (err)
        return err;
    if (last && !w->in_stripe && last->base == base && last->start + last->length == range->start) {
        last->length += range->length;
        return 0;
    }
    if (w->run_count == DEVICE_PIECES_MAX)
        return too_many(w, disk->node);
    w->run[w->run_count++] = (struct run){base, range->start, range->length};
    return 0;
}

static int begin_stripe(struct walk *w, const char *node, uint64_t unit)
{
    if (w->run_count || w->unit || w->in_stripe)
        return refuse(w,
                      "%s is a stripe below or behind something else: Linux clients map that to "
                      "wrong places; "
                      "make the volume of one stripe",
                      node);
    if (unit == 0 || unit % SECTOR != 0)
        return refuse(w, "%s is striped in units of %" PRIu64 " bytes", node, unit);
    w->unit = unit;
    w->in_stripe = true;
    return 0;
}

/* One member: it has to come out as one piece of one disk. */
static int add_member(struct walk *w, const char *node, const struct range *member, unsigned depth)
{
    const uint32_t before = w->run_count;
    int err = walk(w, member, depth + 1);

    if (!err && w->run_count != before + 1)
        err = refuse(
            w,
            "a member of the stripe %s is not in one piece: Linux clients map that to wrong places",
            node);
    return err;
}

/* ---- device mapper ---- */

struct target {
    uint64_t start, length;
    char type[32];
    char *rest;
};

/* What is in the way of other targets. */
static const char *why_not(const char *type)
{
    static const struct {
        const char *type, *text;
    } reasons[] = {
        {"thin", "a thin volume, whose blocks the pool places and may share with snapshots"},
        {"thin-pool", "a thin pool"},
        {"snapshot", "a snapshot, whose blocks are elsewhere until they are written"},
        {"snapshot-origin", "the origin of a snapshot: each write has to be copied first"},
        {"snapshot-merge", "a snapshot that is being merged"},
        {"crypt", "encrypted: clients would read and write what is not the data"},
        {"integrity", "kept with checksums that a client's writes would not update"},
        {"verity", "kept with checksums"},
        {"cache", "cached: the newest data may be on another disk"},
        {"writecache", "cached: the newest data may be on another disk"},
        {"mirror", "mirrored: a client's writes would reach one copy (is a pvmove under way?)"},
        {"raid", "a raid: a client's writes would not update copies and parity"},
        {"vdo", "deduplicated or compressed"},
        {"zero", "no storage at all"},
        {"error", "no storage at all"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (strcmp(reasons[i].type, type) == 0)
            return reasons[i].text;
    return "something that clients cannot be told of";
}

static int refuse_target(struct walk *w, const struct sysfs_block *b, const char *type)
{
    return refuse(
        w,
        "%s (%s) is %s (device-mapper target %s); layouts need a file system on a disk, a "
        "partition, or a linear or striped volume",
        b->node, b->stacked, why_not(type), type);
}

static int parse_dev(const char *text, dev_t *dev)
{
    unsigned int major_no;
    unsigned int minor_no;

    if (sscanf(text, "%u:%u", &major_no, &minor_no) != 2)
        return -EINVAL;
    *dev = makedev(major_no, minor_no);
    return 0;
}

static int parse_sectors(const char *text, uint64_t *bytes)
{
    char *end;
    unsigned long long value;

    if (!text)
        return -EINVAL;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno || end == text || *end || value > INT64_MAX / SECTOR)
        return -EINVAL;
    *bytes = (uint64_t)value * SECTOR;
    return 0;
}

static int parse_target(char *line, struct target *target)
{
    int at = 0;
    unsigned long long start;
    unsigned long long length;

    if (sscanf(line, "%llu %llu %31s %n", &start, &length, target->type, &at) != 3 || at == 0 ||
        start > INT64_MAX / SECTOR || length == 0 || length > INT64_MAX / SECTOR - start)
        return -EINVAL;
    target->start = start * SECTOR;
    target->length = length * SECTOR;
    target->rest = line + at;
    return 0;
}

/* The range's part that lies on the target. */
static int walk_linear(struct walk *w, const struct sysfs_block *b, const struct target *target,
                       const struct range *part, unsigned depth)
{
    char *save;
    const char *name = strtok_r(target->rest, " ", &save);
    struct range below = {.length = part->length};
    uint64_t offset;

    if (!name || parse_dev(name, &below.dev) != 0 ||
        parse_sectors(strtok_r(NULL, " ", &save), &offset) != 0 ||
        offset > INT64_MAX - target->length)
        return unread(w, "%s: device-mapper says \"linear %s\", which makes no sense", b->node,
                      target->rest);
    below.start = offset + (part->start - target->start);
    if (b->partition_map) /* by kpartx: as a partition */
        below.home = part->home + offset;
    return walk(w, &below, depth + 1);
}

static int walk_striped(struct walk *w, const struct sysfs_block *b, const struct target *target,
                        const struct range *part, unsigned depth)
{
    char *save;
    const char *word = strtok_r(target->rest, " ", &save);
    unsigned long count = word ? strtoul(word, NULL, 10) : 0;
    uint64_t unit;
    int err = 0;

    if (count == 0 || count > DEVICE_PIECES_MAX ||
        parse_sectors(strtok_r(NULL, " ", &save), &unit) != 0 || target->length % count != 0)
        return refuse(
            w, "%s: device-mapper says striped with %lu members, which clients cannot be told",
            b->node, count);
    if (part->start != target->start || part->length != target->length)
        return refuse(w, "%s is a stripe of which only a part is used: clients cannot be told",
                      b->node);
    err = begin_stripe(w, b->node, unit);
    for (unsigned long i = 0; !err && i < count; i++) {
        struct range member = {.length = target->length / count};

        word = strtok_r(NULL, " ", &save);
        if (!word || parse_dev(word, &member.dev) != 0 ||
            parse_sectors(strtok_r(NULL, " ", &save), &member.start) != 0)
            return unread(w, "%s: device-mapper's table makes no sense", b->node);
        err = add_member(w, b->node, &member, depth);
    }
    w->in_stripe = false;
    return err;
}

static int walk_target(struct walk *w, const struct sysfs_block *b, const struct target *target,
                       const struct range *range, unsigned depth)
{
    struct range part = *range;
    const uint64_t end = range->start + range->length;

    if (strcmp(target->type, "multipath") == 0)
        return add_run(w, b, range);
    if (strcmp(target->type, "linear") != 0 && strcmp(target->type, "striped") != 0)
        return refuse_target(w, b, target->type);
    part.start = range->start > target->start ? range->start : target->start;
    part.length =
        (end < target->start + target->length ? end : target->start + target->length) - part.start;
    return target->type[0] == 'l' ? walk_linear(w, b, target, &part, depth)
                                  : walk_striped(w, b, target, &part, depth);
}

static int walk_table(struct walk *w, const struct sysfs_block *b, char *text,
                      const struct range *range, unsigned depth)
{
    const uint64_t end = range->start + range->length;
    uint64_t at = range->start;
    char *save;
    int err = 0;

    for (char *line = strtok_r(text, "\n", &save); line && !err;
         line = strtok_r(NULL, "\n", &save)) {
        struct target target;

        if (parse_target(line, &target) != 0)
            return unread(w, "%s: device-mapper's table makes no sense", b->node);
        if (target.start >= end || target.start + target.length <= range->start)
            continue;
        if (target.start > at)
            break;
        err = walk_target(w, b, &target, range, depth);
        at = target.start + target.length;
    }
    if (!err && at < end)
        err = unread(w, "%s has no table, or one with holes", b->node);
    return err;
}

static int walk_dm(struct walk *w, const struct sysfs_block *b, const struct range *range,
                   unsigned depth)
{
    char *text = malloc(DM_TABLE_TEXT_MAX);
    int err = text ? w->source->table(b->dev, text, DM_TABLE_TEXT_MAX) : -ENOMEM;

    if (err == -EACCES)
        err = unread(w,
                     "%s (%s): its device-mapper table cannot be read without CAP_SYS_ADMIN, which "
                     "the systemd "
                     "unit gives",
                     b->node, b->stacked);
    else if (err)
        err = seal_refuse(w->why, SEAL_REFUSED_DEVICE, -err,
                          "%s (%s): its device-mapper table cannot be read: %s", b->node,
                          b->stacked, strerror(-err));
    else
        err = walk_table(w, b, text, range, depth);
    free(text);
    return err;
}

/* ---- md ---- */

static int walk_md(struct walk *w, const struct sysfs_block *b, const struct range *range,
                   unsigned depth)
{
    struct sysfs_md_member member[DEVICE_PIECES_MAX];
    struct sysfs_md md = {.member = member, .room = DEVICE_PIECES_MAX};
    int err;

    if (strcmp(b->md_level, "raid0") != 0)
        return refuse(
            w,
            "%s is an md %s array: a client's writes would not update copies and parity; layouts "
            "need a "
            "file system on a disk, a partition, or a linear or striped volume (md raid0)",
            b->node, b->md_level);
    err = sysfs_md_read(w->source->sysfs, b->dev, &md);
    if (err)
        return unread(w, "%s: what /sys says of the md array makes no sense (%s)", b->node,
                      strerror(-err));
    if (md.chunk == 0 || range->start != 0 || range->length > b->size)
        return refuse(w, "%s is a stripe of which only a part is used: clients cannot be told",
                      b->node);
    err = begin_stripe(w, b->node, md.chunk);
    for (unsigned i = 0; !err && i < md.count; i++) {
        struct range part = {member[i].dev, member[i].offset,
                             member[i].size - member[i].size % md.chunk, 0};

        if (member[i].size / md.chunk != member[0].size / md.chunk)
            return refuse(w,
                          "%s has members of different sizes: its end is striped in another way "
                          "than its start",
                          b->node);
        err = add_member(w, b->node, &part, depth);
    }
    w->in_stripe = false;
    return err;
}

/* ---- the walk ---- */

static int walk(struct walk *w, const struct range *range, unsigned depth)
{
    struct sysfs_block b;
    struct range below = *range;
    int err = sysfs_block_read(w->source->sysfs, range->dev, &b);

    if (err)
        return seal_refuse(
            w->why, SEAL_REFUSED_DEVICE, -err,
            "the device %u:%u is not in /sys/dev/block: it is not a block device that clients "
            "could share",
            major(range->dev), minor(range->dev));
    if (depth > DEPTH_MAX)
        return refuse(w, "%s is stacked more than %d deep", b.node, DEPTH_MAX);
    if (range->length > b.size || range->start > b.size - range->length)
        return unread(w, "%s is smaller than what lies on it", b.node);
    if (b.partition) {
        below.dev = b.parent;
        below.start += b.start;
        below.home += b.start;
        return walk(w, &below, depth + 1);
    }
    if (b.dm)
        return walk_dm(w, &b, range, depth);
    if (b.md_level[0])
        return walk_md(w, &b, range, depth);
    if (b.stacked[0])
        return refuse(w, "%s is a %s: clients cannot be told what it is made of", b.node,
                      b.stacked);
    return add_run(w, &b, range);
}

static int build(const struct walk *w, struct device_stack *stack)
{
    struct device_volume *v = &stack->volume;
    uint32_t node[DEVICE_BASES_MAX];
    uint32_t piece[DEVICE_PIECES_MAX];
    uint32_t root;
    int err = 0;

    for (uint32_t i = 0; !err && i < w->base_count; i++)
        err = device_volume_add_base(v, &w->base[i], &node[i]);
    for (uint32_t i = 0; !err && i < w->run_count; i++) {
        const struct run *run = &w->run[i];

        piece[i] = node[run->base];
        if (run->start != 0 || run->length != w->base[run->base].size)
            err = device_volume_add_slice(v, node[run->base], run->start, run->length, &piece[i]);
    }
    if (!err && w->unit)
        err = device_volume_add_stripe(v, w->unit, piece, w->run_count, &root);
    else if (!err && w->run_count > 1)
        err = device_volume_add_concat(v, piece, w->run_count, &root);
    memcpy(stack->home, w->home, sizeof(stack->home));
    return err;
}

int device_stack_read(const struct device_source *source, dev_t dev, struct device_stack *stack,
                      struct seal_refusal *why)
{
    struct walk *w = calloc(1, sizeof(*w));
    struct range whole = {.dev = dev};
    struct sysfs_block top;
    int err;

    if (!w)
        return seal_refuse_errno(why, ENOMEM, "finding the device");
    memset(stack, 0, sizeof(*stack));
    w->source = source;
    w->why = why;
    err = sysfs_block_read(source->sysfs, dev, &top);
    if (!err) {
        memcpy(stack->node, top.node, sizeof(top.node));
        whole.length = top.size;
    }
    err = walk(w, &whole, 0);
    if (!err) {
        err = build(w, stack);
        if (err)
            err = refuse(w, "%s is made of pieces that do not fit together (%s)", stack->node,
                         strerror(-err));
    }
    free(w);
    return err;
}
