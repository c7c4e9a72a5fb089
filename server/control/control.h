/*
 * control.h - the control socket: a unix stream socket on which sealctl (root, or the configured
 * group) speaks JSON, one object a line. docs/control-protocol.md describes it. A thread and loop
 * of its own; opening files goes to the workers.
 */
#ifndef SEALNFS_SERVER_CONTROL_CONTROL_H
#define SEALNFS_SERVER_CONTROL_CONTROL_H

struct control;
struct server;

/* Bind the configured socket, start to serve. -EADDRINUSE when another sealnfsd answers there. */
int control_create(struct server *server, struct control **out);
/* Look at nothing any more; before the keeper goes. What holders hold stays on record. */
void control_stop(struct control *control);
/* Close the socket and remove it, after control_stop. Requests under way are cut off; the keeper
 * must have stopped. */
void control_destroy(struct control *control);

#endif
