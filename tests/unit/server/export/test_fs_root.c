/*
 * Whether what is at an export's path is what is meant; the record of what was served; exports
 * whose disks come later. The last needs root, and is skipped otherwise.
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

#include "server/base/descriptors.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/export/fs_record.h"
#include "server/export/fs_root.h"
#include "server/file/file.h"
#include "tests/unit/loopfs.h"

static const struct descriptor_plan plan = {.idle = 4096, .data = 1024};

static const uint8_t disk[16] = {1}, below[16] = {2};

static void the_option_demands_a_mount_whatever_is_known(void **state)
{
    const char *const path = "/srv/data";
    const struct fs_seen seen = {.fs_uuid = {1}, .point = "/srv/data"};

    (void)state;
    for (int known = 0; known < 2; known++) {
        const struct fs_seen *of = known ? &seen : NULL;

        assert_int_equal(fs_place_judge("true", path, of, disk, "/"), FS_PLACE_NOT_MOUNTED);
        assert_int_equal(fs_place_judge("true", path, of, disk, "/srv/dat"), FS_PLACE_NOT_MOUNTED);
        assert_int_equal(fs_place_judge("/srv", "/srv", of, disk, "/"), FS_PLACE_NOT_MOUNTED);
        assert_int_equal(fs_place_judge("/srv", "/srv", of, disk, "/srv"), FS_PLACE_RIGHT);
        assert_int_equal(fs_place_judge("true", path, of, disk, "/srv/data"), FS_PLACE_RIGHT);
        assert_int_equal(fs_place_judge("false", path, of, below, "/"), FS_PLACE_RIGHT);
        assert_int_equal(fs_place_judge("auto", path, of, disk, "/srv/data"), FS_PLACE_RIGHT);
    }
}

static void another_file_system_mounted_above_is_underneath(void **state)
{
    static const char *const words[] = {NULL, "auto"};
    const struct fs_seen seen = {.fs_uuid = {1}, .point = "/srv/data"},
                         root = {.fs_uuid = {1}, .point = "/"};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const char *const word = words[i], *const path = "/srv/data";

        assert_int_equal(fs_place_judge(word, path, &seen, below, "/"), FS_PLACE_UNDERNEATH);
        assert_int_equal(fs_place_judge(word, path, &seen, below, "/srv"), FS_PLACE_UNDERNEATH);
        /* the disk's successor; the disk itself, mounted elsewhere; the first time */
        assert_int_equal(fs_place_judge(word, path, &seen, below, "/srv/data"), FS_PLACE_RIGHT);
        assert_int_equal(fs_place_judge(word, path, &seen, disk, "/srv"), FS_PLACE_RIGHT);
        assert_int_equal(fs_place_judge(word, path, NULL, below, "/"), FS_PLACE_RIGHT);
        /* a directory that got a disk of its own */
        assert_int_equal(fs_place_judge(word, path, &root, below, "/srv/data"), FS_PLACE_RIGHT);
    }
}

static void what_was_served_is_known_after_a_restart(void **state)
{
    char dir[] = "/tmp/test-record-XXXXXX", path[64];
    struct fs_record *record;
    struct fs_seen seen;
    struct stat before, after;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/exports", dir);
    assert_int_equal(fs_record_load(dir, &record), 0);
    assert_false(fs_record_find(record, "/a b/c", &seen));
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
    assert_true(fs_record_find(record, "/a b/c", &seen));
    assert_memory_equal(seen.fs_uuid, disk, sizeof(disk));
    assert_string_equal(seen.point, "/a b");
    assert_false(fs_record_find(record, "/tab\t", &seen));
    fs_record_free(record);
    unlink(path);
    rmdir(dir);
}

/* As below a live system's overlay: the remedy is the mount, not another file system. */
static void where_a_disk_was_served_from_it_is_said_to_be_missing(void **state)
{
    char dir[] = "/tmp/test-record-XXXXXX", path[64], why[FS_WHY_MAX];
    const struct config_export config = {.path = (char[]){"/proc"}};
    struct fs_record *record;
    struct fs_root *root;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(fs_record_load(dir, &record), 0);
    assert_int_equal(fs_root_open(&config, record, &root, why), -EOPNOTSUPP);
    assert_non_null(strstr(why, "has no file handles"));
    assert_int_equal(fs_record_keep(record, "/proc", disk, "/srv/data"), 0);
    assert_int_equal(fs_root_open(&config, record, &root, why), -ENOENT);
    assert_non_null(strstr(why, "was mounted at /srv/data, and is not; mount its disk"));
    fs_record_free(record);
    (void)snprintf(path, sizeof(path), "%s/exports", dir);
    unlink(path);
    rmdir(dir);
}

