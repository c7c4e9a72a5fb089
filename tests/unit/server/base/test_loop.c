/*
 * test_loop.c - messages between loops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "server/base/loop.h"

enum { SENDERS = 4, EACH = 20000 };

struct numbered {
    struct loop_msg msg;
    unsigned sender, number;
};

static unsigned next_of[SENDERS], received;
static bool in_order;
static struct loop *receiver;

static void on_numbered(struct loop_msg *msg)
{
    struct numbered *n = (struct numbered *)(void *)msg;
    if (n->number != next_of[n->sender]++ || loop_self() != receiver)
        in_order = false;
    received++;
}

static void *send_all(void *arg)
{
    struct numbered *mine = arg;
    for (unsigned i = 0; i < EACH; i++)
        loop_post(receiver, &mine[i].msg);
    return NULL;
}

static void every_message_runs_once_and_in_its_senders_order(void **state)
{
    (void)state;
    pthread_t threads[SENDERS];
    struct numbered *all = calloc(SENDERS * EACH, sizeof(*all));
    assert_non_null(all);
    in_order = true;
    assert_int_equal(loop_create("test", 3, &receiver), 0);
    assert_int_equal(loop_index(receiver), 3);
    assert_int_equal(loop_start(receiver), 0);
    for (unsigned s = 0; s < SENDERS; s++) {
        for (unsigned i = 0; i < EACH; i++)
            all[s * EACH + i] = (struct numbered){.msg.run = on_numbered, .sender = s, .number = i};
        assert_int_equal(pthread_create(&threads[s], NULL, send_all, &all[s * EACH]), 0);
    }
    for (unsigned s = 0; s < SENDERS; s++)
        pthread_join(threads[s], NULL);
    loop_stop(receiver); /* after the messages posted so far */
    assert_int_equal(received, SENDERS * EACH);
    assert_true(in_order);
    loop_destroy(receiver);
    free(all);
}

/* A message may free what it is embedded in, and post again. */
static atomic_uint chain_left;

static void on_chain(struct loop_msg *msg)
{
    free(msg);
    if (atomic_fetch_sub(&chain_left, 1) == 1)
        return;
    struct loop_msg *next = malloc(sizeof(*next));
    if (next == NULL)
        return;
    next->run = on_chain;
    loop_post(loop_self(), next);
}

static void a_message_may_free_itself_and_post_another(void **state)
{
    (void)state;
    struct loop *loop;
    struct loop_msg *first = malloc(sizeof(*first));
    assert_non_null(first);
    atomic_store(&chain_left, 100);
    assert_int_equal(loop_create("test", 0, &loop), 0);
    assert_int_equal(loop_start(loop), 0);
    first->run = on_chain;
    loop_post(loop, first);
    while (atomic_load(&chain_left) > 0)
        sched_yield();
    loop_destroy(loop);
    assert_null(loop_self());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_runs_once_and_in_its_senders_order),
        cmocka_unit_test(a_message_may_free_itself_and_post_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
