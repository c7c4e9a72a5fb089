/*
 * The bump allocator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdalign.h>
#include <string.h>

#include "proto/arena.h"

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    struct arena a;
    unsigned char *last = NULL;

    (void)state;
    arena_init(&a, 1 << 16);
    for (size_t size = 0; size < 100; size++) {
        unsigned char *p = arena_alloc(&a, size);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        assert_ptr_not_equal(p, last);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, size);
        last = p;
    }
    arena_free(&a);
}

static void the_limit_bounds_the_sum(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 10000);
    assert_non_null(arena_alloc(&a, 6000));
    assert_null(arena_alloc(&a, 6000));
    assert_non_null(arena_alloc(&a, 4000));
    assert_null(arena_alloc(&a, 1));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 6000));
    arena_free(&a);
}

static void absurd_sizes_are_refused(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, SIZE_MAX);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 8));
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    assert_null(arena_array(&a, UINT32_MAX, SIZE_MAX / 4));
    arena_free(&a);
}

static void the_callers_chunk_is_used_first_at_any_alignment(void **state)
{
    unsigned char chunk[256];
    struct arena a;

    (void)state;
    for (size_t shift = 0; shift < 16; shift++) {
        unsigned char *p;

        arena_init_with(&a, 4096, chunk + shift, 128);
        p = arena_alloc(&a, 32);
        assert_in_range((uintptr_t)p, (uintptr_t)chunk + shift, (uintptr_t)chunk + shift + 96);
        assert_non_null(arena_alloc(&a, 1000));
        arena_reset(&a);
        assert_ptr_equal(arena_alloc(&a, 32), p);
        arena_free(&a);
    }
    arena_init_with(&a, 4096, chunk, 3);
    assert_non_null(arena_alloc(&a, 1));
    arena_free(&a);
}

static void a_copy_is_a_copy(void **state)
{
    struct arena a;
    char *p;

    (void)state;
    arena_init(&a, 4096);
    p = arena_dup(&a, "hello", 6);
    assert_string_equal(p, "hello");
    assert_non_null(arena_dup(&a, NULL, 0));
    assert_null(arena_dup(&a, "x", 5000));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(the_limit_bounds_the_sum),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(the_callers_chunk_is_used_first_at_any_alignment),
        cmocka_unit_test(a_copy_is_a_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
