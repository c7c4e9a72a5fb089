/*
 * The bodies of SCSI layouts (RFC 8154): da_addr_body of GETDEVICEINFO and lou_body of
 * LAYOUTCOMMIT. loc_body (pnfs_scsi_layout4) is on the wire what RFC 5663 calls pnfs_block_layout4,
 * field by field and value by value: block_layout_decode() and block_layout_encode() are for both.
 * lrf_body is empty (section 2.4.3), and there are no layout hints (section 2.4.9). Bounded, pure;
 * arrays come from the arena, designators are views.
 */
#ifndef PROTO_LAYOUT_SCSI_H
#define PROTO_LAYOUT_SCSI_H

#include "proto/arena.h"
#include "proto/nfs4/types.h"

enum {
    SCSI_LAYOUT_MAX_DESIGNATOR = 255, /* one byte says its length in the VPD page */
    SCSI_LAYOUT_MAX_VOLUMES = 1024,   /* sda_volumes, and the members of one CONCAT or STRIPE */
    SCSI_LAYOUT_MAX_RANGES = 1 << 20, /* slu_commit_list */
};

typedef enum pnfs_scsi_volume_type4 {
    PNFS_SCSI_VOLUME_SLICE = 1,
    PNFS_SCSI_VOLUME_CONCAT = 2,
    PNFS_SCSI_VOLUME_STRIPE = 3,
    PNFS_SCSI_VOLUME_BASE = 4,
} pnfs_scsi_volume_type4;

typedef enum pnfs_scsi_code_set {
    PS_CODE_SET_BINARY = 1,
    PS_CODE_SET_ASCII = 2,
    PS_CODE_SET_UTF8 = 3,
} pnfs_scsi_code_set;

typedef enum pnfs_scsi_designator_type {
    PS_DESIGNATOR_T10 = 1,
    PS_DESIGNATOR_EUI64 = 2,
    PS_DESIGNATOR_NAA = 3,
    PS_DESIGNATOR_NAME = 8,
} pnfs_scsi_designator_type;

typedef struct pnfs_scsi_base_volume_info4 {
    uint32_t sbv_code_set;
    uint32_t sbv_designator_type;
    struct xdr_bytes sbv_designator;
    uint64_t sbv_pr_key; /* the client's: section 2.4.10.1 */
} pnfs_scsi_base_volume_info4;

typedef struct pnfs_scsi_slice_volume_info4 {
    offset4 ssv_start;
    length4 ssv_length;
    uint32_t ssv_volume; /* index into sda_volumes, as are all the volume numbers below */
} pnfs_scsi_slice_volume_info4;

typedef struct pnfs_scsi_concat_volume_info4 {
    uint32_t scv_volumes_count;
    uint32_t *scv_volumes;
} pnfs_scsi_concat_volume_info4;

typedef struct pnfs_scsi_stripe_volume_info4 {
    length4 ssv_stripe_unit;
    uint32_t ssv_volumes_count;
    uint32_t *ssv_volumes;
} pnfs_scsi_stripe_volume_info4;

typedef struct pnfs_scsi_volume4 {
    pnfs_scsi_volume_type4 type;
    union {
        pnfs_scsi_base_volume_info4 sv_simple_info;
        pnfs_scsi_slice_volume_info4 sv_slice_info;
        pnfs_scsi_concat_volume_info4 sv_concat_info;
        pnfs_scsi_stripe_volume_info4 sv_stripe_info;
    };
} pnfs_scsi_volume4;

typedef struct pnfs_scsi_deviceaddr4 {
    uint32_t sda_volumes_count;
    pnfs_scsi_volume4 *sda_volumes; /* the last one is the root (section 2.3.2) */
} pnfs_scsi_deviceaddr4;

typedef struct pnfs_scsi_range4 {
    offset4 sr_file_offset;
    length4 sr_length;
} pnfs_scsi_range4;

typedef struct pnfs_scsi_layoutupdate4 {
    uint32_t slu_commit_list_count;
    pnfs_scsi_range4 *slu_commit_list;
} pnfs_scsi_layoutupdate4;

/*
 * Decoders take the whole body: bytes left over make it malformed. 0, or -EBADMSG, which also
 * stands for an arena that is used up. A volume may only refer to earlier ones (a MUST of
 * section 2.3.2), so a walk always ends. Code set and designator type are whatever the wire says:
 * the user of them judges.
 */
int scsi_deviceaddr_decode(struct xdr_bytes body, struct arena *arena, pnfs_scsi_deviceaddr4 *addr);
int scsi_layoutupdate_decode(struct xdr_bytes body, struct arena *arena,
                             pnfs_scsi_layoutupdate4 *update);

/* Encoders write the body. False: it does not fit, or a volume does not refer to an earlier one. */
bool scsi_deviceaddr_encode(struct xdr_out *out, const pnfs_scsi_deviceaddr4 *addr);
bool scsi_layoutupdate_encode(struct xdr_out *out, const pnfs_scsi_layoutupdate4 *update);

#endif
