/*
 * sealio bench: command line, runs, results. See tools/sealio/bench.h.
 */
#include "tools/sealio/bench.h"

#include "client/net/status.h"
#include "client/net/transport.h"
#include "client/session_impl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: sealio bench [OPTION...] URL\n"
    "\n"
    "Measures an NFSv4.1 server. URL names a writable directory; a directory of the\n"
    "bench's own is made in it and removed.\n"
    "\n"
    "  --op LIST            of the operations below (all but layoutget, idle, grants\n"
    "                       and recall)\n"
    "  --connections LIST   numbers of connections, each with its own client id and\n"
    "                       session (1,16,64)\n"
    "  --seconds N          each measurement, after a tenth of it to warm up (3)\n"
    "  --layout-file PATH   a file on the server that has a layout: for layoutget,\n"
    "                       grants and recall\n"
    "  --release-command COMMAND\n"
    "                       takes the seal off --layout-file: for recall\n"
    "  --server-pid PID     a process on this machine: CPU time per operation, memory\n"
    "  --server-cpu N       a processor on which the server is alone: its time per\n"
    "                       operation, the kernel's threads and interrupts included\n"
    "  --json FILE          write the results there as well\n"
    "  --rdma               another bench: one file's data path; see\n"
    "                       sealio bench --rdma --help\n"
    "  --help\n"
    "\n"
    "operations:\n";

enum { MAX_LIST = 16, MAX_ROWS = 128, MAX_CONNECTIONS = 10000 };

struct bench_row {
    const struct bench_op *op;
    unsigned connections;
    int rc;
    char text[SEALIO_ERROR_MAX];
    struct bench_result result;
    long rss_before_kib, rss_after_kib;
};

struct bench_options {
    struct sealio_url url;
    const char *url_text, *layout_path, *release_command, *json_path;
    const struct bench_op *ops[MAX_LIST];
    size_t op_count;
    unsigned connections[MAX_LIST];
    size_t connection_count;
    double seconds;
    long server_pid, server_processor; /* 0 and negative: not known */
};

/* ---- the server's process ---- */

/* utime and stime of /proc/PID/stat, in seconds; negative: not known. */
static double cpu_seconds(long pid)
{
    char path[64], line[1024];
    unsigned long user, system;
    if (pid <= 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    const bool got = file && fgets(line, sizeof(line), file);
    if (file)
        fclose(file);
    /* the name in parentheses may hold anything */
    const char *after = got ? strrchr(line, ')') : NULL;
    if (!after || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                         &system) != 2)
        return -1;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* What /proc/stat counts for a processor but idle and iowait, in seconds; negative: not known. */
static double processor_seconds(long number)
{
    char line[512], name[32];
    unsigned long user, nice, system, irq, softirq;
    double seconds = -1;
    const int len = snprintf(name, sizeof(name), "cpu%ld ", number);
    FILE *file = fopen("/proc/stat", "re");
    while (file && seconds < 0 && fgets(line, sizeof(line), file))
        if (strncmp(line, name, (size_t)len) == 0 &&
            sscanf(line + len, "%lu %lu %lu %*u %*u %lu %lu", &user, &nice, &system, &irq,
                   &softirq) == 5)
            seconds = (double)(user + nice + system + irq + softirq) / (double)sysconf(_SC_CLK_TCK);
    if (file)
        fclose(file);
    return seconds;
}

static double server_seconds(const struct bench_result *result)
{
    return result->server_processor >= 0 ? processor_seconds(result->server_processor)
                                         : cpu_seconds(result->server_pid);
}

static long rss_kib(long pid)
{
    char path[64], line[256];
    long value = -1;
    if (pid <= 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/%ld/status", pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "VmRSS: %ld", &value) == 1)
            break;
    }
    if (file)
        fclose(file);
    return value;
}

static double own_cpu_seconds(void)
{
    struct rusage usage_now;
    getrusage(RUSAGE_SELF, &usage_now);
    return (double)usage_now.ru_utime.tv_sec + (double)usage_now.ru_stime.tv_sec +
           (double)(usage_now.ru_utime.tv_usec + usage_now.ru_stime.tv_usec) / 1e6;
}

void bench_mark_begin(struct bench_result *result)
{
    result->server_cpu = server_seconds(result);
    result->own_cpu = own_cpu_seconds();
}

void bench_mark_end(struct bench_result *result)
{
    const double before = result->server_cpu;
    result->server_cpu = before < 0 ? -1 : server_seconds(result) - before;
    result->own_cpu = own_cpu_seconds() - result->own_cpu;
}

/* ---- one measurement ---- */

/* -EAGAIN: the server asks to come again. */
static int hold_one(struct bench_conn *conn)
{
    struct sealio_reply reply;
    union nfs4_res res;
    int rc = bench_roundtrip(conn, &conn->steps[0].call, &reply);
    if (rc == 0)
        rc = sealio_reply_next(&reply, OP_PUTFH, &res);
    if (rc == 0 && res.status == NFS4_OK)
        rc = sealio_reply_next(&reply, OP_LAYOUTGET, &res);
    if (rc == 0)
        rc = sealio_status_errno(res.status);
    if (rc == 0) {
        conn->taken = res.layoutget.logr_resok4.logr_stateid;
        conn->has_layout = true;
    }
    sealio_reply_free(&reply);
    return rc;
}

enum { HOLD_MS = 5000, PROBE_EVERY = 16 };

static int hold(struct bench_conn *conns, unsigned count)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        const uint64_t deadline_ms = sealio_now_ms() + HOLD_MS;
        unsigned attempt = 0;
        if (i % PROBE_EVERY == 0)
            rc = bench_answer_probes(conns, count);
        if (rc < 0 || conns[i].step_count == 0)
            continue;
        do
            rc = hold_one(&conns[i]);
        while (rc == -EAGAIN && sealio_backoff(attempt++, deadline_ms));
    }
    return rc;
}

