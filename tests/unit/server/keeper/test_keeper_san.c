/*
 * The I/O around the rule of reservation keys (test_key_rule.c has the rule). The disk is the
 * test's: a job of the reserver is kept until the test carries it out on a target that keeps
 * registrations by nexus, so everything may happen while one is under way. Client `LOST` is known
 * to the (played) layout engine, also by the id that it has after a restart of the server,
 * `LOST_TOO`; `NEAR` is another client, on the same machine where the test says so. Keys are kept
 * in a real store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/engine/engine.h"
#include "layout/key/store.h"
#include "layout/reservation/reservation.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/keeper/san/reserver.h"
#include "server/keeper/san/san.h"

enum { LOST = 0x71, LOST_TOO = 0x72, NEAR = 0x81, JOBS_MAX = 8, SHORT_SECONDS = 3 };
#define OWN_KEY reservation_node_key("one")

enum { EAST = 'E', WEST = 'W' };

static char directory[] = "/tmp/test_keeper_san.XXXXXX";
static struct config config = {
    .lease_time = 90, .recall_timeout = 60, .fence_timeout = 1000, .fence_retry = 5};
static struct keeper_san *san;
static struct loop *loop;
static uint32_t boot = 1;
static struct reserver_job *jobs[JOBS_MAX]; /* in order of submission */
static unsigned job_count;
static struct device *left, *right; /* two volumes on one disk */
static bool fenced;                 /* the engine's opinion of LOST */
static bool near_holds, near_is_haunted;
static bool nobody_is_known; /* to the engine */
static bool rule_is_full;
static uint64_t ticket, lost_key, recalled, seen_client, settled_client, taken_by;
static enum { NOTHING, SHOWN, NOT_SHOWN } answer;

static struct {
    struct key_registration reg[8];
    size_t count;
    uint32_t generation;
    bool lost, volatile_; /* it is restarted; it keeps nothing over that, it says */
    int error;
    uint64_t holder;  /* error is -EBUSY: somebody else */
    bool held_by_all; /* or all who are registered */
    bool deaf;        /* preempts do nothing */
    bool unanswered;  /* they do, and give the error; else with one nothing is sent */
} target;

int __wrap_reserver_create(struct device *device, uint64_t own_key, uint64_t before,
                           struct reserver **out);
