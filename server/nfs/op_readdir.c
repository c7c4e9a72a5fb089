/*
 * READDIR (RFC 8881 section 18.23), on a worker.
 *
 * Cookies: 3 and up are the names that the pseudo root puts into the directory (exports below it),
 * FIRST_REAL_COOKIE and up are the file system's own positions (d_off), which XFS and ext4 keep
 * stable while the directory changes and across restarts. So the cookie verifier only has to tell
 * our cookies from somebody else's. Attributes are read as the client: where it may list but not
 * search, entries have none.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/base/fs_handle.h"
#include "server/base/log.h"
#include "server/export/export.h"
#include "server/export/pseudo.h"
#include "server/file/file.h"
#include "server/file/fs_cred.h"
#include "server/file/fs_status.h"
#include "server/file/handle_cache.h"
#include "server/nfs/attr.h"
#include "server/nfs/op_fs.h"
#include "server/server.h"

enum {
    FIRST_COOKIE = 3,
    FIRST_REAL_COOKIE = FIRST_COOKIE + PSEUDO_CHILDREN_MAX + 21, /* 1024 */
    REPLY_MAX = 256 * 1024,
    TRAILER =
        128, /* of the reply: this operation's number, status and verifier, and an error after it */
    DIRENTS_SIZE = 32 * 1024,
    ENTRY_ARENA = NFS4_ATTR_VALS_MAX + 1024,
};
#define STAT_MASK         (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)
#define REAL_POSITION_MAX ((uint64_t)INT64_MAX - FIRST_REAL_COOKIE)

/* As getdents64(2) gives it. */
struct dirent_record {
    uint64_t ino;
    int64_t off;
    uint16_t len;
    uint8_t type;
    char name[];
};

/* One READDIR under way. */
struct listing {
    struct compound *c;
    struct file_table *table;
    const struct export *export;
    bitmap4 want;
    bool need_stat; /* more is asked for than a directory entry tells */
    bool
        need_handle; /* the file's own identity: its handle, or what only struct file knows of it */
    int dirfd;
    uint64_t mount_id;
    struct pseudo_dir *junctions;
    struct statfs fs;
    bool has_fs;
    struct readdir_writer writer;
    struct arena arena; /* one entry's */
    bool full;
    bool eof;
    uint8_t scratch[ENTRY_ARENA];
    uint8_t dirents[DIRENTS_SIZE] __attribute__((aligned(8)));
};

/* Anything but what an empty or foreign verifier would be; the same after a restart. */
static void cookie_verifier(verifier4 out)
{
    memcpy(out, "sealnfs1", NFS4_VERIFIER_SIZE);
}

static nfsstat4 check_cookie(const READDIR4args *args)
{
    verifier4 ours;

    if (args->cookie == 0)
        return NFS4_OK;
    if (args->cookie < FIRST_COOKIE || args->cookie > INT64_MAX)
        return NFS4ERR_BAD_COOKIE;
    cookie_verifier(ours);
    return memcmp(ours, args->cookieverf, sizeof(ours)) == 0 ? NFS4_OK : NFS4ERR_NOT_SAME;
}

/* The attributes to send when they could not be had: rdattr_error alone, if it was asked for. */
static nfsstat4 attrs_of_failure(struct listing *list, nfsstat4 error, fattr4 *out)
{
    const bitmap4 only = BITMAP4(FATTR4_RDATTR_ERROR);
    struct nfs4_attrs attrs = {.present = only, .rdattr_error = error};

    if (!bitmap4_isset(&list->want, FATTR4_RDATTR_ERROR))
        return error;
    return fs_status(nfs4_attrs_pack(&attrs, &only, NULL, &list->arena, out));
}

static nfsstat4 add_name(struct listing *list, uint64_t cookie, const char *name, int error,
                         const fattr4 *fattr)
{
    nfsstat4 status = NFS4_OK;
    fattr4 failed;

    if (error == -ENOENT || error == -ESTALE) /* vanished meanwhile */
        return NFS4_OK;
    if (error) {
        status = attrs_of_failure(list, fs_status(error), &failed);
        fattr = &failed;
    }
    if (!status && !readdir_writer_add(&list->writer, cookie, xdr_bytes_of(name), fattr))
        list->full = true;
    arena_reset(&list->arena);
    return status;
}

