/*
 * main.c - the operator's tool: asks sealnfsd on its control socket and prints the answer for
 * people, or as JSON with --json.
 *
 * Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 the server cannot be reached; 4 still
 * under way (unseal without --wait, or when --timeout is over).
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/quote.h"
#include "tools/sealctl/hold.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3, EXIT_PENDING = 4 };

struct command {
    const char *name;
    enum { NO_FILE, MAY_FILE, NEEDS_FILE, NEEDS_NAME } file;
    bool many; /* more than one file may be named */
    const char *usage;
    void (*print)(const json_t *reply, const char *file);
};

struct options {
    const char *socket;
    const struct command *command;
    const char *file;
    char **files; /* NULL, or all that were named: more than one */
    int file_count;
    const char *fence; /* NULL: none given */
    char **argv;       /* hold: of the command to run; NULL: none */
    bool json, pinned, fill, sparse, wait, write, yes, all;
    long timeout_s; /* -1: none given */
};

static const char usage_text[] =
    "usage: sealctl [-s SOCKET] COMMAND [OPTIONS] [FILE]\n"
    "\n"
    "  seal [--pinned] [--fill | --sparse] FILE...\n"
    "        promise that the file's block map does not change, and the data neither\n"
    "        unless --pinned; --fill first writes zeros where blocks are missing,\n"
    "        --sparse leaves holes, in which clients read zeros\n"
    "  unseal [--wait] [--timeout SECONDS] FILE... | --all\n"
    "        recall every layout, then take the seal off; --all: of every seal\n"
    "  status [FILE]\n"
    "        the seals there are, and how each is doing\n"
    "  grants [FILE]\n"
    "        who holds layouts\n"
    "  clients\n"
    "        who is connected\n"
    "  hold [--write] [--fence KIND] FILE [-- COMMAND...]\n"
    "        print where the sealed file is, and keep it there while COMMAND runs, or\n"
    "        until interrupted; KIND: close, hook or none (default none)\n"
    "  fenced NAME\n"
    "        end what the absent local program NAME held: it is certain not to touch\n"
    "        the disk any more\n"
    "  devices\n"
    "        what the exports are on, and what clients are told of it\n"
    "  explain FILE\n"
    "        why the file has a layout, or has none\n"
    "  forget-holders --yes FILE\n"
    "        after the journal was lost: no client that had a layout on FILE's file\n"
    "        system can still use it, so its seals may be released\n"
    "\n"
    "  -s, --socket SOCKET   default /run/sealnfs/control.sock or $SEALNFS_SOCKET\n"
    "  -j, --json            print the server's answer as JSON\n"
    "  -h, --help            print this\n"
    "  -V, --version         print the version\n"
    "\n"
    "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 server not reached,\n"
    "4 release still under way.\n";

/* ---- the answers for people ---- */

static const char *text_of(const json_t *object, const char *key, char *room, size_t size)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value)) {
        snprintf(room, size, "%lld", (long long)json_integer_value(value));
        return room;
    }
    if (json_is_boolean(value))
        return json_is_true(value) ? "yes" : "no";
    return "-";
}

struct column {
    const char *key, *head;
};

static void column_widths(const json_t *rows, const struct column *columns, size_t count,
                          int *widths)
{
    char room[32];
    size_t index;
    json_t *row;

    for (size_t i = 0; i < count; i++) {
        widths[i] = (int)strlen(columns[i].head);
        json_array_foreach(rows, index, row)
        {
            int width = (int)strlen(text_of(row, columns[i].key, room, sizeof(room)));
            if (width > widths[i])
                widths[i] = width;
        }
    }
}

/* A table; under each row the sentences that say why and what to do, where there are any. */
static void print_table(const json_t *rows, const struct column *columns, size_t count,
                        const char *empty)
{
    int widths[16] = {0};
    char room[32];
    size_t index;
    json_t *row;

    if (json_array_size(rows) == 0) {
        puts(empty);
        return;
    }
    column_widths(rows, columns, count, widths);
    for (size_t i = 0; i < count; i++)
        printf("%-*s%s", i + 1 < count ? widths[i] : 0, columns[i].head,
               i + 1 < count ? "  " : "\n");
    json_array_foreach(rows, index, row)
    {
        const char *why = json_string_value(json_object_get(row, "why"));
        const char *advice = json_string_value(json_object_get(row, "advice"));
        for (size_t i = 0; i < count; i++)
            printf("%-*s%s", i + 1 < count ? widths[i] : 0,
                   text_of(row, columns[i].key, room, sizeof(room)), i + 1 < count ? "  " : "\n");
        if (why && why[0])
            printf("    %s\n", why);
        if (advice && advice[0])
            printf("    %s\n", advice);
    }
}

