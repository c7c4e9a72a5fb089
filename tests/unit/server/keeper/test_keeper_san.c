/*
 * What a fence by reservation keys may be taken to show. The disks are the test's: a job of the
 * reserver is kept until the test says what the disk answered, so everything may happen while one
 * is under way. Client `LOST` is known to the (played) layout engine, also by the id that it has
 * after a restart of the server, `LOST_TOO`; keys are kept in a real store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/engine.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/keeper/private.h"
#include "server/keeper/san/reserver.h"
#include "server/keeper/san/san.h"

enum { LOST = 0x71, LOST_TOO = 0x72, JOBS_MAX = 8, SHORT_SECONDS = 3 };

static char directory[] = "/tmp/test_keeper_san.XXXXXX";
static struct config config = {.lease_time = 90, .fence_timeout = 1000, .fence_retry = 5};
static struct keeper keeper = {.config = &config};
static struct reserver_job *jobs[JOBS_MAX]; /* in order of submission */
static unsigned job_count;
static struct device *left, *right; /* two volumes on one disk */
static bool fenced;                 /* the engine's opinion of LOST */
static uint64_t ticket, lost_key;
static enum { NOTHING, SHOWN, NOT_SHOWN } answer;

int __wrap_reserver_create(struct device *device, uint64_t own_key, struct reserver **out);
int __wrap_reserver_create(struct device *device, uint64_t own_key, struct reserver **out)
{
    (void)device;
    (void)own_key;
    *out = NULL;
    return 0;
}

void __wrap_reserver_set_device(struct reserver *reserver, struct device *device);
void __wrap_reserver_set_device(struct reserver *reserver, struct device *device)
{
    (void)reserver;
    (void)device;
}

void __wrap_reserver_submit(struct reserver *reserver, struct reserver_job *job);
void __wrap_reserver_submit(struct reserver *reserver, struct reserver_job *job)
{
    (void)reserver;
    job->disk_count = 0;
    memset(job->disk, 0, sizeof job->disk);
    assert_true(job_count < JOBS_MAX);
    jobs[job_count++] = job;
}

static const uint8_t owner[] = "client";

bool __wrap_engine_client_run(const struct engine *engine, uint64_t client_id,
                              struct engine_run_name *run);
bool __wrap_engine_client_run(const struct engine *engine, uint64_t client_id,
                              struct engine_run_name *run)
{
    (void)engine;
    *run =
        (struct engine_run_name){.owner = owner, .owner_len = sizeof owner, .address = "192.0.2.1"};
    return client_id == LOST || client_id == LOST_TOO;
}

bool __wrap_engine_client_was_fenced(const struct engine *engine, uint64_t client_id);
bool __wrap_engine_client_was_fenced(const struct engine *engine, uint64_t client_id)
{
    (void)engine;
    (void)client_id;
    return fenced;
}

void __wrap_keeper_fence_done(struct keeper *k, uint64_t which, uint64_t client_id, bool success);
void __wrap_keeper_fence_done(struct keeper *k, uint64_t which, uint64_t client_id, bool success)
{
    (void)k;
    assert_int_equal(which, ticket);
    assert_int_equal(client_id, LOST);
    assert_int_equal(answer, NOTHING);
    answer = success ? SHOWN : NOT_SHOWN;
    fenced = success;
}

static struct device *volume_on_the_disk(uint8_t number)
{
    const uint8_t uuid[DEVICE_UUID_SIZE] = {number};
    struct device_volume volume = {0};
    struct device_base disk = {
        .size = 1 << 30,
        .signature = {.count = 1, .component[0] = {.offset = 512, .len = 4, .bytes = "sign"}},
        .designator = {.code_set = 1, .type = 3, .len = 8, .bytes = "one disk"},
    };
    struct device *device;
    uint32_t at;
    assert_int_equal(device_volume_add_base(&volume, &disk, &at), 0);
    assert_int_equal(device_volume_add_slice(&volume, at, (uint64_t)number << 20, 1 << 20, &at), 0);
    assert_int_equal(device_from_description(uuid, &volume, &device), 0);
    device_set_reserved(device);
    return device;
}

