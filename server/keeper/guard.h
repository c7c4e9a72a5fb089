/*
 * guard.h - keeps every other program of this machine from opening certain files (fanotify(7),
 * FAN_OPEN_PERM): pinned files that could be cloned (layout/seal/clone.h). Who opens one is refused
 * (EPERM), or waits until it is guarded no longer.
 *
 * The kernel asks for every open of such a file, this process's own too, and the opener waits for
 * the answer. So the guard has a thread of its own, which opens no such file, and takes no lock
 * under which anybody does: this process's opens are allowed before a lock is taken. When the
 * guard is destroyed, or the process ends in whatever way, the kernel lets everybody in.
 */
#ifndef SEALNFS_SERVER_KEEPER_GUARD_H
#define SEALNFS_SERVER_KEEPER_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct file_key;
struct guard;

/* waiting: so many opens wait at most, each with a descriptor of ours; more are refused. Needs
 * CAP_SYS_ADMIN. -EINVAL, -ENOSYS: not in this kernel
 * (CONFIG_FANOTIFY_ACCESS_PERMISSIONS); -EPERM. */
int guard_create(unsigned waiting, struct guard **out);
void guard_destroy(struct guard *guard); /* NULL is fine */

/* From its return on nobody else opens the file that fd is open on; who has it open is not the
 * guard's business. Guarded already, it takes over `waits`, and the kernel's mark is set again:
 * were it gone, nobody could be said to be alone with the file any more. BLOCKS. */
int guard_add(struct guard *guard, const struct file_key *key, int fd, bool waits);
/* Of the last guard_add of this file; 0: it is not guarded. */
uint64_t guard_serial(struct guard *guard, const struct file_key *key);
/* Nobody but this process has the file open, as was seen while it was guarded with this serial:
 * kept until it is guarded no longer. */
void guard_set_alone(struct guard *guard, const struct file_key *key, uint64_t serial);
bool guard_is_alone(struct guard *guard, const struct file_key *key);
/* From its return on whoever opens the file may, until it is added again. The serial, for
 * guard_remove; 0: it is not guarded. */
uint64_t guard_let_in(struct guard *guard, const struct file_key *key);
/* Takes the mark off and lets in who waits, unless it was added again since this serial. path_fd:
 * the file, O_PATH or any; -1: it is gone. BLOCKS. */
void guard_remove(struct guard *guard, const struct file_key *key, uint64_t serial, int path_fd);

#endif
