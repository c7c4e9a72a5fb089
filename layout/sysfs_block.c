/* See sysfs_block.h and the kernel's Documentation/ABI/stable/sysfs-block. Sizes and starts there are in
 * 512-byte units. */
#include "layout/sysfs_block.h"

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

static int read_dev(int dir, const char *name, dev_t *dev)
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

    b->stacked[0] = '\0';
    if (read_line(dir, "dm/name", name, sizeof(name)) == 0) {
        if (read_line(dir, "dm/uuid", uuid, sizeof(uuid)) != 0)
            uuid[0] = '\0';
        (void)snprintf(b->stacked, sizeof(b->stacked), "%s %s",
                       strncmp(uuid, "LVM-", 4) == 0     ? "LVM logical volume"
                       : strncmp(uuid, "mpath-", 6) == 0 ? "multipath device"
                       : strncmp(uuid, "CRYPT-", 6) == 0 ? "encrypted device"
                                                         : "device-mapper device",
                       name);
    } else if (read_line(dir, "md/level", name, sizeof(name)) == 0) {
        (void)snprintf(b->stacked, sizeof(b->stacked), "md %s array", name);
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
    return err ? err : read_dev(dir, "../dev", &b->parent);
}

int sysfs_block_read(dev_t dev, struct sysfs_block *block)
{
    struct sysfs_block found = {.dev = dev};
    char path[64];
    int dir;
    int err;

    (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(dev), minor(dev));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? -ENODEV : -errno;
    err = sysfs_block_read_dir(dir, &found);
    (void)close(dir);
    if (!err)
        *block = found;
    return err;
}
