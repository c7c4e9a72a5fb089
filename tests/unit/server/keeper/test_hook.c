/* The fence hook: only exit status 0 in time is success. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/keeper/hook.h"

static struct event_base *base;
static char dir[] = "/tmp/sealnfs-hook-XXXXXX";
static char script[64], result_file[64];
static int done_count;
static bool done_success;

static void done(bool success, void *arg)
{
    (void)arg;
    done_count++;
    done_success = success;
    event_base_loopbreak(base);
}

static void write_script(const char *body)
{
    FILE *file = fopen(script, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", body);
    fclose(file);
    assert_int_equal(chmod(script, 0755), 0);
}

static struct hook_request request(unsigned timeout_ms)
{
    done_count = 0;
    done_success = false;
    return (struct hook_request){.program = script,
                                 .action = "fence",
                                 .address = "192.0.2.7",
                                 .addresses = "192.0.2.7 2001:db8::7",
                                 .owner = "Linux NFSv4.1 host",
                                 .device = "/dev/sdb",
                                 .device_id = "00112233445566778899aabbccddeeff",
                                 .file = "/srv/data/a b",
                                 .client_id = 0x1234,
                                 .timeout_ms = timeout_ms,
                                 .done = done};
}

static bool run(const char *body, unsigned timeout_ms)
{
    struct hook_request r = request(timeout_ms);
    struct hook *hook;
    write_script(body);
    assert_int_equal(hook_start(base, &r, &hook), 0);
    assert_int_equal(done_count, 0);
    event_base_dispatch(base);
    assert_int_equal(done_count, 1);
    return done_success;
}

static void exit_status_zero_is_success(void **state)
{
    (void)state;
    assert_true(run("exit 0", 5000));
}

static void any_other_exit_status_is_failure(void **state)
{
    (void)state;
    assert_false(run("exit 1", 5000));
    assert_false(run("exit 255", 5000));
}

static void death_by_a_signal_is_failure(void **state)
{
    (void)state;
    assert_false(run("kill -9 $$", 5000));
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The whole group is killed: a child that goes on would go on fencing behind our back. */
static void hook_that_hangs_is_killed_with_its_children(void **state)
{
    (void)state;
    char body[256];
    double start = seconds();
    snprintf(body, sizeof body, "(sleep 3; echo late > %s) & wait", result_file);
    unlink(result_file);
    assert_false(run(body, 300));
    assert_true(seconds() - start < 2.5);
    sleep(4);
    assert_int_equal(access(result_file, F_OK), -1);
}

static void hook_that_ignores_the_time_and_then_succeeds_has_failed(void **state)
{
    (void)state;
    assert_false(run("trap '' TERM; sleep 2; exit 0", 200));
}

enum { HANGING_MAX = 16 };

/* The kill does nothing, as to a process that hangs in the kernel. */
static bool kill_is_lost;
static pid_t not_killed[HANGING_MAX];
static unsigned not_killed_count;

int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number)
{
    if (!kill_is_lost)
        return __real_kill(pid, number);
    assert_true(not_killed_count < HANGING_MAX);
    not_killed[not_killed_count++] = pid;
    return 0;
}

static void kill_for_real(void)
{
    kill_is_lost = false;
    while (not_killed_count)
        assert_int_equal(kill(not_killed[--not_killed_count], SIGKILL), 0);
}

static void hook_that_does_not_end_when_it_is_killed_has_failed(void **state)
{
    (void)state;
    kill_is_lost = true;
    assert_false(run("sleep 100", 200)); /* it is there still */
    assert_int_equal(not_killed_count, 1);
    kill_for_real();
    event_base_dispatch(base); /* its end is seen, and says nothing more */
    assert_int_equal(done_count, 1);
}