int __wrap_reserver_create(struct device *device, uint64_t own_key, uint64_t before,
                           struct reserver **out)
{
    (void)device;
    assert_int_equal(own_key, OWN_KEY);
    assert_int_equal(reservation_key_number(before), 0);
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

static const uint8_t owner[] = "client", near_owner[] = "neighbour";

bool __wrap_engine_client_run(const struct engine *engine, uint64_t client_id,
                              struct engine_run_name *run);
bool __wrap_engine_client_run(const struct engine *engine, uint64_t client_id,
                              struct engine_run_name *run)
{
    (void)engine;
    *run =
        (struct engine_run_name){.owner = owner, .owner_len = sizeof owner, .address = "192.0.2.1"};
    if (client_id == NEAR)
        *run = (struct engine_run_name){
            .owner = near_owner, .owner_len = sizeof near_owner, .address = "192.0.2.2"};
    return client_id == LOST || client_id == LOST_TOO || client_id == NEAR;
}

void __wrap_engine_each_run(const struct engine *engine, enum journal_holder_kind kind,
                            const uint8_t *who, uint32_t len,
                            void (*visit)(const struct engine_run_view *run, void *arg), void *arg);
void __wrap_engine_each_run(const struct engine *engine, enum journal_holder_kind kind,
                            const uint8_t *who, uint32_t len,
                            void (*visit)(const struct engine_run_view *run, void *arg), void *arg)
{
    const bool is_near = len == sizeof near_owner && memcmp(who, near_owner, len) == 0;
    const struct engine_run_view view = {.client_id = is_near ? NEAR : LOST,
                                         .fenced = !is_near && fenced,
                                         .holds = is_near && (near_holds || near_is_haunted),
                                         .address = is_near ? "192.0.2.2" : "192.0.2.1"};
    (void)engine;
    (void)kind;
    if (!nobody_is_known)
        visit(&view, arg);
}

size_t __real_key_rule_run_count(const struct key_rule *rule);
size_t __wrap_key_rule_run_count(const struct key_rule *rule);
size_t __wrap_key_rule_run_count(const struct key_rule *rule)
{
    return rule_is_full ? KEY_RUNS_MAX : __real_key_rule_run_count(rule);
}

static int number_error;

int __real_key_store_number(struct key_store *store, uint32_t *number);
int __wrap_key_store_number(struct key_store *store, uint32_t *number);
int __wrap_key_store_number(struct key_store *store, uint32_t *number)
{
    return number_error ? number_error : __real_key_store_number(store, number);
}

bool __wrap_engine_client_holds(const struct engine *engine, uint64_t client_id);
bool __wrap_engine_client_holds(const struct engine *engine, uint64_t client_id)
{
    (void)engine;
    return client_id == NEAR && near_holds;
}

bool __wrap_engine_client_was_fenced(const struct engine *engine, uint64_t client_id);
bool __wrap_engine_client_was_fenced(const struct engine *engine, uint64_t client_id)
{
    (void)engine;
    return client_id != NEAR && fenced;
}

static void fence_done(void *arg, uint64_t which, uint64_t client_id, bool success)
{
    (void)arg;
    assert_int_equal(which, ticket);
    assert_int_equal(client_id, LOST);
    assert_int_equal(answer, NOTHING);
    answer = success ? SHOWN : NOT_SHOWN;
    fenced = success;
}

static const struct config *the_config(void *arg)
{
    (void)arg;
    return &config;
}

static bool in_grace(void *arg)
{
    (void)arg;
    return false;
}

static void recall_all(void *arg, uint64_t client_id)
{
    (void)arg;
    recalled = client_id;
}

static void nexus_seen(void *arg, uint64_t client_id, const uint8_t device[DEVICE_ID_SIZE])
{
    (void)arg;
    assert_non_null(device);
    seen_client = client_id;
}

static uint64_t passed; /* beside the time of the machine */

uint64_t __real_loop_now_ns(void);
uint64_t __wrap_loop_now_ns(void);
uint64_t __wrap_loop_now_ns(void)
{
    return __real_loop_now_ns() + passed;
}

static void settled(void *arg, uint64_t client_id, const struct key_run *name)
{
    (void)arg;
    assert_int_equal(name->owner_len, sizeof owner);
    settled_client = client_id;
    fenced = false;
}

static void taken_over(void *arg, const char *path, uint64_t key)
{
    (void)arg;
    assert_non_null(path);
    taken_by = key;
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

/* ---- the target ---- */

static void take_off(uint8_t where)
{
    for (size_t i = 0; i < target.count; i++) {
        if (target.reg[i].nexus.name[0] == where)
            target.reg[i--] = target.reg[--target.count];
    }
    target.generation++;
}

static void registers(uint8_t where, uint64_t key)
{
    take_off(where);
    target.reg[target.count++] =
        (struct key_registration){.key = key, .nexus = {.protocol = 5, .len = 1, .name = {where}}};
}

static bool is_registered(uint64_t key)
{
    for (size_t i = 0; i < target.count; i++) {
        if (target.reg[i].key == key)
            return true;
    }
    return false;
}

static bool preempt(uint64_t key)
{
    const bool there = is_registered(key);
    for (size_t i = 0; there && !target.deaf && i < target.count; i++) {
        if (target.reg[i].key == key)
            target.reg[i--] = target.reg[--target.count];
    }
    target.generation += there && !target.deaf;
    return there;
}

/* The job is carried out, and comes home when the test says. */
static void carry_out(struct reserver_job *job)
{
    struct reserver_disk *disk = &job->disk[0];
    job->disk_count = 1;
    disk->name = device_volume(left)->base[0].designator;
    disk->error = target.error;
    disk->holder_key = target.holder;
    disk->held = target.holder || target.held_by_all;
    disk->loss = (struct reservation_loss){target.lost, target.generation};
    target.generation += target.lost; /* by our registration */
    disk->persists = !target.volatile_;
    target.lost = false;
    const bool sends = !target.error || target.unanswered;
    for (size_t i = 0; i < job->victim_count; i++)
        disk->missed = !(sends && preempt(job->victim[i].key)) || disk->missed;
    disk->generation = target.generation;
    disk->reg = malloc(sizeof target.reg);
    assert_non_null(disk->reg);
    memcpy(disk->reg, target.reg, sizeof target.reg);
    disk->count = target.count;
}

static struct reserver_job *next_job(void)
{
    assert_true(job_count > 0);
    struct reserver_job *job = jobs[0];
    memmove(jobs, jobs + 1, --job_count * sizeof jobs[0]);
    return job;
}

static void run_job(void)
{
    struct reserver_job *job = next_job();
    carry_out(job);
    job->home.run(&job->home);
}

static nfsstat4 tell(const struct device *device)
{
    return keeper_san_key(san, LOST, device, &lost_key);
}

static void look(struct device *device)
{
    keeper_san_see(san, device);
    run_job();
}

/* Told, registered, seen. */
static void comes(uint8_t where)
{
    assert_int_equal(tell(left), NFS4_OK);
    registers(where, lost_key);
    look(left);
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
    keeper_san_fence(san, &effect);
    assert_int_equal(job_count, 1);
    assert_int_equal(jobs[0]->victim_count, 0);
}

/* To its answer. */
static void fence(void)
{
    begin_fence(left);
    while (answer == NOTHING)
        run_job();
}

static void start_server(void)
{
    assert_int_equal(loop_create("keeper", 0, &loop), 0);
    const struct keeper_san_calls calls = {.loop = loop,
                                           .own_key = OWN_KEY,
                                           .taken_over = taken_over,
                                           .journal_id = 7,
                                           .journal_boot = boot++,
                                           .config = the_config,
                                           .in_grace = in_grace,
                                           .fence_done = fence_done,
                                           .recall_all = recall_all,
                                           .nexus_seen = nexus_seen,
                                           .settled = settled};
    assert_int_equal(keeper_san_create(&calls, &san), 0);
}

static void start(void)
{
    start_server();
    look(left);
    look(right);
}

static void stop(void)
{
    keeper_san_destroy(san);
    loop_destroy(loop);
}

static int setup(void **state)
{
    (void)state;
    strcpy(directory + sizeof directory - 7, "XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    memset(&target, 0, sizeof target);
    target.generation = 1; /* of the server's own registration */
    config.state_dir = directory;
    config.fence_timeout = 1000;
    config.recall_timeout = 60;
    fenced = near_holds = near_is_haunted = nobody_is_known = rule_is_full = false;
    job_count = 0;
    lost_key = recalled = seen_client = settled_client = taken_by = 0;
    config.initiator_settle_time = 0;
    passed = 0;
    left = volume_on_the_disk(1);
    right = volume_on_the_disk(2);
    start();
    return 0;
}

static void remove_keys(void)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[80];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/keys.db%s", directory, ends[i]);
        unlink(name);
    }
}

static int teardown(void **state)
{
    (void)state;
    stop();
    device_free(left);
    device_free(right);
    remove_keys();
    return rmdir(directory);
}

static void restart(void)
{
    job_count = 0;
    stop();
    start();
}

/* ---- fences ---- */

static void a_key_that_was_preempted_is_a_fence(void **state)
{
    (void)state;
    comes(EAST);
    fence();
    assert_int_equal(answer, SHOWN);
    assert_int_equal(target.count, 0);
    assert_int_equal(tell(left), NFS4ERR_NOENT);
    fenced = false; /* the engine does not keep it from its keys, the rule does */
    assert_int_equal(tell(left), NFS4ERR_NOENT);
}

static void a_key_seen_before_and_gone_now_is_none(void **state)
{
    (void)state;
    comes(EAST);
    take_off(EAST);
    fence();
    assert_int_equal(answer, NOT_SHOWN);
}

static void a_key_registered_just_before_its_preemption_is_taken_too(void **state)
{
    (void)state;
    comes(WEST);
    assert_int_equal(tell(left), NFS4_OK);
    begin_fence(left);
    run_job();
    registers(WEST, lost_key);
    while (answer == NOTHING)
        run_job();
    assert_int_equal(answer, SHOWN);
    assert_int_equal(target.count, 0);
}

static void a_client_that_never_registered_still_may(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    fence();
    assert_int_equal(answer, NOT_SHOWN);
    registers(EAST, lost_key);
    fence();
    assert_int_equal(answer, SHOWN);
}

static void a_key_of_before_does_not_stand_for_one_told_since(void **state)
{
    (void)state;
    comes(EAST);
    uint64_t first = lost_key;
    assert_int_equal(tell(right), NFS4_OK); /* for another volume on the disk */
    assert_int_not_equal(lost_key, first);
    look(right);
    fence();
    assert_int_equal(answer, NOT_SHOWN);
    assert_int_equal(target.count, 0);
    registers(EAST, lost_key); /* it was on its way all the time */
    look(right);
    fence();
    assert_int_equal(answer, SHOWN);
}

static void a_preempt_that_does_nothing_is_no_fence(void **state)
{
    (void)state;
    comes(EAST);
    target.deaf = true;
    fence();
    assert_int_equal(answer, NOT_SHOWN);
    target.deaf = false;
    fence();
    assert_int_equal(answer, SHOWN);
}

static void a_key_that_goes_before_its_preempt_is_no_fence(void **state)
{
    (void)state;
    comes(EAST);
    begin_fence(left);
    run_job();
    take_off(EAST);
    while (answer == NOTHING)
        run_job();
    assert_int_equal(answer, NOT_SHOWN);
}

static void a_disk_that_cannot_be_asked_shows_nothing(void **state)
{
    (void)state;
    comes(EAST);
    target.error = -EIO;
    fence();
    assert_int_equal(answer, NOT_SHOWN);
    assert_int_equal(keeper_san_key(san, NEAR, left, &lost_key), NFS4_OK);
}

static void nobody_is_told_of_a_key_while_it_is_fenced(void **state)
{
    (void)state;
    comes(EAST);
    begin_fence(left);
    assert_int_equal(tell(left), NFS4ERR_DELAY);
    assert_int_equal(tell(right), NFS4ERR_DELAY);
    assert_int_equal(keeper_san_key(san, LOST_TOO, left, &lost_key), NFS4ERR_DELAY);
    run_job();
    assert_int_equal(tell(right), NFS4ERR_DELAY);
    run_job();
    assert_int_equal(answer, SHOWN);
}

static void what_was_seen_and_told_is_known_after_a_restart(void **state)
{
    (void)state;
    comes(EAST);
    begin_fence(left);
    run_job();
    carry_out(jobs[0]); /* the key goes, and the server does not hear of it */
    free(jobs[0]->disk[0].reg);
    jobs[0]->disk[0].reg = NULL;
    restart();
    fence();
    assert_int_equal(answer, SHOWN);
    assert_int_equal(tell(left), NFS4ERR_NOENT);
    restart();
    fenced = false;
    assert_int_equal(tell(left), NFS4ERR_NOENT);
}

static void a_key_that_goes_while_the_server_is_down_is_no_fence_of_what_it_did_not_do(void **state)
{
    (void)state;
    comes(EAST);
    begin_fence(left);
    run_job();
    assert_true(jobs[0]->victim_count > 0); /* and stays with the reserver to the end */
    job_count = 0;
    stop();
    take_off(EAST);
    start();
    fence();
    assert_int_equal(answer, NOT_SHOWN);
}

static void an_outstanding_telling_is_known_after_a_restart(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    restart();
    fence();
    assert_int_equal(answer, NOT_SHOWN);
}

static void a_late_end_of_a_fence_says_nothing(void **state)
{
    (void)state;
    config.fence_timeout = 0;
    comes(EAST);
    begin_fence(left);
    config.fence_timeout = 1000;
    run_job();
    while (answer == NOTHING)
        (void)event_base_loop(loop_base(loop), EVLOOP_ONCE);
    assert_int_equal(answer, NOT_SHOWN);
    assert_int_equal(tell(left), NFS4ERR_DELAY); /* its key is about to be taken off */
    run_job();
    assert_int_equal(tell(left), NFS4_OK);
    fence();
    assert_int_equal(answer, NOT_SHOWN);
}

/* To its answer that the time is over; the job that has the victims is under way. */
static void fence_to_the_end_of_its_time(void)
{
    config.fence_timeout = 0;
    begin_fence(left);
    config.fence_timeout = 1000;
    run_job();
    while (answer == NOTHING)
        (void)event_base_loop(loop_base(loop), EVLOOP_ONCE);
    assert_int_equal(answer, NOT_SHOWN);
    assert_true(jobs[0]->victim_count > 0);
}

static void a_key_that_goes_before_a_late_preempt_is_no_fence_of_the_next_attempt(void **state)
{
    (void)state;
    comes(EAST);
    fence_to_the_end_of_its_time();
    take_off(EAST);
    run_job();
    fence();
    assert_int_equal(answer, NOT_SHOWN);
}

static void a_key_that_goes_though_no_preempt_was_sent_is_no_fence_of_the_next_attempt(void **state)
{
    (void)state;
    comes(EAST);
    begin_fence(left);
    run_job();
    target.error = -ENXIO; /* our path is gone, and the client's is not */
    run_job();
    assert_int_equal(answer, NOT_SHOWN);
    take_off(EAST);
    target.error = 0;
    fence();
    assert_int_equal(answer, NOT_SHOWN);
}

static void a_preempt_that_was_sent_and_not_answered_is_one_when_the_key_is_gone(void **state)
{
    (void)state;
    comes(EAST);
    begin_fence(left);
    run_job();
    target.error = -ETIMEDOUT;
    target.unanswered = true;
    run_job();
    assert_int_equal(answer, NOT_SHOWN);
    target.error = 0;
    fence();
    assert_int_equal(answer, SHOWN);
}

static void a_key_that_comes_back_after_its_fence_is_taken_off(void **state)
{
    (void)state;
    comes(EAST);
    keeper_san_see(san, right); /* begins before, ends after */
    struct reserver_job *early = next_job();
    carry_out(early);
    uint64_t key = lost_key;
    fence();
    assert_int_equal(answer, SHOWN);
    early->home.run(&early->home);
    assert_int_equal(job_count, 0);
    registers(EAST, key);
    look(left);
    assert_int_equal(job_count, 1);
    run_job();
    assert_false(is_registered(key));
}

/* ---- two clients on one machine ---- */

static uint64_t neighbour_comes(uint8_t where)
{
    uint64_t key;
    assert_int_equal(keeper_san_key(san, NEAR, left, &key), NFS4_OK);
    registers(where, key);
    look(left);
    return key;
}

static void a_neighbour_is_recalled_before_it_is_cut_off(void **state)
{
    const char *why;
    (void)state;
    comes(EAST);
    uint64_t key = neighbour_comes(EAST);
    near_holds = true;
    begin_fence(left);
    run_job();
    assert_int_equal(recalled, NEAR);
    assert_int_equal(job_count, 0); /* waits */
    assert_true(is_registered(key));
    assert_int_equal(keeper_san_prepare(san, NEAR, left, &why), -EBUSY);
    assert_int_equal(keeper_san_key(san, NEAR, left, &key), NFS4ERR_NOENT);
    near_holds = false; /* it returned them */
    while (answer == NOTHING) {
        while (job_count == 0)
            (void)event_base_loop(loop_base(loop), EVLOOP_ONCE);
        run_job();
    }
    assert_int_equal(answer, SHOWN);
    assert_int_equal(target.count, 0);
    assert_int_equal(keeper_san_key(san, NEAR, left, &key), NFS4ERR_NOENT);
}

/* It has nothing to return, and commands queued all the same. */
static void a_haunted_neighbour_is_not_drained(void **state)
{
    const struct key_run run = {.owner = owner, .owner_len = sizeof owner};
    uint64_t key;
    (void)state;
    config.initiator_settle_time = 300;
    comes(EAST);
    neighbour_comes(EAST);
    near_is_haunted = true;
    fence();
    assert_int_equal(answer, SHOWN);
    keeper_san_forgot(san, &run);
    passed += 301 * UINT64_C(1000000000);
    assert_int_equal(keeper_san_key(san, NEAR, left, &key), NFS4ERR_NOENT);
}

static void a_neighbour_that_keeps_its_layouts_goes_too(void **state)
{
    (void)state;
    comes(EAST);
    neighbour_comes(EAST);
    near_holds = true;
    config.recall_timeout = 0;
    fence();
    assert_int_equal(recalled, NEAR);
    assert_int_equal(answer, SHOWN);
    assert_int_equal(target.count, 0);
}

static void a_client_on_another_machine_is_left_alone(void **state)
{
    (void)state;
    comes(EAST);
    uint64_t key = neighbour_comes(WEST);
    near_holds = true;
    fence();
    assert_int_equal(answer, SHOWN);
    assert_int_equal(recalled, 0);
    assert_true(is_registered(key));
}

/* ---- targets that forget ---- */

static void a_target_that_forgets_gets_no_layouts(void **state)
{
    const char *why;
    (void)state;
    assert_null(keeper_san_why_not(san, left));
    target.volatile_ = true;
    look(left);
    assert_int_equal(keeper_san_prepare(san, LOST, left, &why), -ENODEV);
    assert_non_null(strstr(why, "scsi_volatile_reservations"));
    assert_int_equal(tell(left), NFS4ERR_NOENT);
    assert_ptr_equal(keeper_san_why_not(san, left), why);
    device_set_may_forget(left);
    look(left);
    assert_int_equal(keeper_san_prepare(san, LOST, left, &why), 0);
}

static void a_target_that_says_it_keeps_and_does_not_is_found_out(void **state)
{
    (void)state;
    comes(EAST);
    target.count = 0;
    target.generation = 0;
    target.lost = true;
    look(left);
    assert_non_null(strstr(keeper_san_why_not(san, left), "has lost registrations"));
    look(left);
    assert_non_null(keeper_san_why_not(san, left));
    restart();
    assert_non_null(keeper_san_why_not(san, left));
    keeper_san_forgive(san, device_fs_uuid(left)); /* it keeps them now */
    look(left);
    assert_null(keeper_san_why_not(san, left));
}

/* The power of all went. */
static void a_target_that_forgot_while_the_server_was_down_is_found_out(void **state)
{
    (void)state;
    comes(EAST);
    target.count = 0;
    target.generation = 0;
    target.lost = true;
    restart();
    assert_non_null(strstr(keeper_san_why_not(san, left), "has lost registrations"));
}

/* Another volume's look has seen the target as it was before ours had taken it. */
static void two_looks_that_take_a_new_disk_at_once_miss_nothing(void **state)
{
    (void)state;
    stop();
    remove_keys();
    job_count = 0;
    target.generation = 0;
    start_server();
    keeper_san_see(san, left);
    keeper_san_see(san, right);
    for (int i = 0; i < 2; i++) {
        target.lost = true;
        carry_out(jobs[i]);
    }
    for (int i = 0; i < 2; i++) {
        jobs[i]->disk[0].generation = 2;
        jobs[i]->home.run(&jobs[i]->home);
    }
    job_count = 0;
    assert_null(keeper_san_why_not(san, left));
    assert_null(keeper_san_why_not(san, right));
}

/* The look of one shows it, and the other's sees a disk that is reserved. */
static void what_a_disk_forgot_it_forgot_for_all_its_volumes(void **state)
{
    (void)state;
    comes(EAST);
    look(right);
    target.count = 0;
    target.generation = 0;
    target.lost = true;
    look(left);
    look(right);
    assert_non_null(strstr(keeper_san_why_not(san, right), "has lost registrations"));
    target.lost = true; /* what is on record of it stays */
    look(right);
    restart();
    assert_non_null(keeper_san_why_not(san, left));
}

static void a_reservation_that_somebody_released_is_taken_again(void **state)
{
    (void)state;
    comes(EAST);
    target.lost = true;
    target.generation += 2;
    look(left);
    assert_null(keeper_san_why_not(san, left));
}

/* Linux repeats what is to pass in a moment, and goes through the server at once else. */
static void another_nodes_reservation_is_told_as_a_take_over_and_no_others_is(void **state)
{
    (void)state;
    target.error = -EBUSY;
    target.holder = 0x1234;
    look(left);
    assert_int_equal(taken_by, 0);
    target.holder = reservation_key(1, 7); /* a client's */
    look(left);
    assert_int_equal(taken_by, 0);
    target.holder = OWN_KEY; /* and of another type */
    look(left);
    assert_int_equal(taken_by, 0);
    target.holder = reservation_node_key("two");
    look(left);
    assert_int_equal(taken_by, target.holder);
    taken_by = 0;
}

static void a_node_that_stands_by_is_nobodys_key(void **state)
{
    (void)state;
    registers(WEST, reservation_node_key("two"));
    look(left);
    assert_int_equal(job_count, 0); /* it is not taken off */
    assert_true(is_registered(reservation_node_key("two")));
    assert_int_equal(taken_by, 0);
}

static unsigned waits_over;

static void is_over(struct san_wait *wait)
{
    (void)wait;
    waits_over++;
}

/* Who has met an error is told by a look that began after it, at each disk. */
static void who_waits_for_a_look_waits_for_one_that_begins_after_it(void **state)
{
    struct san_wait first = {.done = is_over}, second = {.done = is_over};
    (void)state;
    waits_over = 0;
    keeper_san_look_then(NULL, &first);
    assert_int_equal(waits_over, 1);
    keeper_san_see(san, left); /* a look is under way */
    keeper_san_look_then(san, &first);
    assert_int_equal(job_count, 2); /* of the other volume one that counts */
    run_job();
    run_job();
    assert_int_equal(waits_over, 1);
    keeper_san_look_then(san, &second);
    assert_int_equal(job_count, 2);
    run_job();
    assert_int_equal(waits_over, 2);
    run_job();
    assert_int_equal(waits_over, 2);
    run_job();
    assert_int_equal(waits_over, 3);
    assert_int_equal(job_count, 0);
}

static void who_waits_for_a_look_hears_of_a_take_over_first(void **state)
{
    struct san_wait wait = {.done = is_over};
    (void)state;
    waits_over = 0;
    target.error = -EBUSY;
    target.holder = reservation_node_key("two");
    taken_by = 0;
    keeper_san_look_then(san, &wait);
    run_job();
    assert_int_equal(taken_by, target.holder);
    assert_int_equal(waits_over, 0);
    run_job();
    assert_int_equal(waits_over, 1);
}

static void a_disk_that_stays_refused_is_told_from_one_that_is_ready_in_a_moment(void **state)
{
    static const struct {
        int error;
        uint64_t holder;
        bool passes;
    } cases[] = {
        {-EOPNOTSUPP, 0, false}, /* a target without persistent reservations */
        {-EBUSY, 0x1234, false}, /* somebody else's */
        {-EBUSY, 0, true},       /* somebody was quicker, and has let go of it */
        {-EIO, 0, false},        {-EAGAIN, 0, true},
    };
    const char *why;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        target.error = 0;
        look(left);
        assert_int_equal(keeper_san_prepare(san, LOST, left, &why), 0);
        target.error = cases[i].error;
        target.holder = cases[i].holder;
        look(left);
        assert_int_equal(keeper_san_prepare(san, LOST, left, &why),
                         cases[i].passes ? -EAGAIN : -ENODEV);
        assert_int_equal(tell(left), cases[i].passes ? NFS4ERR_DELAY : NFS4ERR_NOENT);
        look(left); /* what does not pass by then does not pass by itself */
        assert_int_equal(keeper_san_prepare(san, LOST, left, &why), -ENODEV);
        assert_int_equal(tell(left), NFS4ERR_NOENT);
    }
}

