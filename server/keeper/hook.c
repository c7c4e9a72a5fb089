/* hook.c - see hook.h. */
#include "server/keeper/hook.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utlist.h>

#include "server/base/log.h"

enum { LINE_MAX_BYTES = 512, VARIABLES = 9, KILL_MS = 3000, LINGERING_MAX = 16 };
/* What a pipe holds is read in a turn, and no more: who writes without end would be read for ever.
 */
enum { TURN_READS = (64 << 10) / LINE_MAX_BYTES, LINES_MAX = 1000 };

struct hook {
    pid_t pid;
    int pidfd, output;
    struct event *exit_event, *output_event;
    bool timed_out;
    unsigned lines; /* in the log */
    size_t line_len;
    char line[LINE_MAX_BYTES];
    void (*done)(bool success, void *arg); /* NULL: said */
    void *arg;
    struct hook *next; /* of those that linger */
};

/* Killed, and not ended: they hang in the kernel. They are nobody's any more, but are counted. */
static struct hook *lingering;

static void log_line(struct hook *hook)
{
    if (hook->line_len > 0 && hook->lines < LINES_MAX)
        log_info("fence hook %d: %.*s", (int)hook->pid, (int)hook->line_len, hook->line);
    else if (hook->line_len > 0 && hook->lines == LINES_MAX)
        log_warning("fence hook %d writes more than %d lines: the rest is left out", (int)hook->pid,
                    LINES_MAX);
    hook->lines += hook->line_len > 0 && hook->lines <= LINES_MAX;
    hook->line_len = 0;
}

static void take_output(struct hook *hook, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\n' || hook->line_len == sizeof hook->line)
            log_line(hook);
        if (c != '\n')
            hook->line[hook->line_len++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
}

static void read_output(struct hook *hook)
{
    char bytes[LINE_MAX_BYTES];
    ssize_t n = 1;
    for (int i = 0; i < TURN_READS && n > 0; i++) {
        n = read(hook->output, bytes, sizeof bytes);
        take_output(hook, bytes, n > 0 ? (size_t)n : 0);
    }
    if (n == 0 && hook->output_event)
        event_del(hook->output_event);
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    read_output(arg);
}

static void hook_free(struct hook *hook)
{
    if (hook->exit_event)
        event_free(hook->exit_event);
    if (hook->output_event)
        event_free(hook->output_event);
    if (hook->pidfd >= 0)
        close(hook->pidfd);
    if (hook->output >= 0)
        close(hook->output);
    free(hook);
}

static bool reap(struct hook *hook)
{
    siginfo_t info = {0};
    int rc;
    do
        rc = waitid(P_PID, (id_t)hook->pid, &info, WEXITED);
    while (rc != 0 && errno == EINTR);
    bool success = rc == 0 && info.si_code == CLD_EXITED && info.si_status == 0 && !hook->timed_out;
    if (rc != 0)
        log_warning("fence hook %d: its end could not be seen: %s", (int)hook->pid,
                    strerror(errno));
    else if (!success)
        log_warning("fence hook %d failed: %s %d%s", (int)hook->pid,
                    info.si_code == CLD_EXITED ? "exit status" : "killed by signal", info.si_status,
                    hook->timed_out ? ", its time was over" : "");
    return success;
}

static const struct timeval kill_time = {.tv_sec = KILL_MS / 1000};

/* Who waits for it is not to wait for ever. It does nothing more by itself when it ends. */
static void leave_behind(struct hook *hook)
{
    log_error(
        "fence hook %d was killed and does not end: it hangs in the kernel; see to the device "
        "or file system that it waits for",
        (int)hook->pid);
    LL_PREPEND(lingering, hook);
    event_add(hook->exit_event, NULL); /* its end is still to be seen */
}

static void on_timeout(struct hook *hook)
{
    void (*done)(bool, void *) = hook->done;
    if (!hook->timed_out) {
        hook->timed_out = true;
        kill(-hook->pid, SIGKILL);
        event_add(hook->exit_event, &kill_time);
        return;
    }
    hook->done = NULL;
    leave_behind(hook);
    done(false, hook->arg);
}

static void on_exit_or_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct hook *hook = arg;
    (void)fd;
    if (what & EV_TIMEOUT) {
        on_timeout(hook);
        return;
    }
    read_output(hook);
    log_line(hook);
    bool success = reap(hook);
    void (*done)(bool, void *) = hook->done;
    void *done_arg = hook->arg;
    if (!done)
        LL_DELETE(lingering, hook);
    hook_free(hook);
    if (done)
        done(success, done_arg);
}

static char *variable(const char *name, const char *value)
{
    char *text;
    return asprintf(&text, "%s=%s", name, value ? value : "") < 0 ? NULL : text;
}

