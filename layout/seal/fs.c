/* Sealing as the file system sees it: see seal/fs.h. What is decided, and its wording, is in
 * seal/judge.c. */
#include "layout/seal/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "layout/mount_info.h"
#include "layout/seal/cache.h"
#include "layout/seal/clone.h"
#include "layout/seal/ext4_options.h"
#include "layout/seal/fiemap.h"
#include "layout/seal/fill.h"
#include "layout/seal/judge.h"
#include "layout/seal/mark.h"
#include "layout/seal/reserve.h"
#include "layout/seal/writers.h"

/* The kernel moves 32 bits, whatever the ioctl's number says. */
static int get_flags(int fd, unsigned int *flags)
{
    return ioctl(fd, FS_IOC_GETFLAGS, flags) == 0 ? 0 : -errno;
}

static int set_flags(int fd, unsigned int flags)
{
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0 ? 0 : -errno;
}

static int gather_inode(int fd, struct seal_facts *facts)
{
    struct fsxattr xattr;
    struct file_key named;
    enum seal_kind kind;
    unsigned int flags;
    int err = get_flags(fd, &flags);

    if (err)
        return err;
    facts->immutable = flags & FS_IMMUTABLE_FL;
    facts->marked = facts->immutable && seal_mark_find(fd, &kind, &named) == 0;
    facts->encrypted = flags & FS_ENCRYPT_FL;
    facts->data_journal = facts->data_journal || (flags & FS_JOURNAL_DATA_FL);
    if (ioctl(fd, FS_IOC_FSGETXATTR, &xattr) != 0)
        return -errno;
    facts->realtime = xattr.fsx_xflags & FS_XFLAG_REALTIME;
    return 0;
}

static void gather_ext4(dev_t dev, struct seal_facts *facts)
{
    bool journals = true;

    facts->options_error = ext4_options_journal_data(dev, &journals);
    facts->data_journal = !facts->options_error && journals;
}

/* On file systems other than XFS and ext4 only what names them is gathered: they are refused
 * anyhow. */
static int gather(int fd, struct seal_facts *facts, struct mount_info *mount)
{
    struct stat st;
    bool xfs;
    int err = mount_info_get(fd, mount);

    if (err)
        return err;
    if (fstat(fd, &st) != 0)
        return -errno;
    xfs = strcmp(mount->type, "xfs") == 0;
    *facts = (struct seal_facts){
        .mode = st.st_mode,
        .size = (uint64_t)st.st_size,
        .fs_type = mount->type,
        .read_only = mount_info_has(mount, "ro"),
    };
    if (!S_ISREG(st.st_mode) || (!xfs && strcmp(mount->type, "ext4") != 0))
        return 0;
    if (xfs)
        err = seal_can_be_cloned(fd, &facts->reflink);
    else
        gather_ext4(st.st_dev, facts);
    return err ? err : gather_inode(fd, facts);
}

static int judge_privileges(int fd, enum seal_kind kind, struct seal_refusal *why)
{
    struct stat st;
    ssize_t len = fgetxattr(fd, "security.capability", NULL, 0);

    if (len < 0 && errno != ENODATA && errno != EOPNOTSUPP)
        return seal_refuse_errno(why, errno, "reading the file's capabilities");
    if (fstat(fd, &st) != 0)
        return seal_refuse_errno(why, errno, "reading what the file is");
    return seal_judge_privileges(st.st_mode, len > 0, kind, why);
}

static int judge_file(int fd, const struct seal_fs_request *request, struct seal_facts *facts,
                      struct seal_refusal *why)
{
    struct mount_info mount;
    int err = gather(fd, facts, &mount);

    if (err)
        return seal_refuse_errno(why, -err, "reading what the file is");
    if (request->growing && !facts->size)
        facts->size = 1;
    facts->guarded = request->guarded;
    facts->unguarded = request->unguarded;
    err = seal_judge_file(facts, request->kind, why);
    facts->fs_type = NULL; /* the mount's */
    return err ? err : judge_privileges(fd, request->kind, why);
}

int seal_fs_prepare(int fd, const struct seal_fs_request *request, struct seal_refusal *why)
{
    struct seal_facts facts;
    int err = judge_file(fd, request, &facts, why);

    if (!err && (request->fill || request->unshare))
        err = seal_fs_prove_no_writer(fd, why);
    if (!err && request->unshare && facts.reflink)
        err = seal_unshare(fd, facts.size, why);
    if (!err && request->fill)
        err = seal_fill(fd, facts.size, why);
    if (err)
        return err;
    /* Most of the writing happens here, so that it does not have to while the flag is set. */
    return fsync(fd) == 0 ? 0 : seal_refuse_flush(why, errno, "fsync of the file");
}

