/*
 * lock_range.c - byte-range lock lists, see lock_range.h. Pure.
 */
#include "server/state/lock_range.h"

#include <errno.h>
#include <stdlib.h>

bool lock_range_from_wire(uint64_t offset, uint64_t length, uint64_t *first, uint64_t *last)
{
    if (length == 0)
        return false;
    if (length == UINT64_MAX) {
        *first = offset;
        *last = UINT64_MAX;
        return true;
    }
    if (offset > UINT64_MAX - length)
        return false;
    *first = offset;
    *last = offset + length - 1;
    return true;
}

uint64_t lock_range_wire_length(const struct lock_range *range)
{
    if (range->last == UINT64_MAX)
        return UINT64_MAX;
    return range->last - range->first + 1;
}

static bool overlaps(const struct lock_range *range, uint64_t first, uint64_t last)
{
    return range->first <= last && range->last >= first;
}

const struct lock_range *lock_list_conflict(const struct lock_list *list, const void *holder,
                                            lock_same_owner *same, uint64_t first, uint64_t last,
                                            bool exclusive)
{
    for (const struct lock_range *range = list->head; range && range->first <= last;
         range = range->next)
        if (overlaps(range, first, last) && (exclusive || range->exclusive) &&
            !same(range->holder, holder))
            return range;
    return NULL;
}

static void insert_range(struct lock_list *list, struct lock_range *range)
{
    struct lock_range **at = &list->head;
    while (*at && (*at)->first <= range->first)
        at = &(*at)->next;
    range->next = *at;
    *at = range;
}

/*
 * Cut [first, last] out of the owner's ranges. A range that reaches past both ends is split with
 * `spare`; the return value says whether the spare was used (at most once, since an owner's ranges
 * do not overlap).
 */
static bool cut_range(struct lock_list *list, const void *holder, lock_same_owner *same,
                      uint64_t first, uint64_t last, struct lock_range *spare)
{
    struct lock_range **at = &list->head, *moved = NULL;
    bool split = false;
    while (*at && (*at)->first <= last) {
        struct lock_range *range = *at;

        if (!overlaps(range, first, last) || !same(range->holder, holder)) {
            at = &range->next;
        } else if (range->first < first) {
            if (range->last > last) {
                *spare = *range;
                spare->first = last + 1;
                split = true;
            }
            range->last = first - 1;
            at = &range->next;
        } else {
            *at = range->next;
            if (range->last > last) {
                range->first = last + 1;
                moved = range;
            } else {
                free(range);
            }
        }
    }
    if (moved)
        insert_range(list, moved);
    if (split)
        insert_range(list, spare);
    return split;
}

/* Join the holder's ranges of the same kind that touch `range` into it, so that lists stay as short
 * as the locks are. */
static void merge_ranges(struct lock_list *list, struct lock_range *range)
{
    struct lock_range **at = &list->head;
    while (*at) {
        struct lock_range *other = *at;
        bool touches = (other->last != UINT64_MAX && other->last + 1 == range->first) ||
                       (range->last != UINT64_MAX && range->last + 1 == other->first);

        if (other->holder != range->holder || other->exclusive != range->exclusive || !touches) {
            at = &other->next;
            continue;
        }
        if (other->first < range->first)
            range->first = other->first;
        if (other->last > range->last)
            range->last = other->last;
        *at = other->next;
        free(other);
    }
}

int lock_list_set(struct lock_list *list, void *holder, lock_same_owner *same, uint64_t first,
                  uint64_t last, bool exclusive)
{
    struct lock_range *range = malloc(sizeof(*range)), *spare = malloc(sizeof(*spare));
    if (!range || !spare) {
        free(range);
        free(spare);
        return -ENOMEM;
    }
    if (!cut_range(list, holder, same, first, last, spare))
        free(spare);
    *range =
        (struct lock_range){.holder = holder, .first = first, .last = last, .exclusive = exclusive};
    merge_ranges(list, range);
    insert_range(list, range);
    return 0;
}

int lock_list_clear(struct lock_list *list, const void *holder, lock_same_owner *same,
                    uint64_t first, uint64_t last)
{
    struct lock_range *spare = malloc(sizeof(*spare));
    if (!spare)
        return -ENOMEM;
    if (!cut_range(list, holder, same, first, last, spare))
        free(spare);
    return 0;
}

bool lock_list_holds(const struct lock_list *list, const void *holder)
{
    for (const struct lock_range *range = list->head; range; range = range->next)
        if (range->holder == holder)
            return true;
    return false;
}

void lock_list_drop(struct lock_list *list, const void *holder)
{
    struct lock_range **at = &list->head;
    while (*at) {
        struct lock_range *range = *at;

        if (range->holder != holder) {
            at = &range->next;
            continue;
        }
        *at = range->next;
        free(range);
    }
}
