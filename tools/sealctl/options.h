/*
 * options.h - the command line of sealctl: its commands, its options, and which belong together.
 */
#ifndef SEALNFS_TOOLS_SEALCTL_OPTIONS_H
#define SEALNFS_TOOLS_SEALCTL_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "tools/sealctl/watch.h"

struct options;

struct command {
    const char *name;
    enum { NO_FILE, MAY_FILE, NEEDS_FILE, NEEDS_NAME, MAY_NAME } file;
    bool many; /* more than one file may be named */
    const char *usage;
    const char *help; /* as it stands in the summary */
    void (*print)(const json_t *reply, const char *file);
    int (*run)(const struct options *options, const char *path); /* NULL: asks the server once */
};

struct options {
    const char *socket;
    const struct command *command;
    const char *file;
    const char *shown; /* the same, as a terminal may have it */
    char **files;      /* NULL, or all that were named: more than one */
    int file_count;
    const char *fence;  /* NULL: none given */
    const char *config; /* NULL: none given */
    char **argv;        /* hold: of the command to run; NULL: none */
    bool json, pinned, fill, sparse, wait, write, yes, all;
    long long reserve; /* bytes; 0: none asked for */
    long timeout_s;    /* -1: none given */
    bool dry_run, again;
    struct watch watch;
};

/* One of them; NULL: there is none of this name. */
const struct command *find_command(const char *name);
/* main.c: all that there are. */
extern const struct command commands[];
extern const size_t command_count;

/* -1: go on; else the exit status, and it is said what is wrong. */
int parse_options(int argc, char **argv, struct options *options);
/* Says it, with where to read on; EXIT_USAGE. which may be NULL. */
int wrong_usage(const char *what, const char *which);
void print_help(void);

#endif