/* It has no key of one. */
static void a_disk_that_all_who_are_registered_hold_stays_refused(void **state)
{
    const char *why;
    (void)state;
    target.error = -EBUSY;
    target.held_by_all = true;
    look(left);
    assert_int_equal(keeper_san_prepare(san, LOST, left, &why), -ENODEV);
    assert_non_null(strstr(why, "for all who are registered"));
    assert_int_equal(taken_by, 0);
}

static void a_disk_that_is_being_reserved_is_ready_in_a_moment(void **state)
{
    const char *why;
    (void)state;
    job_count = 0;
    stop();
    start_server();
    keeper_san_see(san, left);
    assert_int_equal(keeper_san_prepare(san, LOST, left, &why), -EAGAIN);
    assert_int_equal(tell(left), NFS4ERR_DELAY);
    assert_int_equal(keeper_san_prepare(san, LOST, right, &why), -ENODEV); /* nobody has seen it */
    job_count = 0;
}

/* ---- telling ---- */

static void the_operators_word_lets_a_fenced_client_in(void **state)
{
    (void)state;
    comes(EAST);
    fence();
    fenced = false;
    assert_int_equal(tell(left), NFS4ERR_NOENT);
    keeper_san_forgive(san, device_fs_uuid(left));
    assert_int_equal(tell(left), NFS4_OK);
}

