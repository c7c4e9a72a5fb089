/*
 * CREATE, LINK, REMOVE, RENAME.
 */
#include "tests/unit/server/fs_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool exists(struct fs_fixture *f, const char *relative, struct stat *st)
{
    return lstat(fs_path(f, relative), st) == 0;
}

static const char *link_target = "the target";

static nfsstat4 create(struct fs_fixture *f, nfs_ftype4 type, const char *name,
                       const struct nfs4_attrs *attrs)
{
    CREATE4args *args = &f->c.args.create;
    const struct nfs4_attrs none = {.size = 0};
    fattr4 fattr = fs_fattr(f, attrs ? attrs : &none);

    memset(args, 0, sizeof(*args));
    args->objtype.type = type;
    if (type == NF4LNK)
        args->objtype.linkdata = xdr_bytes_of(link_target);
    else if (type == NF4CHR || type == NF4BLK)
        args->objtype.devdata = (specdata4){.specdata1 = 1, .specdata2 = 3};
    args->objname = xdr_bytes_of(name);
    args->createattrs = fattr;
    return fs_run(f, op_create);
}

static nfsstat4 remove_entry(struct fs_fixture *f, const char *name)
{
    f->c.args.remove.target = xdr_bytes_of(name);
    return fs_run(f, op_remove);
}

static nfsstat4 rename_entry(struct fs_fixture *f, const char *from, const char *name,
                             const char *to, const char *new_name)
{
    assert_int_equal(fs_walk(f, from), NFS4_OK);
    fs_save(f);
    assert_int_equal(fs_walk(f, to), NFS4_OK);
    f->c.args.rename.oldname = xdr_bytes_of(name);
    f->c.args.rename.newname = xdr_bytes_of(new_name);
    return fs_run(f, op_rename);
}

static nfsstat4 link_entry(struct fs_fixture *f, const char *file, const char *to, const char *name)
{
    assert_int_equal(fs_walk(f, file), NFS4_OK);
    fs_save(f);
    assert_int_equal(fs_walk(f, to), NFS4_OK);
    f->c.args.link.newname = xdr_bytes_of(name);
    return fs_run(f, op_link);
}

static void every_type_is_created_as_the_caller_with_its_attributes(void **state)
{
    static const struct {
        nfs_ftype4 type;
        mode_t mode;
    } types[] = {{NF4DIR, S_IFDIR},
                 {NF4SOCK, S_IFSOCK},
                 {NF4FIFO, S_IFIFO},
                 {NF4CHR, S_IFCHR},
                 {NF4BLK, S_IFBLK}};
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {.mode = 0731, .owner = xdr_bytes_of("1000")};
    struct stat st;

    attrs.present = BITMAP4(FATTR4_MODE, FATTR4_OWNER);
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char name[] = "n0", path[] = "data/n0";

        name[1] = path[6] = (char)('0' + i);
        assert_int_equal(fs_walk(f, "data"), NFS4_OK);
        assert_int_equal(create(f, types[i].type, name, &attrs), NFS4_OK);
        assert_true(bitmap4_equal(&f->c.res.create.resok4.attrset, &attrs.present));
        assert_false(f->c.res.create.resok4.cinfo.atomic);
        assert_true(f->c.res.create.resok4.cinfo.after != f->c.res.create.resok4.cinfo.before);
        assert_int_equal(file_type(f->c.current.file),
                         types[i].mode); /* the new current file handle */
        assert_true(exists(f, path, &st));
        assert_int_equal(st.st_mode, types[i].mode | 0731);
        assert_int_equal(st.st_uid, 1000);
        if (types[i].type == NF4CHR)
            assert_int_equal(st.st_rdev, makedev(1, 3));
    }
}

static void symlinks_are_created_and_bad_requests_refused(void **state)
{
    struct fs_fixture *f = *state;
    char target[32] = {0};

    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(create(f, NF4LNK, "l", NULL), NFS4_OK);
    assert_int_equal(readlink(fs_path(f, "data/l"), target, sizeof(target)), 10);
    assert_string_equal(target, "the target");
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(create(f, NF4LNK, "l", NULL), NFS4ERR_EXIST);
    assert_int_equal(create(f, NF4REG, "r", NULL), NFS4ERR_BADTYPE);
    assert_int_equal(create(f, NF4DIR, "..", NULL), NFS4ERR_BADNAME);
    assert_int_equal(create(f, NF4DIR, "inner", NULL), NFS4ERR_EXIST); /* an export is there */
    assert_int_equal(fs_walk(f, "ro"), NFS4_OK);
    assert_int_equal(create(f, NF4DIR, "d", NULL), NFS4ERR_ROFS);
    assert_int_equal(fs_walk(f, ""), NFS4_OK);
    assert_int_equal(create(f, NF4DIR, "d", NULL), NFS4ERR_ROFS);
}

