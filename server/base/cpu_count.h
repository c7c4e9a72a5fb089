/*
 * cpu_count.h - how many CPUs this process may use: those of its affinity mask, and no more than
 * the quotas of its cgroup and of those above it pay for (cgroup v2, cpu.max), rounded up.
 */
#ifndef SEALNFS_SERVER_BASE_CPU_COUNT_H
#define SEALNFS_SERVER_BASE_CPU_COUNT_H

/* At least 1. */
unsigned cpu_count(void);
/* The same where the cgroups are mounted at `root`, and the file `own` says which is the caller's
 * (proc(5): /proc/self/cgroup). */
unsigned cpu_count_at(const char *root, const char *own);

#endif
