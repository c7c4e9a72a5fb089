/*
 * The tree of pseudo directories; see pseudo.h. A few nodes: children are a sorted-by-arrival
 * array, searched in order. A node that was made stays, in its place in the array, since readers
 * hold no lock; it is there for them as long as an export hangs on it or below.
 */
#include "server/export/pseudo.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct pseudo_dir {
    char *name;
    uint64_t fileid;
    struct pseudo_dir *parent;
    _Atomic(struct export *) export;
    atomic_uint exports;                    /* here and below */
    _Atomic uint64_t changed_ns;            /* when one last came or went */
    _Atomic(struct pseudo_dir **) children; /* room for PSEUDO_CHILDREN_MAX; NULL: there was none */
    atomic_uint slots;
};

static struct pseudo_dir *slot_at(const struct pseudo_dir *dir, unsigned index)
{
    return atomic_load(&dir->children)[index];
}

static bool is_there(const struct pseudo_dir *dir)
{
    return !dir->parent || atomic_load(&dir->exports) > 0;
}

/* FNV-1a over the parent's id and the name. The top bit keeps clear of inode numbers, 1 and 2 of
 * nothing special. */
static uint64_t make_fileid(const struct pseudo_dir *parent, const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u ^ (parent ? parent->fileid : 0);

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 0x100000001b3u;
    return hash | UINT64_C(1) << 63;
}

static struct pseudo_dir *dir_new(struct pseudo_dir *parent, const char *name)
{
    struct pseudo_dir *dir = calloc(1, sizeof(*dir));

    if (!dir)
        return NULL;
    dir->name = strdup(name);
    if (!dir->name) {
        free(dir);
        return NULL;
    }
    dir->parent = parent;
    dir->fileid = make_fileid(parent, name);
    return dir;
}

int pseudo_tree_create(struct pseudo_dir **root)
{
    struct pseudo_dir *dir = dir_new(NULL, "");

    if (!dir)
        return -ENOMEM;
    *root = dir;
    return 0;
}

/* As deep as the longest export path, which the configuration bounds (PATH_MAX / 2 names). */
void pseudo_tree_destroy(struct pseudo_dir *root)
{
    if (!root)
        return;
    for (unsigned i = 0; i < atomic_load(&root->slots); i++)
        pseudo_tree_destroy(slot_at(root, i));
    free(atomic_load(&root->children));
    free(root->name);
    free(root);
}

static struct pseudo_dir *find_slot(const struct pseudo_dir *dir, const char *name)
{
    const unsigned count = atomic_load(&dir->slots);

    for (unsigned i = 0; i < count; i++)
        if (strcmp(slot_at(dir, i)->name, name) == 0)
            return slot_at(dir, i);
    return NULL;
}

static int child_make(struct pseudo_dir *dir, const char *name, struct pseudo_dir **out)
{
    const unsigned count = atomic_load(&dir->slots);
    struct pseudo_dir **children = atomic_load(&dir->children);
    struct pseudo_dir *child = find_slot(dir, name);

    if (child) {
        *out = child;
        return 0;
    }
    if (count >= PSEUDO_CHILDREN_MAX)
        return -E2BIG;
    if (!children) {
        children = calloc(PSEUDO_CHILDREN_MAX, sizeof(struct pseudo_dir *));
        if (!children)
            return -ENOMEM;
        atomic_store(&dir->children, children);
    }
    child = dir_new(dir, name);
    if (!child)
        return -ENOMEM;
    children[count] = child;
    atomic_store(&dir->slots, count + 1); /* what it counts is there before it */
    *out = child;
    return 0;
}

/* One export more or less, at this node. */
static void note_export(struct pseudo_dir *dir, int more)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    for (; dir; dir = dir->parent) {
        atomic_fetch_add(&dir->exports, (unsigned)more);
        atomic_store(&dir->changed_ns, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    }
}

int pseudo_tree_add(struct pseudo_dir *root, const char *path, struct export *export,
                    struct pseudo_dir **out)
{
    struct pseudo_dir *dir = root;

    if (path[0] != '/' || strlen(path) >= PATH_MAX)
        return -EINVAL;
    while (*path == '/' && path[1]) {
        char name[NAME_MAX + 1];
        size_t len = strcspn(++path, "/");
        int rc;

        if (len == 0 || len > NAME_MAX)
            return -EINVAL;
        memcpy(name, path, len);
        name[len] = 0;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            return -EINVAL;
        rc = child_make(dir, name, &dir);
        if (rc)
            return rc;
        path += len;
    }
    if (atomic_load(&dir->export))
        return -EEXIST;
    atomic_store(&dir->export, export);
    note_export(dir, 1);
    *out = dir;
    return 0;
}

void pseudo_tree_remove(struct pseudo_dir *dir)
{
    atomic_store(&dir->export, NULL);
    note_export(dir, -1);
}

uint64_t pseudo_changed(const struct pseudo_dir *dir)
{
    return atomic_load(&dir->changed_ns);
}

struct export *pseudo_export(const struct pseudo_dir *dir)
{
    return atomic_load(&dir->export);
}

const char *pseudo_name(const struct pseudo_dir *dir)
{
    return dir->name;
}

struct pseudo_dir *pseudo_parent(const struct pseudo_dir *dir)
{
    return dir->parent;
}

uint64_t pseudo_fileid(const struct pseudo_dir *dir)
{
    return dir->fileid;
}

unsigned pseudo_child_count(const struct pseudo_dir *dir)
{
    unsigned there = 0;

    for (unsigned i = 0; i < pseudo_slot_count(dir); i++)
        there += is_there(slot_at(dir, i));
    return there;
}

unsigned pseudo_slot_count(const struct pseudo_dir *dir)
{
    return atomic_load(&dir->slots);
}

struct pseudo_dir *pseudo_slot(const struct pseudo_dir *dir, unsigned index)
{
    return index < pseudo_slot_count(dir) && is_there(slot_at(dir, index)) ? slot_at(dir, index)
                                                                           : NULL;
}

struct pseudo_dir *pseudo_child(const struct pseudo_dir *dir, const char *name)
{
    struct pseudo_dir *child = find_slot(dir, name);

    return child && is_there(child) ? child : NULL;
}

struct pseudo_dir *pseudo_by_fileid(struct pseudo_dir *root, uint64_t fileid)
{
    struct pseudo_dir *found = root->fileid == fileid && is_there(root) ? root : NULL;

    for (unsigned i = 0; !found && i < pseudo_slot_count(root); i++)
        found = pseudo_by_fileid(slot_at(root, i), fileid);
    return found;
}
