/*
 * private.h - shared by conn.c (receiving, life and death), net/send.c (sending, calls) and
 * listener.c (accepting).
 */
#ifndef SEALNFS_SERVER_NET_PRIVATE_H
#define SEALNFS_SERVER_NET_PRIVATE_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>

#include "proto/record.h"
#include "server/net/conn.h"
#include "server/net/share.h"
#include "server/net/turn.h"

enum {
    CONN_MAX_REQUESTS = 128,        /* under way on one connection */
    CONN_RECORD_SLACK = 64 << 10,   /* what a request may have beside one payload of max_io_size */
    CONN_CALL_REPLY_MAX = 64 << 10, /* a callback's reply */
    CONN_PARTIAL_SECONDS = 30,      /* a record that has begun must end */
    CONN_SLOWEST = 4 << 10,         /* bytes a second, in which it may come for longer */
    CONN_STALL_SECONDS = 60,        /* a reply must have left, or go on leaving */
    CONN_SCARCE_SECONDS = 10,       /* where others could use the memory */
    CONN_STARVED_SECONDS = 60, /* a record that waits for memory, with nothing else under way */
    CONN_IDLE_SECONDS = 600,   /* nothing bound, nothing said */
    CONN_CLOSING_MAX = 64, /* that give way and are not closed yet: none is accepted meanwhile */
    CONN_AN_ADDRESS_LEAST = 32, /* connections that an address may have, however few all may have */
};

/* The connections of one loop. */
struct conn_home {
    struct listener *listener;
    struct loop *loop;
    struct conn *first;
    struct event *sweep;
    struct turns turns;
    struct loop_msg close_msg;
    bool closing;
};

struct listener {
    struct loop **loops;
    unsigned loop_count;
    struct conn_service service;
    void (*on_drained)(struct listener *listener); /* the last request has ended; any loop */
    uint32_t max_record;
    struct shares *shares;   /* who has which connections and how much memory */
    atomic_uint connections; /* not closed yet, those that give way included */
    atomic_uint closing;     /* of these, those that give way */
    atomic_uint stalled;     /* connections that wait for memory of others */
    atomic_uint requests;    /* under way, replies that have not left included */
    atomic_bool draining;    /* nothing more is read */
    pthread_mutex_t drain_lock;
    pthread_cond_t drained;
    pthread_mutex_t lock;
    struct conn *all; /* wherever they are */
    struct event *accept_again;
    struct loop_msg close_msg;
    unsigned next_loop;
    unsigned socket_count;
    struct listener_socket {
        struct listener *listener;
        int fd;
        struct event *event;
    } * sockets;
    struct conn_home homes[];
};

struct conn {
    atomic_uint refs;
    int fd;
    struct listener *listener;
    _Atomic(struct loop *) loop;
    struct conn_home *home; /* NULL while it moves */
    struct conn *prev, *next;
    struct conn *prev_of_all, *next_of_all; /* the listener's lock */
    struct event read_event, write_event;
    struct conn *prev_turn, *next_turn; /* of those that wait for their address's turn */
    bool waits_turn;                    /* read_event, though read_on, may not be there */
    unsigned told_waiting;              /* how often it was readable meanwhile */
    bool read_on, write_on, corked, closed, pumping;
    atomic_bool bound; /* by the loop of the client's */

    struct record_reader reader;
    struct buffer *stage; /* bytes received and not yet looked at */
    size_t stage_at, stage_len;
    struct buffer *record; /* a record being put together */
    uint32_t record_len;
    bool record_partial;

    unsigned requests;
    struct share_seat seat;
    struct loop_msg give_way;
    bool giving_way; /* under the shares' lock, then on its loop */
    bool gave_way;   /* it has been told so */
    struct conn_out *out_first, **out_last;
    size_t out_taken; /* of out_first, by the peer */
    uint64_t out_at;  /* when that came to the front; loop_now_ns, as all of these */
    uint64_t record_at;
    uint64_t starved_at; /* when it ceased to be read for want of memory; 0: it is not so */

    pthread_mutex_t lock; /* guards the lists below */
    bool gone;
    struct conn_watch *watches;
    struct conn_call *calls;
    atomic_uint xid;
    atomic_bool called; /* by us, at any time */

    struct loop_msg arrive;
    uint64_t serial;
    struct peer_address peer;
    char text[INET6_ADDRSTRLEN + 10];
};

/* A record that began so long ago, of which so much has come. Pure. */
bool conn_record_is_late(uint64_t since_ns, uint32_t received);
/* A reply that has been the next to leave for so long, of which the peer has taken so much. Pure.
 */
bool conn_reply_is_late(uint64_t since_ns, size_t taken, bool scarce);
/* Its loop. */
bool conn_may_read(const struct conn *conn);
int conn_create(struct listener *listener, int fd, struct conn **out);
void conn_pump(struct conn *conn);
/* Send what is queued. Its loop. */
void conn_flush(struct conn *conn);
void conn_drop_output(struct conn *conn);
/* Post every watch and call; none can be added afterwards. */
void conn_tell_gone(struct conn *conn);
void conn_events_init(struct conn *conn);
void conn_on_writable(evutil_socket_t fd, short events, void *arg);

#endif
