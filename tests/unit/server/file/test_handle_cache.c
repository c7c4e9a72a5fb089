/* What the cache of handles claims: one test a claim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "server/base/fs_handle.h"
#include "server/file/handle_cache.h"

static const struct fs_handle handle = {.type = 0x81, .len = 12, .bytes = {5, [8] = 77}};

static struct statx inode(uint64_t number, int64_t born)
{
    return (struct statx){.stx_mask = STATX_BASIC_STATS | STATX_BTIME,
                          .stx_ino = number,
                          .stx_btime = {.tv_sec = born, .tv_nsec = 500},
                          .stx_dev_major = 7,
                          .stx_dev_minor = 1};
}

static int setup(void **state)
{
    return handle_cache_create((struct handle_cache **)state);
}

static int teardown(void **state)
{
    handle_cache_destroy(*state);
    return 0;
}

static void a_handle_that_was_kept_is_found(void **state)
{
    struct statx stx = inode(5, 1000);
    struct fs_handle found = {0};
    assert_false(handle_cache_find(*state, &stx, &found));
    handle_cache_keep(*state, &stx, &handle);
    assert_true(handle_cache_find(*state, &stx, &found));
    assert_int_equal(found.type, handle.type);
    assert_int_equal(found.len, handle.len);
    assert_memory_equal(found.bytes, handle.bytes, handle.len);
}

static void an_inode_number_given_to_another_file_is_not_found(void **state)
{
    struct statx stx = inode(5, 1000), later = inode(5, 1001), elsewhere = inode(5, 1000);
    struct fs_handle found;
    handle_cache_keep(*state, &stx, &handle);
    assert_false(handle_cache_find(*state, &later, &found));
    elsewhere.stx_dev_minor = 2;
    assert_false(handle_cache_find(*state, &elsewhere, &found));
}

/* Its number could go to another file that is born in the same tick. */
static void a_file_born_just_now_is_not_kept(void **state)
{
    struct timespec now;
    struct fs_handle found;
    clock_gettime(CLOCK_REALTIME, &now);
    struct statx stx = inode(5, now.tv_sec + 3600);
    handle_cache_keep(*state, &stx, &handle);
    assert_false(handle_cache_find(*state, &stx, &found));
}

static void a_file_without_a_birth_time_is_not_kept(void **state)
{
    struct statx stx = inode(5, 1000);
    struct fs_handle found;
    stx.stx_mask &= ~(unsigned)STATX_BTIME;
    handle_cache_keep(*state, &stx, &handle);
    assert_false(handle_cache_find(*state, &stx, &found));
}

static void a_long_handle_is_not_kept(void **state)
{
    struct statx stx = inode(5, 1000);
    struct fs_handle found, longer = handle;
    longer.len = FS_HANDLE_MAX;
    handle_cache_keep(*state, &stx, &longer);
    assert_false(handle_cache_find(*state, &stx, &found));
}

static void many_files_take_no_more_room(void **state)
{
    struct fs_handle found;
    for (uint64_t i = 1; i < 100000; i++) {
        struct statx stx = inode(i, 1000);
        handle_cache_keep(*state, &stx, &handle);
        assert_true(handle_cache_find(*state, &stx, &found));
    }
    struct statx first = inode(1, 1000);
    assert_false(handle_cache_find(*state, &first, &found));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_handle_that_was_kept_is_found),  T(an_inode_number_given_to_another_file_is_not_found),
        T(a_file_born_just_now_is_not_kept), T(a_file_without_a_birth_time_is_not_kept),
        T(a_long_handle_is_not_kept),        T(many_files_take_no_more_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
