/*
 * PUTROOTFH, PUTFH, GETFH, SAVEFH, RESTOREFH, SECINFO.
 */
#include "tests/unit/server/fs_fixture.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct xdr_bytes getfh(struct fs_fixture *f)
{
    assert_int_equal(fs_run(f, op_getfh), NFS4_OK);
    return f->c.res.getfh.resok4.object;
}

static nfsstat4 putfh(struct fs_fixture *f, struct xdr_bytes handle)
{
    f->c.args.putfh.object = handle;
    return fs_run(f, op_putfh);
}

static void a_handle_leads_back_to_its_file(void **state)
{
    struct fs_fixture *f = *state;
    struct xdr_bytes file, root;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(fs_walk(f, ""), NFS4_OK);
    root = getfh(f);
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    file = getfh(f);
    assert_int_equal(putfh(f, root), NFS4_OK);
    assert_true(file_is_pseudo(f->c.current.file));
    assert_int_equal(putfh(f, file), NFS4_OK);
    assert_int_equal(f->blocked, 0); /* in memory: answered on the loop */
    assert_true(S_ISREG(file_type(f->c.current.file)));
    assert_true(xdr_bytes_equal(getfh(f), file));
}

/* The same inode through two exports has two handles: access is that of the export it was reached
 * through. */
static void a_handle_keeps_its_export(void **state)
{
    struct fs_fixture *f = *state;
    struct xdr_bytes writable, read_only;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    writable = getfh(f);
    assert_int_equal(fs_walk(f, "ro/a"), NFS4_OK);
    read_only = getfh(f);
    assert_false(xdr_bytes_equal(writable, read_only));
    assert_int_equal(putfh(f, read_only), NFS4_OK);
    assert_false(export_is_writable(f->c.current.export));
    assert_int_equal(putfh(f, writable), NFS4_OK);
    assert_true(export_is_writable(f->c.current.export));
}

static void forged_and_empty_handles_are_bad(void **state)
{
    struct fs_fixture *f = *state;
    uint8_t copy[NFS4_FHSIZE];
    struct xdr_bytes handle;

    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    handle = getfh(f);
    memcpy(copy, handle.data, handle.len);
    copy[5] ^= 4; /* another export */
    assert_int_equal(putfh(f, (struct xdr_bytes){.data = copy, .len = handle.len}),
                     NFS4ERR_BADHANDLE);
    assert_int_equal(putfh(f, (struct xdr_bytes){0}), NFS4ERR_BADHANDLE);
    assert_true(S_ISDIR(file_type(f->c.current.file))); /* the current file handle stays */
}

/* To put a handle is no access: who was admitted once gives back by it what he holds. What else he
 * may not is the dispatcher's to say (test_strangers). */
static void a_handle_is_put_by_whoever_has_it(void **state)
{
    struct fs_fixture *f = *state;
    struct xdr_bytes handle;

    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    handle = getfh(f);
    assert_int_equal(fs_walk(f, "closed"), NFS4ERR_ACCESS);
    f->exports[EXPORT_DATA].network_count = 0;
    assert_int_equal(putfh(f, handle), NFS4_OK);
}

static void save_and_restore_carry_file_and_stateid(void **state)
{
    struct fs_fixture *f = *state;
    struct xdr_bytes data;

    assert_int_equal(fs_run(f, op_restorefh), NFS4ERR_NOFILEHANDLE);
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    data = getfh(f);
    f->c.has_current_stateid = true;
    f->c.current_stateid.seqid = 42;
    fs_save(f);
    assert_int_equal(fs_walk(f, "ro"), NFS4_OK);
    assert_false(f->c.has_current_stateid);
    assert_int_equal(fs_run(f, op_restorefh), NFS4_OK);
    assert_true(f->c.has_current_stateid);
    assert_int_equal(f->c.current_stateid.seqid, 42);
    assert_true(xdr_bytes_equal(getfh(f), data));
}

static void secinfo_lists_flavors_and_consumes_the_handle(void **state)
{
    struct fs_fixture *f = *state;

    assert_int_equal(fs_walk(f, ""), NFS4_OK);
    f->c.args.secinfo.name = xdr_bytes_of("data");
    assert_int_equal(fs_run(f, op_secinfo), NFS4_OK);
    assert_int_equal(f->c.res.secinfo.resok4.flavors[0].flavor, RPC_AUTH_SYS);
    assert_null(f->c.current.file);
    assert_int_equal(fs_walk(f, ""), NFS4_OK);
    f->c.args.secinfo.name = xdr_bytes_of("nothing");
    assert_int_equal(fs_run(f, op_secinfo), NFS4ERR_NOENT);
    assert_non_null(f->c.current.file);
    f->c.args.secinfo_no_name.style = SECINFO_STYLE4_PARENT;
    assert_int_equal(fs_run(f, op_secinfo_no_name), NFS4ERR_NOENT);
    f->c.args.secinfo_no_name.style = SECINFO_STYLE4_CURRENT_FH;
    assert_int_equal(fs_run(f, op_secinfo_no_name), NFS4_OK);
    assert_null(f->c.current.file);
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    f->c.args.secinfo_no_name.style = SECINFO_STYLE4_PARENT;
    assert_int_equal(fs_run(f, op_secinfo_no_name), NFS4_OK);
    f->c.args.secinfo_no_name.style = 2;
    assert_int_equal(fs_run(f, op_secinfo_no_name), NFS4ERR_BADXDR);
}

/* Wrong: SYMLINK, as LOOKUP answers there; their errors have none (RFC 8881 section 15.2). */
static void a_symlink_is_no_directory_to_secinfo(void **state)
{
    struct fs_fixture *f = *state;

    assert_int_equal(symlink("a", fs_path(f, "data/l")), 0);
    assert_int_equal(fs_walk(f, "data/l"), NFS4_OK);
    f->c.args.secinfo.name = xdr_bytes_of("x");
    assert_int_equal(fs_run(f, op_secinfo), NFS4ERR_NOTDIR);
    f->c.args.secinfo_no_name.style = SECINFO_STYLE4_PARENT;
    assert_int_equal(fs_run(f, op_secinfo_no_name), NFS4ERR_NOTDIR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fs_setup, fs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_handle_leads_back_to_its_file),
        TEST(a_handle_keeps_its_export),
        TEST(forged_and_empty_handles_are_bad),
        TEST(a_handle_is_put_by_whoever_has_it),
        TEST(save_and_restore_carry_file_and_stateid),
        TEST(secinfo_lists_flavors_and_consumes_the_handle),
        TEST(a_symlink_is_no_directory_to_secinfo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
