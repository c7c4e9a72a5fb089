/*
 * Telling a disk by its contents (RFC 5663 section 2.2.1). Pure: the bytes come through a function.
 */
#ifndef CLIENT_DISK_SIGNATURE_H
#define CLIENT_DISK_SIGNATURE_H

#include <sys/types.h>

#include "proto/layout/block.h"

/* Reads exactly len bytes at offset: 0 or a negative errno. */
typedef int sealio_read_at(void *arg, void *buf, size_t len, uint64_t offset);

/*
 * Does a disk of this size bear every component of the signature? 1, 0, or the error of a read. A
 * signature without components matches nothing.
 */
int sealio_signature_match(const pnfs_block_simple_volume_info4 *signature, uint64_t size,
                           sealio_read_at *read, void *arg);

#endif
