/*
 * test_confine.c - what confined threads can still ask of the kernel. Each case is a child process,
 * since who is confined stays so; as root, or there are no capabilities to lose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/base/confine.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "tests/unit/server/daemon_fixture.h"

/* In the child; nonzero: it failed, and said so. */
typedef int (*scene_fn)(void);

static int complain(const char *what)
{
    fprintf(stderr, "%s (errno: %s)\n", what, strerror(errno));
    return 1;
}

static int run_scene(scene_fn scene)
{
    int status;
    pid_t child = fork();
    assert_return_code(child, errno);
    if (child == 0) {
        const struct rlimit none = {0};
        setrlimit(RLIMIT_CORE, &none);
        _exit(scene());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* ---- on a thread of its own, of this role ---- */

static struct {
    enum confine_role role;
    scene_fn ask;
    int result;
} thread_scene;

static void *thread_main(void *arg)
{
    (void)arg;
    confine_thread(thread_scene.role);
    thread_scene.result = thread_scene.ask();
    return NULL;
}

static int on_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, thread_main, NULL) != 0)
        return complain("no thread");
    pthread_join(thread, NULL);
    return thread_scene.result;
}

static int run_as(enum confine_role role, scene_fn ask)
{
    thread_scene.role = role;
    thread_scene.ask = ask;
    return run_scene(on_thread);
}

static bool is_refused(long rc)
{
    return rc == -1 && errno == EPERM;
}

/* A field of /proc/TASK/status, in hexadecimal. */
static bool read_status(const char *task, const char *field, uint64_t *value)
{
    char path[300], line[256];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%s/status", task);
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof(line), file))
        if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':') {
            *value = strtoull(line + strlen(field) + 1, NULL, 16);
            found = true;
        }
    if (file)
        fclose(file);
    return found;
}

static uint64_t capabilities_now(void)
{
    uint64_t now;
    return read_status("thread-self", "CapPrm", &now) ? now : UINT64_MAX;
}

static void needs_root(void)
{
    if (geteuid() != 0) {
        print_message("needs root, whose capabilities are dropped\n");
        skip();
    }
}

/* ---- loops ---- */

static int loop_asks_for_more(void)
{
    const struct {
        const char *what;
        long rc;
    } all[] = {
        {"opens by handle", is_refused(syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, O_RDONLY))},
        {"asks a device", is_refused(syscall(SYS_ioctl, 0, 0x2285, NULL))}, /* SG_IO */
        {"writes in a file at a place", is_refused(syscall(SYS_pwrite64, 1, "", 0, 0))},
        {"removes", is_refused(syscall(SYS_unlinkat, AT_FDCWD, "/nowhere", 0))},
        {"changes modes", is_refused(syscall(SYS_fchmodat, AT_FDCWD, "/nowhere", 0, 0))},
        {"connects", is_refused(socket(AF_INET, SOCK_STREAM, 0))},
        {"is somebody else", is_refused(syscall(SYS_setresuid, 1, 1, 1))},
        {"starts threads", is_refused(syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND,
                                              NULL, NULL, NULL, NULL))},
        {"takes capabilities back", is_refused(syscall(SYS_capset, NULL, NULL))},
        {"ends others", is_refused(syscall(SYS_kill, getppid(), 0))},
        {"makes rings", is_refused(syscall(SYS_io_uring_setup, 1, NULL))},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (!all[i].rc)
            return complain(all[i].what);
    if (kill(getpid(), 0) != 0) /* by which the main thread is asked for a reload */
        return complain("cannot ask the main thread");
    return 0;
}

static void a_loop_cannot_do_what_workers_are_for(void **state)
{
    (void)state;
    assert_int_equal(run_as(CONFINE_LOOP, loop_asks_for_more), 0);
    assert_int_equal(run_as(CONFINE_SPEAKER, loop_asks_for_more), 0);
}

/* As thread_main did not have it in its hands: what daemons start is confined. */
struct question {
    struct loop_msg msg;
    sem_t answered;
    int result;
};

static void on_question(struct loop_msg *msg)
{
    struct question *question = (struct question *)(void *)msg;
    question->result = loop_asks_for_more();
    sem_post(&question->answered);
}

