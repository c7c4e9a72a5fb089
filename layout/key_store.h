/*
 * The reservation keys that were handed out: which run of which client has which number
 * (layout/reservation.h), on which disks it was told of it, and on which its key was seen
 * registered. Kept in SQLite beside the journal, because a key outlives the server: it is what a
 * client of before a restart is fenced by.
 *
 * A number is never used twice. What is written is durable when the call returns. One thread at a
 * time; blocks.
 */
#ifndef LAYOUT_KEY_STORE_H
#define LAYOUT_KEY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/designator.h"
#include "layout/journal_record.h"

struct key_store;

/* -EBUSY: another process has it open. -EPROTO: written by another version. */
int key_store_open(const char *path, struct key_store **out);
void key_store_close(struct key_store *store);
/* Drawn at random when the store was made. */
uint32_t key_store_server(const struct key_store *store);

struct key_run {
    const uint8_t *owner;
    uint32_t owner_len;
    uint8_t verifier[JOURNAL_VERIFIER_SIZE];
};

/* -ENOENT: it has none. */
int key_store_find(struct key_store *store, const struct key_run *run, uint32_t *number);
/* Finds or makes one. -ENOSPC: there are no more. */
int key_store_give(struct key_store *store, const struct key_run *run, uint32_t *number);
/* Nobody has the number any more. */
int key_store_retire(struct key_store *store, uint32_t number);
/* Does a run have it? */
bool key_store_has(struct key_store *store, uint32_t number);
int key_store_each(struct key_store *store,
                   void (*visit)(uint32_t number, const struct key_run *run, void *arg), void *arg);

/*
 * What a key's owner can do on a disk. It registers its key once each time it is told of it, so it
 * can do so no more once the key was on the disk after that. Disks go by their names: of a volume,
 * of a second one on the same disk, or of another description of either, it is one disk.
 */
enum key_use {
    KEY_UNKNOWN, /* it was never told of the key there */
    KEY_TOLD,    /* it may register it at any moment */
    KEY_SEEN,    /* it has registered it since it was last told */
    KEY_REMOVED, /* that, and it was seen to be gone after its preemption: it does not come back */
};
/* Before the owner is told, each time. */
int key_store_tell(struct key_store *store, uint32_t number, const struct designator *disk);
/*
 * A look at a disk shows what has happened before it began. Take this before it begins: what is
 * told later is not what the look has seen the end of.
 */
uint64_t key_store_now(const struct key_store *store);
/* A look that began at `since` found the key there. */
enum key_sight {
    KEY_IS_KNOWN, /* nothing new; or it was told or removed after the look began, which says nothing
                     then */
    KEY_IS_NEW,   /* KEY_SEEN from now on */
    KEY_IS_BACK,  /* it had been removed for good */
};
int key_store_seen(struct key_store *store, uint32_t number, const struct designator *disk,
                   uint64_t since, enum key_sight *sight);
/* It is not there after its preemption, and nobody can bring it back. */
int key_store_removed(struct key_store *store, uint32_t number, const struct designator *disk);
/* -errno when it cannot be read. */
int key_store_use(struct key_store *store, uint32_t number, const struct designator *disk,
                  enum key_use *use);

#endif
