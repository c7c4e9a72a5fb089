/*
 * test_must_file.c - what RFC 8881 requires of file handles, files and their state (chapters 2.6,
 * 8, 9 and 18) and no other test shows, over the wire; docs/conformance.md names them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/nfs4/attr.h"
#include "tests/unit/server/daemon_fixture.h"

enum { R = OPEN4_SHARE_ACCESS_READ, W = OPEN4_SHARE_ACCESS_WRITE, BOTH = OPEN4_SHARE_ACCESS_BOTH };
enum { SOMEBODY = 1000 };

static struct daemon *daemon_of_test;
static struct nfs_client client;
static const stateid4 current = {.seqid = 1}, anonymous;

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("");
    nfs_client_start(&client, daemon_of_test, "must", 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wire_close(&client.wire);
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static struct wire *w(void)
{
    return &client.wire;
}

/* ---- the server's side of the directory ---- */

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", fixture_files(), name);
    return path;
}

static void make_file(const char *name, mode_t mode)
{
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void make_dir(const char *name, mode_t mode)
{
    assert_int_equal(mkdir(path_of(name), 0700), 0);
    assert_int_equal(chmod(path_of(name), mode), 0);
}

/* ---- requests ---- */

struct step {
    uint32_t op;
    union nfs4_args args;
};

static struct step lookup_of(const char *name)
{
    return (struct step){OP_LOOKUP, {.lookup = {.objname = xdr_bytes_of(name)}}};
}

/* SEQUENCE, then these; all but the last must go well. The last one's status and result. */
static nfsstat4 run(const struct step *steps, unsigned count, union nfs4_res *res)
{
    nfs_begin(&client, false);
    for (unsigned i = 0; i < count; i++)
        wire_op(w(), steps[i].op, &steps[i].args);
    assert_true(wire_call(w()));
    nfs_sequence_ok(&client);
    for (unsigned i = 0; i + 1 < count; i++) {
        nfsstat4 status = wire_result(w(), steps[i].op, NULL);
        if (status != NFS4_OK)
            fail_msg("%s, step %u: %s", nfs4_op_name(steps[i].op), i, nfs4_status_name(status));
    }
    return wire_result(w(), steps[count - 1].op, res);
}

#define RUN(res, ...)                                                                              \
    run((const struct step[]){__VA_ARGS__},                                                        \
        sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step), res)
#define EXPORT {OP_PUTROOTFH, {.putfh = {{0}}}}, lookup_of("data")
#define PLAIN(op)                                                                                  \
    {                                                                                              \
        op,                                                                                        \
        {                                                                                          \
            .putfh = { {0} }                                                                       \
        }                                                                                          \
    }

static struct step open_of(const char *name, uint32_t access, opentype4 how)
{
    struct step step = {OP_OPEN,
                        {.open = {.share_access = access,
                                  .owner.owner = xdr_bytes_of("o"),
                                  .openhow.opentype = how,
                                  .claim.file = xdr_bytes_of(name)}}};
    return step;
}

static struct step close_of(const stateid4 *stateid)
{
    return (struct step){OP_CLOSE, {.close = {.open_stateid = *stateid}}};
}

static struct step write_of(const stateid4 *stateid)
{
    return (struct step){OP_WRITE, {.write = {.stateid = *stateid, .data = xdr_bytes_of("data")}}};
}

static struct step read_of(const stateid4 *stateid)
{
    return (struct step){OP_READ, {.read = {.stateid = *stateid, .count = 4}}};
}

static struct step lock_of(const stateid4 *open, const char *owner)
{
    return (struct step){
        OP_LOCK,
        {.lock = {.locktype = WRITE_LT,
                  .length = UINT64_MAX,
                  .locker = {.new_lock_owner = true,
                             .open_owner = {.open_stateid = *open,
                                            .lock_owner.owner = xdr_bytes_of(owner)}}}}};
}

static struct step unlock_of(const stateid4 *lock)
{
    return (struct step){
        OP_LOCKU, {.locku = {.locktype = WRITE_LT, .lock_stateid = *lock, .length = UINT64_MAX}}};
}

static struct step name_step(uint32_t op, const char *name)
{
    struct step step = {op, {.remove = {.target = xdr_bytes_of(name)}}};
    if (op == OP_LINK)
        step.args = (union nfs4_args){.link = {.newname = xdr_bytes_of(name)}};
    else if (op == OP_SECINFO)
        step.args = (union nfs4_args){.secinfo = {.name = xdr_bytes_of(name)}};
    return step;
}

