/* node_record.c - see node_record.h. */
#include "server/base/node_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NODES_MAX = 16, LINE_SIZE = 384 };

struct node_record {
    int dirfd;
    bool is_new;
    char self[NODE_NAME_SIZE];
    unsigned count;
    struct node_entry entry[NODES_MAX]; /* the first that ever served comes first */
};

static const char *const states[] = {
    [NODE_IN_USE] = "in-use", [NODE_CUT] = "cut", [NODE_OFF] = "off"};
enum { STATES = sizeof states / sizeof states[0] };

static struct node_entry *find_entry(struct node_record *record, const char *name)
{
    for (unsigned i = 0; i < record->count; i++) {
        if (strcmp(record->entry[i].name, name) == 0)
            return &record->entry[i];
    }
    return NULL;
}

/* ---- the file ---- */

static bool parse_entry(const char *line, struct node_entry *entry)
{
    char state[16];
    if (sscanf(line, "node %64s boot %8s %15s since %lld by %127[^\n]", entry->name, entry->boot,
               state, &entry->since, entry->by) != 5 ||
        !node_name_is_good(entry->name) || strlen(entry->boot) != NODE_BOOT_SIZE - 1)
        return false;
    for (unsigned i = 0; i < STATES; i++) {
        entry->state = (enum node_state)i;
        if (strcmp(states[i], state) == 0)
            return true;
    }
    return false;
}

/* The last line says how many there are. */
static int read_entries(struct node_record *record, FILE *file)
{
    char line[LINE_SIZE];
    unsigned said = 0;
    bool ended = false;
    while (fgets(line, sizeof line, file)) {
        struct node_entry entry;
        if (ended || !strchr(line, '\n'))
            return -EUCLEAN;
        if (sscanf(line, "end %u", &said) == 1) {
            ended = true;
            continue;
        }
        if (record->count == NODES_MAX || !parse_entry(line, &entry) ||
            find_entry(record, entry.name))
            return -EUCLEAN;
        record->entry[record->count++] = entry;
    }
    if (ferror(file))
        return -EIO;
    return ended && said == record->count && said > 0 ? 0 : -EUCLEAN;
}

static int read_record(struct node_record *record)
{
    int fd = openat(record->dirfd, "nodes", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        record->is_new = errno == ENOENT;
        return record->is_new ? 0 : -errno;
    }
    FILE *file = fdopen(fd, "r");
    if (!file) {
        int err = -errno;
        close(fd);
        return err;
    }
    int err = read_entries(record, file);
    fclose(file);
    return err;
}

static int write_entries(const struct node_record *record, int fd)
{
    FILE *file = fdopen(fd, "w");
    if (!file) {
        int err = -errno;
        close(fd);
        return err;
    }
    for (unsigned i = 0; i < record->count; i++) {
        const struct node_entry *entry = &record->entry[i];
        fprintf(file, "node %s boot %s %s since %lld by %s\n", entry->name, entry->boot,
                states[entry->state], entry->since, entry->by);
    }
    fprintf(file, "end %u\n", record->count);
    /* What does not fit into the buffer was written before: its failure is not fflush's. */
    int err = ferror(file) ? -EIO : fflush(file) == 0 && fsync(fd) == 0 ? 0 : -errno;
    if (fclose(file) != 0 && !err)
        err = -errno;
    return err;
}

static int write_record(const struct node_record *record)
{
    int fd = openat(record->dirfd, "nodes.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int err = fd < 0 ? -errno : write_entries(record, fd);
    if (!err && (renameat(record->dirfd, "nodes.new", record->dirfd, "nodes") < 0 ||
                 fsync(record->dirfd) < 0))
        err = -errno;
    return err;
}

int node_record_open(const char *state_dir, const char *self, struct node_record **out)
{
    struct node_record *record = calloc(1, sizeof *record);
    if (!record)
        return -ENOMEM;
    snprintf(record->self, sizeof record->self, "%s", self);
    record->dirfd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = record->dirfd < 0 ? -errno : 0;
    if (!err)
        err = read_record(record);
    if (err)
        node_record_close(record);
    else
        *out = record;
    return err;
}

void node_record_close(struct node_record *record)
{
    if (record && record->dirfd >= 0)
        close(record->dirfd);
    free(record);
}

bool node_record_is_new(const struct node_record *record)
{
    return record->is_new;
}

/* ---- what it says ---- */

const struct node_entry *node_record_other(const struct node_record *record)
{
    for (unsigned i = 0; i < record->count; i++) {
        const struct node_entry *entry = &record->entry[i];
        if (entry->state == NODE_IN_USE && strcmp(entry->name, record->self) != 0)
            return entry;
    }
    return NULL;
}

static int change(struct node_record *record, struct node_entry *entry, enum node_state state,
                  const char *by)
{
    const struct node_entry before = *entry;
    entry->state = state;
    entry->since = time(NULL);
    snprintf(entry->by, sizeof entry->by, "%.*s", (int)strcspn(by, "\n"), by);
    int err = write_record(record);
    if (err)
        *entry = before;
    return err;
}

int node_record_fenced(struct node_record *record, const char *name, enum node_state state,
                       const char *by)
{
    struct node_entry *entry = find_entry(record, name);
    return entry ? change(record, entry, state, by) : -ENOENT;
}

int node_record_take(struct node_record *record)
{
    struct node_entry *entry = find_entry(record, record->self);
    if (!entry && record->count == NODES_MAX)
        return -ENOSPC;
    if (!entry) {
        entry = &record->entry[record->count++];
        memcpy(entry->name, record->self, sizeof entry->name);
    }
    int err = node_boot(entry->boot);
    return err ? err : change(record, entry, NODE_IN_USE, "its own start");
}

static const struct node_entry *find_tag(const struct node_record *record, const char *tag)
{
    for (unsigned i = 0; i < record->count; i++) {
        char text[NODE_TAG_SIZE];
        node_tag(record->entry[i].name, text);
        if (tag[0] == '\0' || strcmp(text, tag) == 0)
            return &record->entry[i];
    }
    return NULL;
}

enum node_place node_record_place(const struct node_record *record, const char *tag)
{
    const struct node_entry *entry = find_tag(record, tag);
    if (!entry)
        return NODE_ELSEWHERE;
    if (strcmp(entry->name, record->self) == 0)
        return NODE_HERE;
    return entry->state == NODE_OFF   ? NODE_ELSEWHERE_OFF
           : entry->state == NODE_CUT ? NODE_ELSEWHERE_CUT
                                      : NODE_ELSEWHERE;
}
