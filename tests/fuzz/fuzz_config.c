/*
 * The syntax of sealnfs.conf: whatever the text, every line that is told is one that the text has,
 * exports end as often as they begin, and options come between.
 */
#include "fuzz.h"
#include "server/config/syntax.h"

struct told {
    unsigned lines; /* of the text */
    bool in_export;
};

static void check_line(const struct told *told, unsigned line)
{
    fuzz_must(line >= 1 && line <= told->lines, "a line that the text does not have");
}

static void on_option(void *context, const struct syntax_option *option)
{
    check_line(context, option->line);
    fuzz_must(option->is_list || option->count == 1, "an option without its value");
    fuzz_must(strlen(option->name) > 0, "an option without a name");
    for (size_t i = 0; i < option->count; i++) {
        check_line(context, option->values[i].line);
        fuzz_must(option->values[i].line >= option->line, "a value above its option");
        fuzz_must(strlen(option->values[i].text) < FUZZ_ROOM, "a value without an end");
    }
}

static void on_export(void *context, const char *name, unsigned line)
{
    struct told *told = context;

    check_line(told, line);
    fuzz_must(!told->in_export && strlen(name) < FUZZ_ROOM, "an export within an export");
    told->in_export = true;
}

static void on_export_end(void *context)
{
    struct told *told = context;

    fuzz_must(told->in_export, "the end of no export");
    told->in_export = false;
}

static void on_mistake(void *context, unsigned line, const char *what)
{
    check_line(context, line);
    fuzz_must(strstr(what, "; ") != NULL, "a mistake without a remedy");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct told told = {.lines = 1};
    const struct syntax_events events = {.on_option = on_option,
                                         .on_export = on_export,
                                         .on_export_end = on_export_end,
                                         .on_mistake = on_mistake,
                                         .context = &told};
    char *text =
        malloc(size ? size : 1); /* of exact size: the sanitizer sees a step over its end */

    fuzz_must(text != NULL, "out of memory");
    memcpy(text, data, size);
    for (size_t i = 0; i < size; i++)
        told.lines += text[i] == '\n';
    fuzz_must(syntax_read(text, size, &events) == 0, "out of memory");
    fuzz_must(!told.in_export, "an export without an end");
    free(text);
    return 0;
}
