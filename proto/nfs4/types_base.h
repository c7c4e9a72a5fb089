/*
 * RFC 5662: structures that several families of operations share. See proto/nfs4/types.h.
 */
#ifndef PROTO_NFS4_TYPES_BASE_H
#define PROTO_NFS4_TYPES_BASE_H

#include "proto/nfs4/nfs4.h"
#include "proto/rpc.h"
#include "proto/xdr.h"

typedef uint8_t sessionid4[NFS4_SESSIONID_SIZE];
typedef uint8_t verifier4[NFS4_VERIFIER_SIZE];
typedef uint8_t deviceid4[NFS4_DEVICEID4_SIZE];

/*
 * Bits 0 to 95: more than any attribute or operation number of NFSv4.1. Peers may send more words;
 * those are dropped and `beyond` says how many bits were set in them. Encoding ignores it and
 * leaves out trailing zero words.
 */
typedef struct bitmap4 {
    uint32_t word[3];
    uint32_t beyond;
} bitmap4;

typedef struct xdr_bytes attrlist4;
typedef uint64_t changeid4;
typedef uint64_t clientid4;
typedef uint32_t count4;
typedef uint64_t length4;
typedef uint32_t mode4;
typedef uint64_t nfs_cookie4;
typedef struct xdr_bytes nfs_fh4;
typedef uint64_t offset4;
typedef uint32_t qop4;
typedef struct xdr_bytes sec_oid4;
typedef uint32_t sequenceid4;
typedef uint32_t seqid4;
typedef uint32_t slotid4;
typedef struct xdr_bytes utf8string;
typedef utf8string utf8str_cis;
typedef utf8string utf8str_cs;
typedef utf8string utf8str_mixed;
typedef utf8str_cs component4;
typedef utf8str_cs linktext4;

typedef struct nfstime4 {
    int64_t seconds;
    uint32_t nseconds;
} nfstime4;

typedef struct settime4 {
    time_how4 set_it;
    nfstime4 time; /* SET_TO_CLIENT_TIME4 */
} settime4;

typedef uint32_t nfs_lease4;

typedef struct fsid4 {
    uint64_t major;
    uint64_t minor;
} fsid4;

typedef struct change_policy4 {
    uint64_t cp_major;
    uint64_t cp_minor;
} change_policy4;

typedef uint32_t acetype4;
typedef uint32_t aceflag4;
typedef uint32_t acemask4;

typedef struct nfsace4 {
    acetype4 type;
    aceflag4 flag;
    acemask4 access_mask;
    utf8str_mixed who;
} nfsace4;

typedef struct mode_masked4 {
    mode4 mm_value_to_set;
    mode4 mm_mask_bits;
} mode_masked4;

typedef struct specdata4 {
    uint32_t specdata1;
    uint32_t specdata2;
} specdata4;

typedef struct netaddr4 {
    struct xdr_bytes na_r_netid;
    struct xdr_bytes na_r_addr;
} netaddr4;

typedef struct stateid4 {
    uint32_t seqid;
    uint8_t other[12];
} stateid4;

typedef struct layouthint4 {
    layouttype4 loh_type;
    struct xdr_bytes loh_body;
} layouthint4;

typedef struct threshold_item4 {
    layouttype4 thi_layout_type;
    bitmap4 thi_hintset;
    struct xdr_bytes thi_hintlist;
} threshold_item4;

typedef struct mdsthreshold4 {
    uint32_t mth_hints_count;
    threshold_item4 *mth_hints;
} mdsthreshold4;

typedef uint32_t fs_charset_cap4;

typedef struct fattr4 {
    bitmap4 attrmask;
    attrlist4 attr_vals;
} fattr4;

typedef struct change_info4 {
    bool atomic;
    changeid4 before;
    changeid4 after;
} change_info4;

typedef netaddr4 clientaddr4;

typedef struct state_owner4 {
    clientid4 clientid;
    struct xdr_bytes owner; /* at most NFS4_OPAQUE_LIMIT */
} state_owner4;

typedef state_owner4 open_owner4;
typedef state_owner4 lock_owner4;

typedef struct nfs_modified_limit4 {
    uint32_t num_blocks;
    uint32_t bytes_per_block;
} nfs_modified_limit4;

typedef struct nfs_space_limit4 {
    limit_by4 limitby;
    union {
        uint64_t filesize;              /* NFS_LIMIT_SIZE */
        nfs_modified_limit4 mod_blocks; /* NFS_LIMIT_BLOCKS */
    };
} nfs_space_limit4;

typedef struct open_read_delegation4 {
    stateid4 stateid;
    bool recall;
    nfsace4 permissions;
} open_read_delegation4;

typedef struct open_write_delegation4 {
    stateid4 stateid;
    bool recall;
    nfs_space_limit4 space_limit;
    nfsace4 permissions;
} open_write_delegation4;

typedef struct open_none_delegation4 {
    why_no_delegation4 ond_why;
    union {
        bool ond_server_will_push_deleg;   /* WND4_CONTENTION */
        bool ond_server_will_signal_avail; /* WND4_RESOURCE */
    };
} open_none_delegation4;

typedef struct open_delegation4 {
    open_delegation_type4 delegation_type;
    union {
        open_read_delegation4 read;       /* OPEN_DELEGATE_READ */
        open_write_delegation4 write;     /* OPEN_DELEGATE_WRITE */
        open_none_delegation4 od_whynone; /* OPEN_DELEGATE_NONE_EXT */
    };
} open_delegation4;

typedef nfstime4 attr_notice4;

#endif