static struct step rename_of(const char *from, const char *to)
{
    return (struct step){OP_RENAME,
                         {.rename = {.oldname = xdr_bytes_of(from), .newname = xdr_bytes_of(to)}}};
}

static struct step create_dir(const char *name)
{
    return (struct step){OP_CREATE,
                         {.create = {.objtype = {.type = NF4DIR}, .objname = xdr_bytes_of(name)}}};
}

static struct step secinfo_no_name(uint32_t style)
{
    return (struct step){OP_SECINFO_NO_NAME, {.secinfo_no_name = {.style = style}}};
}

static struct step getattr_of(bitmap4 attrs)
{
    return (struct step){OP_GETATTR, {.getattr = {.attr_request = attrs}}};
}

static struct step setattr_of(const stateid4 *stateid, const struct nfs4_attrs *attrs)
{
    struct step step = {OP_SETATTR, {.setattr = {.stateid = *stateid}}};
    assert_int_equal(nfs4_attrs_pack(attrs, &attrs->present, NULL, &w()->arena,
                                     &step.args.setattr.obj_attributes),
                     0);
    return step;
}

static void get_attrs(const char *name, bitmap4 want, struct nfs4_attrs *attrs)
{
    union nfs4_res res;
    assert_int_equal(RUN(&res, EXPORT, lookup_of(name), getattr_of(want)), NFS4_OK);
    memset(attrs, 0, sizeof(*attrs));
    assert_int_equal(nfs4_attrs_unpack(&res.getattr.resok4.obj_attributes, attrs), 0);
}

/* ---- security ---- */

/* Every flavor that SECINFO lists is taken by every operation on every file handle, so that nothing
 * is ever answered with WRONGSEC. */
static void what_secinfo_lists_gets_in_everywhere(void **state)
{
    (void)state;
    union nfs4_res res;
    nfs_fh4 handle;
    uint8_t bytes[NFS4_FHSIZE];
    make_dir("secure", 0777);
    assert_int_equal(RUN(&res, EXPORT, lookup_of("secure"), PLAIN(OP_GETFH)), NFS4_OK);
    handle = res.getfh.resok4.object;
    memcpy(bytes, handle.data, handle.len);
    const struct step put = {OP_PUTFH, {.putfh = {.object = {bytes, handle.len}}}};
    assert_int_equal(RUN(&res, EXPORT, name_step(OP_SECINFO, "secure")), NFS4_OK);
    assert_int_equal(res.secinfo.resok4.flavors_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        w()->anonymous = i == 1;
        w()->uid = SOMEBODY;
        assert_int_equal(RUN(NULL, PLAIN(OP_PUTPUBFH), put, PLAIN(OP_PUTROOTFH), put,
                             PLAIN(OP_SAVEFH), PLAIN(OP_LOOKUPP), PLAIN(OP_RESTOREFH),
                             PLAIN(OP_RESTOREFH), name_step(OP_REMOVE, "nothing")),
                         NFS4ERR_NOENT);
        assert_int_equal(RUN(NULL, put, create_dir("made")), NFS4_OK);
        assert_int_equal(RUN(NULL, put, create_dir("made")), NFS4ERR_EXIST);
        assert_int_equal(RUN(NULL, put, lookup_of("made"), PLAIN(OP_LOOKUPP), PLAIN(OP_SAVEFH),
                             rename_of("made", "moved")),
                         NFS4_OK);
        assert_int_equal(RUN(NULL, put, open_of("file", BOTH, OPEN4_CREATE), PLAIN(OP_SAVEFH), put,
                             name_step(OP_LINK, "linked")),
                         NFS4_OK);
        assert_int_equal(RUN(NULL, put, name_step(OP_SECINFO, "moved")), NFS4_OK);
        assert_int_equal(RUN(NULL, put, secinfo_no_name(SECINFO_STYLE4_CURRENT_FH)), NFS4_OK);
        assert_int_equal(RUN(NULL, put, secinfo_no_name(SECINFO_STYLE4_PARENT)), NFS4_OK);
        assert_int_equal(RUN(NULL, put, name_step(OP_REMOVE, "linked"),
                             name_step(OP_REMOVE, "file"), name_step(OP_REMOVE, "moved")),
                         NFS4_OK);
    }
    w()->anonymous = false;
    w()->uid = 0;
}

