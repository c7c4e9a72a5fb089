/*
 * doctor.c - "doctor": one report of what this daemon is, stands on and suffers from. A worker
 * gathers what the machine says, the keeper is asked for exports, devices and seals in turn, and
 * each problem comes with what to type next.
 *
 * It is made to be sent to somebody else: no reservation key and no secret is in it. What is
 * quoted from elsewhere (log lines, reasons) may name a key, so numbers that could be one are
 * taken out of every string.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <dirent.h>

#include "layout/journal/journal.h"
#include "server/base/json_text.h"
#include "server/base/log.h"
#include "server/base/process_limits.h"
#include "server/config/config.h"
#include "server/control/request.h"
#include "server/server.h"

enum {
    TEXT_MAX = 1024,
    KEY_DIGITS = 16,
    PROBLEMS_MAX = 64,
    FILES_WANTED = 4096,
    FREE_WANTED_MIB = 64,
};

/* Of capabilities(7), those of the shipped unit. */
static const struct {
    unsigned bit;
    const char *name;
} wanted[] = {
    {0, "CAP_CHOWN"},      {1, "CAP_DAC_OVERRIDE"},    {2, "CAP_DAC_READ_SEARCH"},
    {3, "CAP_FOWNER"},     {4, "CAP_FSETID"},          {6, "CAP_SETGID"},
    {7, "CAP_SETUID"},     {9, "CAP_LINUX_IMMUTABLE"}, {17, "CAP_SYS_RAWIO"},
    {21, "CAP_SYS_ADMIN"}, {27, "CAP_MKNOD"},          {28, "CAP_LEASE"},
};

struct doctor {
    json_t *report, *facts, *problems;
    const char *config; /* the file */
    unsigned next_view;
    size_t seals, stuck, broken;
};

static void add_fact(struct doctor *doctor, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_fact(struct doctor *doctor, const char *name, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_array_append_new(doctor->facts,
                          json_pack("{s:s, s:o}", "name", name, "value", json_text(text)));
}

static void add_problem(struct doctor *doctor, const char *advice, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_problem(struct doctor *doctor, const char *advice, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;

    if (json_array_size(doctor->problems) >= PROBLEMS_MAX)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_array_append_new(doctor->problems, json_pack("{s:o, s:o}", "what", json_text(text),
                                                      "advice", json_text(advice)));
}

/* ---- what the machine says; on a worker ---- */

static void look_at_files(struct doctor *doctor)
{
    struct rlimit limit;
    unsigned long long used = 0;
    DIR *directory = opendir("/proc/self/fd");

    for (struct dirent *entry; directory && (entry = readdir(directory));)
        used += entry->d_name[0] != '.';
    if (directory)
        closedir(directory);
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    add_fact(doctor, "descriptors", "%llu in use, %llu at most", used,
             (unsigned long long)limit.rlim_cur);
    if (limit.rlim_cur < FILES_WANTED)
        add_problem(doctor,
                    "systemctl edit sealnfsd: [Service] LimitNOFILE=262144; then restart it",
                    "only %llu descriptors may be open at once: few clients and files have room",
                    (unsigned long long)limit.rlim_cur);
}

/* The number behind "NAME:" in /proc/self/status, read by this base. */
static bool read_status(const char *name, int base, unsigned long long *value)
{
    char line[256];
    bool found = false;
    FILE *stream = fopen("/proc/self/status", "re");

    while (stream && !found && fgets(line, sizeof(line), stream)) {
        size_t len = strlen(name);
        found = strncmp(line, name, len) == 0 && line[len] == ':';
        if (found)
            *value = strtoull(line + len + 1, NULL, base);
    }
    if (stream)
        fclose(stream);
    return found;
}

static void look_at_memory(struct doctor *doctor)
{
    const uint64_t most = process_memory();
    unsigned long long kib;

    if (read_status("VmRSS", 10, &kib))
        add_fact(doctor, "memory", "%llu MiB in use, %" PRIu64 " MiB at most", kib >> 10,
                 most >> 20);
}

static void look_at_capabilities(struct doctor *doctor)
{
    unsigned long long have;
    char missing[512] = "";
    size_t len = 0;

    if (!read_status("CapEff", 16, &have))
        return;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (!(have >> wanted[i].bit & 1))
            len += (size_t)snprintf(missing + len, sizeof(missing) - len, " %s", wanted[i].name);
    add_fact(doctor, "capabilities", "%s%s", missing[0] ? "missing:" : "all that the unit gives",
             missing);
    if (missing[0])
        add_problem(doctor,
                    "run it by its unit: systemctl restart sealnfsd; and see systemctl cat "
                    "sealnfsd for a drop-in that takes them away",
                    "capabilities are missing:%s", missing);
}

static void look_at_state(struct doctor *doctor, const char *directory)
{
    char path[TEXT_MAX];
    struct statvfs fs;
    struct stat file;

    snprintf(path, sizeof(path), "%s/journal.db", directory);
    if (stat(path, &file) == 0)
        add_fact(doctor, "journal", "%s, %lld bytes, schema %d", path, (long long)file.st_size,
                 JOURNAL_SCHEMA);
    else
        add_problem(doctor, "see the log: journalctl -u sealnfsd", "%s: %m", path);
    if (statvfs(directory, &fs))
        return;
    const unsigned long long mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
    add_fact(doctor, "room in state_dir", "%llu MiB", mib);
    if (mib < FREE_WANTED_MIB) {
        snprintf(path, sizeof(path), "df -h %.400s; make room there", directory);
        add_problem(doctor, path,
                    "%.400s has %llu MiB left: without room for the journal nothing "
                    "is sealed, granted or released",
                    directory, mib);
    }
}

static void look_at_machine(struct doctor *doctor, const struct server *server)
{
    const struct config *config = server->config;
    struct utsname system;

    add_fact(doctor, "sealnfsd", "%s, process %ld", SEALNFS_VERSION, (long)getpid());
    if (uname(&system) == 0)
        add_fact(doctor, "kernel", "%s %s %s", system.sysname, system.release, system.machine);
    doctor->config = config->file;
    add_fact(doctor, "configuration", "%s", config->file ? config->file : "-");
    add_fact(doctor, "loops", "%u", server->loop_count);
    add_fact(doctor, "fence hook", "%s", config->fence_hook ? config->fence_hook : "none");
    add_fact(doctor, "metrics", "%s", config->metrics_listen ? config->metrics_listen : "none");
    look_at_files(doctor);
    look_at_memory(doctor);
    look_at_capabilities(doctor);
    look_at_state(doctor, config->state_dir);
}

static void add_log(struct doctor *doctor)
{
    struct log_kept kept[LOG_KEPT];
    const unsigned count = log_last(kept);
    json_t *lines = json_array();

    for (unsigned i = 0; i < count; i++) {
        struct tm tm;
        char at[32] = "";
        if (gmtime_r(&kept[i].at, &tm))
            strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm);
        json_array_append_new(lines, json_pack("{s:s, s:s, s:o}", "time", at, "level",
                                               log_level_name(kept[i].level), "line",
                                               json_text(kept[i].line)));
    }
    json_object_set_new(doctor->report, "log", lines);
}

/* ---- what the keeper says ---- */

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text ? text : "";
}

