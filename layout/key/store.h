/*
 * The record of reservation keys (layout/key/rule.h) in SQLite beside the journal: runs of clients,
 * and what they were told and where it was seen. Kept because a key outlives the server: it is what
 * a client of before a restart is fenced by.
 *
 * A number is never used twice. What is written is durable when the call returns. All pages are
 * looked at when it is opened, and each row has a sum; damage anywhere is believed nowhere.
 *
 * A record that went back in time would take told keys for never told. So it keeps the journal's
 * identity and the boot it was open in last: one that missed a boot is an older copy, and the runs
 * in it are doubtful (what they were told may not be on record).
 *
 * One thread at a time; blocks.
 */
#ifndef LAYOUT_KEY_STORE_H
#define LAYOUT_KEY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/key/rule.h"

struct key_store;

/* The journal of this start (layout/journal/journal.h). */
struct key_store_journal {
    uint64_t id;
    uint32_t boot;
};

enum key_store_news {
    KEY_STORE_MADE,
    KEY_STORE_CONTINUED,
    KEY_STORE_BEHIND,   /* an older copy, or another journal's */
    KEY_STORE_UPGRADED, /* of a version that did not record tellings one by one */
};

/* -EBUSY: another process has it open. -EPROTO: written by a later version. -EUCLEAN: damaged. */
int key_store_open(const char *path, const struct key_store_journal *journal,
                   struct key_store **out, enum key_store_news *news);
void key_store_close(struct key_store *store);
/* Drawn at random when the store was made. */
uint32_t key_store_server(const struct key_store *store);

/* Everything in it, runs first. A visitor's error ends the walk and is returned. */
struct key_store_visitor {
    int (*run)(uint32_t id, const struct key_run *name, bool doubt, void *arg);
    int (*row)(const struct key_row *row, void *arg);
};
int key_store_load(struct key_store *store, const struct key_store_visitor *visitor, void *arg);

int key_store_add_run(struct key_store *store, const struct key_run *name, uint32_t *id);
/* One that was never given. -ENOSPC: there are no more. */
int key_store_number(struct key_store *store, uint32_t *number);

/* What is known of a disk's target. -ENOENT: nothing; the disk was never reserved by this server.
 */
struct key_store_disk {
    uint32_t generation; /* when it was seen to be ours first, or last again */
    bool forgets;        /* it lost registrations that it said it keeps */
};
int key_store_disk(struct key_store *store, const struct designator *disk,
                   struct key_store_disk *out);
int key_store_note_disk(struct key_store *store, const struct designator *disk,
                        const struct key_store_disk *note);

/* For struct key_rule_store; arg is the store. */
int key_store_put(void *arg, const struct key_row *row);
int key_store_drop(void *arg, const struct key_row *row);
int key_store_drop_run(void *arg, uint32_t run);

#endif
