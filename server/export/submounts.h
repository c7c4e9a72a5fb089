/*
 * submounts.h - whether anything is mounted within a mount, from /proc/self/mountinfo, which the
 * kernel says has changed (poll) as soon as a mount or umount has returned: what is told here is
 * never older than the question.
 *
 * Any thread. Does not wait for a disk.
 */
#ifndef SEALNFS_SERVER_EXPORT_SUBMOUNTS_H
#define SEALNFS_SERVER_EXPORT_SUBMOUNTS_H

#include <stdbool.h>

struct submounts;

int submounts_create(struct submounts **out);
void submounts_destroy(struct submounts *submounts); /* NULL is fine */

/* Nothing is mounted on any directory or file of this mount. False when it cannot be told. */
bool submounts_none(struct submounts *submounts, int mount_id);

#endif
