/*
 * test_lookup.c - answers that take long: asked once, remembered for a time, and what one peer can
 * make of it. A key's first byte says what becomes of its question: 'f' is found, 'n' is not there,
 * 'e' fails, 's' is slow and then found. The clock is the test's (--wrap).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "layout/container_of.h"
#include "server/base/worker.h"
#include "server/export/lookup.h"

#define SECOND_NS UINT64_C(1000000000)

enum { PEER = 1, OTHER_PEER, ANSWERS = 16, WEIGHT = 40, LINES = 300, DEADLINE = 30 };

/* ---- the clock ---- */

static _Atomic uint64_t later; /* than it is, in ns */

uint64_t __real_loop_now_ns(void);
uint64_t __wrap_loop_now_ns(void);

uint64_t __wrap_loop_now_ns(void)
{
    return __real_loop_now_ns() + later;
}

/* ---- who is asked ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned asked, waiting, most_waiting;
static bool may_answer, all_fail;

static enum lookup_result result_of(char what)
{
    if (what == 'e' || all_fail)
        return LOOKUP_FAILED;
    return what == 'n' ? LOOKUP_NONE : LOOKUP_FOUND;
}

static struct lookup_answer *ask(void *context, const void *key, size_t len)
{
    struct lookup_answer *answer = calloc(1, sizeof(*answer));
    const char what = *(const char *)key;

    assert_null(context);
    assert_true(len > 0);
    assert_non_null(answer);
    pthread_mutex_lock(&lock);
    asked++;
    waiting += what == 's';
    if (waiting > most_waiting)
        most_waiting = waiting;
    pthread_cond_broadcast(&changed);
    while (what == 's' && !may_answer)
        pthread_cond_wait(&changed, &lock);
    waiting -= what == 's';
    answer->result = result_of(what);
    pthread_mutex_unlock(&lock);
    atomic_init(&answer->refs, 1);
    answer->weight = len == 4 ? 30 : 1;
    return answer;
}

static const struct lookup_kind kind = {
    .ask = ask, .work_key = 1, .answers_max = ANSWERS, .weight_max = WEIGHT};

static void await_asked(unsigned count)
{
    pthread_mutex_lock(&lock);
    while (asked < count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void let_answer(void)
{
    pthread_mutex_lock(&lock);
    may_answer = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* ---- those who ask: on a loop, by a message each ---- */

static struct worker_pool *threads;
static struct lookups *lookups;
static struct loop *loop;

struct request {
    struct loop_msg msg;
    struct lookup_wait wait;
    const char *key;
    uint64_t peer;
    int rc;
    struct lookup_answer *answer;
    sem_t begun, done;
};

static void on_done(struct lookup_wait *wait)
{
    struct request *request = container_of(wait, struct request, wait);

    request->answer = wait->answer;
    sem_post(&request->done);
}

static void on_request(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);

    request->wait.done = on_done;
    request->rc = lookups_get(lookups, request->key, strlen(request->key), request->peer,
                              &request->wait, &request->answer);
    sem_post(&request->begun);
}

static void begin(struct request *request, const char *key, uint64_t peer)
{
    *request = (struct request){.msg.run = on_request, .key = key, .peer = peer};
    sem_init(&request->begun, 0, 0);
    sem_init(&request->done, 0, 0);
    loop_post(loop, &request->msg);
    assert_int_equal(sem_wait(&request->begun), 0);
}

static void await_done(struct request *request)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += DEADLINE;
    if (request->rc == -EAGAIN)
        assert_int_equal(sem_timedwait(&request->done, &end), 0);
}

enum outcome { FOUND, NONE, FAILED, BUSY, IMPATIENT };

static enum outcome finish(struct request *request)
{
    enum outcome outcome = IMPATIENT;

    await_done(request);
    if (request->rc == -EBUSY)
        return BUSY;
    if (request->answer)
        outcome = (enum outcome)request->answer->result;
    lookup_unref(request->answer);
    return outcome;
}

static enum outcome get_by(uint64_t peer, const char *key)
{
    struct request request;

    begin(&request, key, peer);
    return finish(&request);
}

static enum outcome get(const char *key)
{
    return get_by(PEER, key);
}

static bool is_known(const char *key)
{
    struct lookup_answer *answer = NULL;
    const bool known = lookups_get(lookups, key, strlen(key), PEER, NULL, &answer) == 0;

    lookup_unref(answer);
    return known;
}

static int setup(void **state)
{
    (void)state;
    asked = waiting = most_waiting = 0;
    may_answer = all_fail = false;
    later = 0;
    return loop_create("test", 0, &loop) || loop_start(loop) ||
           lookup_threads_create(1, &threads) || lookups_create(&kind, NULL, threads, &lookups);
}

static int teardown(void **state)
{
    (void)state;
    let_answer();
    worker_pool_destroy(threads);
    loop_stop(loop);
    lookups_destroy(lookups);
    loop_destroy(loop);
    return 0;
}

static void one_question_serves_all_who_wait_and_those_who_come_later(void **state)
{
    struct request first, second;

    (void)state;
    begin(&first, "slow", PEER);
    begin(&second, "slow", OTHER_PEER);
    await_asked(1);
    let_answer();
    assert_int_equal(finish(&first), FOUND);
    assert_int_equal(finish(&second), FOUND);
    assert_int_equal(get("slow"), FOUND);
    assert_int_equal(asked, 1);
}

static void who_waits_for_what_hangs_is_told_so_and_others_are_answered(void **state)
{
    struct request hanging;

    (void)state;
    begin(&hanging, "s1", PEER);
    await_asked(1);
    assert_int_equal(get("f1"), FOUND);
    assert_int_equal(get("n1"), NONE);
    assert_int_equal(finish(&hanging), IMPATIENT);
    let_answer();
}

