/*
 * Operations on a connection: posted by whoever submits them, completed by the connection's thread
 * or by who waits for them (rdma/lead.c). See rdma.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/net/transport.h"
#include "client/rdma/private.h"

enum { COMPLETIONS = 16, BOUNCE_ALIGN = 4096, MOST = 1 << 30 };

void sealio_rdma_wake(int eventfd)
{
    const uint64_t one = 1;
    /* Full means that it is awake already. */
    if (write(eventfd, &one, sizeof(one)) != sizeof(one))
        return;
}

static void append_op(struct rdma_ops *ops, struct sealio_rdma_op *op)
{
    op->next = NULL;
    *ops->end = op;
    ops->end = &op->next;
    ops->count++;
}

static struct sealio_rdma_op *take_first(struct rdma_ops *ops)
{
    struct sealio_rdma_op *op = ops->first;
    if (!op)
        return NULL;
    ops->first = op->next;
    if (!ops->first)
        ops->end = &ops->first;
    ops->count--;
    return op;
}

/* ---- memory to move from and to ---- */

/* Under the lock: the registration that the memory lies in. */
static const struct ibv_mr *find_registration(const struct sealio_rdma *rdma, const void *memory,
                                              size_t length)
{
    const uintptr_t at = (uintptr_t)memory;
    for (unsigned i = 0; i < rdma->memories_count; i++) {
        const struct rdma_memory *m = &rdma->memories[i];
        const uintptr_t base = (uintptr_t)m->base;
        if (m->mr && at >= base && at - base <= m->size && length <= m->size - (at - base))
            return m->mr;
    }
    return NULL;
}

size_t sealio_rdma_limit(struct sealio_rdma *rdma, const void *memory, size_t length,
                         uint64_t remote)
{
    const size_t skip = (size_t)(remote & (rdma->alignment - 1));
    if (length > MOST)
        length = MOST;
    if (length <= RDMA_BOUNCE_SIZE - skip)
        return length;
    pthread_mutex_lock(&rdma->lock);
    const bool direct = skip == 0 && find_registration(rdma, memory, length);
    pthread_mutex_unlock(&rdma->lock);
    return direct ? length : RDMA_BOUNCE_SIZE - skip;
}

uint64_t sealio_rdma_misfit(const struct sealio_rdma *rdma, uint64_t remote)
{
    return -remote & (rdma->alignment - 1);
}

static struct rdma_bounce *make_bounce(struct sealio_rdma *rdma)
{
    struct rdma_bounce *bounce = calloc(1, sizeof(*bounce));
    if (!bounce)
        return NULL;
    bounce->memory = aligned_alloc(BOUNCE_ALIGN, RDMA_BOUNCE_SIZE);
    bounce->mr = bounce->memory ? rdma->verbs->reg_mr(rdma->pd, bounce->memory, RDMA_BOUNCE_SIZE,
                                                      IBV_ACCESS_LOCAL_WRITE)
                                : NULL;
    if (bounce->mr)
        return bounce;
    free(bounce->memory);
    free(bounce);
    return NULL;
}

/* Under the lock. False: none is free now, and there will be; *rc: there will not. */
static bool take_bounce(struct sealio_rdma *rdma, struct sealio_rdma_op *op, int *rc)
{
    if (!rdma->bounces && rdma->bounces_count < RDMA_MAX_BOUNCES) {
        rdma->bounces = make_bounce(rdma);
        if (rdma->bounces)
            rdma->bounces_count++;
        else if (rdma->bounces_count == 0)
            *rc = -ENOMEM;
    }
    op->bounce = rdma->bounces;
    if (!op->bounce)
        return false;
    rdma->bounces = op->bounce->next;
    if (op->write)
        memcpy(op->bounce->memory, op->memory, op->length);
    return true;
}

