/*
 * sealio map and sealio ls. See tool.h.
 */
#include "tools/sealio/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/quote.h"

static const char *state_name(enum sealio_extent_state state)
{
    static const char *const names[] = {"read-write", "read", "invalid", "hole"};
    return names[state];
}

/* A device path or file name as a JSON string. */
static void print_json_string(const char *text)
{
    putchar('"');
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            printf("\\%c", *p);
        else if (*p < 0x20)
            printf("\\u%04x", *p);
        else
            putchar(*p);
    }
    putchar('"');
}

static void print_json(const struct tool_remote *remote, uint64_t size,
                       const struct sealio_extent *extents, size_t count)
{
    printf("{\"path\": ");
    print_json_string(remote->url.path);
    printf(", \"size\": %llu, \"extents\": [", (unsigned long long)size);
    for (size_t i = 0; i < count; i++) {
        const struct sealio_extent *e = &extents[i];
        printf("%s\n  {\"offset\": %llu, \"length\": %llu, \"state\": \"%s\"", i ? "," : "",
               (unsigned long long)e->offset, (unsigned long long)e->length, state_name(e->state));
        if (e->state != SEALIO_EXTENT_HOLE) {
            printf(", \"device\": ");
            print_json_string(e->device);
            printf(", \"device_offset\": %llu", (unsigned long long)e->device_offset);
        }
        printf("}");
    }
    printf("%s]}\n", count ? "\n" : "");
}

static void print_table(const struct tool_remote *remote, uint64_t size,
                        const struct sealio_extent *extents, size_t count)
{
    printf("%s: %llu bytes, %zu extent%s\n", remote->url.path, (unsigned long long)size, count,
           count == 1 ? "" : "s");
    printf("%16s %16s %18s  %-10s  %s\n", "OFFSET", "LENGTH", "DEVICE OFFSET", "STATE", "DEVICE");
    for (size_t i = 0; i < count; i++) {
        const struct sealio_extent *e = &extents[i];
        printf("%16llu %16llu ", (unsigned long long)e->offset, (unsigned long long)e->length);
        if (e->state == SEALIO_EXTENT_HOLE)
            printf("%18s  %-10s  -\n", "-", state_name(e->state));
        else
            printf("%18llu  %-10s  %s\n", (unsigned long long)e->device_offset,
                   state_name(e->state), e->device);
    }
}

int tool_map(const struct tool_options *options, const char *url)
{
    struct tool_remote remote;
    struct sealio_stat st;
    struct sealio_extent *extents = NULL;
    size_t count = 0;
    int code = tool_remote_open(options, url, SEALIO_READ, &remote);
    if (code != TOOL_OK)
        return code;
    int rc = sealio_file_stat(remote.file, &st);
    if (rc == 0)
        rc = sealio_layout_get(remote.file, false);
    if (rc == 0)
        rc = sealio_layout_extents(remote.file, &extents, &count);
    if (rc < 0) {
        code = tool_error(&remote, url, rc);
    } else if (options->json) {
        print_json(&remote, st.size, extents, count);
    } else {
        print_table(&remote, st.size, extents, count);
    }
    free(extents);
    fflush(stdout);
    if (code == TOOL_OK)
        tool_hold(options, &remote);
    return tool_remote_close(options, &remote, code);
}

static int print_entry(void *arg, const char *name, const struct sealio_stat *st)
{
    static const char types[] = "?-dl?";
    char text[4096];
    (void)arg;
    if (isatty(STDOUT_FILENO)) { /* to a program a name is its bytes */
        quote_text(text, sizeof(text), name, strlen(name), NULL);
        name = text;
    }
    printf("%c %04o %12llu %s\n", types[st->type], (unsigned)st->mode, (unsigned long long)st->size,
           name);
    return 0;
}

int tool_ls(const struct tool_options *options, const char *url)
{
    struct tool_remote remote;
    struct sealio_stat st;
    int code = tool_remote_open(options, url, 0, &remote);
    if (code != TOOL_OK)
        return code;
    int rc = sealio_stat(remote.session, remote.url.path, &st);
    if (rc == 0 && st.type == SEALIO_DIRECTORY)
        rc = sealio_readdir(remote.session, remote.url.path, print_entry, NULL);
    else if (rc == 0)
        print_entry(NULL, remote.url.path, &st);
    if (rc < 0)
        code = tool_error(&remote, url, rc);
    return tool_remote_close(options, &remote, code);
}
