/*
 * test_trace.c - the trace is bounded, and opened anew when the operator asks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/config/config.h"
#include "server/keeper/trace.h"
#include "tests/unit/server/daemon_fixture.h"

static char directory[32];
static char path[64], old[80], moved[80];
static struct config config;
static struct keeper_trace trace;

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_trace.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof(path), "%s/trace", directory);
    snprintf(old, sizeof(old), "%s.1", path);
    snprintf(moved, sizeof(moved), "%s.moved", path);
    config = (struct config){.trace_file = path};
    return 0;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    keeper_trace_close(&trace);
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

static void write_lines(const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        keeper_trace_write(&trace, lines[i]);
    keeper_trace_flush(&trace);
}

#define WRITE(...)                                                                                 \
    write_lines((const char *const[]){__VA_ARGS__},                                                \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void assert_has(const char *file, const char *wanted)
{
    char text[256] = "";
    FILE *stream = fopen(file, "r");

    assert_non_null(stream);
    (void)!fread(text, 1, sizeof(text) - 1, stream);
    fclose(stream);
    assert_string_equal(text, wanted);
}

/* Wrong: it grows until the disk of the journal is full. */
static void a_trace_that_is_full_becomes_the_old_one(void **state)
{
    (void)state;
    config.trace_max_size = 8;
    assert_int_equal(keeper_trace_open(&trace, &config), 0);
    WRITE("aaa", "bbb");
    assert_has(path, "aaa\nbbb\n");
    assert_int_not_equal(access(old, F_OK), 0);
    WRITE("ccc");
    assert_has(old, "aaa\nbbb\n");
    assert_has(path, "ccc\n");
    WRITE("ddd", "eee");
    assert_has(old, "ccc\nddd\n");
    assert_has(path, "eee\n");
    WRITE("longer than all", "fff");
    assert_has(old, "longer than all\n"); /* a line is not cut */
    assert_has(path, "fff\n");
}

static void what_was_there_counts(void **state)
{
    (void)state;
    config.trace_max_size = 8;
    assert_int_equal(keeper_trace_open(&trace, &config), 0);
    WRITE("aaa");
    keeper_trace_close(&trace);
    assert_int_equal(keeper_trace_open(&trace, &config), 0);
    WRITE("bbb", "ccc");
    assert_has(old, "aaa\nbbb\n");
    assert_has(path, "ccc\n");
}

static void without_a_bound_there_is_none(void **state)
{
    (void)state;
    assert_int_equal(keeper_trace_open(&trace, &config), 0);
    WRITE("aaa", "bbb", "ccc", "ddd");
    assert_has(path, "aaa\nbbb\nccc\nddd\n");
}

/* Wrong: it goes on in a file that logrotate has moved away. */
static void opened_anew_it_lets_go_of_what_was_moved(void **state)
{
    (void)state;
    assert_int_equal(keeper_trace_open(&trace, &config), 0);
    WRITE("aaa");
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(keeper_trace_open(&trace, &config), 0);
    WRITE("bbb");
    assert_has(moved, "aaa\n");
    assert_has(path, "bbb\n");
    config.trace_file = old; /* another name */
    assert_int_equal(keeper_trace_open(&trace, &config), 0);
    WRITE("ccc");
    assert_has(path, "bbb\n");
    assert_has(old, "ccc\n");
    config.trace_file = NULL;
    assert_int_equal(keeper_trace_open(&trace, &config), 0);
    WRITE("ddd");
    assert_null(trace.stream);
}

/* A directory where the old one is to be: it is begun anew all the same. */
static void the_bound_holds_also_where_it_cannot_be_moved(void **state)
{
    char below[96];

    (void)state;
    config.trace_max_size = 8;
    assert_int_equal(mkdir(old, 0755), 0);
    snprintf(below, sizeof(below), "%s/x", old);
    assert_int_equal(mkdir(below, 0755), 0);
    assert_int_equal(keeper_trace_open(&trace, &config), 0);
    WRITE("aaa", "bbb", "ccc");
    assert_has(path, "ccc\n");
}

static void one_that_cannot_be_opened_is_none(void **state)
{
    (void)state;
    config.trace_file = directory;
    assert_true(keeper_trace_open(&trace, &config) < 0);
    WRITE("aaa");
    assert_null(trace.stream);
}

/* Through a daemon: after logrotate has moved it away. */
static void a_reload_opens_it_anew(void **state)
{
    char option[128];
    struct daemon *daemon;

    (void)state;
    snprintf(option, sizeof(option), "trace_file = \"%s\"\n", path);
    daemon = fixture_start(option);
    assert_int_equal(rename(path, moved), 0);
    fixture_admit(daemon, "\"127.0.0.1\"");
    for (unsigned i = 0; i < 3000 && access(path, F_OK) != 0; i++)
        usleep(10000); /* until the keeper has it */
    assert_int_equal(access(path, F_OK), 0);
    fixture_stop(daemon);
    fixture_clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(a_trace_that_is_full_becomes_the_old_one),
        CASE(what_was_there_counts),
        CASE(without_a_bound_there_is_none),
        CASE(opened_anew_it_lets_go_of_what_was_moved),
        CASE(the_bound_holds_also_where_it_cannot_be_moved),
        CASE(one_that_cannot_be_opened_is_none),
        CASE(a_reload_opens_it_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
