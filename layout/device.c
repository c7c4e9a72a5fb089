/* The device behind a file system: see device.h. */
#include "layout/device.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "layout/file_key.h"
#include "layout/mount_info.h"
#include "layout/sysfs_block.h"

struct device {
    atomic_uint refs;
    uint8_t id[DEVICE_ID_SIZE];
    uint8_t fs_uuid[DEVICE_UUID_SIZE];
    struct device_volume volume;
    dev_t disk_dev; /* 0 when made from a description, and so is volume_dev */
    dev_t volume_dev;
    char disk_path[128];
    char volume_path[128];
};

static void hash_u64(crypto_generichash_state *state, uint64_t value)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    (void)crypto_generichash_update(state, bytes, sizeof(bytes));
}

/* Sizes are left out: growing the disk or the partition does not make another device of it. */
static void make_id(struct device *d)
{
    crypto_generichash_state state;

    (void)crypto_generichash_init(&state, NULL, 0, DEVICE_ID_SIZE);
    (void)crypto_generichash_update(&state, d->fs_uuid, sizeof(d->fs_uuid));
    hash_u64(&state, d->volume.slice_start);
    hash_u64(&state, d->volume.signature.count);
    for (uint32_t i = 0; i < d->volume.signature.count; i++) {
        const struct signature_component *c = &d->volume.signature.component[i];

        hash_u64(&state, (uint64_t)c->offset);
        hash_u64(&state, c->len);
        (void)crypto_generichash_update(&state, c->bytes, c->len);
    }
    (void)crypto_generichash_final(&state, d->id, DEVICE_ID_SIZE);
}

static struct device *device_new(void)
{
    struct device *d = calloc(1, sizeof(*d));

    if (d)
        atomic_init(&d->refs, 1);
    return d;
}

int device_from_description(const uint8_t fs_uuid[DEVICE_UUID_SIZE], const struct device_volume *volume,
                            struct device **out)
{
    const struct signature *s = &volume->signature;
    struct device *d;

    if (s->count == 0 || s->count > SIGNATURE_MAX_COMPONENTS)
        return -EINVAL;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->component[i].len == 0 || s->component[i].len > SIGNATURE_COMPONENT_MAX)
            return -EINVAL;
    d = device_new();
    if (!d)
        return -ENOMEM;
    memcpy(d->fs_uuid, fs_uuid, sizeof(d->fs_uuid));
    d->volume = *volume;
    make_id(d);
    *out = d;
    return 0;
}

struct device *device_ref(struct device *d)
{
    atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    return d;
}

void device_free(struct device *d)
{
    if (d && atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) == 1)
        free(d);
}

const uint8_t *device_id(const struct device *d)
{
    return d->id;
}

const uint8_t *device_fs_uuid(const struct device *d)
{
    return d->fs_uuid;
}

static bool same_description(const struct device_volume *a, const struct device_volume *b)
{
    return a->disk_size == b->disk_size && a->sliced == b->sliced && a->slice_start == b->slice_start &&
           a->slice_length == b->slice_length && signature_equal(&a->signature, &b->signature);
}

bool device_describes_same(const struct device *a, const struct device *b)
{
    return memcmp(a->id, b->id, sizeof(a->id)) == 0 && same_description(&a->volume, &b->volume);
}

bool device_same(const struct device *a, const struct device *b)
{
    return device_describes_same(a, b) &&
           a->disk_dev == b->disk_dev && a->volume_dev == b->volume_dev &&
           strcmp(a->disk_path, b->disk_path) == 0 && strcmp(a->volume_path, b->volume_path) == 0;
}

const struct device_volume *device_volume(const struct device *d)
{
    return &d->volume;
}

const char *device_disk_path(const struct device *d)
{
    return d->disk_path;
}

const char *device_volume_path(const struct device *d)
{
    return d->volume_path;
}

dev_t device_st_dev(const struct device *d)
{
    return d->volume_dev;
}

