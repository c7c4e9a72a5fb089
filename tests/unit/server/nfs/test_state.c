/*
 * Stateids, opens and what hangs on files (RFC 8881 sections 8.2, 9).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/client/watcher.h"
#include "tests/unit/server/nfs/ops_bench.h"

enum { R = OPEN4_SHARE_ACCESS_READ, W = OPEN4_SHARE_ACCESS_WRITE, BOTH = R | W };

static nfsstat4 check(unsigned client, struct file *file, const stateid4 *stateid, unsigned access)
{
    struct compound *c = bench_compound(client, file);
    bool opener;
    nfsstat4 status = io_state_find(c, stateid, access, &opener);

    bench_compound_free(c);
    return status;
}

static void seqid_zero_means_the_latest(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4_OK);
    assert_int_equal(stateid.seqid, 1);
    assert_int_equal(stateid.other[0], STATEID_OPEN);
    stateid.seqid = 0;
    assert_int_equal(check(0, file, &stateid, FILE_READ), NFS4_OK);
    assert_int_equal(bench_close(0, file, &stateid), NFS4_OK);
    file_unref(file);
}

static nfsstat4 lock_byte(struct file *file, const stateid4 *stateid, uint64_t at)
{
    struct compound *c = bench_compound(0, file);
    struct state_lock lock = {.file = file, .first = at, .last = at};
    const struct xdr_bytes owner = xdr_bytes_of("l");
    LOCK4denied denied;
    stateid4 out;
    nfsstat4 status =
        state_lock_set(bench.clients[0].state, &lock, stateid, &owner, &c->arena, &out, &denied);

    bench_compound_free(c);
    return status;
}

/* Opens with what is locked by them, so many at a time. */
static void a_clients_states_go_bit_by_bit(void **unused)
{
    const struct client_annex annex = client_state_annex(&bench.budget);
    struct file *file = bench_file("a", "");
    char owner[8];
    stateid4 stateid;
    unsigned turns = 1;

    (void)unused;
    for (unsigned i = 0; i < 100; i++) {
        snprintf(owner, sizeof(owner), "o%u", i);
        assert_int_equal(bench_open(0, file, owner, R, 0, &stateid), NFS4_OK);
    }
    for (uint64_t i = 0; i < 50; i++) /* of the last owner's */
        assert_int_equal(lock_byte(file, &stateid, 2 * i), NFS4_OK);
    while (!annex.drop(bench.clients[0].state, 7)) {
        assert_true(state_file_is_open(file));
        turns++;
    }
    bench.clients[0].state = NULL;
    assert_int_equal(turns, (100 + 50 + 1) / 7 + 1);
    assert_false(state_file_is_open(file));
    file_unref(file);
}

static void an_older_seqid_is_old_and_a_newer_one_bad(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 first, second;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &first), NFS4_OK);
    assert_int_equal(bench_open(0, file, "o", R, 0, &second), NFS4_OK);
    assert_int_equal(second.seqid, 2);
    assert_memory_equal(first.other, second.other, sizeof first.other);
    assert_int_equal(check(0, file, &first, FILE_READ), NFS4ERR_OLD_STATEID);
    second.seqid = 3;
    assert_int_equal(check(0, file, &second, FILE_READ), NFS4ERR_BAD_STATEID);
    second.seqid = UINT32_MAX;
    assert_int_equal(check(0, file, &second, FILE_READ), NFS4ERR_OLD_STATEID);
    second.seqid = 0x80000000;
    assert_int_equal(check(0, file, &second, FILE_READ), NFS4ERR_BAD_STATEID);
    second.seqid = 2;
    assert_int_equal(bench_close(0, file, &second), NFS4_OK);
    file_unref(file);
}

/* Wrong: a stateid looked up in one table for all clients. Right: another client's is BAD_STATEID.
 */
static void another_clients_stateid_is_bad(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4_OK);
    assert_int_equal(check(1, file, &stateid, FILE_READ), NFS4ERR_BAD_STATEID);
    assert_int_equal(bench_close(1, file, &stateid), NFS4ERR_BAD_STATEID);
    assert_int_equal(bench_close(0, file, &stateid), NFS4_OK);
    file_unref(file);
}

static void a_stateid_is_good_for_its_own_file_only(void **unused)
{
    struct file *a = bench_file("a", ""), *b = bench_file("b", "");
    stateid4 stateid;

    (void)unused;
    assert_int_equal(bench_open(0, a, "o", R, 0, &stateid), NFS4_OK);
    assert_int_equal(check(0, b, &stateid, FILE_READ), NFS4ERR_BAD_STATEID);
    assert_int_equal(bench_close(0, a, &stateid), NFS4_OK);
    assert_int_equal(check(0, a, &stateid, FILE_READ), NFS4ERR_BAD_STATEID);
    file_unref(a);
    file_unref(b);
}

