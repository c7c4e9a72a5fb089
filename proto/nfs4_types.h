/*
 * The structures of RFC 5662 in C, with the RFC's names for types and fields. How XDR maps to C here:
 *
 *  - opaque<>, string<>, utf8string and all that is made of them, nfs_fh4: views (struct xdr_bytes) into the
 * input;
 *  - opaque[n]: uint8_t arrays; array<>: `uint32_t <field>_count; T *<field>`, from the arena of the decode
 * call;
 *  - unions: the discriminant, then a C union of the RFC's arms. A result's discriminant is always called
 * `status` (the RFC has status, eir_status, sr_status, ...), so that res.status works for every operation;
 *  - arms without content have no member.
 *
 * How each one is encoded is described in nfs4_wire_*.c; tests/unit/test_oracle.c checks it against rpcgen's
 * code.
 */
#ifndef PROTO_NFS4_TYPES_H
#define PROTO_NFS4_TYPES_H

#include "proto/nfs4.h"
#include "proto/rpc.h"
#include "proto/xdr.h"

typedef uint8_t sessionid4[NFS4_SESSIONID_SIZE];
typedef uint8_t verifier4[NFS4_VERIFIER_SIZE];
typedef uint8_t deviceid4[NFS4_DEVICEID4_SIZE];

/* Bits 0 to 95: more than any attribute or operation number of NFSv4.1. Peers may send more words; those are
 * dropped and `beyond` says how many bits were set in them. Encoding ignores it and leaves out trailing zero
 * words. */
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

typedef struct nfs_impl_id4 {
    utf8str_cis nii_domain;
    utf8str_cs nii_name;
    nfstime4 nii_date;
} nfs_impl_id4;

typedef struct stateid4 {
    uint32_t seqid;
    uint8_t other[12];
} stateid4;

typedef struct layout_content4 {
    layouttype4 loc_type;
    struct xdr_bytes loc_body;
} layout_content4;

typedef struct layouthint4 {
    layouttype4 loh_type;
    struct xdr_bytes loh_body;
} layouthint4;

typedef struct layout4 {
    offset4 lo_offset;
    length4 lo_length;
    layoutiomode4 lo_iomode;
    layout_content4 lo_content;
} layout4;

typedef struct device_addr4 {
    layouttype4 da_layout_type;
    struct xdr_bytes da_addr_body;
} device_addr4;

typedef struct layoutupdate4 {
    layouttype4 lou_type;
    struct xdr_bytes lou_body;
} layoutupdate4;

typedef struct layoutreturn_file4 {
    offset4 lrf_offset;
    length4 lrf_length;
    stateid4 lrf_stateid;
    struct xdr_bytes lrf_body;
} layoutreturn_file4;

typedef struct layoutreturn4 {
    layoutreturn_type4 lr_returntype;
    layoutreturn_file4 lr_layout; /* LAYOUTRETURN4_FILE */
} layoutreturn4;

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

typedef struct state_owner4 {
    clientid4 clientid;
    struct xdr_bytes owner; /* at most NFS4_OPAQUE_LIMIT */
} state_owner4;

typedef state_owner4 open_owner4;
typedef state_owner4 lock_owner4;
typedef struct ACCESS4args {
    uint32_t access;
} ACCESS4args;

typedef struct ACCESS4resok {
    uint32_t supported;
    uint32_t access;
} ACCESS4resok;

typedef struct ACCESS4res {
    nfsstat4 status;
    ACCESS4resok resok4; /* NFS4_OK */
} ACCESS4res;

typedef struct CLOSE4args {
    seqid4 seqid;
    stateid4 open_stateid;
} CLOSE4args;

typedef struct CLOSE4res {
    nfsstat4 status;
    stateid4 open_stateid; /* NFS4_OK */
} CLOSE4res;

typedef struct COMMIT4args {
    offset4 offset;
    count4 count;
} COMMIT4args;

