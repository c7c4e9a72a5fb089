/*
 * RFC 5662: file handles, names, attributes, data and directories. See proto/nfs4/types.h.
 */
#ifndef PROTO_NFS4_TYPES_FILE_H
#define PROTO_NFS4_TYPES_FILE_H

#include "proto/nfs4/types_base.h"

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

typedef struct OPENATTR4args {
    bool createdir;
} OPENATTR4args;

typedef struct OPENATTR4res {
    nfsstat4 status;
} OPENATTR4res;

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
    void *data_owner; /* not on the wire; set: data goes out by xdr_out_splice with this owner,
                         NULL: copied */
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
 * A server sets `encoded` to what readdir_writer_end() gave it; entries and eof then do not count.
 * With `encoded_owner` too (not on the wire) it goes out by reference, as READ's data do.
 * A client finds the decoded entries.
 */
typedef struct dirlist4 {
    uint32_t entries_count;
    entry4 *entries;
    bool eof;
    struct xdr_bytes encoded;
    void *encoded_owner;
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

/* The RFC has a bare enum here. */
typedef struct SECINFO_NO_NAME4args {
    secinfo_style4 style;
} SECINFO_NO_NAME4args;

typedef SECINFO4res SECINFO_NO_NAME4res;

#endif
