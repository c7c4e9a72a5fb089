/*
 * See fs_record.h. A line is "UUID<tab>mount point<tab>path"; the file is written anew beside the
 * old one and renamed over it.
 */
#include "server/export/fs_record.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEX = 2 * FILE_KEY_UUID_SIZE };

struct entry {
    char *path;
    struct fs_seen seen;
};

struct fs_record {
    char *dir;
    pthread_mutex_t lock;
    bool unwritten; /* what is new since the file was written */
    size_t count;
    struct entry *entries;
};

static struct entry *find_entry(const struct fs_record *record, const char *path)
{
    for (size_t i = 0; i < record->count; i++)
        if (strcmp(record->entries[i].path, path) == 0)
            return &record->entries[i];
    return NULL;
}

static struct entry *make_entry(struct fs_record *record, const char *path)
{
    struct entry *more = realloc(record->entries, (record->count + 1) * sizeof(*more));

    if (!more)
        return NULL;
    record->entries = more;
    more[record->count].path = strdup(path);
    return more[record->count].path ? &more[record->count++] : NULL;
}

static int put_entry(struct fs_record *record, const char *path, const uint8_t *fs_uuid,
                     const char *point)
{
    struct entry *entry = find_entry(record, path);

    if (strlen(point) >= sizeof(entry->seen.point))
        return -ENAMETOOLONG;
    if (!entry)
        entry = make_entry(record, path);
    if (!entry)
        return -ENOMEM;
    memcpy(entry->seen.fs_uuid, fs_uuid, FILE_KEY_UUID_SIZE);
    strcpy(entry->seen.point, point);
    return 0;
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
    return put_entry(record, path, fs_uuid, point);
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
    pthread_mutex_init(&record->lock, NULL);
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
    for (size_t i = 0; i < record->count; i++)
        free(record->entries[i].path);
    free(record->entries);
    free(record->dir);
    pthread_mutex_destroy(&record->lock);
    free(record);
}

bool fs_record_find(struct fs_record *record, const char *path, struct fs_seen *out)
{
    const struct entry *entry;

    pthread_mutex_lock(&record->lock);
    entry = find_entry(record, path);
    if (entry)
        *out = entry->seen;
    pthread_mutex_unlock(&record->lock);
    return entry != NULL;
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
        const struct entry *entry = &record->entries[i];

        for (unsigned j = 0; j < FILE_KEY_UUID_SIZE; j++)
            fprintf(stream, "%02x", entry->seen.fs_uuid[j]);
        fprintf(stream, "\t%s\t%s\n", entry->seen.point, entry->path);
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

static bool is_new(const struct fs_record *record, const char *path, const uint8_t *fs_uuid,
                   const char *point)
{
    const struct entry *entry = find_entry(record, path);

    return !entry || memcmp(entry->seen.fs_uuid, fs_uuid, FILE_KEY_UUID_SIZE) != 0 ||
           strcmp(entry->seen.point, point) != 0;
}

int fs_record_keep(struct fs_record *record, const char *path,
                   const uint8_t fs_uuid[FILE_KEY_UUID_SIZE], const char *point)
{
    int rc = 0;

    if (!record->dir || strpbrk(path, "\t\n") || strpbrk(point, "\t\n"))
        return 0;
    pthread_mutex_lock(&record->lock);
    if (is_new(record, path, fs_uuid, point)) {
        rc = put_entry(record, path, fs_uuid, point);
        record->unwritten = record->unwritten || !rc;
    }
    if (!rc && record->unwritten) {
        rc = write_record(record);
        record->unwritten = rc != 0;
    }
    pthread_mutex_unlock(&record->lock);
    return rc;
}