typedef struct COMMIT4resok {
    verifier4 writeverf;
} COMMIT4resok;

typedef struct COMMIT4res {
    nfsstat4 status;
    COMMIT4resok resok4; /* NFS4_OK */
} COMMIT4res;

typedef struct createtype4 {
    nfs_ftype4 type;
    union {
        linktext4 linkdata; /* NF4LNK */
        specdata4 devdata;  /* NF4BLK, NF4CHR */
    };
} createtype4;

typedef struct CREATE4args {
    createtype4 objtype;
    component4 objname;
    fattr4 createattrs;
} CREATE4args;

typedef struct CREATE4resok {
    change_info4 cinfo;
    bitmap4 attrset;
} CREATE4resok;

typedef struct CREATE4res {
    nfsstat4 status;
    CREATE4resok resok4; /* NFS4_OK */
} CREATE4res;

typedef struct DELEGPURGE4args {
    clientid4 clientid;
} DELEGPURGE4args;

typedef struct DELEGPURGE4res {
    nfsstat4 status;
} DELEGPURGE4res;

typedef struct DELEGRETURN4args {
    stateid4 deleg_stateid;
} DELEGRETURN4args;

typedef struct DELEGRETURN4res {
    nfsstat4 status;
} DELEGRETURN4res;

typedef struct GETATTR4args {
    bitmap4 attr_request;
} GETATTR4args;

typedef struct GETATTR4resok {
    fattr4 obj_attributes;
} GETATTR4resok;

typedef struct GETATTR4res {
    nfsstat4 status;
    GETATTR4resok resok4; /* NFS4_OK */
} GETATTR4res;

typedef struct GETFH4resok {
    nfs_fh4 object;
} GETFH4resok;

typedef struct GETFH4res {
    nfsstat4 status;
    GETFH4resok resok4; /* NFS4_OK */
} GETFH4res;

typedef struct LINK4args {
    component4 newname;
} LINK4args;

typedef struct LINK4resok {
    change_info4 cinfo;
} LINK4resok;

typedef struct LINK4res {
    nfsstat4 status;
    LINK4resok resok4; /* NFS4_OK */
} LINK4res;

typedef struct open_to_lock_owner4 {
    seqid4 open_seqid;
    stateid4 open_stateid;
    seqid4 lock_seqid;
    lock_owner4 lock_owner;
} open_to_lock_owner4;

typedef struct exist_lock_owner4 {
    stateid4 lock_stateid;
    seqid4 lock_seqid;
} exist_lock_owner4;

typedef struct locker4 {
    bool new_lock_owner;
    union {
        open_to_lock_owner4 open_owner; /* TRUE */
        exist_lock_owner4 lock_owner;   /* FALSE */
    };
} locker4;

typedef struct LOCK4args {
    nfs_lock_type4 locktype;
    bool reclaim;
    offset4 offset;
    length4 length;
    locker4 locker;
} LOCK4args;

typedef struct LOCK4denied {
    offset4 offset;
    length4 length;
    nfs_lock_type4 locktype;
    lock_owner4 owner;
} LOCK4denied;

typedef struct LOCK4resok {
    stateid4 lock_stateid;
} LOCK4resok;

typedef struct LOCK4res {
    nfsstat4 status;
    union {
        LOCK4resok resok4;  /* NFS4_OK */
        LOCK4denied denied; /* NFS4ERR_DENIED */
    };
} LOCK4res;

typedef struct LOCKT4args {
    nfs_lock_type4 locktype;
    offset4 offset;
    length4 length;
    lock_owner4 owner;
} LOCKT4args;

typedef struct LOCKT4res {
    nfsstat4 status;
    LOCK4denied denied; /* NFS4ERR_DENIED */
} LOCKT4res;

typedef struct LOCKU4args {
    nfs_lock_type4 locktype;
    seqid4 seqid;
    stateid4 lock_stateid;
    offset4 offset;
    length4 length;
} LOCKU4args;