/* SECINFO says no more of a name than LOOKUP would. */
static void secinfo_asks_what_lookup_asks(void **state)
{
    (void)state;
    make_dir("closed", 0700);
    make_dir("closed/within", 0777);
    make_file("plain", 0644);
    const struct {
        const char *place, *name;
        uid_t uid;
        nfsstat4 status;
    } rows[] = {{"closed", "within", SOMEBODY, NFS4ERR_ACCESS},
                {"closed", "nothing", SOMEBODY, NFS4ERR_ACCESS},
                {"closed", "within", 0, NFS4_OK},
                {"closed", "nothing", 0, NFS4ERR_NOENT},
                {"plain", "within", 0, NFS4ERR_NOTDIR},
                {"closed", "..", 0, NFS4ERR_BADNAME},
                {"closed", "", 0, NFS4ERR_INVAL}};
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        w()->uid = rows[i].uid;
        for (unsigned op = 0; op < 2; op++)
            assert_int_equal(
                RUN(NULL, EXPORT, lookup_of(rows[i].place),
                    op ? lookup_of(rows[i].name) : name_step(OP_SECINFO, rows[i].name)),
                rows[i].status);
    }
    w()->uid = 0;
}

static void the_root_has_no_parent_to_ask_about(void **state)
{
    (void)state;
    assert_int_equal(RUN(NULL, PLAIN(OP_PUTROOTFH), secinfo_no_name(SECINFO_STYLE4_PARENT)),
                     NFS4ERR_NOENT);
    assert_int_equal(RUN(NULL, EXPORT, secinfo_no_name(SECINFO_STYLE4_PARENT)), NFS4_OK);
    assert_int_equal(RUN(NULL, PLAIN(OP_PUTROOTFH), secinfo_no_name(SECINFO_STYLE4_CURRENT_FH)),
                     NFS4_OK);
    assert_int_equal(RUN(NULL, PLAIN(OP_PUTROOTFH), PLAIN(OP_LOOKUPP)), NFS4ERR_NOENT);
}

/* ---- file handles ---- */

static void handle_of(const struct step *steps, unsigned count, uint8_t bytes[NFS4_FHSIZE],
                      uint32_t *len)
{
    union nfs4_res res;
    assert_int_equal(run(steps, count, &res), NFS4_OK);
    *len = res.getfh.resok4.object.len;
    memcpy(bytes, res.getfh.resok4.object.data, *len);
}

static void the_public_file_handle_is_the_root(void **state)
{
    (void)state;
    const struct step root[] = {PLAIN(OP_PUTROOTFH), PLAIN(OP_GETFH)};
    const struct step public[] = {PLAIN(OP_PUTPUBFH), PLAIN(OP_GETFH)};
    uint8_t a[NFS4_FHSIZE], b[NFS4_FHSIZE];
    uint32_t a_len, b_len;
    handle_of(root, 2, a, &a_len);
    handle_of(public, 2, b, &b_len);
    assert_int_equal(a_len, b_len);
    assert_memory_equal(a, b, a_len);
}

static void a_file_has_one_handle_whatever_its_name(void **state)
{
    (void)state;
    uint8_t a[NFS4_FHSIZE], b[NFS4_FHSIZE];
    uint32_t a_len, b_len;
    char other[256];
    make_file("one", 0644);
    snprintf(other, sizeof(other), "%s", path_of("one"));
    assert_int_equal(link(other, path_of("two")), 0);
    const struct step first[] = {EXPORT, lookup_of("one"), PLAIN(OP_GETFH)};
    const struct step second[] = {EXPORT, lookup_of("two"), PLAIN(OP_GETFH)};
    handle_of(first, 4, a, &a_len);
    handle_of(second, 4, b, &b_len);
    assert_int_equal(a_len, b_len);
    assert_memory_equal(a, b, a_len);
}

/* ---- the current stateid ---- */