#define PRINT_TABLE(reply, key, columns, empty)                                                    \
    print_table(json_object_get(reply, key), columns, sizeof(columns) / sizeof((columns)[0]), empty)

static void print_status(const json_t *reply, const char *file)
{
    static const struct column columns[] = {
        {"state", "STATE"},     {"kind", "KIND"},       {"policy", "POLICY"}, {"size", "SIZE"},
        {"extents", "EXTENTS"}, {"holders", "HOLDERS"}, {"file", "FILE"}};
    PRINT_TABLE(reply, "status", columns, file ? "not sealed" : "no seals");
}

static void print_grants(const json_t *reply, const char *file)
{
    static const struct column columns[] = {{"client", "CLIENT"}, {"iomode", "IOMODE"},
                                            {"offset", "OFFSET"}, {"length", "LENGTH"},
                                            {"state", "STATE"},   {"file", "FILE"}};
    (void)file;
    PRINT_TABLE(reply, "grants", columns, "no grants");
}

static void print_clients(const json_t *reply, const char *file)
{
    static const struct column columns[] = {
        {"client_id", "CLIENT ID"}, {"callable", "CALLABLE"}, {"client", "CLIENT"}};
    (void)file;
    PRINT_TABLE(reply, "clients", columns, "no clients");
}

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* A node and, below it, its members; each refers to earlier ones only. */
static void print_node(const json_t *device, size_t index, int indent)
{
    const json_t *node = json_array_get(json_object_get(device, "nodes"), index);
    const json_t *disk =
        json_array_get(json_object_get(device, "disks"), (size_t)number_of(node, "disk"));
    const char *kind = json_string_value(json_object_get(node, "kind"));
    char room[32];
    size_t i;
    json_t *member;

    if (!kind)
        return;
    printf("%*s%s", indent, "", kind);
    if (strcmp(kind, "disk") == 0)
        printf(" %s", text_of(disk, "path", room, sizeof(room)));
    if (strcmp(kind, "slice") == 0)
        printf(" from byte %lld", number_of(node, "start"));
    if (strcmp(kind, "stripe") == 0)
        printf(" in units of %lld bytes", number_of(node, "unit"));
    printf(", %lld bytes\n", number_of(node, "size"));
    json_array_foreach(json_object_get(node, "members"), i, member)
    {
        size_t below = (size_t)json_integer_value(member);
        if (below < index)
            print_node(device, below, indent + 2);
    }
}

static void print_disk(const json_t *disk)
{
    char room[32];
    size_t i;
    json_t *part;

    printf("  %s is known by", text_of(disk, "path", room, sizeof(room)));
    json_array_foreach(json_object_get(disk, "signature"), i, part)
    {
        printf("%s %s at byte %lld", i ? "," : "", text_of(part, "bytes", room, sizeof(room)),
               number_of(part, "offset"));
    }
    putchar('\n');
}

static void print_device(const json_t *device)
{
    const json_t *nodes = json_object_get(device, "nodes");
    const char *export = json_string_value(json_object_get(device, "export"));
    const char *why = json_string_value(json_object_get(device, "why"));
    char room[32];
    size_t i;
    json_t *disk;

    printf("%s: %s\n", export ? export : "(no export)",
           json_is_true(json_object_get(device, "layouts")) ? "layouts are given" : "no layouts");
    if (why && why[0])
        printf("  %s\n", why);
    if (json_array_size(nodes) == 0)
        return;
    printf("  id %s", text_of(device, "device_id", room, sizeof(room)));
    printf(", %s", text_of(device, "volume", room, sizeof(room)));
    printf(", seals on it: %lld\n", number_of(device, "seals"));
    print_node(device, json_array_size(nodes) - 1, 2);
    json_array_foreach(json_object_get(device, "disks"), i, disk)
    {
        print_disk(disk);
    }
}

