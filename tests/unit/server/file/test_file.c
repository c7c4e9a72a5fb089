/*
 * The table of files: identity, handles, descriptors, seal marks, the change attribute, acting as
 * the client.
 */
#include "tests/unit/server/fs_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "server/file/fs_cred.h"
#include "server/file/impl.h"

static struct file *file_at(struct fs_fixture *f, const char *relative)
{
    struct file *file;

    assert_int_equal(file_from_path(f->server.files, fs_path(f, relative), &file), 0);
    return file;
}

static struct export *data_export(struct fs_fixture *f)
{
    return export_by_id(f->server.exports, 100 + EXPORT_DATA);
}

static struct xdr_bytes handle_of(struct fs_fixture *f, struct file *file,
                                  uint8_t wire[NFS4_FHSIZE])
{
    const struct place at = {.file = file, .export = data_export(f)};

    return file_handle(&at, wire);
}

/* Gives the reference back and waits until the table has dropped the file (the reaper holds one
 * that had a writer a while). */
static void leave_memory(struct fs_fixture *f, struct file *file)
{
    const struct file_key key = *file_key(file);

    file_forget(file);
    file_unref(file);
    for (unsigned tries = 0; (file = file_find(f->server.files, &key)) != NULL; tries++) {
        file_unref(file);
        assert_true(tries < 500);
        usleep(10000);
    }
}

static void hard_links_are_one_file(void **state)
{
    struct fs_fixture *f = *state;
    struct file *a, *b;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(link(fs_path(f, "data/a"), fs_path(f, "data/b")), 0);
    a = file_at(f, "data/a");
    b = file_at(f, "data/b");
    assert_ptr_equal(a, b);
    file_unref(a);
    file_unref(b);
}

static void a_path_outside_of_every_export_is_refused(void **state)
{
    struct fs_fixture *f = *state;
    struct file *file;

    assert_int_equal(file_from_path(f->server.files, "/etc/passwd", &file), -EXDEV);
    assert_int_equal(file_from_path(f->server.files, fs_path(f, "nothing"), &file), -ENOENT);
}

static void handles_survive_rename_and_restart(void **state)
{
    struct fs_fixture *f = *state;
    uint8_t wire[NFS4_FHSIZE];
    struct xdr_bytes handle;
    struct place place;
    struct file *file;

    fs_write_file(f, "data/a", "x");
    file = file_at(f, "data/a");
    handle = handle_of(f, file, wire);
    file_unref(file);
    assert_int_equal(rename(fs_path(f, "data/a"), fs_path(f, "data/z")), 0);
    file_table_destroy(f->server.files); /* the restart: nothing in memory */
    assert_int_equal(
        file_table_create(f->server.exports, f->server.fh_key, &fs_plan, &f->server.files), 0);
    assert_int_equal(file_from_handle(f->server.files, handle, false, &place), -EAGAIN);
    assert_int_equal(file_from_handle(f->server.files, handle, true, &place), 0);
    assert_ptr_equal(place.export, data_export(f));
    file_unref(place.file);
    assert_int_equal(file_from_handle(f->server.files, handle, false, &place), 0);
    file_unref(place.file);
}

static void a_handle_of_what_is_gone_is_stale(void **state)
{
    struct fs_fixture *f = *state;
    uint8_t wire[NFS4_FHSIZE];
    struct xdr_bytes handle;
    struct place place;
    struct file *file;

    fs_write_file(f, "data/a", "x");
    file = file_at(f, "data/a");
    handle = handle_of(f, file, wire);
    assert_int_equal(unlink(fs_path(f, "data/a")), 0);
    assert_int_equal(file_from_handle(f->server.files, handle, true, &place), 0); /* still in use */
    file_unref(place.file);
    file_forget(file);
    file_unref(file);
    for (int rc = 0, tries = 0; rc != -ESTALE; tries++) { /* the reaper closes it soon */
        rc = file_from_handle(f->server.files, handle, true, &place);
        if (rc == 0) {
            file_forget(place.file);
            file_unref(place.file);
        }
        assert_true(tries < 500);
        usleep(10000);
    }
}

