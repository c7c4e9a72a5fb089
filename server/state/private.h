/*
 * private.h - what state*.c share: the structures behind state.h and the helpers over them.
 *
 * Who may touch what: everything is the client's loop's, except what hangs on struct file_state
 * (the totals, the lists and the fields of opens and locks marked "file"), which any thread may
 * read or change under file_lock. A state is unlinked from its file, under file_lock, before its
 * memory goes.
 */
#ifndef SEALNFS_SERVER_STATE_PRIVATE_H
#define SEALNFS_SERVER_STATE_PRIVATE_H

/* An entry that found no memory is left with hh.tbl NULL. */
#define HASH_NONFATAL_OOM 1
#include "server/base/keyed_hash.h"

/* Each client has tables of its own, most with few entries: not 32 buckets to start with. */
#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS      4U
#define HASH_INITIAL_NUM_BUCKETS_LOG2 2U

#include "server/base/budget.h"
#include "server/base/place.h"
#include "server/file/file.h"
#include "server/state/lock_range.h"
#include "server/state/share.h"
#include "server/state/state.h"

/* What hangs on a file that is open, reserved or locked; made under file_lock when first needed,
 * freed when empty. */
struct file_state {
    struct share_totals shares; /* opens and reservations */
    unsigned reservations;
    unsigned pinned_io;         /* see state_file_pinned_begin */
    struct opened_file *opened; /* by each client once */
    struct lock_list locks;     /* of struct named_owner and struct lock_state */
};

/* A file that a client has open, by however many opens. What others look at when these are in their
 * way: there may be very many, but no more of these than clients. */
struct opened_file {
    UT_hash_handle hh; /* client_state.files, by file */
    struct file *file;
    size_t opens;
    uint64_t client_id;              /* file: read by others on a conflict */
    struct opened_file *prev, *next; /* file */
    struct share_totals shares;      /* file: of its opens */
};

/* The head of open_state and lock_state: what a stateid leads to. */
struct state {
    UT_hash_handle hh; /* client_state.states, by other */
    uint8_t other[12];
    uint32_t seqid;
    struct file *file; /* a reference */
};

/* An open-owner: one name of the client's. Freed with its last open. */
struct open_owner {
    UT_hash_handle hh; /* client_state.owners, by name */
    size_t opens;
    uint32_t len;
    uint8_t name[];
};

struct open_key {
    const struct open_owner *owner;
    const struct file *file;
    const struct export *export; /* a file has a handle in each export that leads to it (9.9) */
};

/* One open-owner has one file open. */
struct open_state {
    struct state state;
    UT_hash_handle by_key; /* client_state.opens */
    struct open_key key;
    struct client_state *client;
    struct open_owner *owner;
    struct opened_file *opened;
    struct share_open share; /* file */
    struct cred cred;
    uint32_t cred_access; /* what cred was checked for */
    struct lock_state *locks;
    size_t ranges; /* that these hold */
};

/* A lock-owner: one name of the client's. Freed with its last lock state. name and client_id do not
 * change: others read them under file_lock on a conflict. */
struct named_owner {
    UT_hash_handle hh; /* client_state.lock_owners, by name */
    struct lock_owner ranges;
    size_t states;
    uint64_t client_id;
    uint32_t len;
    uint8_t name[];
};

/* One lock-owner's locks through one open. */
struct lock_state {
    struct state state;
    UT_hash_handle by_key; /* open_state.locks */
    struct open_state *open;
    struct named_owner *owner; /* the key */
    struct lock_holder holder;
};

struct client_state {
    uint64_t boot_verifier;
    uint64_t client_id;
    uint64_t next_id;
    uint8_t salt[3];
    uint32_t seqid_window; /* slots the client may have: how far stateid seqids may wrap */
    struct budget *budget;
    struct budget_share share; /* taken of it; BUDGET_FILES from any thread */
    size_t count, open_count;
    struct state *states;
    struct open_owner *owners;
    struct open_state *opens;
    struct opened_file *files;
    struct named_owner *lock_owners;
};

/* Bounds what one client can make the server remember, and with it how long whoever meets it waits
 * until all of it has gone: a tenth of a second for each. */
enum { STATE_MAX_PER_CLIENT = 1 << 18, RANGES_MAX_PER_CLIENT = 1 << 16 };

static inline enum stateid_kind state_kind(const struct state *state)
{
    return (enum stateid_kind)state->other[0];
}

/* Takes so many of the client's share. -ENOSPC: there is little left in all; -EDQUOT: the client
 * and its address have their share; -EMFILE: the client has as many as one may have. Any thread. */
int state_take(struct client_state *client, enum budget_kind kind, uint64_t count);
/* What such an error is about; nothing, for others. */
enum state_lack state_lack_of(int err);
/* Gives the state its stateid and enters it; -ENOMEM; -EMFILE: the client has as many as one may
 * have; or as state_take. */
int state_enter(struct client_state *client, struct state *state, enum stateid_kind kind,
                struct file *file);
/* Takes it out of the table; the file reference is dropped. */
void state_leave(struct client_state *client, struct state *state);
void state_advance(struct state *state, stateid4 *out);
/* Finds by `other`, then checks file (unless NULL), kind (unless 0) and seqid (8.2.4). */
nfsstat4 state_find(struct client_state *client, const stateid4 *stateid, const struct file *file,
                    int kind, struct state **out);

bool cred_equal(const struct cred *a, const struct cred *b);

/* The client's record of a file that it has open; NULL: it has not. */
struct opened_file *opened_find(const struct client_state *client, const struct file *file);

/* Under file_lock. */
struct file_state *file_state_get(struct file *file);  /* NULL: none */
struct file_state *file_state_make(struct file *file); /* NULL: memory is out */
void file_state_put(struct file *file);                /* frees it if nothing is left in it */

/* May this access and deny join what is there? NFS4_OK, SHARE_DENIED, DELAY (a reservation is in
 * the way) or FILE_OPEN (the seal is); see state_open. `sizes`: the size is to change, which no
 * seal allows. */
nfsstat4 file_state_admit(const struct file *file, const struct file_state *state, uint32_t access,
                          uint32_t deny, bool sizes, uint64_t client_id, uint64_t *conflict);

/* The same for what needs no open: SHARE_DENIED. */
nfsstat4 file_state_denies(const struct file_state *state, uint32_t access, uint64_t client_id,
                           uint64_t *conflict);

void file_state_unreserve(struct file_state *state, uint32_t access, uint32_t deny);

/* Takes the open and its locks off the file and out of the client, and frees them. */
void open_state_destroy(struct open_state *open);
void lock_state_destroy(struct lock_state *lock);
/* At most so much of it, each range as one and the rest as one; how much went. */
size_t lock_state_drop(struct lock_state *lock, size_t most);

#endif
