/*
 * state.h - opens, byte-range locks and their stateids (RFC 8881 chapters 8, 9).
 *
 * A stateid belongs to a client and is found in that client's table, on its loop; another client's
 * stateid is BAD_STATEID. The first byte of `other` names the kind. Share reservations and lock
 * ranges hang on the file (file_state_slot) under its mutex. Nothing here blocks.
 *
 * Unless said otherwise a function runs on the loop that the client belongs to.
 */
#ifndef SEALNFS_SERVER_STATE_STATE_H
#define SEALNFS_SERVER_STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/arena.h"
#include "proto/nfs4/types.h"

enum stateid_kind { STATEID_OPEN = 'O', STATEID_LOCK = 'K', STATEID_LAYOUT = 'L' };

struct budget;       /* budget.h */
struct client_annex; /* watcher.h */
struct client_state;
struct clients;
struct cred; /* place.h */
struct export;
struct file;
struct recovery;

/* How a client comes by its table of stateids, and how it goes, with every open and lock. The
 * budget outlives the clients. */
struct client_annex client_state_annex(struct budget *budget);
bool client_state_is_empty(const struct client_state *state);
/* How many opens and locks (lock states with or without ranges) the client has, for the operator's
 * view. */
void client_state_count(const struct client_state *state, size_t *opens, size_t *locks);

/* The special stateids (8.2.3): no open behind it; the same, and READ may bypass share
 * reservations; the current one. */
bool stateid_is_anonymous(const stateid4 *stateid);
bool stateid_is_read_bypass(const stateid4 *stateid);
bool stateid_is_current(const stateid4 *stateid);

/* Who wants to get at a file's data. The current stateid has been put in by the caller. */
struct state_io {
    struct client_state *client;
    struct clients *clients;
    const struct recovery *recovery;
    struct file *file;
    const struct export *export;
    const struct cred *cred; /* as the RPC header gave it */
};
/* May this stateid be used on the file for reading or writing (enum file_access)? Special stateids
 * (8.2.3) included. *opener: there is an open behind it, and the caller has the identity that the
 * open was checked for, with this access. */
nfsstat4 state_find_io(const struct state_io *io, const stateid4 *stateid, unsigned access,
                       bool *opener);
/* The same for LAYOUTGET's first stateid: open or lock state of this client on the file, for
 * LAYOUTIOMODE4_RW with write access; layout stateids are the keeper's. */
nfsstat4 state_check_layoutget(const struct state_io *io, const stateid4 *stateid,
                               layoutiomode4 iomode, bool *is_layout);

/* TEST_STATEID's answer for any but a layout stateid. */
nfsstat4 state_test_stateid(struct client_state *state, const stateid4 *stateid);
/* FREE_STATEID of any but a layout stateid. */
nfsstat4 state_free_stateid(struct client_state *state, const stateid4 *stateid);

/* Why a client was refused one more, and so who could help. */
enum state_lack {
    STATE_LACKS_NOTHING,
    STATE_LACKS_OWN,   /* it has as many as one client may have: nobody else */
    STATE_LACKS_SHARE, /* it and its address have their share: clients of that address */
    STATE_LACKS_ALL,   /* all together have most of what there is: all clients */
};

/*
 * Opens and locks take descriptors and memory of which a client has a share (budget.h). Where that
 * is used up the answer is NFS4ERR_DELAY: what is missing comes back when the client, or another,
 * closes or unlocks something, and nothing has been done of what was asked (RFC 8881 section
 * 15.1.1.3). RESOURCE does not exist in this minor version, and NOSPC is about the file system.
 *
 * OPEN. The answer is NFS4_OK, or: NFS4ERR_SHARE_DENIED, with *conflict the client that is in the
 * way (0: several, or the caller itself); NFS4ERR_FILE_OPEN, used here for "the file's seal does
 * not let a writer in", which the caller must turn into what it is; NFS4ERR_DELAY when memory is
 * out, or `lack` says what is.
 */
struct state_open {
    struct file *file;
    const struct export *export; /* by whose handle */
    struct xdr_bytes owner;
    const struct cred *cred; /* squashed */
    uint32_t access, deny;
    bool reserved; /* state_reserve was called with this access and deny: ended here, whatever the
                      answer */
    bool charged;  /* state_open_charge was called; false afterwards if this open uses it up */
    enum state_lack lack; /* the answer */
};
nfsstat4 state_open(struct client_state *state, struct state_open *open, stateid4 *stateid,
                    uint64_t *conflict);
/* Takes one more file for an open to come, before a file is made for it that would be there when
 * the open is refused. Any thread. */
enum state_lack state_open_charge(struct client_state *state);
void state_open_discharge(struct client_state *state);
nfsstat4 state_open_downgrade(struct client_state *state, struct file *file,
                              const stateid4 *stateid, uint32_t access, uint32_t deny,
                              stateid4 *out);
nfsstat4 state_close(struct client_state *state, struct file *file, const stateid4 *stateid);

/* Holds a writer's place, against others' denies and the keeper's seals, while OPEN truncates the
 * file before its own open exists. A sealed file of any kind is refused. Answers as state_open;
 * ends with state_unreserve. Any thread. */
nfsstat4 state_reserve(struct file *file, uint32_t access, uint32_t deny, uint64_t *conflict);
void state_unreserve(struct file *file, uint32_t access, uint32_t deny);

/*
 * LOCK, LOCKT, LOCKU. DENIED fills *denied; its owner is copied into the arena, and its clientid is
 * whose lock it is.
 */
struct state_lock {
    struct file *file;
    bool exclusive;
    uint64_t first, last;
    enum state_lack lack; /* the answer is DELAY for want of it */
};
/* By the open's stateid and the owner's name, or by the lock stateid (owner.data NULL). */
nfsstat4 state_lock_set(struct client_state *state, struct state_lock *lock,
                        const stateid4 *stateid, const struct xdr_bytes *new_owner,
                        struct arena *arena, stateid4 *out, LOCK4denied *denied);
nfsstat4 state_lock_test(struct client_state *state, const struct state_lock *lock,
                         struct xdr_bytes owner, struct arena *arena, LOCK4denied *denied);
nfsstat4 state_lock_clear(struct client_state *state, struct state_lock *lock,
                          const stateid4 *stateid, stateid4 *out);

/*
 * The server's own I/O to the blocks of a pinned file. begin is true only while the seal word says
 * PINNED, and then the blocks are this file's until end: a release sets the word first, then waits
 * until state_file_has_pinned_io is false, and only then takes the flag off. Any thread; takes the
 * file's mutex.
 */
bool state_file_pinned_begin(struct file *file);
void state_file_pinned_end(struct file *file);
bool state_file_has_pinned_io(struct file *file);

/* Does any NFS open have write access? Any thread; takes the file's mutex. A seal sets the file's
 * seal word first, then asks. */
bool state_file_has_writer(struct file *file);
/* Has this client? On its loop. */
bool state_client_writes(const struct client_state *client, struct file *file);
/* True: all of these are clients past their lease, whose opens are dropped now. Any thread. */
bool state_file_yield_writers(struct file *file, struct clients *clients);
/* Is the file open at all? Any thread. */
bool state_file_is_open(struct file *file);

#endif
