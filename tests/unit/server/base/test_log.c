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
#include <time.h>
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

/* What doctor shows: errors and warnings, the last of them, oldest first. */
static void last_errors_and_warnings_are_kept(void **state)
{
    (void)state;
    char text[16384];
    struct log_kept kept[LOG_KEPT];
    catch_stderr();
    for (unsigned i = 0; i < LOG_KEPT + 3; i++)
        log_error("number %u\n", i);
    log_info("not this");
    log_warning("and this");
    caught(text, sizeof(text));
    assert_int_equal(log_last(kept), LOG_KEPT);
    assert_string_equal(kept[0].line, "number 4?");
    assert_string_equal(kept[LOG_KEPT - 2].line, "number 18?");
    assert_string_equal(kept[LOG_KEPT - 1].line, "and this");
    assert_int_equal(kept[LOG_KEPT - 1].level, LOG_LEVEL_WARNING);
    assert_in_range(kept[0].at, 1, time(NULL));
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

static unsigned count_lines(const char *text, const char *with)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, with)); at++)
        count++;
    return count;
}

static void wait_a_second(void)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &begin);
    do {
        usleep(10000);
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    } while (now.tv_sec == begin.tv_sec); /* a second is what it counts in */
}

static void cause_lines(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        log_info("a peer says %u", i);
}

/* And what an operator must know is among them. */
static void a_flood_is_told_once_a_second_with_its_count(void **state)
{
    (void)state;
    char text[8192];
    log_set_level(LOG_LEVEL_INFO);
    wait_a_second();
    log_tell_left_out();
    catch_stderr();
    cause_lines(100000);
    for (unsigned i = 0; i < 30; i++)
        log_error("seal %u is STUCK", i);
    log_info("another peer says something else");
    wait_a_second();
    for (unsigned i = 0; i < 100; i++)
        log_tell_left_out();
    caught(text, sizeof(text));
    assert_int_equal(count_lines(text, "a peer says"), 20 + 1);
    assert_int_equal(count_lines(text, "STUCK"), 30);
    assert_int_equal(count_lines(text, "something else"), 1);
    assert_non_null(strstr(text, "info: 99980 lines were left out within a second, such as: a peer "
                                 "says 19\n"));
}

static void a_quiet_second_gives_a_line_back(void **state)
{
    (void)state;
    char text[8192];
    catch_stderr();
    cause_lines(21); /* its store is used up */
    caught(text, sizeof(text));
    catch_stderr();
    wait_a_second();
    log_tell_left_out();
    cause_lines(3);
    caught(text, sizeof(text));
    assert_int_equal(count_lines(text, "a peer says"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_errors_and_warnings_are_kept),
        cmocka_unit_test(names_from_the_wire_cannot_forge_a_line),
        cmocka_unit_test(what_steers_a_terminal_is_not_in_a_line),
        cmocka_unit_test(long_lines_end_in_a_newline),
        cmocka_unit_test(a_flood_is_told_once_a_second_with_its_count),
        cmocka_unit_test(a_quiet_second_gives_a_line_back),
        cmocka_unit_test(levels_below_the_threshold_are_silent_and_errno_is_kept),
        cmocka_unit_test(the_journal_gets_priorities_instead_of_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
