/*
 * Ways to a file: by handle, by name, by "..", by descriptor, by path; see file.h. Names are
 * resolved one component at a time relative to an O_PATH descriptor, never following links and
 * never crossing mount points, so nothing outside of the export can be reached by name.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/base/loop.h"
#include "server/file/fh.h"
#include "server/file/impl.h"
#include "server/file/name_hints.h"

enum { DEPTH_MAX = 4096 };

struct pseudo_dir *file_junctions(const struct place *dir)
{
    if (dir->file->pseudo)
        return dir->file->pseudo;
    if (dir->export && file_key_equal(&dir->file->key, export_root_key(dir->export)))
        return export_pseudo(dir->export);
    return NULL;
}

static int export_root(struct file_table *table, struct export *export, struct place *out)
{
    struct file *file = NULL;
    int fd, rc;

    if (export_is_away(export))
        return -EAGAIN;
    file = file_find(table, export_root_key(export));
    if (!file) {
        fd = fcntl(export_root_fd(export), F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return -errno;
        rc = file_table_intern(table, export_root_key(export), export, NULL, fd, &file);
        if (rc)
            return rc;
    }
    *out = (struct place){.file = file, .export = export};
    return 0;
}

/* The directory of names itself. */
static int pseudo_file(struct file_table *table, struct pseudo_dir *dir, struct place *out)
{
    static const uint8_t no_uuid[FILE_KEY_UUID_SIZE];
    const uint64_t fileid = pseudo_fileid(dir);
    struct file_key key;
    struct file *file;
    int rc;

    rc = file_key_from_handle(no_uuid, 0, &fileid, sizeof(fileid), &key);
    if (!rc)
        rc = file_table_intern(table, &key, NULL, dir, -1, &file);
    if (rc)
        return rc;
    *out = (struct place){.file = file};
    return 0;
}

/* While an export is away its name stands for those of the exports below it, which are served. */
int file_from_pseudo(struct file_table *table, struct pseudo_dir *dir, struct place *out)
{
    struct export *export = pseudo_export(dir);

    if (!export || (export_is_away(export) && pseudo_child_count(dir) > 0))
        return pseudo_file(table, dir, out);
    return export_root(table, export, out);
}

int file_root(struct file_table *table, struct place *out)
{
    return file_from_pseudo(table, export_table_pseudo_root(table->exports), out);
}

int file_from_fd(struct file_table *table, struct export *export, int path_fd, struct file **out)
{
    struct fs_handle handle;
    struct file_key key;
    int rc = fs_handle_get(path_fd, "", &handle);

    if (!rc)
        rc = file_key_from_handle(export_fs_uuid(export), handle.type, handle.bytes, handle.len,
                                  &key);
    if (rc) {
        close(path_fd);
        return rc;
    }
    return file_table_intern(table, &key, export, NULL, path_fd, out);
}

struct xdr_bytes file_handle(const struct place *at, uint8_t wire[NFS4_FHSIZE])
{
    const struct file_key *key = &at->file->key;
    const uint8_t *data = key->data + FILE_KEY_UUID_SIZE;
    struct fh fh = {.kind = at->file->pseudo ? FH_PSEUDO : FH_FILE,
                    .export_id = at->export ? export_id(at->export) : 0,
                    .handle_type = data[0],
                    .len = (uint8_t)(key->len - FILE_KEY_UUID_SIZE - 1)};

    memcpy(fh.bytes, data + 1, fh.len);
    return (struct xdr_bytes){.data = wire, .len = fh_encode(&fh, at->file->table->fh_key, wire)};
}

struct xdr_bytes file_handle_of(const struct file_table *table, const struct export *export,
                                const struct fs_handle *handle, uint8_t wire[NFS4_FHSIZE])
{
    struct fh fh = {.kind = FH_FILE,
                    .export_id = export_id(export),
                    .handle_type = (uint8_t)handle->type,
                    .len = handle->len};

    memcpy(fh.bytes, handle->bytes, handle->len);
    return (struct xdr_bytes){.data = wire, .len = fh_encode(&fh, table->fh_key, wire)};
}

static int from_pseudo_handle(struct file_table *table, const struct fh *fh, struct place *out)
{
    struct pseudo_dir *dir;
    uint64_t fileid;

    if (fh->len != sizeof(fileid))
        return -EBADMSG;
    memcpy(&fileid, fh->bytes, sizeof(fileid));
    dir = pseudo_by_fileid(export_table_pseudo_root(table->exports), fileid);
    return dir ? pseudo_file(table, dir, out) : -ESTALE;
}

/* The kernel opens what the handle names, whatever its path is now. */
static int open_handle(struct file_table *table, struct export *export, const struct fh *fh,
                       struct file **out)
{
    struct fs_handle handle = {.type = fh->handle_type, .len = fh->len};
    int fd;

    if (fh->len > FS_HANDLE_MAX)
        return -EBADMSG;
    memcpy(handle.bytes, fh->bytes, fh->len);
    fd = fs_handle_open(export_root_fd(export), &handle);
    if (fd < 0)
        return fd == -ENOENT || fd == -EINVAL ? -ESTALE : fd;
    return file_from_fd(table, export, fd, out);
}

struct export *file_export_of_handle(struct file_table *table, struct xdr_bytes handle)
{
    struct fh fh;

    return fh_decode(handle, table->fh_key, &fh) || fh.kind == FH_PSEUDO
               ? NULL
               : export_by_id(table->exports, fh.export_id);
}

