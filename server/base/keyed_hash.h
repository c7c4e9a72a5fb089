/*
 * keyed_hash.h - the hash of tables whose keys are a peer's to choose (names of owners): SipHash
 * with a key that nobody outside of this process knows. uthash's own hash can be turned round, so
 * whoever wants to makes as many names as he likes that are all in one chain, and each look-up goes
 * through all of it. Included instead of uthash.h. Any thread.
 */
#ifndef SEALNFS_SERVER_BASE_KEYED_HASH_H
#define SEALNFS_SERVER_BASE_KEYED_HASH_H

#include <stddef.h>

#include <uthash.h>

unsigned keyed_hash(const void *bytes, size_t len);

/* All files that touch a table have to agree on this. */
#undef HASH_FUNCTION
#define HASH_FUNCTION(bytes, len, hash) ((hash) = keyed_hash((bytes), (len)))

#endif
