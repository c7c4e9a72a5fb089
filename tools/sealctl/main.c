/*
 * main.c - the operator's tool: asks sealnfsd on its control socket and prints the answer for
 * people, or as JSON with --json.
 *
 * Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 the server cannot be reached; 4 still
 * under way (unseal without --wait, or when --timeout is over).
 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/quote.h"
#include "proto/utf8.h"
#include "tools/sealctl/ask.h"
#include "tools/sealctl/doctor.h"
#include "tools/sealctl/hold.h"
#include "tools/sealctl/options.h"
#include "tools/sealctl/table.h"
#include "tools/sealctl/watch.h"

/* ---- the answers for people ---- */

static void print_status(const json_t *reply, const char *file)
{
    static const struct column columns[] = {
        {"state", "STATE"},     {"kind", "KIND"},       {"policy", "POLICY"}, {"size", "SIZE"},
        {"extents", "EXTENTS"}, {"holders", "HOLDERS"}, {"file", "FILE"}};
    PRINT_TABLE(reply, "status", columns, file ? "not sealed" : "no seals");
}

/* Who may have a layout from before a restart may have it of any of so many. */
static void reword_grant(json_t *row)
{
    const json_t *files = json_object_get(row, "files");
    char text[64];

    snprintf(text, sizeof(text), "(any of %lld)", (long long)json_integer_value(files));
    if (files)
        json_object_set_new(row, "file", json_string(text));
}

static void print_grants(const json_t *reply, const char *file)
{
    static const struct column columns[] = {{"client", "CLIENT"}, {"iomode", "IOMODE"},
                                            {"offset", "OFFSET"}, {"length", "LENGTH"},
                                            {"state", "STATE"},   {"file", "FILE"}};
    json_t *row;
    size_t i;

    (void)file;
    json_array_foreach(json_object_get(reply, "grants"), i, row)
    {
        reword_grant(row);
    }
    PRINT_TABLE(reply, "grants", columns, "no grants");
}

/* "12 s", and the owner in quotes, in which blanks can be seen. */
static void reword_client(json_t *row)
{
    const json_t *renewed = json_object_get(row, "renewed_ms");
    const char *owner = json_string_value(json_object_get(row, "owner"));

    json_object_set_new(row, "renewed",
                        json_is_integer(renewed)
                            ? json_sprintf("%lld s", (long long)json_integer_value(renewed) / 1000)
                            : json_string("-"));
    json_object_set_new(row, "quoted", json_sprintf("\"%s\"", owner ? owner : ""));
    if (json_string_length(json_object_get(row, "client_id")) == 0)
        json_object_set_new(row, "client_id", json_string("-"));
}

static void print_clients(const json_t *reply, const char *file)
{
    static const struct column columns[] = {
        {"client_id", "CLIENT ID"}, {"state", "STATE"},     {"opens", "OPENS"},
        {"locks", "LOCKS"},         {"layouts", "LAYOUTS"}, {"maybe", "MAYBE"},
        {"renewed", "RENEWED"},     {"read_bytes", "READ"}, {"written_bytes", "WRITTEN"},
        {"callable", "CALLABLE"},   {"address", "ADDRESS"}, {"quoted", "OWNER"}};
    size_t i;
    json_t *row;

    (void)file;
    json_array_foreach(json_object_get(reply, "clients"), i, row)
    {
        reword_client(row);
    }
    PRINT_TABLE(reply, "clients", columns, "no clients");
}

static void print_exports(const json_t *reply, const char *file)
{
    static const struct column columns[] = {
        {"export", "EXPORT"},   {"state", "STATE"},     {"access", "ACCESS"}, {"squash", "SQUASH"},
        {"layouts", "LAYOUTS"}, {"clients", "CLIENTS"}, {"path", "PATH"}};
    size_t i;
    json_t *row;

    (void)file;
    json_array_foreach(json_object_get(reply, "exports"), i, row)
    {
        join_list(row, "layouts");
        join_list(row, "clients");
    }
    PRINT_TABLE(reply, "exports", columns, "no exports");
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
    printf("  pinned %lld bytes of at most %lld (rdma_max_pinned)\n",
           number_of(device, "pinned_bytes"), number_of(device, "max_pinned_bytes"));
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
    print_outcome(reply, file,
                  json_is_true(json_object_get(reply, "dry_run")) ? "would be sealed" : "sealed");
}

