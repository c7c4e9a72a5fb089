/*
 * conn.h - TCP connections and the sockets that accept them.
 *
 * A connection lives on one loop and may move to another: only the thread of its present loop
 * touches it. What other threads may do is said at each function; they reach it by messages, which
 * follow a connection that has moved. It is reference-counted; its socket is closed long before the
 * last reference goes.
 */
#ifndef SEALNFS_SERVER_NET_CONN_H
#define SEALNFS_SERVER_NET_CONN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/record.h"
#include "proto/xdr.h"
#include "server/base/loop.h"
#include "server/base/peer_address.h"

struct buffer;
struct config;
struct conn;
struct listener;

/* Who gets what the connections receive. */
struct conn_service {
    /* One whole record; data lies in `buffer`, of which a reference is taken if it has to stay. The
     * connection's loop. False: the connection has been given to another loop, or closed; it is not
     * touched again. */
    bool (*on_record)(void *context, struct conn *conn, struct buffer *buffer, const uint8_t *data,
                      uint32_t len);
    void *context;
};

/* Bind and listen on every configured address; nothing is accepted before the loops run. Of the
 * configuration only what it says now counts. connections: how many there may be, by the plan of
 * descriptors. The loops are the caller's, and outlive the listener. -errno, logged with the
 * address. */
int listener_create(const struct config *config, unsigned connections, struct loop **loops,
                    unsigned loop_count, const struct conn_service *service, struct listener **out);
/* Read nothing more, and wait until every request under way is answered, or so long. Not on a loop;
 * they still run. */
void listener_drain(struct listener *listener, unsigned seconds);
/* Stop accepting and close every connection. Any thread; the loops still run. */
void listener_close(struct listener *listener);
/* After the loops have stopped. */
void listener_destroy(struct listener *listener);
uint16_t listener_port(const struct listener *listener);
unsigned listener_connections(const struct listener *listener);

/* Serve this socket (already connected) on a loop. Takes over fd in every case. Any thread.
 * -ENOTCONN: its peer has reset it, and nobody can say who it was. */
int conn_adopt(struct listener *listener, struct loop *loop, int fd);

struct conn *conn_ref(struct conn *conn);                      /* any thread */
void conn_unref(struct conn *conn);                            /* any thread */
const struct peer_address *conn_peer(const struct conn *conn); /* any thread */
const char *conn_describe(const struct conn *conn);            /* "192.0.2.1:700"; any thread */
/* No other connection of this process has had it, or will; never 0. Any thread. */
uint64_t conn_serial(const struct conn *conn);
struct loop *conn_loop(struct conn *conn); /* where it lives now; any thread */

/* One message to send: the record mark and a message's iovec. The memory stays the caller's until
 * `sent`. */
struct conn_out {
    struct iovec iov[XDR_OUT_MAX_IOV + 1]; /* iov[0] is the record mark's */
    unsigned iov_count, iov_at;
    uint8_t mark[RECORD_MARK_SIZE];
    struct conn *conn;
    struct conn_out *next;
    struct loop_msg msg;
    void (*sent)(struct conn_out *out,
                 bool ok); /* once, on the connection's loop; ok false: the connection is closed */
};
/* Show `message` in out; false when it is not encodable (full). */
bool conn_out_set(struct conn_out *out, const struct xdr_out *message);
/* Any loop's thread. The caller holds a reference to conn until `sent`. */
void conn_send(struct conn *conn, struct conn_out *out);

/* Requests under way count against the connection's and the server's memory: reading stops above
 * the limits.
 */
void conn_charge(struct conn *conn, size_t bytes); /* any thread */
void conn_discharge(struct conn *conn,
                    size_t bytes); /* any thread; reading goes on at the next request's end */
/* Is there memory for what a request under way asks for? Any thread. */
bool conn_may_hold(const struct conn *conn, size_t bytes);
void conn_request_begin(struct conn *conn);      /* its loop */
void conn_request_end(struct conn *conn);        /* its loop */
unsigned conn_requests(const struct conn *conn); /* its loop */

/* Give the connection to another loop. Its loop; the caller touches it no more. Messages the caller
 * posts there afterwards find it there. */
void conn_move(struct conn *conn, struct loop *target);
/* Its loop. */
void conn_close(struct conn *conn, const char *why);
/* A client is bound to it: it is not closed for being idle. */
void conn_set_bound(struct conn *conn);

/* To be told when the connection closes: msg is posted to loop once. */
struct conn_watch {
    struct loop_msg msg; /* msg.run is the caller's */
    struct loop *loop;
    struct conn_watch *next;
};
/* Any thread. False: it is closed already, msg will not be posted. */
bool conn_watch_add(struct conn *conn, struct conn_watch *watch);
/* Any thread. False: msg has been posted (or never added): it will arrive. */
bool conn_watch_remove(struct conn *conn, struct conn_watch *watch);

/* A call of ours to the peer (the backchannel). `done` is posted to `loop` once, with the reply
 * message or NULL when the connection closed. The reply's memory is a buffer the receiver drops. */
struct conn_call {
    struct loop_msg done; /* done.run is the caller's */
    struct loop *loop;
    uint32_t xid;
    struct buffer *reply_buffer; /* out */
    uint32_t reply_len;
    struct conn_call *next;
};
uint32_t conn_next_xid(struct conn *conn); /* any thread */
/* Any thread; before the call is sent. False: closed. */
bool conn_call_expect(struct conn *conn, struct conn_call *call);
/* Any thread. False: done has been posted: it will arrive. */
bool conn_call_cancel(struct conn *conn, struct conn_call *call);
/* A reply has arrived; false: nobody waits for it (any more). Its loop. */
bool conn_call_answer(struct conn *conn, uint32_t xid, const uint8_t *data, uint32_t len);
bool conn_has_called(struct conn *conn); /* any thread */

#endif
