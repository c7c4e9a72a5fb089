/* See table.h. */
#include "tools/sealctl/table.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proto/quote.h"

const char *text_of(const json_t *object, const char *key, char *room, size_t size)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value)) {
        snprintf(room, size, "%lld", (long long)json_integer_value(value));
        return room;
    }
    if (json_is_boolean(value))
        return json_is_true(value) ? "yes" : "no";
    return "-";
}

long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

void join_list(json_t *row, const char *key)
{
    const json_t *list = json_object_get(row, key);
    char text[1024] = "none";
    size_t len = 0, index;
    json_t *member;

    json_array_foreach(list, index, member)
    {
        int more = snprintf(text + len, sizeof(text) - len, "%s%s", index ? ", " : "",
                            json_string_value(member));
        if (more < 0 || (size_t)more >= sizeof(text) - len) { /* cut, perhaps in a character */
            len = quote_text(text, sizeof(text) - 3, text, strlen(text), NULL);
            strcpy(text + len, "...");
            break;
        }
        len += (size_t)more;
    }
    json_object_set_new(row, key, json_string(text));
}

/* In characters, for what is UTF-8. */
static int width_of(const char *text)
{
    int width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_cell(const char *text, int width, bool last)
{
    printf("%s%*s%s", text, last ? 0 : width - width_of(text), "", last ? "\n" : "  ");
}

static void column_widths(const json_t *rows, const struct column *columns, size_t count,
                          int *widths)
{
    char room[32];
    size_t index;
    json_t *row;

    for (size_t i = 0; i < count; i++) {
        widths[i] = (int)strlen(columns[i].head);
        json_array_foreach(rows, index, row)
        {
            int width = width_of(text_of(row, columns[i].key, room, sizeof(room)));
            if (width > widths[i])
                widths[i] = width;
        }
    }
}

void print_table(const json_t *rows, const struct column *columns, size_t count, const char *empty)
{
    int widths[16] = {0};
    char room[32];
    size_t index;
    json_t *row;

    if (json_array_size(rows) == 0) {
        puts(empty);
        return;
    }
    column_widths(rows, columns, count, widths);
    for (size_t i = 0; i < count; i++)
        print_cell(columns[i].head, widths[i], i + 1 == count);
    json_array_foreach(rows, index, row)
    {
        const char *why = json_string_value(json_object_get(row, "why"));
        const char *advice = json_string_value(json_object_get(row, "advice"));
        for (size_t i = 0; i < count; i++)
            print_cell(text_of(row, columns[i].key, room, sizeof(room)), widths[i], i + 1 == count);
        if (why && why[0])
            printf("    %s\n", why);
        if (advice && advice[0])
            printf("    %s\n", advice);
    }
}
