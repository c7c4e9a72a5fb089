/*
 * op_open.h - what the two files of OPEN share: its scratch, and the step from a name to a file.
 */
#ifndef SEALNFS_SERVER_NFS_OP_OPEN_H
#define SEALNFS_SERVER_NFS_OP_OPEN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "server/file/fs_status.h"
#include "server/keeper/keeper.h"
#include "server/nfs/attr.h"
#include "server/nfs/commit.h"
#include "server/nfs/compound.h"
#include "server/nfs/seal_wait.h"
#include "server/state/share.h"
#include "server/state/state.h"

struct open_work {
    struct seal_wait release;
    char name[NAME_SIZE];
    struct attr_set set; /* the attributes to create with */
    struct place at;     /* what is opened; holds a reference */
    uint32_t access;     /* OPEN4_SHARE_ACCESS_*, which are FILE_READ and FILE_WRITE too */
    struct commit_wait commit;
    bool charged;           /* a file of the client's share is taken for it */
    struct file *to_commit; /* before the answer: the directory, or what was made in it */
    bool created;           /* by this OPEN, or by one that this is a repetition of */
    bool truncate;
    bool blocks;   /* met on the loop: only a worker can tell */
    bool released; /* an at-rest seal gave way already */
    change_info4 cinfo;
    bitmap4 attrset;
};

/* CLAIM_NULL: finds the name in the current directory, or creates it; sets at, created, truncate,
 * cinfo, attrset. On the loop only without creation; `blocks` is set then when a worker has to
 * look. */
nfsstat4 open_by_name(struct compound *c, struct open_work *work);
/* A regular file may be opened, read, written and locked; of others, what they are. */
nfsstat4 open_check_type(mode_t type);
/* The client was refused some of this: clients past their lease give up what they hold, where that
 * can help, and the log tells of it. On the client's loop. */
void open_refused_share(struct compound *c, enum state_lack lack, const char *what);
/* May state be claimed now (RFC 8881 section 8.4.2.1)? reclaim: NO_GRACE, RECLAIM_BAD; else GRACE.
 * On the client's loop. */
nfsstat4 reclaim_check(const struct compound *c, bool reclaim);

#endif