static int a_real_loop(void)
{
    struct question question = {.msg.run = on_question};
    struct loop *loop;
    sem_init(&question.answered, 0, 0);
    if (loop_create("loop-0", 0, &loop) != 0)
        return complain("no loop");
    loop_confine(loop, CONFINE_LOOP);
    if (loop_start(loop) != 0)
        return complain("no loop");
    loop_post(loop, &question.msg);
    sem_wait(&question.answered);
    loop_destroy(loop);
    return question.result;
}

static void a_loops_thread_confines_itself(void **state)
{
    (void)state;
    assert_int_equal(run_scene(a_real_loop), 0);
}

/* ---- what ends the process ---- */

static int run_a_program(void)
{
    char *const argv[] = {(char *)(uintptr_t) "true", NULL};
    execve("/bin/true", argv, argv + 1);
    return complain("execve came back");
}

static int load_a_kernel(void)
{
    syscall(SYS_kexec_load, 0, 0, NULL, 0);
    return complain("kexec_load came back");
}

static int load_bpf(void)
{
    syscall(SYS_bpf, 0, NULL, 0);
    return complain("bpf came back");
}

static int look_into_others(void)
{
    syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0);
    return complain("process_vm_readv came back");
}

static int mount_something(void)
{
    syscall(SYS_mount, "none", "/nowhere", "tmpfs", 0, NULL);
    return complain("mount came back");
}

static int enter_a_namespace(void)
{
    unshare(CLONE_NEWNS);
    return complain("unshare came back");
}

static void who_asks_for_a_program_or_the_kernel_is_ended(void **state)
{
    static const scene_fn all[] = {run_a_program,    load_a_kernel,   load_bpf,
                                   look_into_others, mount_something, enter_a_namespace};
    static const enum confine_role roles[] = {CONFINE_LOOP,    CONFINE_SPEAKER, CONFINE_WORKER,
                                              CONFINE_JOURNAL, CONFINE_SCAN,    CONFINE_RESERVER,
                                              CONFINE_MEMORY,  CONFINE_LOOKUP,  CONFINE_HELPER};
    (void)state;
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        for (size_t j = 0; j < sizeof(all) / sizeof(all[0]); j++) {
            int status = run_as(roles[i], all[j]);
            assert_true(WIFSIGNALED(status));
            assert_int_equal(WTERMSIG(status), SIGSYS);
        }
    }
}

/* ---- capabilities ---- */

#define BIT(name) (UINT64_C(1) << CAP_##name)

static uint64_t expected;

static int capabilities_are_expected(void)
{
    uint64_t now = capabilities_now();
    return now == expected ? 0 : complain("other capabilities");
}

static void every_thread_keeps_its_capabilities_and_no_others(void **state)
{
    static const struct {
        enum confine_role role;
        uint64_t kept;
    } all[] = {
        {CONFINE_LOOP, BIT(DAC_READ_SEARCH)},
        {CONFINE_SPEAKER, 0},
        {CONFINE_WORKER, BIT(CHOWN) | BIT(DAC_OVERRIDE) | BIT(DAC_READ_SEARCH) | BIT(FOWNER) |
                             BIT(FSETID) | BIT(SETUID) | BIT(SETGID) | BIT(MKNOD) |
                             BIT(LINUX_IMMUTABLE) | BIT(LEASE) | BIT(SYS_ADMIN) | BIT(SYS_RAWIO)},
        {CONFINE_SCAN, BIT(DAC_READ_SEARCH) | BIT(SYS_ADMIN)},
        {CONFINE_JOURNAL, BIT(DAC_OVERRIDE)},
        {CONFINE_RESERVER, BIT(SYS_ADMIN) | BIT(SYS_RAWIO)},
        {CONFINE_MEMORY, UINT64_MAX},
        {CONFINE_LOOKUP, 0},
        {CONFINE_HELPER, 0},
    };
    uint64_t ours = capabilities_now();
    (void)state;
    needs_root();
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        expected = all[i].kept & ours;
        assert_int_equal(run_as(all[i].role, capabilities_are_expected), 0);
    }
    expected = ours;
    assert_int_equal(run_as(CONFINE_NOT, capabilities_are_expected), 0);
}

/* With another identity the kernel takes the capabilities over files away, and gives them back with
 * fsuid 0 to who may have them: that must not be a way to more. */
static int take_root_on_again(void)
{
    syscall(SYS_setfsuid, 1);
    syscall(SYS_setfsuid, 0);
    return capabilities_are_expected();
}

