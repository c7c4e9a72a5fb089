/*
 * OPEN, OPEN_DOWNGRADE, CLOSE (RFC 8881 sections 18.16, 18.18, 18.2).
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <uthash.h>

#include "proto/nfs4/attr.h"
#include "tests/unit/server/nfs/ops_bench.h"

enum { R = OPEN4_SHARE_ACCESS_READ, W = OPEN4_SHARE_ACCESS_WRITE, BOTH = R | W };

/* OPEN by name in the bench's directory. */
static struct compound *open_named(const char *name, uint32_t access)
{
    struct compound *c = bench_compound(0, bench.root);

    c->args.open = (OPEN4args){
        .share_access = access,
        .owner.owner = xdr_bytes_of("owner"),
        .claim = {.claim = CLAIM_NULL, .file = xdr_bytes_of(name)},
    };
    return c;
}

static void creates(struct compound *c, createmode4 mode, const struct nfs4_attrs *attrs)
{
    createhow4 *how = &c->args.open.openhow.how;
    fattr4 *fattr = mode == EXCLUSIVE4_1 ? &how->ch_createboth.cva_attrs : &how->createattrs;

    c->args.open.openhow.opentype = OPEN4_CREATE;
    how->mode = mode;
    assert_int_equal(nfs4_attrs_pack(attrs, &attrs->present, NULL, &c->arena, fattr), 0);
}

/* Runs an OPEN and, when it worked, closes what it opened. */
static nfsstat4 open_and_close(struct compound *c)
{
    nfsstat4 status = bench_run(c, op_open);

    if (status == NFS4_OK) {
        c->args.close.open_stateid = (stateid4){.seqid = 1}; /* the current stateid */
        assert_int_equal(bench_run(c, op_close), NFS4_OK);
    }
    bench_compound_free(c);
    return status;
}

static nfsstat4 open_existing(const char *name, uint32_t access)
{
    return open_and_close(open_named(name, access));
}

static bool exists(const char *name)
{
    return faccessat(bench.dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void share_access_zero_is_invalid(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", 0, 0, &stateid), NFS4ERR_INVAL);
    assert_int_equal(bench_open(0, file, "o", 4, 0, &stateid), NFS4ERR_INVAL);
    assert_int_equal(bench_open(0, file, "o", R, 4, &stateid), NFS4ERR_INVAL);
    file_unref(file);
}

/* Wrong: CLAIM_FH opens whatever the handle is of. Right: the type's own error. */
static void what_no_enumeration_has_is_badxdr(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = open_named("a", R);

    (void)unused;
    c->args.open.openhow.opentype = 2;
    assert_int_equal(open_and_close(c), NFS4ERR_BADXDR);
    c = bench_compound(0, file);
    c->args.open = (OPEN4args){.share_access = R, .claim.claim = CLAIM_PREVIOUS};
    c->args.open.claim.delegate_type = 4;
    assert_int_equal(open_and_close(c), NFS4ERR_BADXDR);
    file_unref(file);
}

static void other_types_are_refused_by_name(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid;

    (void)unused;
    assert_int_equal(bench_open(0, bench.root, "o", R, 0, &stateid), NFS4ERR_ISDIR);
    file->type = S_IFLNK;
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4ERR_SYMLINK);
    file->type = S_IFIFO;
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4ERR_WRONG_TYPE);
    file_unref(file);
    assert_int_equal(symlinkat("a", bench.dir_fd, "link"), 0);
    assert_int_equal(mkfifoat(bench.dir_fd, "fifo", 0600), 0);
    assert_int_equal(mkdirat(bench.dir_fd, "dir", 0700), 0);
    assert_int_equal(open_existing("link", R), NFS4ERR_SYMLINK);
    assert_int_equal(open_existing("fifo", R), NFS4ERR_WRONG_TYPE);
    assert_int_equal(open_existing("dir", R), NFS4ERR_ISDIR);
    assert_int_equal(open_existing("nothing", R), NFS4ERR_NOENT);
}

static void a_name_needs_a_directory(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = open_named("b", R);

    (void)unused;
    compound_set_fh(c, file, &bench.export);
    assert_int_equal(open_and_close(c), NFS4ERR_NOTDIR);
    assert_int_equal(open_existing("", R), NFS4ERR_INVAL);
    assert_int_equal(open_existing("a/b", R), NFS4ERR_BADCHAR);
}

