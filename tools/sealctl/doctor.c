/*
 * doctor.c - see doctor.h: what the server says of itself ("doctor" of the control socket), and
 * what can be seen without it: the configuration (the one that it runs with, where it says so) as
 * sealnfsd --check finds it, the mounts that it names, the order in which systemd starts things.
 */
#include "tools/sealctl/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/quote.h"
#include "tools/sealctl/ask.h"
#include "tools/sealctl/table.h"

#define GENERATED "/run/systemd/generator/sealnfsd.service.d/50-exports.conf"

enum { SAID_MAX = 16384, LINE_MAX_BYTES = 4096, PATIENCE_S = 20 };
enum { NOT_RUN = -1, HANGS = -2 }; /* instead of an exit status */

struct report {
    json_t *problems, *facts, *mounts;
    long patience_s;
};

/* A sentence, as text whatever the names in it are. */
static json_t *say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static json_t *say(const char *format, ...)
{
    char text[2 * LINE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return json_stringn(text, quote_text(text, sizeof(text), text, strlen(text), NULL));
}

static void add_fact(struct report *report, const char *name, json_t *value)
{
    json_array_append_new(report->facts, json_pack("{s:s, s:o*}", "name", name, "value", value));
}

static void add_problem(struct report *report, json_t *what, const char *advice)
{
    json_array_append_new(report->problems,
                          json_pack("{s:o*, s:s}", "what", what, "advice", advice));
}

/* ---- the configuration, by sealnfsd itself ---- */

/* Installed beside this program. */
static void find_server(char *path, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", path, size - 1);
    char *slash;

    path[len > 0 ? len : 0] = '\0';
    slash = strrchr(path, '/');
    if (slash && (size_t)(slash - path) + sizeof("/sealnfsd") <= size)
        strcpy(slash, "/sealnfsd");
    if (!slash || access(path, X_OK))
        snprintf(path, size, "sealnfsd");
}

static long now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec;
}

/* To the end, also what has no room: who writes must not die of that. False: there is none within
 * the patience. */
static bool read_all(int fd, char *said, size_t room, long patience_s)
{
    const long end = now_s() + patience_s;
    struct pollfd look = {.fd = fd, .events = POLLIN};
    char more[512];
    size_t len = 0;
    ssize_t got = 1;

    while (got > 0) {
        const long left = end - now_s();
        if (left < 0 || poll(&look, 1, left > 0 ? (int)left * 1000 : 1) != 1)
            break;
        got = len < room ? read(fd, said + len, room - len) : read(fd, more, sizeof(more));
        len += len < room && got > 0 ? (size_t)got : 0;
    }
    said[len] = '\0';
    return got <= 0;
}

/* Its exit status. Who hangs on a disk does not die, and is not waited for. */
static int end_server(pid_t pid, bool ended)
{
    int status = -1;

    if (!ended) {
        kill(pid, SIGKILL);
        return waitpid(pid, &status, WNOHANG) < 0 ? NOT_RUN : HANGS;
    }
    if (waitpid(pid, &status, 0) < 0)
        return NOT_RUN;
    return WIFEXITED(status) ? WEXITSTATUS(status) : NOT_RUN;
}

