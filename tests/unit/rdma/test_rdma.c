/*
 * rdma/ over a device that is played (fake_verbs.h): admission, registration, fence, and every call
 * that can fail. What a real kernel does is shown by tests/rdma.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rdma/peer.h"
#include "tests/unit/rdma/fake_verbs.h"

enum { SIZE = 1 << 16, SOON_MS = 50, LATE_MS = 60000, PATIENCE = 4 };

static struct rdma_target *target;
static char why[RDMA_WHY_MAX];
static int file = -1;
static uint64_t counter;
static const uint8_t secret[RDMA_SECRET_SIZE] = "a secret";

static struct sockaddr_in address = {.sin_family = AF_INET};
static const struct sockaddr *const addresses[] = {(const struct sockaddr *)&address,
                                                   (const struct sockaddr *)&address};
static struct rdma_target_options options = {
    .addresses = addresses, .addresses_count = 1, .peer_connections = 2, .verbs = &fake_verbs};

static int setup(void **state)
{
    char path[] = "/tmp/sealnfs-rdma-XXXXXX";

    (void)state;
    fake_reset();
    address.sin_addr.s_addr = htonl(0xc0000201);
    options.addresses_count = 1;
    file = mkstemp(path);
    unlink(path);
    return file >= 0 && ftruncate(file, SIZE) == 0 &&
                   rdma_target_create(&options, &target, why) == 0
               ? 0
               : -1;
}

/* A region is its users' until they release it, whatever became of its peer. */
static struct rdma_region *used[16];
static unsigned used_count;

static int release(struct rdma_region *region)
{
    unsigned i = 0;

    while (used[i] != region)
        i++;
    used[i] = used[--used_count];
    return rdma_region_release(region);
}

static void release_rest(void)
{
    while (used_count > 0)
        assert_int_equal(release(used[0]), 0);
}

static int teardown(void **state)
{
    struct fake_device left;

    (void)state;
    release_rest();
    rdma_target_destroy(target);
    target = NULL;
    close(file);
    left = fake_state();
    return left.ids || left.qps || left.cqs || left.pds || left.mrs || left.channels ? -1 : 0;
}

static struct rdma_counters counters(void)
{
    struct rdma_counters c;

    rdma_target_counters(target, &c);
    return c;
}

static struct rdma_peer *make_peer(uint64_t number)
{
    struct rdma_peer *peer;

    assert_int_equal(rdma_peer_create(target, number, secret, &peer), 0);
    return peer;
}

static void end_peer(struct rdma_peer *peer)
{
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), 0);
    assert_int_equal(rdma_peer_destroy(peer), 0);
}

static struct rdma_cm_id *ask(uint64_t number)
{
    uint8_t hello[RDMA_HELLO_SIZE];
    struct rdma_cm_id *id;

    rdma_hello_make(secret, number, ++counter, hello);
    id = fake_request(hello, sizeof hello, 4);
    assert_int_equal(rdma_target_dispatch(target), 0);
    return id;
}

static struct rdma_memory *make_memory(void)
{
    const struct rdma_facts facts = {.frozen = true};
    struct rdma_memory *memory;

    assert_int_equal(rdma_memory_open(file, SIZE, &facts, &memory, why), 0);
    return memory;
}

static struct rdma_region *make_region(struct rdma_peer *peer, struct rdma_memory *memory)
{
    struct rdma_region *region;

    assert_int_equal(rdma_peer_register(peer, memory, false, &region, why), 0);
    used[used_count++] = region;
    return region;
}

static void every_fact_leads_to_a_strategy_or_a_reason(void **state)
{
    static const struct {
        struct rdma_facts facts;
        enum rdma_strategy strategy;
        const char *why;
    } cases[] = {
        {{.dax = true, .on_demand = true, .writable = true}, RDMA_ON_DEMAND, ""},
        {{.dax = true, .on_demand = true, .frozen = true}, RDMA_ON_DEMAND, ""},
        {{.dax = true, .frozen = true}, RDMA_REFUSED, "on demand"},
        {{.dax = true, .writable = true}, RDMA_REFUSED, "on demand"},
        {{.frozen = true}, RDMA_PINNED, ""},
        {{.frozen = true, .on_demand = true}, RDMA_PINNED, ""},
        {{.frozen = true, .writable = true}, RDMA_REFUSED, "-o dax"},
        {{.on_demand = true, .writable = true}, RDMA_REFUSED, "-o dax"},
        {{.on_demand = true}, RDMA_REFUSED, "seal it frozen"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        why[0] = '\0';
        assert_int_equal(rdma_strategy_choose(&cases[i].facts, why), cases[i].strategy);
        if (!strstr(why, cases[i].why))
            fail_msg("case %zu: %s", i, why);
    }
}

static void memory_is_bounded_by_the_file(void **state)
{
    const struct rdma_facts frozen = {.frozen = true}, writable = {.writable = true};
    struct rdma_memory *memory = NULL;

    (void)state;
    assert_int_equal(rdma_memory_open(file, SIZE + 1, &frozen, &memory, why), -EINVAL);
    assert_int_equal(rdma_memory_open(file, 0, &frozen, &memory, why), -EINVAL);
    assert_int_equal(rdma_memory_open(-1, SIZE, &frozen, &memory, why), -EBADF);
    assert_int_equal(rdma_memory_open(file, SIZE, &writable, &memory, why), -EOPNOTSUPP);
    assert_null(memory);
    memory = make_memory();
    assert_int_equal(rdma_memory_size(memory), SIZE);
    assert_int_equal(rdma_memory_commit(memory, 0, SIZE), 0);
    assert_int_equal(rdma_memory_commit(memory, 4097, 3), 0);
    assert_int_equal(rdma_memory_commit(memory, SIZE, 0), 0);
    assert_int_equal(rdma_memory_commit(memory, SIZE, 1), -EINVAL);
    assert_int_equal(rdma_memory_commit(memory, 1, UINT64_MAX), -EINVAL);
    rdma_memory_put(memory);
}

static void a_target_says_what_it_lacks_and_leaves_nothing(void **state)
{
    static const enum fake_call calls[] = {FAKE_CREATE_CHANNEL, FAKE_CREATE_ID,    FAKE_BIND,
                                           FAKE_LISTEN,         FAKE_QUERY_DEVICE, FAKE_CREATE_CQ};
    struct rdma_target *other = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        fake_fail(calls[i], ENOSPC);
        why[0] = '\0';
        assert_int_equal(rdma_target_create(&options, &other, why),
                         calls[i] == FAKE_BIND ? -ENODEV : -ENOSPC);
        assert_int_not_equal(why[0], '\0');
        assert_int_equal(fake_state().ids, 1);
        assert_int_equal(fake_state().channels, 1);
        fake_fail(calls[i], 0);
    }
    fake_fail(FAKE_BIND, EADDRNOTAVAIL);
    assert_int_equal(rdma_target_create(&options, &other, why), -ENODEV);
    assert_string_equal(why, "no RDMA device has the address 192.0.2.1");
    options.addresses_count = 0;
    assert_int_equal(rdma_target_create(&options, &other, why), -EINVAL);
    assert_null(other);
}

