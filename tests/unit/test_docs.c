/*
 * test_docs.c - the example configuration and sealnfs.conf(5) say what the option table says: no option missing, none too many,
 * each with its help text and default.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"

static char *read_file(const char *name)
{
    char path[512];
    FILE *stream;
    char *text = calloc(1, 1 << 20);

    assert_non_null(text);
    snprintf(path, sizeof(path), "%s/%s", SOURCE_DIR, name);
    stream = fopen(path, "r");
    assert_non_null(stream);
    assert_true(fread(text, 1, (1 << 20) - 1, stream) > 0);
    fclose(stream);
    return text;
}

/* Letters and digits only: line breaks, comment signs and roff escapes do not count. */
static char *squeeze(const char *text)
{
    char *out = malloc(strlen(text) + 1), *p = out;

    assert_non_null(out);
    for (; *text; text++)
        if (isalnum((unsigned char)*text))
            *p++ = *text;
    *p = '\0';
    return out;
}

static void assert_says(const char *text, const char *help, const char *name)
{
    char *squeezed = squeeze(text), *wanted = squeeze(help);

    if (!strstr(squeezed, wanted))
        fail_msg("%s: \"%s\" is not there", name, help);
    free(squeezed);
    free(wanted);
}

static void the_manual_page_describes_every_option(void **state)
{
    char *page = read_file("docs/man/sealnfs.conf.5"), line[256];
    size_t count, entries = 0;
    const struct config_option *options = config_options(&count);
    (void)state;

    for (size_t i = 0; i < count; i++) {
        snprintf(line, sizeof(line), "\n.BI %s \" = \" ", options[i].name);
        if (!strstr(page, line))
            fail_msg("sealnfs.conf(5) lacks %s", options[i].name);
        assert_says(page, options[i].help, options[i].name);
        snprintf(line, sizeof(line), "Default: \\fB%s\\fR.", options[i].default_text);
        if (options[i].default_text[0] && !strstr(page, line))
            fail_msg("sealnfs.conf(5) gives another default than %s for %s", options[i].default_text, options[i].name);
    }
    for (const char *p = page; (p = strstr(p, "\n.BI ")); p++)
        entries += strstr(p, "\" = \"") && strstr(p, "\" = \"") < strchr(p + 1, '\n');
    assert_int_equal(entries, count);
    free(page);
}

static void the_example_configuration_shows_every_option(void **state)
{
    char *example = read_file("config/sealnfs.conf"), line[256];
    size_t count, entries = 0;
    const struct config_option *options = config_options(&count);
    (void)state;

    for (size_t i = 0; i < count; i++) {
        snprintf(line, sizeof(line), "#%s = ", options[i].name);
        if (!strstr(example, line))
            fail_msg("config/sealnfs.conf lacks %s", options[i].name);
        assert_says(example, options[i].help, options[i].name);
    }
    for (const char *p = example; (p = strstr(p, " = ")); p++) {
        const char *start = p;
        while (start > example && (islower((unsigned char)start[-1]) || start[-1] == '_'))
            start--;
        entries += start > example && start[-1] == '#';
    }
    assert_int_equal(entries, count);
    free(example);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_manual_page_describes_every_option),
        cmocka_unit_test(the_example_configuration_shows_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