static void opening_makes_the_file_current(void **unused)
{
    struct compound *c = open_named("a", R);
    struct file *file = bench_file("a", "");

    (void)unused;
    assert_int_equal(bench_run(c, op_open), NFS4_OK);
    assert_ptr_not_equal(c->current.file, bench.root);
    assert_true(S_ISREG(file_type(c->current.file)));
    assert_true(c->has_current_stateid);
    assert_int_equal(c->res.open.resok4.rflags, OPEN4_RESULT_LOCKTYPE_POSIX);
    assert_int_equal(c->res.open.resok4.delegation.delegation_type, OPEN_DELEGATE_NONE);
    c->args.close.open_stateid = (stateid4){.seqid = 1};
    assert_int_equal(bench_run(c, op_close), NFS4_OK);
    /* CLOSE answers with the invalid stateid, which cannot be used by mistake. */
    assert_int_equal(c->res.close.open_stateid.seqid, UINT32_MAX);
    assert_int_equal(bench_run(c, op_close), NFS4ERR_BAD_STATEID);
    bench_compound_free(c);
    file_unref(file);
}

static void unwanted_delegations_are_explained(void **unused)
{
    struct compound *c = open_named("a", R | OPEN4_SHARE_ACCESS_WANT_NO_DELEG);
    struct file *file = bench_file("a", "");

    (void)unused;
    assert_int_equal(bench_run(c, op_open), NFS4_OK);
    assert_int_equal(c->res.open.resok4.delegation.delegation_type, OPEN_DELEGATE_NONE_EXT);
    assert_int_equal(c->res.open.resok4.delegation.od_whynone.ond_why, WND4_NOT_WANTED);
    bench_close(0, c->current.file, &c->res.open.resok4.stateid);
    bench_compound_free(c);
    file_unref(file);
}

static void guarded_creation_happens_once(void **unused)
{
    const struct nfs4_attrs attrs = {.present = BITMAP4(FATTR4_MODE), .mode = 0640};
    struct compound *c = open_named("new", BOTH);
    struct stat st;

    (void)unused;
    creates(c, GUARDED4, &attrs);
    assert_int_equal(bench_run(c, op_open), NFS4_OK);
    assert_true(bitmap4_isset(&c->res.open.resok4.attrset, FATTR4_MODE));
    assert_true(c->res.open.resok4.cinfo.after > c->res.open.resok4.cinfo.before);
    assert_false(c->res.open.resok4.cinfo.atomic);
    bench_close(0, c->current.file, &c->res.open.resok4.stateid);
    bench_compound_free(c);
    assert_int_equal(fstatat(bench.dir_fd, "new", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    c = open_named("new", BOTH);
    creates(c, GUARDED4, &attrs);
    assert_int_equal(open_and_close(c), NFS4ERR_EXIST);
}

static void unchecked_creation_empties_only_when_asked(void **unused)
{
    struct nfs4_attrs attrs = {.present = BITMAP4(FATTR4_MODE), .mode = 0600};
    struct compound *c = open_named("a", BOTH);
    struct file *file = bench_file("a", "content");
    struct file_stat stat;

    (void)unused;
    creates(c, UNCHECKED4, &attrs);
    assert_int_equal(open_and_close(c), NFS4_OK);
    assert_int_equal(file_stat(file, &stat), 0);
    assert_int_equal(stat.stx.stx_size, 7);
    assert_int_equal(stat.stx.stx_mode & 07777, 0644);

    c = open_named("a", BOTH);
    bitmap4_set(&attrs.present, FATTR4_SIZE);
    creates(c, UNCHECKED4, &attrs);
    assert_int_equal(bench_run(c, op_open), NFS4_OK);
    assert_true(bitmap4_isset(&c->res.open.resok4.attrset, FATTR4_SIZE));
    assert_false(bitmap4_isset(&c->res.open.resok4.attrset, FATTR4_MODE));
    assert_int_equal(file_stat(file, &stat), 0);
    assert_int_equal(stat.stx.stx_size, 0);
    bench_close(0, c->current.file, &c->res.open.resok4.stateid);
    assert_null(c->current.file->state);
    bench_compound_free(c);
    file_unref(file);
}

/* Wrong: the verifier in memory, so that a repetition after a restart fails. Right: it is stored
 * with the file. */
static void exclusive_creation_can_be_repeated_with_its_verifier_only(void **unused)
{
    const struct nfs4_attrs attrs = {.present = BITMAP4(FATTR4_MODE), .mode = 0444};

    (void)unused;
    for (unsigned i = 0; i < 3; i++) {
        struct compound *c = open_named("new", BOTH);

        creates(c, EXCLUSIVE4_1, &attrs);
        memcpy(c->args.open.openhow.how.ch_createboth.cva_verf,
               i < 2 ? "\xf1verifie" : "\xf1verifiX", 8);
        c->cred.uid = geteuid();
        /* Whoever created it may write, though its mode says no. */
        bench.permission_denied = true;
        if (i == 2) {
            assert_int_equal(open_and_close(c), NFS4ERR_EXIST);
            break;
        }
        assert_int_equal(bench_run(c, op_open), NFS4_OK);
        assert_true(bitmap4_isset(&c->res.open.resok4.attrset, FATTR4_MODE));
        assert_true(bitmap4_isset(&c->res.open.resok4.attrset, FATTR4_TIME_MODIFY_SET));
        assert_true(bitmap4_isset(&c->res.open.resok4.attrset, FATTR4_TIME_ACCESS_SET));
        bench_close(0, c->current.file, &c->res.open.resok4.stateid);
        bench_compound_free(c);
    }
}

/* Wrong: a size that comes with it moves the times that hold the verifier, and the repetition
 * fails.
 */
static void exclusive_creation_with_a_size_can_be_repeated(void **unused)
{
    struct nfs4_attrs attrs = {.present = BITMAP4(FATTR4_SIZE), .size = 100};

    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        struct compound *c = open_named("new", BOTH);

        creates(c, EXCLUSIVE4_1, &attrs);
        memcpy(c->args.open.openhow.how.ch_createboth.cva_verf, "verifier", 8);
        c->cred.uid = geteuid();
        assert_int_equal(bench_run(c, op_open), NFS4_OK);
        assert_true(bitmap4_isset(&c->res.open.resok4.attrset, FATTR4_SIZE));
        bench_close(0, c->current.file, &c->res.open.resok4.stateid);
        bench_compound_free(c);
    }
    struct compound *c = open_named("new", BOTH);
    attrs.size = 99; /* not the same request */
    c->cred.uid = geteuid();
    creates(c, EXCLUSIVE4_1, &attrs);
    memcpy(c->args.open.openhow.how.ch_createboth.cva_verf, "verifier", 8);
    assert_int_equal(open_and_close(c), NFS4ERR_EXIST);
}

/* Wrong: who guesses the times of a file, if they are whole seconds, opens it whatever its mode. */
static void a_verifier_opens_nobody_elses_file(void **unused)
{
    static const struct timespec times[2] = {{.tv_sec = 0x65616363}, {.tv_sec = 0x69646e74}};
    static const struct {
        bool is_owner, names_owner;
        nfsstat4 status;
    } cases[] = {{true, false, NFS4_OK},
                 {true, true, NFS4_OK},
                 {false, false, NFS4ERR_EXIST},
                 {false, true, NFS4ERR_ACCESS}};
    struct file *file = bench_file("theirs", "");
    char owner[16];

    (void)unused;
    assert_int_equal(utimensat(bench.dir_fd, "theirs", times, 0), 0);
    snprintf(owner, sizeof owner, "%u", geteuid());
    bench.permission_denied = true;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct nfs4_attrs attrs = {.present = cases[i].names_owner ? BITMAP4(FATTR4_OWNER)
                                                                         : BITMAP4(FATTR4_MODE),
                                         .owner = xdr_bytes_of(owner)};
        struct compound *c = open_named("theirs", BOTH);

        creates(c, EXCLUSIVE4_1, &attrs);
        memcpy(c->args.open.openhow.how.ch_createboth.cva_verf, "eaccidnt", 8);
        c->cred.uid = geteuid() + !cases[i].is_owner;
        assert_int_equal(open_and_close(c), cases[i].status);
    }
    file_unref(file);
}

