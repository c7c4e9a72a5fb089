/*
 * confine.c - see confine.h. The filters are made from the tables below, in the classic BPF of
 * seccomp(2): a pair of instructions a call, and the kernel remembers which calls are always
 * allowed, so that these cost nothing.
 *
 * A call that is not on a list fails with EPERM, and the kernel's log has it
 * (SECCOMP_FILTER_FLAG_LOG: audit type 1326): a library's next version may ask something new, and
 * the server must not die of that. What only somebody else's code would ask on these threads ends
 * the process: it starts again, and the rule holds over that as over any crash.
 */
#include "server/base/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/base/log.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_ARCH AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define NATIVE_ARCH AUDIT_ARCH_S390X
#else
#define NATIVE_ARCH 0 /* not known: no filter */
#endif

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#define CLONE_NEW_ANY                                                                              \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)

#define REFUSE (SECCOMP_RET_ERRNO | EPERM)

enum { PROGRAM_MAX = 512, X32_BIT = 0x40000000, NAMES_MAX = 256 };

/* Nothing here has a use for these, nor has a fence hook. A library may try one. */
static const int useless[] = {
    SYS_acct,           SYS_add_key,  SYS_adjtimex,    SYS_clock_adjtime, SYS_clock_settime,
    SYS_io_uring_setup, SYS_kcmp,     SYS_keyctl,      SYS_nfsservctl,    SYS_perf_event_open,
    SYS_personality,    SYS_quotactl, SYS_request_key, SYS_setdomainname, SYS_sethostname,
    SYS_settimeofday,   SYS_swapoff,  SYS_swapon,      SYS_syslog,        SYS_userfaultfd,
    SYS_vhangup,
};

/* Nor for these, and no library tries them: on a thread of the server's they are somebody else's.
 */
static const int hostile[] = {
    SYS_bpf,
    SYS_chroot,
    SYS_delete_module,
    SYS_finit_module,
    SYS_fsmount,
    SYS_fsopen,
    SYS_init_module,
    SYS_kexec_load,
    SYS_mount,
    SYS_move_mount,
    SYS_open_tree,
    SYS_pidfd_getfd,
    SYS_pivot_root,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
#if !defined(__SANITIZE_ADDRESS__) /* its search for leaks stops the threads by it */
    SYS_ptrace,
#endif
    SYS_reboot,
    SYS_setns,
    SYS_umount2,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_mount_setattr
    SYS_mount_setattr,
#endif
#ifdef SYS_iopl
    SYS_iopl,
    SYS_ioperm,
#endif
};

/* On any thread but the keeper's, which starts the fence hook, these are too. */
static const int starts_programs[] = {
    SYS_execve,
    SYS_execveat,
#ifdef SYS_fork
    SYS_fork,
    SYS_vfork,
#endif
};

/* The main thread makes the guard of sealed files once (keeper/guard.c). */
static const int for_the_main_thread[] = {SYS_fanotify_init};

/* What the loops do, by themselves and by libevent, libc and the sanitizers. Not among them: to
 * open by handle, to write to files, to change any, to make sockets, to act as somebody else, to
 * start threads. */
static const int for_peers[] = {
    /* connections and files */
    SYS_accept4,
    SYS_close,
    SYS_fcntl,
    SYS_fstat,
    SYS_fstatfs,
    SYS_getpeername,
    SYS_getsockname,
    SYS_getsockopt,
    SYS_lseek,
    SYS_name_to_handle_at,
    SYS_newfstatat,
    SYS_openat,
    SYS_openat2,
    SYS_pread64,
    SYS_preadv,
    SYS_preadv2,
    SYS_read,
    SYS_readlinkat,
    SYS_readv,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_sendmsg,
    SYS_sendto,
    SYS_setsockopt,
    SYS_shutdown,
    SYS_statfs,
    SYS_statx,
    SYS_write,
    SYS_writev,
    /* who a local holder is */
    SYS_pidfd_open,
    /* waiting */
    SYS_clock_getres,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_futex,
    SYS_gettimeofday,
    SYS_nanosleep,
    SYS_ppoll,
    SYS_restart_syscall,
    SYS_sched_yield,
#ifdef SYS_poll /* what libc calls where there are both */
    SYS_epoll_wait,
    SYS_poll,
    SYS_readlink,
#endif
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
    /* memory, and a thread's life and death */
    SYS_brk,
    SYS_exit,
    SYS_exit_group,
    SYS_getpid,
    SYS_getrandom,
    SYS_gettid,
    SYS_madvise,
    SYS_mmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_munmap,
    SYS_prlimit64,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sched_getaffinity,
    SYS_set_robust_list,
    SYS_sigaltstack,
    SYS_tgkill,
};

#define CAP(name) (UINT64_C(1) << CAP_##name)
#define AS_USERS                                                                                   \
    (CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(FSETID) |           \
     CAP(SETUID) | CAP(SETGID) | CAP(MKNOD))

