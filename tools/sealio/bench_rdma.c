/*
 * sealio bench --rdma: bandwidth and latency of one file's data path, with so many reads or writes
 * under way. See tools/sealio/bench.h. One thread, and the library's.
 */
#include "tools/sealio/bench.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: sealio bench --rdma [OPTION...] URL\n"
    "\n"
    "Measures reading or writing one file in the server's memory. It must have a\n"
    "seal, and an RDMA layout.\n"
    "\n"
    "  --depth N     operations under way (16)\n"
    "  --block SIZE  of one operation, in bytes or with k or m behind (64k)\n"
    "  --write       write over the file, in place: what it holds is lost\n"
    "  --seconds N   after a warm-up of a tenth of it (3)\n"
    "  --no-layout   the same by READ and WRITE through the server, to compare\n"
    "  --help\n";

enum { MAX_DEPTH = 1024, MAX_BLOCK = 16 << 20, ALIGN = 4096, WAIT_MS = 1000, OP_MS = 30000 };

struct data_options {
    struct tool_options tool;
    unsigned depth;
    size_t block;
    bool write;
    double seconds;
};

/* One of the operations under way. */
struct flight {
    uint8_t *memory;
    uint64_t start_ns;
};

struct data_bench {
    const struct data_options *options;
    struct tool_remote remote;
    struct sealio_queue *queue;
    struct sealio_buffer *buffer;
    struct flight *flights;
    uint8_t *memory;
    uint64_t blocks, next; /* whole blocks in the file; the one that comes next */
    uint64_t layout_ns, first_ns;
    uint64_t ops, bytes;
    bool counts; /* the warm-up is over */
    bool terminal;
    uint64_t told_ns;
    struct bench_latency latency;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- options ---- */

static bool parse_number(const char *text, uint64_t most, uint64_t *out)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || errno || value > most)
        return false;
    if (*end == 'k' || *end == 'm') {
        value <<= *end == 'k' ? 10 : 20;
        end++;
    }
    *out = value;
    return !*end && value > 0 && value <= most;
}

enum { KEY_RDMA = 256, KEY_DEPTH, KEY_BLOCK, KEY_WRITE, KEY_SECONDS, KEY_NO_LAYOUT };

static bool set_option(struct data_options *options, int key)
{
    uint64_t number;
    switch (key) {
    case KEY_RDMA:
        return true;
    case KEY_DEPTH:
        if (!parse_number(optarg, MAX_DEPTH, &number))
            return false;
        options->depth = (unsigned)number;
        return true;
    case KEY_BLOCK:
        if (!parse_number(optarg, MAX_BLOCK, &number))
            return false;
        options->block = (size_t)number;
        return true;
    case KEY_WRITE:
        return options->write = true;
    case KEY_SECONDS:
        if (!parse_number(optarg, 86400, &number))
            return false;
        options->seconds = (double)number;
        return true;
    case KEY_NO_LAYOUT:
        options->tool.session.layouts = SEALIO_LAYOUTS_NEVER;
        return true;
    default:
        return false;
    }
}

void tool_bench_rdma_usage(void)
{
    fputs(usage, stdout);
}

/* ---- the work ---- */

static int submit(struct data_bench *bench, struct flight *flight)
{
    const struct data_options *options = bench->options;
    const uint64_t offset = bench->next * options->block;
    bench->next = (bench->next + 1) % bench->blocks;
    flight->start_ns = now_ns();
    return options->write ? sealio_queue_write(bench->queue, bench->remote.file, flight->memory,
                                               options->block, offset, OP_MS, flight)
                          : sealio_queue_read(bench->queue, bench->remote.file, flight->memory,
                                              options->block, offset, OP_MS, flight);
}

static void tell(struct data_bench *bench, uint64_t started_ns, bool last)
{
    const uint64_t now = now_ns();
    if (!bench->terminal || (!last && now - bench->told_ns < 200000000))
        return;
    bench->told_ns = now;
    const double seconds = (double)(now - started_ns) / 1e9;
    fprintf(stderr, "\r%6.1f s  %8.1f MiB/s  p50 %.0f us  p99 %.0f us%s", seconds,
            seconds > 0 ? (double)bench->bytes / seconds / 1048576 : 0,
            bench_latency_us(&bench->latency, 0.5), bench_latency_us(&bench->latency, 0.99),
            last ? "\n" : " ");
}

/* One completion; its flight goes on. */
static int take(struct data_bench *bench, const struct sealio_completion *done, bool go_on)
{
    struct flight *flight = done->arg;
    if (done->result < 0)
        return (int)done->result;
    if ((size_t)done->result != bench->options->block)
        return -EIO;
    if (bench->counts) {
        bench->ops++;
        bench->bytes += bench->options->block;
        bench_latency_add(&bench->latency, now_ns() - flight->start_ns);
    }
    return go_on ? submit(bench, flight) : 0;
}

/* Runs for so long; the flights are under way when it begins and when it ends. */
static int run_for(struct data_bench *bench, double seconds)
{
    struct sealio_completion done[16];
    const uint64_t started = now_ns(), until = started + (uint64_t)(seconds * 1e9);
    int rc = 0;
    while (rc == 0 && now_ns() < until) {
        const unsigned n = sealio_queue_wait(bench->queue, done, 16, WAIT_MS);
        for (unsigned i = 0; rc == 0 && i < n; i++)
            rc = take(bench, &done[i], true);
        tell(bench, started, false);
    }
    tell(bench, started, true);
    return rc;
}

