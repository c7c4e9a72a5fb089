/*
 * rdma/ on a real kernel: soft-RoCE, persistent memory, page cache. Runs in the guest of
 * tests/rdma/run, which says where things are: RDMA_ADDRESS, RDMA_XFS_DAX, RDMA_EXT4_DAX, RDMA_XFS,
 * RDMA_EXT4 (directories), and RDMA_LINK, the link that the last test removes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/net/transport.h"
#include "client/rdma/rdma.h"
#include "raw_client.h"
#include "rdma/peer.h"

enum { PORT = 20050, FILE_SIZE = 8 << 20, PATIENCE_MS = 30000, PROBE_MS = 200 };

static struct raw_client alice, mallory, victim;
static struct rdma_target *target;
static pthread_t dispatcher;
static int stop_fd,
    progress_fd;       /* event counters: to end the dispatcher; that it has handled something */
static int dispatched; /* what the dispatcher ended with */
static char why[RDMA_WHY_MAX];
static uint64_t counter;

static const uint8_t alices[RDMA_SECRET_SIZE] = "the secret of alice";
static const uint8_t mallorys[RDMA_SECRET_SIZE] = "the secret of mallory";
enum { ALICE = 1, MALLORY = 2 };

static void *dispatch(void *arg)
{
    struct pollfd fds[3] = {
        {.events = POLLIN}, {.events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
    int two[2];

    (void)arg;
    rdma_target_fds(target, two);
    fds[0].fd = two[0];
    fds[1].fd = two[1];
    while (dispatched == 0 && poll(fds, 3, PROBE_MS) >= 0 && !fds[2].revents) {
        dispatched = rdma_target_dispatch(target);
        if (dispatched == 0)
            rdma_target_probe(target, UINT_MAX); /* what lives stays as it is */
        (void)!write(progress_fd, &(uint64_t){1}, 8);
    }
    return NULL;
}

static int start(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    const struct sockaddr *addresses[] = {(const struct sockaddr *)&address};
    const struct rdma_target_options options = {.addresses = addresses,
                                                .addresses_count = 1,
                                                .peer_connections = 2,
                                                .verbs = &rdma_verbs_system};
    const char *server = getenv("RDMA_ADDRESS");

    (void)state;
    if (!server || inet_pton(AF_INET, server, &address.sin_addr) != 1)
        return -1;
    raw_client_start(&alice, server, PORT);
    raw_client_start(&mallory, server, PORT);
    raw_client_start(&victim, server, PORT);
    if (rdma_target_create(&options, &target, why) != 0) {
        fprintf(stderr, "%s\n", why);
        return -1;
    }
    stop_fd = eventfd(0, 0);
    progress_fd = eventfd(0, 0);
    return pthread_create(&dispatcher, NULL, dispatch, NULL);
}

static int stop(void **state)
{
    (void)state;
    raw_client_stop(&alice);
    raw_client_stop(&mallory);
    (void)!write(stop_fd, &(uint64_t){1}, 8);
    pthread_join(dispatcher, NULL);
    rdma_target_destroy(target);
    return 0;
}

/* What a test has, so that one that fails leaves nothing to the next. */
static struct rdma_peer *living[4];
/* The file of a test: a pattern, frozen or not, and its memory. */
static struct {
    char path[256];
    int fd;
    uint8_t *bytes;
    struct rdma_memory *memory;
} file;

static struct rdma_counters counters(void)
{
    struct rdma_counters c;

    rdma_target_counters(target, &c);
    return c;
}

/* A client may know of its connection before the target has counted it. */
static void wait_for_connections(uint64_t count)
{
    struct pollfd fd = {.fd = progress_fd, .events = POLLIN};
    uint64_t events;

    while (counters().connections != count) {
        if (poll(&fd, 1, PATIENCE_MS) != 1 ||
            read(progress_fd, &events, sizeof events) != sizeof events)
            fail_msg("%llu connections", (unsigned long long)counters().connections);
    }
}

static struct raw_connected connect_as(struct raw_client *client, uint64_t number,
                                       const uint8_t *secret)
{
    uint8_t hello[RDMA_HELLO_SIZE];

    rdma_hello_make(secret, number, ++counter, hello);
    return raw_client_connect(client, hello, sizeof hello);
}

static struct rdma_peer *make_peer(uint64_t number, const uint8_t *secret)
{
    struct rdma_peer *peer;

    assert_int_equal(rdma_peer_create(target, number, secret, &peer), 0);
    for (unsigned i = 0; i < 4; i++) {
        if (!living[i]) {
            living[i] = peer;
            break;
        }
    }
    return peer;
}

static int destroy_peer(struct rdma_peer *peer)
{
    for (unsigned i = 0; i < 4; i++)
        if (living[i] == peer)
            living[i] = NULL;
    return rdma_peer_destroy(peer);
}

static void end_peer(struct rdma_peer *peer)
{
    assert_int_equal(rdma_peer_fence(peer, PATIENCE_MS), 0);
    assert_int_equal(destroy_peer(peer), 0);
}

static void set_immutable(const char *path, bool on)
{
    int fd = open(path, O_RDONLY), flags;

    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
    flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
    close(fd);
}

static void make_file(const char *where)
{
    assert_non_null(getenv(where));
    snprintf(file.path, sizeof file.path, "%s/file", getenv(where));
    file.bytes = malloc(FILE_SIZE);
    assert_non_null(file.bytes);
    for (unsigned i = 0; i < FILE_SIZE; i++)
        file.bytes[i] = (uint8_t)(i * 2654435761u >> 23);
    file.fd = open(file.path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(file.fd >= 0);
    assert_int_equal(write(file.fd, file.bytes, FILE_SIZE), FILE_SIZE);
    assert_int_equal(fsync(file.fd), 0);
    file.memory = NULL;
}

static int map_file(bool frozen, bool writable)
{
    const struct rdma_facts facts = {
        .on_demand = rdma_target_on_demand(target), .frozen = frozen, .writable = writable};
    int fd = writable ? dup(file.fd) : open(file.path, O_RDONLY);
    int err;

    assert_true(fd >= 0);
    err = rdma_memory_open(fd, FILE_SIZE, &facts, &file.memory, why);
    close(fd);
    if (!err)
        set_immutable(file.path, true);
    return err;
}

static void end_file(void)
{
    set_immutable(file.path, false);
    rdma_memory_put(file.memory);
    file.memory = NULL;
    close(file.fd);
    assert_int_equal(unlink(file.path), 0);
    free(file.bytes);
    file.bytes = NULL;
}

/* After each test: one that failed leaves nothing to the next. */
static int clean_up(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        if (living[i] &&
            (rdma_peer_fence(living[i], PATIENCE_MS) != 0 || destroy_peer(living[i]) != 0))
            return -1;
    if (file.bytes)
        end_file();
    return 0;
}

static struct rdma_region *register_file(struct rdma_peer *peer, bool writable)
{
    struct rdma_region *region;
    int err = rdma_peer_register(peer, file.memory, writable, &region, why);

    if (err)
        fail_msg("%s (%d)", why, err);
    return region;
}

/* Alice connects and reads the whole file. */
static void read_whole(const struct rdma_region *region)
{
    assert_int_equal(connect_as(&alice, ALICE, alices).error, 0);
    for (uint32_t at = 0; at < FILE_SIZE; at += RAW_BUFFER) {
        struct raw_done done = raw_client_read(&alice, rdma_region_piece(region, 0).address + at,
                                               rdma_region_piece(region, 0).key, RAW_BUFFER);

        assert_int_equal(done.status, IBV_WC_SUCCESS);
        if (done.sum != raw_sum(file.bytes + at, RAW_BUFFER))
            fail_msg("at %u the client reads other bytes than the file has", at);
    }
}

static void a_frozen_file_is_read(const char *where, enum rdma_strategy strategy)
{
    struct rdma_peer *peer = make_peer(ALICE, alices);
    struct rdma_region *region;

    make_file(where);
    if (map_file(true, false) != 0)
        fail_msg("%s", why);
    assert_int_equal(rdma_memory_strategy(file.memory), strategy);
    region = register_file(peer, false);
    read_whole(region);
    assert_int_equal(rdma_region_release(region), 0);
    end_peer(peer);
    end_file();
}

static void soft_roce_asks_for_whole_pages(void **state)
{
    (void)state;
    assert_true(rdma_target_on_demand(target));
    assert_int_equal(rdma_target_alignment(target), 4096);
}

static void a_file_on_xfs_dax_is_read_on_demand(void **state)
{
    (void)state;
    a_frozen_file_is_read("RDMA_XFS_DAX", RDMA_ON_DEMAND);
}

static void a_file_on_ext4_dax_is_read_on_demand(void **state)
{
    (void)state;
    a_frozen_file_is_read("RDMA_EXT4_DAX", RDMA_ON_DEMAND);
}

static void a_frozen_file_on_xfs_is_read_from_the_page_cache(void **state)
{
    (void)state;
    a_frozen_file_is_read("RDMA_XFS", RDMA_PINNED);
}

static void a_frozen_file_on_ext4_is_read_from_the_page_cache(void **state)
{
    (void)state;
    a_frozen_file_is_read("RDMA_EXT4", RDMA_PINNED);
}

static void the_page_cache_is_refused_for_writing_and_for_data_that_changes(void **state)
{

    (void)state;
    make_file("RDMA_XFS");
    assert_int_equal(map_file(true, true), -EOPNOTSUPP);
    assert_non_null(strstr(why, "not in persistent memory"));
    assert_int_equal(map_file(false, false), -EOPNOTSUPP);
    assert_non_null(strstr(why, "frozen"));
    end_file();
}

static void a_write_reaches_the_file(const char *where)
{
    struct rdma_peer *peer = make_peer(ALICE, alices);
    struct rdma_region *region;
    struct raw_done done;
    uint8_t seen[9000];

    make_file(where);
    if (map_file(false, true) != 0)
        fail_msg("%s", why);
    region = register_file(peer, true);
    assert_int_equal(connect_as(&alice, ALICE, alices).error, 0);
    done = raw_client_write(&alice, rdma_region_piece(region, 0).address + 8192,
                            rdma_region_piece(region, 0).key, 9000, 'w');
    assert_int_equal(done.status, IBV_WC_SUCCESS);
    assert_int_equal(rdma_memory_commit(file.memory, 8192, 9000), 0);
    assert_int_equal(pread(file.fd, seen, sizeof seen, 8192), sizeof seen);
    memset(file.bytes + 8192, 'w', 9000);
    assert_memory_equal(seen, file.bytes + 8192, sizeof seen);
    read_whole(region);
    assert_int_equal(rdma_region_release(region), 0);
    end_peer(peer);
    end_file();
}

static void a_write_reaches_a_file_on_xfs_dax(void **state)
{
    (void)state;
    a_write_reaches_the_file("RDMA_XFS_DAX");
}

static void a_write_reaches_a_file_on_ext4_dax(void **state)
{
    (void)state;
    a_write_reaches_the_file("RDMA_EXT4_DAX");
}

static void expect_refusal(const void *hello, uint8_t len, enum rdma_admission judged,
                           rdma_refusal4 told)
{
    uint64_t before = counters().admissions[judged];
    struct raw_connected connected = raw_client_connect(&mallory, hello, len);

    assert_int_equal(connected.error, -ECONNREFUSED);
    assert_int_equal(connected.refusal, told);
    assert_int_equal(counters().admissions[judged], before + 1);
}

static void who_has_no_secret_is_refused_and_counted(void **state)
{
    struct rdma_peer *peer = make_peer(ALICE, alices), *old = make_peer(MALLORY, mallorys);
    uint8_t hello[RDMA_HELLO_SIZE], old_hello[RDMA_HELLO_SIZE];

    (void)state;
    rdma_hello_make(mallorys, MALLORY, ++counter, old_hello);
    end_peer(old);
    expect_refusal("", 0, RDMA_OTHER_VERSION, RDMA_REFUSED_VERSION); /* it comes as zeros */
    expect_refusal(old_hello, sizeof old_hello, RDMA_UNKNOWN_PEER, RDMA_REFUSED_NOT_ADMITTED);
    rdma_hello_make(mallorys, ALICE, ++counter, hello);
    expect_refusal(hello, sizeof hello, RDMA_WRONG_TAG, RDMA_REFUSED_NOT_ADMITTED);
    rdma_hello_make(alices, ALICE, ++counter, hello);
    hello[3]++;
    expect_refusal(hello, sizeof hello, RDMA_OTHER_VERSION, RDMA_REFUSED_VERSION);
    rdma_hello_make(alices, ALICE, ++counter, hello);
    assert_int_equal(raw_client_connect(&alice, hello, sizeof hello).error, 0);
    expect_refusal(hello, sizeof hello, RDMA_REPLAYED, RDMA_REFUSED_NOT_ADMITTED);
    rdma_peer_set_lease(peer, false);
    rdma_hello_make(alices, ALICE, ++counter, hello);
    expect_refusal(hello, sizeof hello, RDMA_NO_LEASE, RDMA_REFUSED_NOT_ADMITTED);
    rdma_peer_set_lease(peer, true);
    assert_int_equal(connect_as(&alice, ALICE, alices).error, 0);
    end_peer(peer);
}

/* The server hangs up on a connection in error: that may come to the client before the access error
 * does, and soft-RoCE, on a busy machine, has been seen to answer nothing at all. Either way the
 * client has nothing, and is welcome again. */
static unsigned expect_no_access(struct raw_client *client, uint64_t number, const uint8_t *secret,
                                 struct raw_done done)
{
    assert_int_not_equal(done.status, IBV_WC_SUCCESS);
    assert_int_not_equal(done.status, RAW_NOT_CONNECTED);
    assert_int_equal(connect_as(client, number, secret).error, 0);
    return done.status == IBV_WC_REM_ACCESS_ERR;
}

static void a_client_reaches_what_it_was_given_and_nothing_else(void **state)
{
    struct rdma_peer *one = make_peer(ALICE, alices), *two = make_peer(MALLORY, mallorys);
    struct rdma_region *region, *own;
    uint64_t address;
    uint32_t key;
    unsigned told = 0;

    (void)state;
    make_file("RDMA_XFS_DAX");
    if (map_file(false, true) != 0)
        fail_msg("%s", why);
    region = register_file(one, true);
    own = register_file(two, false);
    address = rdma_region_piece(region, 0).address;
    key = rdma_region_piece(region, 0).key;
    assert_int_equal(connect_as(&mallory, MALLORY, mallorys).error, 0);
    /* another client's key, for the very bytes that are its own too */
    told += expect_no_access(&mallory, MALLORY, mallorys,
                             raw_client_read(&mallory, address, key, 4096));
    told += expect_no_access(&mallory, MALLORY, mallorys,
                             raw_client_write(&mallory, address, key, 4096, 'm'));
    key = rdma_region_piece(own, 0).key;
    told += expect_no_access(&mallory, MALLORY, mallorys,
                             raw_client_write(&mallory, address, key, 4096, 'm'));
    told += expect_no_access(&mallory, MALLORY, mallorys,
                             raw_client_read(&mallory, address - 4096, key, 4096));
    told += expect_no_access(&mallory, MALLORY, mallorys,
                             raw_client_read(&mallory, address + FILE_SIZE, key, 1));
    told += expect_no_access(&mallory, MALLORY, mallorys,
                             raw_client_read(&mallory, address + FILE_SIZE - 4096, key, 4097));
    for (uint32_t guess = 1; guess <= 8; guess++)
        told += expect_no_access(&mallory, MALLORY, mallorys,
                                 raw_client_read(&mallory, address, key + guess * 256, 16));
    assert_int_equal(raw_client_read(&mallory, address, key, 4096).status, IBV_WC_SUCCESS);
    assert_true(told > 0);
    read_whole(region); /* nothing was written, and alice is served */
    end_peer(one);
    end_peer(two);
    end_file();
}

/* Three connections of one client, where two have place. */
static void the_oldest_connection_gives_way_and_reaches_nothing(void **state)
{
    struct rdma_peer *peer = make_peer(ALICE, alices);
    const uint64_t before = counters().gave_way;
    struct rdma_region *region;
    struct rdma_piece piece;
    struct raw_done done;

    (void)state;
    make_file("RDMA_XFS_DAX");
    assert_int_equal(map_file(true, false), 0);
    region = register_file(peer, false);
    piece = rdma_region_piece(region, 0);
    assert_int_equal(connect_as(&alice, ALICE, alices).error, 0);
    assert_int_equal(connect_as(&mallory, ALICE, alices).error, 0);
    assert_int_equal(connect_as(&victim, ALICE, alices).error, 0);
    assert_int_equal(counters().gave_way, before + 1);
    wait_for_connections(2);
    done = raw_client_read(&alice, piece.address, piece.key, 4096);
    assert_int_not_equal(done.status, IBV_WC_SUCCESS);
    done = raw_client_read(&mallory, piece.address, piece.key, 4096);
    assert_int_equal(done.status, IBV_WC_SUCCESS);
    done = raw_client_read(&victim, piece.address, piece.key, 4096);
    assert_int_equal(done.status, IBV_WC_SUCCESS);
    assert_int_equal(connect_as(&alice, ALICE, alices).error, 0); /* and mallory's is the oldest */
    assert_int_equal(counters().gave_way, before + 2);
    done = raw_client_read(&alice, piece.address, piece.key, 4096);
    assert_int_equal(done.status, IBV_WC_SUCCESS);
    assert_int_equal(rdma_peer_fence(peer, PATIENCE_MS), 0);
    assert_int_equal(counters().connections, 0);
    done = raw_client_read(&victim, piece.address, piece.key, 4096);
    assert_int_not_equal(done.status, IBV_WC_SUCCESS);
    assert_int_equal(rdma_region_release(region), 0);
    end_peer(peer);
    end_file();
}

static void a_key_is_shared_until_its_last_release_and_void_after_it(void **state)
{
    struct rdma_peer *peer = make_peer(ALICE, alices);
    struct rdma_region *first, *second;
    uint64_t address;
    uint32_t key;

    (void)state;
    make_file("RDMA_XFS_DAX");
    assert_int_equal(map_file(true, false), 0);
    first = register_file(peer, false);
    second = register_file(peer, false);
    assert_ptr_equal(first, second);
    assert_int_equal(counters().regions, 1);
    assert_int_equal(counters().registered_bytes, FILE_SIZE);
    address = rdma_region_piece(first, 0).address;
    key = rdma_region_piece(first, 0).key;
    assert_int_equal(connect_as(&alice, ALICE, alices).error, 0);
    assert_int_equal(rdma_region_release(first), 0);
    assert_int_equal(raw_client_read(&alice, address, key, 4096).status, IBV_WC_SUCCESS);
    assert_int_equal(rdma_region_release(second), 0);
    assert_int_equal(counters().regions, 0);
    (void)expect_no_access(&alice, ALICE, alices, raw_client_read(&alice, address, key, 4096));
    end_peer(peer);
    end_file();
}

static void a_fence_ends_a_transfer_under_way(const char *where, bool writable)
{
    struct rdma_peer *peer = make_peer(ALICE, alices);
    struct rdma_region *region;
    struct raw_done done;
    uint64_t address;
    uint32_t key;

    make_file(where);
    if (map_file(true, writable) != 0)
        fail_msg("%s", why);
    region = register_file(peer, writable);
    address = rdma_region_piece(region, 0).address;
    key = rdma_region_piece(region, 0).key;
    assert_int_equal(connect_as(&alice, ALICE, alices).error, 0);
    raw_client_read_until_error(&alice, address, key, RAW_BUFFER);
    assert_int_equal(rdma_peer_fence(peer, PATIENCE_MS), 0);
    done = raw_client_wait(&alice);
    assert_true(done.operations > 0);
    assert_int_not_equal(done.status, IBV_WC_SUCCESS);
    assert_int_not_equal(done.status, RAW_NO_ANSWER);
    assert_int_equal(counters().connections, 0);
    assert_int_equal(counters().regions, 0);
    assert_int_equal(connect_as(&alice, ALICE, alices).refusal, RDMA_REFUSED_NOT_ADMITTED);
    assert_int_not_equal(raw_client_read(&alice, address, key, 4096).status, IBV_WC_SUCCESS);
    assert_int_equal(destroy_peer(peer), 0);
    end_file();
}

static void a_fence_ends_a_transfer_from_persistent_memory(void **state)
{
    (void)state;
    a_fence_ends_a_transfer_under_way("RDMA_XFS_DAX", true);
}

static void a_fence_ends_a_transfer_from_the_page_cache(void **state)
{
    (void)state;
    a_fence_ends_a_transfer_under_way("RDMA_EXT4", false);
}

static void a_killed_client_leaves_no_connection(void **state)
{
    struct rdma_peer *peer = make_peer(MALLORY, mallorys);

    (void)state;
    assert_int_equal(connect_as(&victim, MALLORY, mallorys).error, 0);
    wait_for_connections(1);
    raw_client_kill(&victim);
    wait_for_connections(0);
    end_peer(peer);
}

/* ---- libsealio's end of it ---- */

static struct sealio_rdma *make_path(uint64_t number, const uint8_t *secret)
{
    char at[64];
    netaddr4 address;
    rdma_deviceaddr4 device = {.rda_version = RDMA_LAYOUT_VERSION,
                               .rda_peer = number,
                               .rda_alignment = rdma_target_alignment(target),
                               .rda_addrs_count = 1,
                               .rda_addrs = &address};
    struct sealio_rdma *path;

    snprintf(at, sizeof at, "%s.%d.%d", getenv("RDMA_ADDRESS"), PORT >> 8, PORT & 255);
    address = (netaddr4){xdr_bytes_of("rdma"),
                         {.data = (const uint8_t *)at, .len = (uint32_t)strlen(at)}};
    memcpy(device.rda_secret, secret, RDMA_SECRET_SIZE);
    assert_int_equal(sealio_rdma_create(&device, NULL, &path), 0);
    return path;
}

static int run_on_path(struct sealio_rdma *path, const struct rdma_region *region, bool writing,
                       void *memory, size_t length, uint64_t offset)
{
    struct sealio_rdma_op op = {.write = writing,
                                .memory = memory,
                                .length = length,
                                .remote = rdma_region_piece(region, 0).address + offset,
                                .key = rdma_region_piece(region, 0).key,
                                .deadline_ms = sealio_now_ms() + PATIENCE_MS};

    assert_int_equal(sealio_rdma_connect(path, PATIENCE_MS), 0);
    assert_int_equal(sealio_rdma_limit(path, memory, length, op.remote), length);
    return sealio_rdma_run(path, &op);
}

static void the_library_reads_and_writes(void **state)
{
    enum { PIECE = 2 << 20 };
    struct rdma_peer *peer = make_peer(ALICE, alices);
    struct sealio_rdma *path = make_path(ALICE, alices);
    uint8_t *memory = aligned_alloc(4096, FILE_SIZE), copied[10000];
    struct rdma_region *region;

    (void)state;
    make_file("RDMA_XFS_DAX");
    assert_int_equal(map_file(false, true), 0);
    region = register_file(peer, true);
    sealio_rdma_add_memory(path, memory, FILE_SIZE);
    for (uint32_t at = 0; at < FILE_SIZE; at += PIECE)
        assert_int_equal(run_on_path(path, region, false, memory + at, PIECE, at), 0);
    assert_memory_equal(memory, file.bytes, FILE_SIZE);
    /* not on a page, and not in registered memory */
    assert_int_equal(run_on_path(path, region, false, copied, sizeof copied, 12345), 0);
    assert_memory_equal(copied, file.bytes + 12345, sizeof copied);
    memset(memory, 'L', PIECE);
    memset(copied, 'c', sizeof copied);
    assert_int_equal(run_on_path(path, region, true, memory, PIECE, 4096), 0);
    assert_int_equal(run_on_path(path, region, true, copied, sizeof copied, 4 << 20), 0);
    memset(file.bytes + 4096, 'L', PIECE);
    memset(file.bytes + (4 << 20), 'c', sizeof copied);
    assert_int_equal(pread(file.fd, memory, FILE_SIZE, 0), FILE_SIZE);
    assert_memory_equal(memory, file.bytes, FILE_SIZE);
    sealio_rdma_free(path);
    end_peer(peer);
    end_file();
    free(memory);
}

struct reader {
    struct sealio_rdma *path;
    const struct rdma_region *region;
    uint8_t *memory;
    uint64_t address;
    uint32_t key;
    atomic_uint reads;
    int rc;
};

/* A client that does not obey: it reads until it cannot. */
static void *read_on(void *arg)
{
    struct reader *reader = arg;
    struct sealio_rdma_op op = {
        .memory = reader->memory, .length = 1 << 20, .remote = reader->address, .key = reader->key};

    do {
        op.deadline_ms = sealio_now_ms() + PATIENCE_MS;
        reader->rc = sealio_rdma_run(reader->path, &op);
        if (reader->reads++ == 0)
            (void)!write(progress_fd, &(uint64_t){1}, 8);
    } while (reader->rc == 0);
    return NULL;
}

static void the_library_hears_of_a_fence_and_is_not_let_in_again(void **state)
{
    struct rdma_peer *peer = make_peer(ALICE, alices);
    struct reader reader = {.path = make_path(ALICE, alices), .memory = malloc(1 << 20)};
    struct pollfd fd = {.fd = progress_fd, .events = POLLIN};
    uint64_t events;
    pthread_t thread;

    (void)state;
    make_file("RDMA_XFS_DAX");
    assert_int_equal(map_file(true, false), 0);
    reader.region = register_file(peer, false);
    reader.address = rdma_region_piece(reader.region, 0).address;
    reader.key = rdma_region_piece(reader.region, 0).key;
    assert_int_equal(sealio_rdma_connect(reader.path, PATIENCE_MS), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
    while (reader.reads < 3)
        assert_true(poll(&fd, 1, 100) >= 0 && (!fd.revents || read(progress_fd, &events, 8) == 8));
    assert_int_equal(rdma_peer_fence(peer, PATIENCE_MS), 0);
    pthread_join(thread, NULL);
    assert_true(reader.rc == -EACCES || reader.rc == -ECONNRESET || reader.rc == -ENOTCONN);
    assert_int_equal(sealio_rdma_connect(reader.path, PATIENCE_MS), -EACCES);
    sealio_rdma_free(reader.path);
    assert_int_equal(destroy_peer(peer), 0);
    end_file();
    free(reader.memory);
}

/* The last test: afterwards there is no device. */
static void a_removed_link_ends_everything_and_nothing_hangs(void **state)
{
    struct rdma_peer *peer = make_peer(ALICE, alices);
    struct sealio_rdma *path = make_path(ALICE, alices);
    char command[128];

    (void)state;
    make_file("RDMA_XFS_DAX");
    assert_int_equal(map_file(true, false), 0);
    read_whole(register_file(peer, false));
    assert_int_equal(sealio_rdma_connect(path, PATIENCE_MS), 0);
    snprintf(command, sizeof command, "rdma link delete %s", getenv("RDMA_LINK"));
    assert_int_equal(system(command), 0);
    pthread_join(dispatcher, NULL);
    assert_int_equal(dispatched, -ENODEV);
    assert_int_equal(rdma_peer_fence(peer, PATIENCE_MS), 0);
    assert_int_equal(destroy_peer(peer), 0);
    assert_int_equal(pthread_create(&dispatcher, NULL, dispatch, NULL), 0);
    assert_true(sealio_rdma_connect(path, PATIENCE_MS) < 0);
    sealio_rdma_free(path);
    end_file();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(soft_roce_asks_for_whole_pages, clean_up),
        cmocka_unit_test_teardown(a_file_on_xfs_dax_is_read_on_demand, clean_up),
        cmocka_unit_test_teardown(a_file_on_ext4_dax_is_read_on_demand, clean_up),
        cmocka_unit_test_teardown(a_frozen_file_on_xfs_is_read_from_the_page_cache, clean_up),
        cmocka_unit_test_teardown(a_frozen_file_on_ext4_is_read_from_the_page_cache, clean_up),
        cmocka_unit_test_teardown(the_page_cache_is_refused_for_writing_and_for_data_that_changes,
                                  clean_up),
        cmocka_unit_test_teardown(a_write_reaches_a_file_on_xfs_dax, clean_up),
        cmocka_unit_test_teardown(a_write_reaches_a_file_on_ext4_dax, clean_up),
        cmocka_unit_test_teardown(who_has_no_secret_is_refused_and_counted, clean_up),
        cmocka_unit_test_teardown(the_oldest_connection_gives_way_and_reaches_nothing, clean_up),
        cmocka_unit_test_teardown(a_client_reaches_what_it_was_given_and_nothing_else, clean_up),
        cmocka_unit_test_teardown(a_key_is_shared_until_its_last_release_and_void_after_it,
                                  clean_up),
        cmocka_unit_test_teardown(a_fence_ends_a_transfer_from_persistent_memory, clean_up),
        cmocka_unit_test_teardown(a_fence_ends_a_transfer_from_the_page_cache, clean_up),
        cmocka_unit_test_teardown(a_killed_client_leaves_no_connection, clean_up),
        cmocka_unit_test_teardown(the_library_reads_and_writes, clean_up),
        cmocka_unit_test_teardown(the_library_hears_of_a_fence_and_is_not_let_in_again, clean_up),
        cmocka_unit_test_teardown(a_removed_link_ends_everything_and_nothing_hangs, clean_up),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