static void the_current_stateid_is_the_last_one_of_its_file_handle(void **state)
{
    (void)state;
    const struct step make = open_of("current", BOTH, OPEN4_CREATE);
    const struct nfs4_attrs size = {.present = BITMAP4(FATTR4_SIZE), .size = 8};
    const struct step free_it = {OP_FREE_STATEID, {.free_stateid = {.fsa_stateid = current}}};
    union nfs4_res res;
    assert_int_equal(RUN(NULL, EXPORT, make, close_of(&current)), NFS4_OK);
    assert_int_equal(
        RUN(NULL, EXPORT, make, write_of(&current), read_of(&current), close_of(&current)),
        NFS4_OK);
    assert_int_equal(RUN(NULL, EXPORT, make, setattr_of(&current, &size), close_of(&current)),
                     NFS4_OK);
    assert_int_equal(RUN(NULL, EXPORT, make, lock_of(&current, "l"), write_of(&current),
                         unlock_of(&current), close_of(&current)),
                     NFS4ERR_BAD_STATEID); /* a lock's stateid closes nothing */
    assert_int_equal(RUN(&res, EXPORT, make), NFS4_OK);
    stateid4 open = res.open.resok4.stateid;
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("current"), close_of(&current)),
                     NFS4ERR_BAD_STATEID); /* nobody has given one */
    assert_int_equal(RUN(NULL, EXPORT, make, free_it), NFS4ERR_LOCKS_HELD);
    open.seqid = 0;
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("current"), close_of(&open)), NFS4_OK);
    /* It goes with its file handle, and comes back with it. */
    assert_int_equal(
        RUN(NULL, EXPORT, make, PLAIN(OP_SAVEFH), EXPORT, PLAIN(OP_RESTOREFH), close_of(&current)),
        NFS4_OK);
    assert_int_equal(RUN(&res, EXPORT, make), NFS4_OK);
    open = res.open.resok4.stateid;
    open.seqid = 0;
    assert_int_equal(RUN(NULL, EXPORT, make, EXPORT, lookup_of("current"), close_of(&current)),
                     NFS4ERR_BAD_STATEID);
    /* After CLOSE it is a special one, which means nothing to anybody. */
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("current"), close_of(&open), write_of(&current)),
                     NFS4ERR_BAD_STATEID);
    assert_int_equal(RUN(NULL, EXPORT, make, close_of(&current), read_of(&current)),
                     NFS4ERR_BAD_STATEID);
}

/* ---- OPEN and locks ---- */

static void opening_again_without_a_change_moves_the_seqid(void **state)
{
    (void)state;
    union nfs4_res res;
    for (uint32_t seqid = 1; seqid <= 3; seqid++) {
        assert_int_equal(RUN(&res, EXPORT, open_of("again", BOTH, OPEN4_CREATE)), NFS4_OK);
        assert_int_equal(res.open.resok4.stateid.seqid, seqid);
    }
    stateid4 open = res.open.resok4.stateid;
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("again"), close_of(&open)), NFS4_OK);
}

static void fields_that_mean_nothing_any_more_are_ignored(void **state)
{
    static const nfs_lock_type4 types[] = {READ_LT, WRITE_LT, READW_LT, WRITEW_LT};
    (void)state;
    union nfs4_res res;
    struct step open = open_of("fields", BOTH, OPEN4_CREATE);
    open.args.open.seqid = 0xabcdef;
    open.args.open.owner.clientid = 0x1122334455667788;
    assert_int_equal(RUN(&res, EXPORT, open), NFS4_OK);
    assert_int_equal(
        res.open.resok4.rflags & (OPEN4_RESULT_CONFIRM | OPEN4_RESULT_PRESERVE_UNLINKED), 0);
    stateid4 stateid = res.open.resok4.stateid;
    open.args.open.owner.clientid = 0;
    open.args.open.seqid = 7;
    assert_int_equal(RUN(&res, EXPORT, open), NFS4_OK); /* the same owner all the same */
    assert_memory_equal(res.open.resok4.stateid.other, stateid.other, sizeof(stateid.other));
    stateid = res.open.resok4.stateid;

    struct step lock = lock_of(&stateid, "l");
    lock.args.lock.locker.open_owner.open_seqid = 99;
    lock.args.lock.locker.open_owner.lock_seqid = 98;
    lock.args.lock.locker.open_owner.lock_owner.clientid = 97;
    assert_int_equal(RUN(&res, EXPORT, lookup_of("fields"), lock), NFS4_OK);
    stateid4 locked = res.lock.resok4.lock_stateid;
    lock.args.lock.locker = (locker4){.lock_owner = {.lock_stateid = locked, .lock_seqid = 1234}};
    assert_int_equal(RUN(&res, EXPORT, lookup_of("fields"), lock), NFS4_OK);
    locked = res.lock.resok4.lock_stateid;
    const struct step test = {OP_LOCKT,
                              {.lockt = {.locktype = WRITE_LT,
                                         .length = UINT64_MAX,
                                         .owner = {.clientid = 55, .owner = xdr_bytes_of("l")}}}};
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("fields"), test), NFS4_OK); /* his own */
    for (unsigned i = 0; i < 4; i++) {
        struct step unlock = unlock_of(&locked);
        unlock.args.locku.locktype = types[i];
        unlock.args.locku.seqid = 1000 + i;
        assert_int_equal(RUN(&res, EXPORT, lookup_of("fields"), unlock), NFS4_OK);
        locked = res.locku.lock_stateid;
    }
    struct step downgrade = {
        OP_OPEN_DOWNGRADE,
        {.open_downgrade = {.open_stateid = stateid, .seqid = 31, .share_access = BOTH}}};
    assert_int_equal(RUN(&res, EXPORT, lookup_of("fields"), downgrade), NFS4_OK);
    stateid = res.open_downgrade.resok4.open_stateid;
    struct step end = close_of(&stateid);
    end.args.close.seqid = 0xffffffff;
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("fields"), end), NFS4_OK);
}