static bool make_environment(const struct hook_request *request, char *env[VARIABLES + 1])
{
    char id[17];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)request->client_id);
    env[0] = variable("SEALNFS_CLIENT_ADDRESS", request->address);
    env[1] = variable("SEALNFS_CLIENT_ADDRESSES", request->addresses);
    env[2] = variable("SEALNFS_CLIENT_OWNER", request->owner);
    env[3] = variable("SEALNFS_CLIENT_ID", id);
    env[4] = variable("SEALNFS_DEVICE", request->device);
    env[5] = variable("SEALNFS_DEVICE_ID", request->device_id);
    env[6] = variable("SEALNFS_FILE", request->file);
    env[7] = strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    env[8] = strdup("LC_ALL=C.UTF-8");
    env[VARIABLES] = NULL;
    for (int i = 0; i < VARIABLES; i++) {
        if (!env[i])
            return false;
    }
    return true;
}

static int set_up_spawn(posix_spawnattr_t *attr, posix_spawn_file_actions_t *actions, int output)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int err = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                 POSIX_SPAWN_SETSIGDEF);
    if (!err)
        err = posix_spawnattr_setpgroup(attr, 0);
    if (!err)
        err = posix_spawnattr_setsigmask(attr, &none);
    if (!err)
        err = posix_spawnattr_setsigdefault(attr, &all);
    if (!err)
        err = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    if (!err)
        err = posix_spawn_file_actions_adddup2(actions, output, 1);
    if (!err)
        err = posix_spawn_file_actions_adddup2(actions, output, 2);
    return -err;
}

static int spawn(const struct hook_request *request, int output, pid_t *pid)
{
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t actions;
    char *env[VARIABLES + 1] = {0};
    char *argv[] = {strdup(request->program), strdup(request->action), NULL};
    int err = -posix_spawnattr_init(&attr);
    if (err)
        goto free_argv;
    err = -posix_spawn_file_actions_init(&actions);
    if (err)
        goto free_attr;
    err = argv[0] && argv[1] && make_environment(request, env)
              ? set_up_spawn(&attr, &actions, output)
              : -ENOMEM;
    if (!err)
        err = -posix_spawn(pid, request->program, &actions, &attr, argv, env);
    for (int i = 0; i < VARIABLES; i++)
        free(env[i]);
    posix_spawn_file_actions_destroy(&actions);
free_attr:
    posix_spawnattr_destroy(&attr);
free_argv:
    free(argv[0]);
    free(argv[1]);
    return err;
}

/* The process runs: from here on a failure kills it. */
static int watch(struct event_base *base, struct hook *hook, unsigned timeout_ms)
{
    struct timeval timeout = {.tv_sec = timeout_ms / 1000,
                              .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    hook->pidfd = (int)syscall(SYS_pidfd_open, hook->pid, 0);
    if (hook->pidfd < 0)
        return -errno;
    fcntl(hook->pidfd, F_SETFD, FD_CLOEXEC);
    hook->exit_event = event_new(base, hook->pidfd, EV_READ, on_exit_or_timeout, hook);
    hook->output_event = event_new(base, hook->output, EV_READ | EV_PERSIST, on_output, hook);
    if (!hook->exit_event || !hook->output_event || event_add(hook->exit_event, &timeout) != 0 ||
        event_add(hook->output_event, NULL) != 0)
        return -ENOMEM;
    return 0;
}

int hook_start(struct event_base *base, const struct hook_request *request, struct hook **out)
{
    int fds[2];
    const struct hook *hung;
    unsigned hanging = 0;
    LL_COUNT(lingering, hung, hanging);
    if (hanging >= LINGERING_MAX) {
        log_error("fence hook %s is not started: %u of them were killed and hang", request->program,
                  hanging);
        return -EBUSY;
    }
    struct hook *hook = calloc(1, sizeof *hook);
    if (!hook)
        return -ENOMEM;
    hook->pidfd = hook->output = -1;
    hook->done = request->done;
    hook->arg = request->arg;
    if (pipe2(fds, O_CLOEXEC) != 0) {
        int err = -errno;
        hook_free(hook);
        return err;
    }
    hook->output = fds[0];
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    int err = spawn(request, fds[1], &hook->pid);
    close(fds[1]);
    if (err) {
        log_error("fence hook %s could not be started: %s", request->program, strerror(-err));
        hook_free(hook);
        return err;
    }
    err = watch(base, hook, request->timeout_ms);
    if (err) {
        hook_cancel(hook);
        return err;
    }
    log_info("fence hook %d started for client %s (id %016llx), device %s, file %s", (int)hook->pid,
             request->address, (unsigned long long)request->client_id, request->device,
             request->file);
    *out = hook;
    return 0;
}

/* One that hangs is left to init. */
void hook_cancel(struct hook *hook)
{
    struct pollfd end = {.fd = hook->pidfd, .events = POLLIN};
    int rc = 1;
    kill(-hook->pid, SIGKILL);
    while (hook->pidfd >= 0 && (rc = poll(&end, 1, KILL_MS)) < 0 && errno == EINTR)
        ;
    while (rc > 0 && waitpid(hook->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    hook_free(hook);
}

void hooks_forget(void)
{
    while (lingering) {
        struct hook *hook = lingering;
        lingering = hook->next;
        hook_free(hook);
    }
}
