/*
 * The oracle in plain C types: its structures have the names of ours, so nobody may include both.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the oracle has the type ("OPEN4args", "fattr4_fsid", "pnfs_block_layout4", "rpc_call",
 * "rpc_reply"). */
bool oracle_knows(const char *type);

/*
 * Decodes a value of the type from in and encodes it again into out. False when it refuses to
 * decode; *consumed and *written are what it read and wrote.
 */
bool oracle_recode(const char *type, const void *in, size_t len, size_t *consumed, void *out,
                   size_t size, size_t *written);

#endif
