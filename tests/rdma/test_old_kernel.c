/*
 * rdma/ on a kernel that can do nothing for it (Debian 12's 6.1: no on-demand paging in soft-RoCE,
 * no registration of read-only mappings): every file is refused, and the sentence says why. Runs in
 * the guest of tests/rdma/run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rdma/peer.h"

enum { FILE_SIZE = 1 << 20, PATIENCE_MS = 10000 };

static struct rdma_target *target;
static struct rdma_peer *peer;
static char why[RDMA_WHY_MAX], path[256];

static int start(void **state)
{
    static const uint8_t secret[RDMA_SECRET_SIZE] = "a secret";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(20050)};
    const struct sockaddr *addresses[] = {(const struct sockaddr *)&address};
    const struct rdma_target_options options = {.addresses = addresses,
                                                .addresses_count = 1,
                                                .peer_connections = 2,
                                                .verbs = &rdma_verbs_system};

    (void)state;
    return inet_pton(AF_INET, getenv("RDMA_ADDRESS"), &address.sin_addr) == 1 &&
                   rdma_target_create(&options, &target, why) == 0
               ? rdma_peer_create(target, 1, secret, &peer)
               : -1;
}

static int stop(void **state)
{
    (void)state;
    if (rdma_peer_fence(peer, PATIENCE_MS) != 0 || rdma_peer_destroy(peer) != 0)
        return -1;
    rdma_target_destroy(target);
    return 0;
}

/* A frozen file, to be read: the error of the first step that fails. */
static int offer(const char *where)
{
    const struct rdma_facts facts = {.on_demand = rdma_target_on_demand(target), .frozen = true};
    struct rdma_memory *memory;
    struct rdma_region *region;
    char *bytes = calloc(1, FILE_SIZE);

    snprintf(path, sizeof path, "%s/file", getenv(where));
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, FILE_SIZE), FILE_SIZE);
    assert_int_equal(fsync(fd), 0);
    close(fd);
    free(bytes);
    fd = open(path, O_RDONLY);
    int err = rdma_memory_open(fd, FILE_SIZE, &facts, &memory, why);
    close(fd);
    if (!err) {
        err = rdma_peer_register(peer, memory, false, &region, why);
        rdma_memory_put(memory);
    }
    unlink(path);
    printf("lab: %s: %s\n", where, why);
    return err;
}

static void persistent_memory_is_refused_without_on_demand_paging(void **state)
{
    (void)state;
    assert_false(rdma_target_on_demand(target));
    assert_int_equal(offer("RDMA_XFS_DAX"), -EOPNOTSUPP);
    assert_non_null(strstr(why, "does not page on demand"));
    assert_int_equal(offer("RDMA_EXT4_DAX"), -EOPNOTSUPP);
}

static void the_page_cache_is_refused_without_read_only_registration(void **state)
{
    (void)state;
    assert_int_equal(offer("RDMA_XFS"), -EFAULT);
    assert_non_null(strstr(why, "this kernel registers no read-only mapping"));
    assert_int_equal(offer("RDMA_EXT4"), -EFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(persistent_memory_is_refused_without_on_demand_paging),
        cmocka_unit_test(the_page_cache_is_refused_without_read_only_registration),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
