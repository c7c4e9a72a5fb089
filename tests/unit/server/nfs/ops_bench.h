/*
 * A bench for the operations on open files: the handlers and state*.c are the daemon's own,
 * everything below and beside them (files, clients, exports, keeper, dispatcher) is a small
 * stand-in that a test can set and look at. Single-threaded: "worker" and "loop" are only
 * c->on_worker.
 */
#ifndef TESTS_UNIT_SERVER_NFS_OPS_BENCH_H
#define TESTS_UNIT_SERVER_NFS_OPS_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/budget.h"
#include "server/client/client.h"
#include "server/client/recovery.h"
#include "server/client/watcher.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/keeper/keeper.h"
#include "server/nfs/compound.h"
#include "server/nfs/op_io.h"
#include "server/server.h"
#include "server/state/state.h"

struct client {
    uint64_t id;
    struct client_state *state;
    bool recallable, may_reclaim, reclaim_complete;
};

struct file {
    int path_fd;
    mode_t type;
    unsigned refs;
    unsigned seal;
    bool locked;
    struct file_state *state;
    unsigned readers, writers, directs; /* descriptors out */
    unsigned opened;                    /* enum file_access: what file_data_try finds */
    bool permissions_cached;
    unsigned changes;
};

struct export
{
    bool writable, layouts;
    uint64_t losses;
    uint64_t max_file_size;
};

/* What the stand-ins do, and what they have seen. */
struct bench {
    struct config config;
    struct server server;
    struct client clients[3];
    struct export export;
    bool grace;
    unsigned reclaims;        /* that recovery was told of */
    uint64_t expired_client;  /* client_yield_expired says yes for it */
    struct budget budget;     /* of opens and locks; plenty */
    struct budget_share host; /* all clients are of one address */
    unsigned all_yield;       /* asked of all clients past their lease */
    unsigned own_yield;       /* of those of the address */
    unsigned shares_noted;    /* in the log */
    bool permission_denied;   /* the kernel says EACCES */
    unsigned permission_asked;
    bool names_on_disk; /* a lookup has to block */
    /* The keeper: its answers, its last question. A question is answered when the handler has
     * returned OP_WAIT. */
    nfsstat4 keeper_status, room_status, release_status; /* the latter two where they are set */
    bool keeper_clears_seal;                             /* a release takes the seal word off */
    unsigned releases, maps, rooms, wrotes, layoutgets, layoutreturns, stateid_tests;
    struct keeper_room room;
    struct keeper_wrote wrote;
    bool growing; /* every file grows under its seal */
    bool direct_writes;
    struct keeper_layoutget layoutget;
    struct keeper_layoutreturn layoutreturn;
    struct keeper_layoutcommit layoutcommit;
    uint32_t body_len;
    bool returned_all;
    uint64_t pinned_offset;
    unsigned pinned_writes;
    bool pinned_held; /* state_file_has_pinned_io while the blocks were written */
    char dir[64];
    int dir_fd;
    struct file *root;
};
extern struct bench bench;

/* cmocka setup and teardown; teardown checks that nothing is left over. */
int bench_setup(void **state);
int bench_teardown(void **state);

/* The client is gone, with all that it had open and locked. */
void bench_end_client(unsigned client);

/* A file (made if need be) of the bench's directory; the reference is the caller's. */
struct file *bench_file(const char *name, const char *content);
/* A compound of this client on this file; its own reference of file. */
struct compound *bench_compound(unsigned client, struct file *file);
void bench_compound_free(struct compound *c);
/* Runs the handler to its end, wherever it wants to be run. Its status must be one of the
 * operation's (errors_allowed.h). */
#define bench_run(c, handler) bench_run_named(c, handler, #handler)
nfsstat4 bench_run_named(struct compound *c, enum op_next (*handler)(struct compound *c),
                         const char *name);

/* OPEN of a file by CLAIM_FH. */
nfsstat4 bench_open(unsigned client, struct file *file, const char *owner, uint32_t access,
                    uint32_t deny, stateid4 *stateid);
nfsstat4 bench_close(unsigned client, struct file *file, const stateid4 *stateid);

#endif