static void exclusive_creation_refuses_what_holds_the_verifier(void **unused)
{
    const struct nfs4_attrs attrs = {.present = BITMAP4(FATTR4_TIME_MODIFY_SET)};
    struct compound *c = open_named("new", BOTH);

    (void)unused;
    creates(c, EXCLUSIVE4_1, &attrs);
    assert_int_equal(open_and_close(c), NFS4ERR_INVAL);
    /* EXCLUSIVE4 is not for pNFS servers. */
    c = open_named("new", BOTH);
    c->args.open.openhow = (openflag4){.opentype = OPEN4_CREATE, .how.mode = EXCLUSIVE4};
    assert_int_equal(open_and_close(c), NFS4ERR_INVAL);
    assert_false(exists("new"));
}

static void a_read_only_export_is_opened_for_reading_only(void **unused)
{
    const struct nfs4_attrs attrs = {0};
    struct file *file = bench_file("a", "");
    struct compound *c = open_named("new", R);

    (void)unused;
    bench.export.writable = false;
    assert_int_equal(open_existing("a", R), NFS4_OK);
    assert_int_equal(open_existing("a", W), NFS4ERR_ROFS);
    creates(c, UNCHECKED4, &attrs);
    assert_int_equal(open_and_close(c), NFS4ERR_ROFS);
    assert_false(exists("new"));
    c = open_named("a", R);
    creates(c, UNCHECKED4, &attrs);
    assert_int_equal(open_and_close(c), NFS4_OK);
    file_unref(file);
}

static void permission_is_the_kernels_word(void **unused)
{
    struct file *file = bench_file("a", "");

    (void)unused;
    bench.permission_denied = true;
    assert_int_equal(open_existing("a", R), NFS4ERR_ACCESS);
    assert_int_equal(open_existing("a", W), NFS4ERR_ACCESS);
    assert_true(client_state_is_empty(bench.clients[0].state));
    file_unref(file);
}

