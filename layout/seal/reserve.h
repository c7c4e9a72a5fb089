/*
 * The reserve of a growing seal: blocks past the file's end, written with zeros, so that clients
 * can write there by a map that does not change; and its end, when the seal goes. Only seal/fs.c
 * uses seal_cut(). Blocks: worker threads.
 */
#ifndef LAYOUT_SEAL_RESERVE_H
#define LAYOUT_SEAL_RESERVE_H

#include <stdint.h>

#include "layout/refusal.h"
#include "layout/seal/fs.h"

/* How far a reserve goes: `want`, if there is room, and less where there is not, but not less than
 * `least`, both counted from the file's beginning. */
struct seal_reserve {
    uint64_t size; /* of the file, as it was when that was put on record */
    uint64_t want, least;
};

/* It ends there at most: what has to be on record before it is begun, so that it can be cut off
 * whatever became of it. */
uint64_t seal_reserve_most(const struct seal_reserve *reserve);

/*
 * Makes a pinned file's blocks ready up to *end and gives it that size, all of it written, durably,
 * with the modification time that it had. The mark comes before anything else, so that what was
 * begun can be told from a file that somebody else made longer: after a failure, or a crash, the
 * caller calls seal_fs_clear_grown. SEAL_REFUSED_CHANGED: the file has another size by now; nothing
 * was done.
 */
int seal_fs_reserve(int fd, const struct seal_reserve *reserve, uint64_t *end,
                    struct seal_refusal *why);

/* Gives the file its size back, if it has what a reserve may have given it, and frees the blocks
 * past it. */
int seal_cut(int fd, const struct seal_cut *cut, struct seal_refusal *why);

#endif
