/*
 * table.h - the table of options, and how one value is read by its option's type. For
 * config.c and its tests of drift.
 */
#ifndef SEALNFS_SERVER_CONFIG_TABLE_H
#define SEALNFS_SERVER_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {
    TYPE_TEXT,      /* char * */
    TYPE_NODE,      /* char * */
    TYPE_PSEUDO,    /* char *, an absolute normal path */
    TYPE_DIRECTORY, /* char *, must be there */
    TYPE_INCLUDE,   /* char *, must be there, or "" */
    TYPE_EXPORTED,  /* char *, may be away */
    TYPE_PLACE,     /* char *, its directory must be there */
    TYPE_PROGRAM,   /* char *, must be executable */
    TYPE_GROUP,     /* char *, must be known */
    TYPE_ENDPOINT,  /* char *, a numeric address and a port */
    TYPE_ADDRESSES, /* size_t, char ** */
    TYPE_NETWORKS,  /* size_t, struct config_network * */
    TYPE_PATTERNS,  /* size_t, char ** */
    TYPE_UNSIGNED,  /* unsigned */
    TYPE_PORT,      /* uint16_t */
    TYPE_ID,        /* uint32_t */
    TYPE_SIZE32,    /* uint32_t, with K, M, G */
    TYPE_SIZE64,    /* uint64_t, with K, M, G, T */
    TYPE_BOOL,
    TYPE_ACCESS,     /* bool: "rw" or "ro" */
    TYPE_MOUNTPOINT, /* char *: a word or a path */
    TYPE_ALLOW,      /* bool: "allow" or "refuse" */
    TYPE_SQUASH,
    TYPE_POLICY,
    TYPE_LAYOUT_TYPES,
    TYPE_LEVEL,
};

struct option {
    const char *name;
    enum option_type type;
    const char *initial; /* text; NULL: no value */
    size_t offset;
    size_t count_offset; /* lists */
    uint64_t min, max;   /* numbers */
    const char *help;
};

enum { OPTION_TABLE_MAX = 64 }; /* of one section; checked where the tables are */

/* The options of the export sections, or of the top level. */
const struct option *option_table(bool in_export, size_t *count);
/* NULL: unknown. */
const struct option *option_find(bool in_export, const char *name);
bool option_is_list(const struct option *option);
bool option_is_text(enum option_type type); /* char * */
/* Is the option's value the same in both sections (struct config or config_export)? */
bool option_same(const struct option *option, const void *a, const void *b);
/* Check text and, if `at` is given, store the value there (lists are only checked). NULL, or `why`,
 * which says what is wrong and what to do. */
const char *option_read(const struct option *option, const char *text, void *at, char *why,
                        size_t room);
/* A default directory of the server's own: it need not be there, config_make_places makes it. Any
 * other must: it may be a disk that is not mounted. */
bool option_dir_is_ours(const char *dir);
/* What stands for this value in the file: "auto+rdma" for a TYPE_LAYOUT_TYPES. */
const char *option_word(enum option_type type, int value);

#endif
