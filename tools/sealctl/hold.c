/*
 * hold.c - "sealctl hold FILE [-- COMMAND...]": hold a sealed file from the shell, by
 * libsealio as any program would. Prints where the file is, holds it until interrupted or until the
 * command has ended, and says when it is recalled.
 *
 * "close" speaks of one process, so it is not for a command, which is another one and may outlive
 * sealctl.
 */
#include "tools/sealctl/hold.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/sealio.h"
#include "client/sealio_hold.h"

enum {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 3,
    COMMAND_NOT_RUN = 127,
    RESUME_MS = 500
};

struct holding {
    const struct hold_options *options;
    struct sealio_holder *holder;
    struct sealio_hold *hold;
    pid_t child; /* 0: none, or ended */
    int status;  /* the command's exit status, as a shell has it */
    bool away;   /* the server is gone */
    bool over;   /* interrupted, or the command has ended */
};

static bool parse_fence(const char *word, enum sealio_fence *out)
{
    static const char *const names[] = {
        [SEALIO_FENCE_CLOSE] = "close", [SEALIO_FENCE_HOOK] = "hook", [SEALIO_FENCE_NONE] = "none"};
    for (int i = SEALIO_FENCE_CLOSE; i <= SEALIO_FENCE_NONE; i++) {
        if (strcmp(word, names[i]) == 0) {
            *out = (enum sealio_fence)i;
            return true;
        }
    }
    return false;
}

static void print_json(const struct sealio_hold *hold)
{
    size_t count;
    const struct sealio_hold_extent *extents = sealio_hold_extents(hold, &count);
    json_t *list = json_array(), *all;
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            list,
            json_pack("[I, I, o]", (json_int_t)extents[i].offset, (json_int_t)extents[i].length,
                      extents[i].hole ? json_null()
                                      : json_integer((json_int_t)extents[i].device_offset)));
    all = json_pack("{s:s, s:I, s:o}", "device", sealio_hold_device(hold), "size",
                    (json_int_t)sealio_hold_size(hold), "extents", list);
    json_dumpf(all, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(all);
}

static void print_extents(const struct sealio_hold *hold)
{
    size_t count;
    const struct sealio_hold_extent *extents = sealio_hold_extents(hold, &count);
    printf("device %s size %" PRIu64 "\n", sealio_hold_device(hold), sealio_hold_size(hold));
    for (size_t i = 0; i < count; i++) {
        if (extents[i].hole)
            printf("%" PRIu64 " %" PRIu64 " hole\n", extents[i].offset, extents[i].length);
        else
            printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", extents[i].offset, extents[i].length,
                   extents[i].device_offset);
    }
}

/* Who cannot be told where the file is has no use for its being held. */
static int tell_place(struct holding *h)
{
    if (h->options->json)
        print_json(h->hold);
    else
        print_extents(h->hold);
    if (fflush(stdout) == 0)
        return EXIT_DONE;
    fprintf(stderr, "sealctl: standard output: %s; %s is given back\n", strerror(errno),
            h->options->shown);
    sealio_hold_close(h->hold);
    sealio_holder_close(h->holder);
    return EXIT_REFUSED;
}

static int begin(struct holding *h)
{
    char name[32], error[SEALIO_ERROR_MAX] = "";
    struct sealio_holder_options options = {.socket = h->options->socket, .name = name};
    if (!parse_fence(h->options->fence, &options.fence)) {
        fprintf(stderr, "sealctl: --fence wants close, hook or none, not %s\n", h->options->fence);
        return EXIT_USAGE;
    }
    if (options.fence == SEALIO_FENCE_CLOSE && h->options->command) {
        fprintf(stderr, "sealctl: --fence close is no promise that sealctl can make for a command, "
                        "which may outlive "
                        "it; say hook or none\n");
        return EXIT_USAGE;
    }
    snprintf(name, sizeof name, "sealctl-%ld", (long)getpid());
    int err = sealio_holder_open(&options, error, &h->holder);
    if (err) {
        fprintf(stderr, "sealctl: %s\n", error[0] ? error : strerror(-err));
        return err == -EPERM || err == -EINVAL ? EXIT_REFUSED : EXIT_UNREACHABLE;
    }
    err = sealio_hold_open(h->holder, h->options->file, h->options->write, &h->hold);
    if (err) {
        sealio_holder_error(h->holder, error, sizeof error);
        fprintf(stderr, "sealctl: %s\n", error);
        sealio_holder_close(h->holder);
        return EXIT_REFUSED;
    }
    return tell_place(h);
}

