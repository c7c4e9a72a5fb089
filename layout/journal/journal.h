/*
 * The journal: what the layout engine must know again after a crash, in SQLite (WAL,
 * synchronous=FULL).
 *
 * journal_write() keeps a record in memory, journal_commit() applies all of them in one transaction
 * with one flush, so the host collects what an engine hands out in a round and commits once. When
 * the disk refuses, the records stay in memory in their order and the commit can be tried again for
 * as long as it takes.
 *
 * The map is kept whole, so that a restart serves sealed files without asking the file system. Sums
 * beside rows show damage that SQLite does not see. A journal that is damaged anywhere is believed
 * nowhere: what cannot be read must not be taken to mean that nothing is there.
 *
 * The watermark counts the commits that something which cannot be taken back may stand on: a seal
 * that may be granted from, a holder, a release. The host keeps a copy of it where the journal is
 * not (layout/journal/watermark.h); a journal that is behind it has lost something.
 *
 * One thread at a time, but that one may write records while another commits: what is written
 * meanwhile waits for the next commit. Blocks: journal_commit flushes the disk.
 */
#ifndef LAYOUT_JOURNAL_JOURNAL_H
#define LAYOUT_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/journal/record.h"

enum { JOURNAL_SCHEMA = 6 }; /* the version that this build writes */

struct journal;

/*
 * Opens or makes the journal. -EBUSY: another process has it open. -EPROTO: it was written by
 * another version. -EUCLEAN: not a journal, or damaged. Every open counts as a boot.
 */
int journal_open(const char *path, struct journal **out);
void journal_close(struct journal *journal);
/*
 * The key of the node that last opened the journal at `path` to serve (journal_set_node); 0: none
 * that said so, or there is no journal. What is in it stays as it is.
 */
int journal_last_node(const char *path, uint64_t *key);
/* Durable when it returns 0. */
int journal_set_node(struct journal *journal, uint64_t key);
/* Differs at every open. */
uint32_t journal_boot(const struct journal *journal);
/* Made up when the journal was made. */
uint64_t journal_id(const struct journal *journal);
/* As of the last commit. */
uint64_t journal_watermark(const struct journal *journal);

/* Everything in it, doubts first, then devices. A visitor's error ends the walk and is returned.
 * -EUCLEAN: damaged. */
struct journal_visitor {
    int (*doubt)(const uint8_t fs_uuid[FILE_KEY_UUID_SIZE], void *arg);
    int (*device)(const struct journal_device *device, void *arg);
    int (*seal)(const struct journal_seal *seal, void *arg);
    int (*holder)(const struct journal_holder *holder, void *arg);
    int (*fenced)(const struct journal_holder *holder, void *arg);
};
int journal_load(struct journal *journal, const struct journal_visitor *visitor, void *arg);

/* Takes a copy of the record; the map is referenced. -ENOMEM. */
int journal_write(struct journal *journal, const struct journal_record *record);
/* Makes everything written so far durable. On error nothing of it is: try again. 0 also when there
 * is nothing to do. */
int journal_commit(struct journal *journal);
/* What SQLite says about the last error. */
const char *journal_error(const struct journal *journal);

#endif
