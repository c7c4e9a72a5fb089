/*
 * sources.h - the files that a configuration is made of: the one that is named, then those of its
 * include directory whose names end in ".conf", in the order of their names.
 */
#ifndef SEALNFS_SERVER_CONFIG_SOURCES_H
#define SEALNFS_SERVER_CONFIG_SOURCES_H

#include <stddef.h>

struct config_source {
    char *path;
    char *text;
    size_t len;
    int error; /* -errno: it cannot be read */
};

enum { CONFIG_SOURCES_MAX = 1000 };

struct config_sources {
    struct config_source *list;
    size_t count;
};

/* 0: the first is there, at least; -ENOMEM. What cannot be read says so by itself. */
int config_sources_read(const char *path, struct config_sources *out);
void config_sources_free(struct config_sources *sources);

#endif
