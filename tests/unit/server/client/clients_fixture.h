/*
 * clients_fixture.h - clients of one loop without a daemon, over a configuration and a watcher of
 * the test's. Nobody has state, nobody is on record.
 */
#ifndef SEALNFS_TESTS_UNIT_SERVER_CLIENT_CLIENTS_FIXTURE_H
#define SEALNFS_TESTS_UNIT_SERVER_CLIENT_CLIENTS_FIXTURE_H

#include "server/client/client_private.h"
#include "server/config/config.h"

/* 0, or -1. */
int clients_fixture_start(const struct config *config, const struct client_watcher *watcher);
void clients_fixture_stop(void);
/* Not confirmed. */
struct client *clients_fixture_make(const char *owner, const struct peer_address *peer);

#endif