static void addresses_of_two_devices_are_refused(void **state)
{
    struct rdma_target *other = NULL;

    (void)state;
    options.addresses_count = 2;
    fake_bind_to_other();
    assert_int_equal(rdma_target_create(&options, &other, why), -EXDEV);
    assert_non_null(strstr(why, "192.0.2.1"));
    assert_null(other);
    assert_int_equal(fake_state().ids, 1);
}

static void a_device_pages_on_demand_only_if_it_says_so(void **state)
{
    struct rdma_target *other;

    (void)state;
    assert_false(rdma_target_on_demand(target));
    assert_string_equal(rdma_target_device(target), "fake0");
    fake_set_on_demand(true);
    assert_int_equal(rdma_target_create(&options, &other, why), 0);
    assert_true(rdma_target_on_demand(other));
    assert_int_equal(rdma_target_alignment(other), 1);
    rdma_target_destroy(other);
}

static void soft_roce_pages_on_demand_by_whole_packets_only(void **state)
{
    static const struct {
        enum ibv_mtu mtu;
        int error;
        bool on_demand;
    } cases[] = {{IBV_MTU_1024, 0, false}, {IBV_MTU_4096, 0, true}, {IBV_MTU_4096, EIO, false}};
    struct rdma_target *other;

    (void)state;
    fake_set_on_demand(true);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake_set_vendor(0xffffff, cases[i].mtu);
        fake_fail(FAKE_QUERY_PORT, cases[i].error);
        assert_int_equal(rdma_target_create(&options, &other, why), 0);
        assert_int_equal(rdma_target_on_demand(other), cases[i].on_demand);
        assert_int_equal(rdma_target_alignment(other), 4096);
        rdma_target_destroy(other);
    }
}

static void expect_refusal(const void *hello, uint8_t len, enum rdma_admission judged,
                           rdma_refusal4 told)
{
    struct fake_device d = fake_state();
    int ids = d.ids;
    rdma_refused4 refused;

    fake_request(hello, len, 1);
    assert_int_equal(rdma_target_dispatch(target), 0);
    d = fake_state();
    assert_int_equal(rdma_refused_decode((struct xdr_bytes){d.rejected, d.rejected_len}, &refused),
                     0);
    assert_int_equal(refused.rre_why, told);
    assert_int_equal(counters().admissions[judged], 1);
    assert_int_equal(d.ids, ids);
    assert_non_null(rdma_admission_name(judged));
}

static void only_a_new_hello_by_the_secret_of_a_living_client_is_admitted(void **state)
{
    static const uint8_t wrong[RDMA_SECRET_SIZE] = "a secreu";
    struct rdma_peer *peer = make_peer(7), *old = make_peer(8);
    uint8_t hello[RDMA_HELLO_SIZE];

    (void)state;
    end_peer(old);
    ask(7);
    assert_int_equal(counters().admissions[RDMA_ADMITTED], 1);
    rdma_hello_make(secret, 7, counter, hello);
    expect_refusal(hello, sizeof hello, RDMA_REPLAYED, RDMA_REFUSED_NOT_ADMITTED);
    expect_refusal("", 0, RDMA_NOT_A_HELLO, RDMA_REFUSED_NOT_ADMITTED);
    rdma_hello_make(secret, 8, ++counter, hello);
    expect_refusal(hello, sizeof hello, RDMA_UNKNOWN_PEER, RDMA_REFUSED_NOT_ADMITTED);
    rdma_hello_make(wrong, 7, ++counter, hello);
    expect_refusal(hello, sizeof hello, RDMA_WRONG_TAG, RDMA_REFUSED_NOT_ADMITTED);
    hello[3] = 2;
    expect_refusal(hello, sizeof hello, RDMA_OTHER_VERSION, RDMA_REFUSED_VERSION);
    rdma_peer_set_lease(peer, false);
    rdma_hello_make(secret, 7, ++counter, hello);
    expect_refusal(hello, sizeof hello, RDMA_NO_LEASE, RDMA_REFUSED_NOT_ADMITTED);
    rdma_peer_set_lease(peer, true);
    ask(7);
    assert_int_equal(counters().connections, 2);
    end_peer(peer);
}