/* It says that whoever is not here was restarted, or cut off. After a restart of the server they
 * have their time to come back first. */
static void the_operators_word_ends_who_had_time_to_come_back(void **state)
{
    (void)state;
    comes(EAST);
    nobody_is_known = true;
    keeper_san_forgive(san, device_fs_uuid(left));
    look(left);
    assert_int_equal(job_count, 0); /* its key is nobody's yet */
    passed += 2 * 90 * UINT64_C(1000000000);
    look(left);
    assert_int_equal(job_count, 0); /* nor by absence */
    keeper_san_forgive(san, device_fs_uuid(left));
    look(left);
    assert_int_equal(job_count, 1);
    run_job();
    assert_false(is_registered(lost_key));
}

/* Who is known goes on. */
static void where_too_many_went_without_a_word_nobody_new_is_told(void **state)
{
    const char *why;
    uint64_t key;
    (void)state;
    comes(EAST);
    rule_is_full = true;
    assert_int_equal(keeper_san_prepare(san, LOST, left, &why), 0);
    assert_int_equal(tell(left), NFS4_OK);
    assert_int_equal(keeper_san_prepare(san, NEAR, left, &why), -ENOSPC);
    assert_non_null(strstr(why, "forget-holders"));
    assert_int_equal(keeper_san_key(san, NEAR, left, &key),
                     NFS4ERR_NOENT); /* Linux repeats a DELAY */
    rule_is_full = false;
    assert_int_equal(keeper_san_prepare(san, NEAR, left, &why), 0);
}