static void print_unsealed(const json_t *reply, const char *file)
{
    print_outcome(reply, file, "unsealed");
}

static void print_fenced(const json_t *reply, const char *file)
{
    print_outcome(reply, file, "fenced");
}

static void print_expelled(const json_t *reply, const char *file)
{
    print_outcome(reply, file, "expelled");
}

static void print_forgotten(const json_t *reply, const char *file)
{
    print_outcome(reply, file, "no holder of before is expected any more");
}

static void print_reloaded(const json_t *reply, const char *file)
{
    (void)reply;
    (void)file;
    puts("the configuration was reloaded");
}

static int run_hold(const struct options *options, const char *path);
static int run_doctor(const struct options *options, const char *path);
static int run_top(const struct options *options, const char *path);
static int run_node_fenced(const struct options *options, const char *name);
static int run_help(const struct options *options, const char *path);

const struct command commands[] = {
    {"seal", NEEDS_FILE, true, "seal [--dry-run] [--pinned] [--fill | --sparse] FILE...",
     "  seal [--dry-run] [--pinned] [--fill | --sparse] FILE...\n"
     "        promise that the file's block map does not change, and the data neither\n"
     "        unless --pinned; --fill first writes zeros where blocks are missing,\n"
     "        --sparse leaves holes, in which clients read zeros; --dry-run only says\n"
     "        whether it would be sealed\n"
     "  seal --reserve SIZE FILE...\n"
     "        pinned, and clients may make the file longer, up to SIZE\n",
     print_sealed, NULL},
    {"unseal", NEEDS_FILE, true, "unseal [--wait] [--timeout SECONDS] FILE... | --all",
     "  unseal [--wait] [--timeout SECONDS] FILE... | --all\n"
     "        recall every layout, then take the seal off; --all: of every seal\n",
     print_unsealed, NULL},
    {"status", MAY_FILE, false, "status [--watch] [FILE]",
     "  status [--watch] [FILE]\n"
     "        the seals there are, and how each is doing\n",
     print_status, NULL},
    {"grants", MAY_FILE, false, "grants [--watch] [FILE]",
     "  grants [--watch] [FILE]\n"
     "        who holds layouts\n",
     print_grants, NULL},
    {"clients", NO_FILE, false, "clients [--watch]",
     "  clients [--watch]\n"
     "        the NFS clients: what each has, when it was heard of, where it is\n",
     print_clients, NULL},
    {"expel", NEEDS_NAME, false, "expel CLIENT",
     "  expel CLIENT\n"
     "        end all that the client of this id, address or owner has: its layouts\n"
     "        once it was fenced from them, then its opens and locks\n",
     print_expelled, NULL},
    {"exports", NO_FILE, false, "exports [--watch]",
     "  exports [--watch]\n"
     "        what is served, to whom and how, or why it is not\n",
     print_exports, NULL},
    {"devices", NO_FILE, false, "devices",
     "  devices\n"
     "        what the exports are on, and what clients are told of it\n",
     print_devices, NULL},
    {"explain", NEEDS_FILE, false, "explain FILE",
     "  explain FILE\n"
     "        why the file has a layout, or has none\n",
     print_explain, NULL},
    {"hold", NEEDS_FILE, false, "hold [--write] [--fence KIND] FILE [-- COMMAND...]",
     "  hold [--write] [--fence KIND] FILE [-- COMMAND...]\n"
     "        print where the sealed file is, and keep it there while COMMAND runs, or\n"
     "        until interrupted; KIND: close, hook or none (default none)\n",
     NULL, run_hold},
    {"fenced", NEEDS_NAME, false, "fenced [--yes] NAME",
     "  fenced [--yes] NAME\n"
     "        end what the absent local program NAME held, or the lost client of this\n"
     "        address, owner or id: it is certain not to touch the disk any more\n",
     print_fenced, NULL},
    {"node-fenced", NEEDS_NAME, false, "node-fenced --yes [--config FILE] NODE",
     "  node-fenced --yes [--config FILE] NODE\n"
     "        say that this node of a pair is switched off, so that the other one may\n"
     "        serve; on that one, its server stopped\n",
     NULL, run_node_fenced},
    {"forget-holders", NEEDS_FILE, false, "forget-holders --yes FILE",
     "  forget-holders --yes FILE\n"
     "        after the journal was lost: no client that had a layout on FILE's file\n"
     "        system can still use it, so its seals may be released\n",
     print_forgotten, NULL},
    {"doctor", NO_FILE, false, "doctor [--config FILE] [--timeout SECONDS]",
     "  doctor [--config FILE] [--timeout SECONDS]\n"
     "        one report of what is here and what is wrong, with what to type next,\n"
     "        also when the server does not answer (in 20 s); no secrets are in it\n",
     NULL, run_doctor},
    {"top", NO_FILE, false, "top [--interval SECONDS] [--count N]",
     "  top [--interval SECONDS] [--count N]\n"
     "        operations a second, by name and by client, over each interval (2 s), N\n"
     "        times or until interrupted\n",
     NULL, run_top},
    {"help", MAY_NAME, false, "help [COMMAND]",
     "  help [COMMAND]\n"
     "        print this, or what it says of one command\n",
     NULL, run_help},
    {"reload", NO_FILE, false, "reload",
     "  reload\n"
     "        read sealnfs.conf again; what it says of mistakes, and of what takes\n"
     "        effect at a restart only\n",
     print_reloaded, NULL},
};

