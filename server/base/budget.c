/*
 * budget.c - see budget.h. Pure.
 */
#include "server/base/budget.h"

/* What each takes at most, with its share of the tables: sizes of structures, owners' names (1,024
 * bytes at most) not looked at closely. */
enum { STATE_BYTES = 1536, RANGE_BYTES = 256, MEMORY_PART = 16, LEAST = 1024 };

static uint64_t at_least(uint64_t count)
{
    return count < LEAST ? LEAST : count;
}

void budget_init(struct budget *budget, uint64_t files, uint64_t memory)
{
    budget->limit[BUDGET_FILES] = files;
    budget->limit[BUDGET_STATES] = at_least(memory / MEMORY_PART / STATE_BYTES);
    budget->limit[BUDGET_RANGES] = at_least(memory / MEMORY_PART / RANGE_BYTES);
    for (unsigned kind = 0; kind < BUDGET_KINDS; kind++)
        atomic_init(&budget->taken[kind], 0);
}

static uint64_t held_by(const struct budget_share *share, enum budget_kind kind)
{
    uint64_t held = 0;
    for (; share; share = share->above)
        held += atomic_load(&share->held[kind]);
    return held;
}

bool budget_take(struct budget *budget, struct budget_share *share, enum budget_kind kind,
                 uint64_t count)
{
    uint64_t held = held_by(share, kind), taken = atomic_load(&budget->taken[kind]);
    if (count == 0)
        return true;
    do {
        uint64_t left = taken < budget->limit[kind] ? budget->limit[kind] - taken : 0;
        if (count > left || held > left - count)
            return false;
    } while (!atomic_compare_exchange_weak(&budget->taken[kind], &taken, taken + count));
    for (; share; share = share->above)
        atomic_fetch_add(&share->held[kind], count);
    return true;
}

bool budget_is_scarce(const struct budget *budget, enum budget_kind kind)
{
    const uint64_t limit = budget->limit[kind];
    return atomic_load(&budget->taken[kind]) > limit - limit / 4;
}

void budget_give(struct budget *budget, struct budget_share *share, enum budget_kind kind,
                 uint64_t count)
{
    for (; share; share = share->above)
        atomic_fetch_sub(&share->held[kind], count);
    atomic_fetch_sub(&budget->taken[kind], count);
}
