/*
 * lock_range.c - byte-range locks, see lock_range.h. Pure.
 *
 * A range stands in two trees. In its file's, the ranges of all owners are in order of their first
 * bytes, and each knows how far those below it reach, and how far those of others than one owner
 * do: so who looks for a conflict goes down one way only, past any number of ranges that do not
 * reach him, that are his own, or that are shared as his is to be. In its owner's tree are his own
 * ranges of a file in order, which do not overlap: what he locks or unlocks is found there.
 */
#include "server/state/lock_range.h"

#include <errno.h>
#include <stdlib.h>

#include "layout/container_of.h"

enum { ALL, EXCLUSIVE };

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

/* ---- the file's tree ---- */

static struct lock_range *by_place(struct treap_node *node)
{
    return node ? container_of(node, struct lock_range, by_place) : NULL;
}

static bool place_before(struct treap_node *a, struct treap_node *b)
{
    const struct lock_range *x = by_place(a), *y = by_place(b);
    return x->first != y->first ? x->first < y->first : x->number < y->number;
}

static void extend_reach(struct lock_reach *reach, const struct lock_owner *owner, uint64_t last)
{
    if (!owner)
        return;
    if (reach->owner == owner) {
        if (last > reach->last)
            reach->last = last;
    } else if (!reach->owner || last > reach->last) {
        reach->other = reach->owner;
        reach->other_last = reach->last;
        reach->owner = owner;
        reach->last = last;
    } else if (!reach->other || last > reach->other_last) {
        reach->other = owner;
        reach->other_last = last;
    }
}

static void update_reach(struct treap_node *node)
{
    struct lock_range *range = by_place(node);
    const struct lock_range *below[2] = {by_place(node->left), by_place(node->right)};
    for (unsigned kind = ALL; kind <= EXCLUSIVE; kind++) {
        struct lock_reach reach = {0};
        if (kind == ALL || range->exclusive)
            extend_reach(&reach, range->holder->owner, range->last);
        for (unsigned i = 0; i < 2; i++) {
            if (!below[i])
                continue;
            extend_reach(&reach, below[i]->reach[kind].owner, below[i]->reach[kind].last);
            extend_reach(&reach, below[i]->reach[kind].other, below[i]->reach[kind].other_last);
        }
        range->reach[kind] = reach;
    }
}

static const struct treap_kind place_kind = {.before = place_before, .update = update_reach};

/* Does a range of somebody else reach this far? */
static bool others_reach(const struct lock_reach *reach, const struct lock_owner *owner,
                         uint64_t first)
{
    if (reach->owner != owner)
        return reach->owner && reach->last >= first;
    return reach->other && reach->other_last >= first;
}

/* What is left of a range begins before it does: if one of those reaches the range's first byte, it
 * overlaps whatever the range does. So where the left side is entered and the range begins in time,
 * something is found there. */
static const struct lock_range *find_conflict(const struct lock_range *range,
                                              const struct lock_owner *owner, uint64_t first,
                                              uint64_t last, unsigned kind)
{
    while (range && others_reach(&range->reach[kind], owner, first)) {
        const struct lock_range *left = by_place(range->by_place.left);
        if (left && others_reach(&left->reach[kind], owner, first)) {
            range = left;
        } else if (range->first > last) {
            return NULL;
        } else if (range->last >= first && range->holder->owner != owner &&
                   (kind == ALL || range->exclusive)) {
            return range;
        } else {
            range = by_place(range->by_place.right);
        }
    }
    return NULL;
}

const struct lock_range *lock_list_conflict(const struct lock_list *list,
                                            const struct lock_owner *owner, uint64_t first,
                                            uint64_t last, bool exclusive)
{
    return find_conflict(by_place(list->ranges), owner, first, last, exclusive ? ALL : EXCLUSIVE);
}

/* ---- the owner's tree ---- */

static struct lock_range *by_owner(struct treap_node *node)
{
    return node ? container_of(node, struct lock_range, by_owner) : NULL;
}

static bool owner_before(struct treap_node *a, struct treap_node *b)
{
    const struct lock_range *x = by_owner(a), *y = by_owner(b);
    return x->list != y->list ? (uintptr_t)x->list < (uintptr_t)y->list : x->first < y->first;
}

static const struct treap_kind owner_kind = {.before = owner_before};

/* The first of the owner's ranges in this list that reaches the byte, or lies after it. */
static struct lock_range *find_own(const struct lock_list *list, const struct lock_owner *owner,
                                   uint64_t first)
{
    struct lock_range *range = by_owner(owner->ranges), *found = NULL;
    while (range) {
        bool early =
            range->list != list ? (uintptr_t)range->list < (uintptr_t)list : range->last < first;
        if (!early)
            found = range;
        range = by_owner(early ? range->by_owner.right : range->by_owner.left);
    }
    return found && found->list == list ? found : NULL;
}