static void share_modes_that_are_none_are_invalid(void **state)
{
    (void)state;
    union nfs4_res res;
    const uint32_t accesses[] = {0, 4, 7, 0x80000000 | R}, denies[] = {4, 8, 0xffffffff};
    assert_int_equal(RUN(&res, EXPORT, open_of("modes", BOTH, OPEN4_CREATE)), NFS4_OK);
    stateid4 open = res.open.resok4.stateid;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(RUN(NULL, EXPORT, open_of("modes", accesses[i], OPEN4_NOCREATE)),
                         NFS4ERR_INVAL);
        const struct step down = {
            OP_OPEN_DOWNGRADE,
            {.open_downgrade = {.open_stateid = open, .share_access = accesses[i]}}};
        assert_int_equal(RUN(NULL, EXPORT, lookup_of("modes"), down), NFS4ERR_INVAL);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct step again = open_of("modes", R, OPEN4_NOCREATE);
        again.args.open.share_deny = denies[i];
        assert_int_equal(RUN(NULL, EXPORT, again), NFS4ERR_INVAL);
        const struct step down = {OP_OPEN_DOWNGRADE,
                                  {.open_downgrade = {.open_stateid = open,
                                                      .share_access = BOTH,
                                                      .share_deny = denies[i]}}};
        assert_int_equal(RUN(NULL, EXPORT, lookup_of("modes"), down), NFS4ERR_INVAL);
    }
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("modes"), close_of(&open)), NFS4_OK);
}

static void what_is_created_has_a_name(void **state)
{
    static const struct {
        open_claim_type4 claim;
        nfsstat4 status;
    } rows[] = {{CLAIM_FH, NFS4ERR_INVAL},
                {CLAIM_PREVIOUS, NFS4ERR_INVAL},
                {CLAIM_DELEG_PREV_FH, NFS4ERR_RECLAIM_BAD},
                {CLAIM_DELEG_CUR_FH, NFS4ERR_BAD_STATEID}};
    (void)state;
    make_file("has one", 0666);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct step open = {OP_OPEN,
                                  {.open = {.share_access = R,
                                            .owner.owner = xdr_bytes_of("o"),
                                            .openhow.opentype = OPEN4_CREATE,
                                            .claim.claim = rows[i].claim}}};
        assert_int_equal(RUN(NULL, EXPORT, lookup_of("has one"), open), rows[i].status);
    }
}

static void what_is_created_is_its_makers(void **state)
{
    (void)state;
    struct stat st;
    w()->uid = SOMEBODY;
    assert_int_equal(
        RUN(NULL, EXPORT, open_of("made by open", BOTH, OPEN4_CREATE), close_of(&current)),
        NFS4_OK);
    w()->uid = 0;
    assert_int_equal(stat(path_of("made by open"), &st), 0);
    assert_int_equal(st.st_uid, SOMEBODY);
    assert_int_equal(st.st_gid, 0); /* as the call said */
}

