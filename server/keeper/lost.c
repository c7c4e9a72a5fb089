/*
 * lost.c - files that their keys do not lead to: what that says of the file
 * (layout/seal/presence.h), and where else it may be. On workers; it blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/seal/mark.h"
#include "server/base/fs_handle.h"
#include "server/export/export.h"
#include "server/keeper/private.h"

static const struct export *export_of_key(const struct keeper *keeper, const struct file_key *key)
{
    for (unsigned i = 0; i < export_count(keeper->exports); i++) {
        const struct export *export = export_at(keeper->exports, i);
        if (memcmp(export_fs_uuid(export), key->data, FILE_KEY_UUID_SIZE) == 0)
            return export;
    }
    return NULL;
}

/* An export that is away may be of any file system: its disk comes later, and what bears its mark
 * meanwhile is a copy. */
bool keeper_may_export_fs_of(const struct keeper *keeper, const struct file_key *key)
{
    return export_of_key(keeper, key) != NULL || export_away_count(keeper->exports) > 0;
}

/* Needs a descriptor that is really open; only a regular file can have a mark. */
static bool bears_mark_of(int path_fd, const struct file_key *key)
{
    char path[32];
    struct stat st;
    struct file_key named;
    enum seal_kind kind;
    if (fstat(path_fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", path_fd);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool bears = seal_mark_find(fd, &kind, &named) == 0 && file_key_equal(&named, key);
    close(fd);
    return bears;
}

int keeper_find_relabelled(struct keeper *keeper, const struct file_key *key,
                           const struct fs_handle *handle, struct file **out)
{
    if (keeper_may_export_fs_of(keeper, key))
        return -ENOENT;
    for (unsigned i = 0; i < export_count(keeper->exports); i++) {
        struct export *export = export_at(keeper->exports, i);
        int fd = fs_handle_open(export_root_fd(export), handle);
        if (fd < 0)
            continue;
        if (bears_mark_of(fd, key))
            return file_from_fd(keeper->files, export, fd, out);
        close(fd);
    }
    return -ENOENT;
}

/* Every one of them is of the same file system: no twin is exported. */
enum file_presence keeper_judge_absence(const struct keeper *keeper, const struct file_key *key,
                                        int err, struct seal_refusal *why)
{
    const struct export *export = export_of_key(keeper, key);
    int answers = 0;
    if (!export) {
        (void)seal_refuse(why, SEAL_REFUSED_FILESYSTEM, ENOENT,
                          "no file system of its UUID is exported now; mount it, see that it is in "
                          "sealnfs.conf, and restart sealnfsd; if its UUID was changed, name the "
                          "file by its path below the export");
        return FILE_UNREADABLE;
    }
    enum file_presence presence =
        presence_judge(err, export_root_fd(export), export_device(export), &answers);
    if (presence == FILE_GONE)
        (void)seal_refuse(why, SEAL_REFUSED_SYSTEM, ESTALE,
                          "the file system answers, and says that the file is gone");
    else if (answers)
        (void)seal_refuse(
            why, SEAL_REFUSED_SYSTEM, -answers,
            "the file system does not answer: %s; see the kernel's log, repair it and "
            "mount it again, then restart sealnfsd",
            strerror(-answers));
    else
        (void)seal_refuse_errno(why, -err, "the file cannot be opened");
    return presence;
}