/* From anywhere on the network: it costs nothing to ask. */
static void who_asks_without_end_does_not_keep_the_thread(void **state)
{
    enum { MANY = 24 };
    int fds[2];

    (void)state;
    for (int i = 0; i < MANY; i++)
        fake_request("?", 1, 1);
    assert_int_equal(rdma_target_dispatch(target), 0);
    const uint64_t first = counters().admissions[RDMA_NOT_A_HELLO];
    assert_true(first > 0 && first < MANY);
    rdma_target_fds(target, fds);
    struct pollfd left = {.fd = fds[0], .events = POLLIN};
    assert_int_equal(poll(&left, 1, 0), 1); /* what is left is not forgotten */
    assert_int_equal(rdma_target_dispatch(target), 0);
    assert_int_equal(counters().admissions[RDMA_NOT_A_HELLO], MANY);
}

/* Lost goodbyes: the server believes of connections that they stand, and the client is back. */
static void the_oldest_connection_gives_way_to_a_newer_one_of_its_client(void **state)
{
    struct rdma_peer *peer = make_peer(1), *other = make_peer(2);
    struct rdma_cm_id *ids[8];
    struct fake_device d;

    (void)state;
    ask(2);
    for (unsigned i = 0; i < 8; i++) {
        ids[i] = ask(1);
        assert_non_null(ids[i]->qp);
        assert_true(fake_state().qps <= 3);
    }
    assert_int_equal(counters().admissions[RDMA_ADMITTED], 9);
    assert_int_equal(counters().admissions[RDMA_TOO_MANY], 0);
    assert_int_equal(counters().gave_way, 6);
    assert_int_equal(counters().connections, 3);
    /* The two that came last stand; the old queue pair went before there was a new one. */
    for (unsigned i = 6; i < 8; i++) {
        fake_cm_event(ids[i], RDMA_CM_EVENT_DISCONNECTED);
        assert_int_equal(rdma_target_dispatch(target), 0);
    }
    assert_int_equal(counters().connections, 1);
    d = fake_state();
    assert_non_null(strstr(d.trace, "destroy_qp destroy_id create_qp accept"));
    end_peer(peer);
    assert_int_equal(counters().connections, 1); /* another client's never gives way */
    end_peer(other);
}

/* Nobody else gets a client's place, however often he asks. */
static void who_cannot_prove_himself_moves_no_connection(void **state)
{
    static const uint8_t wrong[RDMA_SECRET_SIZE] = "a secreu";
    struct rdma_peer *peer = make_peer(7);
    uint8_t hello[RDMA_HELLO_SIZE];

    (void)state;
    ask(7);
    ask(7);
    rdma_hello_make(secret, 7, counter, hello);
    expect_refusal(hello, sizeof hello, RDMA_REPLAYED, RDMA_REFUSED_NOT_ADMITTED);
    rdma_hello_make(wrong, 7, ++counter, hello);
    expect_refusal(hello, sizeof hello, RDMA_WRONG_TAG, RDMA_REFUSED_NOT_ADMITTED);
    rdma_peer_set_lease(peer, false);
    rdma_hello_make(secret, 7, ++counter, hello);
    expect_refusal(hello, sizeof hello, RDMA_NO_LEASE, RDMA_REFUSED_NOT_ADMITTED);
    assert_int_equal(counters().gave_way, 0);
    assert_int_equal(counters().connections, 2);
    assert_int_equal(fake_state().qps, 2);
    end_peer(peer);
}

/* An old queue pair that is still there could reach memory: no exchange, and the fence sees it. */
static void what_cannot_be_ended_does_not_give_way(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_memory();
    uint8_t hello[RDMA_HELLO_SIZE];

    (void)state;
    make_region(peer, memory);
    ask(1);
    ask(1);
    fake_fail(FAKE_DESTROY_QP, EBUSY);
    rdma_hello_make(secret, 1, ++counter, hello);
    expect_refusal(hello, sizeof hello, RDMA_TOO_MANY, RDMA_REFUSED_BUSY);
    assert_int_equal(fake_state().qps, 2);
    assert_int_equal(counters().connections, 2);
    assert_int_equal(counters().gave_way, 0);
    fake_fail(FAKE_DEREG_MR, EBUSY);
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), -EIO);
    fake_fail(FAKE_DESTROY_QP, 0);
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), 0);
    assert_int_equal(fake_state().qps, 0);
    fake_fail(FAKE_DEREG_MR, 0);
    end_peer(peer);
    rdma_memory_put(memory);
}

struct registration {
    struct rdma_peer *peer;
    struct rdma_memory *memory;
    struct rdma_region *region;
    int error;
};

static void *fence_late(void *arg)
{
    struct registration *r = arg;

    r->error = rdma_peer_fence(r->peer, LATE_MS);
    return NULL;
}

static void *ask_late(void *arg)
{
    (void)arg;
    ask(1);
    return NULL;
}

/* The queue pair that gives way is in no list any more, and reaches memory until it is destroyed.
 */