/* The oldest job comes home: the key of LOST was on the disk before what it did, and is after. */
static void disk_says(bool before, bool after)
{
    struct reserver_job *job = jobs[0];
    assert_true(job_count > 0);
    memmove(jobs, jobs + 1, --job_count * sizeof jobs[0]);
    job->disk_count = 1;
    job->disk[0].name = device_volume(left)->base[0].designator;
    job->disk[0].keys = malloc(sizeof(uint64_t));
    assert_non_null(job->disk[0].keys);
    job->disk[0].keys[0] = lost_key;
    job->disk[0].key_count = after ? 1 : 0;
    job->disk[0].was_there = job->victim && before;
    job->disk[0].removed = job->victim && !after;
    job->home.run(&job->home);
}

static nfsstat4 tell(const struct device *device)
{
    return keeper_san_key(&keeper, LOST, device, &lost_key);
}

static void look(struct device *device, bool there)
{
    keeper_san_see(&keeper, device);
    disk_says(there, there);
}

static void begin_fence(const struct device *device)
{
    static const uint8_t verifier[JOURNAL_VERIFIER_SIZE];
    const struct engine_effect effect = {.fence = {.ticket = ++ticket,
                                                   .client_id = LOST,
                                                   .kind = JOURNAL_HOLDER_NFS,
                                                   .owner = owner,
                                                   .owner_len = sizeof owner,
                                                   .verifier = verifier,
                                                   .address = "192.0.2.1",
                                                   .device = device}};
    answer = NOTHING;
    keeper_san_fence(&keeper, &effect);
    assert_int_equal(job_count, 1);
    assert_int_equal(jobs[0]->victim, 0);
}

/* The fence looks, preempts, and answers. */
static void fence_finds(bool at_the_look, bool at_the_preemption)
{
    begin_fence(left);
    disk_says(at_the_look, at_the_look);
    assert_int_equal(answer, NOTHING);
    assert_int_equal(jobs[0]->victim, lost_key);
    disk_says(at_the_preemption, false);
    assert_int_not_equal(answer, NOTHING);
}

static void start(void)
{
    assert_int_equal(loop_create("keeper", 0, &keeper.loop), 0);
    assert_int_equal(keeper_san_create(&keeper), 0);
    look(left, false);
    look(right, false);
}

static void stop(void)
{
    keeper_san_destroy(&keeper);
    loop_destroy(keeper.loop);
}

static int setup(void **state)
{
    (void)state;
    strcpy(directory + sizeof directory - 7, "XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    config.state_dir = directory;
    fenced = false;
    job_count = 0;
    lost_key = 0;
    left = volume_on_the_disk(1);
    right = volume_on_the_disk(2);
    start();
    return 0;
}

static int teardown(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[80];
    (void)state;
    stop();
    device_free(left);
    device_free(right);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/keys.db%s", directory, ends[i]);
        unlink(name);
    }
    return rmdir(directory);
}

static void a_key_that_was_preempted_is_a_fence(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    look(left, true);
    fence_finds(true, true);
    assert_int_equal(answer, SHOWN);
    assert_int_equal(tell(left), NFS4ERR_NOENT);
}

static void a_key_seen_before_and_gone_now_is_a_fence(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    look(left, true);
    fence_finds(false, false);
    assert_int_equal(answer, SHOWN);
}

static void a_key_registered_just_before_its_preemption_is_a_fence(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    fence_finds(false, true);
    assert_int_equal(answer, SHOWN);
}

static void a_client_that_never_registered_still_may(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    fence_finds(false, false);
    assert_int_equal(answer, NOT_SHOWN);
    fence_finds(false, true);
    assert_int_equal(answer, SHOWN);
}

static void a_client_told_anew_may_register_anew(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    look(left, true);
    assert_int_equal(tell(left), NFS4_OK);
    fence_finds(false, false);
    assert_int_equal(answer, NOT_SHOWN);
}

static void a_look_shows_nothing_of_what_is_told_meanwhile(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    keeper_san_see(&keeper, left);
    assert_int_equal(tell(left), NFS4_OK);
    disk_says(true, true);
    fence_finds(false, false);
    assert_int_equal(answer, NOT_SHOWN);
    look(left, true);
    fence_finds(false, false);
    assert_int_equal(answer, SHOWN);
}

static void a_key_told_of_for_another_volume_is_one_for_the_disk(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    look(left, true);
    assert_int_equal(tell(right), NFS4_OK);
    fence_finds(false, false);
    assert_int_equal(answer, NOT_SHOWN);
    look(right, true);
    fence_finds(false, false);
    assert_int_equal(answer, SHOWN);
}

