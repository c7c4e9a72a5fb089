/*
 * A connection to the server's data path, made and taken apart (docs/rdma-layout.md, "Connecting").
 * See rdma.h. On the thread that connects, or on the connection's own; nobody else has it then.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "client/net/transport.h"
#include "client/rdma/private.h"
#include "rdma/admission.h"

static int error_of_call(void)
{
    return errno ? -errno : -EIO;
}

static int error_of_refusal(struct xdr_bytes data)
{
    rdma_refused4 refused;
    if (rdma_refused_decode(data, &refused) < 0)
        return -ECONNREFUSED;
    switch (refused.rre_why) {
    case RDMA_REFUSED_VERSION:
        return -EPROTONOSUPPORT;
    case RDMA_REFUSED_BUSY:
        return -EBUSY;
    default:
        return -EACCES;
    }
}

/* Waits for the event that the last step leads to. */
static int await_event(struct sealio_rdma *rdma, enum rdma_cm_event_type wanted,
                       uint64_t deadline_ms)
{
    struct pollfd fd = {.fd = rdma->channel->fd, .events = POLLIN};
    struct rdma_cm_event *event;
    int rc = 0, ready;
    do {
        const uint64_t now = sealio_now_ms();
        ready = poll(&fd, 1, now < deadline_ms ? (int)(deadline_ms - now) : 0);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return ready < 0 ? -errno : -ETIMEDOUT;
    if (rdma->verbs->get_cm_event(rdma->channel, &event) != 0)
        return error_of_call();
    if (event->event == RDMA_CM_EVENT_REJECTED)
        rc = error_of_refusal(
            (struct xdr_bytes){event->param.conn.private_data, event->param.conn.private_data_len});
    else if (event->event != wanted)
        rc = event->status < 0 ? event->status : -EHOSTUNREACH;
    (void)rdma->verbs->ack_cm_event(event);
    return rc;
}

static int resolve_address(struct sealio_rdma *rdma, struct sockaddr *address, unsigned patience_ms,
                           uint64_t deadline_ms)
{
    const struct sealio_verbs *verbs = rdma->verbs;
    rdma->channel = verbs->create_event_channel();
    if (!rdma->channel || verbs->create_id(rdma->channel, &rdma->id) != 0)
        return error_of_call();
    if (verbs->resolve_addr(rdma->id, address, (int)patience_ms) != 0)
        return error_of_call();
    int rc = await_event(rdma, RDMA_CM_EVENT_ADDR_RESOLVED, deadline_ms);
    if (rc < 0)
        return rc;
    if (verbs->resolve_route(rdma->id, (int)patience_ms) != 0)
        return error_of_call();
    return await_event(rdma, RDMA_CM_EVENT_ROUTE_RESOLVED, deadline_ms);
}

/* Events are waited for with poll(), never by a call that blocks. */
static int never_block(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? error_of_call() : 0;
}

static int make_queue_pair(struct sealio_rdma *rdma, const struct ibv_device_attr *device)
{
    const struct sealio_verbs *verbs = rdma->verbs;
    rdma->depth = device->max_qp_wr < RDMA_DEPTH ? (unsigned)device->max_qp_wr : RDMA_DEPTH;
    rdma->pd = verbs->alloc_pd(rdma->id->verbs);
    rdma->completions = rdma->pd ? verbs->create_comp_channel(rdma->id->verbs) : NULL;
    rdma->cq = rdma->completions
                   ? verbs->create_cq(rdma->id->verbs, (int)rdma->depth + 1, rdma->completions)
                   : NULL;
    if (!rdma->cq)
        return error_of_call();
    struct ibv_qp_init_attr attr = {
        .send_cq = rdma->cq,
        .recv_cq = rdma->cq,
        .qp_type = IBV_QPT_RC,
        .cap = {
            .max_send_wr = rdma->depth, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1}};
    if (verbs->create_qp(rdma->id, rdma->pd, &attr) != 0)
        return error_of_call();
    int rc = never_block(rdma->completions->fd);
    if (rc == 0 && verbs->req_notify_cq(rdma->cq) != 0)
        rc = error_of_call();
    return rc;
}

/* Rises, also over other paths of this process by the same secret. */
static uint64_t next_counter(struct sealio_rdma *rdma)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    rdma->counter = ns > rdma->counter ? ns : rdma->counter + 1;
    return rdma->counter;
}