static void a_fence_waits_for_a_connection_that_gives_way(void **state)
{
    struct registration r = {.peer = make_peer(1), .memory = make_memory()};
    pthread_t asking, fencing;

    (void)state;
    make_region(r.peer, r.memory);
    ask(1);
    ask(1);
    fake_fail(FAKE_DEREG_MR, EBUSY);
    fake_hang(FAKE_DESTROY_QP);
    assert_int_equal(pthread_create(&asking, NULL, ask_late, NULL), 0);
    fake_wait_hanging(FAKE_DESTROY_QP);
    assert_int_equal(rdma_peer_fence(r.peer, SOON_MS), -EIO);
    fake_release(FAKE_DESTROY_QP);
    assert_int_equal(pthread_create(&fencing, NULL, fence_late, &r), 0);
    pthread_join(asking, NULL);
    pthread_join(fencing, NULL);
    assert_int_equal(r.error, 0);
    assert_int_equal(fake_state().qps, 0);
    fake_fail(FAKE_DEREG_MR, 0);
    end_peer(r.peer);
    rdma_memory_put(r.memory);
}

static void a_client_whose_end_is_gone_is_noticed(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_cm_id *alive = ask(1), *dead = ask(1);
    struct ibv_qp *qp = dead->qp;

    (void)state;
    rdma_target_probe(target, PATIENCE);
    rdma_target_probe(target, PATIENCE); /* one at a time: the queue pair has no room for two */
    assert_true(fake_complete(alive->qp, IBV_WC_SUCCESS));
    assert_false(fake_complete(alive->qp, IBV_WC_SUCCESS));
    rdma_target_probe(target, PATIENCE);
    assert_int_equal(counters().connections, 2);
    assert_true(fake_complete(qp, IBV_WC_RETRY_EXC_ERR));
    rdma_target_probe(target, PATIENCE);
    assert_int_equal(counters().connections, 1);
    assert_int_equal(counters().dead, 1);
    assert_int_equal(fake_state().qps, 1);
    ask(1); /* in its place */
    assert_int_equal(counters().gave_way, 0);
    end_peer(peer);
}

/* As soft-RoCE does, which tries for ever. */
static void a_device_that_says_nothing_is_waited_for_so_long(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_cm_id *alive = ask(1);

    (void)state;
    ask(1);
    for (unsigned i = 0; i < PATIENCE; i++) {
        assert_int_equal(counters().connections, 2);
        rdma_target_probe(target, PATIENCE);
        assert_true(fake_complete(alive->qp, IBV_WC_SUCCESS));
    }
    fake_fail(FAKE_DESTROY_QP, EBUSY);
    rdma_target_probe(target, PATIENCE);
    assert_int_equal(counters().connections, 2); /* it is there, for the fence to see */
    fake_fail(FAKE_DESTROY_QP, 0);
    for (unsigned i = 0; i <= PATIENCE; i++) {
        (void)fake_complete(alive->qp, IBV_WC_SUCCESS);
        rdma_target_probe(target, PATIENCE);
    }
    assert_int_equal(counters().connections, 1);
    assert_int_equal(fake_state().qps, 1);
    assert_true(fake_complete(alive->qp, IBV_WC_SUCCESS));
    end_peer(peer);
}

/* It may name a queue pair that was made anew in the same place. */
static void a_probe_that_comes_back_late_ends_nobody(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_cm_id *id = ask(1);
    struct ibv_qp *qp = id->qp;

    (void)state;
    fake_fail(FAKE_POST_SEND, EINVAL); /* not up yet: no probe, and no evidence */
    rdma_target_probe(target, PATIENCE);
    assert_false(fake_complete(qp, IBV_WC_SUCCESS));
    fake_fail(FAKE_POST_SEND, 0);
    rdma_target_probe(target, PATIENCE);
    fake_cm_event(id, RDMA_CM_EVENT_DISCONNECTED);
    assert_int_equal(rdma_target_dispatch(target), 0);
    ask(1);
    assert_true(fake_complete(qp, IBV_WC_WR_FLUSH_ERR));
    rdma_target_probe(target, PATIENCE);
    assert_int_equal(counters().connections, 1);
    assert_int_equal(counters().dead, 0);
    end_peer(peer);
}

