/*
 * commit.h - making changes of directories durable before the reply (option sync_metadata), many at
 * a time.
 *
 * A COMPOUND that has changed a directory joins the group that the next fsync is for, and waits
 * without holding a worker. One worker then flushes each directory of the group once and resumes
 * them all; changes that come meanwhile are the next group. So the flushes of a busy server cost
 * what its disk can do, not one each.
 *
 * The same serves what cannot be flushed alone, a symbolic link, say: its whole file system is,
 * once a group.
 *
 * What a directory's fsync covers: the names in it, and the inodes that were made, linked or lost
 * with them, since XFS and ext4 keep both in one transaction. What is set on a new file afterwards
 * is not covered (export_commits_by_directory, nfs/op_open_name.c).
 */
#ifndef SEALNFS_SERVER_NFS_COMMIT_H
#define SEALNFS_SERVER_NFS_COMMIT_H

#include "server/nfs/compound.h"

struct committer;
struct file;
struct server;

enum { COMMIT_DIRS = 2 };

struct commit_wait {
    struct commit_wait *next; /* the module's */
    struct compound *compound;
    struct file *dirs[COMMIT_DIRS]; /* the compound holds references; NULL: none */
    int error;                      /* out: 0 or -errno */
};

int committer_create(struct server *server, struct committer **out);
/* After the workers have ended. */
void committer_destroy(struct committer *committer);

/*
 * Commit the directories, the changes to which have been made. OP_DONE: wait->error says how it
 * went. OP_WAIT: the compound is resumed when it is known, perhaps before this returns: set its
 * stage before, do not touch it after. Workers. Without a committer (unit tests) it blocks.
 */
enum op_next commit_dirs(struct compound *c, struct commit_wait *wait, struct file *dir,
                         struct file *other);

#endif