static void judge_exports(struct doctor *doctor, json_t *rows)
{
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        if (strcmp(text_of(row, "state"), "away") == 0)
            add_problem(doctor,
                        "findmnt; mount it, and it is taken in within seconds: sealctl "
                        "exports",
                        "export %.80s is not served: %.700s", text_of(row, "export"),
                        text_of(row, "why"));
    }
    json_object_set(doctor->report, "exports", rows);
}

/* Of a disk its path is enough. */
static json_t *shorten_device(const json_t *row)
{
    static const char *const keys[] = {"export",  "volume", "size",       "seals",
                                       "layouts", "why",    "reservation"};
    json_t *device = json_object(), *paths = json_array(), *disk;
    size_t i;

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (json_object_get(row, keys[i]))
            json_object_set(device, keys[i], json_object_get(row, keys[i]));
    json_array_foreach(json_object_get(row, "disks"), i, disk)
    {
        json_array_append(paths, json_object_get(disk, "path"));
    }
    json_object_set_new(device, "disks", paths);
    return device;
}

static void judge_devices(struct doctor *doctor, json_t *rows)
{
    json_t *devices = json_array(), *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        const char *why = text_of(row, "why");
        if (!json_object_get(row, "export"))
            continue;
        json_array_append_new(devices, shorten_device(row));
        if (strcmp(text_of(row, "reservation"), "absent") == 0)
            add_problem(doctor,
                        "sealctl devices; see that the server reaches the disk, and who "
                        "else has reserved it: sg_persist --in --read-reservation DISK",
                        "export %.80s: no layouts of its disk: %.700s", text_of(row, "export"),
                        why);
    }
    json_object_set_new(doctor->report, "devices", devices);
}