/* A tag covers every bit before it, and not one of its own may differ. */
static void no_bit_of_a_hello_can_be_changed(void **state)
{
    uint8_t hello[RDMA_HELLO_SIZE];

    (void)state;
    rdma_hello_make(secret, 7, 1, hello);
    assert_true(rdma_hello_is_by(secret, hello));
    for (unsigned bit = 0; bit < RDMA_HELLO_SIZE * 8; bit++) {
        hello[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(rdma_hello_is_by(secret, hello));
        hello[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void a_connection_is_made_in_its_clients_protection_domain(void **state)
{
    struct rdma_peer *one = make_peer(1), *two = make_peer(2);
    struct ibv_pd *first;

    (void)state;
    ask(1);
    first = fake_state().pd;
    assert_int_equal(fake_state().accepted.responder_resources, 4);
    ask(2);
    assert_ptr_not_equal(first, fake_state().pd);
    assert_int_equal(fake_state().pds, 2);
    end_peer(one);
    end_peer(two);
}

static void a_connection_that_cannot_be_set_up_leaves_nothing(void **state)
{
    static const enum fake_call calls[] = {FAKE_CREATE_QP, FAKE_ACCEPT};
    struct rdma_peer *peer = make_peer(1);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        fake_fail(calls[i], ENOMEM);
        ask(1);
        fake_fail(calls[i], 0);
        assert_int_equal(fake_state().qps, 0);
        assert_int_equal(fake_state().ids, 1);
        assert_int_equal(counters().connections, 0);
    }
    ask(1);
    ask(1);
    assert_int_equal(counters().connections, 2); /* the failed ones took no place */
    end_peer(peer);
}

/* The queue pair is there, so the fence must hear of it. */
static void a_failed_set_up_that_cannot_be_undone_is_left_to_the_fence(void **state)
{
    struct rdma_peer *peer = make_peer(1);

    (void)state;
    fake_fail(FAKE_ACCEPT, EIO);
    fake_fail(FAKE_DESTROY_QP, EBUSY);
    ask(1);
    assert_int_equal(fake_state().qps, 1);
    assert_int_equal(counters().connections, 1);
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), 0); /* nothing is registered */
    assert_int_equal(rdma_peer_destroy(peer), -EBUSY);
    fake_fail(FAKE_DESTROY_QP, 0);
    end_peer(peer);
}

static void a_connection_ends_with_its_event(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_cm_id *id = ask(1);

    (void)state;
    fake_cm_event(id, RDMA_CM_EVENT_ESTABLISHED);
    fake_cm_event(id, RDMA_CM_EVENT_DISCONNECTED);
    assert_int_equal(rdma_target_dispatch(target), 0);
    assert_int_equal(fake_state().qps, 0);
    assert_int_equal(counters().connections, 0);
    id = ask(1);
    fake_async_event(IBV_EVENT_QP_ACCESS_ERR, id->qp);
    fake_async_event(IBV_EVENT_COMM_EST, id->qp);
    assert_int_equal(rdma_target_dispatch(target), 0);
    assert_true(fake_state().disconnected);
    fake_cm_event(id, RDMA_CM_EVENT_DISCONNECTED);
    assert_int_equal(rdma_target_dispatch(target), 0);
    assert_int_equal(fake_state().qps, 0);
    end_peer(peer);
}

static void a_number_stands_for_one_client(void **state)
{
    struct rdma_peer *peer = make_peer(1), *other = NULL;

    (void)state;
    assert_int_equal(rdma_peer_create(target, 1, secret, &other), -EEXIST);
    fake_fail(FAKE_ALLOC_PD, ENOMEM);
    assert_int_equal(rdma_peer_create(target, 2, secret, &other), -ENOMEM);
    assert_null(other);
    assert_int_equal(rdma_peer_destroy(peer), -EBUSY); /* it has not been fenced */
    end_peer(peer);
}

static void a_registration_is_shared_and_ends_with_its_last_user(void **state)
{
    struct rdma_peer *peer = make_peer(1), *other = make_peer(2);
    struct rdma_memory *memory = make_memory();
    struct rdma_region *first = make_region(peer, memory), *second = make_region(peer, memory);
    struct rdma_region *foreign = make_region(other, memory);

    (void)state;
    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, foreign);
    assert_int_not_equal(rdma_region_piece(first, 0).key, rdma_region_piece(foreign, 0).key);
    assert_int_equal(fake_state().access, IBV_ACCESS_REMOTE_READ);
    assert_int_equal(counters().registered_bytes, 2 * SIZE);
    assert_int_equal(release(first), 0);
    assert_int_equal(fake_state().mrs, 2);
    assert_int_equal(release(second), 0);
    assert_int_equal(fake_state().mrs, 1);
    assert_int_equal(release(foreign), 0);
    assert_int_equal(counters().registered_bytes, 0);
    rdma_memory_put(memory);
    end_peer(peer);
    end_peer(other);
}

static void a_refused_registration_says_why(void **state)
{
    static const struct {
        int error;
        const char *why;
    } cases[] = {{ENOMEM, "RLIMIT_MEMLOCK"}, {EFAULT, "6.12"}, {EOPNOTSUPP, "does not register"}};
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_memory();
    struct rdma_region *region = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake_fail(FAKE_REG_MR, cases[i].error);
        assert_int_equal(rdma_peer_register(peer, memory, false, &region, why), -cases[i].error);
        assert_non_null(strstr(why, cases[i].why));
        assert_int_equal(counters().regions, 0);
    }
    fake_fail(FAKE_REG_MR, 0);
    assert_int_equal(rdma_peer_register(peer, memory, true, &region, why), -EACCES);
    assert_null(region);
    rdma_memory_put(memory);
    end_peer(peer);
}

static int try_region(struct rdma_peer *peer, struct rdma_memory *memory)
{
    struct rdma_region *region = NULL;
    int err = rdma_peer_register(peer, memory, false, &region, why);

    if (!err)
        used[used_count++] = region;
    return err;
}

