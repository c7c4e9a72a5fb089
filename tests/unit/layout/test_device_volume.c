/* Volumes of several disks: built, checked, mapped, compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "layout/device/volume.h"

enum { UNIT = 65536, MIB = 1 << 20 };

static uint32_t add_disk(struct device_volume *v, const char *sign, uint64_t size)
{
    struct device_base base = {.size = size, .signature = {.count = 1}};
    uint32_t at = UINT32_MAX;

    base.signature.component[0] = (struct signature_component){.offset = 512, .len = 4};
    memcpy(base.signature.component[0].bytes, sign, 4);
    assert_int_equal(device_volume_add_base(v, &base, &at), 0);
    return at;
}

/* Two disks, from 1 MiB on: one after the other, or in turns. */
static struct device_volume over_two(uint64_t unit, uint64_t first, uint64_t second)
{
    struct device_volume v = {0};
    uint32_t at[2] = {add_disk(&v, "disk", 64 * MIB), add_disk(&v, "tape", 64 * MIB)};

    assert_int_equal(device_volume_add_slice(&v, at[0], MIB, first, &at[0]), 0);
    assert_int_equal(device_volume_add_slice(&v, at[1], MIB, second, &at[1]), 0);
    if (unit)
        assert_int_equal(device_volume_add_stripe(&v, unit, at, 2, &at[0]), 0);
    else
        assert_int_equal(device_volume_add_concat(&v, at, 2, &at[0]), 0);
    assert_int_equal(device_volume_check(&v), 0);
    return v;
}

static void expect(const struct device_volume *v, uint64_t offset, uint64_t length, uint32_t base,
                   uint64_t at, uint64_t contiguous)
{
    struct device_place place;

    assert_int_equal(device_volume_place(v, offset, length, &place), 0);
    assert_int_equal(place.base, base);
    assert_int_equal(place.offset, at);
    assert_int_equal(place.length, contiguous);
}

static void concat_goes_on_on_the_next_disk(void **state)
{
    struct device_volume v = over_two(0, 8 * MIB, 4 * MIB);
    struct device_place place;

    (void)state;
    assert_int_equal(device_volume_root(&v)->size, 12 * MIB);
    expect(&v, 0, 12 * MIB, 0, MIB, 8 * MIB);
    expect(&v, 8 * MIB - 4096, 8192, 0, 9 * MIB - 4096, 4096);
    expect(&v, 8 * MIB, 4096, 1, MIB, 4096);
    assert_int_equal(device_volume_place(&v, 12 * MIB - 1, 2, &place), -ERANGE);
    assert_int_equal(device_volume_place(&v, 12 * MIB, 1, &place), -ERANGE);
}

static void stripe_takes_the_disks_in_turns(void **state)
{
    struct device_volume v = over_two(UNIT, 8 * MIB, 8 * MIB);

    (void)state;
    assert_int_equal(device_volume_root(&v)->size, 16 * MIB);
    expect(&v, 0, 16 * MIB, 0, MIB, UNIT);
    expect(&v, UNIT, UNIT, 1, MIB, UNIT);
    expect(&v, 2 * UNIT, UNIT, 0, MIB + UNIT, UNIT);
    expect(&v, 5 * UNIT + 100, UNIT, 1, MIB + 2 * UNIT + 100, UNIT - 100);
}

static void what_does_not_fit_together_is_no_volume(void **state)
{
    struct device_volume v = {0};
    uint32_t at[3] = {add_disk(&v, "disk", 8 * MIB), add_disk(&v, "tape", 16 * MIB)};
    uint32_t out;

    (void)state;
    assert_int_equal(device_volume_add_slice(&v, at[0], 4 * MIB, 4 * MIB + 512, &out), -EINVAL);
    assert_int_equal(device_volume_add_slice(&v, 7, 0, MIB, &out), -EINVAL);
    assert_int_equal(device_volume_add_stripe(&v, UNIT, at, 2, &out),
                     -EINVAL); /* of different sizes */
    assert_int_equal(device_volume_add_stripe(&v, 0, at, 1, &out), -EINVAL);
    assert_int_equal(device_volume_add_concat(&v, at, 0, &out), -EINVAL);
    assert_int_equal(device_volume_add_concat(&v, at, DEVICE_PIECES_MAX + 1, &out), -E2BIG);
    assert_int_equal(device_volume_add_concat(&v, at, 2, &at[2]), 0);
    assert_int_equal(device_volume_add_slice(&v, at[2], 0, MIB, &out),
                     -EINVAL); /* Linux maps it elsewhere */
    assert_int_equal(device_volume_add_concat(&v, at, 3, &out), -EINVAL);
    assert_int_equal(device_volume_check(&v), 0);
    v.member[1] = 2; /* itself */
    assert_int_equal(device_volume_check(&v), -EINVAL);
}

