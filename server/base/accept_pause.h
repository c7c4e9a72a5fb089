/*
 * accept_pause.h - a listening socket whose accept fails. The connection stays in the backlog, so
 * that the socket stays readable: who does not wait a moment then does nothing else any more.
 */
#ifndef SEALNFS_SERVER_BASE_ACCEPT_PAUSE_H
#define SEALNFS_SERVER_BASE_ACCEPT_PAUSE_H

struct evconnlistener;

/* Accept failed with this errno: says so in the log, and tries again in a moment. Its loop. */
void accept_pause(struct evconnlistener *listener, const char *what, int err);

#endif