static void put_bounce(struct sealio_rdma *rdma, struct sealio_rdma_op *op)
{
    op->bounce->next = rdma->bounces;
    rdma->bounces = op->bounce;
    op->bounce = NULL;
}

/* ---- posting ---- */

/* Under the lock. 1: the device has it; 0: no room, later; or the error. */
static int post_op(struct sealio_rdma *rdma, struct sealio_rdma_op *op)
{
    int rc = 0;
    if (rdma->posted.count >= rdma->depth)
        return 0;
    op->skip = op->write ? 0 : (size_t)(op->remote & (rdma->alignment - 1));
    const struct ibv_mr *mr =
        op->skip == 0 ? find_registration(rdma, op->memory, op->length) : NULL;
    if (!mr && op->skip + op->length > RDMA_BOUNCE_SIZE)
        return -ENOMEM; /* it was registered when the limit was asked for, and is not any more */
    if (!mr && !take_bounce(rdma, op, &rc))
        return rc;
    struct ibv_sge sge = {.addr = (uintptr_t)(op->bounce ? op->bounce->memory : op->memory),
                          .length = (uint32_t)(op->skip + op->length),
                          .lkey = op->bounce ? op->bounce->mr->lkey : mr->lkey};
    struct ibv_send_wr wr = {.wr_id = (uintptr_t)op,
                             .sg_list = &sge,
                             .num_sge = 1,
                             .opcode = op->write ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ,
                             .send_flags = IBV_SEND_SIGNALED,
                             .wr.rdma = {.remote_addr = op->remote - op->skip, .rkey = op->key}};
    if (rdma->verbs->post_send(rdma->id->qp, &wr) != 0) {
        if (op->bounce)
            put_bounce(rdma, op);
        return -ECONNRESET;
    }
    append_op(&rdma->posted, op);
    return 1;
}

int sealio_rdma_submit(struct sealio_rdma *rdma, struct sealio_rdma_op *op)
{
    int rc = -ENOTCONN;
    bool sooner =
        false; /* than the thread would look at deadlines by itself: seldom, see deadline_of */
    op->bounce = NULL;
    pthread_mutex_lock(&rdma->lock);
    if (rdma->state == RDMA_UP) {
        rdma->active = true;
        sooner = op->deadline_ms < rdma->sleeps_until_ms;
        rc = rdma->waiting.first ? 0 : post_op(rdma, op);
        if (rc == 0)
            append_op(&rdma->waiting, op);
        if (op->unattended && rdma->led)
            sealio_rdma_give_back(rdma);
    }
    pthread_mutex_unlock(&rdma->lock);
    if (rc < 0)
        return -ENOTCONN;
    if (sooner)
        sealio_rdma_wake(rdma->wake);
    return 0;
}

/* ---- completing ---- */

static int status_errno(enum ibv_wc_status status, int why)
{
    switch (status) {
    case IBV_WC_SUCCESS:
        return 0;
    case IBV_WC_REM_ACCESS_ERR:
    case IBV_WC_REM_INV_REQ_ERR:
        return -EACCES;
    case IBV_WC_WR_FLUSH_ERR:
        return why ? why : -ECONNRESET;
    case IBV_WC_RETRY_EXC_ERR:
        return -ETIMEDOUT;
    default:
        return -EIO;
    }
}

void sealio_rdma_end(struct sealio_rdma *rdma, int why)
{
    if (rdma->state != RDMA_UP)
        return;
    rdma->state = RDMA_ENDING;
    rdma->why = why;
    sealio_rdma_wake(rdma->wake);
    sealio_rdma_wake(rdma->wake_leader);
}

/* Under the lock: one operation is over; it goes onto `over`. */
static void finish_op(struct sealio_rdma *rdma, struct sealio_rdma_op *op, int rc,
                      struct rdma_ops *over)
{
    if (op->bounce) {
        if (rc == 0 && !op->write)
            memcpy(op->memory, op->bounce->memory + op->skip, op->length);
        put_bounce(rdma, op);
    }
    op->rc = rc;
    append_op(over, op);
}

