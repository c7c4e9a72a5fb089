/*
 * READ, WRITE, COMMIT (RFC 8881 sections 18.22, 18.32, 18.3).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/buffer.h"
#include "tests/unit/server/nfs/ops_bench.h"

enum { R = OPEN4_SHARE_ACCESS_READ, W = OPEN4_SHARE_ACCESS_WRITE, BOTH = R | W };

static const stateid4 anonymous;

/* The linker sends what the daemon's code writes and flushes by here (--wrap). */
static int flush_error, write_error; /* errno to fail with, 0: work */
static unsigned write_calls_left;    /* pwrite works so often before it fails */
static size_t write_at_most;         /* bytes a call, 0: all */
static unsigned fsyncs, fdatasyncs;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset);

int __wrap_fsync(int fd)
{
    fsyncs++;
    errno = flush_error;
    return flush_error ? -1 : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
    fdatasyncs++;
    errno = flush_error;
    return flush_error ? -1 : __real_fdatasync(fd);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset)
{
    if (write_error && write_calls_left == 0) {
        errno = write_error;
        return -1;
    }
    write_calls_left -= write_calls_left > 0;
    return __real_pwrite(fd, data, write_at_most && len > write_at_most ? write_at_most : len,
                         offset);
}

static int reset(void **state)
{
    flush_error = write_error = 0;
    fsyncs = fdatasyncs = 0;
    write_calls_left = 0;
    write_at_most = 0;
    return bench_setup(state);
}

/* READ; the data as a string in text. */
static nfsstat4 do_read(struct file *file, const stateid4 *stateid, uint64_t offset, uint32_t count,
                        char *text, bool *eof)
{
    struct compound *c = bench_compound(0, file);
    const READ4resok *res = &c->res.read.resok4;
    nfsstat4 status;

    c->args.read = (READ4args){.stateid = *stateid, .offset = offset, .count = count};
    status = bench_run(c, op_read);
    text[0] = '\0';
    if (status == NFS4_OK) {
        if (res->data.len)
            memcpy(text, res->data.data, res->data.len);
        text[res->data.len] = '\0';
        *eof = res->eof;
        buffer_unref(res->data_owner);
    } else {
        assert_null(res->data_owner);
    }
    bench_compound_free(c);
    return status;
}

static nfsstat4 do_write(struct file *file, const stateid4 *stateid, uint64_t offset,
                         const char *text, stable_how4 stable, WRITE4resok *res)
{
    struct compound *c = bench_compound(0, file);
    nfsstat4 status;

    c->args.write = (WRITE4args){
        .stateid = *stateid, .offset = offset, .stable = stable, .data = xdr_bytes_of(text)};
    status = bench_run(c, op_write);
    if (res)
        *res = c->res.write.resok4;
    bench_compound_free(c);
    return status;
}

static void eof_is_told_when_and_only_when_the_end_was_reached(void **unused)
{
    static const struct {
        uint64_t offset;
        uint32_t count;
        const char *data;
        bool eof;
    } cases[] = {
        {0, 4, "0123", false},    {0, 10, "0123456789", true}, {0, 100, "0123456789", true},
        {6, 4, "6789", true},     {6, 3, "678", false},        {10, 5, "", true},
        {1000, 5, "", true},      {3, 0, "", false},           {10, 0, "", true},
        {INT64_MAX, 5, "", true}, {UINT64_MAX, 5, "", true},
    };
    struct file *file = bench_file("a", "0123456789");
    stateid4 stateid;
    char text[200];
    bool eof;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4_OK);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const stateid4 *by[] = {&stateid, &anonymous};

        for (unsigned k = 0; k < 2; k++) {
            assert_int_equal(do_read(file, by[k], cases[i].offset, cases[i].count, text, &eof),
                             NFS4_OK);
            assert_string_equal(text, cases[i].data);
            assert_int_equal(eof, cases[i].eof);
        }
    }
    bench_close(0, file, &stateid);
    file_unref(file);
}

