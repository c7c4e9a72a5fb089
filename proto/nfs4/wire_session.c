/*
 * How the wire encodes (RFC 5662): client ids, sessions and the channels.
 * See proto/nfs4/wire_type.h for how to read it.
 */
#include "proto/nfs4/wire.h"

static WIRE_STRUCT(nfs_impl_id4, WIRE_OPAQUE(nfs_impl_id4, nii_domain, WIRE_UNBOUNDED),
                   WIRE_OPAQUE(nfs_impl_id4, nii_name, WIRE_UNBOUNDED),
                   WIRE_SUB(nfs_impl_id4, nii_date, nfstime4));
static WIRE_STRUCT(cb_client4, WIRE_U32(cb_client4, cb_program),
                   WIRE_SUB(cb_client4, cb_location, netaddr4));
static WIRE_STRUCT(nfs_client_id4, WIRE_FIXED(nfs_client_id4, verifier),
                   WIRE_OPAQUE(nfs_client_id4, id, NFS4_OPAQUE_LIMIT));
static WIRE_STRUCT(client_owner4, WIRE_FIXED(client_owner4, co_verifier),
                   WIRE_OPAQUE(client_owner4, co_ownerid, NFS4_OPAQUE_LIMIT));
static WIRE_STRUCT(server_owner4, WIRE_U64(server_owner4, so_minor_id),
                   WIRE_OPAQUE(server_owner4, so_major_id, NFS4_OPAQUE_LIMIT));
WIRE_STRUCT(RENEW4args, WIRE_U64(RENEW4args, clientid));

WIRE_STRUCT(SETCLIENTID4args, WIRE_SUB(SETCLIENTID4args, client, nfs_client_id4),
            WIRE_SUB(SETCLIENTID4args, callback, cb_client4),
            WIRE_U32(SETCLIENTID4args, callback_ident));
static WIRE_STRUCT(SETCLIENTID4resok, WIRE_U64(SETCLIENTID4resok, clientid),
                   WIRE_FIXED(SETCLIENTID4resok, setclientid_confirm));
WIRE_RESULT(SETCLIENTID4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(SETCLIENTID4res, resok4, SETCLIENTID4resok)),
            WIRE_ARM(NFS4ERR_CLID_INUSE, WIRE_SUB(SETCLIENTID4res, client_using, netaddr4)));

WIRE_STRUCT(SETCLIENTID_CONFIRM4args, WIRE_U64(SETCLIENTID_CONFIRM4args, clientid),
            WIRE_FIXED(SETCLIENTID_CONFIRM4args, setclientid_confirm));

static WIRE_STRUCT(gss_cb_handles4, WIRE_U32(gss_cb_handles4, gcbp_service),
                   WIRE_OPAQUE(gss_cb_handles4, gcbp_handle_from_server, WIRE_UNBOUNDED),
                   WIRE_OPAQUE(gss_cb_handles4, gcbp_handle_from_client, WIRE_UNBOUNDED));
static WIRE_UNION(callback_sec_parms4, WIRE_U32(callback_sec_parms4, cb_secflavor),
                  WIRE_ARM(RPC_AUTH_NONE, WIRE_NOTHING),
                  WIRE_ARM(RPC_AUTH_SYS,
                           WIRE_SUB(callback_sec_parms4, cbsp_sys_cred, authsys_parms)),
                  WIRE_ARM(RPC_AUTH_GSS,
                           WIRE_SUB(callback_sec_parms4, cbsp_gss_handles, gss_cb_handles4)));
WIRE_STRUCT(BACKCHANNEL_CTL4args, WIRE_U32(BACKCHANNEL_CTL4args, bca_cb_program),
            WIRE_ARRAY(BACKCHANNEL_CTL4args, bca_sec_parms, callback_sec_parms4,
                       NFS4_MAX_CB_SEC_PARMS));

WIRE_STRUCT(BIND_CONN_TO_SESSION4args, WIRE_FIXED(BIND_CONN_TO_SESSION4args, bctsa_sessid),
            WIRE_U32(BIND_CONN_TO_SESSION4args, bctsa_dir),
            WIRE_BOOL(BIND_CONN_TO_SESSION4args, bctsa_use_conn_in_rdma_mode));