static void a_forged_handle_is_bad(void **state)
{
    struct fs_fixture *f = *state;
    struct file *file = file_at(f, "data");
    uint8_t wire[NFS4_FHSIZE];
    struct xdr_bytes handle = handle_of(f, file, wire);
    struct place place;

    wire[handle.len - 1] ^= 1;
    assert_int_equal(file_from_handle(f->server.files, handle, true, &place), -EBADMSG);
    assert_int_equal(file_from_handle(f->server.files, (struct xdr_bytes){0}, true, &place),
                     -EBADMSG);
    file_unref(file);
}

static void lookup_never_crosses_links_or_leaves_by_dotdot(void **state)
{
    struct fs_fixture *f = *state;
    struct place dir = {.file = file_at(f, "data"), .export = data_export(f)}, place;

    assert_int_equal(symlink("/etc", fs_path(f, "data/link")), 0);
    assert_int_equal(file_lookup(&dir, "link", true, &place), 0);
    assert_true(S_ISLNK(file_type(place.file)));
    file_unref(place.file);
    /* ".." of an export's root is the pseudo directory above it, whatever the file system has
     * there. */
    assert_int_equal(file_parent(&dir, true, &place), 0);
    assert_true(file_is_pseudo(place.file));
    file_unref(place.file);
    file_unref(dir.file);
}

/* Local programs change names behind the server's back, however often and lately it has looked them
 * up. */
static void a_name_that_was_just_found_is_asked_of_the_kernel_again(void **state)
{
    struct fs_fixture *f = *state;
    struct place dir = {.file = file_at(f, "data"), .export = data_export(f)}, place;
    struct file *one, *two;

    fs_write_file(f, "data/one", "x");
    fs_write_file(f, "data/two", "y");
    one = file_at(f, "data/one");
    two = file_at(f, "data/two");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(file_lookup(&dir, "one", i == 0, &place), 0);
        assert_ptr_equal(place.file, one);
        file_unref(place.file);
    }
    assert_int_equal(rename(fs_path(f, "data/two"), fs_path(f, "data/one")), 0);
    assert_int_equal(file_lookup(&dir, "one", true, &place), 0);
    assert_ptr_equal(place.file, two);
    file_unref(place.file);
    assert_int_equal(unlink(fs_path(f, "data/one")), 0);
    assert_int_equal(file_lookup(&dir, "one", true, &place), -ENOENT);
    assert_int_equal(file_lookup(&dir, "two", true, &place), -ENOENT);
    file_unref(one);
    file_unref(two);
    file_unref(dir.file);
}

static void a_directory_moved_out_of_the_export_has_no_way_up(void **state)
{
    struct fs_fixture *f = *state;
    struct place dir = {.export = data_export(f)};

    assert_int_equal(mkdir(fs_path(f, "data/d"), 0755), 0);
    dir.file = file_at(f, "data/d");
    assert_int_equal(file_check_inside(&dir), 0);
    assert_int_equal(rename(fs_path(f, "data/d"), fs_path(f, "d")), 0);
    assert_int_equal(file_check_inside(&dir), -ENOENT);
    file_unref(dir.file);
}

static void change_differs_after_each_change_and_never_goes_back(void **state)
{
    struct fs_fixture *f = *state;
    struct file *file;
    struct file_stat stat;
    uint64_t before;

    fs_write_file(f, "data/a", "x");
    file = file_at(f, "data/a");
    assert_int_equal(file_stat(file, &stat), 0);
    before = stat.change;
    assert_int_equal(file_stat(file, &stat), 0);
    assert_true(stat.change == before);
    for (unsigned i = 0; i < 1000; i++) { /* many within one tick of the kernel's clock */
        assert_int_equal(chmod(fs_path(f, "data/a"), 0600 + i % 2), 0);
        file_changed(file);
        assert_int_equal(file_stat(file, &stat), 0);
        assert_true(stat.change > before);
        before = stat.change;
    }
    /* A change within the same tick of a coarse clock: the ctime is the same, the change attribute
     * is not. */
    file_changed(file);
    assert_int_equal(file_stat(file, &stat), 0);
    assert_true(stat.change > before);
    file_unref(file);
}

/* The linker sends the daemon's statx here (--wrap). While one is told of, the clock stands still,
 * and the file grows right behind the first question. */
