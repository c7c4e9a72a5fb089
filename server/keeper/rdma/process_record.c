/* process_record.c - see process_record.h. */
#include "server/keeper/rdma/process_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/base/peer.h"

enum { LINE_SIZE = 96, PATH_SIZE = 4096 };

struct earlier {
    struct earlier *next;
    char text[LINE_SIZE];
};

struct process_record {
    struct earlier *earlier;
    bool is_new;
    char path[PATH_SIZE];
};

static int read_lines(const char *path, struct process_record *record)
{
    char line[LINE_SIZE];
    FILE *file = fopen(path, "re");
    if (!file) {
        record->is_new = errno == ENOENT;
        return record->is_new ? 0 : -errno;
    }
    int err = 0;
    while (!err && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        struct earlier *earlier = peer_is_gone(line) ? NULL : malloc(sizeof *earlier);
        if (!earlier) {
            err = peer_is_gone(line) ? 0 : -ENOMEM;
            continue;
        }
        memcpy(earlier->text, line, sizeof line);
        earlier->next = record->earlier;
        record->earlier = earlier;
    }
    if (!err && ferror(file))
        err = -EIO;
    fclose(file);
    return err;
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return err;
}

static int write_lines(const struct process_record *record, const char *own)
{
    const char *path = record->path;
    char temporary[PATH_SIZE + 8];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "we");
    if (!file)
        return -errno;
    for (const struct earlier *earlier = record->earlier; earlier; earlier = earlier->next)
        fprintf(file, "%s\n", earlier->text);
    if (own)
        fprintf(file, "%s\n", own);
    int err = fflush(file) == 0 && fsync(fileno(file)) == 0 ? 0 : -errno;
    if (fclose(file) != 0 && !err)
        err = -errno;
    return err || rename(temporary, path) == 0 ? err : -errno;
}

int process_record_open(const char *state_dir, struct process_record **out)
{
    char own[LINE_SIZE];
    struct process_record *record = calloc(1, sizeof *record);
    int err = record ? 0 : -ENOMEM;
    if (!err && snprintf(record->path, PATH_SIZE, "%s/processes", state_dir) >= PATH_SIZE)
        err = -ENAMETOOLONG;
    if (!err)
        err = read_lines(record->path, record);
    if (!err)
        err = peer_describe_self(own, sizeof own);
    if (!err)
        err = write_lines(record, own);
    if (!err)
        err = sync_directory(state_dir);
    if (err) {
        log_error("the record of this server's processes in %s: %s", state_dir, strerror(-err));
        process_record_close(record, false);
        return err;
    }
    *out = record;
    return 0;
}

/* A line that stays although nothing is left only means that the next server looks whether we are
 * gone. */
void process_record_close(struct process_record *record, bool in_order)
{
    if (record && in_order)
        (void)write_lines(record, NULL);
    while (record && record->earlier) {
        struct earlier *earlier = record->earlier;
        record->earlier = earlier->next;
        free(earlier);
    }
    free(record);
}

bool process_record_is_new(const struct process_record *record)
{
    return record->is_new;
}

bool process_record_all_gone(struct process_record *record)
{
    while (record->earlier && peer_is_gone(record->earlier->text)) {
        struct earlier *earlier = record->earlier;
        record->earlier = earlier->next;
        free(earlier);
    }
    return !record->earlier;
}
