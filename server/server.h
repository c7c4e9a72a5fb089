/*
 * server.h - the parts of one running daemon, tied together by main.c; every part gets this handle
 * instead of globals. The pointers are set before the threads start and, but for the configuration,
 * do not change.
 */
#ifndef SEALNFS_SERVER_SERVER_H
#define SEALNFS_SERVER_SERVER_H

#include <stdatomic.h>
#include <stdint.h>

struct server {
    _Atomic(struct config *)
        config; /* config.h; a reload puts another in its place, the old ones stay until the end */
    unsigned loop_count;
    struct loop **loops;          /* loop.h; network loops, index 0.. */
    struct worker_pool *workers;  /* worker.h */
    struct committer *committer;  /* commit.h */
    struct keeper *keeper;        /* keeper.h: the layout engine's thread */
    struct export_table *exports; /* export.h */
    struct file_table *files;     /* file.h */
    struct idmap *idmap;          /* idmap.h */
    struct lookups *user_groups;  /* user_groups.h */
    struct host_names *names;     /* host_names.h */
    struct recovery *recovery;    /* recovery.h: client records on disk, grace */
    struct clients *clients;      /* clients.h */
    struct listener *listener;    /* conn.h */
    struct reload_desk *reloads;  /* reload.h: who waits for the main thread to reload */
    struct op_counts *op_counts;  /* op_counts.h; NULL in tests that do without */
    uint64_t boot_verifier;       /* differs at every start: write verifier, client ids */
    uint8_t server_uuid[16];      /* from the state directory: server_owner, server_scope; stable */
    uint8_t fh_key[16];           /* file handle MAC key, from the state directory; stable */
};

#endif
