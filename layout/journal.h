/*
 * The journal: what the layout engine must know again after a crash, in SQLite (WAL, synchronous=FULL).
 *
 * Records are applied in order inside one transaction; journal_commit() makes all of them durable with one
 * flush, so the host collects what an engine hands out in a round and commits once. The map is kept whole, so
 * that a restart serves sealed files without asking the file system; a digest beside it shows damage. What
 * cannot be read is never taken to mean that nothing is there: a seal whose map is damaged is still a seal,
 * and grants nothing.
 *
 * One thread at a time. Blocks: journal_commit flushes the disk.
 */
#ifndef LAYOUT_JOURNAL_H
#define LAYOUT_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/journal_record.h"

struct journal;

/*
 * Opens or makes the journal. -EBUSY: another process has it open. -EPROTO: it was written by a newer
 * version. -EUCLEAN: not a journal, or damaged beyond reading. Every open counts as a boot.
 */
int journal_open(const char *path, struct journal **out);
void journal_close(struct journal *journal);
/* Differs at every open. */
uint32_t journal_boot(const struct journal *journal);

/* Everything in it, devices first. A visitor's error ends the walk and is returned. */
struct journal_visitor {
    int (*device)(const struct journal_device *device, void *arg);
    int (*seal)(const struct journal_seal *seal, void *arg);
    int (*holder)(const struct journal_holder *holder, void *arg);
    int (*fenced)(const struct journal_holder *holder, void *arg);
};
int journal_load(struct journal *journal, const struct journal_visitor *visitor, void *arg);

/* Applies the record in the open transaction, opening one if there is none. After an error nothing of the
 * transaction may be taken as written: the journal refuses everything from then on (-EIO). */
int journal_write(struct journal *journal, const struct journal_record *record);
/* Makes everything written so far durable. -EAGAIN: not now (the disk is full, the file is locked); the
 * transaction is kept, try again. -EIO as above. 0 also when there is nothing to do. */
int journal_commit(struct journal *journal);
/* What SQLite says about the last error. */
const char *journal_error(const struct journal *journal);

#endif