static void an_identity_taken_off_gives_no_capability_back(void **state)
{
    (void)state;
    needs_root();
    expected = BIT(DAC_OVERRIDE) & capabilities_now();
    assert_int_equal(run_as(CONFINE_JOURNAL, take_root_on_again), 0);
}

/* ---- the process ---- */

static int process_asks_for_more(void)
{
    confine_process();
    if (!is_refused(syscall(SYS_mount, "none", "/nowhere", "tmpfs", 0, NULL)) ||
        !is_refused(syscall(SYS_bpf, 0, NULL, 0)) || !is_refused(unshare(CLONE_NEWNS)) ||
        !is_refused(syscall(SYS_keyctl, 0, 0, 0, 0, 0)))
        return complain("a call was not refused");
    if (unshare(CLONE_FS) != 0)
        return complain("unshare(CLONE_FS)");
    return on_thread(); /* and threads can be started, confined further */
}

static void the_process_refuses_what_it_has_no_use_for(void **state)
{
    (void)state;
    needs_root();
    thread_scene.role = CONFINE_LOOP;
    thread_scene.ask = loop_asks_for_more;
    assert_int_equal(run_scene(process_asks_for_more), 0);
}

/* As the keeper starts it. `mount` would end a thread of ours; a hook is told no. */
static int hook_asks(void)
{
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                    (char *)(uintptr_t) "grep -q 'CapEff:.*[1-9a-f]' /proc/self/status && "
                                        "grep -q 'NoNewPrivs:.*0' /proc/self/status && "
                                        "! mount -t tmpfs none /mnt 2>/dev/null",
                    NULL};
    char *env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin:/usr/sbin:/sbin", NULL};
    pid_t pid;
    int status;
    if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, env) != 0)
        return complain("posix_spawn");
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return complain("the hook is not as it should be");
    return 0;
}

static int process_and_its_hook(void)
{
    confine_process();
    return on_thread();
}

static void a_hook_keeps_the_capabilities_and_is_refused_the_rest(void **state)
{
    (void)state;
    needs_root();
    thread_scene.role = CONFINE_NOT;
    thread_scene.ask = hook_asks;
    assert_int_equal(run_scene(process_and_its_hook), 0);
}

/* ---- without seccomp, or without the wish ---- */

static int refuse_seccomp(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return complain("no new privileges");
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0 ? 0 : complain("no seccomp");
}

/* The log from here on; the child's stderr is nobody else's. */
static FILE *catch_log(void)
{
    FILE *file = tmpfile();
    if (file)
        dup2(fileno(file), STDERR_FILENO);
    return file;
}

