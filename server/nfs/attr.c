/*
 * Attributes from the file system to the wire (RFC 8881 chapter 5); see attr.h. Setting them is in
 * attr_set.c. Any thread; nothing here blocks but owner names, and those only when the caller
 * allows it.
 */
#include "server/nfs/attr.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "server/config/config.h"
#include "server/export/export.h"
#include "server/export/pseudo.h"
#include "server/file/file.h"
#include "server/server.h"

enum {
    PSEUDO_FSID_MAJOR = 0,
    EXPORT_FSID_MAJOR = 1,
    /* What clients may count on for a layout's granularity: a page, which every file system we give
       layouts of has as its block or more. */
    LAYOUT_BLKSIZE = 4096,
    NAME_BYTES_MAX = 255,
    SECTOR = 512,
};

static bitmap4 layout_attrs(void)
{
    return BITMAP4(FATTR4_FS_LAYOUT_TYPES, FATTR4_LAYOUT_TYPES, FATTR4_LAYOUT_BLKSIZE,
                   FATTR4_LAYOUT_ALIGNMENT, FATTR4_MDSTHRESHOLD);
}

bitmap4 attr_supported(const struct export *export)
{
    bitmap4 all = BITMAP4(
        FATTR4_SUPPORTED_ATTRS, FATTR4_TYPE, FATTR4_FH_EXPIRE_TYPE, FATTR4_CHANGE, FATTR4_SIZE,
        FATTR4_LINK_SUPPORT, FATTR4_SYMLINK_SUPPORT, FATTR4_NAMED_ATTR, FATTR4_FSID,
        FATTR4_UNIQUE_HANDLES, FATTR4_LEASE_TIME, FATTR4_RDATTR_ERROR, FATTR4_CANSETTIME,
        FATTR4_CASE_INSENSITIVE, FATTR4_CASE_PRESERVING, FATTR4_CHOWN_RESTRICTED, FATTR4_FILEHANDLE,
        FATTR4_FILEID, FATTR4_FILES_AVAIL, FATTR4_FILES_FREE, FATTR4_FILES_TOTAL,
        FATTR4_HOMOGENEOUS, FATTR4_MAXFILESIZE, FATTR4_MAXLINK, FATTR4_MAXNAME, FATTR4_MAXREAD,
        FATTR4_MAXWRITE, FATTR4_MODE, FATTR4_NO_TRUNC, FATTR4_NUMLINKS, FATTR4_OWNER,
        FATTR4_OWNER_GROUP, FATTR4_RAWDEV, FATTR4_SPACE_AVAIL, FATTR4_SPACE_FREE,
        FATTR4_SPACE_TOTAL, FATTR4_SPACE_USED, FATTR4_TIME_ACCESS, FATTR4_TIME_ACCESS_SET,
        FATTR4_TIME_CREATE, FATTR4_TIME_DELTA, FATTR4_TIME_METADATA, FATTR4_TIME_MODIFY,
        FATTR4_TIME_MODIFY_SET, FATTR4_MOUNTED_ON_FILEID, FATTR4_MODE_SET_MASKED,
        FATTR4_SUPPATTR_EXCLCREAT, FATTR4_FS_CHARSET_CAP);
    bitmap4 layout = layout_attrs();

    return export && export_has_layouts(export, NULL) ? bitmap4_or(&all, &layout) : all;
}

bitmap4 attr_settable(void)
{
    return BITMAP4(FATTR4_SIZE, FATTR4_MODE, FATTR4_OWNER, FATTR4_OWNER_GROUP,
                   FATTR4_TIME_ACCESS_SET, FATTR4_TIME_MODIFY_SET, FATTR4_MODE_SET_MASKED);
}

bitmap4 attr_exclcreat(void)
{
    return BITMAP4(FATTR4_SIZE, FATTR4_MODE, FATTR4_OWNER, FATTR4_OWNER_GROUP,
                   FATTR4_MODE_SET_MASKED);
}

bitmap4 attr_write_only(void)
{
    return BITMAP4(FATTR4_TIME_ACCESS_SET, FATTR4_TIME_MODIFY_SET, FATTR4_MODE_SET_MASKED);
}

bool attr_wants_fs(const bitmap4 *want)
{
    const bitmap4 fs = BITMAP4(FATTR4_FILES_AVAIL, FATTR4_FILES_FREE, FATTR4_FILES_TOTAL,
                               FATTR4_SPACE_AVAIL, FATTR4_SPACE_FREE, FATTR4_SPACE_TOTAL);
    const bitmap4 both = bitmap4_and(want, &fs);

    return !bitmap4_empty(&both);
}

