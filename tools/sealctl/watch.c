/* See watch.h. */
#include "tools/sealctl/watch.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/sealctl/ask.h"
#include "tools/sealctl/table.h"

enum { ROWS_MAX = 20 };

bool watch_next(const struct watch *watch, bool json, long *done)
{
    if (fflush(stdout) == EOF || (watch->count && ++*done >= watch->count))
        return false;
    sleep((unsigned)watch->interval_s);
    if (!json)
        fputs(isatty(STDOUT_FILENO) ? "\033[H\033[2J" : "\n", stdout);
    return true;
}

/* ---- top ---- */

/* What was counted by now. */
struct look {
    json_t *counters, *clients;
};

static void forget_look(struct look *look)
{
    json_decref(look->counters);
    json_decref(look->clients);
}

/* EXIT_DONE, and an answer; else the exit status, and it was said why. */
static int ask_op(const char *socket, const char *op, json_t **answer)
{
    json_t *request = json_pack("{s:s}", "op", op);
    json_t *reply = request ? ask(socket, request) : NULL;
    const char *error;

    json_decref(request);
    *answer = NULL;
    if (!reply)
        return EXIT_UNREACHABLE;
    if (json_is_true(json_object_get(reply, "ok"))) {
        *answer = reply;
        return EXIT_DONE;
    }
    quote_strings(reply);
    error = json_string_value(json_object_get(reply, "error"));
    fprintf(stderr, "sealctl: %s\n", error ? error : "the server gave no reason; see its log");
    json_decref(reply);
    return EXIT_REFUSED;
}

static int take_look(const char *socket, struct look *look)
{
    int status = ask_op(socket, "counters", &look->counters);

    if (status != EXIT_DONE)
        return status;
    status = ask_op(socket, "clients", &look->clients);
    if (status != EXIT_DONE)
        json_decref(look->counters);
    return status;
}

static const json_t *find_row(const json_t *rows, const char *key, const json_t *like)
{
    const char *name = json_string_value(json_object_get(like, key));
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        const char *other = json_string_value(json_object_get(row, key));
        if (name && other && strcmp(name, other) == 0)
            return row;
    }
    return NULL;
}

/* A client id is never used again, and counters of operations begin with the server. */
static double rate(const json_t *now, const json_t *before, const char *key, double seconds)
{
    long long more = number_of(now, key) - number_of(before, key);

    return more > 0 ? (double)more / seconds : 0;
}

static json_t *operation_row(const json_t *now, const json_t *before, double seconds)
{
    double ok = rate(now, before, "ok", seconds), delay = rate(now, before, "delay", seconds),
           error = rate(now, before, "error", seconds);

    return ok + delay + error <= 0
               ? NULL
               : json_pack("{s:O, s:f, s:f, s:f, s:f}", "operation",
                           json_object_get(now, "operation"), "per_second", ok + delay + error,
                           "ok", ok, "delay", delay, "error", error);
}

static json_t *client_row(const json_t *now, const json_t *before, double seconds)
{
    double operations = rate(now, before, "operations", seconds);

    return operations <= 0
               ? NULL
               : json_pack("{s:O, s:f, s:f, s:f, s:O, s:O}", "client_id",
                           json_object_get(now, "client_id"), "per_second", operations,
                           "read_per_second", rate(now, before, "read_bytes", seconds),
                           "written_per_second", rate(now, before, "written_bytes", seconds),
                           "address", json_object_get(now, "address"), "owner",
                           json_object_get(now, "owner"));
}

static int by_rate(const void *a, const void *b)
{
    const json_t *const *one = a, *const *other = b;
    double x = json_real_value(json_object_get(*one, "per_second")),
           y = json_real_value(json_object_get(*other, "per_second"));

    return x < y ? 1 : x > y ? -1 : 0;
}

/* Those that did something, the busiest first. */
static json_t *rates(const json_t *now, const json_t *before, const char *key, double seconds,
                     json_t *(*make)(const json_t *now, const json_t *before, double seconds))
{
    json_t *sorted = json_array(), **rows = calloc(json_array_size(now) + 1, sizeof(*rows)), *row;
    size_t i, count = 0;

    json_array_foreach(now, i, row)
    {
        json_t *made = rows ? make(row, find_row(before, key, row), seconds) : NULL;
        if (made)
            rows[count++] = made;
    }
    if (rows)
        qsort(rows, count, sizeof(*rows), by_rate);
    for (i = 0; i < count; i++)
        json_array_append_new(sorted, rows[i]);
    free(rows);
    return sorted;
}

static json_t *compare(const struct look *now, const struct look *before)
{
    long long ms = number_of(now->counters, "at_ms") - number_of(before->counters, "at_ms");
    double seconds = ms > 0 ? (double)ms / 1000 : 1;

    return json_pack(
        "{s:f, s:o, s:o}", "seconds", seconds, "operations",
        rates(json_object_get(now->counters, "operations"),
              json_object_get(before->counters, "operations"), "operation", seconds, operation_row),
        "clients",
        rates(json_object_get(now->clients, "clients"), json_object_get(before->clients, "clients"),
              "client_id", seconds, client_row));
}

/* Numbers as people read them, and no more rows than a terminal has. */
static void reword_rows(json_t *rows)
{
    static const char *const keys[] = {
        "per_second", "ok", "delay", "error", "read_per_second", "written_per_second"};
    size_t i;
    json_t *row;

    while (json_array_size(rows) > ROWS_MAX)
        json_array_remove(rows, json_array_size(rows) - 1);
    json_array_foreach(rows, i, row)
    {
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
            const json_t *value = json_object_get(row, keys[k]);
            if (json_is_real(value))
                json_object_set_new(row, keys[k], json_sprintf("%.1f", json_real_value(value)));
        }
    }
}

static void print_rates(json_t *rates_now)
{
    static const struct column operations[] = {{"per_second", "PER SECOND"},
                                               {"ok", "OK"},
                                               {"delay", "DELAY"},
                                               {"error", "ERROR"},
                                               {"operation", "OPERATION"}};
    static const struct column clients[] = {{"per_second", "PER SECOND"},
                                            {"read_per_second", "READ B/S"},
                                            {"written_per_second", "WRITTEN B/S"},
                                            {"client_id", "CLIENT ID"},
                                            {"address", "ADDRESS"},
                                            {"owner", "OWNER"}};

    quote_strings(rates_now);
    reword_rows(json_object_get(rates_now, "operations"));
    reword_rows(json_object_get(rates_now, "clients"));
    printf("over %.1f s\n", json_real_value(json_object_get(rates_now, "seconds")));
    PRINT_TABLE(rates_now, "operations", operations, "no operations");
    putchar('\n');
    PRINT_TABLE(rates_now, "clients", clients, "no client did anything");
}

int sealctl_top(const char *socket, const struct watch *watch, bool json)
{
    struct look before, now;
    long done = 0;
    int status = take_look(socket, &before);

    if (status != EXIT_DONE)
        return status;
    sleep((unsigned)watch->interval_s);
    do {
        status = take_look(socket, &now);
        if (status != EXIT_DONE) {
            forget_look(&before);
            return status;
        }
        json_t *rates_now = compare(&now, &before);
        forget_look(&before);
        before = now;
        if (json) {
            json_dumpf(rates_now, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
            putchar('\n');
        } else {
            print_rates(rates_now);
        }
        json_decref(rates_now);
    } while (watch_next(watch, json, &done));
    forget_look(&before);
    return ferror(stdout) ? EXIT_REFUSED : EXIT_DONE;
}
