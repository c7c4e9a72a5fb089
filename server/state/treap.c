/*
 * treap.c - see treap.h: ordered by key from left to right, by priority from the root down. Such a
 * tree has one shape, that of a binary tree into which the nodes came in the order of their
 * priorities; these are random, so it is as deep as one built in random order.
 */
#include "server/state/treap.h"

#include <stddef.h>
#include <sys/random.h>

/* xorshift64*, from a seed that clients cannot know. */
static uint32_t draw_priority(void)
{
    static _Thread_local uint64_t state;
    if (state == 0 && getrandom(&state, sizeof(state), GRND_NONBLOCK) != sizeof(state))
        state = 0;
    if (state == 0)
        state = UINT64_C(0x9e3779b97f4a7c15);
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)(state * UINT64_C(0x2545f4914f6cdd1d) >> 32);
}

static void update_node(struct treap_node *node, const struct treap_kind *kind)
{
    if (kind->update)
        kind->update(node);
}

/* What is before the node, and the rest. */
static void split_tree(struct treap_node *tree, struct treap_node *at, struct treap_node **before,
                       struct treap_node **after, const struct treap_kind *kind)
{
    if (!tree) {
        *before = *after = NULL;
        return;
    }
    if (kind->before(tree, at)) {
        split_tree(tree->right, at, &tree->right, after, kind);
        *before = tree;
    } else {
        split_tree(tree->left, at, before, &tree->left, kind);
        *after = tree;
    }
    update_node(tree, kind);
}

/* All of a is before all of b. */
static struct treap_node *join_trees(struct treap_node *a, struct treap_node *b,
                                     const struct treap_kind *kind)
{
    if (!a || !b)
        return a ? a : b;
    struct treap_node *root = a->priority >= b->priority ? a : b;
    if (root == a)
        a->right = join_trees(a->right, b, kind);
    else
        b->left = join_trees(a, b->left, kind);
    update_node(root, kind);
    return root;
}

static void insert_below(struct treap_node **root, struct treap_node *node,
                         const struct treap_kind *kind)
{
    struct treap_node *tree = *root;
    if (!tree || tree->priority < node->priority) {
        split_tree(tree, node, &node->left, &node->right, kind);
        *root = node;
    } else {
        insert_below(kind->before(tree, node) ? &tree->right : &tree->left, node, kind);
    }
    update_node(*root, kind);
}

void treap_insert(struct treap_node **root, struct treap_node *node, const struct treap_kind *kind)
{
    node->priority = draw_priority();
    insert_below(root, node, kind);
}

void treap_remove(struct treap_node **root, struct treap_node *node, const struct treap_kind *kind)
{
    struct treap_node *tree = *root;
    if (tree == node) {
        *root = join_trees(node->left, node->right, kind);
        return;
    }
    treap_remove(kind->before(tree, node) ? &tree->right : &tree->left, node, kind);
    update_node(tree, kind);
}
