/*
 * claim.h - whether this node may serve from the state directory. Two machines that can reach it
 * serve from it one after the other, and what is on record there is of whoever did so last: its
 * kernel and its processes may go on writing. So nobody takes it over without evidence that the
 * other one is off the disks, or somebody's word (sealctl node-fenced).
 *
 * At the start, on the main thread; speaks to disks.
 */
#ifndef SEALNFS_SERVER_CLAIM_H
#define SEALNFS_SERVER_CLAIM_H

#include <stdbool.h>
#include <stdio.h>

struct config;
struct export_table;
struct node_record;

/* The record of nodes: before anything else of the state directory is opened for writing. -errno,
 * logged. */
int claim_open(const struct config *config, struct node_record **out);
/*
 * This node is on record as the one that serves, durably; else -EKEYREVOKED, and the log says who
 * does and what to do.
 * take_over: the keys of other nodes are preempted on every disk of the exports and of the state
 * directory, and are seen gone.
 */
int claim_state(const struct config *config, const struct export_table *exports, bool take_over,
                struct node_record *record);
/* sealnfsd --node-fenced: `who` gives his word that the node does nothing any more. Mistakes go to
 * `errors`. */
int claim_note_fenced(const struct config *config, const char *node, const char *who, FILE *errors,
                      FILE *out);

#endif
