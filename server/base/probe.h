/*
 * probe.h - USDT probes of provider "sealnfs", for bpftrace, perf and gdb: docs/metrics.md says
 * what each tells. One is a nop until somebody listens, so its arguments must be at hand already.
 * Without sys/sdt.h (systemtap-sdt-dev) there are none. Any thread.
 */
#ifndef SEALNFS_SERVER_BASE_PROBE_H
#define SEALNFS_SERVER_BASE_PROBE_H

#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define PROBE2(name, a, b)       DTRACE_PROBE2(sealnfs, name, a, b)
#define PROBE3(name, a, b, c)    DTRACE_PROBE3(sealnfs, name, a, b, c)
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(sealnfs, name, a, b, c, d)
#else
#define PROBE2(name, a, b)       ((void)(a), (void)(b))
#define PROBE3(name, a, b, c)    ((void)(a), (void)(b), (void)(c))
#define PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