/* Where only UTF-8 is allowed (fs_charset_cap), a link's content is too (18.4.3). */
static void a_link_says_what_a_name_may(void **state)
{
    struct fs_fixture *f = *state;

    for (unsigned utf8 = 0; utf8 < 2; utf8++) {
        f->config.utf8_names = utf8;
        link_target = "stra\xdf"
                      "e";
        assert_int_equal(fs_walk(f, "data"), NFS4_OK);
        assert_int_equal(create(f, NF4LNK, utf8 ? "strict" : "bytes", NULL),
                         utf8 ? NFS4ERR_INVAL : NFS4_OK);
        link_target = "stra\xc3\x9f"
                      "e";
        assert_int_equal(fs_walk(f, "data"), NFS4_OK);
        assert_int_equal(create(f, NF4LNK, utf8 ? "strict" : "bytes too", NULL), NFS4_OK);
    }
    link_target = "the target";
}

static void a_create_whose_attributes_cannot_be_set_leaves_nothing(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs = {.owner = xdr_bytes_of("0")};
    struct stat st;

    attrs.present = BITMAP4(FATTR4_OWNER);
    assert_int_equal(chmod(fs_path(f, "data"), 0777), 0);
    fs_as(f, 1000, 1000);
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(create(f, NF4DIR, "d", &attrs), NFS4ERR_PERM);
    assert_false(exists(f, "data/d", &st));
    assert_int_equal(create(f, NF4CHR, "c", NULL), NFS4ERR_PERM); /* devices are root's */
}

static void remove_takes_files_and_empty_directories(void **state)
{
    struct fs_fixture *f = *state;
    struct stat st;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(mkdir(fs_path(f, "data/d"), 0755), 0);
    fs_write_file(f, "data/d/b", "x");
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(remove_entry(f, "a"), NFS4_OK);
    assert_true(f->c.res.remove.resok4.cinfo.after != f->c.res.remove.resok4.cinfo.before);
    assert_false(exists(f, "data/a", &st));
    assert_int_equal(remove_entry(f, "a"), NFS4ERR_NOENT);
    assert_int_equal(remove_entry(f, "d"), NFS4ERR_NOTEMPTY);
    assert_int_equal(unlink(fs_path(f, "data/d/b")), 0);
    assert_int_equal(remove_entry(f, "d"), NFS4_OK);
    assert_int_equal(remove_entry(f, "inner"), NFS4ERR_ACCESS); /* an export's root */
    fs_write_file(f, "data/a", "x");
    fs_as(f, 1000, 1000);
    assert_int_equal(remove_entry(f, "a"), NFS4ERR_ACCESS);
}

/* A removed file that nobody uses is not kept open by the server: its blocks would stay in use. */
static void a_removed_file_gives_its_space_back(void **state)
{
    struct fs_fixture *f = *state;
    struct file_key key;
    struct file *file;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    key = *file_key(f->c.current.file);
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    file = file_find(f->server.files, &key);
    assert_non_null(file); /* in memory, though idle */
    file_unref(file);
    assert_int_equal(remove_entry(f, "a"), NFS4_OK);
    assert_null(file_find(f->server.files, &key));
}

static void rename_moves_and_replaces_and_an_open_file_goes_on(void **state)
{
    struct fs_fixture *f = *state;
    struct file *open_file;
    struct stat st;
    char byte;
    int fd;

    fs_write_file(f, "data/old", "old");
    fs_write_file(f, "data/new", "new");
    assert_int_equal(fs_walk(f, "data/old"), NFS4_OK);
    open_file = file_ref(f->c.current.file);
    assert_int_equal(file_data_open(open_file, FILE_READ, &fd), 0);
    assert_int_equal(rename_entry(f, "data", "new", "data", "old"), NFS4_OK);
    assert_false(exists(f, "data/new", &st));
    assert_int_equal(pread(fd, &byte, 1, 0), 1);
    assert_int_equal(byte, 'o'); /* the replaced file, still there for who has it open */
    file_data_close(open_file, FILE_READ);
    file_unref(open_file);
    assert_int_equal(link(fs_path(f, "data/old"), fs_path(f, "data/same")), 0);
}

