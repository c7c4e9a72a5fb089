/*
 * xshim.c - preloaded into User-Mode Linux, so that Debian 12's linux.uml runs on CPUs whose
 * extended state is larger than it expects.
 *
 * linux.uml saves and restores its processes' registers with a buffer that has no room for newer
 * state components (AMX), and the host's kernel refuses to set a state that is shorter than the
 * CPU's. So a PTRACE_SETREGSET of NT_X86_XSTATE is completed here: read the whole state, lay UML's
 * part over it, write the whole. Everything else passes through.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    XSTATE_BV_AT = 512,
    LEGACY_COMPONENTS = 7
}; /* Intel SDM vol. 1, 13.4.2: XSTATE_BV; x87, SSE, AVX */

static long set_xstate(pid_t pid, const struct iovec *part)
{
    static _Thread_local unsigned char state[16384] __attribute__((aligned(64)));
    struct iovec whole = {state, sizeof state};
    if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &whole) < 0)
        return -1;
    uint64_t before, now;
    memcpy(&before, state + XSTATE_BV_AT, sizeof before);
    memcpy(state, part->iov_base, part->iov_len < whole.iov_len ? part->iov_len : whole.iov_len);
    memcpy(&now, state + XSTATE_BV_AT, sizeof now);
    now = (now & LEGACY_COMPONENTS) | (before & ~(uint64_t)LEGACY_COMPONENTS);
    memcpy(state + XSTATE_BV_AT, &now, sizeof now);
    return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list args;
    va_start(args, request);
    pid_t pid = va_arg(args, pid_t);
    void *address = va_arg(args, void *);
    void *data = va_arg(args, void *);
    va_end(args);

    if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE)
        return set_xstate(pid, data);
    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        long word; /* the system call stores the word where glibc returns it */
        if (syscall(SYS_ptrace, request, pid, address, &word) < 0)
            return -1;
        errno = 0;
        return word;
    }
    return syscall(SYS_ptrace, request, pid, address, data);
}
