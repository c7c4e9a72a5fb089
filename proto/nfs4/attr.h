/*
 * fattr4 (RFC 8881 chapter 5): a structure with every attribute that this server serves or accepts,
 * encoded and decoded by one table in the order of attribute numbers. Also the bitmap helpers.
 */
#ifndef PROTO_NFS4_ATTR_H
#define PROTO_NFS4_ATTR_H

#include "proto/arena.h"
#include "proto/nfs4/types.h"

/* Bits past 95 are never set here: set does nothing for them and isset is false. */
void bitmap4_set(bitmap4 *map, unsigned bit);
void bitmap4_clear(bitmap4 *map, unsigned bit);
bool bitmap4_isset(const bitmap4 *map, unsigned bit);
bitmap4 bitmap4_and(const bitmap4 *a, const bitmap4 *b);
bitmap4 bitmap4_or(const bitmap4 *a, const bitmap4 *b);
/* a without the bits of b; keeps a's `beyond`. */
bitmap4 bitmap4_minus(const bitmap4 *a, const bitmap4 *b);
/* No bit set, none beyond either. */
bool bitmap4_empty(const bitmap4 *map);
bool bitmap4_equal(const bitmap4 *a, const bitmap4 *b);
/* BITMAP4(FATTR4_TYPE, FATTR4_SIZE): a bitmap of the bits named. */
#define BITMAP4(...)                                                                               \
    bitmap4_of((unsigned)(sizeof((const uint8_t[]){__VA_ARGS__})), (const uint8_t[]){__VA_ARGS__})
/* Here, and unrolled, so that the compiler makes a constant of it: it is asked for with every
 * GETATTR and every entry of a READDIR. */
static inline bitmap4 bitmap4_of(unsigned count, const uint8_t *bits)
{
    bitmap4 map = {.beyond = 0};

#pragma GCC unroll 96
    for (unsigned i = 0; i < count; i++)
        map.word[bits[i] / 32] |= 1u << bits[i] % 32;
    return map;
}

enum { NFS4_LAYOUT_TYPES_MAX = 4, NFS4_THRESHOLDS_MAX = 4 };

/* One entry of mdsthreshold4, with thi_hintlist decoded (RFC 8881 section 5.12.6). thi_hintset says
 * which counts. */
struct nfs4_threshold {
    layouttype4 layout_type;
    uint32_t hintset; /* bits TH4_READ_SIZE to TH4_WRITE_IOSIZE */
    length4 value[4]; /* indexed by TH4_* */
};

/* Values count only where `present` says so. Strings are views. */
struct nfs4_attrs {
    bitmap4 present;
    bitmap4 supported_attrs;
    bitmap4 suppattr_exclcreat;
    nfs_ftype4 type;
    uint32_t fh_expire_type;
    changeid4 change;
    uint64_t size;
    bool link_support;
    bool symlink_support;
    bool named_attr;
    bool unique_handles;
    bool cansettime;
    bool case_insensitive;
    bool case_preserving;
    bool chown_restricted;
    bool homogeneous;
    bool no_trunc;
    bool archive;
    bool hidden;
    bool system;
    fsid4 fsid;
    nfs_lease4 lease_time;
    nfsstat4 rdattr_error;
    uint32_t aclsupport;
    nfs_fh4 filehandle;
    uint64_t fileid;
    uint64_t mounted_on_fileid;
    uint64_t files_avail;
    uint64_t files_free;
    uint64_t files_total;
    uint64_t maxfilesize;
    uint32_t maxlink;
    uint32_t maxname;
    uint64_t maxread;
    uint64_t maxwrite;
    mode4 mode;
    mode_masked4 mode_set_masked; /* set only */
    uint32_t numlinks;
    utf8str_mixed owner;
    utf8str_mixed owner_group;
    uint64_t quota_avail_hard;
    uint64_t quota_avail_soft;
    uint64_t quota_used;
    specdata4 rawdev;
    uint64_t space_avail;
    uint64_t space_free;
    uint64_t space_total;
    uint64_t space_used;
    nfstime4 time_access;
    nfstime4 time_backup;
    nfstime4 time_create;
    nfstime4 time_delta;
    nfstime4 time_metadata;
    nfstime4 time_modify;
    settime4 time_access_set; /* set only */
    settime4 time_modify_set; /* set only */
    nfstime4 dir_notif_delay;
    nfstime4 dirent_notif_delay;
    change_policy4 change_policy;
    uint32_t fs_layout_types_count;
    layouttype4 fs_layout_types[NFS4_LAYOUT_TYPES_MAX];
    uint32_t layout_types_count;
    layouttype4 layout_types[NFS4_LAYOUT_TYPES_MAX];
    uint32_t layout_blksize;
    uint32_t layout_alignment;
    layouthint4 layout_hint; /* set only */
    uint32_t mdsthreshold_count;
    struct nfs4_threshold mdsthreshold[NFS4_THRESHOLDS_MAX];
    fs_charset_cap4 fs_charset_cap;
};

/* The attributes that struct nfs4_attrs can hold: for SUPPORTED_ATTRS, clear what the server does
 * not serve.
 */
bitmap4 nfs4_attrs_known(void);

/*
 * Writes a whole fattr4: the attributes that are in want, in have and in attrs->present, in
 * ascending order. What nobody has is left out, as GETATTR must (RFC 8881 section 18.7.3). have may
 * be NULL: everything. False: does not fit.
 */
bool nfs4_attrs_encode(struct xdr_out *out, const bitmap4 *want, const bitmap4 *have,
                       const struct nfs4_attrs *attrs);

/* As nfs4_attrs_encode, into a fattr4 whose attr_vals live in the arena. 0, -ENOMEM; -EOVERFLOW
 * past NFS4_ATTR_VALS_MAX bytes. */
enum { NFS4_ATTR_VALS_MAX = 8192 };
int nfs4_attrs_pack(const struct nfs4_attrs *attrs, const bitmap4 *want, const bitmap4 *have,
                    struct arena *arena, fattr4 *fattr);

/*
 * Decodes a fattr4 (attrmask and attr_vals) that is in `in`, or one already taken apart by the
 * operation's decoder. 0; -EBADMSG: malformed, or bytes left over in attr_vals (NFS4ERR_BADXDR);
 * -ENOTSUP: an attribute we do not know, so that the values after it cannot be found
 * (NFS4ERR_ATTRNOTSUPP). On -ENOTSUP attrs->present has what was decoded before it. Views point
 * into the input; nothing is allocated. Of layout type and threshold lists the first few entries
 * are kept, the rest checked and dropped.
 */
int nfs4_attrs_decode(struct xdr_in *in, struct nfs4_attrs *attrs);
int nfs4_attrs_unpack(const fattr4 *fattr, struct nfs4_attrs *attrs);

#endif
