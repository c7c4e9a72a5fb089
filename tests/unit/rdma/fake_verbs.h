/*
 * libibverbs and librdmacm played by the test: what exists is counted, calls are traced, any of
 * them can be made to fail, and deregistration and the destruction of queue pairs to hang.
 */
#ifndef TESTS_UNIT_RDMA_FAKE_VERBS_H
#define TESTS_UNIT_RDMA_FAKE_VERBS_H

#include <stdbool.h>

#include "rdma/verbs.h"

enum fake_call {
    FAKE_CREATE_CHANNEL,
    FAKE_CREATE_ID,
    FAKE_BIND,
    FAKE_LISTEN,
    FAKE_CREATE_QP,
    FAKE_DESTROY_QP,
    FAKE_ACCEPT,
    FAKE_QUERY_DEVICE,
    FAKE_QUERY_PORT,
    FAKE_CREATE_CQ,
    FAKE_ALLOC_PD,
    FAKE_DEALLOC_PD,
    FAKE_REG_MR,
    FAKE_DEREG_MR,
    FAKE_POST_SEND,
    FAKE_CALLS
};

extern const struct rdma_verbs fake_verbs;

struct fake_device {
    int ids, qps, cqs, pds, mrs, channels; /* that exist */
    int fail[FAKE_CALLS];                  /* errno; 0: works */
    unsigned spare[FAKE_CALLS];            /* so many calls work before it fails */
    bool on_demand;
    uint32_t vendor;
    enum ibv_mtu mtu;
    int access;        /* of the last registration */
    size_t registered; /* bytes, in all that exist */
    struct ibv_pd *pd; /* of the last queue pair */
    struct rdma_conn_param accepted;
    uint8_t rejected[256]; /* private data of the last rejection */
    uint8_t rejected_len;
    bool disconnected; /* rdma_disconnect was called */
    char trace[4096];  /* "dereg_mr destroy_qp ..." */
};

/* A fresh world. */
void fake_reset(void);
/* What there is now; the trace too. Any thread. */
struct fake_device fake_state(void);
void fake_fail(enum fake_call call, int error);
void fake_fail_later(enum fake_call call, unsigned spare, int error);
/* The next calls of this kind wait until fake_release. */
void fake_hang(enum fake_call call);
void fake_release(enum fake_call call);
/* Waits until a call hangs. */
void fake_wait_hanging(enum fake_call call);
void fake_set_on_demand(bool on_demand);
void fake_set_vendor(uint32_t vendor, enum ibv_mtu mtu);
/* The device's folder in sysfs. */
void fake_set_path(const char *path);
/* What the kernel does when a device goes: frees the last queue pair and the last registration. */
void fake_lose_last(void);
/* The work request that was posted last on this queue pair completes; false: there is none. Flushed
 * by its destruction it stays: a device may keep what was completed. */
bool fake_complete(const struct ibv_qp *qp, enum ibv_wc_status status);
/* The device of the next id that is bound is another one. */
void fake_bind_to_other(void);

/* Events for rdma_target_dispatch; an event loop that watches its descriptors is woken. A request
 * comes with a new id, which is returned. */
struct rdma_cm_id *fake_request(const void *data, uint8_t len, uint8_t responder_resources);
void fake_cm_event(struct rdma_cm_id *id, enum rdma_cm_event_type type);
void fake_async_event(enum ibv_event_type type, struct ibv_qp *qp);

#endif
