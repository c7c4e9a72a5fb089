/*
 * watch.h - what changes, looked at again and again: "--watch" of the lists, and "top".
 */
#ifndef SEALNFS_TOOLS_SEALCTL_WATCH_H
#define SEALNFS_TOOLS_SEALCTL_WATCH_H

#include <stdbool.h>

struct watch {
    long interval_s; /* between two looks */
    long count;      /* of looks; 0: until interrupted */
};

/* Between two looks: false when that was the last. For people the next begins at the top of the
 * terminal, or after an empty line. */
bool watch_next(const struct watch *watch, bool json, long *done);
/* Rates by operation and by client, each over an interval. The exit status. */
int sealctl_top(const char *socket, const struct watch *watch, bool json);

#endif