static void print_rdma(const json_t *device)
{
    const char *why = json_string_value(json_object_get(device, "why"));
    const json_t *address;
    size_t i;
    char room[32];

    if (why && why[0])
        printf("RDMA: no layouts\n  %s\n", why);
    else
        printf("RDMA: layouts are given\n  %s, %s\n", text_of(device, "rdma", room, sizeof(room)),
               json_is_true(json_object_get(device, "on_demand"))
                   ? "pages on demand: files in persistent memory and frozen files"
                   : "does not page on demand: frozen files on disks only");
    json_array_foreach(json_object_get(device, "addresses"), i, address)
    {
        printf("  listens on %s\n", json_string_value(address));
    }
    printf("  clients %lld, connections %lld, registrations %lld (%lld bytes); admitted %lld, "
           "refused %lld\n",
           number_of(device, "clients"), number_of(device, "connections"),
           number_of(device, "registrations"), number_of(device, "registered_bytes"),
           number_of(device, "admitted"), number_of(device, "refused"));
}

static void print_devices(const json_t *reply, const char *file)
{
    size_t i;
    json_t *device;

    (void)file;
    json_array_foreach(json_object_get(reply, "devices"), i, device)
    {
        if (json_object_get(device, "rdma"))
            print_rdma(device);
        else
            print_device(device);
    }
}

static void print_explain(const json_t *reply, const char *file)
{
    const json_t *explain = json_object_get(reply, "explain");
    const char *advice = json_string_value(json_object_get(explain, "advice"));
    char room[32];

    printf("%s: %s\n", file, text_of(explain, "why", room, sizeof(room)));
    if (advice && advice[0])
        puts(advice);
}

static void print_outcome(const json_t *reply, const char *file, const char *word)
{
    const char *note = json_string_value(json_object_get(reply, "note"));

    printf("%s: %s%s%s\n", file, word, note && note[0] ? ": " : "", note ? note : "");
}

static void print_sealed(const json_t *reply, const char *file)
{
    print_outcome(reply, file, "sealed");
}

static void print_unsealed(const json_t *reply, const char *file)
{
    print_outcome(reply, file, "unsealed");
}

static void print_fenced(const json_t *reply, const char *file)
{
    print_outcome(reply, file, "fenced");
}

static void print_forgotten(const json_t *reply, const char *file)
{
    print_outcome(reply, file, "no holder of before is expected any more");
}

static const struct command commands[] = {
    {"seal", NEEDS_FILE, true, "seal [--pinned] [--fill | --sparse] FILE...", print_sealed},
    {"unseal", NEEDS_FILE, true, "unseal [--wait] [--timeout SECONDS] FILE... | --all",
     print_unsealed},
    {"status", MAY_FILE, false, "status [FILE]", print_status},
    {"grants", MAY_FILE, false, "grants [FILE]", print_grants},
    {"clients", NO_FILE, false, "clients", print_clients},
    {"devices", NO_FILE, false, "devices", print_devices},
    {"explain", NEEDS_FILE, false, "explain FILE", print_explain},
    {"hold", NEEDS_FILE, false, "hold [--write] [--fence KIND] FILE [-- COMMAND...]", NULL},
    {"fenced", NEEDS_NAME, false, "fenced NAME", print_fenced},
    {"forget-holders", NEEDS_FILE, false, "forget-holders --yes FILE", print_forgotten},
};

/* ---- talking to the server ---- */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static bool send_line(FILE *stream, const json_t *request)
{
    return json_dumpf(request, stream, JSON_COMPACT) == 0 && fputc('\n', stream) != EOF &&
           fflush(stream) == 0;
}

/* For people. Strings of an answer may be what a client or a program called itself: none of them
 * steers the terminal. JSON escapes them instead. */
static void quote_strings(json_t *value)
{
    const char *key;
    size_t index;
    json_t *member;

    if (json_is_string(value)) {
        size_t len = json_string_length(value);
        char *text = malloc(len + 1);

        if (text)
            json_string_setn(value, text,
                             quote_text(text, len + 1, json_string_value(value), len, NULL));
        else
            json_string_set(value, "?");
        free(text);
    }
    json_object_foreach(value, key, member)
    {
        quote_strings(member);
    }
    json_array_foreach(value, index, member)
    {
        quote_strings(member);
    }
}