static void what_is_pinned_is_bounded_in_all_and_for_each(void **state)
{
    struct rdma_peer *one = make_peer(1), *two = make_peer(2), *three = make_peer(3);
    struct rdma_memory *a = make_memory(), *b = make_memory(), *c = make_memory();

    (void)state;
    rdma_target_set_limits(target, &(struct rdma_limits){2 * SIZE, SIZE});
    assert_int_equal(try_region(one, a), 0);
    assert_int_equal(try_region(one, a), 0); /* the same registration */
    assert_int_equal(try_region(two, a), 0); /* the same pages */
    assert_int_equal(counters().registered_bytes, 2 * SIZE);
    assert_int_equal(counters().pinned_bytes, SIZE);
    assert_int_equal(try_region(one, b), -EDQUOT);
    assert_non_null(strstr(why, "rdma_max_pinned_per_client"));
    assert_int_equal(try_region(three, b), 0);
    assert_int_equal(counters().pinned_bytes, 2 * SIZE);
    assert_int_equal(fake_state().registered, 3 * SIZE);
    rdma_target_set_limits(target, &(struct rdma_limits){2 * SIZE, 2 * SIZE});
    assert_int_equal(try_region(one, b), 0); /* it is pinned already */
    assert_int_equal(try_region(two, c), -ENOSPC);
    assert_non_null(strstr(why, "(rdma_max_pinned)"));
    rdma_target_set_limits(target, &(struct rdma_limits){SIZE - 1, 0});
    assert_int_equal(try_region(two, c), -EFBIG); /* whatever goes */
    rdma_target_set_limits(target, &(struct rdma_limits){0, SIZE - 1});
    assert_int_equal(try_region(two, c), -EFBIG);
    release_rest();
    assert_int_equal(counters().pinned_bytes, 0);
    rdma_target_set_limits(target, &(struct rdma_limits){SIZE, SIZE});
    assert_int_equal(try_region(two, c), 0);
    release_rest();
    end_peer(one);
    end_peer(two);
    end_peer(three);
    rdma_memory_put(a);
    rdma_memory_put(b);
    rdma_memory_put(c);
}

/* What failed to be registered takes no room; what failed to be taken back does, until it is. */
static void room_is_counted_by_what_is_pinned(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_memory(), *other = make_memory();
    struct rdma_region *region;

    (void)state;
    rdma_target_set_limits(target, &(struct rdma_limits){SIZE, SIZE});
    fake_fail(FAKE_REG_MR, ENOMEM);
    assert_int_equal(try_region(peer, memory), -ENOMEM);
    fake_fail(FAKE_REG_MR, 0);
    assert_int_equal(counters().pinned_bytes, 0);
    region = make_region(peer, memory);
    fake_fail(FAKE_DEREG_MR, EBUSY);
    assert_int_equal(release(region), -EBUSY);
    assert_int_equal(try_region(peer, other), -EDQUOT);
    assert_int_equal(counters().pinned_bytes, SIZE);
    fake_fail(FAKE_DEREG_MR, 0);
    end_peer(peer);
    assert_int_equal(counters().pinned_bytes, 0);
    rdma_memory_put(memory);
    rdma_memory_put(other);
}

enum { PAGE = 4096 };

static struct rdma_memory *make_sparse(void)
{
    static const struct rdma_range data[] = {{0, PAGE}, {8 * PAGE, 2 * PAGE}, {SIZE - 512, 512}};
    struct rdma_memory *memory = make_memory();

    rdma_memory_set_data(memory, data, 3);
    return memory;
}

static void holes_are_not_registered(void **state)
{
    static const struct rdma_range close[] = {{10, 20}, {100, PAGE}, {3 * PAGE, SIZE}};
    static const struct rdma_range expected[] = {
        {0, PAGE}, {8 * PAGE, 2 * PAGE}, {SIZE - PAGE, PAGE}};
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_sparse(), *empty = make_memory(), *merged = make_memory();
    struct rdma_region *region = make_region(peer, memory), *none;

    (void)state;
    assert_int_equal(fake_state().mrs, 3);
    assert_int_equal(fake_state().registered, 4 * PAGE);
    assert_int_equal(counters().pinned_bytes, 4 * PAGE);
    assert_int_equal(counters().registered_bytes, 4 * PAGE);
    assert_int_equal(rdma_region_piece_count(region), 3);
    for (unsigned i = 0; i < 3; i++) {
        struct rdma_piece piece = rdma_region_piece(region, i);

        assert_int_equal(piece.offset, expected[i].offset);
        assert_int_equal(piece.length, expected[i].length);
        assert_int_equal(piece.address, (uintptr_t)rdma_memory_base(memory) + expected[i].offset);
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(piece.key, rdma_region_piece(region, j).key);
    }
    assert_int_equal(release(region), 0);
    assert_int_equal(fake_state().mrs, 0);
    rdma_memory_set_data(empty, NULL, 0);
    none = make_region(peer, empty);
    assert_int_equal(rdma_region_piece_count(none), 0);
    assert_int_equal(release(none), 0);
    rdma_memory_set_data(merged, close, 3); /* grown to pages, they meet; none is past the end */
    assert_int_equal(rdma_memory_piece_count(merged), 2);
    assert_int_equal(rdma_memory_piece(merged, 0).length, 2 * PAGE);
    assert_int_equal(rdma_memory_piece(merged, 1).length, SIZE - 3 * PAGE);
    end_peer(peer);
    rdma_memory_put(memory);
    rdma_memory_put(empty);
    rdma_memory_put(merged);
}

/* All pieces or none; a key that may still work is left to the fence. */
static void a_piece_that_fails_undoes_those_before_it(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_sparse();

    (void)state;
    fake_fail_later(FAKE_REG_MR, 2, ENOMEM);
    assert_int_equal(try_region(peer, memory), -ENOMEM);
    assert_int_equal(fake_state().mrs, 0);
    assert_int_equal(counters().pinned_bytes, 0);
    fake_fail_later(FAKE_REG_MR, 2, ENOMEM);
    fake_fail_later(FAKE_DEREG_MR, 1, EBUSY);
    assert_int_equal(try_region(peer, memory), -ENOTRECOVERABLE);
    assert_int_equal(fake_state().mrs, 1);
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), 0); /* it has no queue pair */
    assert_int_equal(rdma_peer_destroy(peer), -EBUSY);
    fake_fail(FAKE_DEREG_MR, 0);
    fake_fail(FAKE_REG_MR, 0);
    end_peer(peer);
    assert_int_equal(fake_state().mrs, 0);
    assert_int_equal(counters().pinned_bytes, 0);
    rdma_memory_put(memory);
}

