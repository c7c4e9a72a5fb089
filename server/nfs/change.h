/*
 * change.h - change_info4 of operations that change a directory (RFC 8881 section 3.3.8). `atomic`
 * is never claimed: between our two looks and the operation itself a local program may change the
 * directory too.
 *
 *     change_before(dir, &info);
 *     ... the operation ...
 *     change_after(dir, &info);    only if it succeeded; calls file_changed
 */
#ifndef SEALNFS_SERVER_NFS_CHANGE_H
#define SEALNFS_SERVER_NFS_CHANGE_H

#include "proto/nfs4/types.h"

struct file;

void change_before(struct file *dir, change_info4 *info);
void change_after(struct file *dir, change_info4 *info);

#endif
