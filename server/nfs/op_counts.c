/* See op_counts.h. */
#include "server/nfs/op_counts.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "server/nfs/compound.h"

struct row {
    _Alignas(64) _Atomic uint64_t count[OP_TABLE_SIZE][OP_OUTCOMES];
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
    for (unsigned i = 0; i < loops; i++)
        for (unsigned op = 0; op < OP_TABLE_SIZE; op++)
            for (unsigned o = 0; o < OP_OUTCOMES; o++)
                atomic_init(&counts->rows[i].count[op][o], 0);
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

void op_counts_add(struct op_counts *counts, unsigned loop, uint32_t op, nfsstat4 status)
{
    if (!counts || op >= OP_TABLE_SIZE || loop >= counts->loops)
        return;
    atomic_fetch_add_explicit(&counts->rows[loop].count[op][outcome_of(status)], 1,
                              memory_order_relaxed);
}

uint64_t op_counts_get(const struct op_counts *counts, uint32_t op, enum op_outcome outcome)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < counts->loops; i++)
        sum += atomic_load_explicit(&counts->rows[i].count[op][outcome], memory_order_relaxed);
    return sum;
}
