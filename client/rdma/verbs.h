/*
 * What the client uses of libibverbs and librdmacm, as a table of functions, so that tests can play
 * the device. The contracts are the libraries' own (rdma_resolve_addr(3), ibv_post_send(3), ...):
 * functions that return an int give 0, or -1 with errno, or an errno; those that return a pointer
 * give NULL with errno.
 */
#ifndef CLIENT_RDMA_VERBS_H
#define CLIENT_RDMA_VERBS_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

struct sealio_verbs {
    struct rdma_event_channel *(*create_event_channel)(void);
    void (*destroy_event_channel)(struct rdma_event_channel *channel);
    int (*create_id)(struct rdma_event_channel *channel, struct rdma_cm_id **id);
    int (*destroy_id)(struct rdma_cm_id *id);
    int (*resolve_addr)(struct rdma_cm_id *id, struct sockaddr *to, int timeout_ms);
    int (*resolve_route)(struct rdma_cm_id *id, int timeout_ms);
    int (*connect)(struct rdma_cm_id *id, struct rdma_conn_param *param);
    int (*disconnect)(struct rdma_cm_id *id);
    int (*get_cm_event)(struct rdma_event_channel *channel, struct rdma_cm_event **event);
    int (*ack_cm_event)(struct rdma_cm_event *event);
    int (*query_device)(struct ibv_context *context, struct ibv_device_attr *attr);
    struct ibv_pd *(*alloc_pd)(struct ibv_context *context);
    int (*dealloc_pd)(struct ibv_pd *pd);
    struct ibv_comp_channel *(*create_comp_channel)(struct ibv_context *context);
    int (*destroy_comp_channel)(struct ibv_comp_channel *channel);
    struct ibv_cq *(*create_cq)(struct ibv_context *context, int entries,
                                struct ibv_comp_channel *channel);
    int (*destroy_cq)(struct ibv_cq *cq);
    int (*req_notify_cq)(struct ibv_cq *cq);
    int (*get_cq_event)(struct ibv_comp_channel *channel); /* acknowledged too */
    int (*poll_cq)(struct ibv_cq *cq, int count, struct ibv_wc *wc);
    int (*create_qp)(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_qp_init_attr *attr);
    void (*destroy_qp)(struct rdma_cm_id *id);
    int (*qp_to_error)(struct ibv_qp *qp);
    int (*post_send)(struct ibv_qp *qp, struct ibv_send_wr *wr);
    struct ibv_mr *(*reg_mr)(struct ibv_pd *pd, void *address, size_t length, int access);
    int (*dereg_mr)(struct ibv_mr *mr);
};

/* The libraries themselves. */
extern const struct sealio_verbs sealio_verbs_system;

#endif