/* This daemon gives no layouts, and has said so. */
static void exclusive4_is_for_clients_without_layouts(void **state)
{
    (void)state;
    union nfs4_res res;
    for (unsigned i = 0; i < 3; i++) {
        struct step open = open_of("exclusive", BOTH, OPEN4_CREATE);
        open.args.open.openhow.how.mode = EXCLUSIVE4;
        memset(open.args.open.openhow.how.createverf, i < 2 ? 'v' : 'w', NFS4_VERIFIER_SIZE);
        nfsstat4 status = RUN(&res, EXPORT, open);
        assert_int_equal(status, i < 2 ? NFS4_OK : NFS4ERR_EXIST);
        if (i == 2)
            break;
        assert_true(bitmap4_isset(&res.open.resok4.attrset, FATTR4_TIME_MODIFY_SET));
        assert_int_equal(res.open.resok4.stateid.seqid, i + 1);
    }
}

static void who_was_told_of_no_layouts_asks_in_vain(void **state)
{
    static const uint32_t ops[] = {OP_LAYOUTGET, OP_LAYOUTCOMMIT, OP_LAYOUTRETURN, OP_GETDEVICEINFO,
                                   OP_GETDEVICELIST};
    (void)state;
    make_file("no layouts", 0666);
    for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        union nfs4_args args = {0};
        if (ops[i] == OP_LAYOUTRETURN)
            args.layoutreturn.lora_layoutreturn.lr_returntype = LAYOUTRETURN4_ALL;
        assert_int_equal(RUN(NULL, EXPORT, lookup_of("no layouts"), {ops[i], args}),
                         NFS4ERR_NOTSUPP);
    }
}

/* ---- ACCESS ---- */

static void access_answers_what_was_asked_and_no_more(void **state)
{
    (void)state;
    union nfs4_res res;
    make_file("asked", 0777);
    for (unsigned dir = 0; dir < 2; dir++)
        for (uint32_t asked = 0; asked < 128; asked++) {
            const struct step step = {OP_ACCESS, {.access = {.access = asked}}};
            if (dir)
                assert_int_equal(RUN(&res, EXPORT, step), NFS4_OK);
            else
                assert_int_equal(RUN(&res, EXPORT, lookup_of("asked"), step), NFS4_OK);
            assert_int_equal(res.access.resok4.supported & ~asked, 0);
            assert_int_equal(res.access.resok4.access & ~res.access.resok4.supported, 0);
            assert_int_equal(res.access.resok4.access & ACCESS4_READ, asked & ACCESS4_READ);
        }
}

static void execute_is_told_by_the_execute_bits_alone(void **state)
{
    static const struct {
        mode_t mode;
        uid_t uid;
        uint32_t access;
    } rows[] = {{0111, SOMEBODY, ACCESS4_EXECUTE},
                {0444, SOMEBODY, ACCESS4_READ},
                {0001, SOMEBODY, 0}, /* of the file's group, which has no bit */
                {0555, SOMEBODY, ACCESS4_READ | ACCESS4_EXECUTE},
                {0000, 0, ACCESS4_READ}, /* root reads, but what has no such bit is no program */
                {0666, 0, ACCESS4_READ},
                {0001, 0, ACCESS4_READ | ACCESS4_EXECUTE}};
    const struct step step = {OP_ACCESS, {.access = {.access = ACCESS4_READ | ACCESS4_EXECUTE}}};
    (void)state;
    union nfs4_res res;
    make_file("run", 0);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(chmod(path_of("run"), rows[i].mode), 0);
        w()->uid = rows[i].uid;
        assert_int_equal(RUN(&res, EXPORT, lookup_of("run"), step), NFS4_OK);
        assert_int_equal(res.access.resok4.supported, ACCESS4_READ | ACCESS4_EXECUTE);
        assert_int_equal(res.access.resok4.access, rows[i].access);
    }
    w()->uid = 0;
}

/* ---- directories and sizes ---- */

static void a_listing_without_room_for_one_entry_is_too_small(void **state)
{
    (void)state;
    union nfs4_res res;
    struct step list = {OP_READDIR,
                        {.readdir = {.dircount = 8192,
                                     .maxcount = 40,
                                     .attr_request = BITMAP4(FATTR4_TYPE, FATTR4_FILEID)}}};
    make_dir("listed", 0777);
    make_file("listed/a name that takes some forty bytes alone", 0644);
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("listed"), list), NFS4ERR_TOOSMALL);
    list.args.readdir.maxcount = 400;
    assert_int_equal(RUN(&res, EXPORT, lookup_of("listed"), list), NFS4_OK);
    assert_true(res.readdir.resok4.reply.eof);
}