int file_from_handle(struct file_table *table, struct xdr_bytes handle, bool may_block,
                     struct place *out)
{
    struct export *export;
    struct file_key key;
    struct file *file;
    struct fh fh;
    int rc = fh_decode(handle, table->fh_key, &fh);

    if (rc)
        return rc;
    if (fh.kind == FH_PSEUDO)
        return from_pseudo_handle(table, &fh, out);
    export = export_by_id(table->exports, fh.export_id);
    if (!export)
        return -ESTALE;
    if (export_is_away(export))
        return -EAGAIN;
    rc = file_key_from_handle(export_fs_uuid(export), fh.handle_type, fh.bytes, fh.len, &key);
    if (rc)
        return -EBADMSG;
    file = file_find(table, &key);
    if (!file && !may_block)
        return -EAGAIN;
    if (!file) {
        rc = open_handle(table, export, &fh, &file);
        if (rc)
            return rc;
    }
    *out = (struct place){.file = file, .export = export};
    return 0;
}

/* One step from a directory. -EAGAIN when cached is asked for and the kernel's cache does not have
 * it. */
static int step_from(int dirfd, const char *name, bool cached)
{
    struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS |
                                      (cached ? (uint64_t)RESOLVE_CACHED : 0)};
    long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

    if (fd >= 0)
        return (int)fd;
    return errno == EXDEV ? -ENOENT
                          : -errno; /* something else is mounted there: not ours to show */
}

/* The file that the name led to a moment ago, if it is in memory and the kernel says that the name
 * still leads to it; else NULL, which says nothing. */
static struct file *known_by_name(const struct place *dir, const char *name)
{
    struct file_table *table = dir->file->table;
    struct fs_handle handle;
    struct file_key hint, key;
    struct file *file;

    if (!name_hints_find(table->names, &dir->file->key, name, loop_now_ns(), &hint))
        return NULL;
    file = file_find(table, &hint);
    if (file && fs_handle_get(dir->file->path_fd, name, &handle) == 0 &&
        handle.mount_id == export_mount_id(dir->export) &&
        file_key_from_handle(export_fs_uuid(dir->export), handle.type, handle.bytes, handle.len,
                             &key) == 0 &&
        file_key_equal(&key, &hint))
        return file;
    file_unref(file);
    return NULL;
}

int file_lookup(const struct place *dir, const char *name, bool may_block, struct place *out)
{
    struct file_table *table = dir->file->table;
    struct pseudo_dir *junctions = file_junctions(dir);
    struct pseudo_dir *child = junctions ? pseudo_child(junctions, name) : NULL;
    struct file *file;
    int fd, rc;

    if (child)
        return file_from_pseudo(table, child, out);
    if (dir->file->pseudo)
        return -ENOENT;
    if (!S_ISDIR(dir->file->type))
        return -ENOTDIR;
    file = known_by_name(dir, name);
    if (file) {
        *out = (struct place){.file = file, .export = dir->export};
        return 0;
    }
    fd = step_from(dir->file->path_fd, name, !may_block);
    if (fd < 0)
        return fd;
    rc = file_from_fd(table, dir->export, fd, &file);
    if (rc)
        return rc;
    name_hints_keep(table->names, &dir->file->key, name, loop_now_ns(), &file->key);
    *out = (struct place){.file = file, .export = dir->export};
    return 0;
}

int file_parent(const struct place *dir, bool may_block, struct place *out)
{
    struct file_table *table = dir->file->table;
    struct pseudo_dir *here = file_junctions(dir);
    struct file *file;
    int fd, rc;

    if (here)
        return pseudo_parent(here) ? file_from_pseudo(table, pseudo_parent(here), out) : -ENOENT;
    if (!S_ISDIR(dir->file->type))
        return -ENOTDIR;
    fd = step_from(dir->file->path_fd, "..", !may_block);
    if (fd < 0)
        return fd;
    rc = file_from_fd(table, dir->export, fd, &file);
    if (rc)
        return rc;
    *out = (struct place){.file = file, .export = dir->export};
    return 0;
}

static bool is_export_root(const struct export *export, int fd)
{
    struct fs_handle handle;
    struct file_key key;

    return fs_handle_get(fd, "", &handle) == 0 &&
           file_key_from_handle(export_fs_uuid(export), handle.type, handle.bytes, handle.len,
                                &key) == 0 &&
           file_key_equal(&key, export_root_key(export));
}

int file_check_inside(const struct place *dir)
{
    int fd, above, rc = -ENOENT;

    if (file_junctions(dir))
        return 0;
    fd = fcntl(dir->file->path_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Every export's root is found before the root of its mount, where ".." gives -ENOENT
     * (RESOLVE_NO_XDEV) or itself. */
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        if (is_export_root(dir->export, fd)) {
            rc = 0;
            break;
        }
        above = step_from(fd, "..", false);
        close(fd);
        fd = above;
        if (fd < 0)
            return fd;
    }
    close(fd);
    return rc;
}

int file_from_path(struct file_table *table, const char *path, struct file **out)
{
    struct export *export = NULL;
    struct fs_handle handle;
    char *real = realpath(path, NULL);
    int fd, rc;

    if (!real)
        return -errno;
    fd = open(real, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    rc = fd < 0 ? -errno : fs_handle_get(fd, "", &handle);
    if (!rc)
        export = export_of_path(table->exports, real, handle.mount_id);
    free(real);
    if (!rc && export)
        return file_from_fd(table, export, fd, out);
    if (fd >= 0)
        close(fd);
    return rc ? rc : -EXDEV;
}
