/*
 * table.h - answers of the server as tables for people.
 */
#ifndef SEALNFS_TOOLS_SEALCTL_TABLE_H
#define SEALNFS_TOOLS_SEALCTL_TABLE_H

#include <jansson.h>
#include <stddef.h>

struct column {
    const char *key, *head;
};

/* A string, a number, "yes" or "no"; "-" where there is none. room: for a number. */
const char *text_of(const json_t *object, const char *key, char *room, size_t size);
long long number_of(const json_t *object, const char *key);
/* "a, b"; "none" where there is none. For a row of a table, in place of the list. */
void join_list(json_t *row, const char *key);
/* A table; under each row the sentences that say why and what to do, where there are any. */
void print_table(const json_t *rows, const struct column *columns, size_t count, const char *empty);

#define PRINT_TABLE(reply, key, columns, empty)                                                    \
    print_table(json_object_get(reply, key), columns, sizeof(columns) / sizeof((columns)[0]), empty)

#endif