/* Loops look up names in directories of all users, having judged who may: DAC_READ_SEARCH, and not
 * DAC_OVERRIDE, which writes. Handles are opened by workers. Fences of memory need none, but keep
 * all: the kernel ends connections of rdma_cm only for the very credentials that opened its
 * descriptor (ib_safe_file_access). Workers look at devices anew, and ask disks for their names
 * (SYS_RAWIO). The rest as the unit's comments say. */
static const struct role {
    const char *threads;
    uint64_t capabilities;
    bool listed; /* what is not in for_peers is refused */
} roles[CONFINE_ROLES] = {
    [CONFINE_LOOP] = {"loops", CAP(DAC_READ_SEARCH), true},
    [CONFINE_SPEAKER] = {"control and metrics", 0, true},
    [CONFINE_WORKER] = {"workers",
                        AS_USERS | CAP(LINUX_IMMUTABLE) | CAP(LEASE) | CAP(SYS_ADMIN) |
                            CAP(SYS_RAWIO),
                        false},
    [CONFINE_GUARD] = {"the guard of sealed files", 0, true},
    [CONFINE_SCAN] = {"the search for seals", CAP(DAC_READ_SEARCH) | CAP(SYS_ADMIN), false},
    [CONFINE_JOURNAL] = {"the journal's", CAP(DAC_OVERRIDE), false},
    [CONFINE_RESERVER] = {"reservers", CAP(SYS_ADMIN) | CAP(SYS_RAWIO), false},
    [CONFINE_MEMORY] = {"fences of memory", UINT64_MAX, false},
    [CONFINE_LOOKUP] = {"look-ups", 0, false},
    [CONFINE_HELPER] = {"file-reaper and rpcbind's", 0, false},
};

