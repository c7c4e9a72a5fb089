/*
 * What the tool's commands share. See tool.h.
 */
#include "tools/sealio/tool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int tool_error(const struct tool_remote *remote, const char *what, int rc)
{
    char text[SEALIO_ERROR_MAX] = "";
    if (remote && remote->session)
        sealio_session_error(remote->session, text, sizeof(text));
    if (*text)
        fprintf(stderr, "sealio: %s: %s\n", what, text);
    else
        fprintf(stderr, "sealio: %s: %s\n", what, strerror(-rc));
    return rc == -ENODATA || rc == -ENODEV || rc == -ENOTUNIQ ? TOOL_NO_LAYOUT : TOOL_FAILED;
}

int tool_remote_open(const struct tool_options *options, const char *url, unsigned flags,
                     struct tool_remote *remote)
{
    char text[SEALIO_ERROR_MAX] = "";
    *remote = (struct tool_remote){.session = NULL};
    int rc = sealio_url_parse(url, &remote->url);
    if (rc < 0) {
        fprintf(stderr, "sealio: %s: not a URL of the form nfs://host[:port]/path\n", url);
        return TOOL_USAGE;
    }
    rc = sealio_session_open(remote->url.host, remote->url.port, &options->session, text,
                             &remote->session);
    if (rc < 0) {
        fprintf(stderr, "sealio: %s: %s\n", url, text);
        return TOOL_FAILED;
    }
    if (flags == 0)
        return TOOL_OK;
    rc = sealio_file_open(remote->session, remote->url.path, flags, 0644, &remote->file);
    if (rc == 0)
        return TOOL_OK;
    tool_error(remote, url, rc);
    sealio_session_close(remote->session);
    remote->session = NULL;
    return TOOL_FAILED;
}

static void print_stats(struct sealio_session *session)
{
    struct sealio_counters c;
    sealio_session_counters(session, &c);
    fprintf(stderr,
            "read: %llu bytes direct (%llu reads), %llu bytes by the server (%llu READs), %llu "
            "bytes of holes\n"
            "written: %llu bytes direct (%llu writes), %llu bytes by the server (%llu WRITEs)\n"
            "layouts: %llu LAYOUTGET (%llu refused), %llu LAYOUTCOMMIT, %llu LAYOUTRETURN, %llu "
            "GETDEVICEINFO, "
            "%llu recalls\n"
            "session: %llu calls, %llu reconnects, %llu recoveries\n"
            "rdma: %llu bytes read, %llu bytes written\n",
            (unsigned long long)c.bytes_read_direct, (unsigned long long)c.reads_direct,
            (unsigned long long)c.bytes_read_server, (unsigned long long)c.reads_server,
            (unsigned long long)c.bytes_read_holes, (unsigned long long)c.bytes_written_direct,
            (unsigned long long)c.writes_direct, (unsigned long long)c.bytes_written_server,
            (unsigned long long)c.writes_server, (unsigned long long)c.layoutgets,
            (unsigned long long)c.layoutgets_refused, (unsigned long long)c.layoutcommits,
            (unsigned long long)c.layoutreturns, (unsigned long long)c.getdeviceinfos,
            (unsigned long long)c.recalls, (unsigned long long)c.calls,
            (unsigned long long)c.reconnects, (unsigned long long)c.recoveries,
            (unsigned long long)c.bytes_read_rdma, (unsigned long long)c.bytes_written_rdma);
}

int tool_remote_close(const struct tool_options *options, struct tool_remote *remote, int code)
{
    if (!remote->session)
        return code;
    int rc = sealio_file_close(remote->file);
    if (rc < 0 && code == TOOL_OK)
        code = tool_error(remote, remote->url.path, rc);
    if (options->stats)
        print_stats(remote->session);
    sealio_session_close(remote->session);
    return code;
}

static void say(const struct tool_options *options, const char *path, const char *what)
{
    if (!options->quiet)
        fprintf(stderr, "sealio: %s: %s\n", path, what);
}

void tool_hold(const struct tool_options *options, struct tool_remote *remote)
{
    const char *path = remote->url.path;
    if (!options->hold && !options->hold_until_recalled)
        return;
    const time_t start = time(NULL);
    const uint32_t most_ms =
        options->hold_until_recalled ? UINT32_MAX : options->hold_seconds * 1000;
    say(options, path, "holding the layout");
    int rc = sealio_layout_wait_recall(remote->file, most_ms);
    if (rc == 0)
        say(options, path, "recalled");
    if (rc == -ENODATA)
        say(options, path, "no layout is held");
    const time_t held = time(NULL) - start;
    if (rc == 0 && !options->hold_until_recalled && held < (time_t)options->hold_seconds) {
        const struct timespec rest = {.tv_sec = (time_t)options->hold_seconds - held};
        nanosleep(&rest, NULL);
    }
    if (rc == -ENODATA)
        return;
    rc = sealio_layout_return(remote->file);
    if (rc < 0)
        tool_error(remote, path, rc);
    else
        say(options, path, "returned");
}
