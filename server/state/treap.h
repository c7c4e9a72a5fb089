/*
 * treap.h - a search tree whose shape is by chance, so that nobody who chooses the keys can make it
 * deep: every step takes the logarithm of its size. Nodes are embedded in what they are about.
 * Pure; the caller guards the tree.
 *
 * Who keeps something about whole subtrees (the largest end of all ranges below, say) fills it in
 * `update`, from the node itself and its children; it is called for every node whose subtree has
 * changed, children first.
 */
#ifndef SEALNFS_SERVER_STATE_TREAP_H
#define SEALNFS_SERVER_STATE_TREAP_H

#include <stdbool.h>
#include <stdint.h>

struct treap_node {
    struct treap_node *left, *right;
    uint32_t priority;
};

struct treap_kind {
    /* Strict; no two nodes of a tree are equal. */
    bool (*before)(struct treap_node *a, struct treap_node *b);
    void (*update)(struct treap_node *node); /* NULL: nothing is kept */
};

void treap_insert(struct treap_node **root, struct treap_node *node, const struct treap_kind *kind);
/* The node is in the tree. */
void treap_remove(struct treap_node **root, struct treap_node *node, const struct treap_kind *kind);

#endif