static int pack_attrs(struct listing *list, const struct attr_source *source, fattr4 *out)
{
    struct attr_names names;
    struct nfs4_attrs attrs;
    int rc = attr_fill(source, &list->want, true, &names, &attrs);

    return rc ? rc : nfs4_attrs_pack(&attrs, &list->want, NULL, &list->arena, out);
}

/* One name that the pseudo root puts here. What the peer may not use is shown with an error as its
 * attributes. */
static nfsstat4 add_junction(struct listing *list, struct pseudo_dir *child, uint64_t cookie)
{
    struct attr_names names;
    struct nfs4_attrs attrs;
    struct place place;
    fattr4 fattr;
    int rc = file_from_pseudo(list->table, child, &place);

    if (!rc) {
        if (export_admit(place.export, &list->c->peer) != NFS4_OK)
            rc = -EACCES;
        if (!rc)
            rc = attr_of_place(list->c->server, &place, &list->want, true, &names, &attrs);
        if (!rc)
            rc = nfs4_attrs_pack(&attrs, &list->want, NULL, &list->arena, &fattr);
        file_unref(place.file);
    }
    return add_name(list, cookie, pseudo_name(child), rc, &fattr);
}

static nfsstat4 list_junctions(struct listing *list, uint64_t cookie)
{
    uint64_t i = cookie < FIRST_COOKIE ? 0 : cookie - FIRST_COOKIE + 1;
    nfsstat4 status = NFS4_OK;

    if (!list->junctions || cookie >= FIRST_REAL_COOKIE)
        return NFS4_OK;
    for (; i < pseudo_child_count(list->junctions) && !list->full && !status; i++)
        status =
            add_junction(list, pseudo_child_at(list->junctions, (unsigned)i), FIRST_COOKIE + i);
    return status;
}

/* What only the file's identity gives: its handle, its change attribute and a pinned seal's
 * overlay. */
static int know_file(struct listing *list, const struct fs_handle *found, struct file_stat *stat,
                     struct xdr_bytes *handle, uint8_t wire[NFS4_FHSIZE])
{
    struct file_key key;
    int rc = file_key_from_handle(export_fs_uuid(list->export), found->type, found->bytes,
                                  found->len, &key);

    if (rc)
        return rc;
    if (attr_wants_handle(&list->want))
        *handle = file_handle_of(list->table, list->export, found, wire);
    file_stat_finish(list->table, &key, stat);
    return 0;
}

/* By one descriptor: attributes and handle are of one file even when the name is given to another
 * meanwhile.
 */
static int stat_by_descriptor(struct listing *list, const char *name, struct statx *stx,
                              struct fs_handle *found)
{
    int fd = openat(list->dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc;

    if (fd < 0)
        return -errno;
    rc = statx(fd, "", AT_EMPTY_PATH, STAT_MASK, stx) == 0 ? fs_handle_get(fd, "", found) : -errno;
    close(fd);
    return rc;
}

static int stat_by_name(struct listing *list, const char *name, struct statx *stx,
                        struct fs_handle *found)
{
    struct handle_cache *handles = file_table_handles(list->table);
    int rc;

    if (statx(list->dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STAT_MASK, stx) != 0)
        return -errno;
    if (!list->need_handle || handle_cache_find(handles, stx, found))
        return 0;
    rc = fs_handle_get(list->dirfd, name, found);
    if (!rc && !fs_handle_names_inode(found, stx->stx_ino))
        rc = stat_by_descriptor(list, name, stx, found);
    else if (!rc)
        handle_cache_keep(handles, stx, found);
    return rc;
}

static int stat_entry(struct listing *list, const char *name, struct file_stat *stat,
                      struct xdr_bytes *handle, uint8_t wire[NFS4_FHSIZE])
{
    struct fs_handle found;
    int rc = stat_by_name(list, name, &stat->stx, &found);

