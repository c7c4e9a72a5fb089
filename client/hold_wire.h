/*
 * hold_wire.h - lines of JSON to and from the server's control socket: see hold_wire.c.
 */
#ifndef CLIENT_HOLD_WIRE_H
#define CLIENT_HOLD_WIRE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct hold_wire {
    int fd; /* -1: not connected */
    char *buffer;
    size_t used, room;
};

int hold_wire_connect(struct hold_wire *wire, const char *path);
void hold_wire_close(struct hold_wire *wire);
int hold_wire_send(struct hold_wire *wire, const json_t *line);
/* The next line. 0 with *out NULL: none came in time (timeout_ms -1: for ever). -ENOTCONN: the peer
 * is gone; -EBADMSG: what it says is no JSON object. *out is the caller's. */
int hold_wire_next(struct hold_wire *wire, int timeout_ms, json_t **out);

#endif