static void shares_that_conflict_are_denied_even_to_the_same_owner(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 first, second;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, OPEN4_SHARE_DENY_WRITE, &first), NFS4_OK);
    assert_int_equal(bench_open(1, file, "o", W, 0, &second), NFS4ERR_SHARE_DENIED);
    assert_int_equal(bench_open(0, file, "o", W, 0, &second), NFS4ERR_SHARE_DENIED);
    assert_int_equal(bench_open(1, file, "o", R, OPEN4_SHARE_DENY_READ, &second),
                     NFS4ERR_SHARE_DENIED);
    /* An expired client does not stand in the way for good. */
    bench.expired_client = 100;
    assert_int_equal(bench_open(1, file, "o", W, 0, &second), NFS4ERR_DELAY);
    assert_int_equal(bench_open(0, file, "o", W, 0, &second), NFS4ERR_SHARE_DENIED);
    bench_close(0, file, &first);
    file_unref(file);
}

static void opening_again_upgrades_and_one_close_ends_it(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 first, second;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &first), NFS4_OK);
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &second), NFS4_OK);
    assert_memory_equal(first.other, second.other, sizeof first.other);
    assert_int_equal(second.seqid, first.seqid + 1);
    /* CLOSE with the seqid from before the upgrade would close what the client has not heard of. */
    assert_int_equal(bench_close(0, file, &first), NFS4ERR_OLD_STATEID);
    assert_int_equal(bench_close(0, file, &second), NFS4_OK);
    file_unref(file);
}

/* A hard link into another export gives the file another handle, and so another open (9.9). */
static void through_another_handle_it_is_another_open(void **unused)
{
    struct file *file = bench_file("a", "");
    struct export other = bench.export;
    struct compound *c = bench_compound(0, file);
    stateid4 first, second;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &first), NFS4_OK);
    c->args.open =
        (OPEN4args){.share_access = W, .owner.owner = xdr_bytes_of("o"), .claim.claim = CLAIM_FH};
    compound_set_fh(c, file_ref(file), &other);
    assert_int_equal(bench_run(c, op_open), NFS4_OK);
    second = c->res.open.resok4.stateid;
    assert_memory_not_equal(first.other, second.other, sizeof first.other);
    assert_int_equal(second.seqid, 1);
    bench_compound_free(c);
    assert_int_equal(bench_close(0, file, &first), NFS4_OK);
    assert_true(state_file_has_writer(file));
    assert_int_equal(bench_close(0, file, &second), NFS4_OK);
    file_unref(file);
}

static void downgrade_gives_up_the_writer(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c;
    stateid4 stateid;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4_OK);
    assert_int_equal(bench_open(0, file, "o", W, 0, &stateid), NFS4_OK);
    c = bench_compound(0, file);
    c->args.open_downgrade = (OPEN_DOWNGRADE4args){.open_stateid = stateid, .share_access = 0};
    assert_int_equal(bench_run(c, op_open_downgrade), NFS4ERR_INVAL);
    c->args.open_downgrade.share_access = R;
    assert_int_equal(bench_run(c, op_open_downgrade), NFS4_OK);
    stateid = c->res.open_downgrade.resok4.open_stateid;
    assert_int_equal(stateid.seqid, 3);
    assert_false(state_file_has_writer(file));
    c->args.open_downgrade = (OPEN_DOWNGRADE4args){.open_stateid = stateid, .share_access = W};
    assert_int_equal(bench_run(c, op_open_downgrade), NFS4ERR_INVAL);
    bench_compound_free(c);
    bench_close(0, file, &stateid);
    file_unref(file);
}

static nfsstat4 claim(struct file *file, open_claim_type4 type)
{
    struct compound *c = bench_compound(0, file);
    nfsstat4 status;

    c->args.open =
        (OPEN4args){.share_access = R, .owner.owner = xdr_bytes_of("o"), .claim.claim = type};
    status = bench_run(c, op_open);
    if (status == NFS4_OK)
        bench_close(0, file, &c->res.open.resok4.stateid);
    bench_compound_free(c);
    return status;
}

