/*
 * share.c - see share.h. One mutex for who sits where; bytes are counted by atomics.
 *
 * Shares with seats hang in lists by their number of seats, so that the one with the most is found
 * at once, however many there are.
 */
#include "server/net/share.h"

#define HASH_NONFATAL_OOM 1
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "server/base/loop.h"
#include "server/net/turn.h"

enum { KINDS = 4, LOOKS = 8 };

struct share {
    struct in6_addr address;
    unsigned seats;
    unsigned refs; /* seats that are or were in it */
    bool served;
    atomic_size_t bytes;
    _Atomic(const struct share_seat *) turn[2]; /* of reserved ports or not */
    struct share_seat *lists[KINDS];            /* list_of */
    struct share *prev, *next;                  /* of those with as many seats; or of the resting */
    UT_hash_handle hh;
    struct turn_line lines[]; /* each loop's */
};

struct shares {
    struct share_limits limits;
    pthread_mutex_t lock;
    struct share *all;
    struct share **by_seats; /* [0..an_address] */
    unsigned most;           /* no share has more seats */
    struct share_seat *idle; /* that serve no session, the oldest first */
    struct share *resting;   /* served before, nobody there now; the latest last */
    unsigned resting_count;
    atomic_uint seats;
    atomic_size_t bytes;
};

int shares_create(const struct share_limits *limits, struct shares **out)
{
    struct shares *shares = calloc(1, sizeof(*shares));
    if (!shares)
        return -ENOMEM;
    shares->by_seats = calloc(limits->an_address + 1u, sizeof(*shares->by_seats));
    if (!shares->by_seats) {
        free(shares);
        return -ENOMEM;
    }
    shares->limits = *limits;
    pthread_mutex_init(&shares->lock, NULL);
    *out = shares;
    return 0;
}

static void free_share(struct shares *shares, struct share *share)
{
    HASH_DELETE(hh, shares->all, share);
    free(share);
}

void shares_destroy(struct shares *shares)
{
    struct share *share, *next;
    if (!shares)
        return;
    HASH_ITER(hh, shares->all, share, next)
    free_share(shares, share);
    pthread_mutex_destroy(&shares->lock);
    free(shares->by_seats);
    free(shares);
}

/* ---- the table, under its lock ---- */

static struct share *find_share(struct shares *shares, const struct peer_address *peer)
{
    struct in6_addr address = peer_address_net(peer);
    struct share *share;
    HASH_FIND(hh, shares->all, &address, sizeof(address), share);
    if (share)
        return share;
    share = calloc(1, sizeof(*share) + shares->limits.loops * sizeof(share->lines[0]));
    if (!share)
        return NULL;
    share->address = address;
    HASH_ADD(hh, shares->all, address, sizeof(share->address), share);
    if (share->hh.tbl)
        return share;
    free(share);
    return NULL;
}

static void count_seat(struct shares *shares, struct share *share, int change)
{
    if (share->seats > 0)
        DL_DELETE(shares->by_seats[share->seats], share);
    share->seats += (unsigned)change;
    atomic_fetch_add(&shares->seats, (unsigned)change);
    if (share->seats > 0)
        DL_APPEND(shares->by_seats[share->seats], share);
    if (share->seats > shares->most)
        shares->most = share->seats;
    while (shares->most > 0 && !shares->by_seats[shares->most])
        shares->most--;
}

/* Nobody is there any more. */
static void rest_share(struct shares *shares, struct share *share)
{
    if (share->refs > 0)
        return;
    if (!share->served) {
        free_share(shares, share);
        return;
    }
    DL_APPEND(shares->resting, share);
    if (++shares->resting_count <= shares->limits.seats)
        return;
    struct share *oldest = shares->resting;
    DL_DELETE(shares->resting, oldest);
    shares->resting_count--;
    free_share(shares, oldest);
}

static struct share_seat **list_of(const struct share_seat *seat)
{
    return &seat->share->lists[2 * seat->bound + seat->reserved];
}

static void take_seat(struct shares *shares, struct share_seat *seat)
{
    seat->taken = true;
    seat->listed_at = atomic_load(&seat->heard_at);
    DL_APPEND(*list_of(seat), seat);
    DL_APPEND2(shares->idle, seat, prev_idle, next_idle);
    count_seat(shares, seat->share, 1);
}

static void give_up_seat(struct shares *shares, struct share_seat *seat)
{
    seat->taken = false;
    DL_DELETE(*list_of(seat), seat);
    if (!seat->bound)
        DL_DELETE2(shares->idle, seat, prev_idle, next_idle);
    count_seat(shares, seat->share, -1);
}

/* ---- who gives way ---- */

/* The first that was not heard since it came to the front; each look at another sends that back. */
static struct share_seat *find_silent(struct share_seat **list)
{
    for (unsigned i = 0; i < LOOKS && *list; i++) {
        struct share_seat *seat = *list;
        const uint64_t heard = atomic_load_explicit(&seat->heard_at, memory_order_relaxed);
        if (heard <= seat->listed_at)
            return seat;
        seat->listed_at = heard;
        DL_DELETE(*list, seat);
        DL_APPEND(*list, seat);
    }
    return *list;
}

static struct share_seat *find_seat(struct share *share, bool of_reserved)
{
    struct share_seat *seat = NULL;
    for (unsigned kind = 0; kind < KINDS && !seat; kind++)
        if (kind % 2 == 0 || of_reserved)
            seat = find_silent(&share->lists[kind]);
    return seat;
}

/* All seats are taken: by whom is there one too many? A share that has no more than the newcomer's
 * gives up only what serves no session. */