/* Under the lock: takes what the device has completed. A queue pair completes in order. */
static void collect_completions(struct sealio_rdma *rdma, struct rdma_ops *over)
{
    struct ibv_wc wc[COMPLETIONS];
    int n;
    while ((n = rdma->verbs->poll_cq(rdma->cq, COMPLETIONS, wc)) > 0) {
        for (int i = 0; i < n; i++) {
            struct sealio_rdma_op *op = rdma->posted.first;
            if (!op || (uintptr_t)op != wc[i].wr_id)
                continue;
            (void)take_first(&rdma->posted);
            const int rc = status_errno(wc[i].status, rdma->why);
            if (rc < 0)
                sealio_rdma_end(rdma, rc == -EACCES ? -ECONNRESET : rc);
            finish_op(rdma, op, rc, over);
        }
    }
    if (n < 0)
        sealio_rdma_end(rdma, -EIO);
}

/* Under the lock: what waited for room. */
static void post_waiting(struct sealio_rdma *rdma, struct rdma_ops *over)
{
    while (rdma->state == RDMA_UP && rdma->waiting.first) {
        struct sealio_rdma_op *op = take_first(&rdma->waiting);
        const int rc = post_op(rdma, op);
        if (rc == 0) { /* back to the front */
            op->next = rdma->waiting.first;
            if (!op->next)
                rdma->waiting.end = &op->next;
            rdma->waiting.first = op;
            rdma->waiting.count++;
            return;
        }
        if (rc < 0)
            finish_op(rdma, op, rc, over);
    }
}

void sealio_rdma_collect(struct sealio_rdma *rdma, struct rdma_ops *over)
{
    collect_completions(rdma, over);
    post_waiting(rdma, over);
}

/* Under the lock: the deadline that comes first. While operations come one by one the thread need
 * not be woken for each: it looks again in a while. */
static uint64_t deadline_of(struct sealio_rdma *rdma)
{
    uint64_t first = UINT64_MAX;
    for (const struct sealio_rdma_op *op = rdma->posted.first; op; op = op->next)
        first = op->deadline_ms < first ? op->deadline_ms : first;
    for (const struct sealio_rdma_op *op = rdma->waiting.first; op; op = op->next)
        first = op->deadline_ms < first ? op->deadline_ms : first;
    if (first == UINT64_MAX && rdma->active)
        first = sealio_now_ms() + RDMA_IDLE_MS;
    if (rdma->led && first > sealio_now_ms() + RDMA_TICK_MS)
        first = sealio_now_ms() + RDMA_TICK_MS;
    rdma->active = false;
    rdma->sleeps_until_ms = first;
    return first;
}

void sealio_rdma_call_done(struct rdma_ops *over)
{
    for (struct sealio_rdma_op *op; (op = take_first(over));)
        op->done(op, op->rc);
}

/* What the connection manager tells. */
static void heed_manager(struct sealio_rdma *rdma)
{
    struct rdma_cm_event *event;
    while (rdma->verbs->get_cm_event(rdma->channel, &event) == 0) {
        const bool over = event->event == RDMA_CM_EVENT_DISCONNECTED ||
                          event->event == RDMA_CM_EVENT_DEVICE_REMOVAL ||
                          event->event == RDMA_CM_EVENT_TIMEWAIT_EXIT;
        (void)rdma->verbs->ack_cm_event(event);
        if (!over)
            continue;
        pthread_mutex_lock(&rdma->lock);
        sealio_rdma_end(rdma, -ECONNRESET);
        pthread_mutex_unlock(&rdma->lock);
    }
}

void sealio_rdma_heed_device(struct sealio_rdma *rdma)
{
    (void)rdma->verbs->get_cq_event(rdma->completions);
    /* Before the queue is looked at: what comes later brings another event. */
    (void)rdma->verbs->req_notify_cq(rdma->cq);
}

