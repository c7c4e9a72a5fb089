/*
 * See fs_root.h. That the path's own file system is mounted is told in one of three ways: the
 * option `mountpoint` demands it; or the record knows another file system, mounted below the one
 * that the path leads to now, so that this one is underneath; or nothing is known, and the path is
 * taken as it is. What is judged is what the descriptor is of: the path may lead elsewhere in the
 * next moment.
 */
#include "server/export/fs_root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "layout/mount_info.h"
#include "server/base/fs_handle.h"
#include "server/config/config.h"
#include "server/export/fs_record.h"

static bool is_word(const char *mountpoint, const char *word)
{
    return mountpoint && strcmp(mountpoint, word) == 0;
}

/* Is it that place, or a place in it? */
static bool is_within(const char *place, const char *top)
{
    const size_t len = strlen(top);

    return strcmp(top, "/") == 0 ||
           (strncmp(place, top, len) == 0 && (place[len] == '/' || place[len] == '\0'));
}

enum fs_place fs_place_judge(const char *mountpoint, const char *meant, const struct fs_seen *seen,
                             const uint8_t fs_uuid[FILE_KEY_UUID_SIZE], const char *point)
{
    if (is_word(mountpoint, "false"))
        return FS_PLACE_RIGHT;
    if (mountpoint && !is_word(mountpoint, "auto") && !is_within(point, meant))
        return FS_PLACE_NOT_MOUNTED;
    if (seen && memcmp(seen->fs_uuid, fs_uuid, FILE_KEY_UUID_SIZE) != 0 &&
        strcmp(seen->point, point) != 0 && is_within(seen->point, point))
        return FS_PLACE_UNDERNEATH;
    return FS_PLACE_RIGHT;
}

__attribute__((format(printf, 3, 4))) static int refuse(char *why, int error, const char *format,
                                                        ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, FS_WHY_MAX, format, args);
    va_end(args);
    return error;
}

static void learn_limits(struct fs_root *root)
{
    struct statfs fs;

    root->max_file_size = INT64_MAX;
    root->max_links = 32000;
    if (fstatfs(root->fd, &fs) != 0)
        return;
    root->commits_by_directory = fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC;
    if (fs.f_type == EXT4_SUPER_MAGIC) {
        /* 2^32 - 1 blocks (ext4's i_data extents), and its own limit on links. */
        root->max_file_size = (uint64_t)UINT32_MAX * (uint64_t)fs.f_bsize;
        root->max_links = 65000;
    } else if (fs.f_type == XFS_SUPER_MAGIC) {
        root->max_links = INT32_MAX;
    }
}

static int learn_mount(struct fs_root *root)
{
    struct mount_info mount;
    int rc = mount_info_get(root->fd, &mount);

    if (!rc)
        rc = file_key_fs_uuid(root->fd, root->fs_uuid);
    if (rc)
        return rc;
    root->fs_dev = mount.dev;
    root->mount_point = strdup(mount.point);
    return root->mount_point ? 0 : -ENOMEM;
}

static int learn_root(struct fs_root *root, const char *path)
{
    struct fs_handle handle;
    int rc;

    root->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root->fd < 0)
        return -errno;
    root->real_path = realpath(path, NULL);
    if (!root->real_path)
        return -errno;
    rc = learn_mount(root);
    if (!rc)
        rc = fs_handle_get(root->fd, "", &handle);
    if (rc)
        return rc;
    root->mount_id = handle.mount_id;
    learn_limits(root);
    return file_key_from_handle(root->fs_uuid, handle.type, handle.bytes, handle.len, &root->key);
}

static int check_place(const struct fs_root *root, const struct config_export *config,
                       struct fs_record *record, char *why)
{
    const bool is_named = config->mountpoint && config->mountpoint[0] == '/';
    const char *named = is_named ? config->mountpoint : config->path;
    struct fs_seen seen;
    const bool known = fs_record_find(record, config->path, &seen);
    char *meant = is_named ? realpath(config->mountpoint, NULL) : strdup(root->real_path);
    enum fs_place place = FS_PLACE_NOT_MOUNTED;

    if (!meant && !is_named)
        return refuse(why, -ENOMEM, "out of memory");
    if (meant)
        place = fs_place_judge(config->mountpoint, meant, known ? &seen : NULL, root->fs_uuid,
                               root->mount_point);
    free(meant);
    switch (place) {
    case FS_PLACE_NOT_MOUNTED:
        return refuse(why, -ENOENT,
                      "nothing is mounted at %s (mountpoint = \"%s\"); mount its disk", named,
                      config->mountpoint);
    case FS_PLACE_UNDERNEATH:
        return refuse(why, -ENOENT,
                      "the file system that was served from %s was mounted at %s, and is not; "
                      "mount its disk (if the directory that is there now is meant, say mountpoint "
                      "= \"false\")",
                      config->path, seen.point);
    case FS_PLACE_RIGHT:
        break;
    }
    return 0;
}

/* Where the one that is meant is not mounted, what is underneath may be anything. */
static int explain_no_handles(const char *path, struct fs_record *record, char *why)
{
    struct fs_seen seen;

    if (fs_record_find(record, path, &seen))
        return refuse(why, -ENOENT,
                      "the file system that was served from %s was mounted at %s, and is not; "
                      "mount its disk",
                      path, seen.point);
    return refuse(why, -EOPNOTSUPP,
                  "the file system at %s has no file handles and cannot be exported; export XFS or "
                  "ext4",
                  path);
}

static int explain_error(int error, const char *path, struct fs_record *record, char *why)
{
    switch (-error) {
    case ENOENT:
        return refuse(why, error, "%s is not there; mount its disk, make it, or correct the path",
                      path);
    case ENOTDIR:
        return refuse(why, error, "%s is not a directory; correct the path", path);
    case EOPNOTSUPP:
        return explain_no_handles(path, record, why);
    default:
        return refuse(why, error,
                      "%s: %s; see the kernel's log, repair the file system and mount it again",
                      path, strerror(-error));
    }
}

int fs_root_open(const struct config_export *config, struct fs_record *record, struct fs_root **out,
                 char why[FS_WHY_MAX])
{
    struct fs_root *root = calloc(1, sizeof(*root));
    int rc;

    if (!root)
        return refuse(why, -ENOMEM, "out of memory");
    root->fd = -1;
    rc = learn_root(root, config->path);
    if (rc)
        rc = explain_error(rc, config->path, record, why);
    else
        rc = check_place(root, config, record, why);
    if (rc)
        fs_root_free(root);
    else
        *out = root;
    return rc;
}

void fs_root_free(struct fs_root *root)
{
    if (!root)
        return;
    if (root->fd >= 0)
        close(root->fd);
    free(root->real_path);
    free(root->mount_point);
    free(root);
}