/* Wrong: who asks for many that hang has all threads, or all places. */
static void one_peer_never_has_all_threads_nor_all_places(void **state)
{
    static struct request requests[LINES];
    static char keys[LINES][8];
    unsigned busy = 0;

    (void)state;
    for (unsigned i = 0; i < LINES; i++) {
        snprintf(keys[i], sizeof(keys[i]), "s%u", i);
        begin(&requests[i], keys[i], PEER);
        busy += requests[i].rc == -EBUSY;
    }
    assert_int_equal(busy, LINES - 64);
    assert_int_equal(get_by(OTHER_PEER, "f1"), FOUND);
    await_asked(4);
    assert_int_equal(most_waiting, 3);
    let_answer();
    for (unsigned i = 0; i < LINES; i++)
        finish(&requests[i]);
}

static void invented_keys_drive_out_no_answer(void **state)
{
    char key[16];

    (void)state;
    assert_int_equal(get("f1"), FOUND);
    for (unsigned i = 0; i < 2100; i++) {
        snprintf(key, sizeof(key), "n%u", i);
        assert_int_equal(get(key), NONE);
    }
    assert_false(is_known("n0"));
    assert_true(is_known("n2099"));
    assert_true(is_known("f1"));
}

static void answers_have_a_bound_and_so_has_their_weight(void **state)
{
    char key[16];

    (void)state;
    for (unsigned i = 0; i < ANSWERS + 1; i++) {
        snprintf(key, sizeof(key), "f%u", i);
        assert_int_equal(get(key), FOUND);
    }
    assert_false(is_known("f0"));
    assert_true(is_known("f1"));
    assert_int_equal(get("fat1"), FOUND);
    assert_int_equal(get("fat2"), FOUND);
    assert_false(is_known("fat1"));
    assert_false(is_known("f1"));
    assert_true(is_known("fat2"));
}

static void what_is_not_there_is_asked_again_sooner(void **state)
{
    (void)state;
    assert_int_equal(get("n1"), NONE);
    assert_int_equal(get("e1"), FAILED);
    assert_int_equal(get("f1"), FOUND);
    later = 10 * SECOND_NS;
    assert_false(is_known("e1"));
    assert_true(is_known("n1"));
    later = 60 * SECOND_NS;
    assert_false(is_known("n1"));
    assert_true(is_known("f1"));
    later = 700 * SECOND_NS;
    assert_false(is_known("f1"));
}

/* Until what was asked besides has been answered and remembered. */
static void await_answered(void)
{
    while (lookups_under_way(lookups) > 0)
        usleep(1000);
}

/* Wrong: everybody waits once in ten minutes. */
static void what_gets_old_is_asked_anew_while_it_is_used(void **state)
{
    (void)state;
    assert_int_equal(get("f1"), FOUND);
    later = 200 * SECOND_NS;
    assert_int_equal(get("f1"), FOUND);
    assert_int_equal(asked, 1);
    later = 400 * SECOND_NS;
    assert_int_equal(get("f1"), FOUND);
    await_asked(2);
    await_answered();
    later = 650 * SECOND_NS; /* past the end of the first answer, and the second is not old */
    assert_true(is_known("f1"));
    later = 1100 * SECOND_NS;
    assert_false(is_known("f1"));
}

/* Wrong: a directory that is away takes away what was good; or what it once said is good for ever.
 */
static void an_answer_outlasts_a_directory_that_is_away_for_an_hour(void **state)
{
    (void)state;
    assert_int_equal(get("f1"), FOUND);
    all_fail = true;
    for (unsigned minute = 6; minute < 60; minute++) {
        later = 60 * minute * SECOND_NS;
        assert_int_equal(get("f1"), FOUND);
        await_answered();
    }
    assert_int_equal(asked, 1 + 60 - 6);
    later = 3601 * SECOND_NS;
    assert_int_equal(get("f1"), FAILED);
}

static void what_has_hung_for_long_is_not_waited_for(void **state)
{
    struct request request;

    (void)state;
    begin(&request, "s1", PEER);
    await_asked(1);
    assert_int_equal(finish(&request), IMPATIENT);
    later = 31 * SECOND_NS;
    begin(&request, "s1", PEER);
    assert_int_equal(request.rc, -ETIMEDOUT);
}

static void a_flush_forgets_also_what_is_being_asked(void **state)
{
    struct request before, after;

    (void)state;
    assert_int_equal(get("f1"), FOUND);
    begin(&before, "s1", PEER);
    await_asked(2);
    lookups_flush(lookups);
    assert_false(is_known("f1"));
    begin(&after, "s1", PEER);
    await_asked(3);
    let_answer();
    assert_int_equal(finish(&before), FOUND);
    assert_int_equal(finish(&after), FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(one_question_serves_all_who_wait_and_those_who_come_later),
        CASE(who_waits_for_what_hangs_is_told_so_and_others_are_answered),
        CASE(one_peer_never_has_all_threads_nor_all_places),
        CASE(invented_keys_drive_out_no_answer),
        CASE(answers_have_a_bound_and_so_has_their_weight),
        CASE(what_is_not_there_is_asked_again_sooner),
        CASE(what_gets_old_is_asked_anew_while_it_is_used),
        CASE(an_answer_outlasts_a_directory_that_is_away_for_an_hour),
        CASE(what_has_hung_for_long_is_not_waited_for),
        CASE(a_flush_forgets_also_what_is_being_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