static void an_empty_file_is_at_its_end(void **unused)
{
    struct file *file = bench_file("a", "");
    char text[16];
    bool eof = false;

    (void)unused;
    assert_int_equal(do_read(file, &anonymous, 0, 10, text, &eof), NFS4_OK);
    assert_true(eof);
    file_unref(file);
}

static void a_read_takes_what_the_reply_can_hold(void **unused)
{
    struct file *file = bench_file("a", "0123456789");
    struct compound *c = bench_compound(0, file);

    (void)unused;
    c->max_reply = 64 + 4;
    c->args.read = (READ4args){.count = 10};
    assert_int_equal(bench_run(c, op_read), NFS4_OK);
    assert_int_equal(c->res.read.resok4.data.len, 4);
    assert_false(c->res.read.resok4.eof);
    buffer_unref(c->res.read.resok4.data_owner);
    bench_compound_free(c);
    file_unref(file);
}

static void the_opener_is_not_asked_for_permission_again(void **unused)
{
    struct file *file = bench_file("a", "0123456789");
    struct compound *c;
    stateid4 stateid;
    char text[16];
    bool eof;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &stateid), NFS4_OK);
    bench.permission_denied = true;
    assert_int_equal(do_read(file, &stateid, 0, 4, text, &eof), NFS4_OK);
    assert_int_equal(do_write(file, &stateid, 0, "x", UNSTABLE4, NULL), NFS4_OK);
    assert_int_equal(do_write(file, &stateid, 0, "x", FILE_SYNC4, NULL), NFS4_OK);
    /* Another user with the same stateid is. */
    c = bench_compound(0, file);
    c->cred.uid = 1001;
    c->args.read = (READ4args){.stateid = stateid, .count = 4};
    assert_int_equal(bench_run(c, op_read), NFS4ERR_ACCESS);
    bench_compound_free(c);
    assert_int_equal(do_read(file, &anonymous, 0, 4, text, &eof), NFS4ERR_ACCESS);
    bench_close(0, file, &stateid);
    file_unref(file);
}

static void data_of_other_types_is_refused(void **unused)
{
    struct file *file = bench_file("a", "");
    char text[16];
    bool eof;

    (void)unused;
    assert_int_equal(do_read(bench.root, &anonymous, 0, 1, text, &eof), NFS4ERR_ISDIR);
    assert_int_equal(do_write(bench.root, &anonymous, 0, "x", UNSTABLE4, NULL), NFS4ERR_ISDIR);
    file->type = S_IFLNK;
    assert_int_equal(do_read(file, &anonymous, 0, 1, text, &eof), NFS4ERR_SYMLINK);
    file->type = S_IFIFO;
    assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, NULL), NFS4ERR_WRONG_TYPE);
    file_unref(file);
}

static void writes_are_as_stable_as_asked(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid;
    WRITE4resok res, again;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", W, 0, &stateid), NFS4_OK);
    for (unsigned stable = UNSTABLE4; stable <= FILE_SYNC4; stable++) {
        assert_int_equal(do_write(file, &stateid, 0, "hello", (stable_how4)stable, &res), NFS4_OK);
        assert_int_equal(res.count, 5);
        assert_true(res.committed >= stable);
    }
    assert_int_equal(do_write(file, &stateid, 0, "hello", (stable_how4)3, NULL), NFS4ERR_BADXDR);
    assert_int_equal(fdatasyncs, 1);
    assert_int_equal(fsyncs, 1);
    /* The verifier stays while the server does. */
    assert_int_equal(do_write(file, &stateid, 0, "hello", UNSTABLE4, &again), NFS4_OK);
    assert_memory_equal(res.writeverf, again.writeverf, sizeof res.writeverf);
    assert_true(file->changes > 0);
    bench_close(0, file, &stateid);
    file_unref(file);
}

static void writing_nothing_changes_nothing(void **unused)
{
    struct file *file = bench_file("a", "abc");
    WRITE4resok res;

    (void)unused;
    assert_int_equal(do_write(file, &anonymous, UINT64_MAX, "", UNSTABLE4, &res), NFS4_OK);
    assert_int_equal(res.count, 0);
    assert_int_equal(file->changes, 0);
    file_unref(file);
}

