/*
 * Whether what is at an export's path is what is meant; the record of what was served; exports
 * whose disks go and come. The last needs root, and is skipped otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/config/config.h"
#include "server/export/export.h"
#include "server/export/fs_record.h"
#include "server/export/fs_root.h"
#include "server/file/file.h"
#include "tests/unit/loopfs.h"

static const uint8_t disk[16] = {1}, below[16] = {2};

static void the_option_demands_a_mount_whatever_is_known(void **state)
{
    char point[] = "/srv/data";
    const struct fs_seen seen = {.fs_uuid = {1}, .point = point};

    (void)state;
    for (int known = 0; known < 2; known++) {
        const struct fs_seen *of = known ? &seen : NULL;

        assert_int_equal(fs_place_judge("true", false, of, disk, "/"), FS_PLACE_NOT_MOUNTED);
        assert_int_equal(fs_place_judge("/srv", false, of, disk, "/"), FS_PLACE_NOT_MOUNTED);
        assert_int_equal(fs_place_judge("true", true, of, disk, "/srv/data"), FS_PLACE_RIGHT);
        assert_int_equal(fs_place_judge("false", false, of, below, "/"), FS_PLACE_RIGHT);
        assert_int_equal(fs_place_judge("auto", false, of, disk, "/srv/data"), FS_PLACE_RIGHT);
    }
}

static void another_file_system_mounted_elsewhere_is_underneath(void **state)
{
    static const char *const words[] = {NULL, "auto", "true"};
    char point[] = "/srv/data";
    const struct fs_seen seen = {.fs_uuid = {1}, .point = point};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(fs_place_judge(words[i], true, &seen, below, "/"), FS_PLACE_UNDERNEATH);
        /* the disk's successor; the disk itself, mounted elsewhere; the first time */
        assert_int_equal(fs_place_judge(words[i], true, &seen, below, "/srv/data"), FS_PLACE_RIGHT);
        assert_int_equal(fs_place_judge(words[i], true, &seen, disk, "/srv"), FS_PLACE_RIGHT);
        assert_int_equal(fs_place_judge(words[i], true, NULL, below, "/"), FS_PLACE_RIGHT);
    }
}

static void what_was_served_is_known_after_a_restart(void **state)
{
    char dir[] = "/tmp/test-record-XXXXXX", path[64];
    struct fs_record *record;
    struct stat before, after;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/exports", dir);
    assert_int_equal(fs_record_load(dir, &record), 0);
    assert_null(fs_record_find(record, "/a b/c"));
    assert_int_equal(fs_record_keep(record, "/a b/c", below, "/"), 0);
    assert_int_equal(fs_record_keep(record, "/a b/c", disk, "/a b"), 0);
    assert_int_equal(fs_record_keep(record, "/tab\t", disk, "/"), 0);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(fs_record_keep(record, "/a b/c", disk, "/a b"), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino); /* nothing new: not written */
    fs_record_free(record);

    FILE *stream = fopen(path, "a");
    assert_non_null(stream);
    fputs("nonsense\n00\t\n", stream);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(fs_record_load(dir, &record), 0);
    const struct fs_seen *seen = fs_record_find(record, "/a b/c");
    assert_non_null(seen);
    assert_memory_equal(seen->fs_uuid, disk, sizeof(disk));
    assert_string_equal(seen->point, "/a b");
    assert_null(fs_record_find(record, "/tab\t"));
    fs_record_free(record);
    unlink(path);
    rmdir(dir);
}

/* ---- with a file system ---- */

struct scene {
    struct loopfs *fs;
    char name[2][8], missing[16];
    struct config config;
    struct config_export exports[2];
    struct export_table *table;
    struct file_table *files;
    int inert;
};

static bool possible;

static int setup(void **state)
{
    static const struct loopfs_spec spec = {.type = "ext4", .size = 64 << 20};
    static const uint8_t fh_key[FH_KEY_SIZE];
    struct scene *s = calloc(1, sizeof(*s));
    const char *why = "";

    assert_non_null(s);
    *state = s;
    if (!possible)
        return 0;
    if (loopfs_create(&spec, &s->fs, &why) != 0)
        fail_msg("%s", why);
    strcpy(s->name[0], "/a");
    strcpy(s->name[1], "/b");
    strcpy(s->missing, "/no/such");
    s->exports[0] = (struct config_export){
        .id = 1, .pseudo = s->name[0], .path = (char *)(uintptr_t)loopfs_dir(s->fs)};
    s->exports[1] = (struct config_export){.id = 2, .pseudo = s->name[1], .path = s->missing};
    s->config = (struct config){.exports = s->exports, .export_count = 2};
    assert_int_equal(export_table_create(&s->config, &s->table), 0);
    assert_int_equal(file_table_create(s->table, fh_key, &s->files), 0);
    s->inert = open("/proc/self/fdinfo", O_PATH);
    assert_true(s->inert >= 0);
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    if (s->fs) {
        file_table_destroy(s->files);
        export_table_destroy(s->table);
        close(s->inert);
        loopfs_destroy(s->fs);
    }
    free(s);
    return 0;
}

