/*
 * process_record.h - which processes have served from this state directory and are not known to be
 * gone. What a process registers with an RDMA device, the kernel takes back when it ends; so this
 * is what tells that nothing of an earlier run can be reached any more. One line of peer.h's text
 * each.
 */
#ifndef SEALNFS_SERVER_KEEPER_RDMA_PROCESS_RECORD_H
#define SEALNFS_SERVER_KEEPER_RDMA_PROCESS_RECORD_H

#include <stdbool.h>

struct process_record;

/*
 * Reads the record and adds this process to it, durably; before it registers anything, and once no
 * other can serve from here (the journal is locked). Blocks.
 */
int process_record_open(const char *state_dir, struct process_record **out);
/* in_order: nothing is registered any more, so this process's line is taken out. */
void process_record_close(struct process_record *record, bool in_order);
/* There was no record: earlier processes there may have been are not known. */
bool process_record_is_new(const struct process_record *record);
/* Every earlier process on record is gone. Looks at /proc; does not block. */
bool process_record_all_gone(struct process_record *record);

#endif