/* Wrong: offset + length wraps and writes at the front. Right: FBIG. */
static void a_write_past_the_largest_file_is_too_big(void **unused)
{
    struct file *file = bench_file("a", "");

    (void)unused;
    assert_int_equal(do_write(file, &anonymous, UINT64_MAX - 2, "hello", UNSTABLE4, NULL),
                     NFS4ERR_FBIG);
    assert_int_equal(do_write(file, &anonymous, INT64_MAX, "h", UNSTABLE4, NULL), NFS4ERR_FBIG);
    bench.export.max_file_size = 4;
    assert_int_equal(do_write(file, &anonymous, 0, "hello", UNSTABLE4, NULL), NFS4ERR_FBIG);
    assert_int_equal(do_write(file, &anonymous, 0, "hell", UNSTABLE4, NULL), NFS4_OK);
    file_unref(file);
}

static void a_read_only_export_is_not_written_to(void **unused)
{
    struct file *file = bench_file("a", "");

    (void)unused;
    bench.export.writable = false;
    assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, NULL), NFS4ERR_ROFS);
    file_unref(file);
}

/* PERM is not among WRITE's errors. */
static void a_frozen_file_refuses_writes(void **unused)
{
    struct file *file = bench_file("a", "");
    char text[16];
    bool eof;

    (void)unused;
    file->seal = SEAL_FROZEN;
    assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, NULL), NFS4ERR_ACCESS);
    assert_int_equal(bench.releases, 0);
    file->seal = SEAL_SEALING;
    assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, NULL), NFS4ERR_DELAY);
    assert_int_equal(do_read(file, &anonymous, 0, 1, text, &eof), NFS4_OK);
    file_unref(file);
}

static void an_at_rest_seal_gives_way_to_a_write(void **unused)
{
    struct file *file = bench_file("a", "");
    WRITE4resok res;

    (void)unused;
    file->seal = SEAL_FROZEN | SEAL_WORD_AT_REST;
    bench.keeper_clears_seal = true;
    assert_int_equal(do_write(file, &anonymous, 0, "x", FILE_SYNC4, &res), NFS4_OK);
    assert_int_equal(bench.releases, 1);
    assert_int_equal(res.count, 1);
    file_unref(file);
}

/* The blocks must stay the file's while they are written: pinned_held says that a release would
 * have waited.
 */
static void a_pinned_file_is_written_to_at_its_blocks(void **unused)
{
    struct file *file = bench_file("a", "0123456789");
    stateid4 stateid;
    WRITE4resok res;

    (void)unused;
    file->seal = SEAL_PINNED;
    assert_int_equal(bench_open(0, file, "o", W, 0, &stateid), NFS4_OK);
    assert_int_equal(do_write(file, &stateid, 7, "abc", UNSTABLE4, &res), NFS4_OK);
    assert_int_equal(bench.pinned_writes, 1);
    assert_int_equal(bench.pinned_offset, 7);
    assert_true(bench.pinned_held);
    assert_int_equal(bench.wrotes, 1);
    assert_int_equal(res.count, 3);
    assert_int_equal(res.committed, FILE_SYNC4);
    assert_false(state_file_has_pinned_io(file));
    assert_int_equal(do_write(file, &stateid, 2000000, "abc", UNSTABLE4, &res), NFS4ERR_FBIG);
    assert_int_equal(bench.wrotes, 1);
    assert_false(state_file_has_pinned_io(file));
    bench.keeper_status = NFS4ERR_DELAY;
    assert_int_equal(do_write(file, &stateid, 0, "abc", UNSTABLE4, &res), NFS4ERR_DELAY);
    assert_false(state_file_has_pinned_io(file));
    assert_int_equal(bench.pinned_writes, 2);
    bench_close(0, file, &stateid);
    file_unref(file);
}

