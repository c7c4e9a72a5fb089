/*
 * GETATTR, SETATTR, VERIFY, NVERIFY, ACCESS.
 */
#include "tests/unit/server/fs_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/file/fs_access.h"
#include "server/nfs/attr.h"

static nfsstat4 setattr_by(struct fs_fixture *f, const struct nfs4_attrs *attrs, stateid4 stateid)
{
    f->c.args.setattr.stateid = stateid;
    f->c.args.setattr.obj_attributes = fs_fattr(f, attrs);
    return fs_run(f, op_setattr);
}

static nfsstat4 setattr(struct fs_fixture *f, const struct nfs4_attrs *attrs)
{
    return setattr_by(f, attrs, (stateid4){0}); /* the anonymous one */
}

static struct stat stat_of(struct fs_fixture *f, const char *relative)
{
    struct stat st;

    assert_int_equal(lstat(fs_path(f, relative), &st), 0);
    return st;
}

static void every_required_attribute_is_supported_and_answered(void **state)
{
    struct fs_fixture *f = *state;
    const bitmap4 required =
        BITMAP4(FATTR4_SUPPORTED_ATTRS, FATTR4_TYPE, FATTR4_FH_EXPIRE_TYPE, FATTR4_CHANGE,
                FATTR4_SIZE, FATTR4_LINK_SUPPORT, FATTR4_SYMLINK_SUPPORT, FATTR4_NAMED_ATTR,
                FATTR4_FSID, FATTR4_UNIQUE_HANDLES, FATTR4_LEASE_TIME, FATTR4_RDATTR_ERROR,
                FATTR4_FILEHANDLE, FATTR4_SUPPATTR_EXCLCREAT);
    struct nfs4_attrs attrs;

    fs_write_file(f, "data/a", "12345");
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    attrs = fs_getattr(f, required);
    assert_true(bitmap4_equal(&attrs.present, &required));
    attrs.supported_attrs = bitmap4_and(&attrs.supported_attrs, &required);
    assert_true(bitmap4_equal(&attrs.supported_attrs, &required));
    assert_int_equal(attrs.type, NF4REG);
    assert_int_equal(attrs.size, 5);
    assert_int_equal(attrs.lease_time, 90);
    assert_int_equal(f->blocked, 0); /* on the loop */
}

/* SUPPORTED_ATTRS is true: all that can be read is answered when all is asked for, and nothing else
 * is. */
static void supported_attrs_is_what_getattr_answers(void **state)
{
    struct fs_fixture *f = *state;
    const bitmap4 all = {.word = {0xffffffff, 0xffffffff, 0xffffffff}},
                  write_only = attr_write_only();
    const bitmap4 want = bitmap4_minus(&all, &write_only);
    struct nfs4_attrs attrs;
    bitmap4 readable;

    for (int pseudo = 0; pseudo < 2; pseudo++) {
        assert_int_equal(fs_walk(f, pseudo ? "" : "data"), NFS4_OK);
        attrs = fs_getattr(f, want);
        readable = bitmap4_minus(&attrs.supported_attrs, &write_only);
        if (pseudo) /* nobody knows when it was made */
            bitmap4_clear(&readable, FATTR4_TIME_CREATE);
        assert_true(bitmap4_equal(&attrs.present, &readable));
    }
}

static void exports_have_an_fsid_each_and_the_pseudo_root_its_own(void **state)
{
    struct fs_fixture *f = *state;
    const bitmap4 want = BITMAP4(FATTR4_FSID, FATTR4_FILEID, FATTR4_MOUNTED_ON_FILEID);
    struct nfs4_attrs root, data, ro;

    assert_int_equal(fs_walk(f, ""), NFS4_OK);
    root = fs_getattr(f, want);
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    data = fs_getattr(f, want);
    assert_int_equal(fs_walk(f, "ro"), NFS4_OK);
    ro = fs_getattr(f, want);
    assert_true(root.fsid.major != data.fsid.major || root.fsid.minor != data.fsid.minor);
    assert_true(ro.fsid.major != data.fsid.major || ro.fsid.minor != data.fsid.minor);
    assert_true(root.fileid == root.mounted_on_fileid);
    assert_true(data.fileid != data.mounted_on_fileid);
    assert_true(data.fileid == stat_of(f, "data").st_ino);
}

