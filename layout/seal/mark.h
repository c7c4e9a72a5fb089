/*
 * The mark on a sealed file: an extended attribute in the trusted namespace (root's; clients and
 * owners cannot see or set it) that names the file it was made for, so that a seal can be told from
 * somebody else's immutable flag when the journal does not know the file any more. It is set before
 * the flag and taken off after it, since the flag forbids both. A copy of the file that carries its
 * attributes along is another file, and its mark names the wrong one: it means nothing. So does a
 * mark without the flag.
 *
 * Functions block, and work through any descriptor that is really open.
 */
#ifndef LAYOUT_SEAL_MARK_H
#define LAYOUT_SEAL_MARK_H

#include "layout/file_key.h"
#include "layout/seal/fs.h"

#define SEAL_MARK_NAME "trusted.sealnfs.seal"

int seal_mark_set(int fd, enum seal_kind kind);
/* 0 also when there was none. */
int seal_mark_remove(int fd);
/* -ENODATA: no mark, or another file's. */
int seal_mark_get(int fd, enum seal_kind *kind);
/*
 * The same, also when the mark was made while the file system had another UUID (it was changed
 * since, or the disk is a copy): *named is the key in the mark, under which the journal knows the
 * seal.
 */
int seal_mark_find(int fd, enum seal_kind *kind, struct file_key *named);

#endif