/* What he asks for ends no seal, and what he would have written past a growing file's end is not
 * waited for. */
static void who_may_not_write_to_a_sealed_file_disturbs_nobody(void **unused)
{
    static const unsigned seals[] = {SEAL_FROZEN | SEAL_WORD_AT_REST,
                                     SEAL_PINNED | SEAL_WORD_AT_REST, SEAL_PINNED};
    struct file *file = bench_file("a", "0123456789");

    (void)unused;
    bench.growing = bench.permission_denied = true;
    for (unsigned i = 0; i < sizeof(seals) / sizeof(seals[0]); i++) {
        file->seal = seals[i];
        assert_int_equal(do_write(file, &anonymous, 7, "abc", UNSTABLE4, NULL), NFS4ERR_ACCESS);
    }
    assert_int_equal(bench.releases + bench.maps + bench.rooms + bench.wrotes, 0);
    assert_false(state_file_has_pinned_io(file));
    file_unref(file);
}

static void a_write_to_a_growing_file_asks_for_room_and_says_what_became_of_it(void **unused)
{
    struct file *file = bench_file("a", "0123456789");

    (void)unused;
    file->seal = SEAL_PINNED;
    bench.growing = true;
    assert_int_equal(do_write(file, &anonymous, 7, "abcd", UNSTABLE4, NULL), NFS4_OK);
    assert_int_equal(bench.permission_asked, 1);
    assert_int_equal(bench.room.end, 11);
    assert_int_equal(bench.wrote.end, 11);
    assert_non_null(bench.wrote.promise);
    assert_int_equal(do_write(file, &anonymous, 2000000, "abcd", UNSTABLE4, NULL), NFS4ERR_FBIG);
    assert_int_equal(bench.rooms, 2);
    assert_int_equal(bench.wrotes, 2);
    assert_int_equal(bench.wrote.end, 0);
    assert_int_equal(bench.wrote.room, 2000004);
    assert_int_equal(bench.wrote.client_id, bench.room.client_id);
    assert_non_null(bench.wrote.promise);
    file_unref(file);
}

/* Wrong: its program gets an error, and the data is lost, where a fence is missing. */
static void what_is_past_the_reserve_waits_for_a_seal_that_is_stuck(void **unused)
{
    struct file *file = bench_file("a", "0123456789");

    (void)unused;
    file->seal = SEAL_PINNED | SEAL_WORD_AT_REST;
    bench.growing = true;
    bench.room_status = NFS4ERR_RECALLCONFLICT;
    bench.release_status = NFS4ERR_PERM;
    assert_int_equal(do_write(file, &anonymous, 7, "abcd", UNSTABLE4, NULL), NFS4ERR_DELAY);
    assert_int_equal(bench.releases, 1);
    file->seal = SEAL_PINNED; /* an operator's, who has chosen how large it gets */
    assert_int_equal(do_write(file, &anonymous, 7, "abcd", UNSTABLE4, NULL), NFS4ERR_ACCESS);
    file_unref(file);
}

static void a_pinned_file_is_read_past_the_page_cache(void **unused)
{
    static char content[10001];
    struct file *file;
    stateid4 stateid;
    char text[256];
    bool eof;

    (void)unused;
    for (unsigned i = 0; i < sizeof content - 1; i++)
        content[i] = (char)('a' + i % 26);
    file = bench_file("a", content);
    file->seal = SEAL_PINNED;
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4_OK);
    assert_int_equal(do_read(file, &stateid, 4090, 100, text, &eof), NFS4_OK);
    assert_int_equal(strlen(text), 100);
    assert_memory_equal(text, content + 4090, 100);
    assert_false(eof);
    assert_int_equal(do_read(file, &stateid, 9990, 100, text, &eof), NFS4_OK);
    assert_string_equal(text, content + 9990);
    assert_true(eof);
    assert_int_equal(do_read(file, &stateid, 20000, 100, text, &eof), NFS4_OK);
    assert_string_equal(text, "");
    assert_true(eof);
    bench_close(0, file, &stateid);
    file_unref(file);
}

