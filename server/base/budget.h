/*
 * budget.h - what all clients together may have of what opens and locks take, and how it is shared.
 * Pure; any thread.
 *
 * A client may take more of a kind as long as what it has and what its address has are together no
 * more than what is left. So one alone comes by a third; who takes all he can leaves enough for the
 * next, his own address's other clients included, and however many of those there are, nobody with
 * little ever meets their greed. How many clients there will be need not be known.
 */
#ifndef SEALNFS_SERVER_BASE_BUDGET_H
#define SEALNFS_SERVER_BASE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum budget_kind {
    BUDGET_FILES,  /* that a client has open: a descriptor each */
    BUDGET_STATES, /* opens and lock states */
    BUDGET_RANGES, /* that are locked */
    BUDGET_KINDS
};

struct budget {
    uint64_t limit[BUDGET_KINDS];
    _Atomic uint64_t taken[BUDGET_KINDS];
};

/* A client's part, or an address's. */
struct budget_share {
    struct budget_share *above; /* the address's of a client's; outlives it */
    _Atomic uint64_t held[BUDGET_KINDS];
};

/* files: descriptors that there are for them; memory: bytes that the process may have, of which
 * states and ranges may take a sixteenth each. */
void budget_init(struct budget *budget, uint64_t files, uint64_t memory);
/* All or nothing; nothing is always to be had. */
bool budget_take(struct budget *budget, struct budget_share *share, enum budget_kind kind,
                 uint64_t count);
/* Is more than three quarters of it taken? Several addresses have much then. */
bool budget_is_scarce(const struct budget *budget, enum budget_kind kind);
void budget_give(struct budget *budget, struct budget_share *share, enum budget_kind kind,
                 uint64_t count);

#endif
