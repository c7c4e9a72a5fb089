/*
 * test_docs.c - the example configuration and sealnfs.conf(5) say what the option table says: no
 * option missing, none too many, each with its help text and default; the protocol page says what
 * the tables of operations and attributes say.
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

#include "proto/nfs4/attr.h"
#include "server/config/config.h"
#include "server/nfs/attr.h"
#include "server/nfs/compound.h"

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
            fail_msg("sealnfs.conf(5) gives another default than %s for %s",
                     options[i].default_text, options[i].name);
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
        while (start > example && (islower((unsigned char)start[-1]) ||
                                   isdigit((unsigned char)start[-1]) || start[-1] == '_'))
            start--;
        entries += start > example && start[-1] == '#';
    }
    assert_int_equal(entries, count);
    free(example);
}

static void the_protocol_page_gives_each_operation_its_state(void **state)
{
    char *page = read_file("docs/protocol.md"), row[64];
    (void)state;

    for (uint32_t op = NFS4_OP_FIRST; op <= NFS4_OP_LAST; op++) {
        bool of_4_0 = op == OP_OPEN_CONFIRM || op == OP_RENEW || op == OP_SETCLIENTID ||
                      op == OP_SETCLIENTID_CONFIRM || op == OP_RELEASE_LOCKOWNER;
        const char *name = nfs4_op_name(op);
        snprintf(row, sizeof(row), "\n| %s | %s |", strncmp(name, "OP_", 3) == 0 ? name + 3 : name,
                 op_table[op].handler ? "yes" : "no");
        if (!of_4_0 && !strstr(page, row))
            fail_msg("docs/protocol.md lacks \"%s\"", row + 1);
    }
    free(page);
}

static void the_protocol_page_gives_each_attribute_its_state(void **state)
{
    char *page = read_file("docs/protocol.md"), name[64], served[16], settable[16];
    bitmap4 supported = attr_supported(NULL), may_set = attr_settable();
    unsigned number, rows = 0;
    (void)state;

    for (const char *p = strstr(page, "## Attributes"); p; p = strchr(p + 1, '\n')) {
        settable[0] = '\0';
        if (sscanf(p, "\n| %u | %63s | %15s | %15[a-z]", &number, name, served, settable) < 3)
            continue;
        assert_int_equal(number, rows++);
        if (strcmp(served, "layouts") != 0 &&
            bitmap4_isset(&supported, number) != (strcmp(served, "yes") == 0))
            fail_msg("docs/protocol.md: %s is said to be \"%s\"", name, served);
        if (bitmap4_isset(&may_set, number) != (strcmp(settable, "set") == 0))
            fail_msg("docs/protocol.md: %s: whether it can be set", name);
    }
    assert_int_equal(rows, FATTR4_LAST + 1);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_manual_page_describes_every_option),
        cmocka_unit_test(the_example_configuration_shows_every_option),
        cmocka_unit_test(the_protocol_page_gives_each_operation_its_state),
        cmocka_unit_test(the_protocol_page_gives_each_attribute_its_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