/* Wrong: a reclaim without a record granted; an OPEN before RECLAIM_COMPLETE granted. */
static void reclaim_follows_the_record_and_the_grace_period(void **unused)
{
    struct file *file = bench_file("a", "");
    struct client *client = &bench.clients[0];

    (void)unused;
    assert_int_equal(claim(file, CLAIM_PREVIOUS), NFS4ERR_NO_GRACE);
    client->reclaim_complete = false;
    assert_int_equal(claim(file, CLAIM_FH), NFS4ERR_GRACE);
    assert_int_equal(claim(file, CLAIM_PREVIOUS), NFS4ERR_NO_GRACE);
    bench.grace = true;
    assert_int_equal(claim(file, CLAIM_PREVIOUS), NFS4ERR_RECLAIM_BAD);
    client->may_reclaim = true;
    assert_int_equal(claim(file, CLAIM_PREVIOUS), NFS4_OK);
    assert_int_equal(claim(file, CLAIM_FH), NFS4ERR_GRACE);
    client->reclaim_complete = true;
    assert_int_equal(claim(file, CLAIM_PREVIOUS), NFS4ERR_NO_GRACE);
    assert_int_equal(claim(file, CLAIM_FH), NFS4ERR_GRACE);
    file_unref(file);
}

/* As a client of before the restart: its opens are granted unless permission or another's share is
 * in the way (8.4.2.1.1). */
static void a_reclaim_is_granted_what_an_open_would_be(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 denies;

    (void)unused;
    assert_int_equal(bench_open(1, file, "o", R, OPEN4_SHARE_DENY_READ, &denies), NFS4_OK);
    bench.grace = true;
    bench.clients[0].may_reclaim = true;
    bench.clients[0].reclaim_complete = false;
    assert_int_equal(claim(file, CLAIM_PREVIOUS), NFS4ERR_RECLAIM_CONFLICT);
    assert_int_equal(bench_close(1, file, &denies), NFS4_OK);
    bench.permission_denied = true;
    assert_int_equal(claim(file, CLAIM_PREVIOUS), NFS4ERR_ACCESS);
    bench.permission_denied = false;
    assert_int_equal(claim(file, CLAIM_PREVIOUS), NFS4_OK);
    file_unref(file);
}

static void claims_of_delegations_never_granted_are_refused(void **unused)
{
    struct file *file = bench_file("a", "");

    (void)unused;
    assert_int_equal(claim(file, CLAIM_DELEG_CUR_FH), NFS4ERR_BAD_STATEID);
    assert_int_equal(claim(file, CLAIM_DELEGATE_CUR), NFS4ERR_BAD_STATEID);
    assert_int_equal(claim(file, CLAIM_DELEGATE_PREV), NFS4ERR_RECLAIM_BAD);
    assert_int_equal(claim(file, CLAIM_DELEG_PREV_FH), NFS4ERR_RECLAIM_BAD);
    file_unref(file);
}

static void a_manual_seal_refuses_writers_and_lets_readers_in(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid;

    (void)unused;
    file->seal = SEAL_FROZEN;
    assert_int_equal(bench_open(0, file, "o", W, 0, &stateid), NFS4ERR_PERM);
    assert_int_equal(bench.releases, 0);
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4_OK);
    bench_close(0, file, &stateid);
    file->seal = SEAL_SEALING;
    assert_int_equal(bench_open(0, file, "o", W, 0, &stateid), NFS4ERR_DELAY);
    file_unref(file);
}

static void an_at_rest_seal_gives_way_to_a_writer(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid;

    (void)unused;
    file->seal = SEAL_FROZEN | SEAL_WORD_AT_REST;
    bench.keeper_status = NFS4ERR_DELAY;
    assert_int_equal(bench_open(0, file, "o", W, 0, &stateid), NFS4ERR_DELAY);
    assert_int_equal(bench.releases, 1);
    bench.keeper_status = NFS4_OK;
    bench.keeper_clears_seal = true;
    assert_int_equal(bench_open(0, file, "o", W, 0, &stateid), NFS4_OK);
    assert_int_equal(bench.releases, 2);
    assert_true(state_file_has_writer(file));
    bench_close(0, file, &stateid);
    file_unref(file);
}

/* Sealed again at once by another client's LAYOUTGET: the writer does not spin in the server. */
static void a_seal_that_comes_back_is_answered_with_delay(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid;

    (void)unused;
    file->seal = SEAL_FROZEN | SEAL_WORD_AT_REST;
    bench.keeper_status = NFS4_OK;
    assert_int_equal(bench_open(0, file, "o", W, 0, &stateid), NFS4ERR_DELAY);
    assert_int_equal(bench.releases, 1);
    file_unref(file);
}

static void a_pinned_file_is_opened_for_writing(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid;

    (void)unused;
    file->seal = SEAL_PINNED;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &stateid), NFS4_OK);
    assert_true(state_file_has_writer(file));
    bench_close(0, file, &stateid);
    file_unref(file);
}

static void a_name_that_is_not_in_memory_is_looked_up_by_a_worker(void **unused)
{
    struct file *file = bench_file("a", "");

    (void)unused;
    bench.names_on_disk = true;
    assert_int_equal(open_existing("a", R), NFS4_OK);
    assert_int_equal(open_existing("b", R), NFS4ERR_NOENT);
    file_unref(file);
}

/* ---- shares ---- */