/* What it says on either stream, cut to its room; its exit status, or one of the above. */
static int run_server(const struct report *report, const char *option, const char *config,
                      char said[SAID_MAX])
{
    char path[PATH_MAX];
    int ends[2], error;
    bool ended = false;
    pid_t pid;
    posix_spawn_file_actions_t actions;

    said[0] = '\0';
    find_server(path, sizeof(path));
    char *argv[] = {path, (char *)(uintptr_t)option, (char *)(uintptr_t)config, NULL};
    if (pipe2(ends, O_CLOEXEC))
        return NOT_RUN;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    error = posix_spawnp(&pid, path, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (!error)
        ended = read_all(ends[0], said, SAID_MAX - 1, report->patience_s);
    close(ends[0]);
    return error ? NOT_RUN : end_server(pid, ended);
}

static void add_mistakes(struct report *report, char *said)
{
    for (char *line = said, *rest; *line; line = rest) {
        rest = line + strcspn(line, "\n");
        if (*rest)
            *rest++ = '\0';
        add_problem(report, say("%s", line),
                    "correct the line; sealnfsd --check FILE until it is ok; then sealctl reload");
    }
}

/* False: it hangs, and so would whoever else looks at what it names. */
static bool check_config(struct report *report, const char *config)
{
    char said[SAID_MAX];
    int status;

    if (access(config, R_OK)) {
        add_fact(report, "configuration", say("%s: not read", config));
        add_problem(report, say("%s: %s", config, strerror(errno)),
                    "systemctl cat sealnfsd shows which file the server is given; sealctl doctor "
                    "--config FILE");
        return true;
    }
    status = run_server(report, "--check", config, said);
    add_fact(report, "configuration",
             say("%s: %s", config,
                 status == 0   ? "ok"
                 : status == 2 ? "has mistakes"
                               : "could not be checked"));
    if (status == HANGS)
        add_problem(
            report,
            say("sealnfsd --check %s has come to no end within %ld s", config, report->patience_s),
            "a disk of an export hangs: dmesg; cat /proc/self/mounts");
    else if (status != 0 && said[0])
        add_mistakes(report, said);
    else if (status != 0)
        add_problem(report, say("sealnfsd --check %s could not be run", config),
                    "see that sealnfsd is installed, and run this as root");
    return status != HANGS;
}

/* ---- mounts ---- */

struct mount {
    char point[LINE_MAX_BYTES], type[64], source[LINE_MAX_BYTES], options[LINE_MAX_BYTES];
};

/* proc(5): blanks and the like are octal. */
static void unescape(char *text)
{
    char *to = text;

    for (char *from = text; *from; from++) {
        unsigned byte;
        if (*from == '\\' && sscanf(from + 1, "%3o", &byte) == 1) {
            *to++ = (char)byte;
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

static bool is_below(const char *path, const char *point)
{
    size_t len = strlen(point);

    return strcmp(point, "/") == 0 ||
           (strncmp(path, point, len) == 0 && (path[len] == '/' || path[len] == '\0'));
}

/* The mount that the path is on: the last of the deepest. */
static bool find_mount(const char *path, struct mount *found)
{
    char line[4 * LINE_MAX_BYTES];
    struct mount mount;
    bool any = false;
    FILE *stream = fopen("/proc/self/mountinfo", "re");

    while (stream && fgets(line, sizeof(line), stream)) {
        const char *rest = strstr(line, " - ");
        if (!rest ||
            sscanf(line, "%*s %*s %*s %*s %4095s %4095s", mount.point, mount.options) != 2 ||
            sscanf(rest + 3, "%63s %4095s", mount.type, mount.source) != 2)
            continue;
        unescape(mount.point);
        if (!is_below(path, mount.point) || (any && strlen(mount.point) < strlen(found->point)))
            continue;
        unescape(mount.source);
        *found = mount;
        any = true;
    }
    if (stream)
        fclose(stream);
    return any;
}

static void add_mount(struct report *report, const char *kind, const char *path)
{
    struct mount mount;

    if (access(path, F_OK))
        add_problem(report, say("%s: %s", path, strerror(errno)),
                    "make the directory, or mount what it is on; findmnt shows what is mounted");
    else if (find_mount(path, &mount))
        json_array_append_new(report->mounts,
                              json_pack("{s:s, s:o, s:o, s:s, s:o, s:o}", "for", kind, "path",
                                        say("%s", path), "mountpoint", say("%s", mount.point),
                                        "type", mount.type, "source", say("%s", mount.source),
                                        "options", say("%s", mount.options)));
}

/* Lines "state /srv/state" and "export /srv/data". */
static void look_at_mounts(struct report *report, const char *config)
{
    char said[SAID_MAX];

    if (run_server(report, "--paths", config, said) != 0)
        return;
    for (char *line = said, *rest; *line; line = rest) {
        rest = line + strcspn(line, "\n");
        if (*rest)
            *rest++ = '\0';
        char *path = strchr(line, ' ');
        if (!path)
            continue;
        *path++ = '\0';
        add_mount(report, line, path);
    }
}

/* ---- systemd ---- */

static void look_at_order(struct report *report)
{
    const bool is_there = access(GENERATED, F_OK) == 0;

    if (access("/run/systemd/system", F_OK)) {
        add_fact(report, "ordering",
                 json_string("no systemd here: the disks have to be mounted "
                             "before sealnfsd is started"));
        return;
    }
    add_fact(report, "ordering",
             json_string(is_there ? "sealnfsd is started after the mounts of its configuration"
                                  : "systemd does not know the mounts of the configuration"));
    if (!is_there)
        add_problem(report,
                    json_string("systemd does not start sealnfsd after its disks: " GENERATED
                                " is not there"),
                    "systemctl daemon-reload; then systemctl cat sealnfsd shows 50-exports.conf");
}

static void look_at_machine(struct report *report)
{
    struct utsname system;

    add_fact(report, "sealctl", json_string(SEALNFS_VERSION));
    if (uname(&system) == 0)
        add_fact(report, "kernel", say("%s %s %s", system.sysname, system.release, system.machine));
}

/* ---- the server ---- */

static void say_unreached(struct report *report, const char *socket, int error)
{
    if (error == ETIMEDOUT)
        add_problem(report,
                    say("sealnfsd has not answered on %s within %ld s", socket, report->patience_s),
                    "journalctl -u sealnfsd -n 50, and dmesg for a disk that hangs; sealctl doctor "
                    "--timeout 300 waits longer");
    else
        add_problem(report,
                    say("sealnfsd does not answer on %s: %s", socket,
                        error ? strerror(error) : "it closed the connection"),
                    error == EACCES || error == EPERM
                        ? "run this as root, or as a member of control_group"
                        : "systemctl status sealnfsd; journalctl -u sealnfsd -n 50; then systemctl "
                          "start sealnfsd");
}

/* The answer of the server, or NULL, and it is said why there is none. */
static json_t *ask_server(struct report *report, const char *socket)
{
    json_t *request = json_pack("{s:s}", "op", "doctor");
    json_t *reply = request ? ask_quietly(socket, request, report->patience_s) : NULL;
    const int error = errno;
    const char *refusal = json_string_value(json_object_get(reply, "error"));

    json_decref(request);
    if (reply && !json_is_object(json_object_get(reply, "doctor"))) {
        add_problem(report,
                    say("sealnfsd answers on %s, but does not report: %s", socket,
                        refusal ? refusal : "it gave no reason"),
                    "if it was upgraded and runs on as it was: systemctl restart sealnfsd");
        json_decref(reply);
        return NULL;
    }
    if (!reply)
        say_unreached(report, socket, error);
    return reply;
}

/* ---- for people ---- */

static void print_facts(const char *head, const json_t *facts)
{
    size_t i;
    char room[32];
    json_t *fact;

    printf("\n%s\n", head);
    json_array_foreach(facts, i, fact)
    {
        printf("  %-18s", text_of(fact, "name", room, sizeof(room)));
        printf("%s\n", text_of(fact, "value", room, sizeof(room)));
    }
}

static void print_problems(const json_t *problems)
{
    size_t i;
    char room[32];
    json_t *problem;

    puts(json_array_size(problems) ? "Problems" : "No problem was found.");
    json_array_foreach(problems, i, problem)
    {
        printf("  %s\n", text_of(problem, "what", room, sizeof(room)));
        printf("      type: %s\n", text_of(problem, "advice", room, sizeof(room)));
    }
}

static void print_server(json_t *server)
{
    static const struct column exports[] = {
        {"export", "EXPORT"}, {"state", "STATE"}, {"layouts", "LAYOUTS"}, {"path", "PATH"}};
    static const struct column devices[] = {{"export", "EXPORT"},
                                            {"layouts", "LAYOUTS"},
                                            {"reservation", "RESERVATION KEY"},
                                            {"disks", "DISKS"}};
    size_t i;
    char room[32];
    json_t *row;

    print_facts("Server", json_object_get(server, "facts"));
    json_array_foreach(json_object_get(server, "exports"), i, row)
    {
        join_list(row, "layouts");
    }
    json_array_foreach(json_object_get(server, "devices"), i, row)
    {
        join_list(row, "disks");
    }
    puts("\nExports");
    PRINT_TABLE(server, "exports", exports, "none");
    puts("\nDevices");
    PRINT_TABLE(server, "devices", devices, "none");
    puts("\nLast errors and warnings");
    json_array_foreach(json_object_get(server, "log"), i, row)
    {
        printf("  %s ", text_of(row, "time", room, sizeof(room)));
        printf("%s: ", text_of(row, "level", room, sizeof(room)));
        printf("%s\n", text_of(row, "line", room, sizeof(room)));
    }
    if (json_array_size(json_object_get(server, "log")) == 0)
        puts("  none since it was started");
}

static void print_report(const struct report *report, json_t *server)
{
    static const struct column mounts[] = {
        {"for", "FOR"},   {"path", "PATH"},     {"mountpoint", "MOUNT POINT"},
        {"type", "TYPE"}, {"source", "SOURCE"}, {"options", "OPTIONS"}};

    print_problems(report->problems);
    print_facts("Machine", report->facts);
    if (json_array_size(report->mounts)) {
        puts("\nMounts");
        print_table(report->mounts, mounts, sizeof(mounts) / sizeof(mounts[0]), "none");
    }
    if (server)
        print_server(server);
}

static int print_all(const struct report *report, json_t *server, bool json)
{
    const int status = !server                             ? EXIT_UNREACHABLE
                       : json_array_size(report->problems) ? EXIT_REFUSED
                                                           : EXIT_DONE;
    json_t *all = json_pack("{s:b, s:O, s:O, s:O, s:O?}", "ok", status == EXIT_DONE, "problems",
                            report->problems, "machine", report->facts, "mounts", report->mounts,
                            "server", server);

    if (!all) {
        fputs("sealctl: out of memory\n", stderr);
        return EXIT_REFUSED;
    }
    if (json) {
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
    } else {
        quote_strings(all);
        print_report(report, server);
    }
    json_decref(all);
    return fflush(stdout) == EOF ? EXIT_REFUSED : status;
}

int sealctl_doctor(const struct doctor_options *options)
{
    struct report report = {json_array(), json_array(), json_array(),
                            options->patience_s > 0 ? options->patience_s : PATIENCE_S};
    json_t *reply = ask_server(&report, options->socket);
    json_t *server = json_object_get(reply, "doctor");
    const char *running = json_string_value(json_object_get(server, "config"));
    const char *config = options->config ? options->config : running ? running : options->otherwise;
    int status;

    json_array_extend(report.problems, json_object_get(server, "problems"));
    look_at_machine(&report);
    if (check_config(&report, config))
        look_at_mounts(&report, config);
    look_at_order(&report);
    json_object_del(server, "problems");
    status = print_all(&report, server, options->json);
    json_decref(report.problems);
    json_decref(report.facts);
    json_decref(report.mounts);
    json_decref(reply);
    return status;
}
