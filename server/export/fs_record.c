/*
 * See fs_record.h. A line is "UUID<tab>mount point<tab>path"; the file is written anew beside the
 * old one and renamed over it.
 */
#include "server/export/fs_record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEX = 2 * FILE_KEY_UUID_SIZE };

struct fs_record {
    char *dir;
    size_t count;
    struct fs_seen *seen;
};

static int set_seen(struct fs_seen *seen, const uint8_t *fs_uuid, const char *point)
{
    char *copy = strdup(point);

    if (!copy)
        return -ENOMEM;
    free(seen->point);
    seen->point = copy;
    memcpy(seen->fs_uuid, fs_uuid, FILE_KEY_UUID_SIZE);
    return 0;
}

static struct fs_seen *find_seen(const struct fs_record *record, const char *path)
{
    for (size_t i = 0; i < record->count; i++)
        if (strcmp(record->seen[i].path, path) == 0)
            return &record->seen[i];
    return NULL;
}

static int put_seen(struct fs_record *record, const char *path, const uint8_t *fs_uuid,
                    const char *point)
{
    struct fs_seen *seen = find_seen(record, path);
    struct fs_seen fresh = {.path = NULL};
    int rc;

    if (seen)
        return set_seen(seen, fs_uuid, point);
    seen = realloc(record->seen, (record->count + 1) * sizeof(*seen));
    if (!seen)
        return -ENOMEM;
    record->seen = seen;
    fresh.path = strdup(path);
    rc = fresh.path ? set_seen(&fresh, fs_uuid, point) : -ENOMEM;
    if (rc)
        free(fresh.path);
    else
        record->seen[record->count++] = fresh;
    return rc;
}

static bool parse_uuid(const char *text, uint8_t *fs_uuid)
{
    for (unsigned i = 0; i < FILE_KEY_UUID_SIZE; i++) {
        unsigned byte;

        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return false;
        fs_uuid[i] = (uint8_t)byte;
    }
    return true;
}

static int parse_line(struct fs_record *record, char *line)
{
    uint8_t fs_uuid[FILE_KEY_UUID_SIZE];
    char *point, *path;

    line[strcspn(line, "\n")] = '\0';
    if (strlen(line) < HEX + 2 || line[HEX] != '\t' || !parse_uuid(line, fs_uuid))
        return 0;
    point = line + HEX + 1;
    path = strchr(point, '\t');
    if (!path)
        return 0;
    *path++ = '\0';
    return put_seen(record, path, fs_uuid, point);
}

static int read_record(struct fs_record *record, FILE *stream)
{
    char *line = NULL;
    size_t room = 0;
    int rc = 0;

    while (!rc && getline(&line, &room, stream) > 0)
        rc = parse_line(record, line);
    if (!rc && ferror(stream))
        rc = -EIO;
    free(line);
    return rc;
}

int fs_record_load(const char *dir, struct fs_record **out)
{
    struct fs_record *record = calloc(1, sizeof(*record));
    char path[PATH_MAX];
    FILE *stream = NULL;
    int rc = 0;

    if (!record)
        return -ENOMEM;
    record->dir = dir ? strdup(dir) : NULL;
    if (dir && !record->dir)
        rc = -ENOMEM;
    if (!rc && dir && snprintf(path, sizeof(path), "%s/exports", dir) >= (int)sizeof(path))
        rc = -ENAMETOOLONG;
    if (!rc && dir) {
        stream = fopen(path, "re");
        rc = stream ? read_record(record, stream) : errno == ENOENT ? 0 : -errno;
    }
    if (stream)
        (void)fclose(stream);
    if (rc)
        fs_record_free(record);
    else
        *out = record;
    return rc;
}

void fs_record_free(struct fs_record *record)
{
    if (!record)
        return;
    for (size_t i = 0; i < record->count; i++) {
        free(record->seen[i].point);
        free(record->seen[i].path);
    }
    free(record->seen);
    free(record->dir);
    free(record);
}

const struct fs_seen *fs_record_find(const struct fs_record *record, const char *path)
{
    return find_seen(record, path);
}

static int write_lines(const struct fs_record *record, int fd)
{
    FILE *stream = fdopen(fd, "w");
    int rc = 0;

    if (!stream) {
        rc = -errno;
        close(fd);
        return rc;
    }
    for (size_t i = 0; i < record->count; i++) {
        const struct fs_seen *seen = &record->seen[i];

        for (unsigned j = 0; j < FILE_KEY_UUID_SIZE; j++)
            fprintf(stream, "%02x", seen->fs_uuid[j]);
        fprintf(stream, "\t%s\t%s\n", seen->point, seen->path);
    }
    if (fflush(stream) != 0 || fsync(fd) != 0)
        rc = -errno;
    if (fclose(stream) != 0 && !rc)
        rc = -errno;
    return rc;
}

static int write_record(const struct fs_record *record)
{
    int dirfd = open(record->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd, rc;

    if (dirfd < 0)
        return -errno;
    fd = openat(dirfd, "exports.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    rc = fd < 0 ? -errno : write_lines(record, fd);
    if (!rc && (renameat(dirfd, "exports.new", dirfd, "exports") != 0 || fsync(dirfd) != 0))
        rc = -errno;
    close(dirfd);
    return rc;
}

int fs_record_keep(struct fs_record *record, const char *path,
                   const uint8_t fs_uuid[FILE_KEY_UUID_SIZE], const char *point)
{
    const struct fs_seen *seen = find_seen(record, path);
    int rc;

    if (!record->dir || strpbrk(path, "\t\n") || strpbrk(point, "\t\n"))
        return 0;
    if (seen && memcmp(seen->fs_uuid, fs_uuid, FILE_KEY_UUID_SIZE) == 0 &&
        strcmp(seen->point, point) == 0)
        return 0;
    rc = put_seen(record, path, fs_uuid, point);
    return rc ? rc : write_record(record);
}