static void a_rename_replaces_its_like_only(void **state)
{
    static const struct {
        const char *from, *to;
        nfsstat4 status;
    } rows[] = {{"file", "dir", NFS4ERR_EXIST},     {"file", "full", NFS4ERR_EXIST},
                {"dir", "file", NFS4ERR_EXIST},     {"dir", "full", NFS4ERR_EXIST},
                {"nothing", "file", NFS4ERR_NOENT}, {"", "x", NFS4ERR_INVAL},
                {"file", "", NFS4ERR_INVAL},        {".", "x", NFS4ERR_BADNAME},
                {"file", "..", NFS4ERR_BADNAME},    {"full", "dir", NFS4_OK},
                {"file", "other", NFS4_OK}};
    (void)state;
    make_dir("rename", 0777);
    make_dir("rename/dir", 0777);
    make_dir("rename/full", 0777);
    make_file("rename/full/a", 0644);
    make_file("rename/file", 0644);
    make_file("rename/other", 0644);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(RUN(NULL, EXPORT, lookup_of("rename"), PLAIN(OP_SAVEFH),
                             rename_of(rows[i].from, rows[i].to)),
                         rows[i].status);
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("rename"), lookup_of("other"), PLAIN(OP_SAVEFH),
                         EXPORT, rename_of("x", "y")),
                     NFS4ERR_NOTDIR);
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("rename"), PLAIN(OP_SAVEFH), lookup_of("other"),
                         rename_of("x", "y")),
                     NFS4ERR_NOTDIR);
}

/* PERM is no error of REMOVE, RENAME and LINK (15.2). */
static void what_the_kernel_does_not_permit_is_told_as_listed(void **state)
{
    (void)state;
    make_dir("sticky", 01777);
    make_file("sticky/roots", 0600);
    w()->uid = SOMEBODY;
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("sticky"), name_step(OP_REMOVE, "roots")),
                     NFS4ERR_ACCESS);
    assert_int_equal(
        RUN(NULL, EXPORT, lookup_of("sticky"), PLAIN(OP_SAVEFH), rename_of("roots", "mine")),
        NFS4ERR_ACCESS);
    w()->uid = 0;
}

static void a_file_grows_by_its_size(void **state)
{
    (void)state;
    struct nfs4_attrs set = {.present = BITMAP4(FATTR4_SIZE), .size = 1 << 20}, got;
    make_file("grows", 0666);
    assert_int_equal(RUN(NULL, EXPORT, lookup_of("grows"), setattr_of(&anonymous, &set)), NFS4_OK);
    get_attrs("grows", BITMAP4(FATTR4_SIZE), &got);
    assert_int_equal(got.size, 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_secinfo_lists_gets_in_everywhere),
        cmocka_unit_test(secinfo_asks_what_lookup_asks),
        cmocka_unit_test(the_root_has_no_parent_to_ask_about),
        cmocka_unit_test(the_public_file_handle_is_the_root),
        cmocka_unit_test(a_file_has_one_handle_whatever_its_name),
        cmocka_unit_test(the_current_stateid_is_the_last_one_of_its_file_handle),
        cmocka_unit_test(opening_again_without_a_change_moves_the_seqid),
        cmocka_unit_test(fields_that_mean_nothing_any_more_are_ignored),
        cmocka_unit_test(share_modes_that_are_none_are_invalid),
        cmocka_unit_test(what_is_created_has_a_name),
        cmocka_unit_test(what_is_created_is_its_makers),
        cmocka_unit_test(exclusive4_is_for_clients_without_layouts),
        cmocka_unit_test(who_was_told_of_no_layouts_asks_in_vain),
        cmocka_unit_test(access_answers_what_was_asked_and_no_more),
        cmocka_unit_test(execute_is_told_by_the_execute_bits_alone),
        cmocka_unit_test(a_listing_without_room_for_one_entry_is_too_small),
        cmocka_unit_test(a_rename_replaces_its_like_only),
        cmocka_unit_test(what_the_kernel_does_not_permit_is_told_as_listed),
        cmocka_unit_test(a_file_grows_by_its_size),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
