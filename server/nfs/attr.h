/*
 * attr.h - file attributes (RFC 8881 chapter 5): from statx and statfs to the wire, and from the
 * wire into the file system.
 */
#ifndef SEALNFS_SERVER_NFS_ATTR_H
#define SEALNFS_SERVER_NFS_ATTR_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#include "proto/arena.h"
#include "proto/nfs4/attr.h"
#include "server/export/idmap.h"
#include "server/nfs/compound.h"

struct file;

/* Served on every file; what may be set at all; what may come with EXCLUSIVE4_1 (its verifier lives
 * in atime and mtime). */
bitmap4 attr_supported(const struct export *export);
bitmap4 attr_settable(void);
bitmap4 attr_exclcreat(void);
bitmap4 attr_write_only(void);

/* What attributes are made of. */
struct attr_source {
    const struct server *server;
    const struct export *export; /* NULL: a pseudo directory */
    const struct statx *stx;
    uint64_t change;
    uint64_t mounted_on; /* fileid of the directory that this is mounted on; 0: it is not a mount's
                            root */
    struct xdr_bytes handle; /* empty: not asked for (see attr_wants_handle) */
    const struct statfs *fs; /* NULL: not asked for (see attr_wants_fs) */
};
/* What values point to. Those of attr_fill are nothing but zero bytes at first. */
struct attr_owner {
    bool known; /* text is for this id */
    uint32_t id;
    char text[IDMAP_OWNER_MAX];
};
struct attr_names {
    struct attr_owner owner, group;
    uint8_t handle[NFS4_FHSIZE];
};
bool attr_wants_fs(const bitmap4 *want);
bool attr_wants_birth(const bitmap4 *want);
bool attr_wants_handle(const bitmap4 *want);
/* What is the same for every object of source->export: taken once, before the objects. */
void attr_fill_shared(const struct attr_source *source, struct nfs4_attrs *out);
/* One object's values that `want` asks for, over the shared ones; `out` may be used again for the
 * next of the same export. 0, or -EAGAIN when names are not known and may_block is false. */
int attr_fill(const struct attr_source *source, const bitmap4 *want, bool may_block,
              struct attr_names *names, struct nfs4_attrs *out);
/* The same for a file at hand: stats it. 0, -EAGAIN, or another negative errno. */
int attr_of_place(const struct server *server, const struct place *at, const bitmap4 *want,
                  bool may_block, struct attr_names *names, struct nfs4_attrs *out);

/* What a client asked to set, checked and with owners mapped. `want` holds only settable
 * attributes. */
struct attr_set {
    bitmap4 want;
    uint64_t size;
    mode_t mode;      /* MODE, or the value of MODE_SET_MASKED */
    mode_t mode_mask; /* 07777 for MODE */
    uid_t uid;
    gid_t gid;
    struct timespec atime,
        mtime; /* tv_nsec UTIME_NOW for the server's time, UTIME_OMIT when not asked */
};
/* BLOCKS on owner names (workers). ATTRNOTSUPP, INVAL (read-only attribute, bad time), BADOWNER,
 * BADXDR. */
nfsstat4 attr_set_decode(const struct compound *c, const fattr4 *fattr, struct attr_set *out);
/* Sets them, as the client (inside fs_cred_enter): owner, then mode, then times; size is not among
 * them (attr_set_size). What was set is added to `done`, also on error. BLOCKS. */
int attr_set_apply(struct file *file, const struct attr_set *set, bitmap4 *done);
/* Truncates or extends a regular file, as the server: that the client may was found before. BLOCKS.
 */
int attr_set_size(struct file *file, uint64_t size);
/* The same, the truncation itself as the client (set-id bits go, as for a local user). Not inside
 * fs_cred_enter. */
int attr_set_size_as(const struct compound *c, struct file *file, uint64_t size);
/* The mode a new file is created with: what was asked for, or `otherwise`; owner, size and times
 * are for attr_set_apply. */
mode_t attr_set_mode(const struct attr_set *set, mode_t otherwise);

/* Commits the file's (or directory's) metadata to disk when the configuration says so; 0 at once
 * when not. As the server. BLOCKS. */
int attr_commit(const struct server *server, struct file *file);
/* It cannot be flushed alone, only with all of its file system. */
bool attr_commits_all(const struct file *file);
/* One flush serves all files for which this is the same. */
const void *attr_commit_scope(const struct file *file);

#endif