static int say_hello(struct sealio_rdma *rdma, const struct ibv_device_attr *device,
                     uint64_t deadline_ms)
{
    uint8_t hello[RDMA_HELLO_SIZE];
    int depth = device->max_qp_init_rd_atom;
    if (depth > RDMA_READ_DEPTH)
        depth = RDMA_READ_DEPTH;
    struct rdma_conn_param param = {.initiator_depth = (uint8_t)(depth > 0 ? depth : 1),
                                    .retry_count = 7,
                                    .rnr_retry_count = 7,
                                    .private_data = hello,
                                    .private_data_len = sizeof(hello)};
    rdma_hello_make(rdma->secret, rdma->peer, next_counter(rdma), hello);
    if (rdma->verbs->connect(rdma->id, &param) != 0)
        return error_of_call();
    int rc = await_event(rdma, RDMA_CM_EVENT_ESTABLISHED, deadline_ms);
    return rc < 0 ? rc : never_block(rdma->channel->fd);
}

/* Memory that cannot be registered is copied. */
static void register_memories(struct sealio_rdma *rdma)
{
    for (unsigned i = 0; i < rdma->memories_count; i++) {
        struct rdma_memory *memory = &rdma->memories[i];
        memory->mr =
            rdma->verbs->reg_mr(rdma->pd, memory->base, memory->size, IBV_ACCESS_LOCAL_WRITE);
    }
}

int sealio_rdma_conn_open(struct sealio_rdma *rdma, struct sockaddr *address, unsigned patience_ms)
{
    const uint64_t deadline_ms = sealio_now_ms() + patience_ms;
    struct ibv_device_attr device;
    int rc = resolve_address(rdma, address, patience_ms, deadline_ms);
    if (rc == 0 && rdma->verbs->query_device(rdma->id->verbs, &device) != 0)
        rc = error_of_call();
    if (rc == 0)
        rc = make_queue_pair(rdma, &device);
    if (rc == 0)
        rc = say_hello(rdma, &device, deadline_ms);
    if (rc == 0) {
        register_memories(rdma);
    } else {
        sealio_rdma_conn_close_qp(rdma);
        sealio_rdma_conn_close(rdma);
    }
    return rc;
}

void sealio_rdma_conn_close_qp(struct sealio_rdma *rdma)
{
    if (!rdma->id || !rdma->id->qp)
        return;
    (void)rdma->verbs->disconnect(rdma->id);
    rdma->verbs->destroy_qp(rdma->id);
    rdma->id->qp = NULL;
}

static void free_bounces(struct sealio_rdma *rdma)
{
    while (rdma->bounces) {
        struct rdma_bounce *bounce = rdma->bounces;
        rdma->bounces = bounce->next;
        (void)rdma->verbs->dereg_mr(bounce->mr);
        free(bounce->memory);
        free(bounce);
    }
    rdma->bounces_count = 0;
}

void sealio_rdma_conn_close(struct sealio_rdma *rdma)
{
    const struct sealio_verbs *verbs = rdma->verbs;
    for (unsigned i = 0; i < rdma->memories_count; i++) {
        if (rdma->memories[i].mr)
            (void)verbs->dereg_mr(rdma->memories[i].mr);
        rdma->memories[i].mr = NULL;
    }
    free_bounces(rdma);
    if (rdma->cq)
        (void)verbs->destroy_cq(rdma->cq);
    if (rdma->completions)
        (void)verbs->destroy_comp_channel(rdma->completions);
    if (rdma->pd)
        (void)verbs->dealloc_pd(rdma->pd);
    if (rdma->id)
        (void)verbs->destroy_id(rdma->id);
    if (rdma->channel)
        verbs->destroy_event_channel(rdma->channel);
    rdma->cq = NULL;
    rdma->completions = NULL;
    rdma->pd = NULL;
    rdma->id = NULL;
    rdma->channel = NULL;
}