/* RFC 8881 section 18.26.3: the same file by both names, and RENAME performs no action. */
static void rename_of_a_file_to_itself_changes_nothing(void **state)
{
    const bitmap4 want = BITMAP4(FATTR4_CHANGE);
    struct fs_fixture *f = *state;
    const RENAME4resok *ok = &f->c.res.rename.resok4;
    uint64_t of_file, of_dir;
    struct stat st;

    fs_write_file(f, "data/old", "x");
    assert_int_equal(link(fs_path(f, "data/old"), fs_path(f, "data/same")), 0);
    assert_int_equal(fs_walk(f, "data/old"), NFS4_OK);
    of_file = fs_getattr(f, want).change;
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    of_dir = fs_getattr(f, want).change;
    assert_int_equal(rename_entry(f, "data", "old", "data", "same"), NFS4_OK);
    assert_true(ok->source_cinfo.before == of_dir && ok->source_cinfo.after == of_dir);
    assert_true(ok->target_cinfo.before == of_dir && ok->target_cinfo.after == of_dir);
    assert_int_equal(rename_entry(f, "data", "old", "data", "old"), NFS4_OK);
    assert_true(exists(f, "data/old", &st) && exists(f, "data/same", &st));
    assert_true(fs_getattr(f, want).change == of_dir);
    assert_int_equal(fs_walk(f, "data/old"), NFS4_OK);
    assert_true(fs_getattr(f, want).change == of_file);
}

static void rename_and_link_stay_in_one_export_and_ask_both(void **state)
{
    struct fs_fixture *f = *state;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(mkdir(fs_path(f, "data/d"), 0755), 0);
    assert_int_equal(mkdir(fs_path(f, "data/e"), 0755), 0);
    fs_write_file(f, "data/e/x", "x");
    assert_int_equal(rename_entry(f, "data", "a", "data/inner", "a"), NFS4ERR_XDEV);
    assert_int_equal(rename_entry(f, "ro", "a", "data", "b"), NFS4ERR_ROFS);
    assert_int_equal(rename_entry(f, "data", "a", "ro", "b"), NFS4ERR_ROFS);
    assert_int_equal(link_entry(f, "data/a", "data/inner", "b"), NFS4ERR_XDEV);
    assert_int_equal(link_entry(f, "ro/a", "data", "b"), NFS4ERR_XDEV);
    assert_int_equal(link_entry(f, "data/a", "ro", "b"), NFS4ERR_ROFS);
    assert_int_equal(rename_entry(f, "data", "a", "data", "d"),
                     NFS4ERR_EXIST); /* a file over a directory */
    assert_int_equal(rename_entry(f, "data", "d", "data", "a"), NFS4ERR_EXIST);
    assert_int_equal(rename_entry(f, "data", "d", "data", "e"), NFS4ERR_EXIST);   /* not empty */
    assert_int_equal(rename_entry(f, "data", "d", "data/d", "x"), NFS4ERR_INVAL); /* into itself */
    assert_int_equal(rename_entry(f, "data", "a", "data", "inner"), NFS4ERR_ACCESS);
    assert_int_equal(rename_entry(f, "data", "nothing", "data", "b"), NFS4ERR_NOENT);
}

static void link_adds_a_name_to_files_and_not_to_directories(void **state)
{
    struct fs_fixture *f = *state;
    struct stat st;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(symlink("a", fs_path(f, "data/l")), 0);
    assert_int_equal(mkdir(fs_path(f, "data/d"), 0755), 0);
    assert_int_equal(link_entry(f, "data/a", "data", "b"), NFS4_OK);
    assert_true(exists(f, "data/b", &st));
    assert_int_equal(st.st_nlink, 2);
    assert_int_equal(link_entry(f, "data/a", "data", "b"), NFS4ERR_EXIST);
    assert_int_equal(link_entry(f, "data/d", "data", "e"), NFS4ERR_ISDIR);
    assert_int_equal(link_entry(f, "data/l", "data", "m"),
                     NFS4_OK); /* the link itself, not what it points to */
    assert_true(exists(f, "data/m", &st));
    assert_true(S_ISLNK(st.st_mode));
}

