/*
 * turn.h - whose requests a loop takes next. Requests come faster than they are done from whoever
 * has hundreds of connections; so each address has its turn, and none of them is long.
 *
 * In one pass of the loop an address has its requests done for TURN_NS. What it has beyond that
 * waits, a connection behind the other, in the line of its address, and the lines take turns, one
 * in each pass. So who asks now and then is served in the pass in which his request comes, and
 * waits for no more than a turn of each of the others, whatever they have waiting.
 */
#ifndef SEALNFS_SERVER_NET_TURN_H
#define SEALNFS_SERVER_NET_TURN_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct conn_home;
struct event;

enum { TURN_NS = 500000 };

/* An address's, on one loop; nothing but zero bytes at first. */
struct turn_line {
    struct conn *first;            /* of those that wait */
    struct turn_line *prev, *next; /* of the lines in which somebody waits */
    uint64_t pass, used_ns;        /* in the pass of that number */
};

/* A loop's. */
struct turns {
    struct turn_line *waiting;
    struct event *next; /* the next line has its turn */
    uint64_t pass;      /* their number */
    uint64_t until;     /* the end of the turn under way; 0: none is */
};

/* -ENOMEM. */
int turns_create(struct conn_home *home);
void turns_destroy(struct conn_home *home);
/* There may be something to be read, and it may be: now, or when it has its turn. Its loop. */
void turn_take(struct conn *conn);
/* Nothing more is to be begun on this connection for now. */
bool turn_is_over(const struct conn *conn);
/* It has more to be read. */
void turn_wait(struct conn *conn);
/* It leaves this loop. */
void turn_leave(struct conn *conn);

#endif