static void asking_for_a_write_only_attribute_is_invalid(void **state)
{
    struct fs_fixture *f = *state;

    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    f->c.args.getattr.attr_request = BITMAP4(FATTR4_SIZE, FATTR4_TIME_MODIFY_SET);
    assert_int_equal(fs_run(f, op_getattr), NFS4ERR_INVAL);
}

/* attrsset lists exactly what was set, owner and group included. */
static void setattr_reports_exactly_what_it_set(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {
        .size = 2,
        .mode = 04751,
        .owner = xdr_bytes_of("1234"),
        .owner_group = xdr_bytes_of("1235"),
        .time_access_set = {.set_it = SET_TO_SERVER_TIME4},
        .time_modify_set = {.set_it = SET_TO_CLIENT_TIME4, .time = {.seconds = 99, .nseconds = 7}}};
    struct stat st;

    attrs.present = BITMAP4(FATTR4_SIZE, FATTR4_MODE, FATTR4_OWNER, FATTR4_OWNER_GROUP,
                            FATTR4_TIME_ACCESS_SET, FATTR4_TIME_MODIFY_SET);
    fs_write_file(f, "data/a", "12345");
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    assert_int_equal(setattr(f, &attrs), NFS4_OK);
    assert_true(bitmap4_equal(&f->c.res.setattr.attrsset, &attrs.present));
    st = stat_of(f, "data/a");
    assert_int_equal(st.st_size, 2);
    assert_int_equal(st.st_mode & 07777, 04751);
    assert_int_equal(st.st_uid, 1234);
    assert_int_equal(st.st_gid, 1235);
    assert_int_equal(st.st_mtim.tv_sec, 99);
    assert_int_equal(st.st_mtim.tv_nsec, 7);
}

static void setattr_stops_at_what_the_caller_may_not_and_says_how_far_it_came(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {.size = 1, .owner = xdr_bytes_of("1234"), .mode = 0600};
    const bitmap4 size = BITMAP4(FATTR4_SIZE);

    attrs.present = BITMAP4(FATTR4_SIZE, FATTR4_MODE, FATTR4_OWNER);
    fs_write_file(f, "data/a", "12345");
    assert_int_equal(chown(fs_path(f, "data/a"), 1000, 1000), 0);
    fs_as(f, 1000, 1000);
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_PERM); /* giving files away is root's */
    assert_true(bitmap4_equal(&f->c.res.setattr.attrsset, &size));
    assert_int_equal(stat_of(f, "data/a").st_mode & 0777, 0644);
}

static void bad_values_are_refused_before_anything_is_set(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {.mode = 0600, .owner = xdr_bytes_of("1000junk")};

    fs_write_file(f, "data/a", "12345");
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    attrs.present = BITMAP4(FATTR4_MODE, FATTR4_OWNER);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_BADOWNER);
    attrs.mode = 010600;
    attrs.present = BITMAP4(FATTR4_MODE);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_INVAL);
    attrs.time_modify_set =
        (settime4){.set_it = SET_TO_CLIENT_TIME4, .time = {.nseconds = 1000000000}};
    attrs.present = BITMAP4(FATTR4_TIME_MODIFY_SET);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_INVAL);
    attrs.time_modify_set = (settime4){.set_it = 7}; /* no value of the enumeration */
    assert_int_equal(setattr(f, &attrs), NFS4ERR_BADXDR);
    assert_true(stat_of(f, "data/a").st_mtime > 0);
    attrs.present = BITMAP4(FATTR4_CHANGE); /* read-only */
    assert_int_equal(setattr(f, &attrs), NFS4ERR_INVAL);
    attrs.present = BITMAP4(FATTR4_ARCHIVE); /* not supported */
    assert_int_equal(setattr(f, &attrs), NFS4ERR_ATTRNOTSUPP);
    assert_int_equal(stat_of(f, "data/a").st_mode & 0777, 0644);
}