typedef struct LOCKU4res {
    nfsstat4 status;
    stateid4 lock_stateid; /* NFS4_OK */
} LOCKU4res;

typedef struct LOOKUP4args {
    component4 objname;
} LOOKUP4args;

typedef struct LOOKUP4res {
    nfsstat4 status;
} LOOKUP4res;

typedef struct LOOKUPP4res {
    nfsstat4 status;
} LOOKUPP4res;

typedef struct NVERIFY4args {
    fattr4 obj_attributes;
} NVERIFY4args;

typedef struct NVERIFY4res {
    nfsstat4 status;
} NVERIFY4res;

typedef struct creatverfattr {
    verifier4 cva_verf;
    fattr4 cva_attrs;
} creatverfattr;

typedef struct createhow4 {
    createmode4 mode;
    union {
        fattr4 createattrs;          /* UNCHECKED4, GUARDED4 */
        verifier4 createverf;        /* EXCLUSIVE4 */
        creatverfattr ch_createboth; /* EXCLUSIVE4_1 */
    };
} createhow4;

typedef struct openflag4 {
    opentype4 opentype;
    createhow4 how; /* OPEN4_CREATE */
} openflag4;

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

typedef struct open_claim_delegate_cur4 {
    stateid4 delegate_stateid;
    component4 file;
} open_claim_delegate_cur4;

typedef struct open_claim4 {
    open_claim_type4 claim;
    union {
        component4 file;                            /* CLAIM_NULL */
        open_delegation_type4 delegate_type;        /* CLAIM_PREVIOUS */
        open_claim_delegate_cur4 delegate_cur_info; /* CLAIM_DELEGATE_CUR */
        component4 file_delegate_prev;              /* CLAIM_DELEGATE_PREV */
        stateid4 oc_delegate_stateid;               /* CLAIM_DELEG_CUR_FH */
    };
} open_claim4;

typedef struct OPEN4args {
    seqid4 seqid;
    uint32_t share_access;
    uint32_t share_deny;
    open_owner4 owner;
    openflag4 openhow;
    open_claim4 claim;
} OPEN4args;

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

typedef struct OPEN4resok {
    stateid4 stateid;
    change_info4 cinfo;
    uint32_t rflags;
    bitmap4 attrset;
    open_delegation4 delegation;
} OPEN4resok;

typedef struct OPEN4res {
    nfsstat4 status;
    OPEN4resok resok4; /* NFS4_OK */
} OPEN4res;

typedef struct OPENATTR4args {
    bool createdir;
} OPENATTR4args;

typedef struct OPENATTR4res {
    nfsstat4 status;
} OPENATTR4res;

typedef struct OPEN_CONFIRM4args {
    stateid4 open_stateid;
    seqid4 seqid;
} OPEN_CONFIRM4args;

typedef struct OPEN_CONFIRM4resok {
    stateid4 open_stateid;
} OPEN_CONFIRM4resok;

typedef struct OPEN_CONFIRM4res {
    nfsstat4 status;
    OPEN_CONFIRM4resok resok4; /* NFS4_OK */
} OPEN_CONFIRM4res;

typedef struct OPEN_DOWNGRADE4args {
    stateid4 open_stateid;
    seqid4 seqid;
    uint32_t share_access;
    uint32_t share_deny;
} OPEN_DOWNGRADE4args;

typedef struct OPEN_DOWNGRADE4resok {
    stateid4 open_stateid;
} OPEN_DOWNGRADE4resok;

typedef struct OPEN_DOWNGRADE4res {
    nfsstat4 status;
    OPEN_DOWNGRADE4resok resok4; /* NFS4_OK */
} OPEN_DOWNGRADE4res;

typedef struct PUTFH4args {
    nfs_fh4 object;
} PUTFH4args;

typedef struct PUTFH4res {
    nfsstat4 status;
} PUTFH4res;

