/*
 * When a file that its handle does not lead to counts as gone, on real file systems. Needs root;
 * skipped otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "layout/device/device.h"
#include "layout/seal/presence.h"
#include "tests/unit/loopfs.h"

/* XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN: without writing out what is dirty. */
#define SHUTDOWN _IOR('X', 125, uint32_t)
static uint32_t without_flush = 2;

static const struct loopfs_spec specs[] = {{.type = "xfs"}, {.type = "ext4", .size = 64 << 20}};
enum { KINDS = sizeof(specs) / sizeof(specs[0]) };

struct scene {
    struct loopfs *fs;
    int root_fd;
    struct device *device;
    union {
        struct file_handle head;
        uint8_t room[sizeof(struct file_handle) + 64];
    } handle;
};

static void make_file(struct scene *s)
{
    char path[128];
    int fd;
    int mount_id;

    (void)snprintf(path, sizeof(path), "%s/file", loopfs_dir(s->fs));
    fd = open(path, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(fsync(fd), 0);
    s->handle.head.handle_bytes = 64;
    assert_int_equal(name_to_handle_at(fd, "", &s->handle.head, &mount_id, AT_EMPTY_PATH), 0);
    close(fd);
}

static void open_root(struct scene *s)
{
    struct seal_refusal why = {.text = ""};

    s->root_fd = open(loopfs_dir(s->fs), O_RDONLY | O_DIRECTORY);
    assert_true(s->root_fd >= 0);
    if (device_find(s->root_fd, &s->device, &why) != 0)
        fail_msg("%s", why.text);
}

static struct scene setup(const struct loopfs_spec *spec)
{
    struct scene s = {.root_fd = -1};
    const char *why = "";

    if (loopfs_create(spec, &s.fs, &why) != 0)
        fail_msg("%s: %s", spec->type, why);
    make_file(&s);
    assert_int_equal(loopfs_cycle(s.fs), 0); /* nothing of it is in memory */
    open_root(&s);
    return s;
}

static void teardown(struct scene *s)
{
    device_free(s->device);
    close(s->root_fd);
    loopfs_destroy(s->fs);
}

static int open_error(struct scene *s)
{
    int fd = open_by_handle_at(s->root_fd, &s->handle.head, O_PATH);

    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static void a_removed_file_is_gone(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        struct scene s = setup(&specs[i]);
        int answers = 1;

        assert_int_equal(open_error(&s), 0);
        assert_int_equal(presence_judge(0, s.root_fd, s.device, &answers), FILE_PRESENT);
        assert_int_equal(unlinkat(s.root_fd, "file", 0), 0);
        assert_int_equal(open_error(&s), -ESTALE);
        assert_int_equal(presence_judge(-ESTALE, s.root_fd, s.device, &answers), FILE_GONE);
        assert_int_equal(answers, 0);
        teardown(&s);
    }
}

static void a_file_on_a_shut_down_file_system_is_unreadable_and_back_after_a_mount(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        struct scene s = setup(&specs[i]);
        int answers = 0;
        int err;

        assert_int_equal(ioctl(s.root_fd, SHUTDOWN, &without_flush), 0);
        err = open_error(&s);
        print_message("%s, shut down: open_by_handle_at says %s\n", specs[i].type, strerror(-err));
        assert_int_equal(presence_judge(-ESTALE, s.root_fd, s.device, &answers), FILE_UNREADABLE);
        assert_int_equal(answers, -EIO);
        close(s.root_fd);
        device_free(s.device);
        assert_int_equal(loopfs_cycle(s.fs), 0);
        open_root(&s);
        assert_int_equal(open_error(&s), 0);
        teardown(&s);
    }
}

static void other_errors_say_nothing_of_the_file(void **state)
{
    struct scene s = setup(&specs[1]);

    (void)state;
    assert_int_equal(presence_judge(-EIO, s.root_fd, s.device, NULL), FILE_UNREADABLE);
    assert_int_equal(presence_judge(-ENOMEM, s.root_fd, NULL, NULL), FILE_UNREADABLE);
    assert_int_equal(presence_judge(-ENOENT, s.root_fd, s.device, NULL), FILE_UNREADABLE);
    teardown(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_removed_file_is_gone),
        cmocka_unit_test(a_file_on_a_shut_down_file_system_is_unreadable_and_back_after_a_mount),
        cmocka_unit_test(other_errors_say_nothing_of_the_file),
    };
    const char *why = "";

    if (!loopfs_possible(&why)) {
        print_message("skipped: %s\n", why);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
