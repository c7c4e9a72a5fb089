/*
 * peer.h - the program at the other end of a unix socket, named so that it can be known again after
 * a restart of the server, or be seen to be gone. Does not block; any thread.
 */
#ifndef SEALNFS_SERVER_BASE_PEER_H
#define SEALNFS_SERVER_BASE_PEER_H

#include <stdbool.h>
#include <stddef.h>

struct node_record;

/* Which machines are meant from now on, and what this one is called; both NULL, as before: there is
 * one. Before threads start. The record is borrowed. */
void peer_set_nodes(const struct node_record *record, const char *self);

/*
 * The process that connected, as text of less than 64 bytes: "pid 4711 started 812345 boot 1f0c2d3e
 * node 5ea1b00c". Its start time (clock ticks after the boot), the boot and the machine (node_tag)
 * make it one process and no other. -ESRCH: it has gone already, or it is in a PID namespace that
 * cannot be seen from here.
 */
int peer_describe(int fd, char *text, size_t size);
/* This process. */
int peer_describe_self(char *text, size_t size);

/*
 * Is the process of such a text certain to be gone, with all its threads? This machine has booted
 * since, there is no such process, or its number is another's now. False whenever that cannot be
 * told: of another machine nothing is known before somebody gave his word that it is off.
 */
bool peer_is_gone(const char *text);
/* It is on another machine, whose key was seen gone from every disk that was served: it may live,
 * and reaches no disk that is kept under a reservation. */
bool peer_is_cut(const char *text);

#endif