typedef struct PUTPUBFH4res {
    nfsstat4 status;
} PUTPUBFH4res;

typedef struct PUTROOTFH4res {
    nfsstat4 status;
} PUTROOTFH4res;

typedef struct READ4args {
    stateid4 stateid;
    offset4 offset;
    count4 count;
} READ4args;

typedef struct READ4resok {
    bool eof;
    struct xdr_bytes data;
    void
        *data_owner; /* not on the wire; set: data goes out by xdr_out_splice with this owner, NULL: copied */
} READ4resok;

typedef struct READ4res {
    nfsstat4 status;
    READ4resok resok4; /* NFS4_OK */
} READ4res;

typedef struct READDIR4args {
    nfs_cookie4 cookie;
    verifier4 cookieverf;
    count4 dircount;
    count4 maxcount;
    bitmap4 attr_request;
} READDIR4args;

/* The RFC links entries; here they are an array. */
typedef struct entry4 {
    nfs_cookie4 cookie;
    component4 name;
    fattr4 attrs;
} entry4;

/*
 * A server sets `encoded` to what readdir_writer_end() gave it; entries and eof then do not count. A client
 * finds the decoded entries.
 */
typedef struct dirlist4 {
    uint32_t entries_count;
    entry4 *entries;
    bool eof;
    struct xdr_bytes encoded;
} dirlist4;

typedef struct READDIR4resok {
    verifier4 cookieverf;
    dirlist4 reply;
} READDIR4resok;

typedef struct READDIR4res {
    nfsstat4 status;
    READDIR4resok resok4; /* NFS4_OK */
} READDIR4res;

typedef struct READLINK4resok {
    linktext4 link;
} READLINK4resok;

typedef struct READLINK4res {
    nfsstat4 status;
    READLINK4resok resok4; /* NFS4_OK */
} READLINK4res;

typedef struct REMOVE4args {
    component4 target;
} REMOVE4args;

typedef struct REMOVE4resok {
    change_info4 cinfo;
} REMOVE4resok;

typedef struct REMOVE4res {
    nfsstat4 status;
    REMOVE4resok resok4; /* NFS4_OK */
} REMOVE4res;

typedef struct RENAME4args {
    component4 oldname;
    component4 newname;
} RENAME4args;

typedef struct RENAME4resok {
    change_info4 source_cinfo;
    change_info4 target_cinfo;
} RENAME4resok;

typedef struct RENAME4res {
    nfsstat4 status;
    RENAME4resok resok4; /* NFS4_OK */
} RENAME4res;

typedef struct RENEW4args {
    clientid4 clientid;
} RENEW4args;

typedef struct RENEW4res {
    nfsstat4 status;
} RENEW4res;

typedef struct RESTOREFH4res {
    nfsstat4 status;
} RESTOREFH4res;

typedef struct SAVEFH4res {
    nfsstat4 status;
} SAVEFH4res;

typedef struct SECINFO4args {
    component4 name;
} SECINFO4args;

typedef struct rpcsec_gss_info {
    sec_oid4 oid;
    qop4 qop;
    rpc_gss_svc_t service;
} rpcsec_gss_info;

typedef struct secinfo4 {
    uint32_t flavor;
    rpcsec_gss_info flavor_info; /* RPCSEC_GSS */
} secinfo4;

/* The RFC has a bare array here. */
typedef struct SECINFO4resok {
    uint32_t flavors_count;
    secinfo4 *flavors;
} SECINFO4resok;

typedef struct SECINFO4res {
    nfsstat4 status;
    SECINFO4resok resok4; /* NFS4_OK */
} SECINFO4res;

typedef struct SETATTR4args {
    stateid4 stateid;
    fattr4 obj_attributes;
} SETATTR4args;

typedef struct SETATTR4res {
    nfsstat4 status;
    bitmap4 attrsset;
} SETATTR4res;

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

typedef struct VERIFY4args {
    fattr4 obj_attributes;
} VERIFY4args;

