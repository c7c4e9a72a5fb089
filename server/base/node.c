/* node.c - see node.h. */
#include "server/base/node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "layout/reservation/reservation.h"

static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

bool node_name_is_good(const char *name)
{
    const size_t len = strlen(name);
    return len > 0 && len < NODE_NAME_SIZE && strspn(name, good) == len;
}

static int read_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    int err = fgets(line, size, file) ? 0 : -ENODATA;
    fclose(file);
    if (!err)
        line[strcspn(line, "\n")] = '\0';
    return err;
}

void node_default_name(char name[NODE_NAME_SIZE])
{
    struct utsname host;
    if (!read_line("/etc/machine-id", name, NODE_NAME_SIZE) && node_name_is_good(name))
        return;
    if (uname(&host) < 0)
        strcpy(host.nodename, "localhost");
    snprintf(name, NODE_NAME_SIZE, "%.*s", (int)strspn(host.nodename, good), host.nodename);
    if (!node_name_is_good(name))
        strcpy(name, "localhost");
}

int node_boot(char boot[NODE_BOOT_SIZE])
{
    int err = read_line("/proc/sys/kernel/random/boot_id", boot, NODE_BOOT_SIZE);
    return err ? err : strlen(boot) < NODE_BOOT_SIZE - 1 ? -EINVAL : 0;
}

void node_tag(const char *name, char tag[NODE_TAG_SIZE])
{
    snprintf(tag, NODE_TAG_SIZE, "%08" PRIx32, (uint32_t)reservation_node_key(name));
}

const char *node_taken_file(void)
{
    const char *file = getenv("SEALNFS_TAKEN");
    return file ? file : "/run/sealnfs-node-taken";
}

bool node_has_taken(void)
{
    return access(node_taken_file(), F_OK) == 0;
}