int seal_fs_get_flag(int fd, bool *set)
{
    unsigned int flags;
    int err = get_flags(fd, &flags);

    if (!err)
        *set = flags & FS_IMMUTABLE_FL;
    return err;
}

int seal_fs_is_sealed(int fd, bool *sealed, enum seal_kind *kind, struct file_key *named)
{
    bool set = false;
    int err = seal_fs_get_flag(fd, &set);

    if (!err && set) {
        err = seal_mark_find(fd, kind, named);
        set = !err;
    }
    if (err && err != -ENODATA && err != -EOPNOTSUPP)
        return err;
    *sealed = set;
    return 0;
}

/* The mark that a reserve has set stays: by it the reserve is cut off. */
static int undo_flag(int fd, unsigned int flags, bool was_marked)
{
    int err = set_flags(fd, flags);

    return err || was_marked ? err : seal_mark_remove(fd);
}

int seal_fs_set_flag(int fd, enum seal_kind kind, struct seal_refusal *why)
{
    unsigned int flags;
    enum seal_kind before;
    bool was_marked = seal_mark_get(fd, &before) == 0;
    int err = get_flags(fd, &flags);

    if (!err && (flags & FS_IMMUTABLE_FL))
        return seal_refuse(why, SEAL_REFUSED_ALREADY_IMMUTABLE, EPERM,
                           "the file became immutable by somebody else while it was being sealed");
    if (!err)
        err = seal_mark_set(fd, kind);
    if (err)
        return seal_refuse_errno(why, -err, "marking the file as sealed");
    err = set_flags(fd, flags | FS_IMMUTABLE_FL);
    if (err) {
        if (!was_marked)
            (void)seal_mark_remove(fd);
        return seal_refuse_errno(why, -err, "setting the immutable flag");
    }
    if (fsync(fd) != 0) {
        err = errno;
        (void)undo_flag(fd, flags, was_marked);
        return seal_refuse_flush(why, err, "making the immutable flag durable");
    }
    return 0;
}

/* A file that the flag is not on may be changing again: its pages are no longer ours to judge. */
static int drop_flag(int fd, enum seal_kind kind, struct seal_refusal *why)
{
    unsigned int flags;
    struct stat st;
    int err = get_flags(fd, &flags);

    if (!err && fstat(fd, &st) != 0)
        err = -errno;
    if (!err && kind == SEAL_KIND_PINNED) {
        err = seal_cache_drop(fd, (uint64_t)st.st_size, why);
        if (err)
            return err;
    }
    if (!err)
        err = set_flags(fd, flags & ~(unsigned int)FS_IMMUTABLE_FL);
    return err ? seal_refuse_errno(why, -err, "clearing the immutable flag") : 0;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* With the flag gone since before a crash the file may have been changed: its time never goes
 * backwards, from what it was before the reserve was cut off. */
static int set_mtime(int fd, const struct timespec *mtime, bool was_flagged,
                     const struct timespec *before)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *mtime};
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    if ((!was_flagged && is_later(before, mtime)) ||
        (!is_later(&st.st_mtim, mtime) && !is_later(mtime, &st.st_mtim)))
        return 0;
    return futimens(fd, times) == 0 ? 0 : -errno;
}

static int make_cleared_durable(int fd, struct seal_refusal *why)
{
    return fsync(fd) == 0
               ? 0
               : seal_refuse_flush(why, errno, "making the cleared immutable flag durable");
}

static int finish_clearing(int fd, const struct seal_cut *cut, struct seal_refusal *why)
{
    unsigned int flags;
    int err = cut && cut->immutable ? get_flags(fd, &flags) : 0;

    if (!err && cut && cut->immutable)
        err = set_flags(fd, flags | FS_IMMUTABLE_FL);
    return err ? seal_refuse_errno(why, -err, "giving the file its immutable flag back")
               : make_cleared_durable(fd, why);
}

