/* The parts of the tool sealio: one function per command, what they share. One thread. */
#ifndef TOOLS_SEALIO_TOOL_H
#define TOOLS_SEALIO_TOOL_H

#include "client/sealio.h"

enum tool_exit {
    TOOL_OK = 0,
    TOOL_FAILED = 1, /* the server, the network, a disk or a local file failed */
    TOOL_USAGE = 2,
    TOOL_NO_LAYOUT = 3, /* --require-layout, and the data cannot be had directly */
};

enum { TOOL_MAX_DEVICES = 64 };

struct tool_options {
    struct sealio_options session;
    const char *devices[TOOL_MAX_DEVICES];
    bool stats, json, quiet, in_place;
    bool hold, hold_until_recalled;
    unsigned hold_seconds;
};

/* An open session and file by URL. */
struct tool_remote {
    struct sealio_session *session;
    struct sealio_file *file;
    struct sealio_url url;
};

int tool_cat(const struct tool_options *options, const char *url);
int tool_cp(const struct tool_options *options, const char *source, const char *target);
int tool_map(const struct tool_options *options, const char *url);
int tool_ls(const struct tool_options *options, const char *url);
/* Has options of its own. */
int tool_bench(int argc, char **argv);
void tool_bench_usage(void);
void tool_bench_rdma_usage(void);

/* Print "sealio: ..." on stderr; return the exit code that fits. */
int tool_error(const struct tool_remote *remote, const char *what, int rc);
int tool_remote_open(const struct tool_options *options, const char *url, unsigned flags,
                     struct tool_remote *remote);
/* Closes everything, prints --stats; `code` is kept unless closing fails. */
int tool_remote_close(const struct tool_options *options, struct tool_remote *remote, int code);
/* --hold: keeps the layout as the options say, then returns it. */
void tool_hold(const struct tool_options *options, struct tool_remote *remote);

#endif
