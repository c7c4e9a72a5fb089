/* See at_rest.h. */
#include "server/file/at_rest.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "layout/fd_path.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/file/file.h"

static bool matches_any(char *const *patterns, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (fnmatch(patterns[i], path, 0) == 0)
            return true;
    return false;
}

bool at_rest_path_is_wanted(const struct config_export *config, const char *below)
{
    if (config->include_count > 0 && !matches_any(config->include, config->include_count, below))
        return false;
    return !matches_any(config->exclude, config->exclude_count, below);
}

static bool path_of(int fd, char path[PATH_MAX])
{
    struct fd_path link;
    ssize_t len;

    link = fd_path_of(fd);
    len = readlink(link.text, path, PATH_MAX - 1);
    if (len <= 0)
        return false;
    path[len] = '\0';
    return true;
}

bool at_rest_is_wanted(const struct export *export, const struct file *file)
{
    const struct config_export *config = export_config(export);
    char root[PATH_MAX], path[PATH_MAX];
    size_t len;

    if (config->include_count == 0 && config->exclude_count == 0)
        return true;
    if (!path_of(export_root_fd(export), root) || !path_of(file_path_fd(file), path))
        return false;
    len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    return strncmp(path, root, len) == 0 && path[len] == '/' &&
           at_rest_path_is_wanted(config, path + len + 1);
}
