/*
 * test_shipped.c - config/sealnfs.conf as it is installed: its options can be uncommented one by
 * one and all together, and a bad value of any of them is told with the right line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config/config.h"

enum { LINES_MAX = 400, LINE_MAX_LEN = 256 };

/* The shipped file, and what has been made of it. */
struct edit {
    char lines[LINES_MAX][LINE_MAX_LEN];
    unsigned count;
};

static struct edit shipped;
static char path[] = "/tmp/test_shipped.XXXXXX";

static int read_shipped(void **state)
{
    FILE *stream = fopen(SOURCE_DIR "/config/sealnfs.conf", "r");
    (void)state;

    if (!stream || mkstemp(path) < 0)
        return -1;
    while (fgets(shipped.lines[shipped.count], LINE_MAX_LEN, stream))
        if (++shipped.count == LINES_MAX)
            return -1;
    return fclose(stream);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static unsigned line_of(const struct edit *edit, const char *what)
{
    for (unsigned i = 0; i < edit->count; i++)
        if (strncmp(edit->lines[i] + strspn(edit->lines[i], " "), what, strlen(what)) == 0)
            return i;
    fail_msg("config/sealnfs.conf has no line \"%s\"", what);
    return 0;
}

static void uncomment(struct edit *edit, const char *what)
{
    char *sign = strchr(edit->lines[line_of(edit, what)], '#');

    *sign = ' ';
}

static unsigned set_option(struct edit *edit, const char *name, const char *value)
{
    char commented[64];
    unsigned line;

    snprintf(commented, sizeof(commented), "#%s = ", name);
    line = line_of(edit, commented);
    snprintf(edit->lines[line], LINE_MAX_LEN, "%s = %s\n", name, value);
    return line;
}

/* With its export, of a directory that is on every machine. */
static struct edit *begin_edit(bool with_path)
{
    static struct edit edit;

    edit = shipped;
    uncomment(&edit, "#export \"/data\" {");
    uncomment(&edit, "#}");
    if (with_path)
        set_option(&edit, "path", "\"/tmp\"");
    return &edit;
}

static int load(const struct edit *edit, char *said, size_t room)
{
    FILE *out = fopen(path, "w"), *errors = fmemopen(said, room, "w");
    struct config *config;
    int result;

    assert_non_null(out);
    assert_non_null(errors);
    for (unsigned i = 0; i < edit->count; i++)
        fputs(edit->lines[i], out);
    assert_int_equal(fclose(out), 0);
    memset(said, 0, room);
    result = config_load(path, errors, &config);
    fclose(errors);
    if (result == 0)
        config_free(config);
    return result;
}

static void a_bad_value_of_any_option_is_told_with_its_line(void **state)
{
    size_t count;
    const struct config_option *options = config_options(&count);
    char said[2048], where[128];
    (void)state;

    for (size_t i = 0; i < count; i++) {
        const char *name = options[i].name;
        struct edit *edit = begin_edit(strcmp(name, "path") != 0);
        const bool any_text = strcmp(options[i].type, "string") == 0;
        unsigned line = set_option(edit, name, any_text ? "{\"a\", \"b\"}" : "\"[bad\"");

        if (strcmp(name, "clients") != 0)
            uncomment(edit, "#clients = ");
        assert_int_equal(load(edit, said, sizeof(said)), -EINVAL);
        snprintf(where, sizeof(where), "%s:%u: %s: ", path, line + 1, name);
        if (strncmp(said, where, strlen(where)) != 0 || strchr(said, '\n')[1] != '\0')
            fail_msg("expected \"%s\" and no more, got \"%s\"", where, said);
        assert_non_null(strstr(said, "; ")); /* what to do */
    }
}

/* What names something of the operator's: the test's machine need not have it. */
static bool is_of_the_site(const char *name)
{
    return strcmp(name, "control_group") == 0 || strcmp(name, "fence_hook") == 0 ||
           strcmp(name, "path") == 0 || strcmp(name, "clients") == 0 ||
           strcmp(name, "rdma_listen") == 0 || strcmp(name, "include_dir") == 0;
}

static void options_can_be_uncommented_one_by_one_and_all_together(void **state)
{
    static struct edit all;
    size_t count;
    const struct config_option *options = config_options(&count);
    char said[2048], commented[64];
    (void)state;

    all = *begin_edit(true);
    uncomment(&all, "#clients = ");
    for (size_t i = 0; i < count; i++) {
        struct edit *one = begin_edit(true);

        if (is_of_the_site(options[i].name))
            continue;
        uncomment(one, "#clients = ");
        snprintf(commented, sizeof(commented), "#%s = ", options[i].name);
        uncomment(one, commented);
        uncomment(&all, commented);
        if (load(one, said, sizeof(said)) != 0)
            fail_msg("%s", said);
    }
    if (load(&all, said, sizeof(said)) != 0)
        fail_msg("%s", said);
}

static void the_file_as_it_is_lacks_an_export_and_nothing_else(void **state)
{
    char said[2048], where[128];
    (void)state;

    assert_int_equal(load(&shipped, said, sizeof(said)), -EINVAL);
    snprintf(where, sizeof(where), "%s:%u: no export; add a section", path, shipped.count);
    assert_memory_equal(said, where, strlen(where));
    assert_int_equal(strchr(said, '\n')[1], '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_value_of_any_option_is_told_with_its_line),
        cmocka_unit_test(options_can_be_uncommented_one_by_one_and_all_together),
        cmocka_unit_test(the_file_as_it_is_lacks_an_export_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, read_shipped, remove_file);
}
