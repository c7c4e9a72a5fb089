/*
 * trace.c - see trace.h.
 */
#include "server/keeper/trace.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/base/log.h"
#include "server/config/config.h"

static int open_stream(struct keeper_trace *trace)
{
    struct stat st;

    trace->stream = fopen(trace->path, "ae");
    if (!trace->stream) {
        const int err = -errno;

        log_error("trace_file %s: %s; correct that, and reload", trace->path, strerror(-err));
        return err;
    }
    trace->size = fstat(fileno(trace->stream), &st) == 0 ? (uint64_t)st.st_size : 0;
    return 0;
}

void keeper_trace_close(struct keeper_trace *trace)
{
    if (trace->stream)
        fclose(trace->stream);
    free(trace->path);
    *trace = (struct keeper_trace){0};
}

int keeper_trace_open(struct keeper_trace *trace, const struct config *config)
{
    keeper_trace_close(trace);
    if (!config->trace_file)
        return 0;
    trace->most = config->trace_max_size;
    trace->path = strdup(config->trace_file);
    return trace->path ? open_stream(trace) : -ENOMEM;
}

/* If it cannot be moved it is begun anew: the bound counts more than what is old. */
static void begin_anew(struct keeper_trace *trace)
{
    char old[PATH_MAX];

    fclose(trace->stream);
    trace->stream = NULL;
    snprintf(old, sizeof(old), "%s.1", trace->path);
    if (rename(trace->path, old) != 0) {
        log_warning("trace_file %s cannot become %s: %s; it is begun anew", trace->path, old,
                    strerror(errno));
        if (remove(trace->path) != 0)
            return;
    }
    (void)open_stream(trace);
}

void keeper_trace_write(struct keeper_trace *trace, const char *line)
{
    const size_t len = strlen(line) + 1;

    if (trace->stream && trace->most > 0 && trace->size > 0 && trace->size + len > trace->most)
        begin_anew(trace);
    if (!trace->stream)
        return;
    fputs(line, trace->stream);
    fputc('\n', trace->stream);
    trace->size += len;
}

void keeper_trace_flush(struct keeper_trace *trace)
{
    if (!trace->stream)
        return;
    if (fflush(trace->stream) == 0 && !ferror(trace->stream)) {
        trace->failed = false;
        return;
    }
    if (!trace->failed)
        log_warning("trace_file %s: %s; lines are missing", trace->path, strerror(errno));
    trace->failed = true;
    clearerr(trace->stream);
}
