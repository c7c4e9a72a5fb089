/*
 * op_counts.h - how many operations of each name ended how, and after how long: counted by loops
 * and workers as results are written, read by whoever shows them. Any thread.
 */
#ifndef SEALNFS_SERVER_NFS_OP_COUNTS_H
#define SEALNFS_SERVER_NFS_OP_COUNTS_H

#include <stdint.h>

#include "proto/nfs4/types.h"

enum op_outcome { OP_OUTCOME_OK, OP_OUTCOME_DELAY, OP_OUTCOME_ERROR, OP_OUTCOMES };

struct op_counts;

/* One row of counters a loop, so that loops do not share cache lines. */
int op_counts_create(unsigned loops, struct op_counts **out);
void op_counts_destroy(struct op_counts *counts);
/* DELAY stands for all that the client is to ask again for: DELAY, GRACE, LAYOUTTRYLATER,
 * RECALLCONFLICT. */
void op_counts_add(struct op_counts *counts, unsigned loop, uint32_t op, nfsstat4 status,
                   uint64_t took_ns);
/* How long they took, whatever came of them: by powers of ten from 100 us, each without the ones
 * before it; what took longer than the last is in the count only. */
enum { OP_TIMES = 6, OP_TIME_FIRST_NS = 100000 };
struct op_times {
    uint64_t within[OP_TIMES], count, sum_ns;
};
void op_counts_times(const struct op_counts *counts, uint32_t op, struct op_times *times);
uint64_t op_counts_get(const struct op_counts *counts, uint32_t op, enum op_outcome outcome);

#endif