static void measure(const struct bench_options *options, const struct bench_ground *ground,
                    struct bench_row *row)
{
    struct bench_conn *conns = calloc(row->connections, sizeof(*conns));
    const struct timespec settle = {.tv_nsec = 300000000};
    unsigned opened = 0;
    row->rc = conns ? 0 : -ENOMEM;
    row->result.server_pid = options->server_pid;
    row->result.server_processor = options->server_processor;
    row->rss_before_kib = rss_kib(options->server_pid);
    for (; row->rc == 0 && opened < row->connections; opened++) {
        row->rc =
            bench_conn_open(&conns[opened], &options->url, opened, row->text, sizeof(row->text));
        if (row->rc == 0)
            row->rc =
                bench_conn_prepare(&conns[opened], row->op, ground, row->text, sizeof(row->text));
        if (row->rc == 0 && opened % PROBE_EVERY == 0)
            row->rc = bench_answer_probes(conns, opened);
    }
    if (row->rc == 0 && row->op->holds_only) {
        row->rc = hold(conns, opened);
        nanosleep(&settle, NULL);
        row->rss_after_kib = rss_kib(options->server_pid);
        if (row->rc == 0 && row->op->recalls)
            row->rc = bench_recall(conns, opened, options->release_command, &row->result);
    } else if (row->rc == 0) {
        row->rc = bench_load(conns, opened, options->seconds / 10, options->seconds, &row->result);
    }
    if (row->rc == 0 && row->result.ops == 0 && row->result.errors > 0)
        row->rc = -EIO;
    if (!row->op->holds_only)
        row->rss_after_kib = rss_kib(options->server_pid);
    if (row->rc == -ECHILD)
        snprintf(row->text, sizeof(row->text), "the release command failed");
    else if (row->rc < 0 && row->result.errors > 0)
        snprintf(row->text, sizeof(row->text), "the server answers %s",
                 nfs4_status_name(row->result.first_error));
    else if (row->rc < 0 && !*row->text)
        snprintf(row->text, sizeof(row->text), "%s", strerror(-row->rc));
    for (unsigned i = 0; i < opened; i++)
        bench_conn_close(&conns[i]);
    free(conns);
}

/* ---- results ---- */

static double per_op_us(const struct bench_row *row, double cpu)
{
    return cpu < 0 || row->result.ops == 0 ? -1 : cpu * 1e6 / (double)row->result.ops;
}

