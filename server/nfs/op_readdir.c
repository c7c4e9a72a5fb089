/*
 * READDIR (RFC 8881 section 18.23), on a worker.
 *
 * Cookies: 3 and up are the names that the pseudo root puts into the directory (exports below it),
 * FIRST_REAL_COOKIE and up are the file system's own positions (d_off), which XFS and ext4 keep
 * stable while the directory changes and across restarts. So the cookie verifier only has to tell
 * our cookies from somebody else's. Attributes are read as the client: where it may list but not
 * search, entries have none.
 *
 * Attributes are asked of the kernel for each entry and each time; nothing of them is kept. A file
 * in memory is asked by its own descriptor, without its name, which is less than half the work: the
 * entry's inode number tells which it is (file_find_inode). That takes a directory that the client
 * may search, and a mount with no other in it, since a name would tell what is mounted there and a
 * descriptor does not. An entry that is listed again comes into memory. From an entry to the wire
 * it is one pass: the values are encoded where the reply is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/base/buffer.h"
#include "server/base/fs_handle.h"
#include "server/base/log.h"
#include "server/export/export.h"
#include "server/export/pseudo.h"
#include "server/export/submounts.h"
#include "server/file/file.h"
#include "server/file/fs_cred.h"
#include "server/file/fs_status.h"
#include "server/file/handle_cache.h"
#include "server/nfs/attr.h"
#include "server/server.h"

enum {
    FIRST_COOKIE = 3,
    FIRST_REAL_COOKIE = FIRST_COOKIE + PSEUDO_CHILDREN_MAX + 21, /* 1024 */
    REPLY_MAX = 256 * 1024,
    TRAILER =
        128, /* of the reply: this operation's number, status and verifier, and an error after it */
    DIRENTS_SIZE = 32 * 1024,
    DIRENTS_LEAST = 1024, /* a few names, and one of any length */
    ATTRIBUTES_PART = 4,  /* an entry with attributes takes so much more than the kernel's */
    COPIED_MAX = 2048,    /* lists up to this are copied into the reply */
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
    bool by_inode;   /* entries may be asked by the descriptor of their file */
    uint64_t now;    /* file_table_now, before the entries at hand were read */
    int dirfd;
    uint64_t mount_id;
    struct pseudo_dir *junctions;
    struct statfs fs;
    bool has_fs;
    struct readdir_writer writer;
    struct nfs4_attrs attrs; /* what all entries share, then one entry's */
    struct attr_names names; /* one entry's */
    bool full;
    bool eof;
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

/* The entry's attributes could not be had: rdattr_error alone, if it was asked for. */
static nfsstat4 add_failed(struct listing *list, uint64_t cookie, struct xdr_bytes name,
                           nfsstat4 error)
{
    const bitmap4 only = BITMAP4(FATTR4_RDATTR_ERROR);
    const struct nfs4_attrs attrs = {.present = only, .rdattr_error = error};

    if (!bitmap4_isset(&list->want, FATTR4_RDATTR_ERROR))
        return error;
    if (!readdir_writer_add(&list->writer, cookie, name, &only, &attrs))
        list->full = true;
    return NFS4_OK;
}

/* error: of getting the attributes. */
static nfsstat4 add_name(struct listing *list, uint64_t cookie, struct xdr_bytes name, int error,
                         const struct nfs4_attrs *attrs)
{
    if (error == -ENOENT || error == -ESTALE) /* vanished meanwhile */
        return NFS4_OK;
    if (error)
        return add_failed(list, cookie, name, fs_status(error));
    if (!readdir_writer_add(&list->writer, cookie, name, &list->want, attrs))
        list->full = true;
    return NFS4_OK;
}

/* One name that the pseudo root puts here. What the peer may not use is shown with an error as its
 * attributes. */
static nfsstat4 add_junction(struct listing *list, struct pseudo_dir *child, uint64_t cookie)
{
    struct attr_names names;
    struct nfs4_attrs attrs;
    struct place place;
    nfsstat4 admitted;
    int rc;

    if (pseudo_export(child) && export_is_away(pseudo_export(child)) &&
        pseudo_child_count(child) == 0)
        return NFS4_OK; /* not shown: who lists a directory does not wait for a disk below it */
    rc = file_from_pseudo(list->table, child, &place);
    if (!rc) {
        admitted = export_admit(place.export, &list->c->peer);
        if (admitted != NFS4_OK)
            rc = admitted == NFS4ERR_DELAY ? -EAGAIN : -EACCES;
        if (!rc)
            rc = attr_of_place(list->c->server, &place, &list->want, true, &names, &attrs);
        file_unref(place.file);
    }
    return add_name(list, cookie, xdr_bytes_of(pseudo_name(child)), rc, &attrs);
}

