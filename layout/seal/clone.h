/*
 * What keeps clones away from a pinned file, into which clients write beneath the file system: a
 * clone (FICLONE, FIDEDUPERANGE: cp --reflink) would change with it. The immutable flag does not
 * forbid to be cloned, and who has the file open for reading can. So where there are clones
 * nobody but the sealer may have it open: the caller keeps others from opening it, then proves by
 * this that none is left from before, then reads the map. Blocks: worker threads.
 */
#ifndef LAYOUT_SEAL_CLONE_H
#define LAYOUT_SEAL_CLONE_H

#include <stdbool.h>

#include "layout/refusal.h"

/* Can files of this one's file system be cloned? XFS with reflink=1, as mkfs makes it. */
int seal_can_be_cloned(int fd, bool *can);
/*
 * Proves that fd, which is open for reading only, is the only descriptor of the file, whoever's,
 * and that nothing has it mapped by another. SEAL_REFUSED_READER names a process that has one. An
 * open under way counts, one that is refused too, until it has failed: it may be worth another try.
 */
int seal_prove_alone(int fd, struct seal_refusal *why);

#endif
