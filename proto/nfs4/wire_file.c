/*
 * How the wire encodes (RFC 5662): file handles, names, attributes, data and directories.
 * See proto/nfs4/wire_type.h for how to read it.
 */
#include "proto/nfs4/wire.h"

WIRE_STRUCT(ACCESS4args, WIRE_U32(ACCESS4args, access));
static WIRE_STRUCT(ACCESS4resok, WIRE_U32(ACCESS4resok, supported), WIRE_U32(ACCESS4resok, access));
WIRE_RESULT(ACCESS4res, WIRE_ARM(NFS4_OK, WIRE_SUB(ACCESS4res, resok4, ACCESS4resok)));

WIRE_STRUCT(COMMIT4args, WIRE_U64(COMMIT4args, offset), WIRE_U32(COMMIT4args, count));
static WIRE_STRUCT(COMMIT4resok, WIRE_FIXED(COMMIT4resok, writeverf));
WIRE_RESULT(COMMIT4res, WIRE_ARM(NFS4_OK, WIRE_SUB(COMMIT4res, resok4, COMMIT4resok)));

static WIRE_UNION(createtype4, WIRE_U32(createtype4, type),
                  WIRE_ARM(NF4LNK, WIRE_OPAQUE(createtype4, linkdata, WIRE_UNBOUNDED)),
                  WIRE_ARM(NF4BLK, WIRE_SUB(createtype4, devdata, specdata4)),
                  WIRE_ARM(NF4CHR, WIRE_SUB(createtype4, devdata, specdata4)), WIRE_DEFAULT);
WIRE_STRUCT(CREATE4args, WIRE_SUB(CREATE4args, objtype, createtype4),
            WIRE_OPAQUE(CREATE4args, objname, WIRE_UNBOUNDED),
            WIRE_SUB(CREATE4args, createattrs, fattr4));
static WIRE_STRUCT(CREATE4resok, WIRE_SUB(CREATE4resok, cinfo, change_info4),
                   WIRE_BITMAP(CREATE4resok, attrset));
WIRE_RESULT(CREATE4res, WIRE_ARM(NFS4_OK, WIRE_SUB(CREATE4res, resok4, CREATE4resok)));

WIRE_STRUCT(GETATTR4args, WIRE_BITMAP(GETATTR4args, attr_request));
static WIRE_STRUCT(GETATTR4resok, WIRE_SUB(GETATTR4resok, obj_attributes, fattr4));
WIRE_RESULT(GETATTR4res, WIRE_ARM(NFS4_OK, WIRE_SUB(GETATTR4res, resok4, GETATTR4resok)));

static WIRE_STRUCT(GETFH4resok, WIRE_OPAQUE(GETFH4resok, object, NFS4_FHSIZE));
WIRE_RESULT(GETFH4res, WIRE_ARM(NFS4_OK, WIRE_SUB(GETFH4res, resok4, GETFH4resok)));

WIRE_STRUCT(LINK4args, WIRE_OPAQUE(LINK4args, newname, WIRE_UNBOUNDED));
static WIRE_STRUCT(LINK4resok, WIRE_SUB(LINK4resok, cinfo, change_info4));
WIRE_RESULT(LINK4res, WIRE_ARM(NFS4_OK, WIRE_SUB(LINK4res, resok4, LINK4resok)));

WIRE_STRUCT(LOOKUP4args, WIRE_OPAQUE(LOOKUP4args, objname, WIRE_UNBOUNDED));

WIRE_STRUCT(NVERIFY4args, WIRE_SUB(NVERIFY4args, obj_attributes, fattr4));

WIRE_STRUCT(OPENATTR4args, WIRE_BOOL(OPENATTR4args, createdir));

WIRE_STRUCT(PUTFH4args, WIRE_OPAQUE(PUTFH4args, object, NFS4_FHSIZE));

WIRE_STRUCT(READ4args, WIRE_SUB(READ4args, stateid, stateid4), WIRE_U64(READ4args, offset),
            WIRE_U32(READ4args, count));
static WIRE_STRUCT(READ4resok, WIRE_BOOL(READ4resok, eof),
                   WIRE_PAYLOAD(READ4resok, data, data_owner));
WIRE_RESULT(READ4res, WIRE_ARM(NFS4_OK, WIRE_SUB(READ4res, resok4, READ4resok)));