static bool same_time(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static void assert_same(const struct file_stat *all, const struct file_stat *basic)
{
    assert_true(all->change == basic->change);
    assert_int_equal(all->stx.stx_mode, basic->stx.stx_mode);
    assert_int_equal(all->stx.stx_nlink, basic->stx.stx_nlink);
    assert_int_equal(all->stx.stx_uid, basic->stx.stx_uid);
    assert_int_equal(all->stx.stx_gid, basic->stx.stx_gid);
    assert_true(all->stx.stx_ino == basic->stx.stx_ino);
    assert_true(all->stx.stx_size == basic->stx.stx_size);
    assert_true(all->stx.stx_blocks == basic->stx.stx_blocks);
    assert_int_equal(all->stx.stx_rdev_major, basic->stx.stx_rdev_major);
    assert_int_equal(all->stx.stx_rdev_minor, basic->stx.stx_rdev_minor);
    assert_int_equal(all->stx.stx_dev_major, basic->stx.stx_dev_major);
    assert_int_equal(all->stx.stx_dev_minor, basic->stx.stx_dev_minor);
    assert_true(same_time(&all->stx.stx_atime, &basic->stx.stx_atime));
    assert_true(same_time(&all->stx.stx_mtime, &basic->stx.stx_mtime));
    assert_true(same_time(&all->stx.stx_ctime, &basic->stx.stx_ctime));
    assert_false(basic->stx.stx_mask & STATX_BTIME);
}

static void the_cheaper_question_has_the_same_answer(void **state)
{
    static const char *const paths[] = {"data/file", "data/dir", "data/link", "data/device"};
    struct fs_fixture *f = *state;

    fs_write_file(f, paths[0], "12345");
    assert_int_equal(link(fs_path(f, paths[0]), fs_path(f, "data/other")), 0);
    assert_int_equal(chown(fs_path(f, paths[0]), 12345, 54321), 0);
    assert_int_equal(mkdir(fs_path(f, paths[1]), 01751), 0);
    assert_int_equal(symlink("nowhere", fs_path(f, paths[2])), 0);
    assert_int_equal(mknod(fs_path(f, paths[3]), S_IFCHR | 0600, makedev(259, 70000)), 0);
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const struct place dir = f->c.current;
        struct file_stat all, basic;
        struct place at;

        assert_int_equal(file_lookup(&dir, paths[i] + strlen("data/"), true, &at), 0);
        assert_int_equal(file_stat(at.file, &all), 0);
        assert_int_equal(file_stat_basic(at.file, &basic), 0);
        assert_same(&all, &basic);
        file_set_overlay(at.file, &(struct file_overlay){.mtime_ns = 7, .has_size = true});
        assert_int_equal(file_stat(at.file, &all), 0);
        assert_int_equal(file_stat_basic(at.file, &basic), 0);
        assert_same(&all, &basic);
        assert_true(basic.stx.stx_size == 0 && basic.stx.stx_mtime.tv_nsec == 7);
        file_set_overlay(at.file, &(struct file_overlay){.mtime_ns = 0});
        file_unref(at.file);
    }
}

static struct growth {
    struct file *file;
    const char *path;
    pthread_t thread;
    bool begun;
} growth;

int __real_statx(int dirfd, const char *name, int flags, unsigned mask, struct statx *out);
int __wrap_statx(int dirfd, const char *name, int flags, unsigned mask, struct statx *out);

static void *grow(void *arg)
{
    (void)arg;
    if (truncate(growth.path, 2) != 0)
        return NULL;
    file_changed(growth.file);
    return growth.file;
}

int __wrap_statx(int dirfd, const char *name, int flags, unsigned mask, struct statx *out)
{
    struct timespec until;
    int rc = __real_statx(dirfd, name, flags, mask, out);

    if (!growth.file || rc)
        return rc;
    out->stx_ctime = (struct statx_timestamp){.tv_sec = 1};
    if (growth.begun)
        return 0;
    growth.begun = true;
    if (pthread_create(&growth.thread, NULL, grow, NULL) != 0)
        return -1;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1; /* it may have to wait for who asks */
    if (pthread_timedjoin_np(growth.thread, NULL, &until) == 0)
        growth.thread = pthread_self();
    return 0;
}

static void what_was_asked_before_a_change_has_not_the_number_of_what_came_after(void **state)
{
    struct fs_fixture *f = *state;
    struct file *file;
    struct file_stat before, after;

    fs_write_file(f, "data/a", "x");
    file = file_at(f, "data/a");
    growth = (struct growth){.file = file, .path = fs_path(f, "data/a")};
    assert_int_equal(file_stat(file, &before), 0);
    if (!pthread_equal(growth.thread, pthread_self()))
        assert_int_equal(pthread_join(growth.thread, NULL), 0);
    assert_int_equal(file_stat(file, &after), 0);
    growth.file = NULL;
    assert_int_equal(before.stx.stx_size, 1);
    assert_int_equal(after.stx.stx_size, 2);
    assert_true(after.change > before.change);
    file_unref(file);
}

