/*
 * The bodies of the RDMA layout type (docs/rdma-layout.md, where the XDR is): da_addr_body of
 * GETDEVICEINFO, loc_body of LAYOUTGET, lou_body of LAYOUTCOMMIT, and the private data with which a
 * client connects to the data path and is refused there. lrf_body of LAYOUTRETURN is empty; there
 * is no layout hint. Bounded, pure; arrays come from the arena, addresses are views.
 */
#ifndef PROTO_LAYOUT_RDMA_H
#define PROTO_LAYOUT_RDMA_H

#include "proto/arena.h"
#include "proto/nfs4/types.h"

/* Of the range for private use, RFC 8881 section 3.3.13. */
#define LAYOUT4_SEALNFS_RDMA 0x80534e52u

enum {
    RDMA_LAYOUT_VERSION = 1,
    RDMA_SECRET_SIZE = 32,
    RDMA_TAG_SIZE = 32,
    RDMA_LAYOUT_MAX_ADDRS = 16,
    RDMA_LAYOUT_MAX_EXTENTS = 65536,
    RDMA_HELLO_SIZE = 52,                                /* encoded */
    RDMA_HELLO_TAGGED = RDMA_HELLO_SIZE - RDMA_TAG_SIZE, /* what the tag is computed over */
    RDMA_REFUSED_SIZE = 8,
};

typedef enum rdma_durability4 {
    RDMA_DURABLE_NOT = 0,
    RDMA_DURABLE_BY_COMMIT = 1,
} rdma_durability4;

typedef struct rdma_deviceaddr4 {
    uint32_t rda_version;
    uint64_t rda_peer;
    uint8_t rda_secret[RDMA_SECRET_SIZE];
    rdma_durability4 rda_durability;
    uint32_t rda_alignment; /* of remote addresses: a power of two */
    uint32_t rda_addrs_count;
    netaddr4 *rda_addrs;
} rdma_deviceaddr4;

typedef struct rdma_extent4 {
    offset4 rex_file_offset;
    length4 rex_length;
    uint64_t rex_remote_address;
    uint32_t rex_rkey;
    layoutiomode4 rex_iomode;
} rdma_extent4;

typedef struct rdma_layout4 {
    uint32_t rlo_version;
    deviceid4 rlo_device; /* whose memory it is: for GETDEVICEINFO */
    uint32_t rlo_extents_count;
    rdma_extent4 *rlo_extents;
} rdma_layout4;

typedef struct rdma_range4 {
    offset4 rra_offset;
    length4 rra_length;
} rdma_range4;

typedef struct rdma_layoutupdate4 {
    uint32_t rlu_version;
    uint32_t rlu_written_count;
    rdma_range4 *rlu_written;
} rdma_layoutupdate4;

typedef struct rdma_hello4 {
    uint32_t rhe_version;
    uint64_t rhe_peer;
    uint64_t rhe_counter;
    uint8_t rhe_tag[RDMA_TAG_SIZE];
} rdma_hello4;

typedef enum rdma_refusal4 {
    RDMA_REFUSED_VERSION = 1,
    RDMA_REFUSED_NOT_ADMITTED = 2,
    RDMA_REFUSED_BUSY = 3,
} rdma_refusal4;

typedef struct rdma_refused4 {
    uint32_t rre_version;
    rdma_refusal4 rre_why;
} rdma_refused4;

/*
 * Decoders of layout bodies take the whole body: bytes left over make it malformed. 0;
 * -EPROTONOSUPPORT: a version that is not ours; -EBADMSG: malformed, which also stands for an arena
 * that is used up. Extents and ranges are not empty, do not wrap, and come in order without
 * overlap; an extent's iomode is READ or RW.
 */
int rdma_deviceaddr_decode(struct xdr_bytes body, struct arena *arena, rdma_deviceaddr4 *addr);
int rdma_layout_decode(struct xdr_bytes body, struct arena *arena, rdma_layout4 *layout);
int rdma_layoutupdate_decode(struct xdr_bytes body, struct arena *arena,
                             rdma_layoutupdate4 *update);
/* Private data of the connection manager: fixed sizes, and transports pad with zeros what is after
 * them. */
int rdma_hello_decode(struct xdr_bytes data, rdma_hello4 *hello);
int rdma_refused_decode(struct xdr_bytes data, rdma_refused4 *refused);

/* False: does not fit, or not what the decoder takes. The version is the caller's to set. */
bool rdma_deviceaddr_encode(struct xdr_out *out, const rdma_deviceaddr4 *addr);
bool rdma_layout_encode(struct xdr_out *out, const rdma_layout4 *layout);
bool rdma_layoutupdate_encode(struct xdr_out *out, const rdma_layoutupdate4 *update);
bool rdma_hello_encode(struct xdr_out *out, const rdma_hello4 *hello);
bool rdma_refused_encode(struct xdr_out *out, const rdma_refused4 *refused);

#endif
