/*
 * What it costs the server to register a sealed file for a client and to take it back, by size and
 * strategy, and to revoke a thousand grants. Runs in the guest of tests/rdma/run --only
 * registration (environment: see test_data_path.c). Says lines that begin with "bench:".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rdma/peer.h"

enum { PORT = 20051, MIB = 1 << 20, TIMES = 9, HOLDERS = 1000, PATIENCE_MS = 30000 };

static const uint8_t secret[RDMA_SECRET_SIZE] = "the secret of everybody";
static struct rdma_target *target;
static char why[RDMA_WHY_MAX];

/* Nothing is worth going on after an error. */
static void must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s (%s)\n", what, strerror(rc < 0 ? -rc : errno), why);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, TIMES, sizeof *values, by_value);
    return values[TIMES / 2];
}

static void start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    const struct sockaddr *addresses[] = {(const struct sockaddr *)&address};
    const struct rdma_target_options options = {.addresses = addresses,
                                                .addresses_count = 1,
                                                .peer_connections = 1,
                                                .verbs = &rdma_verbs_system};
    const char *server = getenv("RDMA_ADDRESS");

    if (!server || inet_pton(AF_INET, server, &address.sin_addr) != 1)
        must(-EINVAL, "RDMA_ADDRESS");
    must(rdma_target_create(&options, &target, why), "target");
}

/* A file of this size in the directory that the variable names, as memory. */
static struct rdma_memory *make_memory(const char *where, size_t size, bool frozen)
{
    const struct rdma_facts facts = {
        .on_demand = rdma_target_on_demand(target), .frozen = frozen, .writable = !frozen};
    static uint8_t piece[MIB];
    struct rdma_memory *memory = NULL;
    char path[256];
    int fd;

    snprintf(path, sizeof path, "%s/measured", getenv(where));
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    must(fd < 0 ? -errno : 0, path);
    for (size_t at = 0; at < size; at += sizeof piece)
        must(write(fd, piece, sizeof piece) == (ssize_t)sizeof piece ? 0 : -errno, path);
    must(fsync(fd), path);
    must(rdma_memory_open(fd, size, &facts, &memory, why), path);
    close(fd);
    unlink(path);
    return memory;
}

static const char *strategy_name(const struct rdma_memory *memory)
{
    return rdma_memory_strategy(memory) == RDMA_ON_DEMAND ? "on demand" : "pinned";
}

static void measure_size(const char *where, size_t size, bool frozen)
{
    struct rdma_memory *memory = make_memory(where, size, frozen);
    double on[TIMES], off[TIMES];
    struct rdma_peer *peer;

    must(rdma_peer_create(target, 1, secret, &peer), "peer");
    for (unsigned i = 0; i < TIMES; i++) {
        struct rdma_region *region;
        double begin = now_us(), middle;

        must(rdma_peer_register(peer, memory, !frozen, &region, why), "register");
        middle = now_us();
        must(rdma_region_release(region), "release");
        on[i] = middle - begin;
        off[i] = now_us() - middle;
    }
    printf("bench: registration, %s (%s), %zu MiB: first %.0f us, median of %d %.0f us; "
           "deregistration %.0f "
           "us\n",
           strategy_name(memory), where, size / MIB, on[0], TIMES, median(on), median(off));
    must(rdma_peer_fence(peer, PATIENCE_MS), "fence");
    must(rdma_peer_destroy(peer), "destroy");
    rdma_memory_put(memory);
}

/* One file, and a client without a connection for each grant: what a release has to do, one after
 * the other. */
static void measure_revocation(const char *where, bool frozen, bool by_fence)
{
    static struct rdma_peer *peers[HOLDERS];
    static struct rdma_region *regions[HOLDERS];
    struct rdma_memory *memory = make_memory(where, 8 * MIB, frozen);
    double begin, us;

    for (unsigned i = 0; i < HOLDERS; i++) {
        must(rdma_peer_create(target, i + 1, secret, &peers[i]), "peer");
        must(rdma_peer_register(peers[i], memory, false, &regions[i], why), "register");
    }
    begin = now_us();
    for (unsigned i = 0; i < HOLDERS; i++)
        must(by_fence ? rdma_peer_fence(peers[i], PATIENCE_MS) : rdma_region_release(regions[i]),
             "revoke");
    us = now_us() - begin;
    printf("bench: revocation of %d grants of one file, %s, by %s: %.1f ms, %.0f us each\n",
           HOLDERS, strategy_name(memory), by_fence ? "fence" : "deregistration", us / 1e3,
           us / HOLDERS);
    for (unsigned i = 0; i < HOLDERS; i++) {
        if (by_fence)
            must(rdma_region_release(regions[i]), "release");
        else
            must(rdma_peer_fence(peers[i], PATIENCE_MS), "fence");
        must(rdma_peer_destroy(peers[i]), "destroy");
    }
    rdma_memory_put(memory);
}

int main(void)
{
    static const size_t sizes[] = {1, 8, 64, 128};
    struct rdma_counters counters;

    setvbuf(stdout, NULL, _IOLBF, 0);
    start();
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        measure_size("RDMA_XFS_DAX", sizes[i] * MIB, false);
        measure_size("RDMA_XFS", sizes[i] * MIB, true);
    }
    for (int by_fence = 0; by_fence < 2; by_fence++) {
        measure_revocation("RDMA_XFS_DAX", false, by_fence);
        measure_revocation("RDMA_XFS", true, by_fence);
    }
    rdma_target_counters(target, &counters);
    must(counters.regions ? -EBUSY : 0, "regions are left");
    rdma_target_destroy(target);
    return 0;
}
