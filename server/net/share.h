/*
 * share.h - what one address has of the server: its connections, and the memory of its requests.
 *
 * A connection sits in the share of its peer's address (of its /64, for IPv6: whoever has one
 * address there has them all). When an address has as many connections as it may have, or all
 * together have, the newcomer gets in and another one gives way: of the same address, or of the one
 * that has the most; first one on which no session was ever used, then one that has been silent for
 * long. Within an address a port that anybody may have pushes nobody out who has a reserved one;
 * between addresses it is their number that counts. The last seats are kept for addresses from
 * which a session was used before. Any thread.
 *
 * Memory is divided without fixed parts: an address may have as much as is still free, so one that
 * takes what it can get leaves half, and n of them leave the n + 1st as much as each of them has.
 * Ports that anybody may have share half of it in the same way.
 */
#ifndef SEALNFS_SERVER_NET_SHARE_H
#define SEALNFS_SERVER_NET_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/peer_address.h"

struct share;
struct shares;
struct turn_line;

struct share_limits {
    unsigned seats;      /* of all addresses together */
    unsigned an_address; /* of these */
    unsigned kept;       /* of these for addresses that were served before */
    size_t memory;       /* bytes, of all */
    size_t a_seat;       /* of these */
    unsigned loops;
};

/* What a connection has in it. */
struct share_seat {
    struct share *share;                      /* for as long as there is the connection */
    struct share_seat *prev, *next;           /* of its kind in the share */
    struct share_seat *prev_idle, *next_idle; /* of all that serve no session */
    uint64_t listed_at;
    _Atomic uint64_t heard_at; /* loop_now_ns; its owner's to set */
    atomic_size_t bytes;
    bool taken, bound, reserved;
};

int shares_create(const struct share_limits *limits, struct shares **out);
/* The last seat is left, the last share dropped. */
void shares_destroy(struct shares *shares);

/* A new connection. False: there is no seat for it. *gives_way: the seat that was given up for it
 * (NULL: none), not counted any more; `hold` was called for it while it could not go. */
bool share_enter(struct shares *shares, struct share_seat *seat, const struct peer_address *peer,
                 void (*hold)(struct share_seat *seat), struct share_seat **gives_way);
/* The connection has closed. */
void share_leave(struct shares *shares, struct share_seat *seat);
/* Nothing is charged to it any more. */
void share_drop(struct shares *shares, struct share_seat *seat);
/* A session was used on it. */
void share_bind(struct shares *shares, struct share_seat *seat);
/* The seat's address's line on that loop. */
struct turn_line *share_line(const struct share_seat *seat, unsigned loop);
unsigned shares_seats(const struct shares *shares);

void share_charge(struct shares *shares, struct share_seat *seat, size_t bytes);
void share_discharge(struct shares *shares, struct share_seat *seat, size_t bytes);
/* May it begin something that needs more? */
bool share_may_take(const struct shares *shares, const struct share_seat *seat);
/* What it had begun before may go on to take so much, and leaves room for others. */
bool share_may_hold(const struct shares *shares, const struct share_seat *seat, size_t bytes);
/* Those that have begun what they have no room to end would wait for each other for ever: one of an
 * address, and one of its ports that anybody may have, may go on at a time. False: another does. */
bool share_take_turn(const struct shares *shares, const struct share_seat *seat);
void share_end_turn(const struct share_seat *seat);
/* How much less its address has than is free. */
size_t share_room(const struct shares *shares, const struct share_seat *seat);
size_t shares_bytes(const struct shares *shares);
/* Little is left: who does not take what it asked for is not waited for as long as usual. */
bool shares_are_scarce(const struct shares *shares);

#endif
