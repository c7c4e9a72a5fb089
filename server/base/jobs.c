/*
 * jobs.c - see jobs.h.
 */
#include "server/base/jobs.h"

#include <time.h>

#include "server/base/loop.h"
#include "server/base/worker.h"

void jobs_begin(struct jobs *jobs)
{
    atomic_fetch_add(&jobs->under_way, 1);
}

void jobs_submit(struct jobs *jobs, struct work *work)
{
    jobs_begin(jobs);
    worker_submit(jobs->workers, work);
}

void jobs_come_home(struct jobs *jobs, struct loop_msg *msg)
{
    loop_post(jobs->loop, msg);
    atomic_fetch_sub(&jobs->under_way, 1);
}

unsigned jobs_under_way(struct jobs *jobs)
{
    return atomic_load(&jobs->under_way);
}

void jobs_wait(struct jobs *jobs)
{
    struct timespec pause = {.tv_nsec = 1000000};
    while (jobs_under_way(jobs) > 0)
        nanosleep(&pause, NULL);
}
