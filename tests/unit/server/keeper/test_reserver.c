/*
 * What a reserver's job says of its victims: each is preempted, or missed. The disks are the
 * test's: they open or do not, and answer as they are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "server/keeper/san/reserver.h"

enum { FIRST = 101, SECOND = 102, DISKS = 2, KEYS = 2 };

/* How the removal of the key goes. */
struct way {
    int error;
    struct reservation_removal done;
};

static struct loop *loop;
static struct device *device;
static struct reserver *reserver;
static struct reserver_job job;
static bool is_home;
static int open_errors[DISKS], check_error;
static struct way ways[KEYS]; /* by number from FIRST on */

int __wrap_device_open_disk(const struct device *d, uint32_t base, bool write, int *fd);
int __wrap_device_open_disk(const struct device *d, uint32_t base, bool write, int *fd)
{
    (void)d;
    (void)write;
    *fd = open_errors[base] ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);
    return open_errors[base];
}

int __wrap_reservation_of(int fd, const struct reservation_ops **ops);
int __wrap_reservation_of(int fd, const struct reservation_ops **ops)
{
    (void)fd;
    *ops = &reservation_scsi;
    return 0;
}

int __wrap_reservation_check(const struct reservation_ops *ops, int fd, uint64_t own,
                             struct reservation_view *view, struct reservation_loss *loss);
int __wrap_reservation_check(const struct reservation_ops *ops, int fd, uint64_t own,
                             struct reservation_view *view, struct reservation_loss *loss)
{
    (void)ops;
    (void)fd;
    (void)own;
    view->count = 0;
    *loss = (struct reservation_loss){.lost = false};
    return check_error;
}

int __wrap_reservation_remove(const struct reservation_ops *ops, int fd, uint64_t own,
                              uint64_t victim, struct reservation_view *view,
                              struct reservation_removal *done);
int __wrap_reservation_remove(const struct reservation_ops *ops, int fd, uint64_t own,
                              uint64_t victim, struct reservation_view *view,
                              struct reservation_removal *done)
{
    (void)ops;
    (void)fd;
    (void)own;
    (void)view;
    *done = ways[victim - FIRST].done;
    return ways[victim - FIRST].error;
}

static struct designator name_of(char number)
{
    return (struct designator){.code_set = 1, .type = 3, .len = 8, .bytes = {'d', (uint8_t)number}};
}

static void make_device(void)
{
    const uint8_t uuid[DEVICE_UUID_SIZE] = {1};
    struct device_volume volume = {0};
    uint32_t at[DISKS], root;
    for (uint32_t i = 0; i < DISKS; i++) {
        const struct device_base disk = {
            .size = 1 << 30,
            .signature = {.count = 1, .component[0] = {.offset = 512, .len = 1, .bytes = {'s'}}},
            .designator = name_of((char)i),
        };
        assert_int_equal(device_volume_add_base(&volume, &disk, &at[i]), 0);
    }
    assert_int_equal(device_volume_add_concat(&volume, at, DISKS, &root), 0);
    assert_int_equal(device_from_description(uuid, &volume, &device), 0);
}

static void come_home(struct loop_msg *msg)
{
    (void)msg;
    is_home = true;
}

static int setup(void **state)
{
    (void)state;
    memset(open_errors, 0, sizeof open_errors);
    check_error = 0;
    for (int i = 0; i < KEYS; i++)
        ways[i] = (struct way){.done = {.sent = true, .preempted = true}};
    memset(&job, 0, sizeof job);
    make_device();
    return loop_create("test", 0, &loop) || reserver_create(device, 1, 2, &reserver) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    reserver_job_clear(&job);
    assert_true(reserver_destroy(reserver));
    device_free(device);
    loop_destroy(loop);
    return 0;
}

/* Both keys are to go from the first disk. */
static void run_job(void)
{
    is_home = false;
    job.loop = loop;
    job.home.run = come_home;
    job.victim_count = KEYS;
    for (uint64_t i = 0; i < KEYS; i++)
        job.victim[i] = (struct reserver_victim){.disk = name_of(0), .key = FIRST + i};
    reserver_submit(reserver, &job);
    while (!is_home)
        (void)event_base_loop(loop_base(loop), EVLOOP_ONCE);
    assert_int_equal(job.disk_count, DISKS);
    assert_false(job.disk[1].missed); /* nobody was to go from there */
}

static void who_was_preempted_was_not_missed(void **state)
{
    (void)state;
    run_job();
    assert_int_equal(job.disk[0].error, 0);
    assert_false(job.disk[0].missed);
}

static void who_was_gone_before_was_missed(void **state)
{
    (void)state;
    ways[1] = (struct way){.error = 0};
    run_job();
    assert_true(job.disk[0].missed);
}

static void who_was_not_reached_was_missed(void **state)
{
    (void)state;
    open_errors[0] = -ENXIO;
    run_job();
    assert_int_equal(job.disk[0].error, -ENXIO);
    assert_true(job.disk[0].missed);
    reserver_job_clear(&job);
    open_errors[0] = 0;
    check_error = -EBUSY;
    run_job();
    assert_true(job.disk[0].missed);
    reserver_job_clear(&job);
    check_error = 0;
    ways[0] = (struct way){.error = -EIO, .done = {.sent = true}};
    run_job(); /* the second is not tried any more */
    assert_int_equal(job.disk[0].error, -EIO);
    assert_true(job.disk[0].missed);
}

static void who_may_have_been_preempted_was_not_missed(void **state)
{
    (void)state;
    ways[1] = (struct way){.error = -ETIMEDOUT, .done = {.sent = true}};
    run_job();
    assert_int_equal(job.disk[0].error, -ETIMEDOUT);
    assert_false(job.disk[0].missed);
}

static void a_loss_that_is_met_on_the_way_is_told(void **state)
{
    (void)state;
    ways[1].done.loss = (struct reservation_loss){.lost = true, .generation = 3};
    run_job();
    assert_true(job.disk[0].loss.lost);
    assert_int_equal(job.disk[0].loss.generation, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_was_preempted_was_not_missed),
        TEST(who_was_gone_before_was_missed),
        TEST(who_was_not_reached_was_missed),
        TEST(who_may_have_been_preempted_was_not_missed),
        TEST(a_loss_that_is_met_on_the_way_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