static void a_missing_path_holds_back_its_export_and_no_other(void **state)
{
    struct scene *s = *state;
    char why[FS_WHY_MAX];

    if (!possible)
        skip();
    assert_false(export_is_away(export_at(s->table, 0)));
    assert_true(export_is_away(export_at(s->table, 1)));
    assert_int_equal(export_away_count(s->table), 1);
    assert_int_equal(export_root_fd(export_at(s->table, 1)), -1);
    assert_true(export_why_away(export_at(s->table, 1), why, sizeof(why)));
    assert_non_null(strstr(why, "/no/such is not there; mount its disk"));
    assert_ptr_equal(export_away_of_path(s->table, "/no/such/file"), export_at(s->table, 1));
    assert_null(export_away_of_path(s->table, "/no/suchfile"));
}

/* Its name is a directory of names as long as it is away. */
static void what_is_below_an_export_that_is_away_is_reached(void **state)
{
    static const uint8_t fh_key[FH_KEY_SIZE];
    struct scene *s = *state;
    struct export_table *table;
    struct file_table *files;
    struct place root, child;
    uint8_t wire[NFS4_FHSIZE];

    if (!possible)
        skip();
    strcpy(s->name[1], "/");
    assert_int_equal(export_table_create(&s->config, &table), 0);
    assert_int_equal(file_table_create(table, fh_key, &files), 0);
    assert_int_equal(file_root(files, &root), 0);
    assert_null(root.export);
    assert_int_equal(file_lookup(&root, "a", false, &child), 0);
    assert_ptr_equal(child.export, export_at(table, 0));
    file_unref(child.file);
    /* Its handle means the same when the disk has come. */
    const struct xdr_bytes handle = file_handle(&root, wire);
    export_arrive(table, export_at(table, 1));
    assert_int_equal(file_from_handle(files, handle, false, &child), 0);
    assert_ptr_equal(child.file, root.file);
    file_unref(child.file);
    file_unref(root.file);
    export_arrive(table, export_at(table, 1)); /* away */
    export_leave(table, export_at(table, 0), "a test");
    assert_int_equal(file_root(files, &root), 0);
    assert_int_equal(file_lookup(&root, "a", true, &child), -EAGAIN);
    file_unref(root.file);
    file_table_destroy(files);
    export_table_destroy(table);
}

/* A file that is open: by the same descriptors it is read before and after, and in between by
 * nobody; and nothing of it keeps the file system from being unmounted. */
static void open_files_outlive_an_unmount_by_their_numbers(void **state)
{
    struct scene *s = *state;
    struct export *export;
    struct fs_root *found;
    struct file *file, *gone;
    char path[128], byte = 0;
    int fd;

    if (!possible)
        skip();
    export = export_at(s->table, 0);
    assert_int_equal(loopfs_run("cd %s && echo x > file && echo y > gone", loopfs_dir(s->fs)), 0);
    (void)snprintf(path, sizeof(path), "%s/file", loopfs_dir(s->fs));
    assert_int_equal(file_from_path(s->files, path, &file), 0);
    (void)snprintf(path, sizeof(path), "%s/gone", loopfs_dir(s->fs));
    assert_int_equal(file_from_path(s->files, path, &gone), 0);
    assert_int_equal(file_data_open(file, FILE_READ, &fd), 0);
    const unsigned turn = export_turn(export);

    export_leave(s->table, export, "a test");
    file_table_exchange(s->files, export_fs_uuid(export), -1, s->inert);
    export_let_go(s->table, s->inert);
    assert_int_equal(export_turn(export), turn + 1);
    assert_int_equal(pread(fd, &byte, 1, 0), -1);
    assert_int_not_equal(export_ask(export), 0);
    assert_int_equal(loopfs_run("umount %s", loopfs_dir(s->fs)), 0); /* not lazily */
    assert_int_not_equal(export_seek(s->table, export, &found), 0);  /* the directory underneath */

    assert_int_equal(loopfs_run("mount %s %s && rm %s/gone", loopfs_volume(s->fs),
                                loopfs_dir(s->fs), loopfs_dir(s->fs)),
                     0);
    assert_int_equal(export_seek(s->table, export, &found), 0);
    export_place(export, found);
    file_table_exchange(s->files, export_fs_uuid(export), export_root_fd(export), s->inert);
    export_arrive(s->table, export);
    assert_int_equal(export_turn(export), turn + 2);
    assert_int_equal(export_ask(export), 0);
    assert_int_equal(pread(fd, &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    assert_null(file_find(s->files, file_key(gone)));
    file_data_close(file, FILE_READ);
    file_unref(gone);
    file_unref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_option_demands_a_mount_whatever_is_known),
        cmocka_unit_test(another_file_system_mounted_elsewhere_is_underneath),
        cmocka_unit_test(what_was_served_is_known_after_a_restart),
        cmocka_unit_test_setup_teardown(a_missing_path_holds_back_its_export_and_no_other, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_below_an_export_that_is_away_is_reached, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(open_files_outlive_an_unmount_by_their_numbers, setup,
                                        teardown),
    };
    const char *why = "";

    possible = loopfs_possible(&why);
    if (!possible)
        print_message("in part skipped: %s\n", why);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
