/*
 * recovery.h - what the server must remember of its clients over a restart (RFC 8881
 * section 8.4.2), and the grace period.
 *
 * SQLite in the state directory: the server's identity and one record a confirmed client. Records
 * are written by workers and the operation that needs one waits for it. A client of an earlier boot
 * that has a record may reclaim until it says RECLAIM_COMPLETE or grace ends. Grace happens only
 * when there are such records, ends early when all of them have completed, and goes on past its
 * time while they still come (section 8.4.2.1).
 */
#ifndef SEALNFS_SERVER_CLIENT_RECOVERY_H
#define SEALNFS_SERVER_CLIENT_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/loop.h"
#include "server/base/worker.h"

struct recovery;

/* Opens or makes the database in dir. Before threads start. server_uuid and fh_key are made at the
 * first start. */
int recovery_open(const char *dir, struct worker_pool *workers, struct recovery **out);
void recovery_close(struct recovery *recovery);
void recovery_identity(const struct recovery *recovery, uint8_t server_uuid[16],
                       uint8_t fh_key[16]);

/* Grace starts if records of an earlier boot exist; its end is driven by a timer on `loop`. Before
 * the loops start. */
int recovery_start_grace(struct recovery *recovery, struct loop *loop, unsigned seconds);
/* When grace that began and was to last so long (all in ns) is over, the last reclaim having come
 * at last_reclaim: half its time after that, but never longer than three times its time in all, so
 * that nobody can keep others waiting for ever. Pure. */
uint64_t recovery_grace_end(uint64_t began, uint64_t length, uint64_t last_reclaim);
/* Somebody who may reclaim does. Any thread. */
void recovery_reclaim_seen(struct recovery *recovery);
/* Any thread: one atomic. */
bool recovery_in_grace(const struct recovery *recovery);
/* A record of an earlier boot exists for this owner, which has not completed, and grace lasts. Any
 * thread. */
bool recovery_may_reclaim(struct recovery *recovery, const uint8_t *owner, uint32_t owner_len);
/* This owner has sent its global RECLAIM_COMPLETE, or is gone. Any thread. */
void recovery_reclaim_done(struct recovery *recovery, const uint8_t *owner, uint32_t owner_len);

/* A durable change, answered once on done_loop, in the order of asking. The owner's bytes must stay
 * valid until then. Any thread. */
struct recovery_call {
    struct loop_msg done; /* done.run is the caller's */
    struct loop *done_loop;
    const uint8_t *owner;
    uint32_t owner_len;
    uint64_t client_id; /* whose record: of two ids of one owner the later one's stays */
    int err;            /* out: 0 or a negative errno */
    /* the module's */
    struct recovery_call *next;
    bool remove;
};
void recovery_confirm(struct recovery *recovery,
                      struct recovery_call *call); /* the client is confirmed: remember it */
void recovery_forget(struct recovery *recovery,
                     struct recovery_call *call); /* its state is gone: it may not reclaim */

#endif
