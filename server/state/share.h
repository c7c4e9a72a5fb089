/*
 * share.h - share reservations (RFC 8881 sections 9.7 to 9.9) as pure policy: what one open holds,
 * what all opens of a file hold together, and what that forbids. No locks, no memory; the caller
 * guards the values.
 */
#ifndef SEALNFS_SERVER_STATE_SHARE_H
#define SEALNFS_SERVER_STATE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4/types.h"

/* Access and deny bits are OPEN4_SHARE_ACCESS_* and OPEN4_SHARE_DENY_*: bit 0 reading, bit 1
 * writing. */

/* One open: the union of its OPENs, and which modes they were opened with (bit n: mode n), for
 * OPEN_DOWNGRADE. */
struct share_open {
    uint8_t access, deny;
    uint8_t access_modes, deny_modes;
};

/* All opens of a file: how many have each bit, indexed by bit. */
struct share_totals {
    uint32_t access[2];
    uint32_t deny[2];
};

/* The mode of an OPEN's or OPEN_DOWNGRADE's share_access without the wishes for delegations; 0: not
 * valid (INVAL). */
uint32_t share_access_mode(uint32_t share_access);
bool share_deny_is_valid(uint32_t share_deny);

uint32_t share_totals_access(const struct share_totals *totals);
uint32_t share_totals_deny(const struct share_totals *totals);
/* Would an OPEN with these be SHARE_DENIED? Opens of the same owner count like others
 * (section 9.7). */
bool share_conflicts(const struct share_totals *totals, uint32_t access, uint32_t deny);

/* An OPEN was granted: the open grows, and with it the totals. */
void share_add(struct share_totals *totals, struct share_open *open, uint32_t access,
               uint32_t deny);
/* The open is closed. */
void share_remove(struct share_totals *totals, struct share_open *open);
/* Reduces the open. False, and nothing changed, when access or deny is not the union of some of its
 * OPENs (INVAL). */
bool share_downgrade(struct share_totals *totals, struct share_open *open, uint32_t access,
                     uint32_t deny);

#endif
