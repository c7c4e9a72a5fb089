/*
 * dump.c - a configuration as it is in effect, in the syntax of its file.
 */
#include <inttypes.h>
#include <string.h>

#include "server/config/config.h"
#include "server/config/table.h"

static void print_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void print_list(const struct option *option, const void *list, size_t count, FILE *out)
{
    char text[CONFIG_NAME_MAX + 1];

    fputc('{', out);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        if (option->type == TYPE_NETWORKS) {
            config_network_print(&((const struct config_network *)list)[i], text, sizeof(text));
            print_text(text, out);
        } else {
            print_text(((char *const *)list)[i], out);
        }
    }
    fputc('}', out);
}

static void print_number(const struct option *option, const void *at, FILE *out)
{
    switch (option->type) {
    case TYPE_PORT:
        fprintf(out, "%u", (unsigned)*(const uint16_t *)at);
        break;
    case TYPE_SIZE64:
        fprintf(out, "%" PRIu64, *(const uint64_t *)at);
        break;
    default:
        fprintf(out, "%" PRIu32, *(const uint32_t *)at);
    }
}

static void print_one(const struct option *option, const void *at, FILE *out)
{
    switch (option->type) {
    case TYPE_BOOL:
        fputs(option_word(option->type, *(const bool *)at), out);
        break;
    case TYPE_ACCESS:
    case TYPE_ALLOW:
        print_text(option_word(option->type, *(const bool *)at), out);
        break;
    case TYPE_SQUASH:
    case TYPE_POLICY:
    case TYPE_LAYOUT_TYPES:
    case TYPE_LEVEL:
        print_text(option_word(option->type, *(const int *)at), out);
        break;
    default:
        if (option_is_text(option->type))
            print_text(*(char *const *)at, out);
        else
            print_number(option, at, out);
    }
}

static void print_option(const struct option *option, const void *section, const char *before,
                         FILE *out)
{
    const char *base = section;
    const void *at = base + option->offset;
    const size_t count =
        option_is_list(option) ? *(const size_t *)(const void *)(base + option->count_offset) : 0;

    if (option_is_list(option) ? count == 0 : option_is_text(option->type) && !*(char *const *)at)
        return;
    fprintf(out, "%s%s = ", before, option->name);
    if (option_is_list(option))
        print_list(option, *(const void *const *)at, count, out);
    else
        print_one(option, at, out);
    fputc('\n', out);
}

void config_dump(const struct config *config, FILE *out)
{
    size_t count;
    const struct option *options = option_table(false, &count);

    /* It is all here. */
    fputs("include_dir = \"\"\n", out);
    for (size_t i = 0; i < count; i++)
        if (options[i].type != TYPE_INCLUDE)
            print_option(&options[i], config, "", out);
    options = option_table(true, &count);
    for (size_t i = 0; i < config->export_count; i++) {
        fputs("\nexport ", out);
        print_text(config->exports[i].pseudo, out);
        fputs(" {\n", out);
        for (size_t j = 0; j < count; j++)
            print_option(&options[j], &config->exports[i], "    ", out);
        fputs("}\n", out);
    }
}
