/*
 * hold.h - "sealctl hold": a file held from the shell, see tools/sealctl/hold.c.
 */
#ifndef SEALNFS_TOOLS_SEALCTL_HOLD_H
#define SEALNFS_TOOLS_SEALCTL_HOLD_H

#include <stdbool.h>

struct hold_options {
    const char *socket, *file; /* file: absolute */
    const char *shown;         /* as a terminal may have it */
    const char *fence;         /* "close", "hook" or "none" */
    bool write, json;
    char **command; /* NULL-terminated; NULL: hold until interrupted */
};

/* The exit status: the command's, or one of sealctl's own. */
int sealctl_hold(const struct hold_options *options);

#endif
