/*
 * descriptors.h - how many descriptors the process may have, and what each part of it may take of
 * them, so that none ever meets the limit by what another took.
 *
 * Connections, files that clients have open, files that nobody uses at the moment, and descriptors
 * of data that are kept open between two uses have a limit each, and so have local programs that
 * wait to open a file (server/keeper/guard.h). What is left is for all that is
 * not counted one by one, and is short-lived: workers at their work, the keeper and the journal,
 * control connections, files that a request under way has in its hands.
 */
#ifndef SEALNFS_SERVER_BASE_DESCRIPTORS_H
#define SEALNFS_SERVER_BASE_DESCRIPTORS_H

struct descriptor_plan {
    unsigned connections;
    unsigned opened;  /* files, by all clients; one each */
    unsigned idle;    /* files in memory that nobody uses; one each */
    unsigned data;    /* kept open for reading and writing */
    unsigned waiting; /* opens of local programs; one each */
    unsigned rest;
};

/* Raises the process's limit as far as it goes. The limit. */
unsigned descriptors_raise(void);
/* Pure. limit: RLIMIT_NOFILE. connections: what the configuration says; the plan may have fewer. */
struct descriptor_plan descriptors_plan(unsigned limit, unsigned connections);

#endif