static void a_sealed_file_gives_no_writer_and_the_word_outlives_the_memory(void **state)
{
    struct fs_fixture *f = *state;
    struct file *file;
    struct file_key key;
    int fd;

    fs_write_file(f, "data/a", "x");
    file = file_at(f, "data/a");
    key = *file_key(file);
    assert_int_equal(file_data_open(file, FILE_WRITE, &fd), 0);
    assert_int_equal(file_drop_writer(file), -EBUSY);
    file_data_close(file, FILE_WRITE);
    file_set_seal(file, SEAL_PINNED);
    assert_int_equal(file_data_open(file, FILE_WRITE, &fd), -EPERM);
    assert_int_equal(file_drop_writer(file), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed, not merely forgotten */
    assert_int_equal(file_data_open(file, FILE_READ, &fd), 0);
    file_data_close(file, FILE_READ);
    leave_memory(f, file);
    file = file_at(f, "data/a");
    assert_int_equal(file_seal(file), SEAL_PINNED);
    assert_int_equal(file_table_set_seal(f->server.files, &key, SEAL_NONE), 0);
    assert_int_equal(file_seal(file), SEAL_NONE);
    file_unref(file);
}

static void the_overlay_shows_in_stat_and_is_taken_up_again(void **state)
{
    struct fs_fixture *f = *state;
    struct file_stat stat;
    struct file_key key;
    struct file *file;
    uint64_t before;

    fs_write_file(f, "data/a", "x");
    file = file_at(f, "data/a");
    key = *file_key(file);
    assert_int_equal(file_stat(file, &stat), 0);
    before = stat.change;
    file_set_overlay(file, &(struct file_overlay){.mtime_ns = UINT64_C(4000000000123456789),
                                                  .change = before + 5});
    leave_memory(f, file);
    assert_int_equal(statx(AT_FDCWD, fs_path(f, "data/a"), 0, STATX_BASIC_STATS, &stat.stx), 0);
    file_stat_finish(f->server.files, &key, &stat); /* as READDIR does */
    assert_int_equal(stat.stx.stx_mtime.tv_sec, 4000000000);
    assert_true(stat.change == before + 5);
    file = file_at(f, "data/a");
    assert_int_equal(file_stat(file, &stat), 0);
    assert_int_equal(stat.stx.stx_mtime.tv_sec, 4000000000);
    assert_int_equal(stat.stx.stx_mtime.tv_nsec, 123456789);
    assert_true(stat.change == before + 5);
    assert_int_equal(file_table_set_overlay(f->server.files, &key, &(struct file_overlay){0}), 0);
    assert_int_equal(file_stat(file, &stat), 0);
    assert_true(stat.stx.stx_mtime.tv_sec < 4000000000);
    assert_true(stat.change >= before + 5); /* does not go back */
    file_unref(file);
}

static void an_idle_writer_is_closed_soon(void **state)
{
    struct fs_fixture *f = *state;
    struct file *file;
    int fd;

    fs_write_file(f, "data/a", "x");
    file = file_at(f, "data/a");
    assert_int_equal(file_data_open(file, FILE_WRITE, &fd), 0);
    file_data_close(file, FILE_WRITE);
    for (unsigned tries = 0; fcntl(fd, F_GETFD) != -1; tries++) {
        assert_true(tries < 500);
        usleep(10000);
    }
    assert_int_equal(file_data_open(file, FILE_WRITE, &fd), 0);
    file_data_close(file, FILE_WRITE);
    file_unref(file);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

/* Wrong: a file that is open has a second descriptor for as long as it is, once it was read. */
static void an_idle_reader_is_closed_soon(void **state)
{
    struct fs_fixture *f = *state;
    struct file *file;
    char byte;
    int fd;

    fs_write_file(f, "data/a", "x");
    file = file_at(f, "data/a");
    assert_int_equal(file_data_open(file, FILE_READ, &fd), 0);
    file_data_close(file, FILE_READ);
    assert_int_equal(file_data_try(file, FILE_READ, &fd), 0); /* not yet */
    file_data_leave(file, FILE_READ);
    for (unsigned tries = 0; is_open(fd); tries++) {
        assert_true(tries < 500);
        usleep(10000);
    }
    assert_int_equal(file_data_try(file, FILE_READ, &fd), -EAGAIN);
    assert_int_equal(unlink(fs_path(f, "data/a")), 0); /* open it is all the same */
    assert_int_equal(file_data_open(file, FILE_READ, &fd), 0);
    assert_int_equal(pread(fd, &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    file_data_close(file, FILE_READ);
    file_unref(file);
}

/* Wrong: a client that opens, reads and removes one file after the other, and closes none, has two
 * descriptors for each. */
static void a_removed_file_that_is_open_keeps_no_data_open(void **state)
{
    struct fs_fixture *f = *state;
    struct file *file;
    int reader, writer;

    fs_write_file(f, "data/a", "x");
    file = file_at(f, "data/a");
    assert_int_equal(file_data_open(file, FILE_READ, &reader), 0);
    assert_int_equal(file_data_open(file, FILE_WRITE, &writer), 0);
    file_data_close(file, FILE_WRITE);
    assert_int_equal(unlink(fs_path(f, "data/a")), 0);
    file_forget(file);
    assert_false(is_open(writer));
    assert_true(is_open(reader)); /* who uses one has it */
    file_data_leave(file, FILE_READ);
    for (unsigned tries = 0; is_open(reader); tries++) {
        assert_true(tries < 500);
        usleep(10000);
    }
    assert_int_equal(file_data_open(file, FILE_READ, &reader), 0);
    file_data_close(file, FILE_READ);
    assert_false(is_open(reader));
    file_unref(file);
}

/* Wrong: data of as many files as are read within a second is kept open, whatever the limit. */
static void beyond_the_plan_nothing_is_kept_open_that_nobody_uses(void **state)
{
    enum { KEPT = 2, FILES = 6 };
    static const struct descriptor_plan few = {.idle = 4096, .data = KEPT};
    struct fs_fixture *f = *state;
    struct file *files[FILES];
    int fds[FILES];
    char name[16];

    file_table_destroy(f->server.files);
    assert_int_equal(file_table_create(f->server.exports, f->server.fh_key, &few, &f->server.files),
                     0);
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "data/%u", i);
        fs_write_file(f, name, "x");
        files[i] = file_at(f, name);
        assert_int_equal(file_data_open(files[i], i % 2 ? FILE_READ : FILE_WRITE, &fds[i]), 0);
    }
    for (unsigned i = 0; i < FILES; i++)
        assert_true(is_open(fds[i])); /* who uses one has it */
    for (unsigned i = 0; i < FILES; i++) {
        file_data_close(files[i], i % 2 ? FILE_READ : FILE_WRITE);
        assert_int_equal(is_open(fds[i]), i >= FILES - KEPT);
    }
    for (unsigned i = 0; i < FILES; i++)
        file_unref(files[i]);
}

/* The linker sends the daemon's fsync here (--wrap): it fails for one descriptor, late. */
static int bad_fd = -1, good_fd = -1;
static sem_t flushing, may_fail, flushed;

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
    if (fd == good_fd) {
        int rc = __real_fsync(fd);
        sem_post(&flushed);
        return rc;
    }
    if (fd != bad_fd)
        return __real_fsync(fd);
    sem_post(&flushing);
    sem_wait(&may_fail);
    errno = EIO;
    return -1;
}

struct flush {
    struct file *file;
    uint64_t losses; /* when it had been told how it went */
    int fd, rc;
};

static void *flush_file(void *arg)
{
    struct flush *flush = arg;

    flush->rc = file_flush(flush->file, flush->fd, false);
    flush->losses = export_losses(file_export(flush->file));
    return NULL;
}

/* The kernel tells of a loss once. Wrong: one of two who flush a file at once is told of it, and
 * the other, who hears of success, finds the old verifier. Right: he hears of it when the verifier
 * has changed. */
static void success_is_not_heard_before_a_loss_that_another_was_told_of(void **state)
{
    struct fs_fixture *f = *state;
    struct flush bad, good;
    pthread_t first, second;

    fs_write_file(f, "data/a", "x");
    bad.file = file_at(f, "data/a");
    good.file = file_ref(bad.file);
    assert_int_equal(file_data_open(bad.file, FILE_READ, &bad.fd), 0);
    assert_int_equal(file_data_open(good.file, FILE_WRITE, &good.fd), 0);
    bad_fd = bad.fd;
    good_fd = good.fd;
    sem_init(&flushed, 0, 0);
    sem_init(&flushing, 0, 0);
    sem_init(&may_fail, 0, 0);
    assert_int_equal(export_losses(file_export(bad.file)), 0);
    assert_int_equal(pthread_create(&first, NULL, flush_file, &bad), 0);
    sem_wait(&flushing);
    assert_int_equal(pthread_create(&second, NULL, flush_file, &good), 0);
    sem_wait(&flushed);
    usleep(50000); /* so that he may be wrong; he is right however long it takes */
    sem_post(&may_fail);
    assert_int_equal(pthread_join(first, NULL), 0);
    assert_int_equal(pthread_join(second, NULL), 0);
    assert_int_equal(bad.rc, -EIO);
    assert_int_equal(good.rc, 0);
    assert_int_equal(good.losses, 1);
    bad_fd = good_fd = -1;
    file_data_close(bad.file, FILE_READ);
    file_data_close(good.file, FILE_WRITE);
    file_unref(good.file);
    file_unref(bad.file);
}

/* Who removes a file on a full disk and writes the next one must not be told that there is no
 * space. */
static void a_removed_file_is_closed_when_space_is_wanted(void **state)
{
    struct fs_fixture *f = *state;
    struct file_key key;
    struct file *file;
    int fd;

    fs_write_file(f, "data/a", "x");
    file = file_at(f, "data/a");
    key = *file_key(file);
    assert_int_equal(file_data_open(file, FILE_WRITE, &fd), 0);
    file_data_close(file, FILE_WRITE);
    assert_int_equal(unlink(fs_path(f, "data/a")), 0);
    file_forget(file);
    file_unref(file);
    assert_true(file_table_settle(f->server.files, data_export(f), -ENOSPC));
    assert_null(file_find(f->server.files, &key));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* A file of a file system of its own, by that descriptor. */
static struct file *file_on(struct fs_fixture *f, uint8_t fs, uint8_t number, int fd)
{
    struct file_key key = {.len = FILE_KEY_UUID_SIZE + 1};
    struct file *file;

    memset(key.data, fs, FILE_KEY_UUID_SIZE);
    key.data[FILE_KEY_UUID_SIZE] = number;
    assert_int_equal(file_table_intern(f->server.files, &key, data_export(f), NULL, fd, &file), 0);
    return file;
}

static void drop(struct file *file)
{
    file_forget(file);
    file_unref(file);
}

/* Its close hangs until the peer's end is closed, 30 s at most: there is something to be sent, and
 * nobody takes it. */
static int hanging_descriptor(int *peer)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 30};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    const int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    const char zeros[65536] = "";

    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, len), 0);
    *peer = accept(listener, NULL, NULL);
    assert_true(*peer >= 0);
    close(listener);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    while (send(fd, zeros, sizeof(zeros), MSG_DONTWAIT) > 0)
        ;
    return fd;
}

