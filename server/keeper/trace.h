/*
 * trace.h - trace_file: a line for each event and effect of the engine. It is bounded: when it has
 * grown to trace_max_size it becomes FILE.1, in place of an older one. The keeper's thread.
 */
#ifndef SEALNFS_SERVER_KEEPER_TRACE_H
#define SEALNFS_SERVER_KEEPER_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct config;

struct keeper_trace {
    FILE *stream; /* NULL: there is none */
    char *path;
    uint64_t size, most; /* bytes; most 0: no bound */
    bool failed;         /* it was said */
};

/* The file that the configuration names, opened anew, so that one that was moved away is let go;
 * none, if it names none. -errno, told in the log: then there is none. */
int keeper_trace_open(struct keeper_trace *trace, const struct config *config);
void keeper_trace_close(struct keeper_trace *trace);
void keeper_trace_write(struct keeper_trace *trace, const char *line);
/* What was written can be read. */
void keeper_trace_flush(struct keeper_trace *trace);

#endif