static struct share_seat *find_of_all(const struct shares *shares, struct share *share,
                                      bool reserved)
{
    struct share *most = shares->by_seats[shares->most];
    if (!most)
        return NULL;
    if (most->seats > share->seats + 1)
        return find_seat(most, true);
    if (share->seats == most->seats)
        return find_seat(share, reserved);
    return shares->idle ? shares->idle : find_seat(share, reserved);
}

/* False: no seat can be had. */
static bool make_way(struct shares *shares, struct share *share, bool reserved,
                     struct share_seat **gives_way)
{
    const struct share_limits *limits = &shares->limits;
    const unsigned open = share->served ? limits->seats : limits->seats - limits->kept;
    if (share->seats >= limits->an_address)
        *gives_way = find_seat(share, reserved);
    else if (atomic_load(&shares->seats) >= open)
        *gives_way = find_of_all(shares, share, reserved);
    else
        return true;
    return *gives_way;
}

static bool enter_share(struct shares *shares, struct share_seat *seat, struct share *share,
                        void (*hold)(struct share_seat *seat), struct share_seat **gives_way)
{
    if (!make_way(shares, share, seat->reserved, gives_way))
        return false;
    if (*gives_way) {
        hold(*gives_way);
        give_up_seat(shares, *gives_way);
    }
    if (share->refs++ == 0 && share->served) {
        DL_DELETE(shares->resting, share);
        shares->resting_count--;
    }
    seat->share = share;
    take_seat(shares, seat);
    return true;
}

bool share_enter(struct shares *shares, struct share_seat *seat, const struct peer_address *peer,
                 void (*hold)(struct share_seat *seat), struct share_seat **gives_way)
{
    *gives_way = NULL;
    seat->reserved = peer->reserved;
    pthread_mutex_lock(&shares->lock);
    struct share *share = find_share(shares, peer);
    bool entered = share && enter_share(shares, seat, share, hold, gives_way);
    if (share && !entered && share->refs == 0 && !share->served)
        free_share(shares, share);
    pthread_mutex_unlock(&shares->lock);
    return entered;
}

void share_leave(struct shares *shares, struct share_seat *seat)
{
    pthread_mutex_lock(&shares->lock);
    if (seat->taken)
        give_up_seat(shares, seat);
    pthread_mutex_unlock(&shares->lock);
}

void share_drop(struct shares *shares, struct share_seat *seat)
{
    if (!seat->share)
        return;
    pthread_mutex_lock(&shares->lock);
    seat->share->refs--;
    rest_share(shares, seat->share);
    pthread_mutex_unlock(&shares->lock);
    seat->share = NULL;
}

void share_bind(struct shares *shares, struct share_seat *seat)
{
    pthread_mutex_lock(&shares->lock);
    seat->share->served = true;
    if (seat->taken && !seat->bound) {
        DL_DELETE(*list_of(seat), seat);
        DL_DELETE2(shares->idle, seat, prev_idle, next_idle);
        seat->bound = true;
        DL_APPEND(*list_of(seat), seat);
    }
    pthread_mutex_unlock(&shares->lock);
}

struct turn_line *share_line(const struct share_seat *seat, unsigned loop)
{
    return &seat->share->lines[loop];
}

unsigned shares_seats(const struct shares *shares)
{
    return atomic_load_explicit(&shares->seats, memory_order_relaxed);
}

/* ---- memory ---- */

void share_charge(struct shares *shares, struct share_seat *seat, size_t bytes)
{
    atomic_fetch_add_explicit(&seat->bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&seat->share->bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&shares->bytes, bytes, memory_order_relaxed);
}

void share_discharge(struct shares *shares, struct share_seat *seat, size_t bytes)
{
    atomic_fetch_sub_explicit(&seat->bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&seat->share->bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&shares->bytes, bytes, memory_order_relaxed);
}

/* The same rule within the address: a connection may have as much as is left of what its address
 * may have. From ports that anybody may have it is half, so that the other half is for the others.
 */
size_t share_room(const struct shares *shares, const struct share_seat *seat)
{
    const size_t most = seat->reserved ? shares->limits.memory : shares->limits.memory / 2;
    const size_t used =
        shares_bytes(shares) + atomic_load_explicit(&seat->share->bytes, memory_order_relaxed);
    return used < most ? most - used : 0;
}

bool share_may_take(const struct shares *shares, const struct share_seat *seat)
{
    const size_t own = atomic_load_explicit(&seat->bytes, memory_order_relaxed);
    return own < shares->limits.a_seat && own < share_room(shares, seat);
}

bool share_may_hold(const struct shares *shares, const struct share_seat *seat, size_t bytes)
{
    return bytes < share_room(shares, seat) / 2;
}

bool share_take_turn(const struct shares *shares, const struct share_seat *seat)
{
    const struct share_seat *nobody = NULL;
    if (atomic_load(&seat->share->turn[seat->reserved]) == seat)
        return true;
    return shares_bytes(shares) < shares->limits.memory &&
           atomic_compare_exchange_strong(&seat->share->turn[seat->reserved], &nobody, seat);
}

void share_end_turn(const struct share_seat *seat)
{
    const struct share_seat *whose = seat;
    atomic_compare_exchange_strong(&seat->share->turn[seat->reserved], &whose, NULL);
}

size_t shares_bytes(const struct shares *shares)
{
    return atomic_load_explicit(&shares->bytes, memory_order_relaxed);
}

bool shares_are_scarce(const struct shares *shares)
{
    return shares_bytes(shares) / 3 > shares->limits.memory / 4;
}
