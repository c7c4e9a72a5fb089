/* See ext4_options.h. One option a line; the directory has the name that sysfs has for the device,
 * a '/' in it written as '!' by both. */
#include "layout/seal/ext4_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int name_device(dev_t dev, char *name, size_t size)
{
    char link[64];
    char target[512];
    const char *last;
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(dev), minor(dev));
    n = readlink(link, target, sizeof(target) - 1);
    if (n < 0)
        return -errno;
    target[n] = '\0';
    last = strrchr(target, '/');
    return last && snprintf(name, size, "%s", last + 1) < (int)size ? 0 : -ENAMETOOLONG;
}

/* A list without any "data=" is that of a file system without a journal. */
static int read_options(FILE *f, bool *journals)
{
    char *line = NULL;
    size_t room = 0;
    unsigned int lines = 0;
    bool found = false;
    int err;

    while (getline(&line, &room, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        found = found || strcmp(line, "data=journal") == 0;
        lines++;
    }
    err = ferror(f) ? -EIO : lines ? 0 : -ENODATA;
    free(line);
    if (!err)
        *journals = found;
    return err;
}

int ext4_options_journal_data(dev_t dev, bool *journals)
{
    char name[128];
    char path[192];
    FILE *f;
    int err = name_device(dev, name, sizeof(name));

    if (err)
        return err;
    (void)snprintf(path, sizeof(path), "/proc/fs/ext4/%s/options", name);
    f = fopen(path, "re");
    if (!f)
        return -errno;
    err = read_options(f, journals);
    (void)fclose(f);
    return err;
}
