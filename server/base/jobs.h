/*
 * jobs.h - work that a loop hands to the workers and that comes home to it as a message. It is
 * counted, so that who owns it can see to it that all of it is home before it goes.
 */
#ifndef SEALNFS_SERVER_BASE_JOBS_H
#define SEALNFS_SERVER_BASE_JOBS_H

#include <stdatomic.h>

struct loop;
struct loop_msg;
struct work;
struct worker_pool;

struct jobs {
    struct loop *loop;
    struct worker_pool *workers;
    atomic_uint under_way;
};

/* Hand work to the workers; the last thing that it does there is jobs_come_home. */
void jobs_submit(struct jobs *jobs, struct work *work);
/* The same for what runs on a thread of its own. */
void jobs_begin(struct jobs *jobs);
/* Any thread. */
void jobs_come_home(struct jobs *jobs, struct loop_msg *msg);
unsigned jobs_under_way(struct jobs *jobs);
/* Returns when none is under way. BLOCKS. */
void jobs_wait(struct jobs *jobs);

#endif
