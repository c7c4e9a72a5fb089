/*
 * lookup.c - see lookup.h. The answers are two hashes in order of age, the questions under way a
 * list, all under one mutex that nobody holds while he asks.
 */
#include "server/export/lookup.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "layout/container_of.h"
#include "server/base/worker.h"

#define SECOND_NS       UINT64_C(1000000000)
#define LIFE_NS         (600 * SECOND_NS)
#define FRESH_NS        (300 * SECOND_NS)  /* then it is asked for again by who uses it */
#define STALE_LIFE_NS   (3600 * SECOND_NS) /* where that fails */
#define RETRY_NS        (30 * SECOND_NS)
#define NONE_LIFE_NS    (30 * SECOND_NS)
#define FAILURE_LIFE_NS (5 * SECOND_NS)
#define QUESTION_NS     (30 * SECOND_NS) /* then it is not waited for any more */

enum { SHARE = 4, QUESTIONS_MAX = 256, PEER_PART = 4, MISSES_MAX = 2048, PATIENCE_MS = 1000 };

struct lookup_key {
    uint32_t len;
    uint8_t bytes[LOOKUP_KEY_MAX]; /* zeros beyond */
};

struct entry {
    UT_hash_handle hh; /* in order of insertion: the first is the oldest */
    uint64_t born, ask_again, expires;
    struct lookup_answer *answer;
    struct lookup_key key;
};

/* Asked of a thread, or about to be. */
struct question {
    struct question *prev, *next;
    struct lookups *lookups;
    struct lookup_key key;
    uint64_t generation, begun;
    struct lookup_wait *waits;
    struct work work;
};

struct lookups {
    const struct lookup_kind *kind;
    void *context;
    struct worker_pool *threads;
    pthread_mutex_t lock;
    uint64_t generation; /* flushes so far: what was asked before one is not remembered */
    struct entry *answers, *misses;
    size_t weight; /* of the answers */
    struct question *questions;
    unsigned count;
};

int lookup_threads_create(unsigned kinds, struct worker_pool **out)
{
    return worker_pool_create_as(CONFINE_LOOKUP, SHARE * kinds, SHARE, out);
}

int lookups_create(const struct lookup_kind *kind, void *context, struct worker_pool *threads,
                   struct lookups **out)
{
    struct lookups *lookups = calloc(1, sizeof(*lookups));

    if (!lookups)
        return -ENOMEM;
    lookups->kind = kind;
    lookups->context = context;
    lookups->threads = threads;
    pthread_mutex_init(&lookups->lock, NULL);
    *out = lookups;
    return 0;
}

struct lookup_answer *lookup_ref(struct lookup_answer *answer)
{
    atomic_fetch_add_explicit(&answer->refs, 1, memory_order_relaxed);
    return answer;
}

void lookup_unref(struct lookup_answer *answer)
{
    if (answer && atomic_fetch_sub_explicit(&answer->refs, 1, memory_order_acq_rel) == 1)
        free(answer);
}

/* ---- what is remembered; under the lock ---- */

static struct entry **table_for(struct lookups *lookups, const struct lookup_answer *answer)
{
    return answer->result == LOOKUP_FOUND ? &lookups->answers : &lookups->misses;
}

static void forget_entry(struct lookups *lookups, struct entry *entry)
{
    if (entry->answer->result == LOOKUP_FOUND)
        lookups->weight -= entry->answer->weight;
    HASH_DELETE(hh, *table_for(lookups, entry->answer), entry);
    lookup_unref(entry->answer);
    free(entry);
}

static void forget_all(struct lookups *lookups)
{
    while (lookups->answers)
        forget_entry(lookups, lookups->answers);
    while (lookups->misses)
        forget_entry(lookups, lookups->misses);
}

static struct entry *find_entry(struct lookups *lookups, const struct lookup_key *key)
{
    struct entry *entry;

    HASH_FIND(hh, lookups->answers, key, sizeof(*key), entry);
    if (!entry)
        HASH_FIND(hh, lookups->misses, key, sizeof(*key), entry);
    if (entry && entry->expires <= loop_now_ns()) {
        forget_entry(lookups, entry);
        entry = NULL;
    }
    return entry;
}

static uint64_t life_of(const struct lookup_answer *answer)
{
    switch (answer->result) {
    case LOOKUP_FOUND:
        return LIFE_NS;
    case LOOKUP_NONE:
        return NONE_LIFE_NS;
    default:
        return FAILURE_LIFE_NS;
    }
}