static int clear_flag(int fd, enum seal_kind kind, const struct seal_cut *cut,
                      const struct timespec *mtime, struct seal_refusal *why)
{
    struct file_key named;
    struct stat before;
    enum seal_kind marked;
    bool set = false;
    int err = seal_fs_get_flag(fd, &set);

    if (!err && fstat(fd, &before) != 0)
        err = -errno;
    if (!err)
        err = seal_mark_find(fd, &marked, &named);
    if (err == -ENODATA) /* an attempt before may have failed after it took the mark off */
        return finish_clearing(fd, cut, why);
    if (err)
        return seal_refuse_errno(why, -err, "reading the seal's mark");
    if (set)
        err = drop_flag(fd, kind, why);
    if (!err && cut)
        err = seal_cut(fd, cut, why);
    if (err)
        return err;
    if (!mtime && cut) /* what was cut off was never the file's */
        mtime = &before.st_mtim;
    if (mtime) {
        err = set_mtime(fd, mtime, set, &before.st_mtim);
        if (err)
            return seal_refuse_errno(why, -err, "setting the modification time");
    }
    err = seal_mark_remove(fd);
    if (err)
        return seal_refuse_errno(why, -err, "taking the seal's mark off");
    return finish_clearing(fd, cut, why);
}

int seal_fs_clear_flag(int fd, enum seal_kind kind, const struct timespec *mtime,
                       struct seal_refusal *why)
{
    return clear_flag(fd, kind, NULL, mtime, why);
}

int seal_fs_clear_grown(int fd, const struct seal_cut *cut, const struct timespec *mtime,
                        struct seal_refusal *why)
{
    return clear_flag(fd, SEAL_KIND_PINNED, cut, mtime, why);
}

static int refuse_writer(int fd, struct seal_refusal *why)
{
    char who[96];

    if (writers_describe(fd, who, sizeof(who)))
        return seal_refuse(why, SEAL_REFUSED_WRITER, EBUSY,
                           "%s; close it there, or stop that process, and try again", who);
    return seal_refuse(why, SEAL_REFUSED_WRITER, EBUSY,
                       "it is open for writing or mapped writable by something that was not found "
                       "in /proc: the kernel (a "
                       "loop device, swap, a file server), or a process that this one may not look "
                       "into (lsof FILE, or fuser -v FILE, names it); end that and try again");
}

/*
 * The kernel grants a read lease only when the inode's count of writers, mappings included, is
 * zero; a write lease, when the descriptor it is asked through is the only one that writes and none
 * reads.
 */
int seal_fs_prove_no_writer(int fd, struct seal_refusal *why)
{
    int mode = fcntl(fd, F_GETFL),
        lease = mode >= 0 && (mode & O_ACCMODE) != O_RDONLY ? F_WRLCK : F_RDLCK;
    int err;

    /* A broken lease would signal this process with SIGIO, which kills by default; SIGURG is
     * ignored by default. */
    if (fcntl(fd, F_SETSIG, SIGURG) != 0)
        return seal_refuse_errno(why, errno, "F_SETSIG for the read lease");
    if (fcntl(fd, F_SETLEASE, lease) == 0) {
        if (fcntl(fd, F_SETLEASE, F_UNLCK) == 0)
            return 0;
        return seal_refuse_errno(why, errno, "giving the read lease back");
    }
    err = errno;
    if (err == EAGAIN)
        return refuse_writer(fd, why);
    if (err == EINVAL)
        return seal_refuse(
            why, SEAL_REFUSED_NO_LEASES, EINVAL,
            "the kernel gives no leases, without which writers cannot be excluded; set "
            "/proc/sys/fs/leases-enable to 1");
    return seal_refuse_errno(why, err, "taking a lease to prove that nobody writes");
}

struct map_read {
    struct map_builder *builder;
    bool judged, shared;
    uint64_t volume_size;
    struct seal_refusal *why;
};

static int add_extent(void *context, const struct fiemap_extent *fe)
{
    struct map_read *r = context;
    struct seal_extent_facts facts = {fe->fe_logical, fe->fe_length, fe->fe_physical, fe->fe_flags};
    struct seal_extent e = {fe->fe_logical, fe->fe_length, fe->fe_physical, SEAL_EXTENT_DATA};
    int err = 0;

    r->shared = r->shared || (fe->fe_flags & FIEMAP_EXTENT_SHARED);
    if (r->judged)
        err = seal_judge_extent(&facts, r->volume_size, r->why);
    else if (!seal_extent_is_data(fe->fe_flags))
        return 0;
    if (err)
        return err;
    err = map_builder_add(r->builder, &e);
    if (err == -EINVAL)
        return seal_refuse(r->why, SEAL_REFUSED_MAP_BROKEN, EIO,
                           "the file system gave extents that overlap or are not aligned; check it "
                           "(xfs_repair -n, "
                           "e2fsck -n)");
    if (err == -E2BIG)
        return seal_refuse(
            r->why, SEAL_REFUSED_TOO_MANY_EXTENTS, E2BIG,
            "the file has more than %d extents; defragment it (xfs_fsr, e4defrag) or copy it",
            (int)MAP_MAX_EXTENTS);
    return err ? seal_refuse_errno(r->why, -err, "building the map") : 0;
}