enum { FILES = 12 }; /* that there are for all clients */

static void few_files(void)
{
    bench.budget.limit[BUDGET_FILES] = FILES;
}

static struct file *numbered_file(unsigned number)
{
    char name[16];

    snprintf(name, sizeof name, "f%u", number);
    return bench_file(name, "");
}

/* Opens one after the other until it is refused; how many it came by. */
static unsigned open_all(unsigned client, stateid4 stateids[FILES])
{
    for (unsigned i = 0; i < FILES; i++) {
        struct file *file = numbered_file(i);
        nfsstat4 status = bench_open(client, file, "o", R, 0, &stateids[i]);

        file_unref(file);
        if (status != NFS4_OK) {
            assert_int_equal(status, NFS4ERR_DELAY);
            return i;
        }
    }
    return FILES;
}

/* Wrong: who opens most has everything, and the others are told DELAY for as long as he likes.
 * Right: he is told so himself when he and his address have together as much as is left. */
static void who_opens_all_he_can_leaves_as_much_for_the_next(void **unused)
{
    stateid4 stateids[FILES], other[FILES];
    struct file *file = bench_file("polite", "");

    (void)unused;
    few_files();
    assert_int_equal(open_all(0, stateids), FILES / 3);
    assert_int_equal(bench.own_yield, 1);
    assert_int_equal(bench.shares_noted, 1);
    assert_int_equal(bench_open(1, file, "o", R, 0, &other[0]), NFS4_OK);
    assert_int_equal(bench_close(1, file, &other[0]), NFS4_OK);
    assert_int_equal(bench.shares_noted, 1);
    file_unref(file);
}

/* Wrong: who opens all he can ends the courtesy of every client in the world. Right: of those of
 * his address, and of all when there is little left of all. */
static void greed_asks_others_to_yield_only_when_little_is_left(void **unused)
{
    stateid4 stateids[FILES], other;
    struct file *file = bench_file("polite", "");

    (void)unused;
    few_files();
    (void)open_all(0, stateids);
    assert_int_equal(bench.own_yield, 1);
    assert_int_equal(bench.all_yield, 0);
    bench.budget.taken[BUDGET_FILES] += FILES / 2; /* by another address */
    assert_int_equal(bench_open(1, file, "o", R, 0, &other), NFS4ERR_DELAY);
    assert_int_equal(bench.own_yield, 1);
    assert_int_equal(bench.all_yield, 1);
    bench.budget.taken[BUDGET_FILES] -= FILES / 2;
    file_unref(file);
}

/* An open file is one, by however many owners it is open. */
static void opens_of_one_file_count_once(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid;
    char owner[8];

    (void)unused;
    few_files();
    for (unsigned i = 0; i < 2 * FILES; i++) {
        snprintf(owner, sizeof owner, "o%u", i);
        assert_int_equal(bench_open(0, file, owner, R, 0, &stateid), NFS4_OK);
    }
    assert_int_equal(bench.budget.taken[BUDGET_FILES], 1);
    bench_end_client(0);
    assert_int_equal(bench.budget.taken[BUDGET_FILES], 0);
    file_unref(file);
}

static void what_is_closed_can_be_opened_again(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateids[FILES], stateid;

    (void)unused;
    few_files();
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4_OK);
    assert_int_equal(open_all(0, stateids), FILES / 3 - 1);
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &stateid), NFS4_OK); /* has it already */
    assert_int_equal(bench_close(0, file, &stateid), NFS4_OK);
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4_OK);
    file_unref(file);
}

/* Wrong: the file is made, and the answer is DELAY: who comes again is told EXIST. */
static void nothing_is_created_for_who_has_his_share(void **unused)
{
    struct nfs4_attrs attrs = {.present = BITMAP4(FATTR4_MODE), .mode = 0640};
    stateid4 stateids[FILES];
    struct compound *c;

    (void)unused;
    few_files();
    assert_int_equal(open_all(0, stateids), FILES / 3);
    c = open_named("new", BOTH);
    creates(c, GUARDED4, &attrs);
    assert_int_equal(open_and_close(c), NFS4ERR_DELAY);
    assert_false(exists("new"));
    bench_end_client(0);
    assert_int_equal(bench.budget.taken[BUDGET_FILES], 0);
}