/* led: others heed the device. */
static void sleep_until(struct sealio_rdma *rdma, uint64_t deadline_ms, bool led)
{
    struct pollfd fds[] = {{.fd = led ? -1 : rdma->completions->fd, .events = POLLIN},
                           {.fd = rdma->channel->fd, .events = POLLIN},
                           {.fd = rdma->wake, .events = POLLIN}};
    uint64_t wakes;
    const uint64_t now = sealio_now_ms();
    uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
    if (left > INT32_MAX)
        left = INT32_MAX;
    if (poll(fds, 3, deadline_ms == UINT64_MAX ? -1 : (int)left) <= 0)
        return;
    if (fds[2].revents && read(rdma->wake, &wakes, sizeof(wakes)) < 0)
        wakes = 0;
    if (fds[0].revents)
        sealio_rdma_heed_device(rdma);
    if (fds[1].revents)
        heed_manager(rdma);
}

/* One round: collect, post, look at the deadlines. False: the connection is over. */
static bool serve_round(struct sealio_rdma *rdma, uint64_t *deadline_ms, bool *led)
{
    struct rdma_ops over = {.end = &over.first};
    pthread_mutex_lock(&rdma->lock);
    sealio_rdma_collect(rdma, &over);
    sealio_rdma_thread_looked(rdma, over.first != NULL);
    *deadline_ms = deadline_of(rdma);
    if (rdma->posted.count + rdma->waiting.count > 0 && *deadline_ms <= sealio_now_ms())
        sealio_rdma_end(rdma, -ETIMEDOUT);
    const bool up = rdma->state == RDMA_UP;
    *led = rdma->led;
    pthread_mutex_unlock(&rdma->lock);
    sealio_rdma_call_done(&over);
    return up;
}

/* The connection is over: the queue pair's error gives back what the device has. */
static void drain_device(struct sealio_rdma *rdma)
{
    const uint64_t until_ms = sealio_now_ms() + RDMA_LINGER_MS;
    (void)rdma->verbs->qp_to_error(rdma->id->qp);
    for (unsigned left = 1; left > 0 && sealio_now_ms() < until_ms;) {
        struct rdma_ops over = {.end = &over.first};
        pthread_mutex_lock(&rdma->lock);
        collect_completions(rdma, &over);
        left = rdma->posted.count;
        pthread_mutex_unlock(&rdma->lock);
        sealio_rdma_call_done(&over);
        if (left > 0)
            sleep_until(rdma, until_ms, false);
    }
}

/* After the queue pair is gone. */
static void fail_rest(struct sealio_rdma *rdma)
{
    struct rdma_ops over = {.end = &over.first};
    pthread_mutex_lock(&rdma->lock);
    for (struct sealio_rdma_op *op; (op = take_first(&rdma->posted));)
        finish_op(rdma, op, rdma->why, &over);
    for (struct sealio_rdma_op *op; (op = take_first(&rdma->waiting));)
        finish_op(rdma, op, rdma->why, &over);
    while (rdma->users > 0)
        pthread_cond_wait(&rdma->changed, &rdma->lock);
    pthread_mutex_unlock(&rdma->lock);
    sealio_rdma_call_done(&over);
}

void *sealio_rdma_conn_main(void *arg)
{
    struct sealio_rdma *rdma = arg;
    uint64_t deadline_ms;
    bool led;
    while (serve_round(rdma, &deadline_ms, &led))
        sleep_until(rdma, deadline_ms, led);
    drain_device(rdma);
    sealio_rdma_conn_close_qp(rdma);
    fail_rest(rdma);
    sealio_rdma_conn_close(rdma);
    pthread_mutex_lock(&rdma->lock);
    rdma->state = RDMA_DOWN;
    pthread_cond_broadcast(&rdma->changed);
    pthread_mutex_unlock(&rdma->lock);
    return NULL;
}
