/*
 * share.c - share reservations, see share.h. Pure.
 */
#include "server/state/share.h"

uint32_t share_access_mode(uint32_t share_access)
{
    uint32_t wishes = OPEN4_SHARE_ACCESS_WANT_DELEG_MASK |
                      OPEN4_SHARE_ACCESS_WANT_SIGNAL_DELEG_WHEN_RESRC_AVAIL |
                      OPEN4_SHARE_ACCESS_WANT_PUSH_DELEG_WHEN_UNCONTENDED;
    uint32_t mode = share_access & ~wishes;
    return mode <= OPEN4_SHARE_ACCESS_BOTH ? mode : 0;
}

bool share_deny_is_valid(uint32_t share_deny)
{
    return share_deny <= OPEN4_SHARE_DENY_BOTH;
}

static uint32_t bits_held(const uint32_t count[2])
{
    return (count[0] ? 1u : 0u) | (count[1] ? 2u : 0u);
}

uint32_t share_totals_access(const struct share_totals *totals)
{
    return bits_held(totals->access);
}

uint32_t share_totals_deny(const struct share_totals *totals)
{
    return bits_held(totals->deny);
}

bool share_conflicts(const struct share_totals *totals, uint32_t access, uint32_t deny)
{
    return (access & share_totals_deny(totals)) || (deny & share_totals_access(totals));
}

/* Count what changes when an open's bits go from `was` to `now`. */
static void recount_bits(uint32_t count[2], uint32_t was, uint32_t now)
{
    for (unsigned bit = 0; bit < 2; bit++) {
        bool had = was >> bit & 1, has = now >> bit & 1;

        if (has && !had)
            count[bit]++;
        else if (had && !has)
            count[bit]--;
    }
}

static void set_bits(struct share_totals *totals, struct share_open *open, uint32_t access,
                     uint32_t deny)
{
    recount_bits(totals->access, open->access, access);
    recount_bits(totals->deny, open->deny, deny);
    open->access = (uint8_t)access;
    open->deny = (uint8_t)deny;
}

void share_add(struct share_totals *totals, struct share_open *open, uint32_t access, uint32_t deny)
{
    open->access_modes |= (uint8_t)(1u << access);
    open->deny_modes |= (uint8_t)(1u << deny);
    set_bits(totals, open, open->access | access, open->deny | deny);
}

void share_remove(struct share_totals *totals, struct share_open *open)
{
    set_bits(totals, open, 0, 0);
    open->access_modes = open->deny_modes = 0;
}

/* The modes among `modes` that ask for nothing beyond `limit`. */
static uint8_t modes_within(uint8_t modes, uint32_t limit)
{
    uint8_t kept = 0;
    for (uint32_t mode = 0; mode <= 3; mode++)
        if ((modes >> mode & 1) && !(mode & ~limit))
            kept |= (uint8_t)(1u << mode);
    return kept;
}

static uint32_t modes_union(uint8_t modes)
{
    uint32_t all = 0;
    for (uint32_t mode = 0; mode <= 3; mode++)
        if (modes >> mode & 1)
            all |= mode;
    return all;
}

bool share_downgrade(struct share_totals *totals, struct share_open *open, uint32_t access,
                     uint32_t deny)
{
    uint8_t access_modes = modes_within(open->access_modes, access);
    uint8_t deny_modes = modes_within(open->deny_modes, deny);
    if (modes_union(access_modes) != access)
        return false;
    /* A deny of NONE is always within reach: a client may have forgotten that it opened with it
     * once. */
    if (modes_union(deny_modes) != deny)
        return false;
    open->access_modes = access_modes;
    open->deny_modes = deny_modes | (deny == OPEN4_SHARE_DENY_NONE ? 1u : 0u);
    set_bits(totals, open, access, deny);
    return true;
}
