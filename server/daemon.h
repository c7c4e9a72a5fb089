/*
 * daemon.h - the whole server as one object: its parts started in order, and stopped in the
 * reverse.
 */
#ifndef SEALNFS_SERVER_DAEMON_H
#define SEALNFS_SERVER_DAEMON_H

#include <stdbool.h>
#include <stdio.h>

struct config;
struct daemon;
struct server;

/* Is this file one to start with? Its mistakes go to `errors`; of a good one it says on `out` what
 * would be served, and in the log what a start would refuse or hold back, by the same code. */
int daemon_check(const char *path, FILE *errors, FILE *out);
/* Every option of it with its value, in its syntax (config_dump). */
int daemon_dump(const char *path, FILE *errors, FILE *out);
/* Start everything: when this returns, clients are served. The configuration is the daemon's in
 * every case. take_over: from another node (claim.h). -errno, logged; -EKEYREVOKED: another node
 * has the state, or the disks. */
int daemon_start(struct config *config, bool take_over, struct daemon **out);
/* Stop serving, end every thread; seals, records and files stay as they are. */
void daemon_stop(struct daemon *daemon);
/* Load the configuration's file again and take over what may change while running; on any error
 * nothing changes. */
int daemon_reload(struct daemon *daemon);
/* Every loop has answered since the last call. For the watchdog. */
bool daemon_is_alive(struct daemon *daemon);
struct server *daemon_server(struct daemon *daemon);

#endif
