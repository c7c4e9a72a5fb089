/*
 * The bodies of block layouts (RFC 5663): da_addr_body of GETDEVICEINFO, loc_body of LAYOUTGET,
 * lou_body of LAYOUTCOMMIT, loh_body of a layout hint. lrf_body of LAYOUTRETURN is empty for this
 * type (RFC 5663 section 2.3.3). Bounded, pure; arrays come from the arena, signature contents are
 * views.
 *
 * Byte offsets and lengths are what the RFC says they are; whether extents are aligned, ordered and
 * without a gap is policy and not judged here.
 */
#ifndef PROTO_LAYOUT_BLOCK_H
#define PROTO_LAYOUT_BLOCK_H

#include "proto/arena.h"
#include "proto/nfs4/types.h"

enum {
    PNFS_BLOCK_MAX_SIG_COMP = 16,
    BLOCK_LAYOUT_MAX_SIG_LEN = 4096,    /* bsc_contents; the Linux client takes 128 */
    BLOCK_LAYOUT_MAX_VOLUMES = 1024,    /* bda_volumes, and the members of one CONCAT or STRIPE */
    BLOCK_LAYOUT_MAX_EXTENTS = 1 << 20, /* blo_extents and blu_commit_list */
    BLOCK_LAYOUT_EXTENT_SIZE = 44,      /* encoded size of one pnfs_block_extent4 */
    BLOCK_LAYOUT_HEAD_SIZE = 4,         /* encoded size of an empty list of extents */
};

typedef enum pnfs_block_volume_type4 {
    PNFS_BLOCK_VOLUME_SIMPLE = 0,
    PNFS_BLOCK_VOLUME_SLICE = 1,
    PNFS_BLOCK_VOLUME_CONCAT = 2,
    PNFS_BLOCK_VOLUME_STRIPE = 3,
} pnfs_block_volume_type4;

typedef enum pnfs_block_extent_state4 {
    PNFS_BLOCK_READ_WRITE_DATA = 0,
    PNFS_BLOCK_READ_DATA = 1,
    PNFS_BLOCK_INVALID_DATA = 2,
    PNFS_BLOCK_NONE_DATA = 3,
} pnfs_block_extent_state4;

typedef struct pnfs_block_sig_component4 {
    int64_t bsc_sig_offset; /* negative: from the end of the volume */
    struct xdr_bytes bsc_contents;
} pnfs_block_sig_component4;

typedef struct pnfs_block_simple_volume_info4 {
    uint32_t bsv_ds_count; /* at most PNFS_BLOCK_MAX_SIG_COMP */
    pnfs_block_sig_component4 *bsv_ds;
} pnfs_block_simple_volume_info4;

typedef struct pnfs_block_slice_volume_info4 {
    offset4 bsv_start;
    length4 bsv_length;
    uint32_t bsv_volume; /* index into bda_volumes, as are all the volume numbers below */
} pnfs_block_slice_volume_info4;

typedef struct pnfs_block_concat_volume_info4 {
    uint32_t bcv_volumes_count;
    uint32_t *bcv_volumes;
} pnfs_block_concat_volume_info4;

typedef struct pnfs_block_stripe_volume_info4 {
    length4 bsv_stripe_unit;
    uint32_t bsv_volumes_count;
    uint32_t *bsv_volumes;
} pnfs_block_stripe_volume_info4;

typedef struct pnfs_block_volume4 {
    pnfs_block_volume_type4 type;
    union {
        pnfs_block_simple_volume_info4 bv_simple_info;
        pnfs_block_slice_volume_info4 bv_slice_info;
        pnfs_block_concat_volume_info4 bv_concat_info;
        pnfs_block_stripe_volume_info4 bv_stripe_info;
    };
} pnfs_block_volume4;

typedef struct pnfs_block_deviceaddr4 {
    uint32_t bda_volumes_count;
    pnfs_block_volume4 *bda_volumes; /* the last one is the root (RFC 5663 section 2.2.2) */
} pnfs_block_deviceaddr4;

typedef struct pnfs_block_extent4 {
    deviceid4 bex_vol_id;
    offset4 bex_file_offset;
    length4 bex_length;
    offset4 bex_storage_offset;
    pnfs_block_extent_state4 bex_state;
} pnfs_block_extent4;

typedef struct pnfs_block_layout4 {
    uint32_t blo_extents_count;
    pnfs_block_extent4 *blo_extents;
} pnfs_block_layout4;

typedef struct pnfs_block_layoutupdate4 {
    uint32_t blu_commit_list_count;
    pnfs_block_extent4 *blu_commit_list;
} pnfs_block_layoutupdate4;

typedef struct pnfs_block_layouthint4 {
    uint64_t blh_maximum_io_time; /* seconds */
} pnfs_block_layouthint4;

/*
 * Decoders take the whole body: bytes left over make it malformed. 0, or -EBADMSG, which also
 * stands for an arena that is used up. A volume may only refer to earlier ones (a MUST of RFC 5663
 * section 2.2.2), so a walk always ends, and an extent's state is one of the four.
 */
int block_deviceaddr_decode(struct xdr_bytes body, struct arena *arena,
                            pnfs_block_deviceaddr4 *addr);
int block_layout_decode(struct xdr_bytes body, struct arena *arena, pnfs_block_layout4 *layout);
int block_layoutupdate_decode(struct xdr_bytes body, struct arena *arena,
                              pnfs_block_layoutupdate4 *update);
int block_layouthint_decode(struct xdr_bytes body, pnfs_block_layouthint4 *hint);
/* lrf_body: 0 when empty, -EBADMSG otherwise. */
int block_layoutreturn_decode(struct xdr_bytes body);

/* False: does not fit, or over a bound. */
bool block_deviceaddr_encode(struct xdr_out *out, const pnfs_block_deviceaddr4 *addr);
bool block_layout_encode(struct xdr_out *out, const pnfs_block_layout4 *layout);
bool block_layoutupdate_encode(struct xdr_out *out, const pnfs_block_layoutupdate4 *update);
bool block_layouthint_encode(struct xdr_out *out, const pnfs_block_layouthint4 *hint);

#endif
