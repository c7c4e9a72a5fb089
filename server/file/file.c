/*
 * One file: what it is, its data descriptors, its attributes with the overlay of a pinned seal; see
 * file.h. The table is file/table.c, the ways to a file are file/place.c.
 */
#include "server/file/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "layout/fd_path.h"
#include "server/base/loop.h"
#include "server/file/impl.h"

#define SECOND_NS UINT64_C(1000000000)
enum { LEASE_TRIES = 20, LEASE_PAUSE_US = 500 };

const struct file_key *file_key(const struct file *file)
{
    return &file->key;
}

struct export *file_export(const struct file *file)
{
    return file->export;
}

int file_path_fd(const struct file *file)
{
    return file->path_fd;
}

mode_t file_type(const struct file *file)
{
    return file->type;
}

bool file_is_pseudo(const struct file *file)
{
    return file->pseudo;
}

unsigned file_seal(const struct file *file)
{
    return atomic_load(&file->seal);
}

uint64_t file_plain_since(const struct file *file)
{
    return atomic_load_explicit(&file->plain_since, memory_order_relaxed);
}

void file_set_plain_since(struct file *file, uint64_t ctime_ns)
{
    atomic_store_explicit(&file->plain_since, ctime_ns, memory_order_relaxed);
}

void file_lock(struct file *file)
{
    pthread_mutex_lock(&file->lock);
}

void file_unlock(struct file *file)
{
    pthread_mutex_unlock(&file->lock);
}

struct file_state **file_state_slot(struct file *file)
{
    return &file->state;
}

void file_describe(const struct file *file, char *text, size_t size)
{
    struct fd_path link;
    ssize_t len;

    if (size == 0)
        return;
    if (file->pseudo) {
        snprintf(text, size, "(pseudo root)/%s", pseudo_name(file->pseudo));
        return;
    }
    link = fd_path_of(file->path_fd);
    len = readlink(link.text, text, size - 1);
    text[len < 0 ? 0 : len] = 0;
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127) /* one log line stays one line */
            *p = '?';
}

static enum file_data_kind kind_of(unsigned access)
{
    if (access & FILE_WRITE)
        return DATA_WRITER;
    return access & FILE_DIRECT ? DATA_DIRECT : DATA_READER;
}

static bool is_sealed(const struct file *file)
{
    return seal_kind(file_seal(file)) != SEAL_NONE;
}

/* One more user of an open descriptor; -1: not open. */
static int data_take(struct file *file, enum file_data_kind kind)
{
    struct file_data *data = &file->data[kind];
    int fd;

    pthread_mutex_lock(&file->inner);
    fd = data->fd;
    if (fd >= 0)
        data->users++;
    pthread_mutex_unlock(&file->inner);
    return fd;
}

