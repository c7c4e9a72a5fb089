/*
 * fh.h - file handles on the wire: what they hold and how they are signed (RFC 8881 section 4).
 * Pure but for the MAC.
 *
 * A handle names an export and, in it, a file by the kernel's own handle (inode number and
 * generation), so that it stays valid across renames and restarts; or a directory of the pseudo
 * root by its fileid. A keyed MAC makes a handle that this server did not give out BADHANDLE: what
 * a client was never shown it cannot name.
 *
 *     version (1)  kind (1)  length of bytes (1)  handle type (1)  export id (4, big endian)  bytes
 * MAC (8)
 */
#ifndef SEALNFS_SERVER_FILE_FH_H
#define SEALNFS_SERVER_FILE_FH_H

#include <stdint.h>

#include "proto/nfs4/nfs4.h"
#include "proto/xdr.h"

enum fh_kind { FH_FILE = 1, FH_PSEUDO = 2 };

enum {
    FH_VERSION = 1,
    FH_HEAD_SIZE = 8,
    FH_MAC_SIZE = 8,
    FH_KEY_SIZE = 16,
    FH_BYTES_MAX = NFS4_FHSIZE - FH_HEAD_SIZE - FH_MAC_SIZE,
};

struct fh {
    uint8_t kind; /* enum fh_kind */
    uint8_t handle_type;
    uint8_t len;
    uint32_t export_id; /* 0 for FH_PSEUDO */
    uint8_t bytes[FH_BYTES_MAX];
};

/* Writes the handle; its length. fh->len is at most FH_BYTES_MAX. */
uint32_t fh_encode(const struct fh *fh, const uint8_t key[FH_KEY_SIZE], uint8_t wire[NFS4_FHSIZE]);
/* 0, or -EBADMSG: not one of ours. */
int fh_decode(struct xdr_bytes wire, const uint8_t key[FH_KEY_SIZE], struct fh *fh);

#endif
