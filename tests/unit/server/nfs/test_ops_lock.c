/*
 * LOCK, LOCKT, LOCKU and what they keep from being closed or freed (RFC 8881 sections 18.10
 * to 18.12, 18.38).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/server/nfs/ops_bench.h"

enum { R = OPEN4_SHARE_ACCESS_READ, W = OPEN4_SHARE_ACCESS_WRITE, BOTH = R | W };

/* LOCK by an open's stateid (owner given) or a lock stateid. The answer is kept in c until the
 * caller frees it. */
static struct compound *lock(unsigned client, struct file *file, const stateid4 *stateid,
                             const char *owner, nfs_lock_type4 type, uint64_t offset,
                             uint64_t length)
{
    struct compound *c = bench_compound(client, file);
    LOCK4args *args = &c->args.lock;

    *args = (LOCK4args){.locktype = type, .offset = offset, .length = length};
    args->locker.new_lock_owner = owner != NULL;
    if (owner) {
        args->locker.open_owner.open_stateid = *stateid;
        /* The client id on the wire is to be ignored. */
        args->locker.open_owner.lock_owner =
            (lock_owner4){.clientid = 999, .owner = xdr_bytes_of(owner)};
    } else {
        args->locker.lock_owner.lock_stateid = *stateid;
    }
    bench_run(c, op_lock);
    return c;
}

static nfsstat4 do_lock(unsigned client, struct file *file, const stateid4 *stateid,
                        const char *owner, nfs_lock_type4 type, uint64_t offset, uint64_t length,
                        stateid4 *out)
{
    struct compound *c = lock(client, file, stateid, owner, type, offset, length);
    nfsstat4 status = c->res.status;

    if (status == NFS4_OK && out)
        *out = c->res.lock.resok4.lock_stateid;
    bench_compound_free(c);
    return status;
}

static nfsstat4 do_unlock(unsigned client, struct file *file, const stateid4 *stateid,
                          uint64_t offset, uint64_t length, stateid4 *out)
{
    struct compound *c = bench_compound(client, file);
    nfsstat4 status;

    c->args.locku = (LOCKU4args){
        .locktype = READ_LT, .lock_stateid = *stateid, .offset = offset, .length = length};
    status = bench_run(c, op_locku);
    if (status == NFS4_OK && out)
        *out = c->res.locku.lock_stateid;
    bench_compound_free(c);
    return status;
}

static nfsstat4 do_test(unsigned client, struct file *file, const char *owner, nfs_lock_type4 type,
                        uint64_t offset, uint64_t length)
{
    struct compound *c = bench_compound(client, file);
    nfsstat4 status;

    c->args.lockt = (LOCKT4args){
        .locktype = type, .offset = offset, .length = length, .owner.owner = xdr_bytes_of(owner)};
    status = bench_run(c, op_lockt);
    bench_compound_free(c);
    return status;
}

static nfsstat4 do_free(unsigned client, const stateid4 *stateid)
{
    struct compound *c = bench_compound(client, bench.root);
    nfsstat4 status;

    c->args.free_stateid.fsa_stateid = *stateid;
    status = bench_run(c, op_free_stateid);
    bench_compound_free(c);
    return status;
}

static void a_lock_is_taken_changed_and_given_back(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 open, locked;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", WRITE_LT, 0, 10, &locked), NFS4_OK);
    assert_int_equal(locked.other[0], STATEID_LOCK);
    assert_int_equal(locked.seqid, 1);
    assert_int_equal(do_lock(0, file, &locked, NULL, READ_LT, 5, 2, &locked), NFS4_OK);
    assert_int_equal(locked.seqid, 2);
    assert_int_equal(do_unlock(0, file, &locked, 0, UINT64_MAX, &locked), NFS4_OK);
    assert_int_equal(locked.seqid, 3);
    assert_int_equal(bench_close(0, file, &open), NFS4_OK);
    file_unref(file);
}

/* Wrong: DENIED without an owner, or with the client id that the asker sent. Right: whose lock it
 * is. */