static const struct {
    uint64_t bit;
    const char *name;
} capability_names[] = {
    {CAP(CHOWN), "chown"},
    {CAP(DAC_OVERRIDE), "dac_override"},
    {CAP(DAC_READ_SEARCH), "dac_read_search"},
    {CAP(FOWNER), "fowner"},
    {CAP(FSETID), "fsetid"},
    {CAP(SETUID), "setuid"},
    {CAP(SETGID), "setgid"},
    {CAP(MKNOD), "mknod"},
    {CAP(LINUX_IMMUTABLE), "linux_immutable"},
    {CAP(LEASE), "lease"},
    {CAP(SYS_ADMIN), "sys_admin"},
    {CAP(SYS_RAWIO), "sys_rawio"},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static atomic_bool enabled = true;
static atomic_bool said[CONFINE_ROLES], said_no_filter;

void confine_enable(bool on)
{
    atomic_store(&enabled, on);
}

/* ---- filters ---- */

struct program {
    struct sock_filter code[PROGRAM_MAX];
    unsigned short len;
};

static void put(struct program *p, uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false)
{
    p->code[p->len++] = (struct sock_filter){code, if_true, if_false, k};
}

static void load_word(struct program *p, size_t offset)
{
    put(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void end_with(struct program *p, uint32_t action)
{
    put(p, BPF_RET | BPF_K, action, 0, 0);
}

static void match_calls(struct program *p, const int *calls, size_t count, uint32_t action)
{
    for (size_t i = 0; i < count; i++) {
        put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
        end_with(p, action);
    }
}

/* The call by the lower half of an argument, which has all that is looked at: by one of these bits
 * (BPF_JSET), or by its value (BPF_JEQ). */
static void match_argument(struct program *p, int call, unsigned argument, uint16_t how,
                           uint32_t value, uint32_t action)
{
    size_t low = offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    low += sizeof(uint32_t);
#endif
    put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4);
    load_word(p, low);
    put(p, BPF_JMP | how | BPF_K, value, 0, 1);
    end_with(p, action);
    load_word(p, offsetof(struct seccomp_data, nr));
}

/* Calls of another architecture have other numbers: none is made here. */
static void begin_program(struct program *p, uint32_t otherwise)
{
    p->len = 0;
    load_word(p, offsetof(struct seccomp_data, arch));
    put(p, BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
    end_with(p, otherwise);
    load_word(p, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
    put(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
    end_with(p, otherwise);
#endif
}

static void put_refusals(struct program *p, uint32_t to_hostile)
{
    match_calls(p, useless, COUNT(useless), REFUSE);
    match_calls(p, hostile, COUNT(hostile), to_hostile);
    match_argument(p, SYS_unshare, 0, BPF_JSET, CLONE_NEW_ANY | CLONE_NEWTIME, to_hostile);
    match_argument(p, SYS_clone, 0, BPF_JSET, CLONE_NEW_ANY, to_hostile);
}

/* 0 or -errno. */
static int load_program(const struct program *p, unsigned flags)
{
    const struct sock_fprog prog = {.len = p->len,
                                    .filter = (struct sock_filter *)(uintptr_t)p->code};
    if (NATIVE_ARCH == 0)
        return -ENOSYS;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog) == 0 ? 0 : -errno;
}

static int filter_thread(const struct role *role)
{
    struct program p;
    begin_program(&p, SECCOMP_RET_KILL_PROCESS);
    put_refusals(&p, SECCOMP_RET_KILL_PROCESS);
    match_calls(&p, starts_programs, COUNT(starts_programs), SECCOMP_RET_KILL_PROCESS);
    match_calls(&p, for_the_main_thread, COUNT(for_the_main_thread), REFUSE);
    if (role->listed) {
        match_calls(&p, for_peers, COUNT(for_peers), SECCOMP_RET_ALLOW);
        match_argument(&p, SYS_ioctl, 1, BPF_JEQ, FIONREAD, SECCOMP_RET_ALLOW); /* libevent */
        /* The main thread is asked for a reload by a signal (control/reload.h). */
        match_argument(&p, SYS_kill, 0, BPF_JEQ, (uint32_t)getpid(), SECCOMP_RET_ALLOW);
    }
    end_with(&p, role->listed ? REFUSE : SECCOMP_RET_ALLOW);
    /* Who could gain nothing by a program may filter himself; and no thread here starts one. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    return load_program(&p, SECCOMP_FILTER_FLAG_LOG);
}

/* ---- capabilities ---- */

/* What the thread keeps of its own; -errno. Where that is all, its credentials stay the same. */
static int keep_capabilities(uint64_t wanted, uint64_t *kept)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &head, data) != 0)
        return -errno;
    bool less = false;
    *kept = 0;
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        const uint32_t mask = (uint32_t)(wanted >> (32 * i));
        less = less || ((data[i].effective | data[i].permitted) & ~mask) || data[i].inheritable;
        data[i].effective &= mask;
        data[i].permitted &= mask;
        data[i].inheritable = 0;
        *kept |= (uint64_t)data[i].permitted << (32 * i);
    }
    return !less || syscall(SYS_capset, &head, data) == 0 ? 0 : -errno;
}

static const char *name_capabilities(uint64_t capabilities, char *text, size_t size)
{
    size_t len = 0;
    snprintf(text, size, "none");
    for (size_t i = 0; i < COUNT(capability_names); i++) {
        if (!(capabilities & capability_names[i].bit))
            continue;
        len += (size_t)snprintf(text + len, size - len, "%s%s", len > 0 ? ", " : "",
                                capability_names[i].name);
    }
    return text;
}

/* ---- what is said ---- */

static void say_no_filter(const char *whose, int err)
{
    if (atomic_exchange(&said_no_filter, true))
        return;
    log_warning("system calls of %s are not filtered: %s; %s", whose, strerror(-err),
                err == -EACCES
                    ? "that takes CAP_SYS_ADMIN, or NoNewPrivileges=yes in the unit"
                    : "the kernel has no seccomp for that (CONFIG_SECCOMP_FILTER); all else is "
                      "as ever");
}

static void say_confined(enum confine_role number, uint64_t kept, bool filtered)
{
    const struct role *role = &roles[number];
    char names[NAMES_MAX], calls[64] = "not filtered";
    if (atomic_exchange(&said[number], true))
        return;
    if (filtered && role->listed)
        snprintf(calls, sizeof(calls), "%zu and no others", COUNT(for_peers));
    else if (filtered)
        snprintf(calls, sizeof(calls), "all but %zu",
                 COUNT(useless) + COUNT(hostile) + COUNT(starts_programs) +
                     COUNT(for_the_main_thread));
    log_info("threads confined: %s: system calls: %s; capabilities: %s", role->threads, calls,
             name_capabilities(kept, names, sizeof(names)));
}

/* It keeps its flags where a filter cannot look; libc goes on with clone where it is not there. A
 * filter of its own, since each thread that starts would be logged. */
static int hide_clone3(void)
{
    static const int clone3[] = {SYS_clone3};
    struct program p;
    begin_program(&p, SECCOMP_RET_ALLOW);
    match_calls(&p, clone3, 1, SECCOMP_RET_ERRNO | ENOSYS);
    end_with(&p, SECCOMP_RET_ALLOW);
    return load_program(&p, 0);
}

void confine_process(void)
{
    struct program p;
    if (!atomic_load(&enabled)) {
        log_warning("the process is not confined: confine = false");
        return;
    }
    begin_program(&p, REFUSE);
    put_refusals(&p, REFUSE);
    end_with(&p, SECCOMP_RET_ALLOW);
    int err = load_program(&p, SECCOMP_FILTER_FLAG_LOG);
    if (err == 0)
        err = hide_clone3();
    if (err < 0)
        say_no_filter("the process", err);
    else
        log_info("process confined: %zu system calls and new namespaces are refused, to fence "
                 "hooks too; the kernel's log has each refusal (type=1326)",
                 COUNT(useless) + COUNT(hostile));
}

void confine_thread(enum confine_role number)
{
    const struct role *role = &roles[number];
    uint64_t kept = 0;
    if (number == CONFINE_WORKER && !atomic_load(&enabled))
        (void)keep_capabilities(~CAP(SYS_RESOURCE), &kept);
    if (number == CONFINE_NOT || !atomic_load(&enabled))
        return;
    int err = keep_capabilities(role->capabilities, &kept);
    if (err < 0)
        log_warning("threads keep their capabilities: %s: %s", role->threads, strerror(-err));
    err = filter_thread(role);
    if (err < 0)
        say_no_filter("threads", err);
    say_confined(number, kept, err == 0);
}
