/*
 * test_cpu_count.c - the CPUs and the memory that a process may use, by its mask and by limits in a
 * directory that looks like /sys/fs/cgroup.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/cpu_count.h"
#include "server/base/process_limits.h"

static char root[] = "/tmp/test_cpu_count.XXXXXX";
static cpu_set_t all; /* what the test itself may use */

static const char *at(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

/* NULL: no such file. */
static void put(const char *name, const char *text)
{
    FILE *stream;

    unlink(at(name));
    if (!text)
        return;
    stream = fopen(at(name), "w");
    assert_non_null(stream);
    fputs(text, stream);
    assert_int_equal(fclose(stream), 0);
}

static unsigned count(void)
{
    char own[128];

    snprintf(own, sizeof(own), "%s", at("self"));
    return cpu_count_at(root, own);
}

static unsigned allowed(void)
{
    return (unsigned)CPU_COUNT(&all);
}

static int setup(void **state)
{
    (void)state;
    put("self", "12:cpu:/elsewhere\n0::/a/b\n");
    put("cpu.max", NULL);
    put("a/cpu.max", NULL);
    put("a/b/cpu.max", NULL);
    put("memory.max", NULL);
    put("a/memory.max", NULL);
    put("a/b/memory.max", NULL);
    put("a/b/memory.high", NULL);
    return sched_setaffinity(0, sizeof(all), &all);
}

static void without_a_quota_the_mask_counts(void **state)
{
    (void)state;
    assert_int_equal(count(), allowed());
    put("a/b/cpu.max", "max 100000\n");
    assert_int_equal(count(), allowed());
    put("self", NULL);
    assert_int_equal(count(), allowed());
    put("self", "4:memory:/a/b\n"); /* cgroup v1 only */
    put("a/b/cpu.max", "1 100000\n");
    assert_int_equal(count(), allowed());
    assert_true(cpu_count() >= 1 && cpu_count() <= allowed());
}

static void a_process_of_one_cpu_counts_one(void **state)
{
    cpu_set_t one;
    int first = 0;
    (void)state;

    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    put("a/b/cpu.max", "400000 100000\n"); /* more than there is */
    assert_int_equal(count(), 1);
    assert_int_equal(cpu_count(), 1);
}

static void a_quota_is_rounded_up_and_is_one_at_least(void **state)
{
    (void)state;
    put("a/b/cpu.max", "50000 100000\n");
    assert_int_equal(count(), 1);
    put("a/b/cpu.max", "0 100000\n");
    assert_int_equal(count(), 1);
    put("a/b/cpu.max", "100001 100000\n");
    assert_int_equal(count(), allowed() < 2 ? allowed() : 2);
    put("a/b/cpu.max", "18446744073709551615 1\n");
    assert_int_equal(count(), allowed());
    put("a/b/cpu.max", "5 0\n");
    assert_int_equal(count(), allowed());
}

static void a_quota_above_binds_too(void **state)
{
    (void)state;
    put("a/b/cpu.max", "max 100000\n");
    put("a/cpu.max", "90000 100000\n");
    assert_int_equal(count(), 1);
    put("a/b/cpu.max", "800000 100000\n");
    assert_int_equal(count(), 1);
    put("a/cpu.max", NULL);
    put("cpu.max", "10000 100000\n"); /* a container sees its own at the root */
    assert_int_equal(count(), 1);
    put("a/b/cpu.max", NULL);
    put("self", "0::/\n");
    assert_int_equal(count(), 1);
}

static uint64_t memory(void)
{
    char own[128];

    snprintf(own, sizeof(own), "%s", at("self"));
    return process_memory_at(root, own);
}

static void the_smallest_limit_of_memory_binds(void **state)
{
    const uint64_t machine = memory();
    (void)state;

    assert_in_range(machine, 1 << 20, UINT64_MAX - 1);
    put("a/b/memory.max", "max\n");
    assert_true(memory() == machine);
    put("a/memory.max", "8388608\n");
    assert_int_equal(memory(), 8388608);
    put("a/b/memory.high", "4194304\n");
    assert_int_equal(memory(), 4194304);
    put("memory.max", "1048576\n");
    assert_int_equal(memory(), 1048576);
    put("memory.max", "18446744073709551615\n");
    put("a/memory.max", NULL);
    put("a/b/memory.high", NULL);
    assert_true(memory() == machine);
}

static int make_tree(void **state)
{
    (void)state;
    if (!mkdtemp(root) || sched_getaffinity(0, sizeof(all), &all) != 0)
        return -1;
    return mkdir(at("a"), 0755) || mkdir(at("a/b"), 0755);
}

static int remove_tree(void **state)
{
    setup(state);
    unlink(at("self"));
    return rmdir(at("a/b")) || rmdir(at("a")) || rmdir(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_a_quota_the_mask_counts, setup),
        cmocka_unit_test_setup(a_process_of_one_cpu_counts_one, setup),
        cmocka_unit_test_setup(a_quota_is_rounded_up_and_is_one_at_least, setup),
        cmocka_unit_test_setup(a_quota_above_binds_too, setup),
        cmocka_unit_test_setup(the_smallest_limit_of_memory_binds, setup),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