typedef struct VERIFY4res {
    nfsstat4 status;
} VERIFY4res;

typedef struct WRITE4args {
    stateid4 stateid;
    offset4 offset;
    stable_how4 stable;
    struct xdr_bytes data;
    void *data_owner; /* as in READ4resok, for a client that sends */
} WRITE4args;

typedef struct WRITE4resok {
    count4 count;
    stable_how4 committed;
    verifier4 writeverf;
} WRITE4resok;

typedef struct WRITE4res {
    nfsstat4 status;
    WRITE4resok resok4; /* NFS4_OK */
} WRITE4res;

typedef struct RELEASE_LOCKOWNER4args {
    lock_owner4 lock_owner;
} RELEASE_LOCKOWNER4args;

typedef struct RELEASE_LOCKOWNER4res {
    nfsstat4 status;
} RELEASE_LOCKOWNER4res;

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

typedef struct FREE_STATEID4args {
    stateid4 fsa_stateid;
} FREE_STATEID4args;

typedef struct FREE_STATEID4res {
    nfsstat4 status;
} FREE_STATEID4res;

typedef nfstime4 attr_notice4;
typedef struct GET_DIR_DELEGATION4args {
    bool gdda_signal_deleg_avail;
    bitmap4 gdda_notification_types;
    attr_notice4 gdda_child_attr_delay;
    attr_notice4 gdda_dir_attr_delay;
    bitmap4 gdda_child_attributes;
    bitmap4 gdda_dir_attributes;
} GET_DIR_DELEGATION4args;

typedef struct GET_DIR_DELEGATION4resok {
    verifier4 gddr_cookieverf;
    stateid4 gddr_stateid;
    bitmap4 gddr_notification;
    bitmap4 gddr_child_attributes;
    bitmap4 gddr_dir_attributes;
} GET_DIR_DELEGATION4resok;

typedef struct GET_DIR_DELEGATION4res_non_fatal {
    gddrnf4_status gddrnf_status;
    union {
        GET_DIR_DELEGATION4resok gddrnf_resok4; /* GDD4_OK */
        bool gddrnf_will_signal_deleg_avail;    /* GDD4_UNAVAIL */
    };
} GET_DIR_DELEGATION4res_non_fatal;

typedef struct GET_DIR_DELEGATION4res {
    nfsstat4 status;
    GET_DIR_DELEGATION4res_non_fatal gddr_res_non_fatal4; /* NFS4_OK */
} GET_DIR_DELEGATION4res;

typedef struct GETDEVICEINFO4args {
    deviceid4 gdia_device_id;
    layouttype4 gdia_layout_type;
    count4 gdia_maxcount;
    bitmap4 gdia_notify_types;
} GETDEVICEINFO4args;

typedef struct GETDEVICEINFO4resok {
    device_addr4 gdir_device_addr;
    bitmap4 gdir_notification;
} GETDEVICEINFO4resok;

typedef struct GETDEVICEINFO4res {
    nfsstat4 status;
    union {
        GETDEVICEINFO4resok gdir_resok4; /* NFS4_OK */
        count4 gdir_mincount;            /* NFS4ERR_TOOSMALL */
    };
} GETDEVICEINFO4res;

typedef struct GETDEVICELIST4args {
    layouttype4 gdla_layout_type;
    count4 gdla_maxdevices;
    nfs_cookie4 gdla_cookie;
    verifier4 gdla_cookieverf;
} GETDEVICELIST4args;

typedef struct GETDEVICELIST4resok {
    nfs_cookie4 gdlr_cookie;
    verifier4 gdlr_cookieverf;
    uint32_t gdlr_deviceid_list_count;
    deviceid4 *gdlr_deviceid_list;
    bool gdlr_eof;
} GETDEVICELIST4resok;

typedef struct GETDEVICELIST4res {
    nfsstat4 status;
    GETDEVICELIST4resok gdlr_resok4; /* NFS4_OK */
} GETDEVICELIST4res;

