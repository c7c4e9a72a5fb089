/*
 * Those who wait for an operation take completions themselves: between the device and who waits
 * there is no other thread then, whose turn is a good part of what a short read takes. See rdma.h.
 *
 * One leads at a time, from when it begins to wait until its operation is over; what else is
 * completed meanwhile it gives to whoever has submitted that. Between two leaders nobody takes
 * completions at once: the connection's thread does all else (deadlines, the connection manager,
 * the end), looks in every RDMA_TICK_MS and takes completions back when nobody has led since it
 * last looked. It does so at once when several wait, or when nobody will wait
 * (sealio_rdma_op.unattended).
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "client/net/transport.h"
#include "client/rdma/private.h"

enum {
    CONNECT_MS = 5000,
    SHARED_MS = 10, /* so long after several have waited at a time the thread serves them */
};

/* What this thread leads: its own callbacks need not wake it. */
static _Thread_local const struct sealio_rdma *led_here;

void sealio_rdma_give_back(struct sealio_rdma *rdma)
{
    rdma->not_led_until_ms = sealio_now_ms() + SHARED_MS;
    if (rdma->leading) {
        rdma->others = true; /* when it ends */
        return;
    }
    rdma->led = false;
    sealio_rdma_wake(rdma->wake);
}

void sealio_rdma_thread_looked(struct sealio_rdma *rdma, bool taken)
{
    if (taken && rdma->leading)
        sealio_rdma_wake(rdma->wake_leader); /* what it waits for may be among it */
    if (!rdma->leading && !rdma->led_lately)
        rdma->led = false;
    rdma->led_lately = false;
}

/* Under the lock. */
static bool begin_to_lead(struct sealio_rdma *rdma)
{
    if (rdma->leading)
        rdma->others = true;
    if (rdma->leading || rdma->state != RDMA_UP || sealio_now_ms() < rdma->not_led_until_ms)
        return false;
    rdma->led = rdma->leading = true;
    rdma->others = false;
    rdma->users++;
    led_here = rdma;
    return true;
}

/* Under the lock. */
static void end_to_lead(struct sealio_rdma *rdma)
{
    led_here = NULL;
    rdma->leading = false;
    rdma->led_lately = true;
    if (rdma->others)
        sealio_rdma_give_back(rdma);
    if (--rdma->users == 0)
        pthread_cond_broadcast(&rdma->changed);
}

static void sleep_as_leader(struct sealio_rdma *rdma, uint64_t now_ms, uint64_t until_ms)
{
    struct pollfd fds[] = {{.fd = rdma->completions->fd, .events = POLLIN},
                           {.fd = rdma->wake_leader, .events = POLLIN}};
    const uint64_t left = until_ms - now_ms;
    uint64_t wakes;
    if (poll(fds, 2, left < RDMA_TICK_MS ? (int)left : RDMA_TICK_MS) <= 0)
        return;
    if (fds[1].revents && read(rdma->wake_leader, &wakes, sizeof(wakes)) < 0)
        wakes = 0;
    if (fds[0].revents)
        sealio_rdma_heed_device(rdma);
}

bool sealio_rdma_lead(struct sealio_rdma *rdma, const atomic_bool *over, uint64_t until_ms)
{
    bool up;
    pthread_mutex_lock(&rdma->lock);
    if (!begin_to_lead(rdma)) {
        pthread_mutex_unlock(&rdma->lock);
        return false;
    }
    for (;;) {
        struct rdma_ops completed = {.end = &completed.first};
        sealio_rdma_collect(rdma, &completed);
        up = rdma->state == RDMA_UP;
        pthread_mutex_unlock(&rdma->lock);
        sealio_rdma_call_done(&completed);
        const uint64_t now_ms = sealio_now_ms();
        const bool enough = !up || atomic_load(over) || now_ms >= until_ms;
        if (!enough)
            sleep_as_leader(rdma, now_ms, until_ms);
        pthread_mutex_lock(&rdma->lock);
        if (enough)
            break;
    }
    end_to_lead(rdma);
    pthread_mutex_unlock(&rdma->lock);
    return up;
}

void sealio_rdma_nudge(struct sealio_rdma *rdma)
{
    if (led_here != rdma)
        sealio_rdma_wake(rdma->wake_leader);
}

/* ---- one operation, waited for ---- */

struct waited_op {
    struct sealio_rdma_op op; /* first: the data path gives it back */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_bool done;
};

static void wake_waiter(struct sealio_rdma_op *op, int rc)
{
    struct waited_op *waited = (struct waited_op *)op;
    (void)rc;
    pthread_mutex_lock(&waited->lock);
    atomic_store(&waited->done, true);
    pthread_cond_signal(&waited->changed);
    pthread_mutex_unlock(&waited->lock);
}

int sealio_rdma_run(struct sealio_rdma *rdma, struct sealio_rdma_op *op)
{
    struct waited_op waited = {.op = *op};
    int rc = sealio_rdma_connect(rdma, CONNECT_MS);
    if (rc < 0)
        return rc;
    waited.op.done = wake_waiter;
    pthread_mutex_init(&waited.lock, NULL);
    pthread_cond_init(&waited.changed, NULL);
    rc = sealio_rdma_submit(rdma, &waited.op);
    if (rc == 0) {
        (void)sealio_rdma_lead(rdma, &waited.done, UINT64_MAX);
        pthread_mutex_lock(&waited.lock);
        while (!atomic_load(&waited.done))
            pthread_cond_wait(&waited.changed, &waited.lock);
        pthread_mutex_unlock(&waited.lock);
        rc = waited.op.rc;
    }
    pthread_cond_destroy(&waited.changed);
    pthread_mutex_destroy(&waited.lock);
    return rc;
}
