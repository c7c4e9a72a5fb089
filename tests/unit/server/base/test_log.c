/*
 * test_log.c - one event, one line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/log.h"

static int saved_stderr, pipe_read;

static void catch_stderr(void)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    pipe_read = fds[0];
}

static void caught(char *text, size_t size)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    ssize_t n = read(pipe_read, text, size - 1);
    text[n < 0 ? 0 : n] = '\0';
    close(pipe_read);
}

static void names_from_the_wire_cannot_forge_a_line(void **state)
{
    (void)state;
    char text[256];
    catch_stderr();
    log_error("client %s is gone", "a\n<3>forged\x1b[2J");
    caught(text, sizeof(text));
    assert_non_null(strstr(text, "error: client a?<3>forged?[2J is gone\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

/* C1 in UTF-8 steers some terminals, U+202E turns the rest of the line around. */
static void what_steers_a_terminal_is_not_in_a_line(void **state)
{
    (void)state;
    char text[256];
    catch_stderr();
    log_error("client %s", "\xc2\x9b"
                           "2J \xe2\x80\xae \xff Gr\xc3\xb6\xc3\x9f"
                           "e");
    caught(text, sizeof(text));
    assert_non_null(strstr(text, "client ?2J ? ? Gr\xc3\xb6\xc3\x9f"
                                 "e\n"));
}

static void long_lines_end_in_a_newline(void **state)
{
    (void)state;
    char text[4096], name[3000];
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    catch_stderr();
    log_error("%s", name);
    caught(text, sizeof(text));
    assert_in_range(strlen(text), 1000, 1024);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void levels_below_the_threshold_are_silent_and_errno_is_kept(void **state)
{
    (void)state;
    char text[256];
    enum log_level level;
    assert_true(log_level_parse("warning", &level));
    assert_false(log_level_parse("loud", &level));
    log_set_level(level);
    catch_stderr();
    errno = ENOSPC;
    log_info("not this");
    log_warning("but this: %s", strerror(errno));
    assert_int_equal(errno, ENOSPC);
    caught(text, sizeof(text));
    assert_null(strstr(text, "not this"));
    assert_non_null(strstr(text, "but this: No space left on device"));
}

static void the_journal_gets_priorities_instead_of_times(void **state)
{
    (void)state;
    char text[256], stream[64];
    struct stat st;
    catch_stderr();
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_error("disk full");
    unsetenv("JOURNAL_STREAM");
    caught(text, sizeof(text));
    assert_string_equal(text, "<3>disk full\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_from_the_wire_cannot_forge_a_line),
        cmocka_unit_test(what_steers_a_terminal_is_not_in_a_line),
        cmocka_unit_test(long_lines_end_in_a_newline),
        cmocka_unit_test(levels_below_the_threshold_are_silent_and_errno_is_kept),
        cmocka_unit_test(the_journal_gets_priorities_instead_of_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
