/*
 * process_limits.h - how much memory this process may have in all: what limits for peers are sized
 * from.
 */
#ifndef SEALNFS_SERVER_BASE_PROCESS_LIMITS_H
#define SEALNFS_SERVER_BASE_PROCESS_LIMITS_H

#include <stdint.h>

/* Bytes: the machine's memory, and no more than the cgroup and those above it allow (memory.max and
 * memory.high). UINT64_MAX: unknown. */
uint64_t process_memory(void);
/* The same where the cgroups are mounted at `root`, and the file `own` says which is the caller's.
 */
uint64_t process_memory_at(const char *root, const char *own);

#endif