static WIRE_STRUCT(BIND_CONN_TO_SESSION4resok, WIRE_FIXED(BIND_CONN_TO_SESSION4resok, bctsr_sessid),
                   WIRE_U32(BIND_CONN_TO_SESSION4resok, bctsr_dir),
                   WIRE_BOOL(BIND_CONN_TO_SESSION4resok, bctsr_use_conn_in_rdma_mode));
WIRE_RESULT(BIND_CONN_TO_SESSION4res,
            WIRE_ARM(NFS4_OK,
                     WIRE_SUB(BIND_CONN_TO_SESSION4res, bctsr_resok4, BIND_CONN_TO_SESSION4resok)));

static WIRE_STRUCT(state_protect_ops4, WIRE_BITMAP(state_protect_ops4, spo_must_enforce),
                   WIRE_BITMAP(state_protect_ops4, spo_must_allow));
static WIRE_STRUCT(ssv_sp_parms4, WIRE_SUB(ssv_sp_parms4, ssp_ops, state_protect_ops4),
                   WIRE_ARRAY(ssv_sp_parms4, ssp_hash_algs, sec_oid4, NFS4_MAX_SSV_ALGS),
                   WIRE_ARRAY(ssv_sp_parms4, ssp_encr_algs, sec_oid4, NFS4_MAX_SSV_ALGS),
                   WIRE_U32(ssv_sp_parms4, ssp_window),
                   WIRE_U32(ssv_sp_parms4, ssp_num_gss_handles));
static WIRE_UNION(state_protect4_a, WIRE_U32(state_protect4_a, spa_how),
                  WIRE_ARM(SP4_NONE, WIRE_NOTHING),
                  WIRE_ARM(SP4_MACH_CRED,
                           WIRE_SUB(state_protect4_a, spa_mach_ops, state_protect_ops4)),
                  WIRE_ARM(SP4_SSV, WIRE_SUB(state_protect4_a, spa_ssv_parms, ssv_sp_parms4)));
WIRE_STRUCT(EXCHANGE_ID4args, WIRE_SUB(EXCHANGE_ID4args, eia_clientowner, client_owner4),
            WIRE_U32(EXCHANGE_ID4args, eia_flags),
            WIRE_SUB(EXCHANGE_ID4args, eia_state_protect, state_protect4_a),
            WIRE_ARRAY(EXCHANGE_ID4args, eia_client_impl_id, nfs_impl_id4, 1));
static WIRE_STRUCT(ssv_prot_info4, WIRE_SUB(ssv_prot_info4, spi_ops, state_protect_ops4),
                   WIRE_U32(ssv_prot_info4, spi_hash_alg), WIRE_U32(ssv_prot_info4, spi_encr_alg),
                   WIRE_U32(ssv_prot_info4, spi_ssv_len), WIRE_U32(ssv_prot_info4, spi_window),
                   WIRE_ARRAY(ssv_prot_info4, spi_handles, sec_oid4, NFS4_MAX_GSS_HANDLES));
static WIRE_UNION(state_protect4_r, WIRE_U32(state_protect4_r, spr_how),
                  WIRE_ARM(SP4_NONE, WIRE_NOTHING),
                  WIRE_ARM(SP4_MACH_CRED,
                           WIRE_SUB(state_protect4_r, spr_mach_ops, state_protect_ops4)),
                  WIRE_ARM(SP4_SSV, WIRE_SUB(state_protect4_r, spr_ssv_info, ssv_prot_info4)));
static WIRE_STRUCT(EXCHANGE_ID4resok, WIRE_U64(EXCHANGE_ID4resok, eir_clientid),
                   WIRE_U32(EXCHANGE_ID4resok, eir_sequenceid),
                   WIRE_U32(EXCHANGE_ID4resok, eir_flags),
                   WIRE_SUB(EXCHANGE_ID4resok, eir_state_protect, state_protect4_r),
                   WIRE_SUB(EXCHANGE_ID4resok, eir_server_owner, server_owner4),
                   WIRE_OPAQUE(EXCHANGE_ID4resok, eir_server_scope, NFS4_OPAQUE_LIMIT),
                   WIRE_ARRAY(EXCHANGE_ID4resok, eir_server_impl_id, nfs_impl_id4, 1));