static void denied_tells_whose_lock_it_is(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 open, other;
    struct compound *c;
    const LOCK4denied *denied;
    size_t opens, locks;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(bench_open(1, file, "o", BOTH, 0, &other), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "alice", WRITE_LT, 100, UINT64_MAX, NULL), NFS4_OK);
    c = lock(1, file, &other, "bob", READW_LT, 0, 101);
    denied = &c->res.lock.denied;
    assert_int_equal(c->res.status, NFS4ERR_DENIED);
    assert_int_equal(denied->owner.clientid, 100);
    assert_true(xdr_bytes_equal(denied->owner.owner, xdr_bytes_of("alice")));
    assert_int_equal(denied->offset, 100);
    assert_true(denied->length == UINT64_MAX);
    assert_int_equal(denied->locktype, WRITE_LT);
    bench_compound_free(c);
    client_state_count(bench.clients[1].state, &opens, &locks);
    assert_int_equal(locks, 0); /* a denied lock leaves no state behind */
    assert_int_equal(bench_close(1, file, &other), NFS4_OK);
    bench_end_client(0);
    file_unref(file);
}

static void owners_are_the_sessions_client_and_name(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 open, second, other;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(bench_open(0, file, "p", BOTH, 0, &second), NFS4_OK);
    assert_int_equal(bench_open(1, file, "o", BOTH, 0, &other), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", WRITE_LT, 0, 10, NULL), NFS4_OK);
    /* The same owner through another open of his does not meet himself. */
    assert_int_equal(do_lock(0, file, &second, "l", WRITE_LT, 0, 10, NULL), NFS4_OK);
    assert_int_equal(do_lock(0, file, &second, "m", WRITE_LT, 0, 10, NULL), NFS4ERR_DENIED);
    assert_int_equal(do_lock(1, file, &other, "l", WRITE_LT, 0, 10, NULL), NFS4ERR_DENIED);
    assert_int_equal(do_test(0, file, "l", WRITE_LT, 0, 10), NFS4_OK);
    assert_int_equal(do_test(1, file, "l", WRITE_LT, 0, 10), NFS4ERR_DENIED);
    assert_int_equal(do_test(1, file, "l", WRITE_LT, 10, 10), NFS4_OK);
    file_unref(file);
}

/* Wrong: locks are cut by the stateid they came by, so that a lock that was downgraded or given
 * back through another open stays. Right: by their owner (RFC 8881 section 9.5). */
static void an_owner_replaces_his_lock_through_any_open(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 open, second, other, locked, again;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(bench_open(0, file, "p", BOTH, 0, &second), NFS4_OK);
    assert_int_equal(bench_open(1, file, "o", BOTH, 0, &other), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", WRITE_LT, 0, 100, &locked), NFS4_OK);
    assert_int_equal(do_lock(0, file, &second, "l", READ_LT, 0, 50, &again), NFS4_OK);
    assert_int_equal(do_test(1, file, "l", READ_LT, 0, 50), NFS4_OK);
    assert_int_equal(do_test(1, file, "l", READ_LT, 50, 1), NFS4ERR_DENIED);
    assert_int_equal(bench_close(0, file, &open), NFS4ERR_LOCKS_HELD);
    assert_int_equal(do_unlock(0, file, &again, 50, UINT64_MAX, &again), NFS4_OK);
    assert_int_equal(bench_close(0, file, &open), NFS4_OK); /* nothing is left of this one's */
    assert_int_equal(do_test(1, file, "l", WRITE_LT, 0, 50), NFS4ERR_DENIED);
    assert_int_equal(bench_close(0, file, &second), NFS4ERR_LOCKS_HELD);
    file_unref(file);
}

/* Wrong: the seqid of a stateid that was not used moves, so that its owner finds it old (9.5). */
static void a_lock_through_another_open_leaves_the_seqid_of_the_first(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 open, second, first, again;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(bench_open(0, file, "p", BOTH, 0, &second), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", WRITE_LT, 0, 100, &first), NFS4_OK);
    assert_int_equal(do_lock(0, file, &second, "l", WRITE_LT, 0, 50, &again), NFS4_OK);
    assert_int_equal(again.seqid, 1);
    /* The same bytes once more: in terms of lock-owners nothing changes. */
    assert_int_equal(do_lock(0, file, &again, NULL, WRITE_LT, 0, 50, &again), NFS4_OK);
    assert_int_equal(again.seqid, 2);
    assert_int_equal(first.seqid, 1);
    assert_int_equal(do_unlock(0, file, &first, 0, UINT64_MAX, &first), NFS4_OK);
    assert_int_equal(first.seqid, 2);
    assert_int_equal(bench_close(0, file, &open), NFS4_OK);
    assert_int_equal(bench_close(0, file, &second), NFS4_OK);
    file_unref(file);
}

static void a_lock_needs_an_open_of_its_kind(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 reader, writer;

    (void)unused;
    assert_int_equal(bench_open(0, file, "r", R, 0, &reader), NFS4_OK);
    assert_int_equal(bench_open(0, file, "w", W, 0, &writer), NFS4_OK);
    assert_int_equal(do_lock(0, file, &reader, "l", WRITE_LT, 0, 1, NULL), NFS4ERR_OPENMODE);
    assert_int_equal(do_lock(0, file, &writer, "l", READ_LT, 0, 1, NULL), NFS4ERR_OPENMODE);
    assert_int_equal(do_lock(0, file, &reader, "l", READ_LT, 0, 1, NULL), NFS4_OK);
    file_unref(file);
}

static void impossible_ranges_and_kinds_are_invalid(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 open, locked;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", READ_LT, 0, 0, NULL), NFS4ERR_INVAL);
    assert_int_equal(do_lock(0, file, &open, "l", READ_LT, UINT64_MAX, 2, NULL), NFS4ERR_INVAL);
    assert_int_equal(do_lock(0, file, &open, "l", (nfs_lock_type4)5, 0, 1, NULL), NFS4ERR_BADXDR);
    assert_int_equal(do_test(0, file, "l", READ_LT, 0, 0), NFS4ERR_INVAL);
    assert_int_equal(do_test(0, file, "l", (nfs_lock_type4)0, 0, 1), NFS4ERR_BADXDR);
    assert_int_equal(do_lock(0, file, &open, "l", READ_LT, 0, 1, &locked), NFS4_OK);
    assert_int_equal(do_unlock(0, file, &locked, 0, 0, NULL), NFS4ERR_INVAL);
    assert_int_equal(do_test(0, bench.root, "l", READ_LT, 0, 1), NFS4ERR_ISDIR);
    assert_int_equal(do_unlock(0, bench.root, &locked, 0, 1, NULL), NFS4ERR_BAD_STATEID);
    file_unref(file);
}

static void stateids_of_the_wrong_kind_are_bad(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 open, locked, anonymous = {0};

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", READ_LT, 0, 1, &locked), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, NULL, READ_LT, 0, 1, NULL), NFS4ERR_BAD_STATEID);
    assert_int_equal(do_lock(0, file, &locked, "m", READ_LT, 0, 1, NULL), NFS4ERR_BAD_STATEID);
    assert_int_equal(do_lock(0, file, &anonymous, "m", READ_LT, 0, 1, NULL), NFS4ERR_BAD_STATEID);
    assert_int_equal(do_unlock(0, file, &open, 0, 1, NULL), NFS4ERR_BAD_STATEID);
    assert_int_equal(bench_close(0, file, &locked), NFS4ERR_BAD_STATEID);
    file_unref(file);
}

static void a_file_with_locks_is_not_closed_and_its_stateid_not_freed(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 open, locked;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", WRITE_LT, 0, 10, &locked), NFS4_OK);
    assert_int_equal(bench_close(0, file, &open), NFS4ERR_LOCKS_HELD);
    assert_int_equal(do_free(0, &locked), NFS4ERR_LOCKS_HELD);
    assert_int_equal(do_free(0, &open), NFS4ERR_LOCKS_HELD);
    assert_int_equal(do_free(1, &locked), NFS4ERR_BAD_STATEID);
    assert_int_equal(do_unlock(0, file, &locked, 0, 10, &locked), NFS4_OK);
    assert_int_equal(do_free(0, &locked), NFS4_OK);
    assert_int_equal(do_free(0, &locked), NFS4ERR_BAD_STATEID);
    assert_int_equal(bench_close(0, file, &open), NFS4_OK);
    file_unref(file);
}

static void lock_honours_grace_and_reclaim(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c;
    stateid4 open;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    c = bench_compound(0, file);
    c->args.lock = (LOCK4args){
        .locktype = READ_LT, .length = 1, .reclaim = true, .locker.new_lock_owner = true};
    c->args.lock.locker.open_owner.open_stateid = open;
    c->args.lock.locker.open_owner.lock_owner.owner = xdr_bytes_of("l");
    assert_int_equal(bench_run(c, op_lock), NFS4ERR_NO_GRACE);
    bench.grace = true;
    assert_int_equal(do_lock(0, file, &open, "l", READ_LT, 0, 1, NULL), NFS4ERR_GRACE);
    assert_int_equal(do_test(0, file, "l", READ_LT, 0, 1), NFS4ERR_GRACE);
    bench.clients[0].reclaim_complete = false;
    assert_int_equal(bench_run(c, op_lock), NFS4ERR_RECLAIM_BAD);
    assert_int_equal(bench.reclaims, 0);
    bench.clients[0].may_reclaim = true;
    assert_int_equal(bench_run(c, op_lock), NFS4_OK);
    assert_int_equal(bench.reclaims, 1);
    bench_compound_free(c);
    file_unref(file);
}

static void an_expired_clients_lock_gives_way(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 open, other;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(bench_open(1, file, "o", BOTH, 0, &other), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", WRITE_LT, 0, 10, NULL), NFS4_OK);
    bench.expired_client = 100;
    assert_int_equal(do_lock(1, file, &other, "l", READ_LT, 0, 10, NULL), NFS4ERR_DELAY);
    bench_end_client(0);
    assert_int_equal(do_lock(1, file, &other, "l", READ_LT, 0, 10, NULL), NFS4_OK);
    file_unref(file);
}

static void a_lock_stateid_reads_and_writes_as_its_open(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c;
    stateid4 open, locked;
    bool opener;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &open), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", READ_LT, 0, 10, &locked), NFS4_OK);
    c = bench_compound(0, file);
    assert_int_equal(io_state_find(c, &locked, FILE_READ, &opener), NFS4_OK);
    assert_int_equal(io_state_find(c, &locked, FILE_WRITE, &opener), NFS4ERR_OPENMODE);
    bench_compound_free(c);
    file_unref(file);
}

/* ---- shares ---- */

enum { RANGES = 60 }; /* that there are for all clients */

/* Wrong: a client's ranges are as many as it likes. Right: no more than are left for others. */
static void who_locks_all_he_can_leaves_as_much_for_the_next(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 open, other, locked, others;
    nfsstat4 status;
    uint64_t at = 0;

    (void)unused;
    bench.budget.limit[BUDGET_RANGES] = RANGES;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(bench_open(1, file, "o", BOTH, 0, &other), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", READ_LT, at, 1, &locked), NFS4_OK);
    while ((status = do_lock(0, file, &locked, NULL, READ_LT, at += 2, 1, &locked)) == NFS4_OK)
        assert_true(at < 2 * RANGES);
    assert_int_equal(status, NFS4ERR_DELAY);
    assert_in_range(at / 2, RANGES / 3 - 1, RANGES / 3 + 1);
    assert_int_equal(bench.own_yield, 1);
    assert_int_equal(bench.all_yield, 0);
    assert_int_equal(bench.shares_noted, 1);
    for (unsigned i = 0; i < RANGES / 12; i++)
        assert_int_equal(do_lock(1, file, &other, "l", READ_LT, 2 * i, 1, &others), NFS4_OK);
    /* What he gives back he can have again. */
    assert_int_equal(do_unlock(0, file, &locked, 0, UINT64_MAX, &locked), NFS4_OK);
    assert_int_equal(do_lock(0, file, &locked, NULL, READ_LT, 0, 1, &locked), NFS4_OK);
    assert_int_equal(bench.budget.taken[BUDGET_RANGES], RANGES / 12 + 1);
    file_unref(file);
}

/* Wrong: with memory for millions a client has them, and when it unlocks them, or goes, nobody else
 * has the loop or the file for many seconds. */
static void a_client_has_so_many_ranges_and_no_more(void **unused)
{
    enum { MOST = 65536 };
    struct file *file = bench_file("a", "");
    stateid4 open, locked;
    nfsstat4 status;
    uint64_t at = 0;

    (void)unused;
    bench.budget.limit[BUDGET_RANGES] = UINT64_C(1) << 30;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", WRITE_LT, at, 1, &locked), NFS4_OK);
    while ((status = do_lock(0, file, &locked, NULL, WRITE_LT, at += 2, 1, &locked)) == NFS4_OK)
        assert_true(at < 4 * MOST);
    assert_int_equal(status, NFS4ERR_DELAY);
    assert_in_range(bench.budget.taken[BUDGET_RANGES], MOST - 1, MOST);
    assert_int_equal(bench.shares_noted, 1);
    assert_int_equal(bench.own_yield + bench.all_yield, 0); /* nobody else could help */
    assert_int_equal(do_unlock(0, file, &locked, 0, UINT64_MAX, &locked), NFS4_OK);
    assert_int_equal(do_lock(0, file, &locked, NULL, WRITE_LT, 0, 1, &locked), NFS4_OK);
    file_unref(file);
}

/* Wrong: LOCKU is never refused, and each one that splits a range adds one. Right: that counts too;
 * what splits nothing goes on. */
static void unlocking_comes_by_no_more_ranges_than_locking(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 open, locked;
    nfsstat4 status;
    uint64_t at = 0;

    (void)unused;
    bench.budget.limit[BUDGET_RANGES] = RANGES;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    assert_int_equal(do_lock(0, file, &open, "l", WRITE_LT, 0, UINT64_MAX, &locked), NFS4_OK);
    while ((status = do_unlock(0, file, &locked, at += 2, 1, &locked)) == NFS4_OK)
        assert_true(at < 4 * RANGES);
    assert_int_equal(status, NFS4ERR_DELAY);
    assert_true(bench.budget.taken[BUDGET_RANGES] <= RANGES / 2 + 1);
    assert_int_equal(do_unlock(0, file, &locked, 0, UINT64_MAX, &locked), NFS4_OK);
    assert_int_equal(bench.budget.taken[BUDGET_RANGES], 0);
    file_unref(file);
}

/* Wrong: lock-owners of an open are a list, and so are those whose locks keep it from being closed:
 * each LOCK of a new owner, and each CLOSE, looked at all. */
static void many_owners_of_one_open_are_no_burden(void **unused)
{
    enum { OWNERS = 10000 };
    struct file *file = bench_file("a", "");
    stateid4 open, locked = {0}, first;
    char owner[16];

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    for (unsigned i = 0; i < OWNERS; i++) {
        snprintf(owner, sizeof owner, "%u", i);
        assert_int_equal(do_lock(0, file, &open, owner, READ_LT, 0, 1, &locked), NFS4_OK);
        if (i == 0)
            first = locked;
        else
            assert_int_equal(do_unlock(0, file, &locked, 0, 1, NULL), NFS4_OK);
        assert_int_equal(bench_close(0, file, &open), NFS4ERR_LOCKS_HELD);
    }
    assert_int_equal(do_unlock(0, file, &first, 0, 1, NULL), NFS4_OK);
    assert_int_equal(bench_close(0, file, &open), NFS4_OK);
    file_unref(file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_lock_is_taken_changed_and_given_back),
        TEST(denied_tells_whose_lock_it_is),
        TEST(owners_are_the_sessions_client_and_name),
        TEST(an_owner_replaces_his_lock_through_any_open),
        TEST(a_lock_through_another_open_leaves_the_seqid_of_the_first),
        TEST(a_lock_needs_an_open_of_its_kind),
        TEST(impossible_ranges_and_kinds_are_invalid),
        TEST(stateids_of_the_wrong_kind_are_bad),
        TEST(a_file_with_locks_is_not_closed_and_its_stateid_not_freed),
        TEST(lock_honours_grace_and_reclaim),
        TEST(an_expired_clients_lock_gives_way),
        TEST(a_lock_stateid_reads_and_writes_as_its_open),
        TEST(who_locks_all_he_can_leaves_as_much_for_the_next),
        TEST(a_client_has_so_many_ranges_and_no_more),
        TEST(unlocking_comes_by_no_more_ranges_than_locking),
        TEST(many_owners_of_one_open_are_no_burden),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