bool attr_wants_birth(const bitmap4 *want)
{
    return bitmap4_isset(want, FATTR4_TIME_CREATE);
}

bool attr_wants_handle(const bitmap4 *want)
{
    return bitmap4_isset(want, FATTR4_FILEHANDLE);
}

static nfs_ftype4 type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return NF4DIR;
    case S_IFLNK:
        return NF4LNK;
    case S_IFBLK:
        return NF4BLK;
    case S_IFCHR:
        return NF4CHR;
    case S_IFSOCK:
        return NF4SOCK;
    case S_IFIFO:
        return NF4FIFO;
    default:
        return NF4REG;
    }
}

static nfstime4 time_of(const struct statx_timestamp *time)
{
    return (nfstime4){.seconds = time->tv_sec, .nseconds = time->tv_nsec};
}

/* What is the same for every object of the file system. */
static void fill_file_system(const struct attr_source *source, struct nfs4_attrs *out)
{
    const struct config *config = source->server->config;

    out->supported_attrs = attr_supported(source->export);
    out->suppattr_exclcreat = attr_exclcreat();
    out->fh_expire_type = FH4_PERSISTENT;
    out->link_support = true;
    out->symlink_support = true;
    out->unique_handles = true;
    out->cansettime = true;
    out->case_preserving = true;
    out->chown_restricted = true;
    out->homogeneous = true;
    out->no_trunc = true;
    out->lease_time = config->lease_time;
    out->rdattr_error = NFS4_OK;
    out->maxfilesize = source->export ? export_max_file_size(source->export) : 0;
    out->maxlink = source->export ? export_max_links(source->export) : 1;
    out->maxname = NAME_BYTES_MAX;
    out->maxread = config->max_io_size;
    out->maxwrite = config->max_io_size;
    out->time_delta = (nfstime4){.nseconds = 1};
    out->fs_charset_cap =
        config->utf8_names ? FSCHARSET_CAP4_ALLOWS_ONLY_UTF8 : FSCHARSET_CAP4_CONTAINS_NON_UTF8;
    out->fsid.major = source->export ? EXPORT_FSID_MAJOR : PSEUDO_FSID_MAJOR;
    out->fsid.minor = source->export ? export_id(source->export) : 0;
}

static void fill_space(const struct statfs *fs, struct nfs4_attrs *out)
{
    const uint64_t block = (uint64_t)fs->f_bsize;

    out->files_avail = fs->f_ffree;
    out->files_free = fs->f_ffree;
    out->files_total = fs->f_files;
    out->space_avail = fs->f_bavail * block;
    out->space_free = fs->f_bfree * block;
    out->space_total = fs->f_blocks * block;
}

static void fill_object(const struct attr_source *source, struct nfs4_attrs *out)
{
    const struct statx *stx = source->stx;

    out->type = type_of(stx->stx_mode);
    out->change = source->change;
    out->size = stx->stx_size;
    out->filehandle = source->handle;
    out->fileid = stx->stx_ino;
    out->mounted_on_fileid = source->mounted_on ? source->mounted_on : stx->stx_ino;
    out->mode = stx->stx_mode & 07777u;
    out->numlinks = stx->stx_nlink;
    out->rawdev.specdata1 = stx->stx_rdev_major;
    out->rawdev.specdata2 = stx->stx_rdev_minor;
    out->space_used = stx->stx_blocks * SECTOR;
    out->time_access = time_of(&stx->stx_atime);
    out->time_create = time_of(&stx->stx_btime);
    out->time_metadata = time_of(&stx->stx_ctime);
    out->time_modify = time_of(&stx->stx_mtime);
}

/* A file below at_rest_min_size, or direct_writes_min_size, never gets a seal by itself: the client
 * need not ask for its layout (RFC 8881 section 5.12.4). */
static void fill_threshold(const struct config_export *config, layouttype4 type,
                           struct nfs4_attrs *out)
{
    struct nfs4_threshold *threshold = &out->mdsthreshold[out->mdsthreshold_count];

    uint64_t read = config->policy == POLICY_AT_REST ? config->at_rest_min_size : 0;
    uint64_t write = config->direct_writes ? config->direct_writes_min_size : read;