static int open_node(const char *path, dev_t dev, bool write, int *out)
{
    struct stat st;
    int fd;

    if (dev == 0)
        return -ENODEV;
    fd = open(path, (write ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0 || !S_ISBLK(st.st_mode) || st.st_rdev != dev) {
        (void)close(fd);
        return -ENODEV;
    }
    *out = fd;
    return 0;
}

int device_open_disk(const struct device *d, bool write, int *fd)
{
    return open_node(d->disk_path, d->disk_dev, write, fd);
}

int device_open_volume(const struct device *d, bool write, int *fd)
{
    return open_node(d->volume_path, d->volume_dev, write, fd);
}

static int read_superblock(const struct device *d, enum signature_fs fs, struct signature *signature)
{
    void *block;
    ssize_t n;
    int fd;
    int err = device_open_volume(d, false, &fd);

    if (err)
        return err;
    if (posix_memalign(&block, 4096, SIGNATURE_SUPERBLOCK_SIZE) != 0) {
        err = -ENOMEM;
        goto out_close;
    }
    n = pread(fd, block, SIGNATURE_SUPERBLOCK_SIZE, 0);
    if (n < 0)
        err = -errno;
    else if (n < SIGNATURE_SUPERBLOCK_SIZE)
        err = -EIO;
    else
        err = signature_from_superblock(fs, block, d->volume.slice_start, d->fs_uuid, signature);
    free(block);
out_close:
    (void)close(fd);
    return err;
}

/* A client compares with the whole disk, so that is what is read here. */
static int verify_on_disk(const struct device *d)
{
    int fd;
    int err = device_open_disk(d, false, &fd);

    if (err)
        return err;
    err = signature_verify(fd, &d->volume.signature);
    (void)close(fd);
    return err;
}

static int sign(struct device *d, enum signature_fs fs, struct seal_refusal *why)
{
    char what[192];
    int err = read_superblock(d, fs, &d->volume.signature);

    if (!err)
        err = verify_on_disk(d);
    if (err == -EINVAL || err == -ENOENT)
        return seal_refuse(
            why, SEAL_REFUSED_SIGNATURE, -err,
            "%s does not carry the superblock of the file system that is mounted from it, or has no "
            "UUID; clients could not find it (tune2fs -U or xfs_admin -U give one while unmounted)",
            d->disk_path);
    if (err) {
        (void)snprintf(what, sizeof(what), "reading the signature of %s", d->disk_path);
        return seal_refuse_errno(why, -err, what);
    }
    make_id(d);
    return 0;
}

static int refuse_stacked(const struct sysfs_block *b, struct seal_refusal *why)
{
    return seal_refuse(why, SEAL_REFUSED_DEVICE, EOPNOTSUPP,
                       "%s is a %s: not supported yet; use a file system on a whole disk or a partition",
                       b->node, b->stacked);
}

static int locate(struct device *d, dev_t dev, struct seal_refusal *why)
{
    struct sysfs_block volume;
    struct sysfs_block disk;
    int err = sysfs_block_read(dev, &volume);

    if (err)
        return seal_refuse(
            why, SEAL_REFUSED_DEVICE, -err,
            "the file system's device %u:%u is not in /sys/dev/block: it is not on a block device that "
            "clients could share",
            major(dev), minor(dev));
    if (volume.stacked[0])
        return refuse_stacked(&volume, why);
    disk = volume;
    if (volume.partition)
        err = sysfs_block_read(volume.parent, &disk);
    if (err)
        return seal_refuse_errno(why, -err, "reading the partition's disk from /sys/dev/block");
    if (disk.stacked[0])
        return refuse_stacked(&disk, why);
    if (disk.partition || volume.start > disk.size || volume.size > disk.size - volume.start)
        return seal_refuse(why, SEAL_REFUSED_DEVICE, EIO, "%s does not lie within its disk %s", volume.node,
                           disk.node);
    d->volume_dev = volume.dev;
    d->disk_dev = disk.dev;
    memcpy(d->volume_path, volume.node, sizeof(volume.node));
    memcpy(d->disk_path, disk.node, sizeof(disk.node));
    d->volume.sliced = volume.partition;
    d->volume.disk_size = disk.size;
    d->volume.slice_start = volume.start;
    d->volume.slice_length = volume.size;
    return 0;
}

static int find(struct device *d, int fd, struct seal_refusal *why)
{
    struct mount_info mount;
    struct stat st;
    int err = mount_info_get(fd, &mount);

    if (err || fstat(fd, &st) != 0)
        return seal_refuse_errno(why, err ? -err : errno, "finding the mount in /proc/self/mountinfo");
    if (strcmp(mount.type, "xfs") != 0 && strcmp(mount.type, "ext4") != 0)
        return seal_refuse(why, SEAL_REFUSED_FILESYSTEM, EOPNOTSUPP,
                           "files on %s cannot be sealed; use XFS or ext4 on a disk that clients share",
                           mount.type);
    err = file_key_fs_uuid(fd, d->fs_uuid);
    if (err)
        return seal_refuse_errno(why, -err, "reading the file system's UUID");
    err = locate(d, st.st_dev, why);
    if (err)
        return err;
    return sign(d, strcmp(mount.type, "xfs") == 0 ? SIGNATURE_XFS : SIGNATURE_EXT4, why);
}

int device_find(int fd, struct device **out, struct seal_refusal *why)
{
    struct device *d = device_new();
    int err;

    if (!d)
        return seal_refuse_errno(why, ENOMEM, "finding the device");
    err = find(d, fd, why);
    if (err) {
        device_free(d);
        return err;
    }
    *out = d;
    return 0;
}
