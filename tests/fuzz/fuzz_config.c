/*
 * sealnfs.conf. Its syntax: whatever the text, every line that is told is one that the text has,
 * exports end as often as they begin, and options come between. Then the whole of what `sealnfsd
 * --check` and `--paths` do, and the comparison of a reload: a text is taken, or refused with
 * mistakes that name file, line and remedy.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "server/base/log.h"
#include "server/config/config.h"
#include "server/config/syntax.h"
#include "server/daemon.h"

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

static void read_syntax(const uint8_t *data, size_t size)
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
}

/* ---- the file as sealnfsd --check has it ---- */

static char base[] = "/dev/shm/sealnfs-fuzz-XXXXXX", file[64];
static FILE *said; /* what is said of it */

static void clean(void)
{
    char command[80];

    fclose(said);
    snprintf(command, sizeof(command), "rm -rf %s", base);
    fuzz_must(system(command) == 0, "rm");
}

static void start(void)
{
    static const char *const names[] = {"state", "files", "other"};
    char path[64];

    fuzz_must(mkdtemp(base) != NULL, "mkdtemp");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", base, names[i]);
        fuzz_must(mkdir(path, 0700) == 0, "mkdir");
    }
    snprintf(file, sizeof(file), "%s/conf", base);
    said = tmpfile();
    fuzz_must(said != NULL, "tmpfile");
    log_set_level(LOG_LEVEL_ERROR);
    atexit(clean);
}

/* Each @ becomes the directory of this run, so that seeds can name what is there. */
static void write_file(const uint8_t *data, size_t size)
{
    FILE *stream = fopen(file, "w");

    fuzz_must(stream != NULL, "fopen");
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '@')
            fputs(base, stream);
        else
            putc(data[i], stream);
    }
    fuzz_must(fclose(stream) == 0, "fclose");
}

static size_t begin_saying(void)
{
    rewind(said);
    fuzz_must(ftruncate(fileno(said), 0) == 0, "ftruncate");
    return strlen(file);
}

/* Every line is "file:line: what is wrong; what to do". */
static unsigned count_mistakes(size_t name_len)
{
    static char line[FUZZ_ROOM];
    unsigned count = 0;
    char *end;

    rewind(said);
    while (fgets(line, sizeof(line), said)) {
        fuzz_must(strncmp(line, file, name_len) == 0 && line[name_len] == ':',
                  "a mistake without its file");
        fuzz_must(strtoul(line + name_len + 1, &end, 10) < FUZZ_ROOM && *end == ':',
                  "a mistake without its line");
        fuzz_must(strstr(end, "; ") != NULL, "a mistake without a remedy");
        fuzz_must(line[strlen(line) - 1] == '\n', "a mistake without an end");
        count++;
    }
    return count;
}

/* Nothing is written, nor looked for, outside of this run's directory. */
static bool is_ours(const struct config *config)
{
    const size_t len = strlen(base);

    if (!config->state_dir || strncmp(config->state_dir, base, len) != 0 ||
        strstr(config->state_dir, ".."))
        return false;
    for (size_t i = 0; i < config->export_count; i++)
        if (strncmp(config->exports[i].path, base, len) != 0 ||
            strstr(config->exports[i].path, ".."))
            return false;
    return true;
}

static void check_file(void)
{
    static struct config *before; /* the last good one: as if this were a reload */
    struct config *config;
    char names[512];
    size_t name_len = begin_saying();
    int err = config_load(file, said, &config);

    fuzz_must((count_mistakes(name_len) > 0) == (err != 0), "refused without a mistake, or taken");
    fuzz_must(err == 0 || err == -EINVAL || err == -EFBIG, "an error that a text cannot make");
    begin_saying();
    fuzz_must(config_print_paths(file, said) == 0, "the paths cannot be printed");
    if (err != 0)
        return;
    fuzz_must(config->export_count > 0 && config->state_dir, "a good file without an export");
    config_name_fixed(before ? before : config, config, names, sizeof(names));
    fuzz_must(before || names[0] == '\0', "it differs from itself");
    begin_saying();
    if (is_ours(config))
        fuzz_must(daemon_check(file, said, said) <= 0, "a check");
    else
        config_describe(config, said);
    config_free(before);
    before = config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!said)
        start();
    read_syntax(data, size);
    write_file(data, size);
    check_file();
    return 0;
}