static void setting_the_size_asks_stateid_permission_and_type(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {.size = 1};

    attrs.present = BITMAP4(FATTR4_SIZE);
    fs_write_file(f, "data/a", "12345");
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_WRONG_TYPE);
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    f->io_status = NFS4ERR_LOCKED; /* a share reservation denies it */
    assert_int_equal(setattr(f, &attrs), NFS4ERR_LOCKED);
    f->io_status = NFS4_OK;
    fs_as(f, 1000, 1000);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_ACCESS);
    /* Open for writing: may, whatever the mode is now. */
    assert_int_equal(setattr_by(f, &attrs, (stateid4){.other = {'O', 9}}), NFS4_OK);
    assert_int_equal(stat_of(f, "data/a").st_size, 1);
    fs_as(f, 0, 0);
    attrs.size = UINT64_MAX;
    assert_int_equal(setattr(f, &attrs), NFS4ERR_FBIG);
}

static void a_truncation_by_a_user_takes_the_setuid_bit_off(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {.size = 1};

    attrs.present = BITMAP4(FATTR4_SIZE);
    fs_write_file(f, "data/a", "12345");
    assert_int_equal(chmod(fs_path(f, "data/a"), 04777), 0);
    fs_as(f, 1000, 1000);
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    assert_int_equal(setattr(f, &attrs), NFS4_OK);
    assert_int_equal(stat_of(f, "data/a").st_mode & 07777, 0777);
}

static void a_read_only_export_and_the_pseudo_root_refuse_changes(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {.mode = 0600};

    attrs.present = BITMAP4(FATTR4_MODE);
    fs_write_file(f, "data/a", "12345");
    assert_int_equal(fs_walk(f, "ro/a"), NFS4_OK);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_ROFS);
    assert_int_equal(fs_walk(f, ""), NFS4_OK);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_ROFS);
}

static void set_unsealed(struct fs_fixture *f, struct file *file)
{
    (void)f;
    file_set_seal(file, SEAL_NONE);
}

static void an_at_rest_seal_gives_way_first(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {.size = 1};

    attrs.present = BITMAP4(FATTR4_SIZE);
    fs_write_file(f, "data/a", "12345");
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    file_set_seal(f->c.current.file, SEAL_FROZEN | SEAL_WORD_AT_REST);
    f->release_status = NFS4ERR_DELAY; /* holders have not returned their layouts yet */
    assert_int_equal(setattr(f, &attrs), NFS4ERR_DELAY);
    assert_int_equal(stat_of(f, "data/a").st_size, 5);
    f->release_status = NFS4_OK;
    f->on_release = set_unsealed;
    assert_int_equal(setattr(f, &attrs), NFS4_OK);
    assert_int_equal(f->releases, 2);
    assert_int_equal(stat_of(f, "data/a").st_size, 1);
}

static void a_seal_does_not_give_way_to_who_may_not(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {.size = 1, .mode = 0777};

    fs_write_file(f, "data/a", "12345");
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    file_set_seal(f->c.current.file, SEAL_FROZEN | SEAL_WORD_AT_REST);
    fs_as(f, 1000, 1000);
    attrs.present = BITMAP4(FATTR4_MODE);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_PERM);
    attrs.present = BITMAP4(FATTR4_SIZE);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_ACCESS);
    assert_int_equal(f->releases, 0);
    file_set_seal(f->c.current.file, SEAL_NONE);
}

/* Where the keeper cannot, the seal gives way. */
static void the_size_of_a_growing_file_is_the_keepers(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {.size = 700, .present = BITMAP4(FATTR4_SIZE)};
    struct file_stat stat;

    fs_write_file(f, "data/a", "12345");
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    file_set_seal(f->c.current.file, SEAL_PINNED | SEAL_WORD_AT_REST);
    file_set_overlay(f->c.current.file, &(struct file_overlay){.has_size = true, .size = 3});
    assert_int_equal(file_stat(f->c.current.file, &stat), 0);
    assert_int_equal(stat.stx.stx_size, 3);
    assert_int_equal(setattr(f, &attrs), NFS4_OK);
    assert_int_equal(f->resized, 700);
    assert_int_equal(f->releases, 0);
    f->resize_status = NFS4ERR_RECALLCONFLICT;
    f->release_status = NFS4ERR_DELAY;
    assert_int_equal(setattr(f, &attrs), NFS4ERR_DELAY);
    assert_int_equal(f->releases, 1);
    file_set_seal(f->c.current.file, SEAL_NONE);
    file_set_overlay(f->c.current.file, &(struct file_overlay){0});
    assert_int_equal(file_stat(f->c.current.file, &stat), 0);
    assert_int_equal(stat.stx.stx_size, 5);
}

