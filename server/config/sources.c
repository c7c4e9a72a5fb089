/*
 * sources.c - see sources.h. The include directory is the option's (include_dir), or the one beside
 * the file that has its name with ".d" for ".conf", if that is there.
 */
#include "server/config/sources.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/config/syntax.h"

enum { FILE_MAX = 4 << 20 };

static bool ends_in(const char *name, const char *end)
{
    const size_t len = strlen(name), end_len = strlen(end);

    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

/* A file, and no pipe whose writer would have to be waited for. NULL and errno. */
static FILE *open_included(const char *path)
{
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    FILE *stream = NULL;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        if (S_ISREG(st.st_mode))
            stream = fdopen(fd, "r");
    }
    if (!stream)
        close(fd);
    return stream;
}

/* The file as it is. */
static void read_source(struct config_source *source, bool included)
{
    FILE *stream = included ? open_included(source->path) : fopen(source->path, "re");

    if (!stream) {
        source->error = -errno;
        return;
    }
    source->text = malloc(FILE_MAX);
    if (source->text)
        source->len = fread(source->text, 1, FILE_MAX, stream);
    else
        source->error = -ENOMEM;
    if (source->text && ferror(stream))
        source->error = errno ? -errno : -EIO;
    if (fclose(stream) != 0 && !source->error)
        source->error = -EIO;
    if (source->len == FILE_MAX)
        source->error = -EFBIG;
}

/* NULL: out of memory. */
static struct config_source *add_source(struct config_sources *sources, const char *path)
{
    struct config_source *more =
        realloc(sources->list, (sources->count + 1) * sizeof(*sources->list));

    if (!more)
        return NULL;
    sources->list = more;
    more[sources->count] = (struct config_source){.path = strdup(path)};
    if (!more[sources->count].path)
        return NULL;
    return &more[sources->count++];
}

/* ---- which directory ---- */

struct search {
    bool in_export, found;
    char *dir;
    size_t room;
};

static void on_option(void *context, const struct syntax_option *given)
{
    struct search *search = context;

    if (search->in_export || search->found || strcmp(given->name, "include_dir") != 0 ||
        given->count != 1)
        return;
    search->found = true;
    snprintf(search->dir, search->room, "%s", given->values[0].text);
}

static void enter_export(void *context, const char *name, unsigned line)
{
    (void)name, (void)line;
    ((struct search *)context)->in_export = true;
}

static void leave_export(void *context)
{
    ((struct search *)context)->in_export = false;
}

static void pass_mistake(void *context, unsigned line, const char *what)
{
    (void)context, (void)line, (void)what; /* it is told by who reads the options */
}

/* "": there is none. -ENOMEM. */
static int find_directory(const struct config_source *first, char dir[PATH_MAX])
{
    struct search search = {.dir = dir, .room = PATH_MAX};
    const struct syntax_events events = {.on_option = on_option,
                                         .on_export = enter_export,
                                         .on_export_end = leave_export,
                                         .on_mistake = pass_mistake,
                                         .context = &search};
    const int rc = first->error ? 0 : syntax_read(first->text, first->len, &events);

    if (!search.found && ends_in(first->path, ".conf"))
        snprintf(dir, PATH_MAX, "%.*s.d", (int)(strlen(first->path) - strlen(".conf")),
                 first->path);
    return rc;
}

/* ---- */

static int is_included(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && ends_in(entry->d_name, ".conf");
}

/* The order of bytes, whatever the locale. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* One that is not there is no mistake here: the option's own check says so. */
static int read_directory(const char *dir, struct config_sources *sources)
{
    struct dirent **names = NULL;
    struct config_source *source;
    char path[PATH_MAX + NAME_MAX + 1];
    int count =
        dir[0] == '/' || dir[0] == '.' ? scandir(dir, &names, is_included, compare_names) : 0;
    int rc = 0;

    if (count < 0 && errno != ENOENT && errno != ENOTDIR) {
        const int error = -errno;

        source = add_source(sources, dir);
        if (!source)
            return -ENOMEM;
        source->error = error;
    }
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
        source = rc || sources->count > CONFIG_SOURCES_MAX ? NULL : add_source(sources, path);
        if (source && sources->count > CONFIG_SOURCES_MAX)
            source->error = -E2BIG;
        else if (source)
            read_source(source, true);
        else if (sources->count <= CONFIG_SOURCES_MAX)
            rc = -ENOMEM;
        free(names[i]);
    }
    free(names);
    return rc;
}

int config_sources_read(const char *path, struct config_sources *out)
{
    char dir[PATH_MAX] = "";
    struct config_source *first;
    int rc = -ENOMEM;

    *out = (struct config_sources){0};
    first = add_source(out, path);
    if (first) {
        read_source(first, false);
        rc = first->error ? 0 : find_directory(first, dir);
    }
    if (!rc && dir[0])
        rc = read_directory(dir, out);
    if (rc)
        config_sources_free(out);
    return rc;
}

void config_sources_free(struct config_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        free(sources->list[i].path);
        free(sources->list[i].text);
    }
    free(sources->list);
    *sources = (struct config_sources){0};
}
