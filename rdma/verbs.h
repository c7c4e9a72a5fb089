/*
 * What is used of libibverbs and librdmacm, as a table of functions, so that tests can take their
 * place and make any of them fail or hang. The contracts are the libraries' own (rdma_create_id(3),
 * ibv_reg_mr(3),
 * ...); functions that return an int give 0, or -1 with errno, or an errno, as the library's does.
 */
#ifndef RDMA_VERBS_H
#define RDMA_VERBS_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

struct rdma_verbs {
    struct rdma_event_channel *(*create_event_channel)(void);
    void (*destroy_event_channel)(struct rdma_event_channel *channel);
    int (*create_id)(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context);
    int (*destroy_id)(struct rdma_cm_id *id);
    int (*bind_addr)(struct rdma_cm_id *id, struct sockaddr *address);
    int (*listen)(struct rdma_cm_id *id, int backlog);
    int (*get_cm_event)(struct rdma_event_channel *channel, struct rdma_cm_event **event);
    int (*ack_cm_event)(struct rdma_cm_event *event);
    int (*create_qp)(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_qp_init_attr *attr);
    int (*destroy_qp)(struct ibv_qp *qp);
    int (*accept)(struct rdma_cm_id *id, struct rdma_conn_param *param);
    int (*reject)(struct rdma_cm_id *id, const void *data, uint8_t len);
    int (*disconnect)(struct rdma_cm_id *id);
    int (*query_device)(struct ibv_context *context, struct ibv_device_attr_ex *attr);
    int (*query_port)(struct ibv_context *context, uint8_t port, struct ibv_port_attr *attr);
    int (*get_async_event)(struct ibv_context *context, struct ibv_async_event *event);
    void (*ack_async_event)(struct ibv_async_event *event);
    struct ibv_cq *(*create_cq)(struct ibv_context *context, int entries);
    int (*destroy_cq)(struct ibv_cq *cq);
    int (*post_send)(struct ibv_qp *qp, struct ibv_send_wr *wr);
    int (*poll_cq)(struct ibv_cq *cq, int entries, struct ibv_wc *wc);
    struct ibv_pd *(*alloc_pd)(struct ibv_context *context);
    int (*dealloc_pd)(struct ibv_pd *pd);
    struct ibv_mr *(*reg_mr)(struct ibv_pd *pd, void *address, size_t length, int access);
    int (*dereg_mr)(struct ibv_mr *mr);
};

/* The libraries themselves. */
extern const struct rdma_verbs rdma_verbs_system;

#endif
