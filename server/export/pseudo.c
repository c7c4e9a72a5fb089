/*
 * The tree of pseudo directories; see pseudo.h. A few nodes: children are a sorted-by-arrival
 * array, searched in order.
 */
#include "server/export/pseudo.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct pseudo_dir {
    char *name;
    uint64_t fileid;
    struct pseudo_dir *parent;
    struct export *export;
    struct pseudo_dir **children;
    unsigned child_count;
};

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
    for (unsigned i = 0; i < root->child_count; i++)
        pseudo_tree_destroy(root->children[i]);
    free(root->children);
    free(root->name);
    free(root);
}

static int child_make(struct pseudo_dir *dir, const char *name, struct pseudo_dir **out)
{
    struct pseudo_dir *child = pseudo_child(dir, name);
    struct pseudo_dir **children;

    if (child) {
        *out = child;
        return 0;
    }
    if (dir->child_count >= PSEUDO_CHILDREN_MAX)
        return -E2BIG;
    children = realloc(dir->children, (dir->child_count + 1) * sizeof(*children));
    if (!children)
        return -ENOMEM;
    dir->children = children;
    child = dir_new(dir, name);
    if (!child)
        return -ENOMEM;
    children[dir->child_count++] = child;
    *out = child;
    return 0;
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
    if (dir->export)
        return -EEXIST;
    dir->export = export;
    *out = dir;
    return 0;
}

struct export *pseudo_export(const struct pseudo_dir *dir)
{
    return dir->export;
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
    return dir->child_count;
}

struct pseudo_dir *pseudo_child_at(const struct pseudo_dir *dir, unsigned index)
{
    return index < dir->child_count ? dir->children[index] : NULL;
}

struct pseudo_dir *pseudo_child(const struct pseudo_dir *dir, const char *name)
{
    for (unsigned i = 0; i < dir->child_count; i++)
        if (strcmp(dir->children[i]->name, name) == 0)
            return dir->children[i];
    return NULL;
}

struct pseudo_dir *pseudo_by_fileid(struct pseudo_dir *root, uint64_t fileid)
{
    struct pseudo_dir *found = root->fileid == fileid ? root : NULL;

    for (unsigned i = 0; !found && i < root->child_count; i++)
        found = pseudo_by_fileid(root->children[i], fileid);
    return found;
}