WIRE_RESULT(EXCHANGE_ID4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(EXCHANGE_ID4res, eir_resok4, EXCHANGE_ID4resok)));

static WIRE_STRUCT(channel_attrs4, WIRE_U32(channel_attrs4, ca_headerpadsize),
                   WIRE_U32(channel_attrs4, ca_maxrequestsize),
                   WIRE_U32(channel_attrs4, ca_maxresponsesize),
                   WIRE_U32(channel_attrs4, ca_maxresponsesize_cached),
                   WIRE_U32(channel_attrs4, ca_maxoperations),
                   WIRE_U32(channel_attrs4, ca_maxrequests),
                   WIRE_U32S(channel_attrs4, ca_rdma_ird));
WIRE_STRUCT(CREATE_SESSION4args, WIRE_U64(CREATE_SESSION4args, csa_clientid),
            WIRE_U32(CREATE_SESSION4args, csa_sequence), WIRE_U32(CREATE_SESSION4args, csa_flags),
            WIRE_SUB(CREATE_SESSION4args, csa_fore_chan_attrs, channel_attrs4),
            WIRE_SUB(CREATE_SESSION4args, csa_back_chan_attrs, channel_attrs4),
            WIRE_U32(CREATE_SESSION4args, csa_cb_program),
            WIRE_ARRAY(CREATE_SESSION4args, csa_sec_parms, callback_sec_parms4,
                       NFS4_MAX_CB_SEC_PARMS));
static WIRE_STRUCT(CREATE_SESSION4resok, WIRE_FIXED(CREATE_SESSION4resok, csr_sessionid),
                   WIRE_U32(CREATE_SESSION4resok, csr_sequence),
                   WIRE_U32(CREATE_SESSION4resok, csr_flags),
                   WIRE_SUB(CREATE_SESSION4resok, csr_fore_chan_attrs, channel_attrs4),
                   WIRE_SUB(CREATE_SESSION4resok, csr_back_chan_attrs, channel_attrs4));
WIRE_RESULT(CREATE_SESSION4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(CREATE_SESSION4res, csr_resok4, CREATE_SESSION4resok)));

WIRE_STRUCT(DESTROY_SESSION4args, WIRE_FIXED(DESTROY_SESSION4args, dsa_sessionid));

WIRE_STRUCT(SEQUENCE4args, WIRE_FIXED(SEQUENCE4args, sa_sessionid),
            WIRE_U32(SEQUENCE4args, sa_sequenceid), WIRE_U32(SEQUENCE4args, sa_slotid),
            WIRE_U32(SEQUENCE4args, sa_highest_slotid), WIRE_BOOL(SEQUENCE4args, sa_cachethis));
static WIRE_STRUCT(SEQUENCE4resok, WIRE_FIXED(SEQUENCE4resok, sr_sessionid),
                   WIRE_U32(SEQUENCE4resok, sr_sequenceid), WIRE_U32(SEQUENCE4resok, sr_slotid),
                   WIRE_U32(SEQUENCE4resok, sr_highest_slotid),
                   WIRE_U32(SEQUENCE4resok, sr_target_highest_slotid),
                   WIRE_U32(SEQUENCE4resok, sr_status_flags));
WIRE_RESULT(SEQUENCE4res, WIRE_ARM(NFS4_OK, WIRE_SUB(SEQUENCE4res, sr_resok4, SEQUENCE4resok)));

WIRE_STRUCT(SET_SSV4args, WIRE_OPAQUE(SET_SSV4args, ssa_ssv, WIRE_UNBOUNDED),
            WIRE_OPAQUE(SET_SSV4args, ssa_digest, WIRE_UNBOUNDED));
static WIRE_STRUCT(SET_SSV4resok, WIRE_OPAQUE(SET_SSV4resok, ssr_digest, WIRE_UNBOUNDED));
WIRE_RESULT(SET_SSV4res, WIRE_ARM(NFS4_OK, WIRE_SUB(SET_SSV4res, ssr_resok4, SET_SSV4resok)));

WIRE_STRUCT(DESTROY_CLIENTID4args, WIRE_U64(DESTROY_CLIENTID4args, dca_clientid));

WIRE_STRUCT(RECLAIM_COMPLETE4args, WIRE_BOOL(RECLAIM_COMPLETE4args, rca_one_fs));