static void what_is_left_of_a_region_is_taken_back_by_the_next_try(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_sparse();
    struct rdma_region *region = make_region(peer, memory);

    (void)state;
    fake_fail_later(FAKE_DEREG_MR, 1, EBUSY);
    assert_int_equal(release(region), -EBUSY);
    assert_int_equal(fake_state().mrs, 2);
    assert_int_equal(counters().pinned_bytes, 4 * PAGE);
    fake_fail(FAKE_DEREG_MR, 0);
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), 0);
    assert_int_equal(fake_state().mrs, 0);
    end_peer(peer);
    rdma_memory_put(memory);
}

/* The key may still work: the release says so, and the fence tries again. */
static void a_release_that_fails_is_no_release(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_memory();
    struct rdma_region *region = make_region(peer, memory);

    (void)state;
    fake_fail(FAKE_DEREG_MR, EBUSY);
    assert_int_equal(release(region), -EBUSY);
    assert_int_equal(counters().regions, 1);
    fake_fail(FAKE_DEREG_MR, 0);
    assert_ptr_not_equal(make_region(peer, memory),
                         region); /* what failed is not handed out again */
    assert_int_equal(fake_state().mrs, 2);
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), 0);
    assert_int_equal(fake_state().mrs, 0);
    assert_int_equal(rdma_peer_destroy(peer), 0);
    rdma_memory_put(memory);
}

static void a_fence_deregisters_first_and_then_destroys_the_connections(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_memory();
    struct rdma_region *region = NULL;
    const char *trace, *deregistered, *destroyed;
    struct fake_device d;

    (void)state;
    make_region(peer, memory);
    ask(1);
    ask(1);
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), 0);
    d = fake_state();
    trace = d.trace;
    deregistered = strstr(trace, "dereg_mr");
    destroyed = strstr(trace, "destroy_qp");
    assert_non_null(deregistered);
    assert_non_null(destroyed);
    assert_true(deregistered < destroyed);
    assert_int_equal(d.qps, 0);
    assert_int_equal(d.mrs, 0);
    assert_int_equal(rdma_peer_register(peer, memory, false, &region, why), -ESHUTDOWN);
    ask(1);
    assert_int_equal(counters().admissions[RDMA_UNKNOWN_PEER], 1);
    assert_int_equal(counters().fences, 1);
    assert_int_equal(rdma_peer_destroy(peer), 0);
    rdma_memory_put(memory);
}

static void a_fence_succeeds_by_the_queue_pairs_where_deregistration_fails(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_memory();

    (void)state;
    make_region(peer, memory);
    ask(1);
    fake_fail(FAKE_DEREG_MR, EIO);
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), 0);
    assert_int_equal(fake_state().qps, 0);
    assert_int_equal(rdma_peer_destroy(peer), -EBUSY); /* the registration is still there */
    fake_fail(FAKE_DEREG_MR, 0);
    end_peer(peer);
    rdma_memory_put(memory);
}

static void a_fence_of_which_neither_part_works_is_none(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_memory();

    (void)state;
    make_region(peer, memory);
    ask(1);
    fake_fail(FAKE_DEREG_MR, EIO);
    fake_fail(FAKE_DESTROY_QP, EIO);
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), -EIO);
    assert_int_equal(counters().fences, 0);
    assert_int_equal(counters().fences_failed, 1);
    assert_int_equal(counters().connections, 1);
    assert_int_equal(rdma_peer_destroy(peer), -EBUSY);
    fake_fail(FAKE_DEREG_MR, 0);
    fake_fail(FAKE_DESTROY_QP, 0);
    end_peer(peer);
    rdma_memory_put(memory);
}

static void a_deregistration_that_hangs_does_not_keep_the_fence(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_memory();

    (void)state;
    make_region(peer, memory);
    ask(1);
    fake_hang(FAKE_DEREG_MR);
    assert_int_equal(rdma_peer_fence(peer, SOON_MS), 0);
    assert_int_equal(fake_state().qps, 0);
    assert_int_equal(rdma_peer_destroy(peer), -EBUSY); /* a thread is still in there */
    fake_release(FAKE_DEREG_MR);
    end_peer(peer);
    assert_int_equal(fake_state().mrs, 0);
    rdma_memory_put(memory);
}

static void a_fence_that_hangs_wholly_has_not_been_seen_to_work(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_memory();

    (void)state;
    make_region(peer, memory);
    ask(1);
    fake_hang(FAKE_DEREG_MR);
    fake_hang(FAKE_DESTROY_QP);
    assert_int_equal(rdma_peer_fence(peer, SOON_MS), -ETIMEDOUT);
    assert_int_equal(rdma_peer_fence(peer, SOON_MS), -ETIMEDOUT);
    fake_release(FAKE_DEREG_MR);
    fake_release(FAKE_DESTROY_QP);
    end_peer(peer);
    assert_int_equal(fake_state().mrs,
                     0); /* and nothing was deregistered twice: the fake would have crashed */
    rdma_memory_put(memory);
}

