/*
 * loop.h - event loops: one libevent base and one thread each, and messages between them.
 *
 * State belongs to a loop and is touched only on its thread; everything else reaches it by a
 * message. A message is embedded in what it is about, so posting neither allocates nor fails. The
 * keeper (the layout engine's thread) is a loop too.
 */
#ifndef SEALNFS_SERVER_BASE_LOOP_H
#define SEALNFS_SERVER_BASE_LOOP_H

#include <stdint.h>

#include "server/base/confine.h"

struct event_base;
struct loop;

struct loop_msg {
    struct loop_msg *next; /* the queue's */
    void (*run)(
        struct loop_msg *msg); /* called on the loop's thread; may free what msg is embedded in */
};

/* Create a loop (its thread starts with loop_start). name: up to 15 characters, the thread's name.
 */
int loop_create(const char *name, unsigned index, struct loop **out);
/* What its thread confines itself to; CONFINE_NOT if it is not said. Before loop_start. */
void loop_confine(struct loop *loop, enum confine_role role);
int loop_start(struct loop *loop);
/* Ask the loop to end after the messages posted so far, join its thread. Messages posted later are
 * not run. */
void loop_stop(struct loop *loop);
void loop_destroy(struct loop *loop);

struct event_base *loop_base(struct loop *loop);
unsigned loop_index(const struct loop *loop);
/* The loop whose thread is calling, or NULL on any other thread. */
struct loop *loop_self(void);

/* Run msg on the loop, in order of posting per sender. Any thread. Never fails; msg must not be
 * posted already. */
void loop_post(struct loop *loop, struct loop_msg *msg);

/* A coarse monotonic clock in nanoseconds (granularity about 4 ms). Any thread. */
uint64_t loop_now_ns(void);
uint64_t
loop_fine_ns(void); /* for turns shorter than a tick, of which the one above knows nothing */

#endif
