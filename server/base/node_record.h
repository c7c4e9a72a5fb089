/*
 * node_record.h - which nodes have served from this state directory, and which of them are known to
 * be off its disks: the file `nodes` in it. It is read before anything else there is opened, since
 * another node may still be writing, and written anew beside the old one, then renamed over it.
 *
 * A node is put in when it begins to serve, and is in use until it is fenced: its own end in order
 * proves nothing of what its kernel still writes. What another machine's boot id is says nothing of
 * it either.
 *
 * Changed by the main thread before others start; read by any.
 */
#ifndef SEALNFS_SERVER_BASE_NODE_RECORD_H
#define SEALNFS_SERVER_BASE_NODE_RECORD_H

#include <stdbool.h>

#include "server/base/node.h"

enum { NODE_BY_SIZE = 128 };

enum node_state {
    NODE_IN_USE,
    NODE_CUT, /* its key was preempted on every disk that was served, and seen gone */
    NODE_OFF, /* somebody's word that the machine does nothing any more */
};

struct node_entry {
    char name[NODE_NAME_SIZE], boot[NODE_BOOT_SIZE];
    enum node_state state;
    long long since;       /* Unix time */
    char by[NODE_BY_SIZE]; /* whose word or doing that is */
};

struct node_record;

/* -EUCLEAN: it cannot be understood, which is not taken for empty. self: this node. That one
 * process of a machine serves from there is seen to by the journal's lock. */
int node_record_open(const char *state_dir, const char *self, struct node_record **out);
void node_record_close(struct node_record *record);
/* There is no file yet: who has served from here is not known. */
bool node_record_is_new(const struct node_record *record);
/* One that is in use and is not this node; NULL: none. */
const struct node_entry *node_record_other(const struct node_record *record);
/* -ENOENT: nobody of that name has served from here. On disk when it returns 0, as the next. */
int node_record_fenced(struct node_record *record, const char *name, enum node_state state,
                       const char *by);
/* This node begins to serve. -ENOSPC: there are too many. */
int node_record_take(struct node_record *record);

/* Where what is called by a tag is; "" for what was named before nodes were: on the first one. */
enum node_place {
    NODE_HERE,
    NODE_ELSEWHERE, /* or not known */
    NODE_ELSEWHERE_CUT,
    NODE_ELSEWHERE_OFF,
};
enum node_place node_record_place(const struct node_record *record, const char *tag);

#endif