static void set_flag(const char *path, bool on)
{
    char command[256];

    snprintf(command, sizeof(command), "chattr %ci %s", on ? '+' : '-', path);
    assert_int_equal(system(command), 0);
}

static void clear_flag(struct fs_fixture *f, struct file *file)
{
    set_flag(fs_path(f, "data/a"), false);
    file_set_seal(file, SEAL_NONE);
}

static void seal(struct fs_fixture *f, unsigned word)
{
    fs_write_file(f, "data/a", "x");
    set_flag(fs_path(f, "data/a"), true);
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    file_set_seal(f->c.current.file, word);
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
}

static void an_at_rest_seal_gives_way_to_remove_rename_and_link(void **state)
{
    struct fs_fixture *f = *state;

    f->on_release = clear_flag;
    seal(f, SEAL_FROZEN | SEAL_WORD_AT_REST);
    assert_int_equal(remove_entry(f, "a"), NFS4_OK);
    seal(f, SEAL_FROZEN | SEAL_WORD_AT_REST);
    assert_int_equal(rename_entry(f, "data", "a", "data", "b"), NFS4_OK);
    seal(f, SEAL_FROZEN | SEAL_WORD_AT_REST);
    assert_int_equal(rename_entry(f, "data", "b", "data", "a"), NFS4_OK); /* the one replaced */
    assert_int_equal(f->releases, 3);
    seal(f, SEAL_FROZEN | SEAL_WORD_AT_REST);
    assert_int_equal(link_entry(f, "data/a", "data", "c"), NFS4_OK);
    assert_int_equal(f->releases, 4);
}

/* Who may not remove the file anyway does not make its seal give way. */
static void a_seal_does_not_give_way_to_who_may_not(void **state)
{
    struct fs_fixture *f = *state;

    seal(f, SEAL_FROZEN | SEAL_WORD_AT_REST);
    assert_int_equal(chmod(fs_path(f, "data"), 01777), 0);
    fs_as(f, 1000, 1000);
    assert_int_equal(remove_entry(f, "a"), NFS4ERR_ACCESS);
    assert_int_equal(rename_entry(f, "data", "a", "data", "b"), NFS4ERR_ACCESS);
    assert_int_equal(link_entry(f, "data/a", "data", "b"), NFS4ERR_ACCESS);
    assert_int_equal(f->releases, 0);
    set_flag(fs_path(f, "data/a"), false);
}

static void a_manual_seal_keeps_its_names(void **state)
{
    struct fs_fixture *f = *state;
    struct stat st;

    seal(f, SEAL_FROZEN);
    assert_int_equal(remove_entry(f, "a"), NFS4ERR_ACCESS);
    assert_int_equal(rename_entry(f, "data", "a", "data", "b"), NFS4ERR_ACCESS);
    assert_int_equal(link_entry(f, "data/a", "data", "b"), NFS4ERR_ACCESS);
    assert_int_equal(f->releases, 0);
    assert_true(exists(f, "data/a", &st));
    set_flag(fs_path(f, "data/a"), false);
}

static void a_release_that_is_not_over_is_answered_with_delay(void **state)
{
    struct fs_fixture *f = *state;
    struct stat st;

    seal(f, SEAL_FROZEN | SEAL_WORD_AT_REST);
    f->release_status = NFS4ERR_DELAY;
    assert_int_equal(remove_entry(f, "a"), NFS4ERR_DELAY);
    assert_true(exists(f, "data/a", &st));
    set_flag(fs_path(f, "data/a"), false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fs_setup, fs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_type_is_created_as_the_caller_with_its_attributes),
        TEST(symlinks_are_created_and_bad_requests_refused),
        TEST(a_link_says_what_a_name_may),
        TEST(a_create_whose_attributes_cannot_be_set_leaves_nothing),
        TEST(remove_takes_files_and_empty_directories),
        TEST(a_removed_file_gives_its_space_back),
        TEST(rename_moves_and_replaces_and_an_open_file_goes_on),
        TEST(rename_of_a_file_to_itself_changes_nothing),
        TEST(rename_and_link_stay_in_one_export_and_ask_both),
        TEST(link_adds_a_name_to_files_and_not_to_directories),
        TEST(an_at_rest_seal_gives_way_to_remove_rename_and_link),
        TEST(a_seal_does_not_give_way_to_who_may_not),
        TEST(a_manual_seal_keeps_its_names),
        TEST(a_release_that_is_not_over_is_answered_with_delay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
