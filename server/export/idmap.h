/*
 * idmap.h - owners and groups as strings (RFC 8881 section 5.9): decimal numbers, read by ourselves
 * and strictly, and name@domain by libnfsidmap, cached with a bound and an expiry.
 *
 * libnfsidmap may ask LDAP and is not reentrant: one worker asks at a time, and others wait for no
 * longer than 0.1 s after it began. With may_block false the cache alone is asked. Any thread.
 */
#ifndef SEALNFS_SERVER_EXPORT_IDMAP_H
#define SEALNFS_SERVER_EXPORT_IDMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/xdr.h"

struct config;
struct idmap;

enum idmap_kind { IDMAP_USER, IDMAP_GROUP };
enum { IDMAP_OWNER_MAX = 256 };

/* The configuration outlives the idmap. */
int idmap_create(const struct config *config, struct idmap **out);
/* A reload: from now on this one says whether owners are sent as numbers. Any thread; calls under
 * way may still look at the other. */
void idmap_set_config(struct idmap *idmap, const struct config *config);
void idmap_destroy(struct idmap *idmap);

/* 0; -EINVAL: not mappable (NFS4ERR_BADOWNER); -EAGAIN: not known without blocking; -EBUSY: another
 * worker is asking the directory (NFS4ERR_DELAY). */
int idmap_to_id(struct idmap *idmap, enum idmap_kind kind, struct xdr_bytes owner, bool may_block,
                uint32_t *id);
/* Writes at most IDMAP_OWNER_MAX bytes, NUL-terminated; the number when numbers are configured, the
 * id has no name, or another worker is asking a directory that is slow. 0 or -EAGAIN. */
int idmap_to_owner(struct idmap *idmap, enum idmap_kind kind, uint32_t id, bool may_block,
                   char owner[IDMAP_OWNER_MAX]);

/* "1000" -> 1000: digits only, no sign, no leading zero but "0" itself, at most 4294967294. */
bool idmap_parse_number(struct xdr_bytes text, uint32_t *id);

#endif
