/*
 * confine.h - what the process and each of its threads may ask of the kernel: a seccomp filter, and
 * the capabilities that are needed and no others (capabilities(7)).
 *
 * Threads share their memory: who runs code of his own on one can write to another's stack. So this
 * is no wall between them. It takes away what a mistake could be used for directly, on the threads
 * that strangers' bytes come to first.
 */
#ifndef SEALNFS_SERVER_BASE_CONFINE_H
#define SEALNFS_SERVER_BASE_CONFINE_H

#include <stdbool.h>

enum confine_role {
    CONFINE_NOT,  /* as the process: the main thread, and the keeper, whose fence hooks inherit */
    CONFINE_LOOP, /* event loops: connections, and what cannot block */
    CONFINE_SPEAKER, /* the control socket's loop, and the metrics': no files but what /proc says */
    CONFINE_WORKER,  /* file-system calls, as the clients' users too */
    CONFINE_GUARD,   /* answers who may open a sealed file */
    CONFINE_SCAN,    /* the search for seals */
    CONFINE_JOURNAL, /* the server's own files */
    CONFINE_RESERVER, /* reservation commands */
    CONFINE_MEMORY,   /* fences of memory */
    CONFINE_LOOKUP,   /* asks directories and name servers */
    CONFINE_HELPER,   /* closes files, speaks to rpcbind */
    CONFINE_ROLES
};

/* False: nothing is confined from here on (the option confine). */
void confine_enable(bool on);
/* The whole process, threads and programs that it starts: calls that none of them has a use for are
 * refused. Before the first thread. Says in the log what it did, or why it could not. */
void confine_process(void);
/* The calling thread, and those that it starts, for good. The first of a role says so in the log. A
 * kernel without seccomp, or a user without capabilities, is said too, and no reason to stop. If
 * nothing is confined, workers still lose CAP_SYS_RESOURCE: by it ext4 lets whoever writes pass his
 * quota, and take what is kept for root. */
void confine_thread(enum confine_role role);

#endif
