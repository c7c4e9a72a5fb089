/* See device/sign.h. */
#include "layout/device/sign.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/device/sysfs_block.h"

struct signer {
    const struct device_source *source;
    struct device_stack *stack;
    struct seal_refusal *why;
    enum signature_fs fs;
    const uint8_t *uuid;
    uint8_t *block; /* SIGNATURE_HEAD_SIZE bytes, aligned */
};

static int open_node(const char *path, dev_t dev)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECT | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0 || !S_ISBLK(st.st_mode) || st.st_rdev != dev) {
        (void)close(fd);
        return -ENODEV;
    }
    return fd;
}

static int read_at(int fd, uint64_t at, uint8_t *block, size_t size)
{
    ssize_t n;

    do
        n = pread(fd, block, size, (off_t)at);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (size_t)n < size ? -EIO : 0;
}

/* The identity that whoever manages the disk gave it. */
static int from_manager(struct signer *s, int fd, uint64_t home, struct signature *out)
{
    int err = read_at(fd, home, s->block, SIGNATURE_HEAD_SIZE);

    if (!err)
        err = signature_from_pv(s->block, home, out);
    if (err == -EINVAL)
        err = signature_from_md(s->block, home, out);
    if (err != -EINVAL)
        return err;
    err = read_at(fd, 0, s->block, SIGNATURE_HEAD_SIZE);
    return err ? err : signature_from_table(s->block, out);
}

static int from_superblock(struct signer *s, int fd, uint64_t at, struct signature *out)
{
    int err = read_at(fd, at, s->block, SIGNATURE_SUPERBLOCK_SIZE);

    return err ? err : signature_from_superblock(s->fs, s->block, at, s->uuid, out);
}

static int sign_base(struct signer *s, uint32_t i, const struct device_place *first)
{
    struct device_base *base = &s->stack->volume.base[i];
    const bool has_superblock = first->base == i && first->length >= SIGNATURE_SUPERBLOCK_SIZE;
    char what[192];
    int fd = open_node(base->path, base->dev);
    int err = fd < 0 ? fd : 0;

    if (!err)
        err = has_superblock ? from_superblock(s, fd, first->offset, &base->signature)
                             : from_manager(s, fd, s->stack->home[i], &base->signature);
    if (fd >= 0)
        (void)close(fd);
    if (err == -EINVAL && has_superblock)
        return seal_refuse(
            s->why, SEAL_REFUSED_SIGNATURE, -err,
            "%s does not carry the superblock of the file system that is mounted from it, or has "
            "no "
            "UUID; clients could not find it (tune2fs -U or xfs_admin -U give one while unmounted)",
            base->path);
    if (err == -EINVAL)
        return seal_refuse(
            s->why, SEAL_REFUSED_SIGNATURE, -err,
            "%s has no LVM label, md superblock, GPT or MBR disk identifier by which clients could "
            "find it",
            base->path);
    (void)snprintf(what, sizeof(what), "reading the signature of %s", base->path);
    return err ? seal_refuse_errno(s->why, -err, what) : 0;
}

/* ---- no other disk may have them ---- */

static bool is_base(const struct device_volume *v, dev_t dev)
{
    for (uint32_t i = 0; i < v->base_count; i++)
        if (v->base[i].dev == dev)
            return true;
    return false;
}

/* A path of a multipath base has the same bytes because it is the same disk. */
static bool is_path_of_base(int dir, const struct device_volume *v)
{
    int fd = openat(dir, "holders", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *holders = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool found = false;

    if (!holders && fd >= 0)
        (void)close(fd);
    while (holders && !found && (entry = readdir(holders))) {
        char name[300];
        dev_t dev;

        (void)snprintf(name, sizeof(name), "holders/%s/dev", entry->d_name);
        found = entry->d_name[0] != '.' && sysfs_block_dev(dir, name, &dev) == 0 && is_base(v, dev);
    }
    if (holders)
        (void)closedir(holders);
    return found;
}

static int look_at(struct signer *s, const struct sysfs_block *disk)
{
    const struct device_volume *v = &s->stack->volume;
    int fd = open_node(disk->node, disk->dev);
    int err = 0;

    if (fd < 0) /* no medium, or not for us: then it is not taken for another here either */
        return 0;
    for (uint32_t i = 0; !err && i < v->base_count; i++)
        if (signature_verify(fd, &v->base[i].signature) == 0)
            err = seal_refuse(
                s->why, SEAL_REFUSED_SIGNATURE, EEXIST,
                "%s and %s have the same signature (is one a copy or a snapshot of the other, or "
                "the old place of a volume that was moved?): a client could write to the wrong "
                "one; give a copy a new UUID or take it away from here and from the clients, "
                "overwrite the beginning of an old place",
                v->base[i].path, disk->node);
    (void)close(fd);
    return err;
}

/* Devices on top of others are left out: what they are made of is looked at. */
static int look_at_entry(struct signer *s, int list, const char *name)
{
    struct sysfs_block disk = {.dev = 0};
    int dir = openat(list, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = 0;

    if (dir < 0)
        return 0;
    if (sysfs_block_read_dir(dir, &disk) == 0 && sysfs_block_dev(dir, "dev", &disk.dev) == 0 &&
        disk.size && !disk.stacked[0] && !is_base(&s->stack->volume, disk.dev) &&
        !is_path_of_base(dir, &s->stack->volume))
        err = look_at(s, &disk);
    (void)close(dir);
    return err;
}

static int each_other_disk(struct signer *s)
{
    char path[512];
    const struct dirent *entry;
    DIR *list;
    int err = 0;

    (void)snprintf(path, sizeof(path), "%s/block", s->source->sysfs);
    list = opendir(path);
    if (!list)
        return seal_refuse_errno(s->why, errno, "listing the disks in /sys/block");
    while (!err && (entry = readdir(list)))
        if (entry->d_name[0] != '.')
            err = look_at_entry(s, dirfd(list), entry->d_name);
    (void)closedir(list);
    return err;
}

static int bases_differ(struct signer *s)
{
    const struct device_volume *v = &s->stack->volume;

    for (uint32_t i = 0; i < v->base_count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (signature_equal(&v->base[i].signature, &v->base[k].signature))
                return seal_refuse(
                    s->why, SEAL_REFUSED_SIGNATURE, EEXIST,
                    "%s and %s have the same signature; give one of them a new identifier",
                    v->base[k].path, v->base[i].path);
    return 0;
}

int device_sign(const struct device_source *source, struct device_stack *stack,
                enum signature_fs fs, const uint8_t uuid[16], struct seal_refusal *why)
{
    struct signer s = {.source = source, .stack = stack, .why = why, .fs = fs, .uuid = uuid};
    struct device_place first;
    void *block;
    int err = device_volume_place(&stack->volume, 0, SIGNATURE_SUPERBLOCK_SIZE, &first);

    if (err)
        return seal_refuse_errno(why, -err, "finding the superblock");
    if (posix_memalign(&block, 4096, SIGNATURE_HEAD_SIZE) != 0)
        return seal_refuse_errno(why, ENOMEM, "reading signatures");
    s.block = block;
    for (uint32_t i = 0; !err && i < stack->volume.base_count; i++)
        err = sign_base(&s, i, &first);
    if (!err)
        err = bases_differ(&s);
    if (!err)
        err = each_other_disk(&s);
    free(block);
    return err;
}
