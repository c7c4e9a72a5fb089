/*
 * syntax.h - the syntax of sealnfs.conf: options, lists, the sections of exports. What it finds it
 * tells in the file's order, each with its line; what options mean is its caller's.
 *
 *     name = value          a value is "quoted" or a word; a string ends in the line it begins in,
 *     name = {value, ...}   unless that ends in a backslash; \" and \\ stand for " and \
 *     export "/name" { ... }
 *     # a comment, as are those of C
 *
 * After a mistake it goes on with the next line, so that all are told at once.
 */
#ifndef SEALNFS_SERVER_CONFIG_SYNTAX_H
#define SEALNFS_SERVER_CONFIG_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

struct syntax_value {
    const char *text;
    unsigned line;
};

struct syntax_option {
    const char *name;
    unsigned line;
    bool is_list; /* it was written in braces */
    const struct syntax_value *values;
    size_t count;
};

/* Texts are valid during the call. */
struct syntax_events {
    void (*on_option)(void *context, const struct syntax_option *option);
    /* The options that follow, until its end, are this export's. */
    void (*on_export)(void *context, const char *name, unsigned line);
    void (*on_export_end)(void *context);
    void (*on_mistake)(void *context, unsigned line, const char *what);
    void *context;
};

/* 0 (mistakes or none), or -ENOMEM. */
int syntax_read(const char *text, size_t len, const struct syntax_events *events);

#endif