static void start_command(struct holding *h, const sigset_t *signals)
{
    h->child = fork();
    if (h->child == 0) {
        sigprocmask(SIG_UNBLOCK, signals, NULL);
        execvp(h->options->command[0], h->options->command);
        fprintf(stderr, "sealctl: %s: %s\n", h->options->command[0], strerror(errno));
        _exit(COMMAND_NOT_RUN);
    }
    if (h->child < 0) {
        fprintf(stderr, "sealctl: fork: %s\n", strerror(errno));
        h->child = 0;
        h->status = EXIT_REFUSED;
        h->over = true;
    }
}

static void reap(struct holding *h)
{
    int status;
    if (!h->child || waitpid(h->child, &status, WNOHANG) != h->child)
        return;
    h->child = 0;
    h->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    h->over = true;
}

static void on_signal(struct holding *h, int signals)
{
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(h);
        else if (h->child)
            kill(h->child, (int)info.ssi_signo); /* the hold ends when the command has */
        else
            h->over = true;
    }
}

static void on_event(struct holding *h, const struct sealio_hold_event *event)
{
    bool lost = event->what == SEALIO_HOLD_LOST;
    fprintf(stderr, "sealctl: %s %s", h->options->shown,
            lost ? "could not be held again" : "is recalled, its seal has to go");
    if (!lost)
        fprintf(stderr, " within %" PRIu64 " s", event->left_ms / 1000);
    if (h->child) {
        fprintf(stderr, "; the command was told to end (SIGTERM), then it is given back\n");
        kill(h->child, SIGTERM);
    } else {
        fprintf(stderr, "; stop using its blocks, then interrupt sealctl to give it back\n");
    }
}

/* The server restarted: the file stays sealed, and the hold is asked for again until it answers. */
static void on_news(struct holding *h)
{
    struct sealio_hold_event event;
    int rc;
    while ((rc = sealio_holder_next(h->holder, 0, &event)) == 1)
        on_event(h, &event);
    if (rc == -ENOTCONN && !h->away)
        fprintf(stderr,
                "sealctl: the server has gone; the hold is taken up again when it is back\n");
    h->away = rc == -ENOTCONN;
}

static void watch(struct holding *h, int signals)
{
    while (!h->over) {
        int fd = sealio_holder_fd(h->holder);
        struct pollfd look[] = {{.fd = signals, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
        if (poll(look, 2, fd < 0 ? RESUME_MS : -1) < 0 && errno != EINTR)
            return;
        on_signal(h, signals);
        if (fd < 0 && sealio_holder_resume(h->holder) == 0)
            fprintf(stderr, "sealctl: the server is back\n");
        on_news(h);
    }
}

int sealctl_hold(const struct hold_options *options)
{
    struct holding h = {.options = options};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals < 0) {
        fprintf(stderr, "sealctl: signalfd: %s\n", strerror(errno));
        return EXIT_REFUSED;
    }
    int status = begin(&h);
    if (status == EXIT_DONE) {
        if (options->command)
            start_command(&h, &set);
        watch(&h, signals);
        int err = sealio_hold_close(h.hold);
        fprintf(stderr, "sealctl: %s %s\n", options->shown,
                err ? "was not given back: the server says that the hold has ended, or cannot be "
                      "reached"
                    : "given back");
        sealio_holder_close(h.holder);
        status = h.status;
    }
    close(signals);
    return status;
}