static void nobody_is_told_of_a_key_while_it_is_preempted(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    begin_fence(left);
    assert_int_equal(tell(left), NFS4ERR_DELAY);
    assert_int_equal(tell(right), NFS4ERR_DELAY);
    assert_int_equal(keeper_san_key(&keeper, LOST_TOO, left, &lost_key), NFS4ERR_DELAY);
    disk_says(true, true);
    assert_int_equal(tell(right), NFS4ERR_DELAY);
    disk_says(true, false);
    assert_int_equal(answer, SHOWN);
}

static void what_was_seen_and_told_is_known_after_a_restart(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    begin_fence(left);
    disk_says(true, true); /* the key is about to go */
    job_count = 0;
    stop();
    start();
    fence_finds(false, false);
    assert_int_equal(answer, SHOWN);
    fenced = false;
    assert_int_equal(tell(left), NFS4_OK);
    stop();
    start();
    fence_finds(false, false);
    assert_int_equal(answer, NOT_SHOWN);
}

/* The crash came before the layout engine had it on record. */
static void what_was_shown_is_shown_again_after_a_crash(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    look(left, true);
    fence_finds(true, true);
    fenced = false;
    stop();
    start();
    fence_finds(false, false);
    assert_int_equal(answer, SHOWN);
}

static void a_late_end_of_a_fence_says_nothing_of_what_was_told_since(void **state)
{
    (void)state;
    config.fence_timeout = 0;
    assert_int_equal(tell(left), NFS4_OK);
    look(left, true);
    begin_fence(left);
    config.fence_timeout = 1000;
    disk_says(true, true);
    while (answer == NOTHING)
        (void)event_base_loop(loop_base(keeper.loop), EVLOOP_ONCE);
    assert_int_equal(answer, NOT_SHOWN);
    assert_int_equal(tell(left), NFS4_OK);
    disk_says(true, false);
    fence_finds(false, false);
    assert_int_equal(answer, NOT_SHOWN);
}

static void a_key_that_comes_back_after_its_fence_is_taken_off(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    look(left, true);
    keeper_san_see(&keeper, right); /* begins before, ends after */
    struct reserver_job *early = jobs[0];
    job_count = 0;
    fence_finds(true, true);
    jobs[job_count++] = early;
    disk_says(true, true);
    assert_int_equal(job_count, 0);
    look(left, true);
    assert_int_equal(job_count, 1);
    assert_int_equal(jobs[0]->victim, lost_key);
    disk_says(true, false);
}

/* Long before the usual look. */
static void a_client_that_was_told_is_looked_for_soon(void **state)
{
    (void)state;
    uint64_t began = loop_now_ns();
    assert_int_equal(tell(left), NFS4_OK);
    while (job_count == 0)
        (void)event_base_loop(loop_base(keeper.loop), EVLOOP_ONCE);
    assert_true(loop_now_ns() - began < SHORT_SECONDS * UINT64_C(1000000000));
    while (job_count > 0)
        disk_says(true, true);
    fence_finds(false, false);
    assert_int_equal(answer, SHOWN);
}

#define KEY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEY_TEST(a_key_that_was_preempted_is_a_fence),
        KEY_TEST(a_key_seen_before_and_gone_now_is_a_fence),
        KEY_TEST(a_key_registered_just_before_its_preemption_is_a_fence),
        KEY_TEST(a_client_that_never_registered_still_may),
        KEY_TEST(a_client_told_anew_may_register_anew),
        KEY_TEST(a_look_shows_nothing_of_what_is_told_meanwhile),
        KEY_TEST(a_key_told_of_for_another_volume_is_one_for_the_disk),
        KEY_TEST(nobody_is_told_of_a_key_while_it_is_preempted),
        KEY_TEST(what_was_seen_and_told_is_known_after_a_restart),
        KEY_TEST(what_was_shown_is_shown_again_after_a_crash),
        KEY_TEST(a_late_end_of_a_fence_says_nothing_of_what_was_told_since),
        KEY_TEST(a_key_that_comes_back_after_its_fence_is_taken_off),
        KEY_TEST(a_client_that_was_told_is_looked_for_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