static void *register_slowly(void *arg)
{
    struct registration *r = arg;
    char reason[RDMA_WHY_MAX];

    r->error = rdma_peer_register(r->peer, r->memory, false, &r->region, reason);
    return NULL;
}

/* Otherwise a key could come to life behind the fence's back. */
static void a_fence_waits_for_a_registration_under_way(void **state)
{
    struct registration r = {.peer = make_peer(1), .memory = make_memory()};
    pthread_t thread;

    (void)state;
    ask(1);
    fake_fail(FAKE_DESTROY_QP, EIO);
    fake_hang(FAKE_REG_MR);
    assert_int_equal(pthread_create(&thread, NULL, register_slowly, &r), 0);
    fake_wait_hanging(FAKE_REG_MR);
    assert_int_equal(rdma_peer_fence(r.peer, SOON_MS), -ETIMEDOUT);
    fake_release(FAKE_REG_MR);
    pthread_join(thread, NULL);
    assert_int_equal(r.error, -ESHUTDOWN);
    assert_int_equal(rdma_peer_fence(r.peer, LATE_MS), 0);
    assert_int_equal(fake_state().mrs, 0);
    fake_fail(FAKE_DESTROY_QP, 0);
    end_peer(r.peer);
    rdma_memory_put(r.memory);
}

static void two_who_want_the_same_register_it_once(void **state)
{
    struct registration r[2] = {{.peer = make_peer(1), .memory = make_memory()}};
    pthread_t threads[2];

    (void)state;
    r[1] = r[0];
    fake_hang(FAKE_REG_MR);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, register_slowly, &r[i]), 0);
    fake_wait_hanging(FAKE_REG_MR);
    fake_release(FAKE_REG_MR);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(r[i].error, 0);
        used[used_count++] = r[i].region;
    }
    assert_int_equal(fake_state().mrs, 1);
    end_peer(r[0].peer);
    rdma_memory_put(r[0].memory);
}

/* Only when the kernel has finished with the device is it sure that nothing of it can be reached.
 */
static void a_removed_device_fences_once_it_is_gone_for_good(void **state)
{
    struct rdma_peer *peer = make_peer(1);
    struct rdma_memory *memory = make_memory();
    struct rdma_cm_id *id;

    (void)state;
    make_region(peer, memory);
    id = ask(1);
    fake_fail(FAKE_DEREG_MR, EIO);
    fake_fail(FAKE_DESTROY_QP, EIO);
    fake_cm_event(id, RDMA_CM_EVENT_DEVICE_REMOVAL);
    assert_int_equal(rdma_target_dispatch(target), -ENODEV);
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), -EIO);
    fake_set_path("/sys/class/infiniband/is-gone");
    assert_int_equal(rdma_peer_fence(peer, LATE_MS), 0);
    assert_int_equal(rdma_peer_destroy(peer), 0);
    fake_lose_last();
    rdma_memory_put(memory);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_fact_leads_to_a_strategy_or_a_reason),
        TEST(memory_is_bounded_by_the_file),
        TEST(a_target_says_what_it_lacks_and_leaves_nothing),
        TEST(addresses_of_two_devices_are_refused),
        TEST(a_device_pages_on_demand_only_if_it_says_so),
        TEST(soft_roce_pages_on_demand_by_whole_packets_only),
        TEST(only_a_new_hello_by_the_secret_of_a_living_client_is_admitted),
        TEST(who_asks_without_end_does_not_keep_the_thread),
        TEST(the_oldest_connection_gives_way_to_a_newer_one_of_its_client),
        TEST(who_cannot_prove_himself_moves_no_connection),
        TEST(what_cannot_be_ended_does_not_give_way),
        TEST(a_fence_waits_for_a_connection_that_gives_way),
        TEST(a_client_whose_end_is_gone_is_noticed),
        TEST(a_device_that_says_nothing_is_waited_for_so_long),
        TEST(a_probe_that_comes_back_late_ends_nobody),
        TEST(no_bit_of_a_hello_can_be_changed),
        TEST(a_connection_is_made_in_its_clients_protection_domain),
        TEST(a_connection_that_cannot_be_set_up_leaves_nothing),
        TEST(a_failed_set_up_that_cannot_be_undone_is_left_to_the_fence),
        TEST(a_connection_ends_with_its_event),
        TEST(a_number_stands_for_one_client),
        TEST(a_registration_is_shared_and_ends_with_its_last_user),
        TEST(a_refused_registration_says_why),
        TEST(what_is_pinned_is_bounded_in_all_and_for_each),
        TEST(room_is_counted_by_what_is_pinned),
        TEST(holes_are_not_registered),
        TEST(a_piece_that_fails_undoes_those_before_it),
        TEST(what_is_left_of_a_region_is_taken_back_by_the_next_try),
        TEST(a_release_that_fails_is_no_release),
        TEST(a_fence_deregisters_first_and_then_destroys_the_connections),
        TEST(a_fence_succeeds_by_the_queue_pairs_where_deregistration_fails),
        TEST(a_fence_of_which_neither_part_works_is_none),
        TEST(a_deregistration_that_hangs_does_not_keep_the_fence),
        TEST(a_fence_that_hangs_wholly_has_not_been_seen_to_work),
        TEST(a_fence_waits_for_a_registration_under_way),
        TEST(two_who_want_the_same_register_it_once),
        TEST(a_removed_device_fences_once_it_is_gone_for_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
