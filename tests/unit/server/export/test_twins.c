/*
 * File systems that bear one UUID, and exports of them. Needs root; skipped otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/config/config.h"
#include "server/export/export.h"
#include "tests/unit/loopfs.h"

static const struct kind {
    struct loopfs_spec spec;
    const char *mount, *relabel;
} kinds[] = {
    {{.type = "xfs"}, "mount -o nouuid", "xfs_admin -U generate $V"},
    {{.type = "ext4", .size = 64 << 20}, "mount", "e2fsck -fy $V; tune2fs -U random $V"},
};

struct twins {
    struct loopfs *fs;
    char copy[32], dir[32]; /* the copy's device, and where it is mounted */
    char original[64], name[2][4];
    int copy_fd;
    struct config config;
    struct config_export exports[2];
};

static void copy_disk(struct twins *t, const struct kind *kind)
{
    const char *from = loopfs_volume(t->fs);

    assert_int_equal(loopfs_run("umount %s", loopfs_dir(t->fs)), 0);
    assert_int_equal(
        loopfs_bare(kind->spec.size ? kind->spec.size : 320 << 20, 0, t->copy, &t->copy_fd), 0);
    assert_int_equal(loopfs_run("dd if=%s of=%s bs=1M conv=sparse", from, t->copy), 0);
    assert_int_equal(loopfs_run("mount %s %s", from, loopfs_dir(t->fs)), 0);
}

static void setup(struct twins *t, const struct kind *kind)
{
    const char *why = "";

    *t = (struct twins){.dir = "/tmp/twins-XXXXXX", .name = {"/a", "/b"}};
    if (loopfs_create(&kind->spec, &t->fs, &why) != 0)
        fail_msg("%s", why);
    copy_disk(t, kind);
    assert_non_null(mkdtemp(t->dir));
    (void)snprintf(t->original, sizeof(t->original), "%s", loopfs_dir(t->fs));
    t->exports[0] = (struct config_export){.id = 1, .pseudo = t->name[0], .path = t->original};
    t->exports[1] = (struct config_export){.id = 2, .pseudo = t->name[1], .path = t->dir};
    t->config.exports = t->exports;
    t->config.export_count = 2;
}

static void teardown(struct twins *t)
{
    (void)loopfs_run("umount %s", t->dir);
    rmdir(t->dir);
    close(t->copy_fd);
    loopfs_destroy(t->fs);
}

static void the_second_of_two_file_systems_with_one_uuid_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct export_table *table = NULL;
        struct twins t;

        setup(&t, &kinds[i]);
        assert_int_equal(loopfs_run("%s %s %s", kinds[i].mount, t.copy, t.dir), 0);
        assert_int_equal(export_table_create(&t.config, &table), -ENOTUNIQ);
        t.config.export_count = 1;
        assert_int_equal(export_table_create(&t.config, &table), 0);
        export_table_destroy(table);
        teardown(&t);
    }
}

static void a_copy_with_a_uuid_of_its_own_is_served_beside_the_original(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct export_table *table = NULL;
        struct twins t;

        setup(&t, &kinds[i]);
        assert_int_equal(loopfs_run("V=%s; %s", t.copy, kinds[i].relabel), 0);
        assert_int_equal(loopfs_run("mount %s %s", t.copy, t.dir), 0);
        assert_int_equal(export_table_create(&t.config, &table), 0);
        export_table_destroy(table);
        teardown(&t);
    }
}

/* What is mounted over an export while the server runs is not what it serves. */
static void a_copy_that_is_mounted_later_is_not_served(void **state)
{
    struct export_table *table = NULL;
    struct twins t;
    struct stat before;
    struct stat after;
    char why[EXPORT_WHY_MAX];

    (void)state;
    setup(&t, &kinds[1]);
    assert_int_equal(export_table_create(&t.config, &table), 0);
    assert_int_equal(fstat(export_root_fd(export_at(table, 1)), &before), 0);
    assert_int_equal(loopfs_run("mount %s %s", t.copy, t.dir), 0);
    assert_int_equal(export_table_reload(table, &t.config, why), 0);
    assert_int_equal(fstat(export_root_fd(export_at(table, 1)), &after), 0);
    assert_true(before.st_dev == after.st_dev);
    assert_int_equal(stat(t.dir, &after), 0);
    assert_true(before.st_dev != after.st_dev);
    export_table_destroy(table);
    teardown(&t);
}

static void two_exports_of_one_file_system_are_no_twins(void **state)
{
    struct export_table *table = NULL;
    char inner[64];
    struct twins t;

    (void)state;
    setup(&t, &kinds[1]);
    (void)snprintf(inner, sizeof(inner), "%s/inner", loopfs_dir(t.fs));
    assert_int_equal(mkdir(inner, 0755), 0);
    t.exports[1].path = inner;
    assert_int_equal(export_table_create(&t.config, &table), 0);
    export_table_destroy(table);
    assert_int_equal(loopfs_run("mount --bind %s %s", inner, t.dir), 0);
    t.exports[1].path = t.dir;
    assert_int_equal(export_table_create(&t.config, &table), 0);
    export_table_destroy(table);
    teardown(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_of_two_file_systems_with_one_uuid_is_refused),
        cmocka_unit_test(a_copy_with_a_uuid_of_its_own_is_served_beside_the_original),
        cmocka_unit_test(a_copy_that_is_mounted_later_is_not_served),
        cmocka_unit_test(two_exports_of_one_file_system_are_no_twins),
    };
    const char *why = "";

    if (!loopfs_possible(&why)) {
        print_message("skipped: %s\n", why);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