static void a_manual_seal_stays_and_a_pinned_ones_mtime_goes_to_the_keeper(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {
        .size = 1,
        .mode = 0600,
        .time_modify_set = {.set_it = SET_TO_CLIENT_TIME4, .time = {.seconds = 5, .nseconds = 6}}};
    const bitmap4 mtime = BITMAP4(FATTR4_TIME_MODIFY_SET);

    fs_write_file(f, "data/a", "12345");
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    file_set_seal(f->c.current.file, SEAL_PINNED);
    attrs.present = BITMAP4(FATTR4_SIZE);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_PERM);
    attrs.present = BITMAP4(FATTR4_MODE);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_PERM);
    assert_int_equal(f->releases, 0);
    attrs.present = mtime;
    assert_int_equal(setattr(f, &attrs), NFS4_OK);
    assert_true(bitmap4_equal(&f->c.res.setattr.attrsset, &mtime));
    assert_true(f->wrote_mtime_ns == UINT64_C(5000000006));
    attrs.time_modify_set.time.seconds = INT64_C(1) << 40; /* more nanoseconds than 64 bits have */
    assert_int_equal(setattr(f, &attrs), NFS4ERR_INVAL);
    assert_true(f->wrote_mtime_ns == UINT64_C(5000000006));
    attrs.time_modify_set.time.seconds = 5;
    fs_as(f, 1000, 1000);
    assert_int_equal(setattr(f, &attrs), NFS4ERR_PERM); /* a time of his choice, and not his file */
    attrs.time_modify_set.set_it = SET_TO_SERVER_TIME4;
    assert_int_equal(setattr(f, &attrs), NFS4ERR_ACCESS); /* nor his to write */
    file_set_seal(f->c.current.file, SEAL_NONE);
}

static void verify_and_nverify_compare_and_refuse_what_cannot_be_compared(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {.size = 5, .type = NF4REG};

    fs_write_file(f, "data/a", "12345");
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    attrs.present = BITMAP4(FATTR4_SIZE, FATTR4_TYPE);
    f->c.args.verify.obj_attributes = fs_fattr(f, &attrs);
    assert_int_equal(fs_run(f, op_verify), NFS4_OK);
    assert_int_equal(fs_run(f, op_nverify), NFS4ERR_SAME);
    attrs.size = 6;
    f->c.args.verify.obj_attributes = fs_fattr(f, &attrs);
    assert_int_equal(fs_run(f, op_verify), NFS4ERR_NOT_SAME);
    assert_int_equal(fs_run(f, op_nverify), NFS4_OK);
    attrs.present = BITMAP4(FATTR4_RDATTR_ERROR);
    f->c.args.verify.obj_attributes = fs_fattr(f, &attrs);
    assert_int_equal(fs_run(f, op_verify), NFS4ERR_INVAL);
    attrs.present = BITMAP4(FATTR4_TIME_MODIFY_SET);
    f->c.args.verify.obj_attributes = fs_fattr(f, &attrs);
    assert_int_equal(fs_run(f, op_nverify), NFS4ERR_INVAL);
    attrs.present = BITMAP4(FATTR4_HIDDEN);
    f->c.args.verify.obj_attributes = fs_fattr(f, &attrs);
    assert_int_equal(fs_run(f, op_verify), NFS4ERR_ATTRNOTSUPP);
}

static uint32_t access_of(struct fs_fixture *f, uint32_t asked)
{
    f->c.args.access.access = asked;
    assert_int_equal(fs_run(f, op_access), NFS4_OK);
    return f->c.res.access.resok4.access;
}