/* ---- both ---- */

static void enter_range(struct lock_list *list, struct lock_holder *holder,
                        struct lock_range *range)
{
    range->list = list;
    range->holder = holder;
    range->number = list->numbered++;
    treap_insert(&list->ranges, &range->by_place, &place_kind);
    treap_insert(&holder->owner->ranges, &range->by_owner, &owner_kind);
    holder->owner->count++;
    if (holder->count)
        ++*holder->count;
    range->prev = NULL;
    range->next = holder->ranges;
    if (holder->ranges)
        holder->ranges->prev = range;
    holder->ranges = range;
}

static void leave_range(struct lock_range *range)
{
    struct lock_holder *holder = range->holder;
    treap_remove(&range->list->ranges, &range->by_place, &place_kind);
    treap_remove(&holder->owner->ranges, &range->by_owner, &owner_kind);
    holder->owner->count--;
    if (holder->count)
        --*holder->count;
    if (range->prev)
        range->prev->next = range->next;
    else
        holder->ranges = range->next;
    if (range->next)
        range->next->prev = range->prev;
}

static void resize_range(struct lock_range *range, uint64_t first, uint64_t last)
{
    leave_range(range);
    range->first = first;
    range->last = last;
    enter_range(range->list, range->holder, range);
}

static void remove_range(struct lock_range *range)
{
    leave_range(range);
    free(range);
}

bool lock_list_splits(const struct lock_list *list, const struct lock_owner *owner, uint64_t first,
                      uint64_t last)
{
    const struct lock_range *range = find_own(list, owner, first);
    return range && range->first < first && range->last > last;
}

/*
 * Cut [first, last] out of the owner's ranges. A range that reaches past both ends is split with
 * `spare`; the return value says whether the spare was used (at most once, since an owner's ranges
 * do not overlap).
 */
static bool cut_ranges(struct lock_list *list, const struct lock_owner *owner, uint64_t first,
                       uint64_t last, struct lock_range *spare)
{
    for (struct lock_range *range;
         (range = find_own(list, owner, first)) && range->first <= last;) {
        uint64_t end = range->last;
        if (range->first < first) {
            resize_range(range, range->first, first - 1);
            if (end > last) {
                spare->first = last + 1;
                spare->last = end;
                spare->exclusive = range->exclusive;
                enter_range(list, range->holder, spare);
                return true;
            }
        } else if (end > last) {
            resize_range(range, last + 1, end);
        } else {
            remove_range(range);
        }
    }
    return false;
}

static bool can_join(const struct lock_range *neighbour, const struct lock_holder *holder,
                     bool exclusive)
{
    return neighbour && neighbour->holder == holder && neighbour->exclusive == exclusive;
}

/* Join the holder's ranges of the same kind that touch the new one into it, so that there are no
 * more than there are locks. */
static void join_neighbours(struct lock_list *list, struct lock_holder *holder,
                            struct lock_range *range)
{
    struct lock_range *before =
        range->first > 0 ? find_own(list, holder->owner, range->first - 1) : NULL;
    if (can_join(before, holder, range->exclusive) && before->last == range->first - 1) {
        range->first = before->first;
        remove_range(before);
    }
    struct lock_range *after =
        range->last < UINT64_MAX ? find_own(list, holder->owner, range->last + 1) : NULL;
    if (can_join(after, holder, range->exclusive) && after->first == range->last + 1) {
        range->last = after->last;
        remove_range(after);
    }
}

int lock_list_set(struct lock_list *list, struct lock_holder *holder, uint64_t first, uint64_t last,
                  bool exclusive)
{
    struct lock_range *range = malloc(sizeof(*range)), *spare = malloc(sizeof(*spare));
    if (!range || !spare) {
        free(range);
        free(spare);
        return -ENOMEM;
    }
    if (!cut_ranges(list, holder->owner, first, last, spare))
        free(spare);
    range->first = first;
    range->last = last;
    range->exclusive = exclusive;
    join_neighbours(list, holder, range);
    enter_range(list, holder, range);
    return 0;
}

int lock_list_clear(struct lock_list *list, struct lock_owner *owner, uint64_t first, uint64_t last)
{
    struct lock_range *spare = malloc(sizeof(*spare));
    if (!spare)
        return -ENOMEM;
    if (!cut_ranges(list, owner, first, last, spare))
        free(spare);
    return 0;
}

void lock_holder_drop(struct lock_holder *holder, size_t most)
{
    for (; holder->ranges && most > 0; most--)
        remove_range(holder->ranges);
}
