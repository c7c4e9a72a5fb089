/*
 * test_control.c - the control socket of a whole daemon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/server/daemon_fixture.h"

/* Its path is cut where the sentence's room ends: at whatever byte, what is left has to be text, or
 * no answer could be made of it. */
static void a_sentence_whose_path_is_cut_is_still_an_answer(void **state)
{
    struct daemon *daemon = fixture_start("");
    char line[2048], answer[8192];
    (void)state;
    for (int blanks = 0; blanks < 2; blanks++) {
        int len = snprintf(line, sizeof(line), "{\"op\":\"seal\",\"file\":\"/%.*s", blanks, "x");
        for (unsigned i = 0; i < 600; i++)
            len += snprintf(line + len, sizeof(line) - (size_t)len, "\xc3\xbc");
        snprintf(line + len, sizeof(line) - (size_t)len, "\"}");
        fixture_ask(line, answer, sizeof(answer));
        assert_non_null(strstr(answer, "\"code\":\"not-found\""));
        assert_null(strstr(answer, "out of memory"));
    }
    fixture_stop(daemon);
    fixture_clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_whose_path_is_cut_is_still_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
