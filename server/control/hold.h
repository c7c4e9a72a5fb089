/*
 * hold.h - a connection of the control socket as a holder: see control/hold.c.
 */
#ifndef SEALNFS_SERVER_CONTROL_HOLD_H
#define SEALNFS_SERVER_CONTROL_HOLD_H

#include <stdbool.h>

struct control_holder;

/* The connection has ended: by its peer closing the socket (closed), or in a way that says nothing
 * of the peer. done is called on the control loop when the keeper knows; the holder is gone then.
 */
void control_holder_close(struct control_holder *holder, bool closed, void (*done)(void *arg),
                          void *arg);
/* At the very end, after the keeper: the holds stay on record. NULL is fine. */
void control_holder_free(struct control_holder *holder);

#endif
