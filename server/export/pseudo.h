/*
 * pseudo.h - the tree of names that joins the exports into one name space (RFC 8881 section 7.3):
 * "/data" and
 * "/home/lab" make a root with "data" and "home", and "lab" below it. An export may hang on any
 * node, the root included, and may have nodes below it.
 *
 * Changing it: before threads start, or one thread at a time (a reload's). Reading: any thread; a
 * node that was once seen is valid until the tree is destroyed.
 */
#ifndef SEALNFS_SERVER_EXPORT_PSEUDO_H
#define SEALNFS_SERVER_EXPORT_PSEUDO_H

#include <stdint.h>

struct export;
struct pseudo_dir;

/* More names than this below one directory are refused: READDIR keeps that many cookies for them.
 */
enum { PSEUDO_CHILDREN_MAX = 1000 };

int pseudo_tree_create(struct pseudo_dir **root);
void pseudo_tree_destroy(struct pseudo_dir *root);
/* Makes the nodes on the way to `path` ("/a/b") and hangs the export on the last. -EEXIST: one is
 * there; -EINVAL: not a clean absolute path; -E2BIG: too many names in one directory; -ENOMEM. */
int pseudo_tree_add(struct pseudo_dir *root, const char *path, struct export *export,
                    struct pseudo_dir **out);

/* Its export hangs there no more; what is left without an export below is not there any more. */
void pseudo_tree_remove(struct pseudo_dir *dir);

/* Nanoseconds since 1970: when an export last came or went, here or below. */
uint64_t pseudo_changed(const struct pseudo_dir *dir);
struct export *pseudo_export(const struct pseudo_dir *dir);     /* NULL: a plain directory */
const char *pseudo_name(const struct pseudo_dir *dir);          /* "" for the root */
struct pseudo_dir *pseudo_parent(const struct pseudo_dir *dir); /* NULL for the root */
uint64_t
pseudo_fileid(const struct pseudo_dir *dir); /* from its path: the same after every start */
unsigned pseudo_child_count(const struct pseudo_dir *dir);
/* Places of children, which keep their numbers; in some there is none any more: NULL. */
unsigned pseudo_slot_count(const struct pseudo_dir *dir);
struct pseudo_dir *pseudo_slot(const struct pseudo_dir *dir, unsigned index);
struct pseudo_dir *pseudo_child(const struct pseudo_dir *dir, const char *name); /* NULL: none */
struct pseudo_dir *pseudo_by_fileid(struct pseudo_dir *root, uint64_t fileid);   /* NULL: none */

#endif
