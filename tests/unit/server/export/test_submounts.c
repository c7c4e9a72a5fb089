/*
 * Whether anything is mounted within a mount. Needs root, to mount.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/fs_handle.h"
#include "server/export/submounts.h"

static char dir[] = "/tmp/sealnfs-submounts-XXXXXX", within[sizeof(dir) + 8];

static int mount_id_of(const char *path)
{
    struct fs_handle handle;
    int fd = open(path, O_PATH | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fs_handle_get(fd, "", &handle), 0);
    close(fd);
    return handle.mount_id;
}

static void a_mount_within_is_seen_at_once_and_its_end_too(void **state)
{
    struct submounts *submounts;
    int id;

    (void)state;
    assert_int_equal(mkdir(within, 0755), 0);
    assert_int_equal(submounts_create(&submounts), 0);
    id = mount_id_of(dir);
    assert_true(submounts_none(submounts, id));
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(mount("none", within, "tmpfs", 0, "size=64k"), 0);
        assert_false(submounts_none(submounts, id));
        assert_int_equal(umount(within), 0);
        assert_true(submounts_none(submounts, id));
    }
    submounts_destroy(submounts);
}

/* What it is mounted on has another within. */
static void a_mount_itself_is_one_within_its_parent(void **state)
{
    struct submounts *submounts;

    (void)state;
    assert_int_equal(submounts_create(&submounts), 0);
    assert_false(submounts_none(submounts, mount_id_of("/tmp")));
    submounts_destroy(submounts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mount_within_is_seen_at_once_and_its_end_too),
        cmocka_unit_test(a_mount_itself_is_one_within_its_parent),
    };
    int failed;

    if (!mkdtemp(dir) || mount(dir, dir, NULL, MS_BIND, NULL) != 0) {
        printf("skipped: needs root, to mount\n");
        rmdir(dir);
        return 77;
    }
    snprintf(within, sizeof(within), "%s/within", dir);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    umount2(dir, MNT_DETACH);
    rmdir(within);
    rmdir(dir);
    return failed;
}
