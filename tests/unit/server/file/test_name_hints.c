/* What the hints of names claim: one test a claim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "layout/file_key.h"
#include "server/file/name_hints.h"

static const struct file_key dir = {.len = 20, .data = {1, [19] = 9}};
static const struct file_key other_dir = {.len = 20, .data = {1, [19] = 8}};
static const struct file_key file = {.len = 29, .data = {1, [28] = 77}};

enum { NOW = 5 };

static int setup(void **state)
{
    return name_hints_create((struct name_hints **)state);
}

static int teardown(void **state)
{
    name_hints_destroy(*state);
    return 0;
}

static void a_name_that_was_kept_leads_to_its_file(void **state)
{
    struct file_key found = {.len = 0};
    assert_false(name_hints_find(*state, &dir, "name", NOW, &found));
    name_hints_keep(*state, &dir, "name", NOW, &file);
    assert_true(name_hints_find(*state, &dir, "name", NOW, &found));
    assert_true(file_key_equal(&found, &file));
}

static void another_name_and_another_directory_are_not_known(void **state)
{
    struct file_key found;
    name_hints_keep(*state, &dir, "name", NOW, &file);
    assert_false(name_hints_find(*state, &dir, "nam", NOW, &found));
    assert_false(name_hints_find(*state, &other_dir, "name", NOW, &found));
}

static void a_hint_lasts_a_second_and_using_it_does_not_make_it_younger(void **state)
{
    struct file_key found;
    name_hints_keep(*state, &dir, "name", NOW, &file);
    assert_true(name_hints_find(*state, &dir, "name", NOW + NAME_HINT_LIFE_NS - 1, &found));
    assert_false(name_hints_find(*state, &dir, "name", NOW + NAME_HINT_LIFE_NS, &found));
}

static void the_latest_file_of_a_name_counts(void **state)
{
    struct file_key found, later = file;
    later.data[28]++;
    name_hints_keep(*state, &dir, "name", NOW, &file);
    name_hints_keep(*state, &dir, "name", NOW, &later);
    assert_true(name_hints_find(*state, &dir, "name", NOW, &found));
    assert_true(file_key_equal(&found, &later));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_name_that_was_kept_leads_to_its_file),
        TEST(another_name_and_another_directory_are_not_known),
        TEST(a_hint_lasts_a_second_and_using_it_does_not_make_it_younger),
        TEST(the_latest_file_of_a_name_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