static void judge_seals(struct doctor *doctor, json_t *rows)
{
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        const bool is_stuck = strcmp(text_of(row, "state"), "stuck") == 0;
        const bool is_broken = json_is_true(json_object_get(row, "broken"));
        doctor->stuck += is_stuck;
        doctor->broken += is_broken;
        if (is_stuck || is_broken)
            add_problem(doctor, "sealctl status; then what it says", "%.300s: %.600s",
                        text_of(row, "file"), text_of(row, "why"));
    }
    doctor->seals += json_array_size(rows);
}

/* When all pieces of them were there. */
static void count_seals(struct doctor *doctor)
{
    add_fact(doctor, "seals", "%zu, of which STUCK %zu, BROKEN %zu", doctor->seals, doctor->stuck,
             doctor->broken);
}

static const struct {
    const char *what;
    void (*judge)(struct doctor *doctor, json_t *rows);
    void (*end)(struct doctor *doctor);
} views[] = {{"exports", judge_exports, NULL},
             {"devices", judge_devices, NULL},
             {"status", judge_seals, count_seals}};

/* ---- no keys ---- */

/* "0x" and as many digits as a reservation key has, wherever they stand. */
static void hide_keys(char *text)
{
    for (char *at = text; (at = strstr(at, "0x")); at += 2) {
        size_t digits = strspn(at + 2, "0123456789abcdefABCDEF");
        if (digits >= KEY_DIGITS)
            memset(at + 2, '-', digits);
    }
}

static void hide_keys_in(json_t *value)
{
    const char *key;
    size_t index;
    json_t *member;

    if (json_is_string(value) && strstr(json_string_value(value), "0x")) {
        char *text = strdup(json_string_value(value));
        if (text)
            hide_keys(text);
        json_string_set(value, text ? text : "?");
        free(text);
    }
    json_object_foreach(value, key, member)
    {
        hide_keys_in(member);
    }
    json_array_foreach(value, index, member)
    {
        hide_keys_in(member);
    }
}

/* ---- one after the other ---- */

static void end_doctor(struct control_request *request)
{
    struct doctor *doctor = request->doctor;
    json_t *report = doctor->report;

    add_log(doctor);
    hide_keys_in(report);
    if (doctor->config) /* byte for byte: sealctl looks at it */
        json_object_set_new(report, "config", json_string(doctor->config));
    free(doctor);
    request_answer(request, json_pack("{s:b, s:o}", "ok", 1, "doctor", report));
}

static void ask_next(struct control_request *request);

static void on_view(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(keeper.view.call.reply, msg);
    struct doctor *doctor = request->doctor;
    struct keeper_view *view = &request->keeper.view;
    json_t *rows = view->json ? json_loads(view->json, 0, NULL) : NULL;
    const bool said = rows != NULL;

    free(view->json);
    if (said)
        views[doctor->next_view].judge(doctor, rows);
    else
        add_problem(doctor, "sealctl status", "the keeper did not say its %s: %s",
                    views[doctor->next_view].what, view->call.why);
    if (doctor->next_view == 0 && view->call.status == NFS4_OK && view->call.why[0])
        add_problem(doctor, "sealctl status; the log: journalctl -u sealnfsd", "%s",
                    view->call.why);
    json_decref(rows);
    if (view->more) {
        keeper_view(request->server->keeper, view);
        return;
    }
    if (said && views[doctor->next_view].end)
        views[doctor->next_view].end(doctor);
    doctor->next_view++;
    ask_next(request);
}

static void ask_next(struct control_request *request)
{
    if (request->doctor->next_view == sizeof(views) / sizeof(views[0])) {
        end_doctor(request);
        return;
    }
    request->keeper.view = (struct keeper_view){
        .call = {.reply = {.run = on_view}, .reply_loop = request->loop},
        .what = views[request->doctor->next_view].what,
    };
    keeper_view(request->server->keeper, &request->keeper.view);
}

static void looked(struct loop_msg *msg)
{
    ask_next(REQUEST_OF(home, msg));
}

static void look(struct work *work)
{
    struct control_request *request = REQUEST_OF(work, work);

    look_at_machine(request->doctor, request->server);
    request->home.run = looked;
    loop_post(request->loop, &request->home);
}

void start_doctor(struct control_request *request)
{
    struct doctor *doctor = calloc(1, sizeof(*doctor));

    if (doctor) {
        doctor->facts = json_array();
        doctor->problems = json_array();
        doctor->report =
            json_pack("{s:o, s:o}", "facts", doctor->facts, "problems", doctor->problems);
    }
    if (!doctor || !doctor->report) {
        free(doctor);
        request_fail(request, "failed", "out of memory");
        return;
    }
    request->doctor = doctor;
    request->work.run = look;
    worker_submit(request->server->workers, &request->work);
}