static bool is_closed_within(int fd, unsigned ms)
{
    for (; ms > 0 && fcntl(fd, F_GETFD) != -1; ms--)
        usleep(1000);
    return fcntl(fd, F_GETFD) == -1;
}

static void a_close_that_hangs_keeps_nothing_open_on_other_file_systems(void **state)
{
    enum { HANGS = 1, IS_WELL };
    struct fs_fixture *f = *state;
    int peer, hanging = hanging_descriptor(&peer), behind = dup(STDERR_FILENO),
              elsewhere = dup(STDERR_FILENO);
    struct file *first = file_on(f, HANGS, 1, hanging);
    struct file *second = file_on(f, HANGS, 2, behind), *other = file_on(f, IS_WELL, 1, elsewhere);

    drop(first);
    assert_true(is_closed_within(hanging, 10000)); /* its number is free before the close returns */
    drop(second);
    drop(other);
    assert_true(is_closed_within(elsewhere, 10000));
    assert_int_not_equal(fcntl(behind, F_GETFD), -1);
    close(peer);
    assert_true(is_closed_within(behind, 10000));
}

/* What keeps a file in memory must not keep the space of one that an operator removes. */
static void a_file_removed_by_a_local_program_is_closed_soon(void **state)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    struct fs_fixture *f = *state;
    struct file_key key, kept;
    struct file *file;
    int fd;

    fs_write_file(f, "data/a", "x");
    fs_write_file(f, "data/b", "x");
    file = file_at(f, "data/b");
    kept = *file_key(file);
    file_unref(file);
    file = file_at(f, "data/a");
    key = *file_key(file);
    assert_int_equal(file_data_open(file, FILE_READ, &fd), 0);
    file_data_close(file, FILE_READ);
    file_unref(file);
    assert_int_equal(unlink(fs_path(f, "data/a")), 0);
    for (int i = 0; (file = file_find(f->server.files, &key)); i++) { /* a round is a second */
        file_unref(file);
        assert_true(i < 500);
        nanosleep(&pause, NULL);
    }
    assert_true(is_closed_within(fd, 10000));
    file = file_find(f->server.files, &kept);
    assert_non_null(file);
    file_unref(file);
}

