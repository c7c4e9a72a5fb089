/*
 * place.h - who asks, and where: what operations hand to the rooms below them. Values only; the
 * structs they point to are export.h's and file.h's.
 */
#ifndef SEALNFS_SERVER_BASE_PLACE_H
#define SEALNFS_SERVER_BASE_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct export;
struct file;

/* Groups that this machine knows a user to be in (user_groups.h): in order, each once. */
struct group_list {
    uint32_t count;
    uint64_t mark; /* lists of the same mark are the same; 0: nobody has looked */
    const gid_t *ids;
};

/* The caller's identity as the RPC header gave it; squashing is the export's (export_cred in
 * export.h). */
#define CRED_MAX_GIDS 16
struct cred {
    uint32_t flavor; /* AUTH_NONE or AUTH_SYS */
    uid_t uid;
    gid_t gid;
    uint32_t gid_count;
    gid_t gids[CRED_MAX_GIDS];
    bool by_server;          /* squashed, for an export with manage_gids: the groups are `known` */
    struct group_list known; /* who has the credential keeps it */
};

/* The supplementary groups that count. */
static inline const gid_t *cred_groups(const struct cred *cred, uint32_t *count)
{
    *count = cred->by_server ? cred->known.count : cred->gid_count;
    return cred->by_server ? cred->known.ids : cred->gids;
}

/* A file and the export it was reached through: what a file handle names. Where exports overlap,
 * one file has several places. */
struct place {
    struct file *file;     /* NULL: no file handle; who holds the reference is said where it is */
    struct export *export; /* borrowed from the export table; NULL on the pseudo root */
};

#endif