WIRE_STRUCT(READDIR4args, WIRE_U64(READDIR4args, cookie), WIRE_FIXED(READDIR4args, cookieverf),
            WIRE_U32(READDIR4args, dircount), WIRE_U32(READDIR4args, maxcount),
            WIRE_BITMAP(READDIR4args, attr_request));
static WIRE_STRUCT(READDIR4resok, WIRE_FIXED(READDIR4resok, cookieverf),
                   WIRE_SUB(READDIR4resok, reply, dirlist4));
WIRE_RESULT(READDIR4res, WIRE_ARM(NFS4_OK, WIRE_SUB(READDIR4res, resok4, READDIR4resok)));

static WIRE_STRUCT(READLINK4resok, WIRE_OPAQUE(READLINK4resok, link, WIRE_UNBOUNDED));
WIRE_RESULT(READLINK4res, WIRE_ARM(NFS4_OK, WIRE_SUB(READLINK4res, resok4, READLINK4resok)));

WIRE_STRUCT(REMOVE4args, WIRE_OPAQUE(REMOVE4args, target, WIRE_UNBOUNDED));
static WIRE_STRUCT(REMOVE4resok, WIRE_SUB(REMOVE4resok, cinfo, change_info4));
WIRE_RESULT(REMOVE4res, WIRE_ARM(NFS4_OK, WIRE_SUB(REMOVE4res, resok4, REMOVE4resok)));

WIRE_STRUCT(RENAME4args, WIRE_OPAQUE(RENAME4args, oldname, WIRE_UNBOUNDED),
            WIRE_OPAQUE(RENAME4args, newname, WIRE_UNBOUNDED));
static WIRE_STRUCT(RENAME4resok, WIRE_SUB(RENAME4resok, source_cinfo, change_info4),
                   WIRE_SUB(RENAME4resok, target_cinfo, change_info4));
WIRE_RESULT(RENAME4res, WIRE_ARM(NFS4_OK, WIRE_SUB(RENAME4res, resok4, RENAME4resok)));

WIRE_STRUCT(SECINFO4args, WIRE_OPAQUE(SECINFO4args, name, WIRE_UNBOUNDED));
static WIRE_STRUCT(rpcsec_gss_info, WIRE_OPAQUE(rpcsec_gss_info, oid, WIRE_UNBOUNDED),
                   WIRE_U32(rpcsec_gss_info, qop), WIRE_U32(rpcsec_gss_info, service));
static WIRE_UNION(secinfo4, WIRE_U32(secinfo4, flavor),
                  WIRE_ARM(RPC_AUTH_GSS, WIRE_SUB(secinfo4, flavor_info, rpcsec_gss_info)),
                  WIRE_DEFAULT);
static WIRE_STRUCT(SECINFO4resok, WIRE_ARRAY(SECINFO4resok, flavors, secinfo4, NFS4_MAX_SECINFO));
WIRE_RESULT(SECINFO4res, WIRE_ARM(NFS4_OK, WIRE_SUB(SECINFO4res, resok4, SECINFO4resok)));

WIRE_STRUCT(SECINFO_NO_NAME4args, WIRE_U32(SECINFO_NO_NAME4args, style));

WIRE_STRUCT(SETATTR4args, WIRE_SUB(SETATTR4args, stateid, stateid4),
            WIRE_SUB(SETATTR4args, obj_attributes, fattr4));
WIRE_STRUCT(SETATTR4res, WIRE_U32(SETATTR4res, status), WIRE_BITMAP(SETATTR4res, attrsset));

WIRE_STRUCT(VERIFY4args, WIRE_SUB(VERIFY4args, obj_attributes, fattr4));

WIRE_STRUCT(WRITE4args, WIRE_SUB(WRITE4args, stateid, stateid4), WIRE_U64(WRITE4args, offset),
            WIRE_U32(WRITE4args, stable), WIRE_PAYLOAD(WRITE4args, data, data_owner));
static WIRE_STRUCT(WRITE4resok, WIRE_U32(WRITE4resok, count), WIRE_U32(WRITE4resok, committed),
                   WIRE_FIXED(WRITE4resok, writeverf));
WIRE_RESULT(WRITE4res, WIRE_ARM(NFS4_OK, WIRE_SUB(WRITE4res, resok4, WRITE4resok)));