/* And at once when a client wants the space, or what his quota has of it; not for other errors. */
static void a_file_removed_by_a_local_program_is_closed_when_space_is_wanted(void **state)
{
    struct fs_fixture *f = *state;
    struct file_key key;
    struct file *file;

    fs_write_file(f, "data/a", "x");
    file = file_at(f, "data/a");
    key = *file_key(file);
    file_unref(file);
    assert_int_equal(unlink(fs_path(f, "data/a")), 0);
    assert_false(file_table_settle(f->server.files, data_export(f), 0));
    assert_false(file_table_settle(f->server.files, data_export(f), -EIO));
    assert_true(file_table_settle(f->server.files, data_export(f), -EDQUOT));
    assert_null(file_find(f->server.files, &key));
}

/* Wrong: a client that writes to a full disk, again and again, has all idle files looked at each
 * time. */
static void a_full_disk_does_not_cost_a_look_at_all_files_each_time(void **state)
{
    struct fs_fixture *f = *state;
    struct file_table *files = f->server.files;

    fs_write_file(f, "data/a", "x");
    file_unref(file_at(f, "data/a"));
    (void)file_table_settle(files, data_export(f), -ENOSPC);
    assert_int_equal(files->looks, 1);
    assert_true(files->next_look > 0);
    files->next_look = loop_fine_ns() + UINT64_C(3600000000000);
    for (unsigned i = 0; i < 10; i++)
        (void)file_table_settle(files, data_export(f), -ENOSPC);
    assert_int_equal(files->looks, 1);
    files->next_look = loop_fine_ns();
    (void)file_table_settle(files, data_export(f), -ENOSPC);
    assert_int_equal(files->looks, 2);
}