/* Nor where there is no number any more, or no room for it. */
static void where_no_key_can_be_kept_the_client_goes_through_the_server(void **state)
{
    (void)state;
    number_error = -ENOMEM;
    assert_int_equal(tell(left), NFS4ERR_DELAY);
    number_error = -ENOSPC;
    assert_int_equal(tell(left), NFS4ERR_NOENT);
    number_error = 0;
    assert_int_equal(tell(left), NFS4_OK);
}

/* Once, when it may be told a key again, and not before. */
static void a_fenced_client_that_has_settled_is_told_of(void **state)
{
    const struct key_run run = {.owner = owner, .owner_len = sizeof owner};
    (void)state;
    config.initiator_settle_time = 300;
    comes(EAST);
    fence();
    passed += 1000 * UINT64_C(1000000000);
    look(left);
    assert_int_equal(settled_client, 0); /* it may believe in its layouts */
    keeper_san_forgot(san, &run);
    passed += 299 * UINT64_C(1000000000);
    look(left);
    assert_int_equal(settled_client, 0);
    passed += 2 * UINT64_C(1000000000);
    look(left);
    assert_int_equal(settled_client, LOST);
    settled_client = 0;
    look(left);
    assert_int_equal(settled_client, 0);
    assert_int_equal(tell(left), NFS4_OK);
}