static nfsstat4 list_junctions(struct listing *list, uint64_t cookie)
{
    uint64_t i = cookie < FIRST_COOKIE ? 0 : cookie - FIRST_COOKIE + 1;
    nfsstat4 status = NFS4_OK;

    if (!list->junctions || cookie >= FIRST_REAL_COOKIE)
        return NFS4_OK;
    for (; i < pseudo_slot_count(list->junctions) && !list->full && !status; i++) {
        struct pseudo_dir *child = pseudo_slot(list->junctions, (unsigned)i);

        if (child)
            status = add_junction(list, child, FIRST_COOKIE + i);
    }
    return status;
}

/* A file that was listed before, and is listed again, is asked by its descriptor from now on. A
 * failure is one of this attempt only. */
static void bring_in(struct listing *list, const char *name, const struct file_key *key)
{
    struct place place;

    if (list->by_inode && file_table_has_room(list->table, key) &&
        file_lookup(&list->c->current, name, true, &place) == 0)
        file_unref(place.file);
}

/* What only the file's identity gives: its handle, its change attribute and a pinned seal's
 * overlay. */
static int know_file(struct listing *list, const struct fs_handle *found, struct file_key *key,
                     struct file_stat *stat, struct xdr_bytes *handle)
{
    int rc = file_key_from_handle(export_fs_uuid(list->export), found->type, found->bytes,
                                  found->len, key);

    if (rc)
        return rc;
    if (attr_wants_handle(&list->want))
        *handle = file_handle_of(list->table, list->export, found, list->names.handle);
    return file_stat_finish(list->table, key, stat);
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

/* listed: the entry was listed before. */
static int stat_by_name(struct listing *list, const char *name, struct statx *stx,
                        struct fs_handle *found, bool *listed)
{
    struct handle_cache *handles = file_table_handles(list->table);
    int rc;

    if (statx(list->dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STAT_MASK, stx) != 0)
        return -errno;
    if (!list->need_handle)
        return 0;
    *listed = handle_cache_find(handles, stx, found);
    if (*listed)
        return 0;
    rc = fs_handle_get(list->dirfd, name, found);
    if (!rc && !fs_handle_names_inode(found, stx->stx_ino))
        rc = stat_by_descriptor(list, name, stx, found);
    else if (!rc)
        handle_cache_keep(handles, stx, found);
    return rc;
}

static int stat_entry(struct listing *list, const char *name, struct file_stat *stat,
                      struct xdr_bytes *handle)
{
    struct file_key key;
    struct fs_handle found;
    bool listed = false;
    int rc = stat_by_name(list, name, &stat->stx, &found, &listed);

    if (!rc && stat->stx.stx_mnt_id != list->mount_id)
        rc = -ENOENT; /* mounted over: not crossed, so not shown */
    if (rc || !list->need_handle)
        return rc;
    rc = know_file(list, &found, &key, stat, handle);
    if (!rc && listed)
        bring_in(list, name, &key);
    return rc;
}

/* 1: known; 0: the file is not in memory. */
static int stat_by_inode(struct listing *list, uint64_t ino, struct file_stat *stat,
                         struct xdr_bytes *handle)
{
    struct place place = {.export = list->c->current.export};
    int rc;

    if (!list->by_inode)
        return 0;
    place.file = file_find_inode(list->table, place.export, ino, list->now);
    if (!place.file)
        return 0;
    rc = attr_wants_birth(&list->want) ? file_stat(place.file, stat)
                                       : file_stat_basic(place.file, stat);
    if (!rc && stat->stx.stx_nlink == 0)
        rc = -ENOENT;
    if (!rc && attr_wants_handle(&list->want))
        *handle = file_handle(&place, list->names.handle);
    file_unref(place.file);
    if (!rc && stat->stx.stx_ino != ino)
        return 0;
    return rc ? rc : 1;
}

/* What the entry itself tells is enough; a directory may be a mount point, which only a look tells.
 */
static bool entry_suffices(const struct listing *list, const struct dirent_record *entry)
{
    return !list->need_stat && entry->type != DT_DIR && entry->type != DT_UNKNOWN;
}

static int know_entry(struct listing *list, const struct dirent_record *entry,
                      struct file_stat *stat, struct xdr_bytes *handle)
{
    int rc;

    if (entry_suffices(list, entry)) {
        stat->stx =
            (struct statx){.stx_ino = entry->ino, .stx_mode = (uint16_t)DTTOIF(entry->type)};
        return 0;
    }
    rc = stat_by_inode(list, entry->ino, stat, handle);
    if (rc)
        return rc < 0 ? rc : 0;
    return stat_entry(list, entry->name, stat, handle);
}

static uint64_t cookie_of(const struct dirent_record *entry)
{
    uint64_t position = (uint64_t)entry->off;

    return (position > REAL_POSITION_MAX ? REAL_POSITION_MAX : position) + FIRST_REAL_COOKIE;
}

static nfsstat4 add_entry(struct listing *list, const struct dirent_record *entry,
                          struct xdr_bytes name)
{
    struct file_stat stat; /* not cleared as a whole: an entry costs little else */
    struct attr_source source = {.server = list->c->server,
                                 .export = list->export,
                                 .stx = &stat.stx,
                                 .fs = list->has_fs ? &list->fs : NULL};
    int rc;