static int measure(struct data_bench *bench, double *seconds, double *cpu)
{
    struct bench_result mark = {.server_processor = -1};
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < bench->options->depth; i++)
        rc = submit(bench, &bench->flights[i]);
    const bool terminal = bench->terminal;
    bench->terminal = false;
    if (rc == 0)
        rc = run_for(bench, bench->options->seconds / 10);
    bench->terminal = terminal;
    bench->counts = true;
    const uint64_t started = now_ns();
    bench_mark_begin(&mark);
    if (rc == 0)
        rc = run_for(bench, bench->options->seconds);
    bench_mark_end(&mark);
    *seconds = (double)(now_ns() - started) / 1e9;
    *cpu = mark.own_cpu;
    return rc;
}

/* The layout, and the first byte by it, as somebody who comes anew has to wait for them. */
static int begin(struct data_bench *bench)
{
    const bool direct = bench->options->tool.session.layouts != SEALIO_LAYOUTS_NEVER;
    uint8_t byte;
    const uint64_t start = now_ns();
    int rc = direct ? sealio_layout_get(bench->remote.file, bench->options->write) : 0;
    bench->layout_ns = now_ns() - start;
    if (rc == 0)
        rc = (int)sealio_file_read(bench->remote.file, &byte, 1, 0);
    bench->first_ns = now_ns() - start;
    return rc < 0 ? rc : 0;
}

static int prepare(struct data_bench *bench)
{
    const struct data_options *options = bench->options;
    struct sealio_stat st;
    int rc = sealio_file_stat(bench->remote.file, &st);
    if (rc < 0)
        return rc;
    bench->blocks = st.size / options->block;
    if (bench->blocks == 0)
        return -EFBIG; /* the block, for this file */
    const size_t stride = (options->block + ALIGN - 1) / ALIGN * ALIGN;
    bench->flights = calloc(options->depth, sizeof(*bench->flights));
    bench->memory = aligned_alloc(ALIGN, stride * options->depth);
    if (!bench->flights || !bench->memory)
        return -ENOMEM;
    memset(bench->memory, 0x5a, stride * options->depth);
    for (unsigned i = 0; i < options->depth; i++)
        bench->flights[i].memory = bench->memory + i * stride;
    rc = begin(bench);
    if (rc == 0)
        rc = sealio_buffer_register(bench->remote.session, bench->memory, stride * options->depth,
                                    &bench->buffer);
    return rc < 0 ? rc : sealio_queue_create(bench->remote.session, options->depth, &bench->queue);
}

static int report(const struct data_bench *bench, double seconds, double cpu)
{
    const struct data_options *options = bench->options;
    struct sealio_counters c;
    sealio_session_counters(bench->remote.session, &c);
    printf("%s of %zu bytes, %u under way, %.1f s: %.1f MiB/s, %.0f/s, p50 %.1f us, p99 %.1f us\n"
           "layout after %.2f ms, first byte after %.2f ms; own CPU time %.2f s\n"
           "by RDMA: %llu bytes; through the server: %llu bytes\n",
           options->write ? "writes" : "reads", options->block, options->depth, seconds,
           (double)bench->bytes / seconds / 1048576, (double)bench->ops / seconds,
           bench_latency_us(&bench->latency, 0.5), bench_latency_us(&bench->latency, 0.99),
           (double)bench->layout_ns / 1e6, (double)bench->first_ns / 1e6, cpu,
           (unsigned long long)(c.bytes_read_rdma + c.bytes_written_rdma),
           (unsigned long long)(c.bytes_read_server + c.bytes_written_server));
    const bool all =
        c.bytes_read_direct + c.bytes_written_direct == c.bytes_read_rdma + c.bytes_written_rdma &&
        c.bytes_read_server + c.bytes_written_server == 0;
    if (options->tool.session.layouts == SEALIO_LAYOUTS_NEVER || all)
        return TOOL_OK;
    fprintf(stderr, "sealio: bench: not all of it went by RDMA\n");
    return TOOL_NO_LAYOUT;
}

static int run(const struct data_options *options, const char *url)
{
    struct data_bench bench = {.options = options, .terminal = isatty(STDERR_FILENO)};
    double seconds = 0, cpu = 0;
    const unsigned flags = SEALIO_READ | (options->write ? SEALIO_WRITE : 0);
    int code = tool_remote_open(&options->tool, url, flags, &bench.remote);
    if (code != TOOL_OK)
        return code;
    int rc = prepare(&bench);
    if (rc == 0)
        rc = measure(&bench, &seconds, &cpu);
    sealio_queue_free(bench.queue);
    if (rc < 0)
        code = tool_error(&bench.remote, url, rc);
    else
        code = report(&bench, seconds, cpu);
    sealio_buffer_release(bench.buffer);
    code = tool_remote_close(&options->tool, &bench.remote, code);
    free(bench.flights);
    free(bench.memory);
    return code;
}

int tool_bench_rdma(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"rdma", no_argument, NULL, KEY_RDMA},
        {"depth", required_argument, NULL, KEY_DEPTH},
        {"block", required_argument, NULL, KEY_BLOCK},
        {"write", no_argument, NULL, KEY_WRITE},
        {"seconds", required_argument, NULL, KEY_SECONDS},
        {"no-layout", no_argument, NULL, KEY_NO_LAYOUT},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct data_options options = {.depth = 16, .block = 64 << 10, .seconds = 3};
    for (int key; (key = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        if (key == 'h') {
            tool_bench_rdma_usage();
            return TOOL_OK;
        }
        if (key == '?' || !set_option(&options, key)) {
            fprintf(stderr, "sealio: bench: bad option; see sealio bench --rdma --help\n");
            return TOOL_USAGE;
        }
    }
    if (argc - optind != 1) {
        fprintf(stderr, "sealio: bench takes one URL; see sealio bench --rdma --help\n");
        return TOOL_USAGE;
    }
    return run(&options, argv[optind]);
}