/* By the client id that it was told under: a key of before says nothing of now. */
static void who_registers_what_it_was_told_has_a_path_that_works(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    look(left);
    assert_int_equal(seen_client, 0);
    registers(EAST, lost_key);
    look(left);
    assert_int_equal(seen_client, LOST);
    seen_client = 0;
    assert_int_equal(keeper_san_key(san, LOST_TOO, left, &lost_key), NFS4_OK);
    look(left); /* with the key of before */
    assert_int_equal(seen_client, 0);
    registers(EAST, lost_key);
    look(left);
    assert_int_equal(seen_client, LOST_TOO);
}

static void what_was_told_before_a_client_was_shaken_says_nothing_of_its_path(void **state)
{
    (void)state;
    assert_int_equal(tell(left), NFS4_OK);
    keeper_san_shaken(san, LOST);
    registers(EAST, lost_key);
    look(left);
    assert_int_equal(seen_client, 0);
}

/* Long before the usual look. */
static void a_client_that_was_told_is_looked_for_soon(void **state)
{
    (void)state;
    uint64_t began = loop_now_ns();
    assert_int_equal(tell(left), NFS4_OK);
    registers(EAST, lost_key);
    while (job_count == 0)
        (void)event_base_loop(loop_base(loop), EVLOOP_ONCE);
    assert_true(loop_now_ns() - began < SHORT_SECONDS * UINT64_C(1000000000));
    while (job_count > 0)
        run_job();
    fence();
    assert_int_equal(answer, SHOWN);
}

