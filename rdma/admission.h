/*
 * Who may connect to the data path (docs/rdma-layout.md, "Connecting"): the tag over a connection
 * request, and its judgement. Pure; any thread.
 */
#ifndef RDMA_ADMISSION_H
#define RDMA_ADMISSION_H

#include "proto/layout/rdma.h"

enum rdma_admission {
    RDMA_ADMITTED,
    RDMA_NOT_A_HELLO,
    RDMA_OTHER_VERSION,
    RDMA_UNKNOWN_PEER, /* never known, or over: an old secret ends here */
    RDMA_WRONG_TAG,
    RDMA_REPLAYED,
    RDMA_NO_LEASE,
    RDMA_TOO_MANY,
    RDMA_ADMISSIONS /* how many there are */
};

/* The request of a client: what goes into the private data. */
void rdma_hello_make(const uint8_t secret[RDMA_SECRET_SIZE], uint64_t peer, uint64_t counter,
                     uint8_t data[RDMA_HELLO_SIZE]);
/* Does the tag in data, which has been decoded as a hello, stand on this secret? In constant time.
 */
bool rdma_hello_is_by(const uint8_t secret[RDMA_SECRET_SIZE], const uint8_t data[RDMA_HELLO_SIZE]);
/* What the client is told. */
rdma_refusal4 rdma_admission_refusal(enum rdma_admission admission);
/* In the server's words, for its log and its metrics. */
const char *rdma_admission_name(enum rdma_admission admission);

#endif