static void stateids_do_not_repeat(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 before, after;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &before), NFS4_OK);
    assert_int_equal(bench_close(0, file, &before), NFS4_OK);
    assert_int_equal(bench_open(0, file, "o", R, 0, &after), NFS4_OK);
    assert_memory_not_equal(before.other, after.other, sizeof before.other);
    assert_int_equal(bench_close(0, file, &after), NFS4_OK);
    file_unref(file);
}

static void writing_needs_an_open_for_writing(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 reader, writer;

    (void)unused;
    assert_int_equal(bench_open(0, file, "r", R, 0, &reader), NFS4_OK);
    assert_int_equal(bench_open(0, file, "w", W, 0, &writer), NFS4_OK);
    assert_int_equal(check(0, file, &reader, FILE_WRITE), NFS4ERR_OPENMODE);
    assert_int_equal(check(0, file, &writer, FILE_WRITE), NFS4_OK);
    assert_int_equal(check(0, file, &writer, FILE_READ), NFS4_OK);
    bench_close(0, file, &reader);
    bench_close(0, file, &writer);
    file_unref(file);
}

static void anonymous_io_respects_denies_and_only_read_bypass_does_not(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 denier, anonymous = {0}, bypass;

    (void)unused;
    memset(&bypass, 0xff, sizeof bypass);
    assert_int_equal(check(1, file, &anonymous, FILE_WRITE), NFS4_OK);
    assert_int_equal(bench_open(0, file, "o", R, OPEN4_SHARE_DENY_BOTH, &denier), NFS4_OK);
    assert_int_equal(check(1, file, &anonymous, FILE_READ), NFS4ERR_LOCKED);
    assert_int_equal(check(1, file, &anonymous, FILE_WRITE), NFS4ERR_LOCKED);
    assert_int_equal(check(1, file, &bypass, FILE_READ), NFS4_OK);
    assert_int_equal(check(1, file, &bypass, FILE_WRITE), NFS4ERR_LOCKED);
    bench.expired_client = 100; /* what it denies it denies no longer */
    assert_int_equal(check(1, file, &anonymous, FILE_READ), NFS4ERR_DELAY);
    bench_close(0, file, &denier);
    bench.grace = true;
    assert_int_equal(check(1, file, &anonymous, FILE_READ), NFS4ERR_GRACE);
    file_unref(file);
}

static void reserved_stateids_that_mean_nothing_are_bad(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid = {.seqid = UINT32_MAX};

    (void)unused;
    assert_int_equal(check(0, file, &stateid, FILE_READ), NFS4ERR_BAD_STATEID);
    stateid.seqid = 7;
    assert_int_equal(check(0, file, &stateid, FILE_READ), NFS4ERR_BAD_STATEID);
    memset(stateid.other, 0xff, sizeof stateid.other);
    assert_int_equal(check(0, file, &stateid, FILE_READ), NFS4ERR_BAD_STATEID);
    /* "The current stateid" where none was set. */
    stateid = (stateid4){.seqid = 1};
    assert_int_equal(check(0, file, &stateid, FILE_READ), NFS4ERR_BAD_STATEID);
    file_unref(file);
}

static void the_current_stateid_stands_in(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = bench_compound(0, file);
    stateid4 stateid, again, current = {.seqid = 1}, anonymous = {0};
    bool opener;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4_OK);
    compound_set_stateid(c, &stateid);
    assert_int_equal(io_state_find(c, &current, FILE_READ, &opener), NFS4_OK);
    /* An upgrade meanwhile does not matter: its latest seqid is meant. */
    assert_int_equal(bench_open(0, file, "o", R, 0, &again), NFS4_OK);
    assert_int_equal(io_state_find(c, &current, FILE_READ, &opener), NFS4_OK);
    /* Wrong: an anonymous current stateid passed on. Right: BAD_STATEID. */
    compound_set_stateid(c, &anonymous);
    assert_int_equal(io_state_find(c, &current, FILE_READ, &opener), NFS4ERR_BAD_STATEID);
    bench_compound_free(c);
    bench_close(0, file, &again);
    file_unref(file);
}

