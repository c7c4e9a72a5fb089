/*
 * RFC 5662: layouts and devices. See proto/nfs4/types.h.
 */
#ifndef PROTO_NFS4_TYPES_LAYOUT_H
#define PROTO_NFS4_TYPES_LAYOUT_H

#include "proto/nfs4/types_base.h"

typedef struct layout_content4 {
    layouttype4 loc_type;
    struct xdr_bytes loc_body;
} layout_content4;

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

#endif
