/*
 * Who gets what of the descriptors that the process may have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "server/base/descriptors.h"

static void nothing_is_given_out_twice(void **state)
{
    static const unsigned limits[] = {256, 1024, 4096, 65536, 262144, 1048576};
    static const unsigned connections[] = {1, 100, 4096, 1000000};

    (void)state;
    for (unsigned i = 0; i < sizeof limits / sizeof limits[0]; i++)
        for (unsigned j = 0; j < sizeof connections / sizeof connections[0]; j++) {
            const struct descriptor_plan plan = descriptors_plan(limits[i], connections[j]);

            assert_int_equal((uint64_t)plan.connections + plan.opened + plan.idle + plan.data +
                                 plan.waiting + plan.rest,
                             limits[i]);
            assert_true(plan.connections <= connections[j]);
            assert_true(plan.connections <= limits[i] / 4);
            assert_true(plan.opened >= limits[i] / 3);
            assert_true(plan.rest >= limits[i] / 12 && plan.data > 0 && plan.idle > 0 &&
                        plan.waiting > 0 && plan.waiting <= limits[i] / 32);
        }
}

static void the_limit_is_what_the_process_then_has(void **state)
{
    struct rlimit limit;
    unsigned raised = descriptors_raise();

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(raised, limit.rlim_cur);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
    assert_int_equal(descriptors_raise(), raised);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_given_out_twice),
        cmocka_unit_test(the_limit_is_what_the_process_then_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