/* A directory stands where the file would be written. */
static void what_could_not_be_written_is_written_the_next_time(void **state)
{
    char dir[] = "/tmp/test-record-XXXXXX", path[64], in_the_way[64];
    struct fs_record *record;
    struct fs_seen seen;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/exports", dir);
    (void)snprintf(in_the_way, sizeof(in_the_way), "%s/exports.new", dir);
    assert_int_equal(fs_record_load(dir, &record), 0);
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    assert_int_not_equal(fs_record_keep(record, "/a", disk, "/a"), 0);
    assert_int_equal(rmdir(in_the_way), 0);
    assert_int_equal(fs_record_keep(record, "/a", disk, "/a"), 0);
    fs_record_free(record);
    assert_int_equal(fs_record_load(dir, &record), 0);
    assert_true(fs_record_find(record, "/a", &seen));
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
};

static const char *impossible; /* why there is none, or NULL */
static const uint8_t fh_key[FH_KEY_SIZE];

static int setup(void **state)
{
    static const struct loopfs_spec spec = {.type = "ext4", .size = 64 << 20};
    struct scene *s = calloc(1, sizeof(*s));
    const char *why = "";

    assert_non_null(s);
    *state = s;
    if (impossible)
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
    assert_int_equal(file_table_create(s->table, fh_key, &plan, &s->files), 0);
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    if (s->fs) {
        file_table_destroy(s->files);
        export_table_destroy(s->table);
        loopfs_destroy(s->fs);
    }
    free(s);
    return 0;
}

static void needs_mounts(void)
{
    if (impossible) {
        print_message("%s\n", impossible);
        skip();
    }
}

static void a_missing_path_holds_back_its_export_and_no_other(void **state)
{
    struct scene *s = *state;
    char why[FS_WHY_MAX];

    needs_mounts();
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
    struct scene *s = *state;
    struct export_table *table;
    struct file_table *files;
    struct fs_root *found;
    struct place root, child;
    uint8_t wire[NFS4_FHSIZE];

    needs_mounts();
    strcpy(s->name[1], "/");
    assert_int_equal(export_table_create(&s->config, &table), 0);
    assert_int_equal(file_table_create(table, fh_key, &plan, &files), 0);
    assert_int_equal(file_root(files, &root), 0);
    assert_null(root.export);
    assert_int_equal(file_lookup(&root, "a", false, &child), 0);
    assert_ptr_equal(child.export, export_at(table, 0));
    file_unref(child.file);
    /* Its handle means the same when the disk has come. */
    const struct xdr_bytes handle = file_handle(&root, wire);
    s->exports[1].path = (char *)(uintptr_t)loopfs_dir(s->fs);
    assert_int_equal(export_seek(table, export_at(table, 1), &found), 0);
    assert_int_equal(export_arrive(table, export_at(table, 1), found), 0);
    assert_int_equal(file_from_handle(files, handle, false, &child), 0);
    assert_ptr_equal(child.file, root.file);
    file_unref(child.file);
    file_unref(root.file);
    file_table_destroy(files);
    export_table_destroy(table);
}

/* Nothing of it is served before its disk comes, nor is the directory underneath taken for it. */
static void a_disk_that_comes_later_is_taken_in(void **state)
{
    struct scene *s = *state;
    struct export_table *table;
    struct export *export;
    struct fs_root *found;
    char why[FS_WHY_MAX];

    needs_mounts();
    s->exports[0].mountpoint = (char *)(uintptr_t) "true";
    assert_int_not_equal(loopfs_run("umount %s", loopfs_dir(s->fs)), 0); /* it is exported */
    file_table_destroy(s->files);
    export_table_destroy(s->table);
    assert_int_equal(loopfs_run("umount %s", loopfs_dir(s->fs)), 0);
    assert_int_equal(export_table_create(&s->config, &table), 0);
    export = export_at(table, 0);
    assert_true(export_is_away(export));
    assert_int_not_equal(export_seek(table, export, &found), 0);
    assert_true(export_why_away(export, why, sizeof(why)));
    assert_non_null(strstr(why, "nothing is mounted at"));
    assert_int_equal(loopfs_run("mount %s %s", loopfs_volume(s->fs), loopfs_dir(s->fs)), 0);
    assert_int_equal(export_seek(table, export, &found), 0);
    assert_true(export_is_away(export));
    assert_int_equal(export_arrive(table, export, found), 0);
    assert_false(export_is_away(export));
    export_table_destroy(table);
    assert_int_equal(export_table_create(&s->config, &s->table), 0); /* for teardown */
    assert_int_equal(file_table_create(s->table, fh_key, &plan, &s->files), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_option_demands_a_mount_whatever_is_known),
        cmocka_unit_test(another_file_system_mounted_above_is_underneath),
        cmocka_unit_test(what_was_served_is_known_after_a_restart),
        cmocka_unit_test(where_a_disk_was_served_from_it_is_said_to_be_missing),
        cmocka_unit_test(what_could_not_be_written_is_written_the_next_time),
        cmocka_unit_test_setup_teardown(a_missing_path_holds_back_its_export_and_no_other, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_below_an_export_that_is_away_is_reached, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_comes_later_is_taken_in, setup, teardown),
    };
    const char *why;

    impossible = loopfs_possible(&why) ? NULL : why;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