/* What a creation has taken beforehand is given back, whatever comes of it. */
static void a_creation_takes_one_file_and_no_more(void **unused)
{
    struct nfs4_attrs attrs = {.present = BITMAP4(FATTR4_MODE), .mode = 0640};
    struct compound *c = open_named("new", BOTH);
    struct file *file = bench_file("there", "");
    stateid4 stateid;

    (void)unused;
    creates(c, GUARDED4, &attrs);
    assert_int_equal(bench_run(c, op_open), NFS4_OK);
    assert_int_equal(bench.budget.taken[BUDGET_FILES], 1);
    bench_close(0, c->current.file, &c->res.open.resok4.stateid);
    bench_compound_free(c);
    assert_int_equal(bench.budget.taken[BUDGET_FILES], 0);
    c = open_named("new", BOTH);
    creates(c, GUARDED4, &attrs);
    assert_int_equal(open_and_close(c), NFS4ERR_EXIST);
    c = open_named(".", BOTH);
    creates(c, GUARDED4, &attrs);
    assert_int_not_equal(open_and_close(c), NFS4_OK);
    assert_int_equal(bench_open(1, file, "o", R, OPEN4_SHARE_DENY_BOTH, &stateid), NFS4_OK);
    assert_int_equal(bench.budget.taken[BUDGET_FILES], 1);
    c = open_named("there", BOTH);
    creates(c, UNCHECKED4, &attrs);
    (void)open_and_close(c);
    assert_int_equal(bench.budget.taken[BUDGET_FILES], 1);
    file_unref(file);
}

/* Wrong: stateids are remembered for a client as many as it likes. A million opens by as many
 * owners, of one file: what a client may have is bounded, all that is beyond is told so, and a
 * polite one goes on beside it. */
static void a_million_opens_of_one_client_keep_nobody_from_opening(void **unused)
{
    enum { MANY = 1000000, EVERY = 1000 };
    struct file *file = bench_file("a", ""), *other = bench_file("b", "");
    const struct cred cred = {.uid = 1000};
    unsigned refused = 0;
    stateid4 stateid;
    uint64_t conflict;

    (void)unused;
    for (unsigned i = 0; i < MANY; i++) {
        struct state_open open = {.file = file,
                                  .owner = {.data = (const uint8_t *)&i, .len = sizeof i},
                                  .cred = &cred,
                                  .access = R};

        refused += state_open(bench.clients[0].state, &open, &stateid, &conflict) == NFS4ERR_DELAY;
        assert_int_equal(open.lack != STATE_LACKS_NOTHING, refused > 0);
        if (i % EVERY > 0)
            continue;
        assert_int_equal(bench_open(1, other, "polite", BOTH, 0, &stateid), NFS4_OK);
        assert_int_equal(bench_close(1, other, &stateid), NFS4_OK);
    }
    assert_true(refused >= MANY - bench.budget.limit[BUDGET_STATES] / 2);
    assert_true(bench.budget.taken[BUDGET_STATES] <= bench.budget.limit[BUDGET_STATES] / 2);
    bench_end_client(0);
    assert_int_equal(bench.budget.taken[BUDGET_STATES], 0);
    file_unref(file);
    file_unref(other);
}

/* What a client has too many of by itself nobody else can help with. */
static void who_has_as_many_as_one_may_have_asks_nobody_to_yield(void **unused)
{
    struct file *file = bench_file("a", "");
    const struct cred cred = {.uid = 1000};
    nfsstat4 status = NFS4_OK;
    stateid4 stateid;
    uint64_t conflict;

    (void)unused;
    bench.budget.limit[BUDGET_STATES] = UINT64_C(1) << 30;
    for (unsigned i = 0; status == NFS4_OK; i++) {
        struct state_open open = {.file = file,
                                  .owner = {.data = (const uint8_t *)&i, .len = sizeof i},
                                  .cred = &cred,
                                  .access = R};

        status = state_open(bench.clients[0].state, &open, &stateid, &conflict);
    }
    assert_int_equal(status, NFS4ERR_DELAY);
    assert_int_equal(bench_open(0, file, "one more", R, 0, &stateid), NFS4ERR_DELAY);
    assert_int_equal(bench.shares_noted, 1);
    assert_int_equal(bench.own_yield + bench.all_yield, 0);
    bench_end_client(0);
    file_unref(file);
}

/* Wrong: all opens of the file are looked through for one that denies. */
static void who_is_in_the_way_is_found_past_many_who_are_not(void **unused)
{
    struct file *file = bench_file("a", "");
    stateid4 stateid;
    char owner[16];

    (void)unused;
    assert_int_equal(bench_open(1, file, "o", R, OPEN4_SHARE_DENY_WRITE, &stateid), NFS4_OK);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(owner, sizeof owner, "%u", i);
        assert_int_equal(bench_open(0, file, owner, R, 0, &stateid), NFS4_OK);
    }
    assert_int_equal(bench_open(2, file, "o", W, 0, &stateid), NFS4ERR_SHARE_DENIED);
    bench.expired_client = 101;
    assert_int_equal(bench_open(2, file, "o", W, 0, &stateid), NFS4ERR_DELAY);
    bench_end_client(1);
    assert_int_equal(bench_open(2, file, "o", W, 0, &stateid), NFS4_OK);
    file_unref(file);
}

/* ---- names that were made to collide ---- */

