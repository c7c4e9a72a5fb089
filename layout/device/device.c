/* The device behind a file system: see device.h. */
#include "layout/device/device.h"

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

#include "layout/device/sign.h"
#include "layout/file_key.h"
#include "layout/mount_info.h"
#include "layout/reservation/reservation.h"

struct device {
    atomic_uint refs;
    uint8_t id[DEVICE_ID_SIZE];
    uint8_t fs_uuid[DEVICE_UUID_SIZE];
    uint32_t generation;
    struct device_volume volume;
    dev_t volume_dev; /* 0 when made from a description */
    bool may_forget;
    uint32_t unread; /* bits: disks that did not say who they are */
    char volume_path[DEVICE_PATH_MAX];
};

static void hash_u64(crypto_generichash_state *state, uint64_t value)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    (void)crypto_generichash_update(state, bytes, sizeof(bytes));
}

/* Sizes are left out: growing does not make another device of it. */
static void make_id(struct device *d)
{
    const struct device_node *root = device_volume_root(&d->volume);
    const struct signature *signature;
    crypto_generichash_state state;
    struct device_place first = {0};

    (void)device_volume_place(&d->volume, 0, 1, &first);
    signature = &d->volume.base[first.base].signature;
    (void)crypto_generichash_init(&state, NULL, 0, DEVICE_ID_SIZE);
    (void)crypto_generichash_update(&state, d->fs_uuid, sizeof(d->fs_uuid));
    hash_u64(&state, first.offset);
    hash_u64(&state, signature->count);
    for (uint32_t i = 0; i < signature->count; i++) {
        const struct signature_component *c = &signature->component[i];

        hash_u64(&state, (uint64_t)c->offset);
        hash_u64(&state, c->len);
        (void)crypto_generichash_update(&state, c->bytes, c->len);
    }
    if (root->kind == DEVICE_STRIPE)
        hash_u64(&state, root->unit);
    if (d->generation)
        hash_u64(&state, d->generation);
    (void)crypto_generichash_final(&state, d->id, DEVICE_ID_SIZE);
}

static struct device *device_new(void)
{
    struct device *d = calloc(1, sizeof(*d));

    if (d)
        atomic_init(&d->refs, 1);
    return d;
}