static int finish_map(struct map_read *r, struct seal_map **map)
{
    int err = map_builder_finish(r->builder, map);

    if (err == -EEXIST)
        return seal_refuse(
            r->why, SEAL_REFUSED_MAP_BROKEN, EIO,
            "the file system gave one place of the device to two parts of the file; check it "
            "(xfs_repair -n, e2fsck -n)");
    return err ? seal_refuse_errno(r->why, -err, "building the map") : 0;
}

static int read_map(int fd, struct map_read *r, struct seal_map **map)
{
    struct stat st;
    struct statfs fs;
    int err;

    if (fsync(fd) != 0)
        return seal_refuse_flush(r->why, errno, "fsync of the file");
    if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
        return seal_refuse_errno(r->why, errno, "reading the file's size");
    if (fs.f_bsize < 512 || fs.f_bsize > 1 << 30)
        return seal_refuse(r->why, SEAL_REFUSED_FILESYSTEM, EIO,
                           "the file system names a block size of %ld", (long)fs.f_bsize);
    err = map_builder_create((uint64_t)st.st_size, (uint32_t)fs.f_bsize, &r->builder);
    if (err)
        return seal_refuse_errno(r->why, -err, "building the map");
    /* add_extent leaves its own text; the ioctl's failure comes without one. */
    if (r->why)
        r->why->code = SEAL_REFUSED_NOT;
    err = fiemap_walk(fd, (uint64_t)st.st_size, add_extent, r);
    if (err) {
        map_builder_destroy(r->builder);
        if (r->why && r->why->code == SEAL_REFUSED_NOT)
            return seal_refuse_errno(r->why, -err, "FIEMAP");
        return err;
    }
    return finish_map(r, map);
}

int seal_fs_read_map(int fd, enum seal_kind kind, bool sparse, uint64_t volume_size,
                     struct seal_map **map, struct seal_refusal *why)
{
    struct map_read r = {.judged = true, .volume_size = volume_size, .why = why};
    struct seal_map *found;
    int err = read_map(fd, &r, &found);

    if (err)
        return err;
    err = seal_judge_map(found, kind, sparse, why);
    if (!err)
        err = judge_privileges(fd, kind, why); /* once more: from the flag on they cannot be set */
    if (!err)
        err = seal_fs_prove_no_writer(fd, why);
    if (err) {
        map_free(found);
        return err;
    }
    *map = found;
    return 0;
}

int seal_fs_reread_map(int fd, struct seal_map **map, bool *shared, struct seal_refusal *why)
{
    struct map_read r = {.why = why};
    int err = read_map(fd, &r, map);

    *shared = !err && r.shared;
    return err;
}

int seal_fs_try(int fd, const struct seal_fs_request *request, uint64_t volume_size,
                struct seal_refusal *why)
{
    struct seal_facts facts;
    struct seal_map *map = NULL;
    int err = judge_file(fd, request, &facts, why);

    if (!err)
        err = seal_fs_prove_no_writer(fd, why);
    if (err || request->fill || request->growing)
        return err;
    err = seal_fs_read_map(fd, request->kind, request->sparse, volume_size, &map, why);
    if (!err)
        map_free(map);
    return err;
}

int seal_fs_seal(int fd, const struct seal_fs_request *request, uint64_t volume_size,
                 struct seal_map **map, struct seal_refusal *why)
{
    int err = seal_fs_prepare(fd, request, why);

    if (!err)
        err = seal_fs_set_flag(fd, request->kind, why);
    if (err)
        return err;
    err = seal_fs_prove_no_writer(fd, why);
    if (!err)
        err = seal_fs_read_map(fd, request->kind, request->sparse, volume_size, map, why);
    if (err) {
        struct seal_refusal second;

        /* Nobody has written beneath the page cache yet, whatever the kind.
         * The first refusal is what the caller has to act on; a flag that stays is worse, so that
         * is said instead. */
        if (seal_fs_clear_flag(fd, SEAL_KIND_FROZEN, NULL, &second) != 0 && why)
            *why = second;
    }
    return err;
}