#define KEY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEY_TEST(a_key_that_was_preempted_is_a_fence),
        KEY_TEST(a_key_seen_before_and_gone_now_is_none),
        KEY_TEST(a_key_registered_just_before_its_preemption_is_taken_too),
        KEY_TEST(a_client_that_never_registered_still_may),
        KEY_TEST(a_key_of_before_does_not_stand_for_one_told_since),
        KEY_TEST(a_preempt_that_does_nothing_is_no_fence),
        KEY_TEST(a_key_that_goes_before_its_preempt_is_no_fence),
        KEY_TEST(a_disk_that_cannot_be_asked_shows_nothing),
        KEY_TEST(nobody_is_told_of_a_key_while_it_is_fenced),
        KEY_TEST(what_was_seen_and_told_is_known_after_a_restart),
        KEY_TEST(a_key_that_goes_while_the_server_is_down_is_no_fence_of_what_it_did_not_do),
        KEY_TEST(an_outstanding_telling_is_known_after_a_restart),
        KEY_TEST(a_late_end_of_a_fence_says_nothing),
        KEY_TEST(a_key_that_goes_before_a_late_preempt_is_no_fence_of_the_next_attempt),
        KEY_TEST(a_key_that_goes_though_no_preempt_was_sent_is_no_fence_of_the_next_attempt),
        KEY_TEST(a_preempt_that_was_sent_and_not_answered_is_one_when_the_key_is_gone),
        KEY_TEST(a_key_that_comes_back_after_its_fence_is_taken_off),
        KEY_TEST(a_neighbour_is_recalled_before_it_is_cut_off),
        KEY_TEST(a_haunted_neighbour_is_not_drained),
        KEY_TEST(a_neighbour_that_keeps_its_layouts_goes_too),
        KEY_TEST(a_client_on_another_machine_is_left_alone),
        KEY_TEST(a_target_that_forgets_gets_no_layouts),
        KEY_TEST(a_target_that_says_it_keeps_and_does_not_is_found_out),
        KEY_TEST(a_target_that_forgot_while_the_server_was_down_is_found_out),
        KEY_TEST(two_looks_that_take_a_new_disk_at_once_miss_nothing),
        KEY_TEST(what_a_disk_forgot_it_forgot_for_all_its_volumes),
        KEY_TEST(a_reservation_that_somebody_released_is_taken_again),
        KEY_TEST(another_nodes_reservation_is_told_as_a_take_over_and_no_others_is),
        KEY_TEST(a_node_that_stands_by_is_nobodys_key),
        KEY_TEST(who_waits_for_a_look_waits_for_one_that_begins_after_it),
        KEY_TEST(who_waits_for_a_look_hears_of_a_take_over_first),
        KEY_TEST(a_disk_that_stays_refused_is_told_from_one_that_is_ready_in_a_moment),
        KEY_TEST(a_disk_that_all_who_are_registered_hold_stays_refused),
        KEY_TEST(a_disk_that_is_being_reserved_is_ready_in_a_moment),
        KEY_TEST(the_operators_word_lets_a_fenced_client_in),
        KEY_TEST(the_operators_word_ends_who_had_time_to_come_back),
        KEY_TEST(where_too_many_went_without_a_word_nobody_new_is_told),
        KEY_TEST(where_no_key_can_be_kept_the_client_goes_through_the_server),
        KEY_TEST(a_fenced_client_that_has_settled_is_told_of),
        KEY_TEST(who_registers_what_it_was_told_has_a_path_that_works),
        KEY_TEST(what_was_told_before_a_client_was_shaken_says_nothing_of_its_path),
        KEY_TEST(a_client_that_was_told_is_looked_for_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