static void commit_answers_with_the_verifier_of_write(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = bench_compound(0, file);
    WRITE4resok res;

    (void)unused;
    assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, &res), NFS4_OK);
    c->args.commit = (COMMIT4args){.offset = 0, .count = 0};
    assert_int_equal(bench_run(c, op_commit), NFS4_OK);
    assert_memory_equal(c->res.commit.resok4.writeverf, res.writeverf, sizeof res.writeverf);
    c->args.commit = (COMMIT4args){.offset = UINT64_MAX, .count = 2};
    assert_int_equal(bench_run(c, op_commit), NFS4_OK);
    file->seal = SEAL_FROZEN;
    c->args.commit = (COMMIT4args){.offset = 0, .count = 0};
    assert_int_equal(bench_run(c, op_commit), NFS4_OK);
    bench_compound_free(c);
    file_unref(file);
}

/* Wrong: fsync's error dropped, or the verifier kept, so that other clients believe their data
 * safe. */
static void a_failed_write_back_is_told_and_changes_the_verifier(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = bench_compound(0, file);
    WRITE4resok before, after;

    (void)unused;
    assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, &before), NFS4_OK);
    c->args.commit = (COMMIT4args){0};
    flush_error = EIO;
    assert_int_equal(bench_run(c, op_commit), NFS4ERR_IO);
    flush_error = 0;
    assert_int_equal(bench_run(c, op_commit), NFS4_OK);
    assert_memory_not_equal(c->res.commit.resok4.writeverf, before.writeverf,
                            sizeof before.writeverf);
    before = after = (WRITE4resok){0};
    assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, &before), NFS4_OK);
    flush_error = EIO;
    assert_int_equal(do_write(file, &anonymous, 0, "x", FILE_SYNC4, NULL), NFS4ERR_IO);
    flush_error = 0;
    assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, &after), NFS4_OK);
    assert_memory_not_equal(after.writeverf, before.writeverf, sizeof before.writeverf);
    bench_compound_free(c);
    file_unref(file);
}

enum { LAST_ERROR = 133 }; /* of the kernel's */

/* Wrong: any error of a WRITE but a few renewed the verifier, so that one client's bad requests
 * made all others write again for ever; or a list of errors was kept for losses, which lacked some.
 * Right: what the write itself says, whatever it is, is this client's; */
static void an_error_of_the_write_itself_changes_no_verifier(void **unused)
{
    struct file *file = bench_file("a", "");
    WRITE4resok before, after;

    (void)unused;
    assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, &before), NFS4_OK);
    for (int error = 1; error <= LAST_ERROR; error++) {
        if (error == EINTR) /* is tried again */
            continue;
        write_error = error;
        assert_int_not_equal(do_write(file, &anonymous, 0, "x", FILE_SYNC4, NULL), NFS4_OK);
        write_error = 0;
        assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, &after), NFS4_OK);
        assert_memory_equal(after.writeverf, before.writeverf, sizeof before.writeverf);
    }
    assert_int_equal(fsyncs, 0);
    file_unref(file);
}

/* and any error of a flush is a loss of what others believe written. */
static void any_error_of_a_flush_changes_the_verifier(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *commit = bench_compound(0, file);
    WRITE4resok before, after;

    (void)unused;
    assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, &before), NFS4_OK);
    for (int error = 1; error <= LAST_ERROR; error++) {
        flush_error = error;
        assert_int_not_equal(
            do_write(file, &anonymous, 0, "x", error % 2 ? FILE_SYNC4 : DATA_SYNC4, NULL), NFS4_OK);
        flush_error = 0;
        assert_int_equal(do_write(file, &anonymous, 0, "x", UNSTABLE4, &after), NFS4_OK);
        assert_memory_not_equal(after.writeverf, before.writeverf, sizeof before.writeverf);
        before = after;
        flush_error = error;
        assert_int_not_equal(bench_run(commit, op_commit), NFS4_OK);
        flush_error = 0;
        assert_int_equal(bench_run(commit, op_commit), NFS4_OK);
        assert_memory_not_equal(commit->res.commit.resok4.writeverf, before.writeverf,
                                sizeof before.writeverf);
    }
    bench_compound_free(commit);
    file_unref(file);
}