static void hooks_that_hang_are_not_many(void **state)
{
    struct hook_request r = request(1);
    struct hook *hook;
    (void)state;
    write_script("sleep 100");
    kill_is_lost = true;
    for (int i = 0; i < HANGING_MAX; i++)
        assert_int_equal(hook_start(base, &r, &hook), 0);
    while (done_count < HANGING_MAX)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(hook_start(base, &r, &hook), -EBUSY);
    kill_for_real();
    event_base_dispatch(base);
    assert_int_equal(hook_start(base, &r, &hook), 0);
    hook_cancel(hook);
}

static void hook_gets_what_it_needs(void **state)
{
    (void)state;
    char body[512], line[256];
    snprintf(body, sizeof body,
             "echo "
             "\"$1|$SEALNFS_CLIENT_ADDRESS|$SEALNFS_CLIENT_ADDRESSES|$SEALNFS_CLIENT_OWNER|$"
             "SEALNFS_CLIENT_ID|$SEALNFS_"
             "DEVICE|$SEALNFS_"
             "DEVICE_ID|"
             "$SEALNFS_FILE\" > %s",
             result_file);
    assert_true(run(body, 5000));
    FILE *file = fopen(result_file, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_string_equal(line, "fence|192.0.2.7|192.0.2.7 2001:db8::7|Linux NFSv4.1 "
                              "host|0000000000001234|/dev/sdb|00112233445566778899aabbccddeeff|"
                              "/srv/data/a b\n");
}

static void output_without_end_does_not_hold_it_up(void **state)
{
    (void)state;
    assert_true(run("yes | head -c 1000000; exit 0", 20000));
}

/* Whatever is read, there is more: who writes is quicker than who reads. */
static bool has_more;

ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size)
{
    if (!has_more)
        return __real_read(fd, data, size);
    memset(data, 'y', size);
    return (ssize_t)size;
}

/* Nor does what never ends: neither from its time, nor from the end of who left it behind. */
static void output_that_never_ends_does_not_hold_it_up(void **state)
{
    (void)state;
    double start = seconds();
    has_more = true;
    assert_false(run("yes", 300));
    assert_true(run("yes & exit 0", 20000));
    has_more = false;
    assert_true(seconds() - start < 10);
}

static void hook_that_is_not_there_cannot_start(void **state)
{
    (void)state;
    struct hook_request r = request(1000);
    struct hook *hook;
    r.program = "/nonexistent/hook";
    assert_int_equal(hook_start(base, &r, &hook), -ENOENT);
    assert_int_equal(done_count, 0);
}

static void cancelled_hook_says_nothing(void **state)
{
    (void)state;
    struct hook_request r = request(5000);
    struct hook *hook;
    write_script("sleep 30");
    assert_int_equal(hook_start(base, &r, &hook), 0);
    double start = seconds();
    hook_cancel(hook);
    assert_true(seconds() - start < 5);
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(done_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_status_zero_is_success),
        cmocka_unit_test(any_other_exit_status_is_failure),
        cmocka_unit_test(death_by_a_signal_is_failure),
        cmocka_unit_test(hook_that_hangs_is_killed_with_its_children),
        cmocka_unit_test(hook_that_ignores_the_time_and_then_succeeds_has_failed),
        cmocka_unit_test(hook_that_does_not_end_when_it_is_killed_has_failed),
        cmocka_unit_test(hooks_that_hang_are_not_many),
        cmocka_unit_test(hook_gets_what_it_needs),
        cmocka_unit_test(output_without_end_does_not_hold_it_up),
        cmocka_unit_test(output_that_never_ends_does_not_hold_it_up),
        cmocka_unit_test(hook_that_is_not_there_cannot_start),
        cmocka_unit_test(cancelled_hook_says_nothing),
    };
    log_set_level(LOG_LEVEL_ERROR);
    if (!mkdtemp(dir) || !(base = event_base_new()))
        return 1;
    snprintf(script, sizeof script, "%s/hook", dir);
    snprintf(result_file, sizeof result_file, "%s/result", dir);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(script);
    unlink(result_file);
    rmdir(dir);
    event_base_free(base);
    return failed;
}