/* The oldest make room. False: it has more weight than there may be. */
static bool make_room(struct lookups *lookups, const struct lookup_answer *answer)
{
    const struct lookup_kind *kind = lookups->kind;

    if (answer->result != LOOKUP_FOUND) {
        if (HASH_COUNT(lookups->misses) >= MISSES_MAX)
            forget_entry(lookups, lookups->misses);
        return true;
    }
    while (lookups->answers && (HASH_COUNT(lookups->answers) >= kind->answers_max ||
                                lookups->weight + answer->weight > kind->weight_max))
        forget_entry(lookups, lookups->answers);
    return answer->weight <= kind->weight_max;
}

/* A failure to ask anew takes nothing from an answer that was good: it lasts an hour in all. */
static void make_last(struct entry *entry)
{
    const uint64_t now = loop_now_ns(), most = entry->born + STALE_LIFE_NS;
    const uint64_t end = now + LIFE_NS < most ? now + LIFE_NS : most;

    entry->ask_again = now + RETRY_NS;
    if (end > entry->expires)
        entry->expires = end;
}

/* Without memory an answer is simply not remembered. */
static void remember(struct lookups *lookups, const struct lookup_key *key,
                     struct lookup_answer *answer)
{
    struct entry *old = find_entry(lookups, key), *entry;

    if (old && answer->result == LOOKUP_FAILED && old->answer->result == LOOKUP_FOUND) {
        make_last(old);
        return;
    }
    if (old)
        forget_entry(lookups, old);
    entry = make_room(lookups, answer) ? calloc(1, sizeof(*entry)) : NULL;
    if (!entry)
        return;
    entry->key = *key;
    entry->born = loop_now_ns();
    entry->ask_again = entry->born + FRESH_NS;
    entry->expires = entry->born + life_of(answer);
    entry->answer = answer;
    HASH_ADD(hh, *table_for(lookups, answer), key, sizeof(entry->key), entry);
    if (!entry->hh.tbl) {
        free(entry);
        return;
    }
    lookup_ref(answer);
    if (answer->result == LOOKUP_FOUND)
        lookups->weight += answer->weight;
}

void lookups_flush(struct lookups *lookups)
{
    pthread_mutex_lock(&lookups->lock);
    lookups->generation++;
    forget_all(lookups);
    pthread_mutex_unlock(&lookups->lock);
}

void lookups_destroy(struct lookups *lookups)
{
    struct question *question;

    if (!lookups)
        return;
    forget_all(lookups);
    while ((question = lookups->questions)) { /* no thread took it any more */
        lookups->questions = question->next;
        free(question);
    }
    pthread_mutex_destroy(&lookups->lock);
    free(lookups);
}

/* ---- questions under way; under the lock ---- */

static struct question *find_question(const struct lookups *lookups, const struct lookup_key *key)
{
    for (struct question *q = lookups->questions; q; q = q->next)
        if (q->generation == lookups->generation && memcmp(&q->key, key, sizeof(*key)) == 0)
            return q;
    return NULL;
}

static bool may_begin(const struct lookups *lookups, uint64_t peer)
{
    unsigned own = 0;

    for (const struct question *q = lookups->questions; q; q = q->next)
        own += q->work.peer == peer;
    return lookups->count < QUESTIONS_MAX && own < QUESTIONS_MAX / PEER_PART;
}

static void link_question(struct lookups *lookups, struct question *question)
{
    question->next = lookups->questions;
    if (question->next)
        question->next->prev = question;
    lookups->questions = question;
    lookups->count++;
}

static void unlink_question(struct lookups *lookups, struct question *question)
{
    if (question->prev)
        question->prev->next = question->next;
    else
        lookups->questions = question->next;
    if (question->next)
        question->next->prev = question->prev;
    lookups->count--;
}

/* On a thread: nobody is waited for here but the directory. */
static void answer_question(struct work *work)
{
    struct question *question = container_of(work, struct question, work);
    struct lookups *lookups = question->lookups;
    struct lookup_answer *answer =
        lookups->kind->ask(lookups->context, question->key.bytes, question->key.len);
    struct lookup_wait *wait;

    pthread_mutex_lock(&lookups->lock);
    if (answer && question->generation == lookups->generation)
        remember(lookups, &question->key, answer);
    unlink_question(lookups, question);
    while ((wait = question->waits)) {
        question->waits = wait->next;
        wait->question = NULL;
        wait->answer = answer ? lookup_ref(answer) : NULL;
        loop_post(wait->loop, &wait->msg);
    }
    pthread_mutex_unlock(&lookups->lock);
    lookup_unref(answer);
    free(question);
}