static void a_writer_is_seen_until_it_closes(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 reader, writer;

    (void)unused;
    assert_false(state_file_is_open(file));
    assert_int_equal(bench_open(0, file, "r", R, 0, &reader), NFS4_OK);
    assert_true(state_file_is_open(file));
    assert_false(state_file_has_writer(file));
    assert_int_equal(bench_open(1, file, "w", W, 0, &writer), NFS4_OK);
    assert_true(state_file_has_writer(file));
    bench_close(1, file, &writer);
    assert_false(state_file_has_writer(file));
    bench_close(0, file, &reader);
    assert_null(file->state);
    file_unref(file);
}

static void a_client_that_goes_takes_its_state_along(void **unused)
{
    struct file *a = bench_file("a", ""), *b = bench_file("b", "");
    stateid4 stateid;

    (void)unused;
    assert_int_equal(bench_open(0, a, "x", BOTH, OPEN4_SHARE_DENY_BOTH, &stateid), NFS4_OK);
    assert_int_equal(bench_open(0, b, "x", W, 0, &stateid), NFS4_OK);
    assert_int_equal(bench_open(0, b, "y", R, 0, &stateid), NFS4_OK);
    assert_false(client_state_is_empty(bench.clients[0].state));
    bench_end_client(0);
    assert_false(state_file_has_writer(a));
    assert_null(b->state);
    assert_int_equal(b->refs, 1);
    file_unref(a);
    file_unref(b);
}

static void pinned_io_is_seen_and_begins_only_while_pinned(void **unused)
{
    struct file *file = bench_file("a", "");

    (void)unused;
    assert_false(state_file_pinned_begin(file));
    file->seal = SEAL_PINNED;
    assert_true(state_file_pinned_begin(file));
    assert_true(state_file_pinned_begin(file));
    file->seal = SEAL_RELEASING;
    assert_false(state_file_pinned_begin(file));
    state_file_pinned_end(file);
    assert_true(state_file_has_pinned_io(file));
    state_file_pinned_end(file);
    assert_false(state_file_has_pinned_io(file));
    assert_null(file->state);
    file_unref(file);
}

static void a_thousand_opens_of_one_owner_are_told_apart(void **unused)
{
    enum { FILES = 1000 };
    static struct file *files[FILES];
    static stateid4 stateids[FILES];
    char name[16];

    (void)unused;
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "f%u", i);
        files[i] = bench_file(name, "");
        assert_int_equal(bench_open(0, files[i], "o", R, 0, &stateids[i]), NFS4_OK);
        if (i % 8 == 7) { /* the bench has a small table of descriptors */
            for (unsigned k = i - 7; k <= i; k++) {
                assert_int_equal(bench_close(0, files[k], &stateids[k ^ 1]), NFS4ERR_BAD_STATEID);
                assert_int_equal(bench_close(0, files[k], &stateids[k]), NFS4_OK);
                file_unref(files[k]);
            }
        }
    }
    assert_true(client_state_is_empty(bench.clients[0].state));
}

/* Wrong: a client that died with a file open for writing keeps it from being sealed for a day. */
static void writers_past_their_lease_give_way_to_a_seal(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 first, second, reader;

    (void)unused;
    assert_false(state_file_yield_writers(file, NULL));
    assert_int_equal(bench_open(2, file, "o", R, 0, &reader), NFS4_OK);
    assert_int_equal(bench_open(0, file, "o", W, 0, &first), NFS4_OK);
    assert_false(state_file_yield_writers(file, NULL));
    bench.expired_client = 100;
    assert_true(state_file_yield_writers(file, NULL));
    assert_int_equal(bench_open(1, file, "o", W, 0, &second), NFS4_OK);
    assert_false(state_file_yield_writers(file, NULL)); /* one is alive */
    file_unref(file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(seqid_zero_means_the_latest),
        TEST(an_older_seqid_is_old_and_a_newer_one_bad),
        TEST(a_clients_states_go_bit_by_bit),
        TEST(another_clients_stateid_is_bad),
        TEST(a_stateid_is_good_for_its_own_file_only),
        TEST(stateids_do_not_repeat),
        TEST(writing_needs_an_open_for_writing),
        TEST(anonymous_io_respects_denies_and_only_read_bypass_does_not),
        TEST(reserved_stateids_that_mean_nothing_are_bad),
        TEST(the_current_stateid_stands_in),
        TEST(a_writer_is_seen_until_it_closes),
        TEST(a_client_that_goes_takes_its_state_along),
        TEST(pinned_io_is_seen_and_begins_only_while_pinned),
        TEST(a_thousand_opens_of_one_owner_are_told_apart),
        TEST(writers_past_their_lease_give_way_to_a_seal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
