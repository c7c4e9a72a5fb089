/* See mount_info.h. The format is proc_pid_mountinfo(5): fields up to " - ", then type, source,
 * super options. */
#include "layout/mount_info.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int mount_id_of(int fd, uint64_t *id)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) != 0)
        return -errno;
    if (!(st.stx_mask & STATX_MNT_ID))
        return -ENOSYS;
    *id = st.stx_mnt_id;
    return 0;
}

/* Spaces and the like are octal there: "\040". */
static void take_path(char *to, const char *from)
{
    size_t used = 0;

    while (*from && *from != ' ' && used + 1 < MOUNT_INFO_PATH_MAX) {
        unsigned int octal;

        if (*from == '\\' && sscanf(from + 1, "%3o", &octal) == 1) {
            to[used++] = (char)octal;
            from += 4;
        } else {
            to[used++] = *from++;
        }
    }
    to[used] = '\0';
}

static bool parse_line(const char *line, uint64_t id, struct mount_info *info)
{
    char *end;
    const char *rest;
    unsigned int major_no;
    unsigned int minor_no;
    int point = 0;

    if (strtoull(line, &end, 10) != id || *end != ' ')
        return false;
    rest = strstr(line, " - ");
    memset(info, 0, sizeof(*info));
    if (!rest || sscanf(end, " %*u %u:%u %*s %n", &major_no, &minor_no, &point) != 2 || point == 0)
        return false;
    info->dev = makedev(major_no, minor_no);
    take_path(info->point, end + point);
    return sscanf(rest, " - %63s %255s %511s", info->type, info->source, info->options) == 3;
}

int mount_info_get(int fd, struct mount_info *info)
{
    uint64_t id = 0;
    char *line = NULL;
    size_t room = 0;
    FILE *f;
    int err = mount_id_of(fd, &id);

    if (err)
        return err;
    f = fopen("/proc/self/mountinfo", "re");
    if (!f)
        return -errno;
    err = -ENOENT;
    while (err && getline(&line, &room, f) > 0) {
        struct mount_info found;

        if (parse_line(line, id, &found)) {
            *info = found;
            err = 0;
        }
    }
    free(line);
    (void)fclose(f);
    return err;
}

bool mount_info_has(const struct mount_info *info, const char *option)
{
    size_t len = strlen(option);

    for (const char *at = info->options; *at; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, option, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}