int fs_reopen(int path_fd, int flags)
{
    struct fd_path path;
    int fd;

    path = fd_path_of(path_fd);
    fd = open(path.text, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* Opens the descriptor, or finds that another thread was faster. */
static int data_open(struct file *file, enum file_data_kind kind)
{
    static const int flags[DATA_KINDS] = {
        [DATA_READER] = O_RDONLY, [DATA_WRITER] = O_RDWR, [DATA_DIRECT] = O_RDONLY | O_DIRECT};
    struct file_data *data = &file->data[kind];
    int opened, fd;

    /* A seal's proof that nobody else has the file open is a lease, for a moment. */
    for (unsigned i = 0; (opened = fs_reopen(file->path_fd, flags[kind])) == -EAGAIN; i++)
        if (i == LEASE_TRIES || usleep(LEASE_PAUSE_US) != 0)
            break;
    if (opened < 0)
        return opened;
    pthread_mutex_lock(&file->inner);
    if (kind == DATA_WRITER && is_sealed(file)) {
        fd = -EPERM; /* the seal's word was set while we opened: the seal looks for writers after
                        that */
    } else {
        if (data->fd < 0) {
            data->fd = opened;
            opened = -1;
            atomic_fetch_add(&file->table->data_open, 1);
        }
        fd = data->fd;
        data->users++;
    }
    pthread_mutex_unlock(&file->inner);
    if (opened >= 0)
        close(opened);
    return fd;
}

int file_data_open(struct file *file, unsigned access, int *fd)
{
    enum file_data_kind kind = kind_of(access);
    int found;

    if (!S_ISREG(file->type))
        return S_ISDIR(file->type) ? -EISDIR : -EINVAL;
    if (kind == DATA_WRITER && is_sealed(file))
        return -EPERM;
    found = data_take(file, kind);
    if (found < 0)
        found = data_open(file, kind);
    if (found < 0)
        return found;
    *fd = found;
    return 0;
}

int file_data_try(struct file *file, unsigned access, int *fd)
{
    enum file_data_kind kind = kind_of(access);
    int found;

    if (kind == DATA_WRITER && is_sealed(file))
        return -EPERM;
    found = data_take(file, kind);
    if (found < 0)
        return -EAGAIN;
    *fd = found;
    return 0;
}

/* True: that was the last user. */
static bool data_leave(struct file *file, enum file_data_kind kind)
{
    struct file_data *data = &file->data[kind];
    bool idle;

    pthread_mutex_lock(&file->inner);
    idle = --data->users == 0;
    if (idle)
        data->idle_since = loop_now_ns();
    pthread_mutex_unlock(&file->inner);
    return idle;
}

/* Where there are too many, one is open while it is used and no longer; so is a removed file's. */
void file_data_close(struct file *file, unsigned access)
{
    struct file_table *table = file->table;

    if (!data_leave(file, kind_of(access)))
        return;
    if (atomic_load(&table->data_open) > table->data_limit || atomic_load(&file->forgotten))
        (void)file_reaper_close_data(file, UINT64_MAX);
    else
        file_reaper_data_idle(file);
}

void file_data_leave(struct file *file, unsigned access)
{
    if (data_leave(file, kind_of(access)))
        file_reaper_data_idle(file);
}

/* Flushes of one file run side by side. Who has heard of success waits until all are over that were
 * under way then: one of them may have been told what the kernel then told nobody else. */
int file_flush(struct file *file, int fd, bool data_only)
{
    int rc;

    pthread_rwlock_rdlock(&file->flush);
    rc = (data_only ? fdatasync(fd) : fsync(fd)) == 0 ? 0 : -errno;
    if (rc)
        export_note_loss(file->table->exports, file->export);
    pthread_rwlock_unlock(&file->flush);
    if (rc)
        return rc;
    pthread_rwlock_wrlock(&file->flush);
    pthread_rwlock_unlock(&file->flush);
    return 0;
}

static int data_drop(struct file *file, enum file_data_kind kind)
{
    struct file_data *data = &file->data[kind];
    int fd, rc = 0;

    pthread_mutex_lock(&file->inner);
    fd = data->fd;
    if (fd >= 0 && data->users > 0)
        rc = -EBUSY;
    else
        data->fd = -1;
    pthread_mutex_unlock(&file->inner);
    if (!rc && fd >= 0) {
        close(fd);
        atomic_fetch_sub(&file->table->data_open, 1);
    }
    return rc;
}

int file_drop_writer(struct file *file)
{
    int rc = data_drop(file, DATA_WRITER);

    if (!rc)
        file_reaper_await_close(file);
    return rc;
}

int file_drop_readers(struct file *file)
{
    int rc = data_drop(file, DATA_READER);

    return rc ? rc : data_drop(file, DATA_DIRECT);
}

int file_drop_direct(struct file *file)
{
    int rc = data_drop(file, DATA_DIRECT);

    if (!rc)
        file_reaper_await_close(file);
    return rc;
}

static uint64_t to_ns(const struct statx_timestamp *time)
{
    return (uint64_t)time->tv_sec * SECOND_NS + time->tv_nsec;
}

static struct statx_timestamp to_statx_time(const struct timespec *time)
{
    return (struct statx_timestamp){.tv_sec = time->tv_sec, .tv_nsec = (uint32_t)time->tv_nsec};
}

static struct statx_timestamp from_ns(uint64_t ns)
{
    return (struct statx_timestamp){.tv_sec = (int64_t)(ns / SECOND_NS),
                                    .tv_nsec = (uint32_t)(ns % SECOND_NS)};
}

/* The change attribute is the ctime in nanoseconds, moved on by one where the clock stood still or
 * went back, so that it never repeats while the file is in memory. A file leaves memory long after
 * its last change by us. Under file->inner. */
static uint64_t change_of(struct file *file, uint64_t ctime_ns)
{
    if (!file->change_known) {
        file->change_told = ctime_ns;
    } else if (ctime_ns != file->ctime_seen) {
        file->change_told = ctime_ns > file->change_told ? ctime_ns : file->change_told + 1;
    } else if (file->changed) {
        file->change_told++;
    }
    file->change_known = true;
    file->changed = false;
    file->ctime_seen = ctime_ns;
    return file->change_told;
}

void file_overlay_apply(const struct file_overlay *overlay, struct file_stat *stat)
{
    if (overlay->has_size)
        stat->stx.stx_size = overlay->size;
    if (!overlay->mtime_ns)
        return;
    stat->stx.stx_mtime = from_ns(overlay->mtime_ns);
    if (to_ns(&stat->stx.stx_ctime) < overlay->mtime_ns)
        stat->stx.stx_ctime = stat->stx.stx_mtime;
    if (stat->change < overlay->change)
        stat->change = overlay->change;
}

uint64_t file_change_of_statx(const struct statx *stx)
{
    return to_ns(&stx->stx_ctime);
}

/* Of libc it is a longer call, with a path; where its structure is the kernel's that need not be.
 */
static int call_fstat(int fd, struct stat *st)
{
#if defined(__x86_64__) || defined(__aarch64__) || defined(__powerpc64__) || defined(__s390x__)
    return (int)syscall(SYS_fstat, fd, st);
#else
    return fstat(fd, st);
#endif
}

/* By statx; or by fstat, which has no path to look at first, and copies half as much. */
static int ask_kernel(const struct file *file, bool all, struct statx *stx)
{
    struct stat st;

    if (all)
        return statx(file->path_fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
                     STATX_BASIC_STATS | STATX_BTIME, stx) == 0
                   ? 0
                   : -errno;
    if (call_fstat(file->path_fd, &st) != 0)
        return -errno;
    *stx = (struct statx){
        .stx_mask = STATX_BASIC_STATS,
        .stx_blksize = (uint32_t)st.st_blksize,
        .stx_nlink = (uint32_t)st.st_nlink,
        .stx_uid = st.st_uid,
        .stx_gid = st.st_gid,
        .stx_mode = (uint16_t)st.st_mode,
        .stx_ino = st.st_ino,
        .stx_size = (uint64_t)st.st_size,
        .stx_blocks = (uint64_t)st.st_blocks,
        .stx_atime = to_statx_time(&st.st_atim),
        .stx_ctime = to_statx_time(&st.st_ctim),
        .stx_mtime = to_statx_time(&st.st_mtim),
        .stx_rdev_major = major(st.st_rdev),
        .stx_rdev_minor = minor(st.st_rdev),
        .stx_dev_major = major(st.st_dev),
        .stx_dev_minor = minor(st.st_dev),
    };
    return 0;
}

/* Asked under the lock: a change that is noted after it (file_changed) moves the attribute at the
 * next question, one that was noted before is in what the kernel says. Else an answer from before a
 * change could carry the number that is told after it, and who caches by it would never look again.
 */
int file_stat_real(struct file *file, bool all, struct file_stat *out)
{
    int rc;

    pthread_mutex_lock(&file->inner);
    rc = ask_kernel(file, all, &out->stx);
    if (!rc) {
        out->change = change_of(file, to_ns(&out->stx.stx_ctime));
        file_overlay_apply(&file->overlay, out);
        file->change_told = out->change;
    }
    pthread_mutex_unlock(&file->inner);
    return rc;
}

/* A directory of the pseudo root: as old as the server's start, or the reload that changed it. */
static void stat_pseudo(const struct file *file, struct file_stat *out)
{
    const uint64_t changed = pseudo_changed(file->pseudo), start = file->table->start_ns;
    const struct statx_timestamp time = from_ns(changed > start ? changed : start);

    memset(out, 0, sizeof(*out));
    out->stx.stx_mask = STATX_BASIC_STATS;
    out->stx.stx_mode = S_IFDIR | 0555;
    out->stx.stx_nlink = 2 + pseudo_child_count(file->pseudo);
    out->stx.stx_ino = pseudo_fileid(file->pseudo);
    out->stx.stx_size = 4096;
    out->stx.stx_blksize = 4096;
    out->stx.stx_atime = out->stx.stx_mtime = out->stx.stx_ctime = time;
    out->change = changed > start ? changed : start;
}

static int stat_file(struct file *file, bool all, struct file_stat *out)
{
    if (file->pseudo) {
        stat_pseudo(file, out);
        return 0;
    }
    return file_stat_real(file, all, out);
}

int file_stat(struct file *file, struct file_stat *out)
{
    return stat_file(file, true, out);
}

int file_stat_basic(struct file *file, struct file_stat *out)
{
    return stat_file(file, false, out);
}

void file_changed(struct file *file)
{
    pthread_mutex_lock(&file->inner);
    file->changed = true;
    pthread_mutex_unlock(&file->inner);
}

bool file_is_growing(struct file *file)
{
    bool growing;

    pthread_mutex_lock(&file->inner);
    growing = file->overlay.has_size;
    pthread_mutex_unlock(&file->inner);
    return growing;
}
