/*
 * doctor.c - see doctor.h: what the server says of itself ("doctor" of the control socket), and
 * what can be seen without it: the configuration as sealnfsd --check finds it, the mounts that it
 * names, the order in which systemd starts things.
 */
#include "tools/sealctl/doctor.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/sealctl/ask.h"
#include "tools/sealctl/table.h"

#define GENERATED "/run/systemd/generator/sealnfsd.service.d/50-exports.conf"

enum { SAID_MAX = 16384, LINE_MAX_BYTES = 4096 };

struct report {
    json_t *problems, *facts, *mounts;
};

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

/* What it says on either stream, cut to its room; its exit status, -1: it cannot be run. */
static int run_server(const char *option, const char *config, char *said, size_t size)
{
    char path[PATH_MAX];
    int ends[2], status = -1, error;
    size_t len = 0;
    pid_t pid;
    posix_spawn_file_actions_t actions;

    said[0] = '\0';
    find_server(path, sizeof(path));
    char *argv[] = {path, (char *)(uintptr_t)option, (char *)(uintptr_t)config, NULL};
    if (pipe(ends))
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    error = posix_spawnp(&pid, path, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    for (ssize_t got; !error && (got = read(ends[0], said + len, size - 1 - len)) > 0;)
        len += (size_t)got;
    said[len] = '\0';
    close(ends[0]);
    if (error || waitpid(pid, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void check_config(struct report *report, const char *config)
{
    char said[SAID_MAX];
    int status = run_server("--check", config, said, sizeof(said));

    add_fact(report, "configuration",
             json_sprintf("%s: %s", config,
                          status == 0   ? "ok"
                          : status == 2 ? "has mistakes"
                                        : "could not be checked"));
    if (status == 0)
        return;
    for (char *line = said, *rest; *line; line = rest) {
        rest = line + strcspn(line, "\n");
        if (*rest)
            *rest++ = '\0';
        add_problem(report, json_sprintf("%s", line),
                    "correct the line; sealnfsd --check FILE until it is ok; then sealctl reload");
    }
    if (!said[0])
        add_problem(report, json_sprintf("sealnfsd --check %s could not be run", config),
                    "see that sealnfsd is installed, and run this as root");
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
        add_problem(report, json_sprintf("%s: %s", path, strerror(errno)),
                    "make the directory, or mount what it is on; findmnt shows what is mounted");
    else if (find_mount(path, &mount))
        json_array_append_new(report->mounts,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "for", kind, "path", path,
                                        "mountpoint", mount.point, "type", mount.type, "source",
                                        mount.source, "options", mount.options));
}

/* Lines "state /srv/state" and "export /srv/data". */
static void look_at_mounts(struct report *report, const char *config)
{
    char said[SAID_MAX];

    if (run_server("--paths", config, said, sizeof(said)) != 0)
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
        add_fact(report, "kernel",
                 json_sprintf("%s %s %s", system.sysname, system.release, system.machine));
}

static void say_unreached(struct report *report, const char *socket, int error)
{
    add_problem(report,
                json_sprintf("sealnfsd does not answer on %s: %s", socket,
                             error ? strerror(error) : "it closed the connection"),
                error == EACCES || error == EPERM
                    ? "run this as root, or as a member of control_group"
                    : "systemctl status sealnfsd; journalctl -u sealnfsd -n 50; then systemctl "
                      "start sealnfsd");
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

int sealctl_doctor(const char *socket, const char *config, bool json)
{
    struct report report = {json_array(), json_array(), json_array()};
    json_t *request = json_pack("{s:s}", "op", "doctor");
    json_t *reply = request ? ask_quietly(socket, request) : NULL;
    const int error = errno;
    json_t *server = json_object_get(reply, "doctor"), *all;
    int status;

    if (!server)
        say_unreached(&report, socket, error);
    json_array_extend(report.problems, json_object_get(server, "problems"));
    look_at_machine(&report);
    check_config(&report, config);
    look_at_mounts(&report, config);
    look_at_order(&report);
    json_object_del(server, "problems");
    status = !server                            ? EXIT_UNREACHABLE
             : json_array_size(report.problems) ? EXIT_REFUSED
                                                : EXIT_DONE;
    all = json_pack("{s:b, s:o, s:o, s:o, s:O?}", "ok", status == EXIT_DONE, "problems",
                    report.problems, "machine", report.facts, "mounts", report.mounts, "server",
                    server);
    if (json && all) {
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
    } else if (all) {
        quote_strings(all);
        print_report(&report, server);
    } else {
        fputs("sealctl: out of memory\n", stderr);
        status = EXIT_REFUSED;
    }
    json_decref(all);
    json_decref(reply);
    json_decref(request);
    return fflush(stdout) == EOF ? EXIT_REFUSED : status;
}