const size_t command_count = sizeof(commands) / sizeof(commands[0]);

/* ---- talking to the server ---- */

/* A path is bytes, and JSON is UTF-8: what is not that goes in hexadecimal digits. */
static json_t *hex_of(const char *path)
{
    char *text = malloc(2 * strlen(path) + 1);
    json_t *hex;
    size_t len = 0;

    for (; text && path[len]; len++)
        sprintf(text + 2 * len, "%02x", (unsigned char)path[len]);
    hex = text ? json_stringn(text, 2 * len) : NULL;
    free(text);
    return hex;
}

static bool is_text(const char *text)
{
    return utf8_is_valid((const uint8_t *)text, strlen(text));
}

/* NULL: out of memory, or a name that is no text, which only a path may be. */
static json_t *build_request(const struct options *options, const char *path)
{
    json_t *request =
        json_pack("{s:s}", "op", options->dry_run ? "try-seal" : options->command->name);
    const char *member = options->command->file == NEEDS_NAME ? "name"
                         : path && !is_text(path)             ? "file_hex"
                                                              : "file";
    json_int_t timeout_ms = 0;

    if (options->wait || options->timeout_s >= 0)
        timeout_ms = options->timeout_s >= 0 ? (json_int_t)options->timeout_s * 1000 : UINT_MAX;
    if (!request ||
        (path &&
         json_object_set_new(request, member,
                             strcmp(member, "file_hex") ? json_string(path) : hex_of(path)) < 0) ||
        json_object_set_new(request, "pinned", json_boolean(options->pinned)) < 0 ||
        json_object_set_new(request, "fill", json_boolean(options->fill)) < 0 ||
        json_object_set_new(request, "sparse", json_boolean(options->sparse)) < 0 ||
        (options->reserve &&
         json_object_set_new(request, "reserve", json_integer(options->reserve)) < 0) ||
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

static void print_notes(const json_t *notes, FILE *out)
{
    size_t i;
    json_t *note;

    json_array_foreach(notes, i, note)
    {
        fprintf(out, "%s\n", json_is_string(note) ? json_string_value(note) : "?");
    }
}

/* With the file or client that it is about, where it does not say that itself. */
static void print_error(const struct options *options, const json_t *reply)
{
    const char *error = json_string_value(json_object_get(reply, "error"));
    const char *about = options->shown;

    if (!error)
        error = "the server gave no reason; see its log";
    fflush(stdout); /* what was said before stands before it, in a pipe too */
    if (about && !strstr(error, about))
        fprintf(stderr, "sealctl: %s: %s\n", about, error);
    else
        fprintf(stderr, "sealctl: %s\n", error);
}

static int report(const struct options *options, const json_t *reply)
{
    const json_t *notes = json_object_get(reply, "notes");
    const char *warning = json_string_value(json_object_get(reply, "warning"));

    if (options->json) {
        json_dumpf(reply, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
    } else if (json_is_true(json_object_get(reply, "ok"))) {
        options->command->print(reply, options->shown);
        print_notes(notes, stdout);
        fflush(stdout);
        if (warning)
            fprintf(stderr, "sealctl: warning: %s\n", warning);
    } else {
        print_notes(notes, stderr);
        print_error(options, reply);
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

/* The answer about a file that nobody was asked for: its name leads nowhere, errno says why. */
static json_t *answer_missing(const char *name)
{
    const char *why = strerror(errno);
    char shown[PATH_MAX];

    quote_text(shown, sizeof(shown), name, strlen(name), NULL);
    return json_pack("{s:s, s:b, s:s, s:s}", "file", shown, "ok", 0, "code", "not-found", "error",
                     why);
}

/* Of many: in its line, or in the list; the worst becomes the exit status. Takes over the
 * reference. */
static void report_one(const struct options *options, json_t *result, json_t *all, int *status)
{
    struct options one = *options;
    const int code = status_of(result);

    one.shown = json_string_value(json_object_get(result, "file"));
    if (all)
        json_array_append(all, result);
    else if (code == EXIT_DONE)
        options->command->print(result, one.shown);
    else
        print_error(&one, result);
    if (code == EXIT_REFUSED || (code == EXIT_PENDING && *status == EXIT_DONE))
        *status = code;
    json_decref(result);
}

/* The real paths of the next files that fit in one request; *next moves on. Those that are not
 * there are told of. */
static json_t *next_batch(const struct options *options, int *next, json_t *all, int *status)
{
    json_t *paths = json_array();
    size_t used = 0;

    while (paths && *next < options->file_count && used < BATCH_BYTES) {
        char *path = real_path(options, options->files[*next]);
        json_t *one = !path           ? NULL
                      : is_text(path) ? json_string(path)
                                      : json_pack("{s:o}", "file_hex", hex_of(path));

        if (!one) {
            report_one(options, answer_missing(options->files[*next]), all, status);
        } else if (used + json_length(one) > BATCH_BYTES && used > 0) {
            json_decref(one);
            free(path);
            return paths;
        } else {
            used += json_length(one);
            json_array_append_new(paths, one);
        }
        free(path);
        ++*next;
    }
    return paths;
}

/* A result for each file, or one answer for all of them. */
static void report_batch(const struct options *options, json_t *reply, json_t *all, int *status)
{
    json_t *results = json_object_get(reply, "results");
    size_t index;
    json_t *result;

    if (!json_is_array(results))
        report_one(options, json_incref(reply), all, status);
    json_array_foreach(results, index, result)
    {
        report_one(options, json_incref(result), all, status);
    }
}

static int run_many(const struct options *options)
{
    json_t *all = options->json ? json_array() : NULL;
    int status = EXIT_DONE, next = 0;

    while (next < options->file_count) {
        json_t *paths = next_batch(options, &next, all, &status);
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

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The path of a row, byte for byte; NULL: out of memory. */
static char *path_of(const json_t *row)
{
    const char *hex = json_string_value(json_object_get(row, "file_hex"));
    const char *file = json_string_value(json_object_get(row, "file"));
    const size_t len = hex ? strlen(hex) / 2 : 0;
    char *path = strdup(hex ? hex : file ? file : "");

    for (size_t i = 0; path && i < len; i++)
        path[i] = (char)((unsigned)digit_of(hex[2 * i]) << 4 | (unsigned)digit_of(hex[2 * i + 1]));
    if (path && hex)
        path[len] = '\0';
    return path;
}

/* --all: the files that have a seal now. */
static int run_on_all(struct options *options, const json_t *seals)
{
    size_t count = json_array_size(seals), i;
    char **files = calloc(count, sizeof(*files));
    int status = EXIT_REFUSED;

    for (i = 0; files && i < count; i++) {
        files[i] = path_of(json_array_get(seals, i));
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

    if (reply && !json_is_array(seals)) {
        quote_strings(options->json ? NULL : reply);
        status = report(options, reply);
    } else if (reply && json_array_size(seals) == 0)
        status = puts(options->json ? "[]" : "no seals") < 0 ? EXIT_REFUSED : EXIT_DONE;
    else if (reply)
        status = run_on_all(options, seals);
    json_decref(reply);
    json_decref(request);
    return fflush(stdout) == EOF ? EXIT_REFUSED : status;
}

static int run_hold(const struct options *options, const char *path)
{
    struct hold_options how = {
        .socket = options->socket,
        .file = path,
        .shown = options->shown,
        .fence = options->fence ? options->fence : "none",
        .write = options->write,
        .json = options->json,
        .command = options->argv,
    };
    return sealctl_hold(&how);
}

static const char *named_config(const struct options *options)
{
    return options->config ? options->config : getenv("SEALNFS_CONFIG");
}

static int run_doctor(const struct options *options, const char *path)
{
    const struct doctor_options how = {
        .socket = options->socket,
        .config = options->config,
        .otherwise = named_config(options) ? named_config(options) : DEFAULT_CONFIG,
        .patience_s = options->timeout_s,
        .json = options->json,
    };
    (void)path;
    return sealctl_doctor(&how);
}

static int run_top(const struct options *options, const char *path)
{
    (void)path;
    return sealctl_top(options->socket, &options->watch, options->json);
}

static int ask_and_report(const struct options *options, const char *path)
{
    json_t *request = build_request(options, path), *reply;
    int status;
    long looks = 0;

    if (!request) {
        fprintf(stderr, "sealctl: %s: %s\n", options->shown ? options->shown : "the request",
                path && !is_text(path) ? "this is no UTF-8; name a client by its id"
                                       : "out of memory");
        return EXIT_REFUSED;
    }
    do {
        reply = ask(options->socket, request);
        if (!options->json)
            quote_strings(reply);
        status = reply ? report(options, reply) : EXIT_UNREACHABLE;
        json_decref(reply);
    } while (options->again && status == EXIT_DONE &&
             watch_next(&options->watch, options->json, &looks));
    json_decref(request);
    return status;
}

static int report_missing(const struct options *options)
{
    json_t *answer = answer_missing(options->file);
    int status = answer ? report(options, answer) : EXIT_REFUSED;

    json_decref(answer);
    return status;
}

static int run(struct options *options)
{
    bool is_name = options->command->file == NEEDS_NAME || options->command->file == MAY_NAME;
    char shown[PATH_MAX];
    char *path = !options->file ? NULL
                 : is_name      ? strdup(options->file)
                                : real_path(options, options->file);
    const int error = errno;
    int status;

    if (options->file) {
        quote_text(shown, sizeof(shown), options->file, strlen(options->file), NULL);
        options->shown = shown;
    }
    if (options->file && !path) {
        errno = error;
        return report_missing(options);
    }
    status = options->command->run ? options->command->run(options, path)
                                   : ask_and_report(options, path);
    free(path);
    options->shown = NULL;
    return fflush(stdout) == EOF ? EXIT_REFUSED : status;
}

/* No server answers yet, and none may: its state directory is what the word goes into. */
static int run_node_fenced(const struct options *options, const char *name)
{
    const char *config = named_config(options);
    char path[PATH_MAX];
    const ssize_t len = readlink("/proc/self/exe", path, sizeof(path));
    char *end;

    if (len < 0 || len == (ssize_t)sizeof(path)) {
        fprintf(stderr, "sealctl: where sealctl is cannot be told; use sealnfsd --node-fenced\n");
        return EXIT_REFUSED;
    }
    path[len] = '\0';
    end = strrchr(path, '/') + 1;
    if (sizeof(path) - (size_t)(end - path) <= strlen("sealnfsd"))
        return EXIT_REFUSED;
    strcpy(end, "sealnfsd");
    execl(path, path, "--node-fenced", name, "--config", config ? config : DEFAULT_CONFIG,
          (char *)NULL);
    fprintf(stderr, "sealctl: %s: %s; it is installed beside sealctl\n", path, strerror(errno));
    return EXIT_REFUSED;
}

static int run_help(const struct options *options, const char *path)
{
    const struct command *command = path ? find_command(path) : NULL;

    if (path && !command)
        return wrong_usage("unknown command", options->shown);
    if (command)
        fputs(command->help, stdout);
    else
        print_help();
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    const char *from_environment = getenv("SEALNFS_SOCKET");
    struct options options = {.socket =
                                  from_environment ? from_environment : "/run/sealnfs/control.sock",
                              .timeout_s = -1};
    int status = parse_options(argc, argv, &options);

    if (status >= 0)
        return fflush(stdout) == EOF ? EXIT_REFUSED : status;
    if (options.all)
        return run_all(&options);
    return options.command->many && options.file_count > 1 ? run_many(&options) : run(&options);
}