enum { COLLIDING = 16384, PARTS = 3 };

struct long_name {
    uint32_t first[PARTS], second[PARTS];
};

/* One of those that uthash's own hash (HASH_JEN) takes for the same: whatever a name's first twelve
 * bytes make of its state, the next twelve are added to that, and bring it to where all are. */
static struct long_name colliding_name(uint32_t number)
{
    struct long_name name = {.first = {number}};
    uint32_t a = 0x9e3779b9u + number, b = 0x9e3779b9u, c = 0xfeedbeefu;

    HASH_JEN_MIX(a, b, c);
    name.second[0] = 1 - a;
    name.second[1] = 2 - b;
    name.second[2] = 3 - c;
    return name;
}

static struct long_name plain_name(uint32_t number)
{
    return (struct long_name){.first = {number}};
}

static double cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What it takes to open a file by so many owners. */
static double open_by_names(unsigned client, struct file *file,
                            struct long_name (*name_of)(uint32_t number))
{
    const double begin = cpu_seconds();
    const struct cred cred = {.uid = 1000};
    stateid4 stateid;
    uint64_t conflict;

    for (uint32_t i = 0; i < COLLIDING; i++) {
        const struct long_name name = name_of(i);
        struct state_open open = {.file = file,
                                  .owner = {.data = (const uint8_t *)&name, .len = sizeof name},
                                  .cred = &cred,
                                  .access = R};

        assert_int_equal(state_open(bench.clients[client].state, &open, &stateid, &conflict),
                         NFS4_OK);
    }
    bench_end_client(client);
    return cpu_seconds() - begin;
}

/* Wrong: each of them is looked for past all the others, and the loop has time for nobody else. */
static void names_made_to_collide_cost_what_others_cost(void **unused)
{
    const struct long_name one = colliding_name(1), two = colliding_name(2);
    struct file *file = bench_file("a", "");
    unsigned hash_of_one, hash_of_two;
    double plain, colliding;

    (void)unused;
    HASH_JEN(&one, sizeof one, hash_of_one);
    HASH_JEN(&two, sizeof two, hash_of_two);
    assert_int_equal(hash_of_one, hash_of_two);
    bench.budget.limit[BUDGET_STATES] = 4 * COLLIDING;
    plain = open_by_names(0, file, plain_name);
    colliding = open_by_names(1, file, colliding_name);
    print_message("%d names: %.3f s; made to collide: %.3f s\n", COLLIDING, plain, colliding);
    assert_true(colliding < 8 * plain);
    file_unref(file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(share_access_zero_is_invalid),
        TEST(what_no_enumeration_has_is_badxdr),
        TEST(other_types_are_refused_by_name),
        TEST(a_name_needs_a_directory),
        TEST(opening_makes_the_file_current),
        TEST(unwanted_delegations_are_explained),
        TEST(guarded_creation_happens_once),
        TEST(unchecked_creation_empties_only_when_asked),
        TEST(exclusive_creation_can_be_repeated_with_its_verifier_only),
        TEST(exclusive_creation_with_a_size_can_be_repeated),
        TEST(a_verifier_opens_nobody_elses_file),
        TEST(exclusive_creation_refuses_what_holds_the_verifier),
        TEST(a_read_only_export_is_opened_for_reading_only),
        TEST(permission_is_the_kernels_word),
        TEST(shares_that_conflict_are_denied_even_to_the_same_owner),
        TEST(opening_again_upgrades_and_one_close_ends_it),
        TEST(through_another_handle_it_is_another_open),
        TEST(downgrade_gives_up_the_writer),
        TEST(reclaim_follows_the_record_and_the_grace_period),
        TEST(a_reclaim_is_granted_what_an_open_would_be),
        TEST(claims_of_delegations_never_granted_are_refused),
        TEST(a_manual_seal_refuses_writers_and_lets_readers_in),
        TEST(an_at_rest_seal_gives_way_to_a_writer),
        TEST(a_seal_that_comes_back_is_answered_with_delay),
        TEST(a_pinned_file_is_opened_for_writing),
        TEST(a_name_that_is_not_in_memory_is_looked_up_by_a_worker),
        TEST(who_opens_all_he_can_leaves_as_much_for_the_next),
        TEST(greed_asks_others_to_yield_only_when_little_is_left),
        TEST(opens_of_one_file_count_once),
        TEST(what_is_closed_can_be_opened_again),
        TEST(nothing_is_created_for_who_has_his_share),
        TEST(a_creation_takes_one_file_and_no_more),
        TEST(a_million_opens_of_one_client_keep_nobody_from_opening),
        TEST(who_has_as_many_as_one_may_have_asks_nobody_to_yield),
        TEST(who_is_in_the_way_is_found_past_many_who_are_not),
        TEST(names_made_to_collide_cost_what_others_cost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