static void volume_that_only_grew_covers_what_it_was(void **state)
{
    struct device_volume old = over_two(0, 8 * MIB, 4 * MIB);
    struct device_volume grown = over_two(0, 8 * MIB, 6 * MIB);
    struct device_volume moved = over_two(0, 7 * MIB, 6 * MIB);
    struct device_volume slice = {0};
    struct device_volume other = {0};
    uint32_t at = add_disk(&slice, "disk", 64 * MIB);

    (void)state;
    assert_true(device_volume_covers(&grown, &old));
    assert_false(device_volume_covers(&old, &grown));
    assert_false(device_volume_covers(&moved, &old));
    /* A logical volume that was extended onto a second disk. */
    assert_int_equal(device_volume_add_slice(&slice, at, MIB, 8 * MIB, &at), 0);
    assert_true(device_volume_covers(&old, &slice));
    at = add_disk(&other, "tape", 64 * MIB);
    assert_int_equal(device_volume_add_slice(&other, at, MIB, 8 * MIB, &at), 0);
    assert_false(device_volume_covers(&old, &other));
}

static void stripe_covers_a_shorter_one_of_the_same_disks(void **state)
{
    struct device_volume old = over_two(UNIT, 4 * MIB, 4 * MIB);
    struct device_volume grown = over_two(UNIT, 8 * MIB, 8 * MIB);
    struct device_volume finer = over_two(UNIT / 2, 8 * MIB, 8 * MIB);
    struct device_volume plain = over_two(0, 8 * MIB, 8 * MIB);

    (void)state;
    assert_true(device_volume_covers(&grown, &old));
    assert_false(device_volume_covers(&old, &grown));
    assert_false(device_volume_covers(&finer, &old));
    assert_false(device_volume_covers(&plain, &old));
}

/* As seen with a client of Linux 6.1.176: of 60 MiB from 1 MiB on, writes to the last MiB were
 * lost. */
static void places_where_linux_clients_lose_writes_are_known(void **state)
{
    struct device_volume concat = over_two(0, 60 * MIB, 4 * MIB);
    struct device_volume stripe = over_two(UNIT, 8 * MIB, 8 * MIB);
    struct device_volume slice = {0};
    struct device_volume disk = {0};
    uint32_t at = add_disk(&slice, "disk", 64 * MIB);

    (void)state;
    assert_false(device_volume_is_lossy(&concat, 0, 59 * MIB));
    assert_true(device_volume_is_lossy(&concat, 59 * MIB - 4096, 8192));
    assert_true(device_volume_is_lossy(&concat, 60 * MIB - 4096, 4096));
    assert_false(device_volume_is_lossy(&concat, 60 * MIB, 4 * MIB)); /* 60 MiB come before it */
    assert_true(device_volume_is_lossy(&concat, 63 * MIB, 2 * MIB));  /* not on the volume */
    assert_int_equal(device_volume_add_slice(&slice, at, 8 * MIB, 6 * MIB, &at), 0);
    assert_true(device_volume_is_lossy(&slice, 0, 4096));
    assert_true(device_volume_is_lossy(&stripe, 0, 4096));
    assert_true(device_volume_is_lossy(&stripe, 2 * MIB - 4096, 4096));
    assert_false(device_volume_is_lossy(&stripe, 2 * MIB, 14 * MIB));
    (void)add_disk(&disk, "disk", 64 * MIB);
    assert_false(device_volume_is_lossy(&disk, 0, 64 * MIB));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_where_linux_clients_lose_writes_are_known),
        cmocka_unit_test(concat_goes_on_on_the_next_disk),
        cmocka_unit_test(stripe_takes_the_disks_in_turns),
        cmocka_unit_test(what_does_not_fit_together_is_no_volume),
        cmocka_unit_test(volume_that_only_grew_covers_what_it_was),
        cmocka_unit_test(stripe_covers_a_shorter_one_of_the_same_disks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
