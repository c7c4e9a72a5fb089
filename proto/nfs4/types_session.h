/*
 * RFC 5662: client ids, sessions and the channels. See proto/nfs4/types.h.
 */
#ifndef PROTO_NFS4_TYPES_SESSION_H
#define PROTO_NFS4_TYPES_SESSION_H

#include "proto/nfs4/types_base.h"

typedef struct nfs_impl_id4 {
    utf8str_cis nii_domain;
    utf8str_cs nii_name;
    nfstime4 nii_date;
} nfs_impl_id4;
typedef struct cb_client4 {
    uint32_t cb_program;
    netaddr4 cb_location;
} cb_client4;

typedef struct nfs_client_id4 {
    verifier4 verifier;
    struct xdr_bytes id; /* at most NFS4_OPAQUE_LIMIT */
} nfs_client_id4;

typedef struct client_owner4 {
    verifier4 co_verifier;
    struct xdr_bytes co_ownerid; /* at most NFS4_OPAQUE_LIMIT */
} client_owner4;

typedef struct server_owner4 {
    uint64_t so_minor_id;
    struct xdr_bytes so_major_id; /* at most NFS4_OPAQUE_LIMIT */
} server_owner4;

typedef struct RENEW4args {
    clientid4 clientid;
} RENEW4args;

typedef struct RENEW4res {
    nfsstat4 status;
} RENEW4res;

typedef struct SETCLIENTID4args {
    nfs_client_id4 client;
    cb_client4 callback;
    uint32_t callback_ident;
} SETCLIENTID4args;

typedef struct SETCLIENTID4resok {
    clientid4 clientid;
    verifier4 setclientid_confirm;
} SETCLIENTID4resok;

typedef struct SETCLIENTID4res {
    nfsstat4 status;
    union {
        SETCLIENTID4resok resok4; /* NFS4_OK */
        clientaddr4 client_using; /* NFS4ERR_CLID_INUSE */
    };
} SETCLIENTID4res;

typedef struct SETCLIENTID_CONFIRM4args {
    clientid4 clientid;
    verifier4 setclientid_confirm;
} SETCLIENTID_CONFIRM4args;

typedef struct SETCLIENTID_CONFIRM4res {
    nfsstat4 status;
} SETCLIENTID_CONFIRM4res;

typedef struct xdr_bytes gsshandle4_t;

typedef struct gss_cb_handles4 {
    rpc_gss_svc_t gcbp_service;
    gsshandle4_t gcbp_handle_from_server;
    gsshandle4_t gcbp_handle_from_client;
} gss_cb_handles4;

typedef struct callback_sec_parms4 {
    uint32_t cb_secflavor;
    union {
        authsys_parms cbsp_sys_cred;      /* AUTH_SYS */
        gss_cb_handles4 cbsp_gss_handles; /* RPCSEC_GSS */
    };
} callback_sec_parms4;

typedef struct BACKCHANNEL_CTL4args {
    uint32_t bca_cb_program;
    uint32_t bca_sec_parms_count;
    callback_sec_parms4 *bca_sec_parms;
} BACKCHANNEL_CTL4args;

typedef struct BACKCHANNEL_CTL4res {
    nfsstat4 status;
} BACKCHANNEL_CTL4res;

typedef struct BIND_CONN_TO_SESSION4args {
    sessionid4 bctsa_sessid;
    channel_dir_from_client4 bctsa_dir;
    bool bctsa_use_conn_in_rdma_mode;
} BIND_CONN_TO_SESSION4args;

typedef struct BIND_CONN_TO_SESSION4resok {
    sessionid4 bctsr_sessid;
    channel_dir_from_server4 bctsr_dir;
    bool bctsr_use_conn_in_rdma_mode;
} BIND_CONN_TO_SESSION4resok;

typedef struct BIND_CONN_TO_SESSION4res {
    nfsstat4 status;
    BIND_CONN_TO_SESSION4resok bctsr_resok4; /* NFS4_OK */
} BIND_CONN_TO_SESSION4res;

typedef struct state_protect_ops4 {
    bitmap4 spo_must_enforce;
    bitmap4 spo_must_allow;
} state_protect_ops4;

typedef struct ssv_sp_parms4 {
    state_protect_ops4 ssp_ops;
    uint32_t ssp_hash_algs_count;
    sec_oid4 *ssp_hash_algs;
    uint32_t ssp_encr_algs_count;
    sec_oid4 *ssp_encr_algs;
    uint32_t ssp_window;
    uint32_t ssp_num_gss_handles;
} ssv_sp_parms4;

typedef struct state_protect4_a {
    state_protect_how4 spa_how;
    union {
        state_protect_ops4 spa_mach_ops; /* SP4_MACH_CRED */
        ssv_sp_parms4 spa_ssv_parms;     /* SP4_SSV */
    };
} state_protect4_a;

