/* See sysfs_block.h and the kernel's Documentation/ABI/stable/sysfs-block. Sizes and starts there
 * are in 512-byte units. */
#include "layout/device/sysfs_block.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* One line, without its newline. */
static int read_line(int dir, const char *name, char *text, size_t size)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, text, size - 1);
    (void)close(fd);
    if (n < 0)
        return -EIO;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return 0;
}

static int read_sectors(int dir, const char *name, uint64_t *bytes)
{
    char text[32];
    char *end;
    unsigned long long value;
    int err = read_line(dir, name, text, sizeof(text));

    if (err)
        return err;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno || end == text || *end || value > INT64_MAX / 512)
        return -EIO;
    *bytes = (uint64_t)value * 512;
    return 0;
}

int sysfs_block_dev(int dir, const char *name, dev_t *dev)
{
    char text[32];
    unsigned int major_no;
    unsigned int minor_no;
    int err = read_line(dir, name, text, sizeof(text));

    if (err)
        return err;
    if (sscanf(text, "%u:%u", &major_no, &minor_no) != 2)
        return -EIO;
    *dev = makedev(major_no, minor_no);
    return 0;
}

static int read_node(int dir, char *node, size_t size)
{
    static const char key[] = "DEVNAME=";
    char line[160];
    int fd = openat(dir, "uevent", O_RDONLY | O_CLOEXEC);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    int err = -ENODEV;

    if (!f) {
        if (fd >= 0)
            (void)close(fd);
        return err;
    }
    while (err && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, key, sizeof(key) - 1) == 0 &&
            snprintf(node, size, "/dev/%s", line + sizeof(key) - 1) < (int)size)
            err = 0;
    }
    (void)fclose(f);
    return err;
}

static bool has_entries(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool found = false;

    if (!d) {
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    while (!found && (entry = readdir(d)))
        found = entry->d_name[0] != '.';
    (void)closedir(d);
    return found;
}

/* Names what the device is made of, for the refusal. Loop devices have no slaves. */
static void read_stacked(int dir, struct sysfs_block *b)
{
    char name[96];
    char uuid[96];

    b->stacked[0] = b->md_level[0] = '\0';
    b->dm = read_line(dir, "dm/name", name, sizeof(name)) == 0;
    if (b->dm) {
        if (read_line(dir, "dm/uuid", uuid, sizeof(uuid)) != 0)
            uuid[0] = '\0';
        b->partition_map = strncmp(uuid, "part", 4) == 0;
        (void)snprintf(b->stacked, sizeof(b->stacked), "%s %s",
                       strncmp(uuid, "LVM-", 4) == 0     ? "LVM logical volume"
                       : strncmp(uuid, "mpath-", 6) == 0 ? "multipath device"
                       : strncmp(uuid, "CRYPT-", 6) == 0 ? "encrypted device"
                                                         : "device-mapper device",
                       name);
    } else if (read_line(dir, "md/level", b->md_level, sizeof(b->md_level)) == 0 &&
               b->md_level[0]) {
        (void)snprintf(b->stacked, sizeof(b->stacked), "md %s array", b->md_level);
    } else if (has_entries(dir, "slaves") || faccessat(dir, "bcache", F_OK, 0) == 0) {
        (void)snprintf(b->stacked, sizeof(b->stacked), "stacked device");
    }
}

int sysfs_block_read_dir(int dir, struct sysfs_block *b)
{
    int err = read_node(dir, b->node, sizeof(b->node));

    if (!err)
        err = read_sectors(dir, "size", &b->size);
    if (err)
        return err;
    read_stacked(dir, b);
    b->partition = faccessat(dir, "partition", F_OK, 0) == 0;
    if (!b->partition)
        return 0;
    err = read_sectors(dir, "start", &b->start);
    return err ? err : sysfs_block_dev(dir, "../dev", &b->parent);
}

static int open_dir(const char *sysfs, dev_t dev)
{
    char path[512];
    int dir;

    if (snprintf(path, sizeof(path), "%s/dev/block/%u:%u", sysfs, major(dev), minor(dev)) >=
        (int)sizeof(path))
        return -ENAMETOOLONG;
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? -ENODEV : -errno;
    return dir;
}

int sysfs_block_read(const char *sysfs, dev_t dev, struct sysfs_block *block)
{
    struct sysfs_block found = {.dev = dev};
    int dir = open_dir(sysfs, dev);
    int err;

    if (dir < 0)
        return dir;
    err = sysfs_block_read_dir(dir, &found);
    (void)close(dir);
    if (!err)
        *block = found;
    return err;
}

static int read_number(int dir, const char *name, uint64_t *value)
{
    uint64_t sectors;
    int err = read_sectors(dir, name, &sectors);

    if (!err)
        *value = sectors / 512;
    return err;
}

static int read_member(int dir, unsigned index, struct sysfs_md_member *member)
{
    char name[64];
    int err;

    (void)snprintf(name, sizeof(name), "md/rd%u/block/dev", index);
    err = sysfs_block_dev(dir, name, &member->dev);
    (void)snprintf(name, sizeof(name), "md/rd%u/offset", index);
    if (!err)
        err = read_sectors(dir, name, &member->offset);
    (void)snprintf(name, sizeof(name), "md/rd%u/size", index); /* in KiB */
    if (!err)
        err = read_number(dir, name, &member->size);
    if (!err && member->size > INT64_MAX / 1024)
        err = -EIO;
    member->size *= 1024;
    return err;
}

static int read_md(int dir, struct sysfs_md *md)
{
    uint64_t count;
    int err = read_number(dir, "md/chunk_size", &md->chunk);

    if (!err)
        err = read_number(dir, "md/raid_disks", &count);
    if (!err && (count == 0 || count > md->room))
        err = -E2BIG;
    for (md->count = 0; !err && md->count < count; md->count++)
        err = read_member(dir, md->count, &md->member[md->count]);
    return err;
}

int sysfs_md_read(const char *sysfs, dev_t dev, struct sysfs_md *md)
{
    int dir = open_dir(sysfs, dev);
    int err;

    if (dir < 0)
        return dir;
    err = read_md(dir, md);
    (void)close(dir);
    return err;
}