static void access_is_the_kernels_answer_for_the_caller(void **state)
{
    struct fs_fixture *f = *state;
    const uint32_t all = ACCESS4_READ | ACCESS4_LOOKUP | ACCESS4_MODIFY | ACCESS4_EXTEND |
                         ACCESS4_DELETE | ACCESS4_EXECUTE;

    fs_write_file(f, "data/a", "12345");
    assert_int_equal(chmod(fs_path(f, "data/a"), 0640), 0);
    assert_int_equal(chown(fs_path(f, "data/a"), 1000, 2000), 0);
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    usleep(100000); /* until the kernel's clock has ticked */
    fs_as(f, 1000, 1);
    assert_int_equal(access_of(f, all), ACCESS4_READ | ACCESS4_MODIFY | ACCESS4_EXTEND);
    assert_int_equal(f->c.res.access.resok4.supported,
                     ACCESS4_READ | ACCESS4_MODIFY | ACCESS4_EXTEND | ACCESS4_EXECUTE);
    fs_as(f, 1001, 2000);
    assert_int_equal(access_of(f, all), ACCESS4_READ);
    assert_int_equal(f->blocked, 0); /* the second time on the loop */
    fs_as(f, 1002, 1);
    assert_int_equal(access_of(f, all), 0);
    fs_as(f, 0, 0);
    assert_int_equal(fs_walk(f, "ro/a"), NFS4_OK);
    assert_int_equal(access_of(f, all), ACCESS4_READ); /* read-only export, also for root */
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(access_of(f, all), all & ~ACCESS4_EXECUTE);
    assert_int_equal(fs_walk(f, ""), NFS4_OK);
    assert_int_equal(access_of(f, all), ACCESS4_READ | ACCESS4_LOOKUP);
}

/* What is known of a file from memory ends with any change of it: also one of its access control
 * list alone.
 */
static void permission_from_memory_sees_chmod_and_setfacl(void **state)
{
    struct fs_fixture *f = *state;
    const struct cred user = {.flavor = RPC_AUTH_SYS, .uid = 1000, .gid = 1000};
    char command[256];
    struct file *file;

    fs_write_file(f, "data/a", "12345");
    assert_int_equal(chmod(fs_path(f, "data/a"), 0644), 0);
    usleep(100000);
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    file = f->c.current.file;
    assert_int_equal(fs_access_quick(&user, file, R_OK), -EAGAIN);
    assert_int_equal(access_of(f, ACCESS4_READ), ACCESS4_READ);
    assert_int_equal(fs_access_quick(&user, file, R_OK), 0);
    assert_int_equal(fs_access_quick(&user, file, W_OK), -EACCES);
    assert_int_equal(chmod(fs_path(f, "data/a"), 0600), 0);
    assert_int_equal(fs_access_quick(&user, file, R_OK), -EAGAIN);
    usleep(100000);
    assert_int_equal(access_of(f, ACCESS4_READ), ACCESS4_READ);
    assert_int_equal(fs_access_quick(&user, file, R_OK), -EACCES);
    snprintf(command, sizeof(command), "setfacl -m u:1000:rw %s 2>/dev/null", fs_path(f, "data/a"));
    if (system(command) != 0) {
        print_message("no setfacl (package acl), or no ACLs in /tmp\n");
        skip();
    }
    usleep(100000);
    assert_int_equal(fs_access_quick(&user, file, R_OK), -EAGAIN);
    fs_as(f, 1000, 1000);
    assert_int_equal(access_of(f, ACCESS4_READ), ACCESS4_READ);    /* the kernel's answer */
    assert_int_equal(fs_access_quick(&user, file, R_OK), -EAGAIN); /* never from memory */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fs_setup, fs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_required_attribute_is_supported_and_answered),
        TEST(supported_attrs_is_what_getattr_answers),
        TEST(exports_have_an_fsid_each_and_the_pseudo_root_its_own),
        TEST(asking_for_a_write_only_attribute_is_invalid),
        TEST(setattr_reports_exactly_what_it_set),
        TEST(setattr_stops_at_what_the_caller_may_not_and_says_how_far_it_came),
        TEST(bad_values_are_refused_before_anything_is_set),
        TEST(setting_the_size_asks_stateid_permission_and_type),
        TEST(a_truncation_by_a_user_takes_the_setuid_bit_off),
        TEST(a_read_only_export_and_the_pseudo_root_refuse_changes),
        TEST(an_at_rest_seal_gives_way_first),
        TEST(a_seal_does_not_give_way_to_who_may_not),
        TEST(the_size_of_a_growing_file_is_the_keepers),
        TEST(a_manual_seal_stays_and_a_pinned_ones_mtime_goes_to_the_keeper),
        TEST(verify_and_nverify_compare_and_refuse_what_cannot_be_compared),
        TEST(permission_from_memory_sees_chmod_and_setfacl),
        TEST(access_is_the_kernels_answer_for_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
