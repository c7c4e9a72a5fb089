/*
 * lookup.h - answers of directories and name servers, which may be slow or not answer at all: asked
 * on threads of their own, remembered for a time and up to a bound, and waited for no longer than
 * the patience that there is.
 *
 * Of each key one question is under way, whoever waits for it; so a key that hangs takes one
 * thread. Of the threads, and of the questions under way, one peer never has all. What is not there
 * (LOOKUP_NONE) is remembered apart and for less long, so that who invents keys drives out no
 * answer. An answer that gets old is asked for again while it is still used, and is good for longer
 * where that fails.
 */
#ifndef SEALNFS_SERVER_EXPORT_LOOKUP_H
#define SEALNFS_SERVER_EXPORT_LOOKUP_H

#include <event2/event_struct.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/loop.h"

struct lookups;
struct question;
struct worker_pool;

enum lookup_result {
    LOOKUP_FOUND,
    LOOKUP_NONE,   /* there is nothing by this key */
    LOOKUP_FAILED, /* that could not be found out */
};

/* The head of what a question's `ask` allocates; the rest is its own, and does not change. */
struct lookup_answer {
    atomic_uint refs;
    enum lookup_result result;
    size_t weight; /* counted against `weight_max` */
};

enum { LOOKUP_KEY_MAX = 320 };

struct lookup_kind {
    /* On a thread that may block. NULL: out of memory. With one reference, which is the caller's.
     */
    struct lookup_answer *(*ask)(void *context, const void *key, size_t len);
    /* Of the threads, 1 and above: kinds do not wait for each other. */
    uint64_t work_key;
    unsigned answers_max;
    size_t weight_max; /* of all answers that are remembered */
};

/* Who waits, embedded in what waits. `done` is called on the loop that asked; then `answer` is a
 * reference of the waiter's, or NULL: patience has run out, or memory. */
struct lookup_wait {
    void (*done)(struct lookup_wait *wait);
    struct lookup_answer *answer;
    struct lookups *lookups; /* from here on lookup.c's */
    struct question *question;
    struct lookup_wait *next;
    struct loop *loop;
    struct loop_msg msg;
    struct event timer;
};

/* Threads for them, of `kinds` that do not wait for each other. -errno. */
int lookup_threads_create(unsigned kinds, struct worker_pool **out);
/* kind, context: valid for as long as the table. The threads end before it. */
int lookups_create(const struct lookup_kind *kind, void *context, struct worker_pool *threads,
                   struct lookups **out);
void lookups_destroy(struct lookups *lookups);
/* Nothing is known from here on. Any thread. */
void lookups_flush(struct lookups *lookups);

/* 0: *out is a reference; -EAGAIN: not known; if there is a wait, its `done` will be called, once
 * (on the calling loop; NULL: any thread, and nothing is asked). -EBUSY: not known, and too much is
 * being asked already: later. -ETIMEDOUT: half a minute was not enough for it. peer:
 * peer_address_number, whose question it is; 0: our own. */
int lookups_get(struct lookups *lookups, const void *key, size_t len, uint64_t peer,
                struct lookup_wait *wait, struct lookup_answer **out);
/* Asks, unless it is known or being asked. Any thread. */
void lookups_ask(struct lookups *lookups, const void *key, size_t len, uint64_t peer);
unsigned lookups_under_way(struct lookups *lookups); /* questions */
struct lookup_answer *lookup_ref(struct lookup_answer *answer);
void lookup_unref(struct lookup_answer *answer); /* NULL: nothing */

#endif
