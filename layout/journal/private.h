/*
 * What journal*.c share.
 *
 * journal.c       opening, records that wait, commits
 * journal/row.c   records to rows, and the sums that show a damaged row
 * journal/load.c  rows to records
 */
#ifndef LAYOUT_JOURNAL_PRIVATE_H
#define LAYOUT_JOURNAL_PRIVATE_H

#include <pthread.h>
#include <sqlite3.h>

#include "layout/journal/journal.h"

enum { JOURNAL_SUM_SIZE = 16, JOURNAL_STATEMENTS = 14 };

/* A record that waits for its commit; what it points to is its own. */
struct journal_waiting {
    struct journal_record record;
    struct journal_waiting *next;
    struct device_volume *volume;
    char bytes[]; /* path, or owner and address */
};

/* In the order in which they were written. */
struct journal_batch {
    struct journal_waiting *first, *last;
    bool raise; /* one of them raises the watermark */
};

struct journal {
    sqlite3 *db;
    sqlite3_stmt *statement[JOURNAL_STATEMENTS];
    uint32_t boot;
    uint64_t id, watermark;
    pthread_mutex_t lock; /* of what waits */
    struct journal_batch waiting;
    char error[128]; /* of the last commit that failed */
};

int journal_prepare(struct journal *journal);
/* One record, in the open transaction. */
int journal_apply(struct journal *journal, const struct journal_record *record);
int journal_set_watermark(struct journal *journal, uint64_t watermark);

/* Over a seal's phase: a flipped bit must not make a release of a seal. */
void journal_sum_phase(const struct file_key *key, int64_t phase, uint8_t sum[JOURNAL_SUM_SIZE]);
/* Over what a seal grants. */
void journal_sum_map(const struct file_key *key, int64_t kind, const uint8_t *device,
                     const void *packed, size_t len, uint8_t sum[JOURNAL_SUM_SIZE]);
void journal_sum_size(const struct journal_seal *seal, uint8_t sum[JOURNAL_SUM_SIZE]);
void journal_sum_holder(const struct journal_holder *holder, uint8_t sum[JOURNAL_SUM_SIZE]);
void journal_sum_device(const uint8_t *id, const uint8_t *fs_uuid, const void *packed, size_t len,
                        uint8_t sum[JOURNAL_SUM_SIZE]);

#endif
