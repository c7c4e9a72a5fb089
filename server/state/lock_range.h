/*
 * lock_range.h - the byte-range locks of one file (RFC 8881 sections 9.2, 9.3, 18.10) with POSIX
 * semantics: an owner's ranges never overlap, a new one replaces what he had there, unlocking may
 * split. Pure data; the caller guards the list.
 *
 * An owner's locks do not conflict with each other and never overlap, whichever holder (an open of
 * his) each came by; what a lock is counted for is the holder that set it last.
 *
 * Clients may have very many: whatever one of them set up, to look for a conflict takes the
 * logarithm of the number of ranges, and to change an owner's ranges that for each that changes.
 */
#ifndef SEALNFS_SERVER_STATE_LOCK_RANGE_H
#define SEALNFS_SERVER_STATE_LOCK_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/state/treap.h"

/* One lock-owner: all his ranges, in whatever files. */
struct lock_owner {
    struct treap_node *ranges; /* by list, then by first */
    size_t count;
};

/* What one of his opens came by. */
struct lock_holder {
    struct lock_owner *owner;
    struct lock_range *ranges;
    size_t *count; /* of the ranges of all who come by this open; NULL: nobody counts */
};

/* How far ranges reach: the largest last of all, with its owner, and the largest of all owners but
 * that one. NULL: there is none. */
struct lock_reach {
    const struct lock_owner *owner, *other;
    uint64_t last, other_last;
};

struct lock_range {
    struct treap_node by_place, by_owner;
    struct lock_list *list;
    struct lock_holder *holder;
    struct lock_range *prev, *next; /* the holder's */
    uint64_t number;                /* in order of setting */
    uint64_t first,
        last; /* both inclusive; last UINT64_MAX: to the end of the file, however long */
    bool exclusive;
    struct lock_reach reach[2]; /* of what is below by_place: of all, of the exclusive ones */
};

/* Of a file. */
struct lock_list {
    struct treap_node *ranges; /* by first, then in order of setting */
    uint64_t numbered;
};

/* offset and length of the wire as a range: false for length 0, and for a sum past UINT64_MAX
 * unless length is UINT64_MAX, "to the end" (INVAL). */
bool lock_range_from_wire(uint64_t offset, uint64_t length, uint64_t *first, uint64_t *last);
uint64_t lock_range_wire_length(const struct lock_range *range);

/* The first range of another owner that does not go with this one, or NULL. owner NULL: one who has
 * no ranges. */
const struct lock_range *lock_list_conflict(const struct lock_list *list,
                                            const struct lock_owner *owner, uint64_t first,
                                            uint64_t last, bool exclusive);
/* Gives the holder the range, replacing what its owner had there. -ENOMEM: nothing changed.
 * Conflicts are the caller's. */
int lock_list_set(struct lock_list *list, struct lock_holder *holder, uint64_t first, uint64_t last,
                  bool exclusive);
/* Takes the range from the owner; what he did not hold stays so. -ENOMEM: nothing changed. */
int lock_list_clear(struct lock_list *list, struct lock_owner *owner, uint64_t first,
                    uint64_t last);
/* Would that leave the owner with one range more? */
bool lock_list_splits(const struct lock_list *list, const struct lock_owner *owner, uint64_t first,
                      uint64_t last);
static inline bool lock_holder_holds(const struct lock_holder *holder)
{
    return holder->ranges != NULL;
}
/* Takes at most so many ranges from the holder, all of them of one list. */
void lock_holder_drop(struct lock_holder *holder, size_t most);

#endif
