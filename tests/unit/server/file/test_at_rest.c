/* Which paths the patterns of an export let be sealed at rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/config/config.h"
#include "server/file/at_rest.h"

static void no_pattern_takes_every_file(void **state)
{
    struct config_export config = {0};
    (void)state;
    assert_true(at_rest_path_is_wanted(&config, "a/b"));
}

static void included_paths_only_and_excluded_ones_never(void **state)
{
    char qcow[] = "*.qcow2", media[] = "media/*", scratch[] = "*/scratch/*",
         draft[] = "media/draft?";
    char *include[] = {qcow, media}, *exclude[] = {scratch, draft};
    struct config_export config = {
        .include = include, .include_count = 2, .exclude = exclude, .exclude_count = 2};
    (void)state;
    assert_true(at_rest_path_is_wanted(&config, "disk.qcow2"));
    assert_true(at_rest_path_is_wanted(&config, "deep/er/disk.qcow2"));
    assert_true(at_rest_path_is_wanted(&config, "media/films/one"));
    assert_false(at_rest_path_is_wanted(&config, "other"));
    assert_false(at_rest_path_is_wanted(&config, "media"));
    assert_false(at_rest_path_is_wanted(&config, "deep/scratch/disk.qcow2"));
    assert_false(at_rest_path_is_wanted(&config, "media/draft1"));
    config.include_count = 0;
    assert_true(at_rest_path_is_wanted(&config, "other"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_pattern_takes_every_file),
        cmocka_unit_test(included_paths_only_and_excluded_ones_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