static bool log_says(FILE *file, const char *what)
{
    char text[4096];
    rewind(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    return strstr(text, what) != NULL;
}

static int a_kernel_without_seccomp(void)
{
    FILE *log = catch_log();
    if (!log || refuse_seccomp() != 0)
        return 1;
    confine_process();
    thread_scene.role = CONFINE_JOURNAL;
    thread_scene.ask = capabilities_are_expected;
    if (on_thread() != 0)
        return 2;
    return log_says(log, "not filtered: Function not implemented") &&
                   log_says(log, "system calls: not filtered; capabilities: dac_override")
               ? 0
               : 3;
}

static void without_seccomp_it_goes_on_and_says_so(void **state)
{
    (void)state;
    needs_root();
    expected = BIT(DAC_OVERRIDE) & capabilities_now();
    assert_int_equal(run_scene(a_kernel_without_seccomp), 0);
}

static int what_was_confined(void)
{
    FILE *log = catch_log();
    if (!log)
        return 1;
    confine_process();
    thread_scene.role = CONFINE_LOOP;
    thread_scene.ask = loop_asks_for_more;
    if (on_thread() != 0)
        return 2;
    return log_says(log, "process confined: ") && log_says(log, "threads confined: loops: ") &&
                   log_says(log, "capabilities: dac_read_search")
               ? 0
               : 3;
}

static void the_log_says_what_was_confined(void **state)
{
    (void)state;
    needs_root();
    assert_int_equal(run_scene(what_was_confined), 0);
}

static int not_wished_for(void)
{
    FILE *log = catch_log();
    confine_enable(false);
    confine_process();
    thread_scene.role = CONFINE_HELPER;
    thread_scene.ask = capabilities_are_expected;
    return log && on_thread() == 0 && log_says(log, "not confined: confine = false") ? 0 : 1;
}

static void nothing_is_confined_that_is_not_to_be(void **state)
{
    (void)state;
    expected = capabilities_now();
    assert_int_equal(run_scene(not_wished_for), 0);
}

static int worker_is_not_confined(void)
{
    confine_enable(false);
    thread_scene.role = CONFINE_WORKER;
    thread_scene.ask = capabilities_are_expected;
    return on_thread();
}

/* By CAP_SYS_RESOURCE ext4 lets whoever writes pass his quota. */
static void a_worker_that_is_not_confined_is_bound_by_quotas(void **state)
{
    (void)state;
    needs_root();
    expected = capabilities_now() & ~BIT(SYS_RESOURCE);
    assert_int_equal(run_scene(worker_is_not_confined), 0);
}

/* ---- a whole daemon ---- */

static bool read_name(const char *task, char name[32])
{
    char path[300];
    snprintf(path, sizeof(path), "/proc/%s/comm", task);
    FILE *file = fopen(path, "re");
    bool ok = file && fgets(name, 32, file);
    if (file)
        fclose(file);
    if (ok)
        name[strcspn(name, "\n")] = '\0';
    return ok;
}

/* What a thread of this name may have; the threads of the sanitizers are not the daemon's. */
static bool is_confined(const char *name, uint64_t capabilities)
{
    static const struct {
        const char *prefix;
        uint64_t most;
    } all[] = {{"loop-", BIT(DAC_READ_SEARCH)},
               {"control", 0},
               {"file-reaper", 0},
               {"lookup", 0},
               {"worker", ~(BIT(SYS_PTRACE) | BIT(SYS_MODULE) | BIT(NET_ADMIN))}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strncmp(name, all[i].prefix, strlen(all[i].prefix)) == 0)
            return (capabilities & ~all[i].most) == 0;
    return false;
}

/* Threads that have begun: a loop's thread confines itself before its first event. */
static unsigned count_confined(void)
{
    unsigned count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (const struct dirent *entry; (entry = readdir(tasks));) {
        uint64_t capabilities, filters;
        char task[280], name[32];
        snprintf(task, sizeof(task), "self/task/%s", entry->d_name);
        if (read_name(task, name) && read_status(task, "CapPrm", &capabilities) &&
            read_status(task, "Seccomp", &filters) && filters == 2 &&
            is_confined(name, capabilities))
            count++;
    }
    closedir(tasks);
    return count;
}

static void the_threads_of_a_daemon_are_confined(void **state)
{
    /* Control, the journal's, file-reaper's rounds and its workers: one a file system and one; and
     * those for look-ups. */
    enum { LOOPS = 2, OTHERS = 3 + 2 + 16 };
    const unsigned all = LOOPS + worker_threads(2, 1) + OTHERS;
    struct nfs_client client;
    struct daemon *daemon;
    (void)state;
    needs_root();
    daemon = fixture_start("");
    nfs_client_start(&client, daemon, "confined", 0); /* it works, too */
    for (unsigned i = 0; i < 1000 && count_confined() < all; i++)
        usleep(10000); /* until the last of them has begun */
    assert_int_equal(count_confined(), all);
    wire_close(&client.wire);
    fixture_stop(daemon);
    fixture_clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_cannot_do_what_workers_are_for),
        cmocka_unit_test(a_loops_thread_confines_itself),
        cmocka_unit_test(who_asks_for_a_program_or_the_kernel_is_ended),
        cmocka_unit_test(every_thread_keeps_its_capabilities_and_no_others),
        cmocka_unit_test(an_identity_taken_off_gives_no_capability_back),
        cmocka_unit_test(the_process_refuses_what_it_has_no_use_for),
        cmocka_unit_test(a_hook_keeps_the_capabilities_and_is_refused_the_rest),
        cmocka_unit_test(without_seccomp_it_goes_on_and_says_so),
        cmocka_unit_test(the_log_says_what_was_confined),
        cmocka_unit_test(nothing_is_confined_that_is_not_to_be),
        cmocka_unit_test(a_worker_that_is_not_confined_is_bound_by_quotas),
        cmocka_unit_test(the_threads_of_a_daemon_are_confined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
