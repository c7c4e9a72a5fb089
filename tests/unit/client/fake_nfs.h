/*
 * A small NFSv4.1 server for tests of libsealio: one file "/f" of FAKE_SIZE bytes, kept in a disk
 * image, with a block layout over that image, and, when told to, a layout over its memory, where
 * the image is mapped. It keeps one client and one session, answers replays from its slots, and can
 * be told to misbehave. Its own thread serves 127.0.0.1; the functions here may be called from the
 * test's thread.
 */
#ifndef TESTS_UNIT_CLIENT_FAKE_NFS_H
#define TESTS_UNIT_CLIENT_FAKE_NFS_H

#include "proto/layout/rdma.h"
#include "proto/nfs4/cb.h"
#include "proto/nfs4/ops.h"

struct fake_nfs;

enum {
    FAKE_IMAGE_SIZE = 4 << 20,
    FAKE_SIZE = (1 << 20) - 100,
    FAKE_HALF = 512 << 10,
    FAKE_FIRST = 64 << 10, /* where the first half is on the image */
    FAKE_SECOND = 2 << 20, /* and the second */
    FAKE_HOLE = 256 << 10, /* from here to FAKE_HALF a READ layout has a hole, when
                              fake_nfs_set_hole() said so */
};

/* image: path of a file that is made anew, with a signature. */
int fake_nfs_start(const char *image, struct fake_nfs **out);
void fake_nfs_stop(struct fake_nfs *fake);
uint16_t fake_nfs_port(const struct fake_nfs *fake);

/* What READDIR of "/" brings: entries without attributes; or the same two for ever. */
enum fake_listing { FAKE_BARE, FAKE_CIRCLE };
void fake_nfs_list(struct fake_nfs *fake, enum fake_listing listing);
void fake_nfs_set_hole(struct fake_nfs *fake, bool on);
/* The file has no end worth the name, and each LAYOUTGET brings 512 bytes of it. */
void fake_nfs_trickle(struct fake_nfs *fake, bool on);
void fake_nfs_set_lease(struct fake_nfs *fake, uint32_t seconds);     /* told at the next session */
void fake_nfs_refuse_layouts(struct fake_nfs *fake, nfsstat4 status); /* NFS4_OK: grant */
/* The file grows: it is so long, and layouts for writing reach as far as reserve, which the image
 * has room for. A LAYOUTGET that needs more is a conflict while somebody holds one; else the
 * reserve becomes `larger`, and it is to be tried later. */
void fake_nfs_grow(struct fake_nfs *fake, uint64_t size, uint64_t reserve, uint64_t larger);
/* How long the file is. */
uint64_t fake_nfs_size(struct fake_nfs *fake);
/* Offer layouts over memory too; its device is reached at 127.0.0.1:20049. */
void fake_nfs_offer_memory(struct fake_nfs *fake, bool on);
/* The second half of the file is a hole, that layouts over memory leave out. */
void fake_nfs_punch_memory(struct fake_nfs *fake, bool on);
void fake_nfs_refuse_memory(struct fake_nfs *fake, nfsstat4 status);
void fake_nfs_set_alignment(struct fake_nfs *fake, uint32_t alignment);
/* The image in memory; the secret that GETDEVICEINFO tells, and a new one. */
uint8_t *fake_nfs_memory(struct fake_nfs *fake);
const uint8_t *fake_nfs_secret(struct fake_nfs *fake);
void fake_nfs_change_secret(struct fake_nfs *fake);
/* What the last LAYOUTCOMMIT said was written in memory: up to `most` ranges, how many there were.
 */
unsigned fake_nfs_committed(struct fake_nfs *fake, rdma_range4 *ranges, unsigned most);
/* Of the layout that is held. */
layouttype4 fake_nfs_layout_type(struct fake_nfs *fake);
/* No reply to anything, until false. */
void fake_nfs_mute(struct fake_nfs *fake, bool on);
/* The reply to the next request that has this operation is not sent; the connection is cut instead.
 */
void fake_nfs_cut_at(struct fake_nfs *fake, uint32_t op);
/* A recall goes out before the reply to the next LAYOUTGET. */
void fake_nfs_recall_at_layoutget(struct fake_nfs *fake);
/* No SEQUENCE is of a session that it knows, until false. */
void fake_nfs_deny_sessions(struct fake_nfs *fake, bool on);
/* Forget the session, or (restart) the client too, and cut the connection. */
void fake_nfs_forget_session(struct fake_nfs *fake);
void fake_nfs_restart(struct fake_nfs *fake);

/* Sends CB_LAYOUTRECALL of the whole file with the layout's seqid + ahead; the client's answer to
 * the operation. */
nfsstat4 fake_nfs_recall(struct fake_nfs *fake, uint32_t ahead);
/* The same of everything. */
nfsstat4 fake_nfs_recall_all(struct fake_nfs *fake);

/* How often an operation was executed (replays do not count). */
unsigned fake_nfs_count(struct fake_nfs *fake, uint32_t op);
/* When an operation was last executed, counted over all operations; 0: never. */
unsigned fake_nfs_when(struct fake_nfs *fake, uint32_t op);
/* Waits up to 5 s until it was executed that often. */
bool fake_nfs_wait(struct fake_nfs *fake, uint32_t op, unsigned count);
/* seqid in the last LAYOUTRETURN; of the layout now; claim of the last OPEN. */
uint32_t fake_nfs_returned_seqid(struct fake_nfs *fake);
uint32_t fake_nfs_layout_seqid(struct fake_nfs *fake);
uint32_t fake_nfs_last_claim(struct fake_nfs *fake);
bool fake_nfs_last_commit_was_reclaim(struct fake_nfs *fake);

#endif
