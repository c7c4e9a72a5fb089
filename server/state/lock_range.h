/*
 * lock_range.h - the byte-range locks of one file (RFC 8881 sections 9.2, 9.3, 18.10) with POSIX
 * semantics: an owner's ranges never overlap, a new one replaces what he had there, unlocking may
 * split. Pure data; the caller guards the list.
 *
 * A holder is an opaque pointer. Two holders may stand for the same lock-owner (who came through
 * two opens); the caller's `same` says so. An owner's locks do not conflict with each other and
 * never overlap, whichever holder each came by; what a lock is counted for is the holder that set
 * it last.
 */
#ifndef SEALNFS_SERVER_STATE_LOCK_RANGE_H
#define SEALNFS_SERVER_STATE_LOCK_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct lock_range {
    struct lock_range *next; /* by first, then in order of setting */
    void *holder;
    uint64_t first,
        last; /* both inclusive; last UINT64_MAX: to the end of the file, however long */
    bool exclusive;
};

struct lock_list {
    struct lock_range *head;
};

/* offset and length of the wire as a range: false for length 0, and for a sum past UINT64_MAX
 * unless length is UINT64_MAX, "to the end" (INVAL). */
bool lock_range_from_wire(uint64_t offset, uint64_t length, uint64_t *first, uint64_t *last);
uint64_t lock_range_wire_length(const struct lock_range *range);

typedef bool lock_same_owner(const void *a, const void *b);

/* The first range of another owner that does not go with this one, or NULL. holder need not be in
 * the list; it is only handed to `same`. */
const struct lock_range *lock_list_conflict(const struct lock_list *list, const void *holder,
                                            lock_same_owner *same, uint64_t first, uint64_t last,
                                            bool exclusive);
/* Gives the holder the range, replacing what its owner had there. -ENOMEM: nothing changed.
 * Conflicts are the caller's. */
int lock_list_set(struct lock_list *list, void *holder, lock_same_owner *same, uint64_t first,
                  uint64_t last, bool exclusive);
/* Takes the range from the holder's owner; what he did not hold stays so. -ENOMEM: nothing changed.
 */
int lock_list_clear(struct lock_list *list, const void *holder, lock_same_owner *same,
                    uint64_t first, uint64_t last);
bool lock_list_holds(const struct lock_list *list, const void *holder);
/* Takes everything from the holder. */
void lock_list_drop(struct lock_list *list, const void *holder);

#endif
