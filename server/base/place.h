/*
 * place.h - who asks, and where: what operations hand to the rooms below them. Values only; the
 * structs they point to are export.h's and file.h's.
 */
#ifndef SEALNFS_SERVER_BASE_PLACE_H
#define SEALNFS_SERVER_BASE_PLACE_H

#include <stdint.h>
#include <sys/types.h>

struct export;
struct file;

/* The caller's identity as the RPC header gave it; squashing is the export's (export_cred in
 * export.h). */
#define CRED_MAX_GIDS 16
struct cred {
    uint32_t flavor; /* AUTH_NONE or AUTH_SYS */
    uid_t uid;
    gid_t gid;
    uint32_t gid_count;
    gid_t gids[CRED_MAX_GIDS];
};

/* A file and the export it was reached through: what a file handle names. Where exports overlap,
 * one file has several places. */
struct place {
    struct file *file;     /* NULL: no file handle; who holds the reference is said where it is */
    struct export *export; /* borrowed from the export table; NULL on the pseudo root */
};

#endif