static void acting_as_the_client_and_back(void **state)
{
    struct fs_fixture *f = *state;
    const struct cred user = {
        .flavor = RPC_AUTH_SYS, .uid = 4711, .gid = 4712, .gid_count = 1, .gids = {4713}};
    struct stat st;
    int fd;

    assert_int_equal(chmod(fs_path(f, "data"), 0777), 0);
    fs_write_file(f, "closed/secret", "x");
    assert_int_equal(chmod(fs_path(f, "closed/secret"), 0600), 0);
    assert_int_equal(fs_cred_enter_as(&user), 0);
    assert_int_equal(open(fs_path(f, "closed/secret"), O_RDONLY), -1);
    fd = open(fs_path(f, "data/mine"), O_CREAT | O_WRONLY, 0644);
    fs_cred_leave();
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_uid, 4711);
    assert_int_equal(st.st_gid, 4712);
    close(fd);
    fd = open(fs_path(f, "closed/secret"), O_RDONLY); /* the server's own identity is back */
    assert_true(fd >= 0);
    close(fd);
}

/* 2^32 - 1 is "leave it as it is" to setfsuid: taken literally, the client would act as root. */
static void the_id_that_means_no_change_is_refused(void **state)
{
    const struct cred trick = {.flavor = RPC_AUTH_SYS, .uid = 0xffffffff, .gid = 1};
    const struct cred trick_group = {.flavor = RPC_AUTH_SYS, .uid = 1, .gid = 0xffffffff};

    (void)state;
    assert_int_equal(fs_cred_enter_as(&trick), -EACCES);
    assert_int_equal(fs_cred_enter_as(&trick_group), -EACCES);
}