    stat.change = 0;
    rc = know_entry(list, entry, &stat, &source.handle);
    source.change = stat.change;
    if (!rc)
        rc = attr_fill(&source, &list->want, true, &list->names, &list->attrs);
    return add_name(list, cookie_of(entry), name, rc, &list->attrs);
}

static bool is_shown(const struct listing *list, struct xdr_bytes name, const char *text)
{
    const bool utf8 = list->c->server->config->utf8_names;

    if (name_judge(name, utf8) != NFS4_OK) { /* ".", "..", and what no client could ask for */
        if (text[0] != '.')
            log_debug("a name that is not UTF-8 is left out of a listing");
        return false;
    }
    return !list->junctions || !pseudo_child(list->junctions, text);
}

static nfsstat4 add_records(struct listing *list, size_t len)
{
    nfsstat4 status = NFS4_OK;

    for (size_t at = 0; at < len && !list->full && !status;) {
        const struct dirent_record *entry = (const struct dirent_record *)(list->dirents + at);
        const struct xdr_bytes name = xdr_bytes_of(entry->name);

        if (is_shown(list, name, entry->name))
            status = add_entry(list, entry, name);
        at += entry->len;
    }
    return status;
}

/* What is read beyond what the reply has room for is read once more for the next. */
static size_t dirents_wanted(const struct listing *list)
{
    const size_t left = xdr_out_left(&list->writer.out) / (list->need_stat ? ATTRIBUTES_PART : 1);

    if (left < DIRENTS_LEAST)
        return DIRENTS_LEAST;
    return left < DIRENTS_SIZE ? left : DIRENTS_SIZE;
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
        long len;

        list->now = file_table_now(list->table);
        len = syscall(SYS_getdents64, list->dirfd, list->dirents, dirents_wanted(list));
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

/* By ".", which takes that the client may search the directory too; else by the descriptor alone,
 * and then no entry has attributes for it. */
static int open_directory(const struct file *dir, bool *may_search)
{
    int fd = openat(file_path_fd(dir), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    *may_search = fd >= 0;
    return fd >= 0 ? fd : fs_reopen(file_path_fd(dir), O_RDONLY | O_DIRECTORY);
}

static nfsstat4 list_open(struct listing *list)
{
    struct file *dir = list->c->current.file;
    bool may_search;

    list->dirfd = -1;
    if (file_is_pseudo(dir))
        return NFS4_OK;
    list->dirfd = open_directory(dir, &may_search);
    if (list->dirfd < 0)
        return fs_status(list->dirfd);
    list->mount_id = (uint64_t)export_mount_id(list->export);
    list->by_inode = may_search && list->need_stat &&
                     submounts_none(file_table_submounts(list->table), (int)list->mount_id);
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

/* A short list does not hold the whole buffer until it has left. */
static nfsstat4 keep_list(struct compound *c, dirlist4 *reply, struct buffer *buffer)
{
    if (reply->encoded.len > COPIED_MAX) {
        reply->encoded_owner = buffer;
        return NFS4_OK;
    }
    reply->encoded.data = arena_dup(&c->arena, reply->encoded.data, reply->encoded.len);
    buffer_unref(buffer);
    return reply->encoded.data ? NFS4_OK : NFS4ERR_DELAY;
}

static nfsstat4 answer_listing(struct compound *c, struct listing *list)
{
    const READDIR4args *args = &c->args.readdir;
    READDIR4resok *ok = &c->res.readdir.resok4;
    const uint32_t size = reply_room(c);
    struct buffer *buffer = buffer_get(size);
    nfsstat4 status = NFS4ERR_TOOSMALL;

    if (!buffer)
        return NFS4ERR_DELAY;
    if (readdir_writer_begin(&list->writer, buffer->data, size, args->dircount, args->maxcount))
        status = list_directory(list, args->cookie);
    if (status) {
        buffer_unref(buffer);
        return status;
    }
    cookie_verifier(ok->cookieverf);
    ok->reply.encoded = readdir_writer_end(&list->writer, list->eof);
    return keep_list(c, &ok->reply, buffer);
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
    memset(list, 0, offsetof(struct listing, dirents));
    list->c = c;
    list->table = c->server->files;
    list->export = c->current.export;
    list->junctions = file_junctions(&c->current);
    list_wants(list, &c->args.readdir.attr_request);
    attr_fill_shared(&(struct attr_source){.server = c->server, .export = list->export},
                     &list->attrs);
    status = answer_listing(c, list);
    free(list);
    return op_done(c, status);
}
