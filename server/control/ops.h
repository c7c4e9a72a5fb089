/*
 * ops.h - what can be asked on the control socket.
 */
#ifndef SEALNFS_SERVER_CONTROL_OPS_H
#define SEALNFS_SERVER_CONTROL_OPS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct control_holder;
struct evbuffer;
struct loop;
struct server;

/* The connection that asks. */
struct control_peer {
    int fd;
    bool may_hold;                 /* there is room for another holder */
    struct control_holder *holder; /* control/hold.h; NULL: it is none */
    /* Send a line that was not asked for. Takes over the reference; NULL: it could not be made. */
    void (*say)(struct control_peer *peer, json_t *line);
    /* For an answer that is written in pieces: a piece, which is taken out of the buffer; `then`
     * when the peer has read what there is, but for a little, or is gone. Whoever has put all of
     * the line sets `answered`. */
    void (*put)(struct control_peer *peer, struct evbuffer *text);
    void (*when_read)(struct control_peer *peer, void (*then)(void *context), void *context);
    bool (*gone)(const struct control_peer *peer);
    bool answered;
};

/* Called once with the answer, on the control loop; takes over the reference. NULL: out of memory.
 */
typedef void (*control_answer_fn)(void *context, json_t *reply);

/* Carry out one request line. Control loop only; the answer may come before this returns. The line
 * is copied.
 */
void control_request(struct server *server, struct loop *loop, struct control_peer *peer,
                     const char *line, size_t length, control_answer_fn answer, void *context);
/* The same for one that is read already. Takes over the reference; NULL: out of memory. peer may be
 * NULL: not a connection's own, and no holder's. */
void control_submit(struct server *server, struct loop *loop, struct control_peer *peer,
                    json_t *json, control_answer_fn answer, void *context);

#endif