static void a_full_disk_is_told_and_what_was_written_counts(void **unused)
{
    struct file *file = bench_file("a", "");
    WRITE4resok before, res;

    (void)unused;
    assert_int_equal(do_write(file, &anonymous, 0, "hello", UNSTABLE4, &before), NFS4_OK);
    write_error = ENOSPC;
    assert_int_equal(do_write(file, &anonymous, 0, "hello", FILE_SYNC4, NULL), NFS4ERR_NOSPC);
    write_error = EDQUOT;
    assert_int_equal(do_write(file, &anonymous, 0, "hello", UNSTABLE4, NULL), NFS4ERR_DQUOT);
    write_error = ENOSPC;
    write_calls_left = 1;
    write_at_most = 3;
    assert_int_equal(do_write(file, &anonymous, 0, "hello", FILE_SYNC4, &res), NFS4_OK);
    assert_int_equal(res.count, 3);
    assert_int_equal(res.committed, FILE_SYNC4);
    /* Nothing was lost: the verifier stays. */
    assert_memory_equal(res.writeverf, before.writeverf, sizeof res.writeverf);
    /* Part of it, which then cannot be made durable: that is told now, for the kernel does not say
     * it twice. */
    flush_error = EIO;
    write_calls_left = 1;
    assert_int_equal(do_write(file, &anonymous, 0, "hello", FILE_SYNC4, NULL), NFS4ERR_IO);
    file_unref(file);
}

static void short_writes_of_the_kernel_are_continued(void **unused)
{
    struct file *file = bench_file("a", "");
    char text[16];
    WRITE4resok res;
    bool eof;

    (void)unused;
    write_at_most = 2;
    for (unsigned i = 0; i < 2;
         i++) { /* the second time the descriptor is open, and the loop has a try */
        assert_int_equal(do_write(file, &anonymous, 0, "hello", i ? UNSTABLE4 : DATA_SYNC4, &res),
                         NFS4_OK);
        assert_int_equal(res.count, 5);
    }
    assert_int_equal(do_read(file, &anonymous, 0, 10, text, &eof), NFS4_OK);
    assert_string_equal(text, "hello");
    file_unref(file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, reset, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(eof_is_told_when_and_only_when_the_end_was_reached),
        TEST(an_empty_file_is_at_its_end),
        TEST(a_read_takes_what_the_reply_can_hold),
        TEST(the_opener_is_not_asked_for_permission_again),
        TEST(data_of_other_types_is_refused),
        TEST(writes_are_as_stable_as_asked),
        TEST(writing_nothing_changes_nothing),
        TEST(a_write_past_the_largest_file_is_too_big),
        TEST(a_read_only_export_is_not_written_to),
        TEST(a_frozen_file_refuses_writes),
        TEST(an_at_rest_seal_gives_way_to_a_write),
        TEST(a_pinned_file_is_written_to_at_its_blocks),
        TEST(who_may_not_write_to_a_sealed_file_disturbs_nobody),
        TEST(a_write_to_a_growing_file_asks_for_room_and_says_what_became_of_it),
        TEST(what_is_past_the_reserve_waits_for_a_seal_that_is_stuck),
        TEST(a_pinned_file_is_read_past_the_page_cache),
        TEST(commit_answers_with_the_verifier_of_write),
        TEST(a_failed_write_back_is_told_and_changes_the_verifier),
        TEST(an_error_of_the_write_itself_changes_no_verifier),
        TEST(any_error_of_a_flush_changes_the_verifier),
        TEST(a_full_disk_is_told_and_what_was_written_counts),
        TEST(short_writes_of_the_kernel_are_continued),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    buffer_pool_drain();
    return failed;
}