static void *take_and_give(void *arg)
{
    struct fs_fixture *f = arg;
    char name[128];

    for (unsigned i = 0; i < 20000; i++) {
        struct file *file;
        int fd;

        snprintf(name, sizeof(name), "%s/data/f%u", f->dir, i % 50);
        if (file_from_path(f->server.files, name, &file) != 0)
            continue;
        if (i % 3 == 0)
            file_forget(file);
        if (i % 5 == 0 && file_data_open(file, i % 2 ? FILE_WRITE : FILE_READ, &fd) == 0)
            file_data_close(file, i % 2 ? FILE_WRITE : FILE_READ);
        if (i % 7 == 0)
            file_drop_writer(file);
        file_unref(file);
    }
    return NULL;
}

static void threads_may_take_and_give_the_same_files(void **state)
{
    struct fs_fixture *f = *state;
    pthread_t threads[4];
    char name[128];

    for (unsigned i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "data/f%u", i);
        fs_write_file(f, name, "x");
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, f), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* What is read of a directory is older than a file that comes into memory after: the number may
 * have been another's then. */
static void an_inode_number_finds_a_file_that_was_in_memory_before(void **state)
{
    struct fs_fixture *f = *state;
    const uint64_t before = file_table_now(f->server.files);
    struct file *file, *found;
    uint64_t now;
    struct stat st;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(stat(fs_path(f, "data/a"), &st), 0);
    assert_null(file_find_inode(f->server.files, data_export(f), st.st_ino, before));
    file = file_at(f, "data/a");
    now = file_table_now(f->server.files);
    assert_null(file_find_inode(f->server.files, data_export(f), st.st_ino, before));
    found = file_find_inode(f->server.files, data_export(f), st.st_ino, now);
    assert_ptr_equal(found, file);
    file_unref(found);
    assert_null(file_find_inode(f->server.files, data_export(f), st.st_ino + 1, now));
    leave_memory(f, file);
    assert_null(file_find_inode(f->server.files, data_export(f), st.st_ino, now));
}

static void listings_leave_half_of_the_idle_places(void **state)
{
    struct fs_fixture *f = *state;
    unsigned files = 0;
    char name[64];

    f->server.files->idle_limit = 8;
    for (unsigned i = 0; i < 16 * FILE_SHARDS; i++) {
        struct file *file;

        snprintf(name, sizeof(name), "data/f%u", i);
        fs_write_file(f, name, "x");
        file = file_at(f, name);
        files += file_table_has_room(f->server.files, file_key(file));
        file_unref(file);
    }
    assert_int_equal(files, 4 * FILE_SHARDS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fs_setup, fs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hard_links_are_one_file),
        TEST(a_path_outside_of_every_export_is_refused),
        TEST(handles_survive_rename_and_restart),
        TEST(a_handle_of_what_is_gone_is_stale),
        TEST(a_forged_handle_is_bad),
        TEST(lookup_never_crosses_links_or_leaves_by_dotdot),
        TEST(a_name_that_was_just_found_is_asked_of_the_kernel_again),
        TEST(a_directory_moved_out_of_the_export_has_no_way_up),
        TEST(change_differs_after_each_change_and_never_goes_back),
        TEST(the_cheaper_question_has_the_same_answer),
        TEST(what_was_asked_before_a_change_has_not_the_number_of_what_came_after),
        TEST(a_sealed_file_gives_no_writer_and_the_word_outlives_the_memory),
        TEST(the_overlay_shows_in_stat_and_is_taken_up_again),
        TEST(an_inode_number_finds_a_file_that_was_in_memory_before),
        TEST(listings_leave_half_of_the_idle_places),
        TEST(an_idle_writer_is_closed_soon),
        TEST(an_idle_reader_is_closed_soon),
        TEST(a_removed_file_that_is_open_keeps_no_data_open),
        TEST(beyond_the_plan_nothing_is_kept_open_that_nobody_uses),
        TEST(success_is_not_heard_before_a_loss_that_another_was_told_of),
        TEST(a_removed_file_is_closed_when_space_is_wanted),
        TEST(a_close_that_hangs_keeps_nothing_open_on_other_file_systems),
        TEST(a_file_removed_by_a_local_program_is_closed_soon),
        TEST(a_file_removed_by_a_local_program_is_closed_when_space_is_wanted),
        TEST(a_full_disk_does_not_cost_a_look_at_all_files_each_time),
        TEST(acting_as_the_client_and_back),
        TEST(the_id_that_means_no_change_is_refused),
        TEST(threads_may_take_and_give_the_same_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
