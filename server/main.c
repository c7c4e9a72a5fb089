/*
 * main.c - sealnfsd: the command line, signals, and the service manager (sd_notify(3)). The main
 * thread starts everything and then waits for signals.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "server/base/confine.h"
#include "server/base/log.h"
#include "server/claim.h"
#include "server/config/config.h"
#include "server/daemon.h"
#include "server/export/export.h"
#include "server/keeper/keeper.h"
#include "server/server.h"

enum { EXIT_CONFIG = 2 };

static const char usage[] =
    "usage: sealnfsd [-f] [--take-over] --config FILE\n"
    "           serve, in the foreground; --take-over: from another node, which is\n"
    "           cut off from the disks first\n"
    "       sealnfsd --node-fenced NODE --config FILE\n"
    "           put on record that this node is switched off\n"
    "       sealnfsd --check FILE         check a configuration\n"
    "       sealnfsd --dump FILE          print it as it is in effect\n"
    "       sealnfsd --paths FILE         print the paths in it\n"
    "       sealnfsd --version | --help\n";

struct options {
    const char *config;
    const char *check;
    const char *dump;
    const char *paths;
    const char *fenced;
    bool take_over;
};

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", required_argument, NULL, 'k'},
        {"dump", required_argument, NULL, 'd'},
        {"paths", required_argument, NULL, 'p'},
        {"node-fenced", required_argument, NULL, 'n'},
        {"take-over", no_argument, NULL, 't'},
        {"foreground", no_argument, NULL, 'f'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int opt; (opt = getopt_long(argc, argv, "c:fh", known, NULL)) != -1;) {
        switch (opt) {
        case 'c':
            options->config = optarg;
            break;
        case 'k':
            options->check = optarg;
            break;
        case 'd':
            options->dump = optarg;
            break;
        case 'p':
            options->paths = optarg;
            break;
        case 'n':
            options->fenced = optarg;
            break;
        case 't':
            options->take_over = true;
            break;
        case 'f':
            break;
        case 'V':
            puts("sealnfsd " SEALNFS_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return EXIT_CONFIG;
        }
    }
    const bool serves = options->config && !options->fenced;
    const int verbs = !!options->config + !!options->check + !!options->dump + !!options->paths;
    if (optind != argc || verbs != 1 || (options->take_over && !serves) ||
        (options->fenced && !options->config)) {
        fputs(usage, stderr);
        return EXIT_CONFIG;
    }
    return -1;
}

/* Every thread inherits the mask: signals are the main thread's. */
static void take_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void reload_config(struct daemon *daemon)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
               (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    daemon_reload(daemon);
    sd_notify(0, "READY=1");
}

/* Until a signal says stop. The watchdog is fed only while every loop answers. */
static void await_signals(struct daemon *daemon, const sigset_t *set)
{
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) <= 0)
        watchdog_us = 0;
    uint64_t wait_us = watchdog_us > 0 ? watchdog_us / 3 : 60u * 1000000;
    struct timespec wait = {.tv_sec = (time_t)(wait_us / 1000000),
                            .tv_nsec = (long)(wait_us % 1000000) * 1000};
    for (;;) {
        int sig = sigtimedwait(set, NULL, &wait);
        if (sig == SIGHUP) {
            reload_config(daemon);
        } else if (sig > 0) {
            log_info("%s: stopping", sig == SIGTERM ? "SIGTERM" : "SIGINT");
            return;
        } else if (errno == EAGAIN && watchdog_us > 0 && daemon_is_alive(daemon)) {
            sd_notify(0, "WATCHDOG=1");
        }
    }
}

static void tell_ready(const struct export_table *exports, unsigned port)
{
    unsigned away = export_away_count(exports), here = export_count(exports) - away;
    char more[64] = "";
    if (away > 0)
        snprintf(more, sizeof(more), " (%u more when %s there)", away,
                 away == 1 ? "its disk is" : "their disks are");
    sd_notify(0, "READY=1");
    log_info("sealnfsd " SEALNFS_VERSION " serves %u export%s%s on port %u: clients can mount",
             here, here == 1 ? "" : "s", more, port);
}

/* Who says so: the user who logged in, if that is known, and who he is now. */
static int note_fenced(const struct config *config, const char *node)
{
    const char *login = getenv("SUDO_USER");
    char who[64];
    if (!login)
        login = getlogin();
    snprintf(who, sizeof(who), "the word of %.32s (uid %u)", login ? login : "somebody",
             (unsigned)getuid());
    return claim_note_fenced(config, node, who, stderr, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int serve(struct config *config, bool take_over)
{
    sigset_t set;
    take_signals(&set);
    log_set_level(config->log_level);
    confine_enable(config->confine);
    confine_process();
    struct daemon *daemon;
    unsigned port = config->port;
    int err = daemon_start(config, take_over, &daemon);
    if (err < 0)
        return err == -EKEYREVOKED ? KEEPER_EXIT_FENCED : EXIT_FAILURE;
    tell_ready(daemon_server(daemon)->exports, port);
    await_signals(daemon, &set);
    sd_notify(0, "STOPPING=1");
    daemon_stop(daemon);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct options options = {.config = NULL};
    int status = parse_options(argc, argv, &options);
    if (status >= 0)
        return status;
    if (options.check)
        return daemon_check(options.check, stderr, stdout) < 0 ? EXIT_CONFIG : EXIT_SUCCESS;
    if (options.dump)
        return daemon_dump(options.dump, stderr, stdout) < 0 ? EXIT_CONFIG : EXIT_SUCCESS;
    if (options.paths)
        return config_print_paths(options.paths, stdout) < 0 ? EXIT_CONFIG : EXIT_SUCCESS;
    struct config *config;
    if (config_load(options.config, stderr, &config) < 0)
        return EXIT_CONFIG;
    if (options.fenced) {
        status = note_fenced(config, options.fenced);
        config_free(config);
        return status;
    }
    if (config_make_places(config) < 0) {
        config_free(config);
        return EXIT_FAILURE;
    }
    return serve(config, options.take_over);
}
