/*
 * libibverbs and librdmacm played for the client (client/rdma/verbs.h): one device, one server
 * behind it, whose memory is this process's. What exists is counted, any call can be made to fail,
 * and the server can refuse, hang up, void its keys or never answer. One client at a time; any
 * thread.
 */
#ifndef TESTS_UNIT_CLIENT_FAKE_RDMA_H
#define TESTS_UNIT_CLIENT_FAKE_RDMA_H

#include "client/rdma/verbs.h"
#include "proto/layout/rdma.h"

enum fake_rdma_call {
    FAKE_RDMA_CHANNEL,
    FAKE_RDMA_ID,
    FAKE_RDMA_ADDR,
    FAKE_RDMA_ROUTE,
    FAKE_RDMA_QUERY,
    FAKE_RDMA_PD,
    FAKE_RDMA_COMP,
    FAKE_RDMA_CQ,
    FAKE_RDMA_NOTIFY,
    FAKE_RDMA_QP,
    FAKE_RDMA_CONNECT,
    FAKE_RDMA_POST,
    FAKE_RDMA_REG,
    FAKE_RDMA_CALLS
};

extern const struct sealio_verbs fake_rdma_verbs;

struct fake_rdma_state {
    int channels, ids, pds, comps, cqs, qps, mrs; /* that exist */
    unsigned connects;                            /* that were admitted */
    unsigned refused;
    unsigned reads, writes; /* that were posted */
    unsigned most_posted;   /* at a time */
    uint64_t misaligned;    /* operations whose remote address was none of the alignment */
};

/* A fresh world; `at` is all the memory the server has, its keys are 11 (to read) and 12 (to write
 * as well).
 */
void fake_rdma_reset(void *at, size_t size);
struct fake_rdma_state fake_rdma_now(void);
void fake_rdma_set_secret(const uint8_t secret[RDMA_SECRET_SIZE]);
void fake_rdma_set_alignment(uint32_t alignment);
void fake_rdma_set_depth(int depth); /* of the send queue */
void fake_rdma_fail(enum fake_rdma_call call, int error);
void fake_rdma_refuse(rdma_refusal4 why); /* the next connection */
/* Connecting leads to no answer, or to another event than hoped for. */
void fake_rdma_no_answer(bool on);
void fake_rdma_event_instead(enum rdma_cm_event_type type);
/* Operations stay with the device, until false. */
void fake_rdma_hold(bool on);
/* Nor does a queue pair in error give them back: the device is gone. */
void fake_rdma_swallow(bool on);
/* Keys are void: what is posted, or held, gets an access error. */
void fake_rdma_void_keys(bool on);
void fake_rdma_hang_up(enum rdma_cm_event_type type);
void fake_rdma_wait_posted(unsigned count); /* until the device has that many */

#endif