    if (!read && !write)
        return;
    out->mdsthreshold_count++;
    threshold->layout_type = type;
    threshold->hintset = (read ? 1u << TH4_READ_SIZE : 0) | (write ? 1u << TH4_WRITE_SIZE : 0);
    threshold->value[TH4_READ_SIZE] = read;
    threshold->value[TH4_WRITE_SIZE] = write;
}

static void fill_layout(const struct attr_source *source, struct nfs4_attrs *out)
{
    out->fs_layout_types_count = export_layout_types(source->export, out->fs_layout_types);
    out->layout_types_count = export_layout_types(source->export, out->layout_types);
    out->layout_blksize = LAYOUT_BLKSIZE;
    out->layout_alignment = LAYOUT_BLKSIZE;
    for (unsigned i = 0; i < out->layout_types_count; i++)
        fill_threshold(export_config(source->export), out->layout_types[i], out);
}

/* Entries of a directory are mostly of one owner: who was the last is not looked up again. */
static int name_owner(const struct attr_source *source, enum idmap_kind kind, uint32_t id,
                      bool may_block, struct attr_owner *owner, struct xdr_bytes *out)
{
    if (!owner->known || owner->id != id) {
        int rc = idmap_to_owner(source->server->idmap, kind, id, may_block, owner->text);

        if (rc)
            return rc;
        owner->known = true;
        owner->id = id;
    }
    *out = xdr_bytes_of(owner->text);
    return 0;
}

static int fill_names(const struct attr_source *source, const bitmap4 *want, bool may_block,
                      struct attr_names *names, struct nfs4_attrs *out)
{
    int rc = 0;

    if (bitmap4_isset(want, FATTR4_OWNER))
        rc = name_owner(source, IDMAP_USER, source->stx->stx_uid, may_block, &names->owner,
                        &out->owner);
    if (!rc && bitmap4_isset(want, FATTR4_OWNER_GROUP))
        rc = name_owner(source, IDMAP_GROUP, source->stx->stx_gid, may_block, &names->group,
                        &out->owner_group);
    return rc;
}

void attr_fill_shared(const struct attr_source *source, struct nfs4_attrs *out)
{
    memset(out, 0, sizeof(*out));
    fill_file_system(source, out);
    if (bitmap4_isset(&out->supported_attrs, FATTR4_FS_LAYOUT_TYPES))
        fill_layout(source, out);
}

int attr_fill(const struct attr_source *source, const bitmap4 *want, bool may_block,
              struct attr_names *names, struct nfs4_attrs *out)
{
    const bitmap4 unset = BITMAP4(FATTR4_TIME_CREATE), write_only = attr_write_only();
    int rc;

    out->present = bitmap4_minus(&out->supported_attrs, &write_only);
    if (!(source->stx->stx_mask & STATX_BTIME))
        out->present = bitmap4_minus(&out->present, &unset);
    if (source->handle.len == 0)
        bitmap4_clear(&out->present, FATTR4_FILEHANDLE);
    fill_object(source, out);
    if (source->fs)
        fill_space(source->fs, out);
    rc = fill_names(source, want, may_block, names, out);
    out->present = bitmap4_and(&out->present, want);
    return rc;
}

/* An export's root is mounted on a directory of the pseudo root. */
static uint64_t mounted_on(const struct place *at)
{
    struct pseudo_dir *dir = at->export ? file_junctions(at) : NULL;

    return dir ? pseudo_fileid(dir) : 0;
}

int attr_of_place(const struct server *server, const struct place *at, const bitmap4 *want,
                  bool may_block, struct attr_names *names, struct nfs4_attrs *out)
{
    struct attr_source source = {.server = server, .export = at->export};
    struct file_stat stat;
    struct statfs fs;
    int rc = attr_wants_birth(want) ? file_stat(at->file, &stat) : file_stat_basic(at->file, &stat);

    if (rc)
        return rc;
    names->owner.known = names->group.known = false;
    source.stx = &stat.stx;
    source.change = stat.change;
    source.mounted_on = mounted_on(at);
    if (attr_wants_handle(want))
        source.handle = file_handle(at, names->handle);
    if (attr_wants_fs(want)) {
        memset(&fs, 0, sizeof(fs));
        if (at->export && fstatfs(file_path_fd(at->file), &fs) != 0)
            return -errno;
        source.fs = &fs;
    }
    attr_fill_shared(&source, out);
    return attr_fill(&source, want, may_block, names, out);
}
