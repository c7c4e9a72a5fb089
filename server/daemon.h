/*
 * daemon.h - the whole server as one object: its parts started in order, and stopped in the
 * reverse.
 */
#ifndef SEALNFS_SERVER_DAEMON_H
#define SEALNFS_SERVER_DAEMON_H

#include <stdbool.h>

struct config;
struct daemon;
struct server;

/* Start everything: when this returns, clients are served. Takes over config in every case. -errno,
 * logged.
 */
int daemon_start(struct config *config, struct daemon **out);
/* Stop serving, end every thread; seals, records and files stay as they are. */
void daemon_stop(struct daemon *daemon);
/* Load the configuration's file again and take over what may change while running; on any error
 * nothing changes. */
int daemon_reload(struct daemon *daemon);
/* Every loop has answered since the last call. For the watchdog. */
bool daemon_is_alive(struct daemon *daemon);
struct server *daemon_server(struct daemon *daemon);

#endif
