/*
 * peer.h - the program at the other end of a unix socket, named so that it can be known again after
 * a restart of the server, or be seen to be gone. Does not block; any thread.
 */
#ifndef SEALNFS_SERVER_BASE_PEER_H
#define SEALNFS_SERVER_BASE_PEER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The process that connected, as text of less than 64 bytes: "pid 4711 started 812345 boot
 * 1f0c2d3e". Its start time (clock ticks after the boot) and the boot make it one process and no
 * other. -ESRCH: it has gone already, or it is in a PID namespace that cannot be seen from here.
 */
int peer_describe(int fd, char *text, size_t size);
/* This process. */
int peer_describe_self(char *text, size_t size);

/*
 * Is the process of such a text certain to be gone, with all its threads? The machine has booted
 * since, there is no such process, or its number is another's now. False whenever that cannot be
 * told.
 */
bool peer_is_gone(const char *text);

#endif