int device_from_description(const uint8_t fs_uuid[DEVICE_UUID_SIZE],
                            const struct device_volume *volume, struct device **out)
{
    struct device *d;
    int err = device_volume_check(volume);

    if (err)
        return err;
    d = device_new();
    if (!d)
        return -ENOMEM;
    memcpy(d->fs_uuid, fs_uuid, sizeof(d->fs_uuid));
    d->volume = *volume;
    for (uint32_t i = 0; i < d->volume.base_count; i++) {
        d->volume.base[i].path[0] = '\0';
        d->volume.base[i].dev = 0;
    }
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

void device_set_generation(struct device *d, uint32_t generation)
{
    d->generation = generation;
    make_id(d);
}

bool device_describes_same(const struct device *a, const struct device *b)
{
    return memcmp(a->id, b->id, sizeof(a->id)) == 0 && device_volume_equal(&a->volume, &b->volume);
}

bool device_same(const struct device *a, const struct device *b)
{
    if (!device_describes_same(a, b) || a->volume_dev != b->volume_dev ||
        strcmp(a->volume_path, b->volume_path) != 0)
        return false;
    for (uint32_t i = 0; i < a->volume.base_count; i++)
        if (a->volume.base[i].dev != b->volume.base[i].dev ||
            strcmp(a->volume.base[i].path, b->volume.base[i].path) != 0)
            return false;
    return true;
}

const struct device_volume *device_volume(const struct device *d)
{
    return &d->volume;
}

uint64_t device_size(const struct device *d)
{
    return device_volume_root(&d->volume)->size;
}

bool device_can_reserve(const struct device *d)
{
    for (uint32_t i = 0; i < d->volume.base_count; i++)
        if (d->volume.base[i].designator.len == 0)
            return false;
    return true;
}

void device_set_reserved(struct device *d)
{
    d->volume.reserved = true;
}

bool device_is_reserved(const struct device *d)
{
    return d->volume.reserved;
}

void device_set_may_forget(struct device *d)
{
    d->may_forget = true;
}

bool device_may_forget(const struct device *d)
{
    return d->may_forget;
}

bool device_keep_names(struct device *d, const struct device *before)
{
    for (uint32_t i = 0; i < d->volume.base_count; i++) {
        struct device_base *base = &d->volume.base[i];

        for (uint32_t k = 0; before && (d->unread >> i & 1) && k < before->volume.base_count; k++) {
            const struct device_base *old = &before->volume.base[k];

            if (old->dev != base->dev || strcmp(old->path, base->path) != 0)
                continue;
            base->designator = old->designator; /* none, if it had none */
            d->unread &= ~(UINT32_C(1) << i);
        }
    }
    return d->unread == 0;
}

void device_disks(const struct device *d, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < d->volume.base_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " " : "",
                                 d->volume.base[i].path);
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

int device_open_disk(const struct device *d, uint32_t base, bool write, int *fd)
{
    if (base >= d->volume.base_count)
        return -ENODEV;
    return open_node(d->volume.base[base].path, d->volume.base[base].dev, write, fd);
}

int device_open_volume(const struct device *d, bool write, int *fd)
{
    return open_node(d->volume_path, d->volume_dev, write, fd);
}

static int describe(struct device *d, dev_t dev, enum signature_fs fs, struct seal_refusal *why)
{
    struct device_stack *stack = malloc(sizeof(*stack));
    int err = stack ? device_stack_read(&device_source_kernel, dev, stack, why)
                    : seal_refuse_errno(why, ENOMEM, "finding the device");

    if (!err)
        err = device_sign(&device_source_kernel, stack, fs, d->fs_uuid, why);
    if (!err) {
        d->volume_dev = dev;
        memcpy(d->volume_path, stack->node, sizeof(stack->node));
        d->volume = stack->volume;
        make_id(d);
    }
    free(stack);
    return err;
}

/* It has no reservations, or no name to go by: as against an answer that did not come. */
static bool is_definite(int err)
{
    return err == -EOPNOTSUPP || err == -ENODATA || err == -ENOTBLK || err == -ENOTTY ||
           err == -EPERM || err == -EACCES;
}

static int name_disk(const struct device *d, uint32_t i, struct designator *found)
{
    const struct reservation_ops *ops;
    int fd, err = device_open_disk(d, i, false, &fd);

    if (err)
        return err;
    err = reservation_of(fd, &ops);
    if (!err)
        err = ops->identify(fd, found);
    (void)close(fd);
    return err;
}

/* What cannot be reserved gets no name. */
static void name_disks(struct device *d)
{
    for (uint32_t i = 0; i < d->volume.base_count; i++) {
        struct designator found;
        int err = name_disk(d, i, &found);

        if (!err)
            d->volume.base[i].designator = found;
        else if (!is_definite(err))
            d->unread |= UINT32_C(1) << i;
    }
}

static int find(struct device *d, int fd, struct seal_refusal *why)
{
    struct mount_info mount;
    struct stat st;
    int err = mount_info_get(fd, &mount);

    if (err || fstat(fd, &st) != 0)
        return seal_refuse_errno(why, err ? -err : errno,
                                 "finding the mount in /proc/self/mountinfo");
    if (strcmp(mount.type, "xfs") != 0 && strcmp(mount.type, "ext4") != 0)
        return seal_refuse(
            why, SEAL_REFUSED_FILESYSTEM, EOPNOTSUPP,
            "files on %s cannot be sealed; use XFS or ext4 on a disk that clients share",
            mount.type);
    err = file_key_fs_uuid(fd, d->fs_uuid);
    if (err)
        return seal_refuse_errno(why, -err, "reading the file system's UUID");
    err = describe(d, st.st_dev, strcmp(mount.type, "xfs") == 0 ? SIGNATURE_XFS : SIGNATURE_EXT4,
                   why);
    if (!err)
        name_disks(d);
    return err;
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