typedef struct EXCHANGE_ID4args {
    client_owner4 eia_clientowner;
    uint32_t eia_flags;
    state_protect4_a eia_state_protect;
    uint32_t eia_client_impl_id_count; /* at most 1 */
    nfs_impl_id4 *eia_client_impl_id;
} EXCHANGE_ID4args;

typedef struct ssv_prot_info4 {
    state_protect_ops4 spi_ops;
    uint32_t spi_hash_alg;
    uint32_t spi_encr_alg;
    uint32_t spi_ssv_len;
    uint32_t spi_window;
    uint32_t spi_handles_count;
    gsshandle4_t *spi_handles;
} ssv_prot_info4;

typedef struct state_protect4_r {
    state_protect_how4 spr_how;
    union {
        state_protect_ops4 spr_mach_ops; /* SP4_MACH_CRED */
        ssv_prot_info4 spr_ssv_info;     /* SP4_SSV */
    };
} state_protect4_r;

typedef struct EXCHANGE_ID4resok {
    clientid4 eir_clientid;
    sequenceid4 eir_sequenceid;
    uint32_t eir_flags;
    state_protect4_r eir_state_protect;
    server_owner4 eir_server_owner;
    struct xdr_bytes eir_server_scope; /* at most NFS4_OPAQUE_LIMIT */
    uint32_t eir_server_impl_id_count; /* at most 1 */
    nfs_impl_id4 *eir_server_impl_id;
} EXCHANGE_ID4resok;

typedef struct EXCHANGE_ID4res {
    nfsstat4 status;
    EXCHANGE_ID4resok eir_resok4; /* NFS4_OK */
} EXCHANGE_ID4res;

typedef struct channel_attrs4 {
    count4 ca_headerpadsize;
    count4 ca_maxrequestsize;
    count4 ca_maxresponsesize;
    count4 ca_maxresponsesize_cached;
    count4 ca_maxoperations;
    count4 ca_maxrequests;
    uint32_t ca_rdma_ird_count;
    uint32_t ca_rdma_ird[1];
} channel_attrs4;

typedef struct CREATE_SESSION4args {
    clientid4 csa_clientid;
    sequenceid4 csa_sequence;
    uint32_t csa_flags;
    channel_attrs4 csa_fore_chan_attrs;
    channel_attrs4 csa_back_chan_attrs;
    uint32_t csa_cb_program;
    uint32_t csa_sec_parms_count;
    callback_sec_parms4 *csa_sec_parms;
} CREATE_SESSION4args;

typedef struct CREATE_SESSION4resok {
    sessionid4 csr_sessionid;
    sequenceid4 csr_sequence;
    uint32_t csr_flags;
    channel_attrs4 csr_fore_chan_attrs;
    channel_attrs4 csr_back_chan_attrs;
} CREATE_SESSION4resok;

typedef struct CREATE_SESSION4res {
    nfsstat4 status;
    CREATE_SESSION4resok csr_resok4; /* NFS4_OK */
} CREATE_SESSION4res;

typedef struct DESTROY_SESSION4args {
    sessionid4 dsa_sessionid;
} DESTROY_SESSION4args;

typedef struct DESTROY_SESSION4res {
    nfsstat4 status;
} DESTROY_SESSION4res;
typedef struct SEQUENCE4args {
    sessionid4 sa_sessionid;
    sequenceid4 sa_sequenceid;
    slotid4 sa_slotid;
    slotid4 sa_highest_slotid;
    bool sa_cachethis;
} SEQUENCE4args;

typedef struct SEQUENCE4resok {
    sessionid4 sr_sessionid;
    sequenceid4 sr_sequenceid;
    slotid4 sr_slotid;
    slotid4 sr_highest_slotid;
    slotid4 sr_target_highest_slotid;
    uint32_t sr_status_flags;
} SEQUENCE4resok;

typedef struct SEQUENCE4res {
    nfsstat4 status;
    SEQUENCE4resok sr_resok4; /* NFS4_OK */
} SEQUENCE4res;

typedef struct SET_SSV4args {
    struct xdr_bytes ssa_ssv;
    struct xdr_bytes ssa_digest;
} SET_SSV4args;

typedef struct SET_SSV4resok {
    struct xdr_bytes ssr_digest;
} SET_SSV4resok;

typedef struct SET_SSV4res {
    nfsstat4 status;
    SET_SSV4resok ssr_resok4; /* NFS4_OK */
} SET_SSV4res;

typedef struct DESTROY_CLIENTID4args {
    clientid4 dca_clientid;
} DESTROY_CLIENTID4args;

typedef struct DESTROY_CLIENTID4res {
    nfsstat4 status;
} DESTROY_CLIENTID4res;

typedef struct RECLAIM_COMPLETE4args {
    bool rca_one_fs;
} RECLAIM_COMPLETE4args;

typedef struct RECLAIM_COMPLETE4res {
    nfsstat4 status;
} RECLAIM_COMPLETE4res;

#endif
