/*
 * hook.h - runs the operator's fence hook: one process in a group of its own, with what it needs to
 * know in its environment, killed with all its children when its time is over. Exit status 0 in
 * time is success; nothing else is. One that does not end though it was killed has failed; some of
 * these may linger at a time, and beyond them none is started.
 *
 * The process's end is seen by a pidfd on the loop that started it, so nothing waits and no SIGCHLD
 * handler is needed. Its output goes to the log, line by line. One loop's thread.
 */
#ifndef SEALNFS_SERVER_KEEPER_HOOK_H
#define SEALNFS_SERVER_KEEPER_HOOK_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct hook;

struct hook_request {
    const char *program;
    const char *action;                                                  /* argv[1] */
    const char *address, *addresses, *owner, *device, *device_id, *file; /* printable */
    uint64_t client_id;
    unsigned timeout_ms;
    void (*done)(
        bool success,
        void *arg); /* once, on the loop, never from inside hook_start; not after hook_cancel */
    void *arg;
};

/* Strings are copied. -EBUSY: too many linger. */
int hook_start(struct event_base *base, const struct hook_request *request, struct hook **out);
/* Kills it and forgets it. Not from inside done. */
void hook_cancel(struct hook *hook);
/* Of those that linger nothing more is heard: before the loop goes. */
void hooks_forget(void);

#endif
