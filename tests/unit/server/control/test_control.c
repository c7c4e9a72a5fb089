/*
 * test_control.c - the control socket of a whole daemon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static void make_file(const char *name, char path[512], char hex[1024])
{
    snprintf(path, 512, "%s/%s", fixture_files(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; path[i]; i++)
        sprintf(hex + 2 * i, "%02x", (unsigned char)path[i]);
}

/* Names are bytes, and JSON is UTF-8. */
static void a_name_that_is_no_text_is_asked_for_by_its_bytes(void **state)
{
    struct daemon *daemon = fixture_start("");
    char path[512], hex[1024], line[4096], answer[8192];
    (void)state;
    make_file("caf\xe9", path, hex);
    snprintf(line, sizeof(line), "{\"op\":\"explain\",\"file_hex\":\"%s\"}", hex);
    assert_true(fixture_control(line));
    snprintf(line, sizeof(line), "{\"op\":\"try-seal\",\"files\":[{\"file_hex\":\"%s\"}]}", hex);
    fixture_ask(line, answer, sizeof(answer));
    assert_non_null(strstr(answer, "/caf?\""));
    assert_non_null(strstr(answer, hex));
    assert_null(strstr(answer, "No such file"));
    fixture_stop(daemon);
    fixture_clean();
}

static void what_is_no_path_is_refused(void **state)
{
    static const char *const bad[] = {
        "{\"op\":\"explain\",\"file_hex\":\"2f6\"}",
        "{\"op\":\"explain\",\"file_hex\":\"2f00\"}",
        "{\"op\":\"explain\",\"file_hex\":\"/x\"}",
        "{\"op\":\"status\",\"file_hex\":\"2F\"}",
        /* An item names a file, and is no request. */
        "{\"op\":\"unseal\",\"files\":[{\"op\":\"fenced\",\"name\":\"x\"}]}",
        "{\"op\":\"unseal\",\"files\":[{\"file\":\"/x\"}]}",
    };
    struct daemon *daemon = fixture_start("");
    char answer[8192];
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fixture_ask(bad[i], answer, sizeof(answer));
        assert_non_null(strstr(answer, "\"code\":\"bad-request\""));
    }
    fixture_ask("{\"op\":\"unseal\",\"file_hex\":\"2f78\",\"files\":[\"/y\",{\"file_hex\":\"2f7a\","
                "\"op\":\"fenced\"}]}",
                answer, sizeof(answer));
    assert_non_null(strstr(answer, "\"file\":\"/y\""));
    assert_non_null(strstr(answer, "\"file\":\"/z\""));
    assert_null(strstr(answer, "/x"));
    fixture_stop(daemon);
    fixture_clean();
}

/* Linux clients have blanks in theirs. */
static void a_client_is_named_by_any_owner(void **state)
{
    struct daemon *daemon = fixture_start("");
    char answer[8192];
    (void)state;
    fixture_ask("{\"op\":\"fenced\",\"name\":\"Linux NFSv4.1 host/a\"}", answer, sizeof(answer));
    assert_non_null(strstr(answer, "\"code\":\"not-found\""));
    fixture_stop(daemon);
    fixture_clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_whose_path_is_cut_is_still_an_answer),
        cmocka_unit_test(a_name_that_is_no_text_is_asked_for_by_its_bytes),
        cmocka_unit_test(what_is_no_path_is_refused),
        cmocka_unit_test(a_client_is_named_by_any_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
