/*
 * watch.h - how the keeper hears what becomes of clients.
 */
#ifndef SEALNFS_SERVER_KEEPER_WATCH_H
#define SEALNFS_SERVER_KEEPER_WATCH_H

#include "server/client/watcher.h"

struct keeper;

/* For clients_watch. The keeper outlives the clients' last call. */
struct client_watcher keeper_watcher(struct keeper *keeper);

#endif