static void print_row(const struct bench_row *row)
{
    const struct bench_result *r = &row->result;
    printf("%-10s %6u ", row->op->name, row->connections);
    if (row->rc < 0) {
        printf("- %s\n", row->text);
    } else if (row->op->recalls) {
        printf("released in %.1f ms; recalls %llu, p50 %.1f ms, p99 %.1f ms; returns p99 %.1f ms; "
               "server CPU "
               "%.1f ms\n",
               1e3 * r->seconds, (unsigned long long)r->recalls,
               bench_latency_us(&r->first, 0.5) / 1e3, bench_latency_us(&r->first, 0.99) / 1e3,
               bench_latency_us(&r->all, 0.99) / 1e3, 1e3 * r->server_cpu);
    } else if (row->op->holds_only) {
        printf("memory %ld KiB -> %ld KiB: %.1f KiB each\n", row->rss_before_kib,
               row->rss_after_kib,
               (double)(row->rss_after_kib - row->rss_before_kib) / row->connections);
    } else {
        printf("%11.0f %10.1f %10.1f %10.1f %9.0f %% %10.2f %7llu\n", (double)r->ops / r->seconds,
               bench_latency_us(&r->all, 0.5), bench_latency_us(&r->all, 0.99),
               per_op_us(row, r->server_cpu),
               r->server_cpu < 0 ? -1 : 100 * r->server_cpu / r->seconds,
               per_op_us(row, r->own_cpu), (unsigned long long)r->errors);
    }
    fflush(stdout);
}

static void print_head(void)
{
    printf("%-10s %6s %11s %10s %10s %10s %11s %10s %7s\n", "operation", "conns", "ops/s", "p50 us",
           "p99 us", "server us", "server CPU", "bench us", "errors");
}

static void write_row(FILE *file, const struct bench_row *row, bool first)
{
    const struct bench_result *r = &row->result;
    fprintf(file, "%s\n  {\"op\": \"%s\", \"connections\": %u, \"ok\": %s", first ? "" : ",",
            row->op->name, row->connections, row->rc < 0 ? "false" : "true");
    if (row->rc == 0 && !row->op->holds_only)
        fprintf(
            file,
            ", \"ops_per_s\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"first_p50_us\": %.2f, "
            "\"first_p99_us\": "
            "%.2f, \"server_cpu_us\": %.3f, \"bench_cpu_us\": %.3f, \"errors\": %llu, "
            "\"bytes_per_op\": %.0f",
            (double)r->ops / r->seconds, bench_latency_us(&r->all, 0.5),
            bench_latency_us(&r->all, 0.99), bench_latency_us(&r->first, 0.5),
            bench_latency_us(&r->first, 0.99), per_op_us(row, r->server_cpu),
            per_op_us(row, r->own_cpu), (unsigned long long)r->errors,
            r->ops ? (double)r->bytes / (double)r->ops : 0.0);
    if (row->rc == 0 && row->op->recalls)
        fprintf(
            file,
            ", \"seconds\": %.6f, \"recalls\": %llu, \"returns\": %llu, \"recall_p50_us\": %.1f, "
            "\"recall_p99_us\": %.1f, \"return_p99_us\": %.1f, \"server_cpu_s\": %.4f",
            r->seconds, (unsigned long long)r->recalls, (unsigned long long)r->ops,
            bench_latency_us(&r->first, 0.5), bench_latency_us(&r->first, 0.99),
            bench_latency_us(&r->all, 0.99), r->server_cpu);
    fprintf(file, ", \"rss_before_kib\": %ld, \"rss_after_kib\": %ld}", row->rss_before_kib,
            row->rss_after_kib);
}

static int write_json(const struct bench_options *options, const struct bench_row *rows,
                      size_t count, long idle_kib)
{
    FILE *file = fopen(options->json_path, "we");
    if (!file) {
        fprintf(stderr, "sealio: %s: %s\n", options->json_path, strerror(errno));
        return TOOL_FAILED;
    }
    fprintf(file, "{\"seconds\": %g, \"rss_idle_kib\": %ld, \"rows\": [", options->seconds,
            idle_kib);
    for (size_t i = 0; i < count; i++)
        write_row(file, &rows[i], i == 0);
    fprintf(file, "\n]}\n");
    if (fclose(file) != 0) {
        fprintf(stderr, "sealio: %s: %s\n", options->json_path, strerror(errno));
        return TOOL_FAILED;
    }
    return TOOL_OK;
}

/* ---- command line ---- */

void tool_bench_usage(void)
{
    const struct bench_op *op;
    fputs(usage, stdout);
    for (size_t i = 0; (op = bench_op_at(i)); i++)
        printf("  %-10s %s\n", op->name, op->describe);
}

static bool parse_ops(struct bench_options *options, char *list)
{
    options->op_count = 0;
    for (char *save = NULL, *name = strtok_r(list, ",", &save); name;
         name = strtok_r(NULL, ",", &save)) {
        const struct bench_op *op = bench_op_find(name);
        if (!op || options->op_count == MAX_LIST) {
            fprintf(stderr, "sealio: bench: unknown operation %s\n", name);
            return false;
        }
        options->ops[options->op_count++] = op;
    }
    return options->op_count > 0;
}