    if (!rc && stat->stx.stx_mnt_id != list->mount_id)
        rc = -ENOENT; /* mounted over: not crossed, so not shown */
    if (rc)
        return rc;
    return list->need_handle ? know_file(list, &found, stat, handle, wire) : 0;
}

/* What the entry itself tells is enough; a directory may be a mount point, which only a look tells.
 */
static bool entry_suffices(const struct listing *list, const struct dirent_record *entry)
{
    return !list->need_stat && entry->type != DT_DIR && entry->type != DT_UNKNOWN;
}

static nfsstat4 add_entry(struct listing *list, const struct dirent_record *entry, uint64_t cookie)
{
    struct file_stat stat = {.change = 0};
    struct attr_source source = {
        .server = list->c->server, .export = list->export, .stx = &stat.stx};
    uint8_t wire[NFS4_FHSIZE];
    fattr4 fattr;
    int rc = 0;

    if (entry_suffices(list, entry)) {
        stat.stx.stx_ino = entry->ino;
        stat.stx.stx_mode = (uint16_t)DTTOIF(entry->type);
    } else {
        rc = stat_entry(list, entry->name, &stat, &source.handle, wire);
    }
    source.change = stat.change;
    source.fs = list->has_fs ? &list->fs : NULL;
    if (!rc)
        rc = pack_attrs(list, &source, &fattr);
    return add_name(list, cookie, entry->name, rc, &fattr);
}

static bool is_shown(const struct listing *list, const char *name)
{
    char checked[NAME_SIZE];

    if (name_check(xdr_bytes_of(name), list->c->server->config->utf8_names, checked) !=
        NFS4_OK) { /* ".", "..", and what no client could ask for */
        if (name[0] != '.')
            log_debug("a name that is not UTF-8 is left out of a listing");
        return false;
    }
    return !list->junctions || !pseudo_child(list->junctions, name);
}

static uint64_t cookie_of(const struct dirent_record *entry)
{
    uint64_t position = (uint64_t)entry->off;

    return (position > REAL_POSITION_MAX ? REAL_POSITION_MAX : position) + FIRST_REAL_COOKIE;
}

static nfsstat4 add_records(struct listing *list, size_t len)
{
    nfsstat4 status = NFS4_OK;

    for (size_t at = 0; at < len && !list->full && !status;) {
        const struct dirent_record *entry = (const struct dirent_record *)(list->dirents + at);

        if (is_shown(list, entry->name))
            status = add_entry(list, entry, cookie_of(entry));
        at += entry->len;
    }
    return status;
}

static nfsstat4 list_real(struct listing *list, uint64_t cookie)
{
    nfsstat4 status = NFS4_OK;

    if (list->dirfd < 0) {
        list->eof = !list->full;
        return NFS4_OK;
    }
    if (cookie >= FIRST_REAL_COOKIE &&
        lseek(list->dirfd, (off_t)(cookie - FIRST_REAL_COOKIE), SEEK_SET) < 0)
        return NFS4ERR_BAD_COOKIE;
    while (!status && !list->full) {
        long len = syscall(SYS_getdents64, list->dirfd, list->dirents, sizeof(list->dirents));

        if (len < 0)
            return fs_status(-errno);
        if (len == 0) {
            list->eof = true;
            break;
        }
        status = add_records(list, (size_t)len);
    }
    return status;
}

static nfsstat4 list_open(struct listing *list)
{
    struct file *dir = list->c->current.file;

    list->dirfd = -1;
    if (file_is_pseudo(dir))
        return NFS4_OK;
    list->dirfd = fs_reopen(file_path_fd(dir), O_RDONLY | O_DIRECTORY);
    if (list->dirfd < 0)
        return fs_status(list->dirfd);
    list->mount_id = (uint64_t)export_mount_id(list->export);
    if (attr_wants_fs(&list->want)) {
        if (fstatfs(list->dirfd, &list->fs) != 0)
            return fs_status(-errno);
        list->has_fs = true;
    }
    return NFS4_OK;
}

static void list_wants(struct listing *list, const bitmap4 *want)
{
    const bitmap4 from_entry =
        BITMAP4(FATTR4_RDATTR_ERROR, FATTR4_FILEID, FATTR4_MOUNTED_ON_FILEID, FATTR4_TYPE,
                FATTR4_FSID, FATTR4_FH_EXPIRE_TYPE, FATTR4_LEASE_TIME);
    const bitmap4 from_stat = bitmap4_minus(want, &from_entry);
    const bitmap4 from_file =
        BITMAP4(FATTR4_FILEHANDLE, FATTR4_CHANGE, FATTR4_TIME_MODIFY, FATTR4_TIME_METADATA);
    const bitmap4 file_only = bitmap4_and(want, &from_file);

    list->want = *want;
    list->need_stat = !bitmap4_empty(&from_stat);
    list->need_handle = !bitmap4_empty(&file_only);
}

/* As the client; cookie verified, writer begun. */
static nfsstat4 list_directory(struct listing *list, uint64_t cookie)
{
    nfsstat4 status;
    int rc = fs_cred_enter(&list->c->cred, list->export);

    if (rc)
        return fs_status(rc);
    status = list_open(list);
    if (!status)
        status = list_junctions(list, cookie);
    if (!status && !list->full)
        status = list_real(list, cookie);
    fs_cred_leave();
    if (list->dirfd >= 0)
        close(list->dirfd);
    if (!status && list->full && list->writer.entries == 0)
        status = NFS4ERR_TOOSMALL;
    return status;
}

/* As much as the client takes, the rest of the reply has room for, and no more than REPLY_MAX. */
static uint32_t reply_room(const struct compound *c)
{
    const size_t used = xdr_out_len(&c->out) + TRAILER;
    const size_t limit =
        c->cache_this && c->max_cached < c->max_reply ? c->max_cached : c->max_reply;
    size_t room = limit > used ? limit - used : 0;

    if (room > c->args.readdir.maxcount)
        room = c->args.readdir.maxcount;
    return (uint32_t)(room < REPLY_MAX ? room : REPLY_MAX);
}

static nfsstat4 answer_listing(struct compound *c, struct listing *list)
{
    const READDIR4args *args = &c->args.readdir;
    READDIR4resok *ok = &c->res.readdir.resok4;
    const uint32_t size = reply_room(c);
    void *buffer = arena_alloc(&c->arena, size);
    nfsstat4 status;

    if (!buffer)
        return NFS4ERR_DELAY;
    if (!readdir_writer_begin(&list->writer, buffer, size, args->dircount, args->maxcount))
        return NFS4ERR_TOOSMALL;
    status = list_directory(list, args->cookie);
    if (status)
        return status;
    cookie_verifier(ok->cookieverf);
    ok->reply.encoded = readdir_writer_end(&list->writer, list->eof);
    return NFS4_OK;
}

enum op_next op_readdir(struct compound *c)
{
    const bitmap4 write_only = attr_write_only();
    const bitmap4 wrong = bitmap4_and(&c->args.readdir.attr_request, &write_only);
    struct listing *list;
    nfsstat4 status;

    if (!S_ISDIR(file_type(c->current.file)))
        return op_done(c, NFS4ERR_NOTDIR);
    status = bitmap4_empty(&wrong) ? check_cookie(&c->args.readdir) : NFS4ERR_INVAL;
    if (status)
        return op_done(c, status);
    if (!c->on_worker)
        return OP_BLOCK;
    list = malloc(sizeof(*list));
    if (!list)
        return op_done(c, NFS4ERR_DELAY);
    memset(list, 0, offsetof(struct listing, scratch));
    list->c = c;
    list->table = c->server->files;
    list->export = c->current.export;
    list->junctions = file_junctions(&c->current);
    list_wants(list, &c->args.readdir.attr_request);
    arena_init_with(&list->arena, ENTRY_ARENA, list->scratch, sizeof(list->scratch));
    status = answer_listing(c, list);
    arena_free(&list->arena);
    free(list);
    return op_done(c, status);
}
