/* See op_counts.h. */
#include "server/nfs/op_counts.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "server/nfs/compound.h"

struct row {
    _Alignas(64) struct cell {
        _Atomic uint64_t count[OP_OUTCOMES], within[OP_TIMES], sum_ns;
    } op[OP_TABLE_SIZE];
};

struct op_counts {
    unsigned loops;
    struct row *rows;
};

int op_counts_create(unsigned loops, struct op_counts **out)
{
    struct op_counts *counts = malloc(sizeof *counts);
    if (!counts)
        return -ENOMEM;
    counts->loops = loops;
    counts->rows = aligned_alloc(_Alignof(struct row), loops * sizeof(struct row));
    if (!counts->rows) {
        free(counts);
        return -ENOMEM;
    }
    memset(counts->rows, 0, loops * sizeof(struct row));
    *out = counts;
    return 0;
}

void op_counts_destroy(struct op_counts *counts)
{
    if (!counts)
        return;
    free(counts->rows);
    free(counts);
}

static enum op_outcome outcome_of(nfsstat4 status)
{
    switch (status) {
    case NFS4_OK:
        return OP_OUTCOME_OK;
    case NFS4ERR_DELAY:
    case NFS4ERR_GRACE:
    case NFS4ERR_LAYOUTTRYLATER:
    case NFS4ERR_RECALLCONFLICT:
        return OP_OUTCOME_DELAY;
    default:
        return OP_OUTCOME_ERROR;
    }
}

static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

void op_counts_add(struct op_counts *counts, unsigned loop, uint32_t op, nfsstat4 status,
                   uint64_t took_ns)
{
    uint64_t bound = OP_TIME_FIRST_NS;
    unsigned i = 0;
    if (!counts || op >= OP_TABLE_SIZE || loop >= counts->loops)
        return;
    struct cell *cell = &counts->rows[loop].op[op];
    for (; i < OP_TIMES && took_ns > bound; i++)
        bound *= 10;
    if (i < OP_TIMES)
        count(&cell->within[i], 1);
    count(&cell->sum_ns, took_ns);
    count(&cell->count[outcome_of(status)], 1);
}

static uint64_t value(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

uint64_t op_counts_get(const struct op_counts *counts, uint32_t op, enum op_outcome outcome)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < counts->loops; i++)
        sum += value(&counts->rows[i].op[op].count[outcome]);
    return sum;
}

void op_counts_times(const struct op_counts *counts, uint32_t op, struct op_times *times)
{
    *times = (struct op_times){.count = 0};
    for (unsigned i = 0; i < counts->loops; i++) {
        const struct cell *cell = &counts->rows[i].op[op];
        for (unsigned t = 0; t < OP_TIMES; t++)
            times->within[t] += value(&cell->within[t]);
        times->sum_ns += value(&cell->sum_ns);
    }
    for (unsigned o = 0; o < OP_OUTCOMES; o++)
        times->count += op_counts_get(counts, op, (enum op_outcome)o);
}
