/*
 * Who takes what the device has completed: those who wait, one at a time, and the connection's
 * thread for everybody else (client/rdma/lead.c). The device is played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "client/net/transport.h"
#include "client/rdma/rdma.h"
#include "tests/unit/client/fake_rdma.h"

enum { KEY = 11, LENGTH = 4096, PATIENCE_MS = 5000, LONG_MS = 60000, TRIES = 2000, THREADS = 4 };

static uint8_t remote[1 << 16];
static struct sealio_rdma *path;

struct tried {
    struct sealio_rdma_op op; /* first */
    uint8_t memory[LENGTH];
    pthread_t by;
    atomic_bool over;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void note(struct sealio_rdma_op *op, int rc)
{
    struct tried *tried = (struct tried *)op;
    (void)rc;
    tried->by = pthread_self();
    pthread_mutex_lock(&mutex);
    atomic_store(&tried->over, true);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void submit(struct tried *tried, uint64_t patience_ms, bool unattended)
{
    atomic_store(&tried->over, false);
    tried->op = (struct sealio_rdma_op){.memory = tried->memory,
                                        .length = LENGTH,
                                        .remote = (uintptr_t)remote,
                                        .key = KEY,
                                        .deadline_ms = sealio_now_ms() + patience_ms,
                                        .unattended = unattended,
                                        .done = note};
    assert_int_equal(sealio_rdma_submit(path, &tried->op), 0);
}

/* Without leading. */
static void await(struct tried *tried)
{
    pthread_mutex_lock(&mutex);
    while (!atomic_load(&tried->over))
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

/* Its thread takes none before it has seen that somebody leads. */
static void come_to_lead(void)
{
    struct tried tried;
    for (int i = 0; i < TRIES; i++) {
        submit(&tried, LONG_MS, false);
        (void)sealio_rdma_lead(path, &tried.over, UINT64_MAX);
        await(&tried);
        assert_int_equal(tried.op.rc, 0);
        if (pthread_equal(tried.by, pthread_self()))
            return;
    }
    fail_msg("nobody who waits takes completions");
}

static int set_up(void **state)
{
    netaddr4 at = {xdr_bytes_of("rdma"), xdr_bytes_of("127.0.0.1.78.81")};
    rdma_deviceaddr4 addr = {.rda_version = RDMA_LAYOUT_VERSION,
                             .rda_alignment = 1,
                             .rda_addrs_count = 1,
                             .rda_addrs = &at};
    (void)state;
    fake_rdma_reset(remote, sizeof(remote));
    fake_rdma_set_secret(addr.rda_secret);
    fake_rdma_set_alignment(1);
    return sealio_rdma_create(&addr, &fake_rdma_verbs, &path) == 0 &&
                   sealio_rdma_connect(path, PATIENCE_MS) == 0
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    sealio_rdma_free(path);
    const struct fake_rdma_state left = fake_rdma_now();
    return left.channels || left.ids || left.pds || left.comps || left.cqs || left.qps || left.mrs
               ? -1
               : 0;
}

static void who_waits_takes_completions_itself(void **state)
{
    (void)state;
    come_to_lead();
}

static void what_nobody_waits_for_is_completed_all_the_same(void **state)
{
    struct tried tried;
    (void)state;
    come_to_lead();
    submit(&tried, LONG_MS, false);
    await(&tried);
    assert_false(pthread_equal(tried.by, pthread_self()));
    come_to_lead();
    submit(&tried, LONG_MS, true);
    await(&tried);
    assert_false(pthread_equal(tried.by, pthread_self()));
}

static void who_leads_is_back_in_time(void **state)
{
    struct tried tried;
    (void)state;
    come_to_lead();
    fake_rdma_hold(true);
    submit(&tried, LONG_MS, false);
    assert_true(sealio_rdma_lead(path, &tried.over, sealio_now_ms() + 30));
    assert_false(atomic_load(&tried.over));
    fake_rdma_hold(false);
    await(&tried);
}

static void *wait_for_one(void *arg)
{
    struct tried *tried = arg;
    submit(tried, LONG_MS, false);
    (void)sealio_rdma_lead(path, &tried->over, UINT64_MAX);
    await(tried);
    return NULL;
}

/* The second finds one who leads, and waits by other means. When the first ends the thread takes
 * over. */
static void two_who_wait_are_served(void **state)
{
    struct tried one, two;
    pthread_t thread;
    (void)state;
    come_to_lead();
    fake_rdma_hold(true);
    pthread_create(&thread, NULL, wait_for_one, &one);
    fake_rdma_wait_posted(1);
    submit(&two, LONG_MS, false);
    const bool led = sealio_rdma_lead(path, &two.over, sealio_now_ms());
    fake_rdma_hold(false);
    await(&two);
    pthread_join(thread, NULL);
    assert_int_equal(one.op.rc, 0);
    assert_int_equal(two.op.rc, 0);
    if (!led)
        assert_false(pthread_equal(two.by, pthread_self()));
}

static void who_leads_hears_of_a_deadline(void **state)
{
    struct tried tried;
    (void)state;
    come_to_lead();
    fake_rdma_hold(true);
    submit(&tried, 50, false);
    (void)sealio_rdma_lead(path, &tried.over, UINT64_MAX);
    await(&tried);
    assert_int_equal(tried.op.rc, -ETIMEDOUT);
}

static void *hang_up(void *arg)
{
    (void)arg;
    fake_rdma_wait_posted(1);
    fake_rdma_hang_up(RDMA_CM_EVENT_DISCONNECTED);
    return NULL;
}

static void who_leads_hears_of_a_hang_up(void **state)
{
    struct tried tried;
    pthread_t thread;
    (void)state;
    come_to_lead();
    fake_rdma_hold(true);
    pthread_create(&thread, NULL, hang_up, NULL);
    submit(&tried, LONG_MS, false);
    (void)sealio_rdma_lead(path, &tried.over, UINT64_MAX);
    await(&tried);
    assert_int_equal(tried.op.rc, -ECONNRESET);
    pthread_join(thread, NULL);
    assert_int_equal(sealio_rdma_connect(path, PATIENCE_MS), 0);
    fake_rdma_hold(false);
    come_to_lead();
}

static atomic_bool enough;

static void *call_it_enough(void *arg)
{
    (void)arg;
    fake_rdma_wait_posted(1);
    atomic_store(&enough, true);
    sealio_rdma_nudge(path);
    return NULL;
}

static void who_leads_can_be_nudged(void **state)
{
    struct tried tried;
    pthread_t thread;
    (void)state;
    come_to_lead();
    atomic_store(&enough, false);
    fake_rdma_hold(true);
    pthread_create(&thread, NULL, call_it_enough, NULL);
    submit(&tried, LONG_MS, false);
    assert_true(sealio_rdma_lead(path, &enough, UINT64_MAX));
    pthread_join(thread, NULL);
    assert_false(atomic_load(&tried.over));
    fake_rdma_hold(false);
    await(&tried);
}

static void *run_many(void *arg)
{
    struct sealio_rdma_op *op = arg;
    for (int i = 0; i < TRIES / THREADS; i++) {
        struct sealio_rdma_op now = *op;
        now.deadline_ms = sealio_now_ms() + LONG_MS;
        assert_int_equal(sealio_rdma_run(path, &now), 0);
    }
    return NULL;
}

static void many_threads_wait_at_a_time(void **state)
{
    static uint8_t memory[THREADS][LENGTH];
    struct sealio_rdma_op ops[THREADS];
    pthread_t threads[THREADS];
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        ops[i] = (struct sealio_rdma_op){
            .memory = memory[i], .length = LENGTH, .remote = (uintptr_t)remote, .key = KEY};
        pthread_create(&threads[i], NULL, run_many, &ops[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_waits_takes_completions_itself),
        TEST(what_nobody_waits_for_is_completed_all_the_same),
        TEST(who_leads_is_back_in_time),
        TEST(two_who_wait_are_served),
        TEST(who_leads_hears_of_a_deadline),
        TEST(who_leads_hears_of_a_hang_up),
        TEST(who_leads_can_be_nudged),
        TEST(many_threads_wait_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