/* One request, one answer; NULL and a sentence on stderr when the server cannot be reached. */
static json_t *ask(const char *path, const json_t *request)
{
    int fd = connect_to(path);
    FILE *stream = fd >= 0 ? fdopen(fd, "r+") : NULL;
    json_t *reply = NULL;
    char *line = NULL;
    size_t room = 0;

    if (!stream) {
        fprintf(stderr, "sealctl: %s: %s; is sealnfsd running, and may you use its socket?\n", path,
                strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    if (send_line(stream, request) && getline(&line, &room, stream) > 0)
        reply = json_loads(line, 0, NULL);
    if (!reply)
        fprintf(stderr,
                "sealctl: the server closed the connection without an answer; see its log\n");
    free(line);
    fclose(stream);
    return reply;
}

static json_t *build_request(const struct options *options, const char *path)
{
    json_t *request = json_pack("{s:s}", "op", options->command->name);
    json_int_t timeout_ms = 0;

    if (options->wait || options->timeout_s >= 0)
        timeout_ms = options->timeout_s >= 0 ? (json_int_t)options->timeout_s * 1000 : UINT_MAX;
    if (!request ||
        (path &&
         json_object_set_new(request, options->command->file == NEEDS_NAME ? "name" : "file",
                             json_string(path)) < 0) ||
        json_object_set_new(request, "pinned", json_boolean(options->pinned)) < 0 ||
        json_object_set_new(request, "fill", json_boolean(options->fill)) < 0 ||
        json_object_set_new(request, "sparse", json_boolean(options->sparse)) < 0 ||
        (options->yes && json_object_set_new(request, "yes", json_true()) < 0) ||
        json_object_set_new(request, "timeout_ms", json_integer(timeout_ms)) < 0) {
        json_decref(request);
        return NULL;
    }
    return request;
}

static int status_of(const json_t *reply)
{
    const char *code = json_string_value(json_object_get(reply, "code"));

    if (json_is_true(json_object_get(reply, "ok")))
        return EXIT_DONE;
    return code && strcmp(code, "pending") == 0 ? EXIT_PENDING : EXIT_REFUSED;
}

static int report(const struct options *options, const json_t *reply)
{
    const char *error = json_string_value(json_object_get(reply, "error"));
    const char *warning = json_string_value(json_object_get(reply, "warning"));

    if (options->json) {
        json_dumpf(reply, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
    } else if (json_is_true(json_object_get(reply, "ok"))) {
        options->command->print(reply, options->file);
        if (warning)
            fprintf(stderr, "sealctl: warning: %s\n", warning);
    } else {
        fprintf(stderr, "sealctl: %s\n", error ? error : "the server gave no reason; see its log");
    }
    return status_of(reply);
}

/* A line of the control protocol has 64 KiB; this much of it is for paths. */
enum { BATCH_BYTES = 56 << 10 };

static size_t json_length(const json_t *value)
{
    return json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) + 1;
}

/* What cannot be opened any more (gone, or its disk fails) may be on record by the name it had. */
static bool can_be_on_record(const struct options *options)
{
    static const char *const names[] = {"unseal", "status", "grants", "explain"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(options->command->name, names[i]) == 0)
            return true;
    return false;
}

static char *real_path(const struct options *options, const char *name)
{
    char *path = realpath(name, NULL);

    if (!path && name[0] == '/' && can_be_on_record(options) &&
        (errno == ENOENT || errno == ENOTDIR || errno == ESTALE || errno == EIO))
        path = strdup(name);
    return path;
}

/* The real paths of the next files that fit in one request; *next moves on. Those that are not
 * there are told of. */
static json_t *next_batch(const struct options *options, int *next, int *status)
{
    json_t *paths = json_array();
    size_t used = 0;

    while (paths && *next < options->file_count && used < BATCH_BYTES) {
        char *path = real_path(options, options->files[*next]);
        json_t *text = path ? json_string(path) : NULL;

        if (!text) {
            fprintf(stderr, "sealctl: %s: %s\n", options->files[*next],
                    path ? "its name is not UTF-8" : strerror(errno));
            *status = EXIT_REFUSED;
        } else if (used + json_length(text) > BATCH_BYTES && used > 0) {
            json_decref(text);
            free(path);
            return paths;
        } else {
            used += json_length(text);
            json_array_append_new(paths, text);
        }
        free(path);
        ++*next;
    }
    return paths;
}

/* Each result in its line; the worst becomes the exit status. */
static void report_batch(const struct options *options, const json_t *reply, json_t *all,
                         int *status)
{
    const json_t *results = json_object_get(reply, "results");
    struct options one = *options;
    size_t index;
    json_t *result;

    if (!json_is_array(results)) {
        *status = report(&one, reply);
        return;
    }
    json_array_foreach(results, index, result)
    {
        int code = status_of(result);
        one.file = json_string_value(json_object_get(result, "file"));
        if (all)
            json_array_append(all, result);
        else if (code == EXIT_DONE)
            options->command->print(result, one.file);
        else
            fprintf(stderr, "sealctl: %s: %s\n", one.file, text_of(result, "error", NULL, 0));
        if (code == EXIT_REFUSED || (code == EXIT_PENDING && *status == EXIT_DONE))
            *status = code;
    }
}

static int run_many(const struct options *options)
{
    json_t *all = options->json ? json_array() : NULL;
    int status = EXIT_DONE, next = 0;

    while (next < options->file_count) {
        json_t *paths = next_batch(options, &next, &status);
        json_t *request = json_array_size(paths) > 0 ? build_request(options, NULL) : NULL;
        json_t *reply = NULL;

        if (request && json_object_set(request, "files", paths) == 0)
            reply = ask(options->socket, request);
        if (!options->json)
            quote_strings(reply);
        if (reply)
            report_batch(options, reply, all, &status);
        else if (json_array_size(paths) > 0)
            status = EXIT_UNREACHABLE, next = options->file_count;
        json_decref(reply);
        json_decref(request);
        json_decref(paths);
    }
    if (all) {
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
        json_decref(all);
    }
    return fflush(stdout) == EOF ? EXIT_REFUSED : status;
}

/* --all: the files that have a seal now. */
static int run_on_all(struct options *options, const json_t *seals)
{
    size_t count = json_array_size(seals), i;
    char **files = calloc(count, sizeof(*files)), room[32];
    int status = EXIT_REFUSED;

    for (i = 0; files && i < count; i++) {
        files[i] = strdup(text_of(json_array_get(seals, i), "file", room, sizeof(room)));
        if (!files[i])
            break;
    }
    if (files && i == count) {
        options->files = files;
        options->file_count = (int)count;
        status = run_many(options);
    } else {
        fputs("sealctl: out of memory\n", stderr);
    }
    while (files && i > 0)
        free(files[--i]);
    free(files);
    return status;
}

static int run_all(struct options *options)
{
    json_t *request = json_pack("{s:s}", "op", "status");
    json_t *reply = request ? ask(options->socket, request) : NULL;
    const json_t *seals = json_object_get(reply, "status");
    int status = EXIT_UNREACHABLE;

    if (reply && !json_is_array(seals))
        status = report(options, reply);
    else if (reply && json_array_size(seals) == 0)
        status = puts(options->json ? "[]" : "no seals") < 0 ? EXIT_REFUSED : EXIT_DONE;
    else if (reply)
        status = run_on_all(options, seals);
    json_decref(reply);
    json_decref(request);
    return status;
}

static int hold(const struct options *options, const char *path)
{
    struct hold_options how = {
        .socket = options->socket,
        .file = path,
        .fence = options->fence ? options->fence : "none",
        .write = options->write,
        .command = options->argv,
    };
    return sealctl_hold(&how);
}

static int run(const struct options *options)
{
    bool is_name = options->command->file == NEEDS_NAME;
    char *path = !options->file ? NULL
                 : is_name      ? strdup(options->file)
                                : real_path(options, options->file);
    json_t *request, *reply;
    int status = EXIT_UNREACHABLE;

    if (options->file && !path) {
        fprintf(stderr, "sealctl: %s: %s\n", options->file, strerror(errno));
        return EXIT_REFUSED;
    }
    if (strcmp(options->command->name, "hold") == 0) {
        status = hold(options, path);
        free(path);
        return status;
    }
    request = build_request(options, path);
    reply = request ? ask(options->socket, request) : NULL;
    if (!options->json)
        quote_strings(reply);
    if (reply)
        status = report(options, reply);
    json_decref(reply);
    json_decref(request);
    free(path);
    if (fflush(stdout) == EOF)
        return EXIT_REFUSED;
    return status;
}

/* ---- the command line ---- */

static int wrong_usage(const char *what, const char *which)
{
    fprintf(stderr, "sealctl: %s%s%s; see sealctl --help\n", what, which ? " " : "",
            which ? which : "");
    return EXIT_USAGE;
}

static bool parse_seconds(const char *text, long *out)
{
    char *end;

    errno = 0;
    *out = strtol(text, &end, 10);
    return end != text && *end == '\0' && errno == 0 && *out >= 0 && *out <= 4000000;
}

static int parse_words(int argc, char **argv, struct options *options)
{
    if (optind >= argc)
        return wrong_usage("no command given", NULL);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, argv[optind]) == 0)
            options->command = &commands[i];
    if (!options->command)
        return wrong_usage("unknown command", argv[optind]);
    optind++;
    options->files = argv + optind;
    options->file_count = argc - optind;
    if (optind < argc && options->command->file != NO_FILE)
        options->file = argv[optind++];
    if (optind < argc && strcmp(options->command->name, "hold") == 0)
        options->argv = argv + optind;
    else if (optind < argc && !options->command->many)
        return wrong_usage("too many arguments; usage: sealctl", options->command->usage);
    if (options->command->file == NEEDS_NAME && !options->file)
        return wrong_usage("a name is needed; usage: sealctl", options->command->usage);
    if (options->all && (options->file || strcmp(options->command->name, "unseal") != 0))
        return wrong_usage("--all belongs to", "unseal, instead of a FILE");
    if (options->command->file == NEEDS_FILE && !options->file && !options->all)
        return wrong_usage("a file is needed; usage: sealctl", options->command->usage);
    if ((options->pinned || options->fill || options->sparse) &&
        strcmp(options->command->name, "seal") != 0)
        return wrong_usage("--pinned, --fill and --sparse belong to", "seal");
    if (options->sparse && (options->pinned || options->fill))
        return wrong_usage("--sparse goes with neither --pinned nor --fill", NULL);
    if ((options->wait || options->timeout_s >= 0) && strcmp(options->command->name, "unseal") != 0)
        return wrong_usage("--wait and --timeout belong to", "unseal");
    if ((options->write || options->fence) && strcmp(options->command->name, "hold") != 0)
        return wrong_usage("--write and --fence belong to", "hold");
    if (options->yes && strcmp(options->command->name, "forget-holders") != 0)
        return wrong_usage("--yes belongs to", "forget-holders");
    return -1;
}

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"socket", required_argument, NULL, 's'},  {"json", no_argument, NULL, 'j'},
        {"pinned", no_argument, NULL, 'p'},        {"fill", no_argument, NULL, 'f'},
        {"sparse", no_argument, NULL, 'S'},        {"wait", no_argument, NULL, 'w'},
        {"timeout", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},       {"write", no_argument, NULL, 'W'},
        {"fence", required_argument, NULL, 'F'},   {"yes", no_argument, NULL, 'y'},
        {"all", no_argument, NULL, 'a'},           {NULL, 0, NULL, 0}};
    int letter;

    while ((letter = getopt_long(argc, argv, "s:jpfwt:yhV", longs, NULL)) != -1) {
        switch (letter) {
        case 's':
            options->socket = optarg;
            break;
        case 'j':
            options->json = true;
            break;
        case 'p':
            options->pinned = true;
            break;
        case 'f':
            options->fill = true;
            break;
        case 'S':
            options->sparse = true;
            break;
        case 'w':
            options->wait = true;
            break;
        case 'W':
            options->write = true;
            break;
        case 'F':
            options->fence = optarg;
            break;
        case 'y':
            options->yes = true;
            break;
        case 'a':
            options->all = true;
            break;
        case 't':
            if (!parse_seconds(optarg, &options->timeout_s))
                return wrong_usage("--timeout wants seconds, not", optarg);
            break;
        case 'h':
            fputs(usage_text, stdout);
            return EXIT_DONE;
        case 'V':
            puts("sealctl " SEALNFS_VERSION);
            return EXIT_DONE;
        default:
            return EXIT_USAGE;
        }
    }
    return parse_words(argc, argv, options);
}

int main(int argc, char **argv)
{
    const char *from_environment = getenv("SEALNFS_SOCKET");
    struct options options = {.socket =
                                  from_environment ? from_environment : "/run/sealnfs/control.sock",
                              .timeout_s = -1};
    int status = parse_options(argc, argv, &options);

    if (status >= 0)
        return status;
    if (options.all)
        return run_all(&options);
    return options.command->many && options.file_count > 1 ? run_many(&options) : run(&options);
}
