/*
 * The libraries behind the table. See verbs.h.
 */
#include "client/rdma/verbs.h"

static int create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id)
{
    return rdma_create_id(channel, id, NULL, RDMA_PS_TCP);
}

static int resolve_addr(struct rdma_cm_id *id, struct sockaddr *to, int timeout_ms)
{
    return rdma_resolve_addr(id, NULL, to, timeout_ms);
}

static struct ibv_cq *create_cq(struct ibv_context *context, int entries,
                                struct ibv_comp_channel *channel)
{
    return ibv_create_cq(context, entries, NULL, channel, 0);
}

static int req_notify_cq(struct ibv_cq *cq)
{
    return ibv_req_notify_cq(cq, 0);
}

static int get_cq_event(struct ibv_comp_channel *channel)
{
    struct ibv_cq *cq;
    void *context;
    if (ibv_get_cq_event(channel, &cq, &context) != 0)
        return -1;
    ibv_ack_cq_events(cq, 1);
    return 0;
}

static int poll_cq(struct ibv_cq *cq, int count, struct ibv_wc *wc)
{
    return ibv_poll_cq(cq, count, wc);
}

static int qp_to_error(struct ibv_qp *qp)
{
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};
    return ibv_modify_qp(qp, &attr, IBV_QP_STATE);
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr)
{
    struct ibv_send_wr *bad;
    return ibv_post_send(qp, wr, &bad);
}

static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *address, size_t length, int access)
{
    return ibv_reg_mr(pd, address, length, access);
}

const struct sealio_verbs sealio_verbs_system = {
    .create_event_channel = rdma_create_event_channel,
    .destroy_event_channel = rdma_destroy_event_channel,
    .create_id = create_id,
    .destroy_id = rdma_destroy_id,
    .resolve_addr = resolve_addr,
    .resolve_route = rdma_resolve_route,
    .connect = rdma_connect,
    .disconnect = rdma_disconnect,
    .get_cm_event = rdma_get_cm_event,
    .ack_cm_event = rdma_ack_cm_event,
    .query_device = ibv_query_device,
    .alloc_pd = ibv_alloc_pd,
    .dealloc_pd = ibv_dealloc_pd,
    .create_comp_channel = ibv_create_comp_channel,
    .destroy_comp_channel = ibv_destroy_comp_channel,
    .create_cq = create_cq,
    .destroy_cq = ibv_destroy_cq,
    .req_notify_cq = req_notify_cq,
    .get_cq_event = get_cq_event,
    .poll_cq = poll_cq,
    .create_qp = rdma_create_qp,
    .destroy_qp = rdma_destroy_qp,
    .qp_to_error = qp_to_error,
    .post_send = post_send,
    .reg_mr = reg_mr,
    .dereg_mr = ibv_dereg_mr,
};
