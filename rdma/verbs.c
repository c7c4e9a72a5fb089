/*
 * The table of the libraries' own functions: see rdma/verbs.h.
 */
#include "rdma/verbs.h"

static int create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context)
{
    return rdma_create_id(channel, id, context, RDMA_PS_TCP);
}

static int query_device(struct ibv_context *context, struct ibv_device_attr_ex *attr)
{
    return ibv_query_device_ex(context, NULL, attr);
}

/* In the library these two are macros. */
static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *address, size_t length, int access)
{
    return ibv_reg_mr(pd, address, length, access);
}

static int query_port(struct ibv_context *context, uint8_t port, struct ibv_port_attr *attr)
{
    return ibv_query_port(context, port, attr);
}

static struct ibv_cq *create_cq(struct ibv_context *context, int entries)
{
    return ibv_create_cq(context, entries, NULL, NULL, 0);
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr)
{
    struct ibv_send_wr *bad;

    return ibv_post_send(qp, wr, &bad);
}

static int poll_cq(struct ibv_cq *cq, int entries, struct ibv_wc *wc)
{
    return ibv_poll_cq(cq, entries, wc);
}

const struct rdma_verbs rdma_verbs_system = {
    .create_event_channel = rdma_create_event_channel,
    .destroy_event_channel = rdma_destroy_event_channel,
    .create_id = create_id,
    .destroy_id = rdma_destroy_id,
    .bind_addr = rdma_bind_addr,
    .listen = rdma_listen,
    .get_cm_event = rdma_get_cm_event,
    .ack_cm_event = rdma_ack_cm_event,
    .create_qp = rdma_create_qp,
    .destroy_qp = ibv_destroy_qp,
    .accept = rdma_accept,
    .reject = rdma_reject,
    .disconnect = rdma_disconnect,
    .query_device = query_device,
    .query_port = query_port,
    .get_async_event = ibv_get_async_event,
    .ack_async_event = ibv_ack_async_event,
    .create_cq = create_cq,
    .destroy_cq = ibv_destroy_cq,
    .post_send = post_send,
    .poll_cq = poll_cq,
    .alloc_pd = ibv_alloc_pd,
    .dealloc_pd = ibv_dealloc_pd,
    .reg_mr = reg_mr,
    .dereg_mr = ibv_dereg_mr,
};