static bool parse_connections(struct bench_options *options, char *list)
{
    options->connection_count = 0;
    for (char *save = NULL, *item = strtok_r(list, ",", &save); item;
         item = strtok_r(NULL, ",", &save)) {
        char *end;
        const unsigned long value = strtoul(item, &end, 10);
        if (*end || value == 0 || value > MAX_CONNECTIONS ||
            options->connection_count == MAX_LIST) {
            fprintf(stderr, "sealio: bench: %s: a number of connections is 1 to %d\n", item,
                    MAX_CONNECTIONS);
            return false;
        }
        options->connections[options->connection_count++] = (unsigned)value;
    }
    return options->connection_count > 0;
}

static const struct option long_options[] = {
    {"op", required_argument, NULL, 'o'},
    {"connections", required_argument, NULL, 'c'},
    {"seconds", required_argument, NULL, 's'},
    {"json", required_argument, NULL, 'j'},
    {"server-pid", required_argument, NULL, 'p'},
    {"server-cpu", required_argument, NULL, 'u'},
    {"layout-file", required_argument, NULL, 'l'},
    {"release-command", required_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool set_option(struct bench_options *options, int key)
{
    char *end;
    switch (key) {
    case 'o':
        return parse_ops(options, optarg);
    case 'c':
        return parse_connections(options, optarg);
    case 's':
        options->seconds = strtod(optarg, NULL);
        return options->seconds >= 0.1 && options->seconds <= 3600;
    case 'p':
        options->server_pid = strtol(optarg, NULL, 10);
        return options->server_pid > 0;
    case 'u':
        options->server_processor = strtol(optarg, &end, 10);
        return end != optarg && !*end && processor_seconds(options->server_processor) >= 0;
    case 'j':
        options->json_path = optarg;
        return true;
    case 'l':
        options->layout_path = optarg;
        return true;
    case 'r':
        options->release_command = optarg;
        return true;
    default:
        return false;
    }
}

static int run(const struct bench_options *options)
{
    struct bench_ground ground = {.session = NULL};
    const long idle_kib = rss_kib(options->server_pid);
    struct bench_row *rows = calloc(MAX_LIST * MAX_LIST, sizeof(*rows));
    size_t count = 0;
    int code = TOOL_OK;
    if (!rows || bench_ground_make(&ground, &options->url, options->layout_path) < 0) {
        free(rows);
        return TOOL_FAILED;
    }
    print_head();
    for (size_t i = 0; i < options->op_count; i++) {
        for (size_t k = 0; k < options->connection_count; k++) {
            struct bench_row *row = &rows[count++];
            row->op = options->ops[i];
            row->connections = options->connections[k];
            measure(options, &ground, row);
            print_row(row);
            if (row->rc < 0)
                code = TOOL_FAILED;
        }
    }
    bench_ground_remove(&ground);
    if (options->json_path && write_json(options, rows, count, idle_kib) != TOOL_OK)
        code = TOOL_FAILED;
    free(rows);
    return code;
}

int tool_bench(int argc, char **argv)
{
    struct bench_options options = {
        .connections = {1, 16, 64}, .connection_count = 3, .seconds = 3, .server_processor = -1};
    struct rlimit files;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--rdma") == 0)
            return tool_bench_rdma(argc, argv);
    }
    for (const struct bench_op *op; (op = bench_op_at(options.op_count)) && !op->needs_layout;)
        options.ops[options.op_count++] = op;
    for (int key; (key = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        if (key == 'h') {
            tool_bench_usage();
            return TOOL_OK;
        }
        if (key == '?' || !set_option(&options, key)) {
            fprintf(stderr, "sealio: bench: bad option; see sealio bench --help\n");
            return TOOL_USAGE;
        }
    }
    if (argc - optind != 1 || sealio_url_parse(argv[optind], &options.url) < 0) {
        fprintf(stderr, "sealio: bench takes one URL; see sealio bench --help\n");
        return TOOL_USAGE;
    }
    for (size_t i = 0; i < options.op_count; i++) {
        if (options.ops[i]->needs_layout && !options.layout_path) {
            fprintf(stderr, "sealio: bench: %s needs --layout-file\n", options.ops[i]->name);
            return TOOL_USAGE;
        }
        if (options.ops[i]->recalls && !options.release_command) {
            fprintf(stderr, "sealio: bench: %s needs --release-command\n", options.ops[i]->name);
            return TOOL_USAGE;
        }
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    return run(&options);
}