typedef struct newtime4 {
    bool nt_timechanged;
    nfstime4 nt_time; /* TRUE */
} newtime4;

typedef struct newoffset4 {
    bool no_newoffset;
    offset4 no_offset; /* TRUE */
} newoffset4;

typedef struct LAYOUTCOMMIT4args {
    offset4 loca_offset;
    length4 loca_length;
    bool loca_reclaim;
    stateid4 loca_stateid;
    newoffset4 loca_last_write_offset;
    newtime4 loca_time_modify;
    layoutupdate4 loca_layoutupdate;
} LAYOUTCOMMIT4args;

typedef struct newsize4 {
    bool ns_sizechanged;
    length4 ns_size; /* TRUE */
} newsize4;

typedef struct LAYOUTCOMMIT4resok {
    newsize4 locr_newsize;
} LAYOUTCOMMIT4resok;

typedef struct LAYOUTCOMMIT4res {
    nfsstat4 status;
    LAYOUTCOMMIT4resok locr_resok4; /* NFS4_OK */
} LAYOUTCOMMIT4res;

typedef struct LAYOUTGET4args {
    bool loga_signal_layout_avail;
    layouttype4 loga_layout_type;
    layoutiomode4 loga_iomode;
    offset4 loga_offset;
    length4 loga_length;
    length4 loga_minlength;
    stateid4 loga_stateid;
    count4 loga_maxcount;
} LAYOUTGET4args;

typedef struct LAYOUTGET4resok {
    bool logr_return_on_close;
    stateid4 logr_stateid;
    uint32_t logr_layout_count;
    layout4 *logr_layout;
} LAYOUTGET4resok;

typedef struct LAYOUTGET4res {
    nfsstat4 status;
    union {
        LAYOUTGET4resok logr_resok4;        /* NFS4_OK */
        bool logr_will_signal_layout_avail; /* NFS4ERR_LAYOUTTRYLATER */
    };
} LAYOUTGET4res;

typedef struct LAYOUTRETURN4args {
    bool lora_reclaim;
    layouttype4 lora_layout_type;
    layoutiomode4 lora_iomode;
    layoutreturn4 lora_layoutreturn;
} LAYOUTRETURN4args;

typedef struct layoutreturn_stateid {
    bool lrs_present;
    stateid4 lrs_stateid; /* TRUE */
} layoutreturn_stateid;

typedef struct LAYOUTRETURN4res {
    nfsstat4 status;
    layoutreturn_stateid lorr_stateid; /* NFS4_OK */
} LAYOUTRETURN4res;

/* The RFC has a bare enum here. */
typedef struct SECINFO_NO_NAME4args {
    secinfo_style4 style;
} SECINFO_NO_NAME4args;

typedef SECINFO4res SECINFO_NO_NAME4res;
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

typedef struct TEST_STATEID4args {
    uint32_t ts_stateids_count;
    stateid4 *ts_stateids;
} TEST_STATEID4args;

typedef struct TEST_STATEID4resok {
    uint32_t tsr_status_codes_count;
    nfsstat4 *tsr_status_codes;
} TEST_STATEID4resok;

typedef struct TEST_STATEID4res {
    nfsstat4 status;
    TEST_STATEID4resok tsr_resok4; /* NFS4_OK */
} TEST_STATEID4res;

typedef struct deleg_claim4 {
    open_claim_type4 dc_claim;
    open_delegation_type4 dc_delegate_type; /* CLAIM_PREVIOUS */
} deleg_claim4;

typedef struct WANT_DELEGATION4args {
    uint32_t wda_want;
    deleg_claim4 wda_claim;
} WANT_DELEGATION4args;

typedef struct WANT_DELEGATION4res {
    nfsstat4 status;
    open_delegation4 wdr_resok4; /* NFS4_OK */
} WANT_DELEGATION4res;

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