/* The question of this key; NULL: too much is being asked. */
static struct question *begin_question(struct lookups *lookups, const struct lookup_key *key,
                                       uint64_t peer)
{
    struct question *question = find_question(lookups, key);

    if (question)
        return question;
    question = may_begin(lookups, peer) ? calloc(1, sizeof(*question)) : NULL;
    if (!question)
        return NULL;
    question->lookups = lookups;
    question->key = *key;
    question->generation = lookups->generation;
    question->begun = loop_now_ns();
    question->work =
        (struct work){.run = answer_question, .key = lookups->kind->work_key, .peer = peer};
    link_question(lookups, question);
    worker_submit(lookups->threads, &question->work);
    return question;
}

/* ---- those who wait ---- */

static void on_answer(struct loop_msg *msg)
{
    struct lookup_wait *wait = container_of(msg, struct lookup_wait, msg);

    event_del(&wait->timer);
    wait->done(wait);
}

/* False: the answer is on its way already. */
static bool leave_question(struct lookup_wait *wait)
{
    struct lookups *lookups = wait->lookups;
    bool left = false;

    pthread_mutex_lock(&lookups->lock);
    if (wait->question) {
        for (struct lookup_wait **at = &wait->question->waits; *at && !left; at = &(*at)->next)
            if (*at == wait) {
                *at = wait->next;
                left = true;
                break;
            }
        wait->question = NULL;
    }
    pthread_mutex_unlock(&lookups->lock);
    return left;
}

static void on_impatience(evutil_socket_t fd, short what, void *arg)
{
    struct lookup_wait *wait = arg;

    (void)fd, (void)what;
    if (leave_question(wait))
        wait->done(wait);
}

/* False: out of memory. */
static bool join_question(struct lookups *lookups, struct question *question,
                          struct lookup_wait *wait)
{
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000,
                                     .tv_usec = PATIENCE_MS % 1000 * 1000};

    wait->answer = NULL;
    wait->lookups = lookups;
    wait->loop = loop_self();
    wait->msg.run = on_answer;
    if (evtimer_assign(&wait->timer, loop_base(wait->loop), on_impatience, wait) != 0 ||
        evtimer_add(&wait->timer, &patience) != 0)
        return false;
    wait->question = question;
    wait->next = question->waits;
    question->waits = wait;
    return true;
}

static bool is_old(const struct entry *entry)
{
    return entry->answer->result == LOOKUP_FOUND && loop_now_ns() >= entry->ask_again;
}

/* Under the lock. */
static int find_or_ask(struct lookups *lookups, const struct lookup_key *key, uint64_t peer,
                       struct lookup_wait *wait, struct lookup_answer **out)
{
    struct entry *entry = find_entry(lookups, key);
    struct question *question = NULL;

    if (entry && is_old(entry))
        (void)begin_question(lookups, key, peer);
    if (entry) {
        *out = lookup_ref(entry->answer);
        return 0;
    }
    question = find_question(lookups, key);
    if (question && loop_now_ns() >= question->begun + QUESTION_NS)
        return -ETIMEDOUT;
    if (!wait)
        return -EAGAIN;
    question = begin_question(lookups, key, peer);
    return question && join_question(lookups, question, wait) ? -EAGAIN : -EBUSY;
}

/* False: it is too long to be one. */
static bool make_key(struct lookup_key *out, const void *key, size_t len)
{
    if (len > sizeof(out->bytes))
        return false;
    *out = (struct lookup_key){.len = (uint32_t)len};
    memcpy(out->bytes, key, len);
    return true;
}

int lookups_get(struct lookups *lookups, const void *key, size_t len, uint64_t peer,
                struct lookup_wait *wait, struct lookup_answer **out)
{
    struct lookup_key whole;
    int rc;

    if (!make_key(&whole, key, len))
        return -EINVAL;
    pthread_mutex_lock(&lookups->lock);
    rc = find_or_ask(lookups, &whole, peer, wait, out);
    pthread_mutex_unlock(&lookups->lock);
    return rc;
}

void lookups_ask(struct lookups *lookups, const void *key, size_t len, uint64_t peer)
{
    struct lookup_key whole;

    if (!make_key(&whole, key, len))
        return;
    pthread_mutex_lock(&lookups->lock);
    if (!find_entry(lookups, &whole))
        (void)begin_question(lookups, &whole, peer);
    pthread_mutex_unlock(&lookups->lock);
}

unsigned lookups_under_way(struct lookups *lookups)
{
    unsigned count;

    pthread_mutex_lock(&lookups->lock);
    count = lookups->count;
    pthread_mutex_unlock(&lookups->lock);
    return count;
}
