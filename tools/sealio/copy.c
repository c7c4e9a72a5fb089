/*
 * sealio cat and sealio cp. See tool.h.
 */
#include "tools/sealio/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Large enough that a disk is kept busy by one read; aligned for O_DIRECT. */
enum { BUFFER_SIZE = 8 << 20, BUFFER_ALIGN = 4096 };

/* One side of a copy: a URL or a local file. */
struct end {
    const char *name;
    bool is_remote;
    struct tool_remote remote;
    struct sealio_buffer *buffer; /* what it is copied by, for RDMA */
    int fd;
    uint64_t size; /* of a source; 0: not known */
};

static int open_local(struct end *end, int flags)
{
    struct stat st;
    end->fd = strcmp(end->name, "-") == 0 ? dup(flags == O_RDONLY ? STDIN_FILENO : STDOUT_FILENO)
                                          : open(end->name, flags | O_CLOEXEC, 0666);
    if (end->fd < 0)
        return tool_error(NULL, end->name, -errno);
    if (fstat(end->fd, &st) == 0 && S_ISREG(st.st_mode))
        end->size = (uint64_t)st.st_size;
    return TOOL_OK;
}

static int open_end(const struct tool_options *options, struct end *end, bool source, void *buf)
{
    end->is_remote = sealio_url_is(end->name);
    end->fd = -1;
    if (!end->is_remote)
        return open_local(end, source ? O_RDONLY
                                      : O_WRONLY | O_CREAT | (options->in_place ? 0 : O_TRUNC));
    unsigned flags = source ? SEALIO_READ : SEALIO_WRITE;
    if (!source && !options->in_place)
        flags |= SEALIO_CREATE | SEALIO_TRUNCATE;
    int code = tool_remote_open(options, end->name, flags, &end->remote);
    struct sealio_stat st;
    if (code == TOOL_OK && source && sealio_file_stat(end->remote.file, &st) == 0)
        end->size = st.size;
    if (code == TOOL_OK && source && options->session.layouts != SEALIO_LAYOUTS_NEVER)
        sealio_layout_get(end->remote.file,
                          false); /* if there is none, reading tells or falls back */
    if (code == TOOL_OK && (options->hold || options->hold_until_recalled))
        sealio_layout_hold(end->remote.file, true);
    if (code == TOOL_OK &&
        sealio_buffer_register(end->remote.session, buf, BUFFER_SIZE, &end->buffer) < 0)
        end->buffer = NULL; /* then it is copied once more */
    return code;
}

static int close_end(const struct tool_options *options, struct end *end, int code)
{
    sealio_buffer_release(end->buffer);
    if (end->is_remote)
        return tool_remote_close(options, &end->remote, code);
    if (end->fd >= 0 && close(end->fd) < 0 && code == TOOL_OK)
        code = tool_error(NULL, end->name, -errno);
    return code;
}

static ssize_t read_end(struct end *end, void *buf, size_t len, uint64_t offset)
{
    if (end->is_remote)
        return sealio_file_read(end->remote.file, buf, len, offset);
    ssize_t n;
    do
        n = read(end->fd, buf, len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int write_end(struct end *end, const uint8_t *buf, size_t len, uint64_t offset)
{
    if (end->is_remote) {
        ssize_t n = sealio_file_write(end->remote.file, buf, len, offset);
        return n < 0 ? (int)n : 0;
    }
    while (len > 0) {
        ssize_t n = write(end->fd, buf, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        buf += n;
        len -= (size_t)n;
    }
    return 0;
}

struct progress {
    bool on;
    double opened, started, told; /* before opening, before copying, last line: seconds() */
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void tell(struct progress *progress, const struct end *source, uint64_t done, bool last)
{
    const double now = seconds();
    if (!progress->on || (!last && now - progress->told < 0.2))
        return;
    progress->told = now;
    const double rate =
        now > progress->started ? (double)done / (now - progress->started) / 1048576 : 0;
    if (source->size > 0)
        fprintf(stderr, "\r%3u %%  %8.1f MiB  %7.1f MiB/s ",
                (unsigned)(100 * (double)done / (double)source->size), (double)done / 1048576,
                rate);
    else
        fprintf(stderr, "\r%8.1f MiB  %7.1f MiB/s ", (double)done / 1048576, rate);
    if (last)
        fputc('\n', stderr);
}

enum { SYNC_EVERY = 256 << 20, MAX_REWRITES = 10 };

struct position {
    uint64_t offset, synced; /* copied so far; of that, stable */
    unsigned rewrites;
    bool end;
};

/* Makes what was written stable. If a restart of the server lost it, goes back to where the last
 * sync was. */
static int settle(const struct end *source, struct end *target, struct position *at)
{
    int rc = target->is_remote ? sealio_file_sync(target->remote.file) : 0;
    if (rc == -EAGAIN && at->rewrites++ < MAX_REWRITES &&
        (source->is_remote || lseek(source->fd, (off_t)at->synced, SEEK_SET) >= 0)) {
        at->offset = at->synced;
        at->end = false;
        return TOOL_OK;
    }
    if (rc < 0)
        return tool_error(&target->remote, target->name, rc);
    at->synced = at->offset;
    return TOOL_OK;
}

static int copy_data(struct end *source, struct end *target, struct progress *progress,
                     uint8_t *buf)
{
    struct position at = {.offset = 0};
    int code = TOOL_OK;
    while (code == TOOL_OK && !at.end) {
        ssize_t n = read_end(source, buf, BUFFER_SIZE, at.offset);
        if (n < 0)
            return tool_error(source->is_remote ? &source->remote : NULL, source->name, (int)n);
        int rc = write_end(target, buf, (size_t)n, at.offset);
        if (rc < 0)
            return tool_error(target->is_remote ? &target->remote : NULL, target->name, rc);
        at.offset += (uint64_t)n;
        at.end = n == 0;
        tell(progress, source, at.offset, false);
        if (at.end || at.offset - at.synced >= SYNC_EVERY)
            code = settle(source, target, &at);
    }
    if (code == TOOL_OK)
        tell(progress, source, at.offset, true);
    return code;
}

static int copy(const struct tool_options *options, const char *from, const char *to,
                bool with_progress)
{
    struct end source = {.name = from}, target = {.name = to};
    struct progress progress = {.on = with_progress && !options->quiet && isatty(STDERR_FILENO),
                                .opened = seconds()};
    uint8_t *buf = aligned_alloc(BUFFER_ALIGN, BUFFER_SIZE);
    int code = buf ? open_end(options, &source, true, buf) : tool_error(NULL, from, -ENOMEM);
    if (code != TOOL_OK) {
        free(buf);
        return code;
    }
    code = open_end(options, &target, false, buf);
    if (code == TOOL_OK) {
        progress.started = seconds();
        code = copy_data(&source, &target, &progress, buf);
        if (code == TOOL_OK && options->stats)
            fprintf(stderr, "time: %.3f s to open, %.3f s to copy\n",
                    progress.started - progress.opened, seconds() - progress.started);
        if (code == TOOL_OK && source.is_remote)
            tool_hold(options, &source.remote);
        if (code == TOOL_OK && target.is_remote)
            tool_hold(options, &target.remote);
        code = close_end(options, &target, code);
    }
    code = close_end(options, &source, code);
    free(buf);
    return code;
}

int tool_cat(const struct tool_options *options, const char *url)
{
    return copy(options, url, "-", false);
}

int tool_cp(const struct tool_options *options, const char *source, const char *target)
{
    return copy(options, source, target, true);
}
