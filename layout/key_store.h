/*
 * The reservation keys that were handed out: which run of which client has which number
 * (layout/reservation.h), on which disks it was told of it, and on which its key was seen registered. Kept in
 * SQLite beside the journal, because a key outlives the server: it is what a client of before a restart is
 * fenced by.
 *
 * A number is never used twice. What is written is durable when the call returns. One thread at a time;
 * blocks.
 */
#ifndef LAYOUT_KEY_STORE_H
#define LAYOUT_KEY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/device.h"
#include "layout/journal_record.h"

struct key_store;

/* -EBUSY: another process has it open. -EPROTO: written by a newer version. */
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

/* What a key's owner can do with a disk of a device: only what it was told of can it register. */
enum key_use {
    KEY_UNKNOWN, /* it was never told of the key there */
    KEY_TOLD,    /* it may register it at any moment */
    KEY_SEEN,    /* it has registered it once */
};
/* Goes up only. 1: it was less before; 0: it was not. */
int key_store_set_use(struct key_store *store, uint32_t number, const uint8_t device_id[DEVICE_ID_SIZE],
                      uint32_t disk, enum key_use use);
/* -errno when it cannot be read. */
int key_store_use(struct key_store *store, uint32_t number, const uint8_t device_id[DEVICE_ID_SIZE],
                  uint32_t disk, enum key_use *use);

#endif
