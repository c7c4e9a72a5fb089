/*
 * keeper.h - the thread that keeps seals: it hosts the layout engine (layout/engine/engine.h) and
 * executes its effects.
 *
 * The server's other parts speak to it by requests. A request is embedded in the caller's memory,
 * is answered exactly once by posting its `reply` message to `reply_loop`, and must stay valid
 * until then; references it names (file) are the caller's and stay held until the reply. Any thread
 * may call. Everything here returns at once.
 *
 * Wire errors are chosen here (nfsstat4), from the engine's refusals. Refusals carry a sentence for
 * people (`why`).
 */
#ifndef SEALNFS_SERVER_KEEPER_KEEPER_H
#define SEALNFS_SERVER_KEEPER_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/nfs4/types.h"
#include "server/base/loop.h"
#include "server/keeper/rdma/figures.h"

struct config;
struct device;
struct export;
struct export_table;
struct file;
struct file_key;
struct file_table;
struct keeper;
struct recovery;
struct request;
struct seal_map;
struct clients;
struct worker_pool;

/* What a keeper is made with; all of it outlives the keeper. */
struct keeper_parts {
    const struct config *config;
    unsigned loop_index; /* its own */
    struct worker_pool *workers;
    struct export_table *exports;
    struct file_table *files;
    struct recovery *recovery; /* NULL: there is no grace period */
    struct clients *clients;   /* whom to recall */
    unsigned waiting;          /* descriptors for local programs that wait to open a file */
};

/* Opens the journal in the state directory, replays it, starts the thread. Sealed files are known
 * before this returns. */
int keeper_create(const struct keeper_parts *parts, struct keeper **out);
/* Stops the thread; seals and the journal stay as they are. */
void keeper_destroy(struct keeper *keeper);

/* The server's configuration was replaced: take over what may change (timeouts, the fence hook).
 * Any thread. */
void keeper_reload(struct keeper *keeper, const struct config *config);

/* The process's exit status when another node has taken its disks, or its state. */
enum { KEEPER_EXIT_FENCED = 3 };

#define KEEPER_WHY_MAX 512

struct keeper_call {
    struct loop_msg reply; /* reply.run is the caller's; posted once */
    struct loop *reply_loop;
    nfsstat4 status;          /* out */
    char why[KEEPER_WHY_MAX]; /* out: empty when all is well */
};

/* Answered when the disks under reservations have been looked at after now. A node that was fenced
 * does not live to hear it. */
void keeper_look(struct keeper *keeper, struct keeper_call *call);

/* LAYOUTGET (RFC 8881 section 18.43), the stateid already checked on the client's loop. */
struct keeper_layoutget {
    struct keeper_call call;
    struct file *file;
    struct export
        *export; /* the one it was reached through: a recall names the file by that handle */
    uint64_t client_id;
    layouttype4 type;
    layoutiomode4 iomode;
    uint64_t offset, length, minlength;
    uint32_t maxcount;
    bool has_layout_stateid; /* stateid is a layout stateid; else the engine finds or makes the one
                                of client+file+type */
    stateid4 stateid;
    /* The request itself: a recall of what it grants names it (RFC 8881 section 2.10.6.3), so that
     * a client that is still waiting for the reply does not say that it has no such layout. */
    sessionid4 session;
    slotid4 slot;
    sequenceid4 sequence;
    uint8_t *body_buffer; /* caller's memory of at least min(maxcount, 1 MiB) bytes for loc_body */
    uint32_t body_room;
    /* out */
    stateid4 layout_stateid;
    uint64_t granted_offset, granted_length;
    layoutiomode4 granted_iomode;
    uint32_t body_len;
};
void keeper_layoutget(struct keeper *keeper, struct keeper_layoutget *get);

/* LAYOUTRETURN (18.44): FILE with a file and stateid; FSID and ALL without. */
struct keeper_layoutreturn {
    struct keeper_call call;
    struct file *file; /* NULL for FSID (then fs_uuid matters) and ALL */
    uint8_t fs_uuid[16];
    layoutreturn_type4 scope;
    uint64_t client_id;
    layouttype4 type;
    layoutiomode4 iomode;
    uint64_t offset, length;
    stateid4 stateid;
    /* out */
    bool stateid_present; /* grants of this file remain */
    stateid4 layout_stateid;
};
void keeper_layoutreturn(struct keeper *keeper, struct keeper_layoutreturn *ret);

/* LAYOUTCOMMIT (18.42). mtime and change are journalled for a pinned file before the reply. */
struct keeper_layoutcommit {
    struct keeper_call call;
    struct file *file;
    uint64_t client_id;
    bool reclaim;
    layouttype4 type;
    uint64_t offset, length;
    stateid4 stateid;
    bool has_last_write;
    uint64_t last_write;
    bool has_mtime;
    uint64_t mtime_ns;
    const uint8_t *update; /* loca_layoutupdate body, borrowed */
    uint32_t update_len;
    /* out */
    bool size_changed;
    uint64_t size;
};
void keeper_layoutcommit(struct keeper *keeper, struct keeper_layoutcommit *commit);

/* GETDEVICEINFO (18.40): any device id ever handed out. body is malloc'ed and the caller's. */
struct keeper_deviceinfo {
    struct keeper_call call;
    uint64_t client_id;
    deviceid4 device;
    layouttype4 type;
    uint32_t notify; /* bits asked for; out: those that will be kept */
    uint8_t *body;   /* out: da_addr_body */
    uint32_t body_len;
};
void keeper_deviceinfo(struct keeper *keeper, struct keeper_deviceinfo *info);

/* TEST_STATEID/FREE_STATEID of those among them that are layout stateids (other[0] ==
 * STATEID_LAYOUT, see state.h); the codes of the others stay as they are. The arrays are borrowed
 * until the reply, whose status is NFS4ERR_DELAY when memory is out. */
struct keeper_stateids {
    struct keeper_call call;
    uint64_t client_id;
    const stateid4 *stateids;
    nfsstat4 *codes;
    uint32_t count;
    uint32_t judged; /* the keeper's */
};
void keeper_test_stateids(struct keeper *keeper, struct keeper_stateids *test);

/* Seal or release by the operator or by an operation that has to change a file. A release is
 * answered when the seal is gone (status NFS4_OK), when it cannot be yet and `wait` is false or the
 * time is over (NFS4ERR_DELAY: under way; NFS4ERR_PERM: a manual seal that only the operator may
 * release, STUCK included), with the sentence in why. */
struct keeper_seal {
    struct keeper_call call;
    struct file *file;
    bool pinned, fill, sparse, at_rest;
    uint64_t reserve; /* pinned: it grows, and blocks are made ready up to here; 0: it does not */
};
void keeper_seal(struct keeper *keeper, struct keeper_seal *seal);
/* Would it be, as things are now? Nothing is sealed. why says what is in the way, or with NFS4_OK
 * that it has a seal already. */
void keeper_seal_try(struct keeper *keeper, struct keeper_seal *seal);

struct keeper_release {
    struct keeper_call call;
    struct file *file;   /* NULL: there is none any more, only a seal on record by this path */
    const char *path;    /* borrowed until the reply */
    bool by_operator;    /* else: only an at-rest seal gives way */
    uint32_t timeout_ms; /* 0: start it and answer at once */
};
void keeper_release(struct keeper *keeper, struct keeper_release *release);

/* The operator's word that no client that had a layout on this file's file system can use it any
 * more: ends the doubt about it. */
struct keeper_forget {
    struct keeper_call call;
    struct file *file; /* any file or directory there */
};
void keeper_forget_holders(struct keeper *keeper, struct keeper_forget *forget);

/* The operator wants this client cut off from all that it holds, by fences that are seen to work.
 * NFS4_OK: it holds nothing. NFS4ERR_PERM: a fence did not work, nothing is over, and why says what
 * to do. NFS4ERR_DELAY: the journal cannot be written just now. */
struct keeper_expel {
    struct keeper_call call;
    uint64_t client_id;
};
void keeper_expel(struct keeper *keeper, struct keeper_expel *expel);

/* WRITE through the server to a pinned file has reached the blocks: its overlay (mtime, change)
 * moves on, journalled with the next commit. */
struct keeper_wrote {
    struct keeper_call call;
    struct file *file;
    uint64_t mtime_ns;
    struct request *promise;  /* as keeper_room gave it, whose word it takes back; NULL: none */
    uint64_t client_id, room; /* with it: as keeper_room had it, and its end */
    uint64_t end;             /* with it: where it ended; 0: it failed */
};
void keeper_wrote(struct keeper *keeper, struct keeper_wrote *wrote);

/* WRITE through the server to a growing file (file_is_growing), up to `end`: before it, and then,
 * whatever becomes of it, keeper_wrote. NFS4ERR_RECALLCONFLICT: not under this seal. */
struct keeper_room {
    struct keeper_call call;
    struct file *file;
    uint64_t client_id, end;
    struct request *promise; /* out: with NFS4_OK. What keeper_wrote takes: the seal waits for it,
                                so that it must not fail for want of memory */
};
void keeper_room(struct keeper *keeper, struct keeper_room *room);

/* SETATTR of a growing file's size. NFS4ERR_RECALLCONFLICT: not under this seal. */
struct keeper_resize {
    struct keeper_call call;
    struct file *file;
    uint64_t client_id, size, mtime_ns;
};
void keeper_resize(struct keeper *keeper, struct keeper_resize *resize);

/* The client has opened a growing file for writing, or has it open for that no more. Not answered;
 * one that is lost for want of memory costs a recall, or a seal that stays. */
void keeper_writer(struct keeper *keeper, const struct file *file, uint64_t client_id, bool writes);

/* A copy of the sealed file's map for pinned WRITE; malloc'ed, the caller's (layout/seal/map.h:
 * map_free). */
struct seal_map;
struct keeper_map {
    struct keeper_call call;
    struct file *file;
    struct seal_map *map; /* out */
};
void keeper_map(struct keeper *keeper, struct keeper_map *map);

/* What the client side tells the keeper. owner is copied. These are not answered. */
enum keeper_client_event {
    KEEPER_CLIENT_CONFIRMED, /* a client id was confirmed: owner, verifier and address are given */
    KEEPER_CLIENT_RESTARTED, /* the same owner confirmed anew, maybe another verifier: its old id is
                                gone, its old run need not be */
    KEEPER_CLIENT_MOVED,     /* it was shown that it is at this address now */
    KEEPER_CLIENT_SHAKEN,    /* it may have thrown its layouts away, and keeps its client id */
    KEEPER_CLIENT_LAPSED,    /* the lease ran out; the state may be kept as a courtesy */
    KEEPER_CLIENT_RENEWED,   /* heard again after a lapse */
    KEEPER_CLIENT_HEARD,     /* it answered a callback after a lapse */
    KEEPER_CLIENT_CALLABLE,  /* a backchannel came (back): pending recalls are driven again */
    KEEPER_CLIENT_FORGOTTEN, /* the server dropped the client id (lease long gone): its grants are
                                still grants */
    KEEPER_CLIENT_DESTROYED, /* DESTROY_CLIENTID; the keeper said before that it holds nothing */
};
void keeper_client(struct keeper *keeper, enum keeper_client_event event, uint64_t client_id,
                   uint64_t replaces, const uint8_t *owner, uint32_t owner_len,
                   const uint8_t verifier[8], const char *address);

/* Does the client hold grants? status NFS4ERR_CLIENTID_BUSY or NFS4_OK. */
struct keeper_client_query {
    struct keeper_call call;
    uint64_t client_id;
};
void keeper_client_query(struct keeper *keeper, struct keeper_client_query *query);
/* Were grants of this client revoked (fenced)? For sr_status_flags; reads an atomic, any thread. */
bool keeper_client_was_fenced(struct keeper *keeper, uint64_t client_id);

/* What there is and what has been done, for metrics.h. */
struct engine_figures;
struct keeper_figures {
    struct keeper_call call;
    struct engine_figures *engine;        /* caller's; filled in */
    uint64_t records, commits, commit_ns; /* out: of the journal */
    bool broken;                          /* out: it cannot be written just now */
    struct keeper_rdma_figures rdma;      /* out */
};
void keeper_figures(struct keeper *keeper, struct keeper_figures *figures);

/*
 * Local programs (the control socket's hold interface, docs/control-protocol.md). A keeper_local is
 * one program's connection: it is embedded in the connection's memory and stays valid until
 * keeper_local_close has been answered. Its holds are grants of a layout type of their own: taken
 * by keeper_hold, given back by keeper_layoutreturn (FILE, type LAYOUT_TYPE_LOCAL).
 */
enum { KEEPER_TOKEN_SIZE = 8 };

/* What makes the program's holds useless when it does not give them back. */
enum keeper_fence {
    KEEPER_FENCE_CLOSE, /* its process's end: it does no I/O that outlives that */
    KEEPER_FENCE_HOOK,  /* the operator's fence hook */
    KEEPER_FENCE_NONE,  /* nothing but its own return, or the operator's word */
};

struct keeper_local {
    struct loop *loop; /* where recalled runs */
    /* The seal of this file has to go; the fence follows when left_ns is over. Must not block. */
    void (*recalled)(struct keeper_local *local, const struct file_key *key, uint64_t left_ns);
    /* The keeper's. */
    uint64_t client_id;
    struct keeper_local *prev, *next;
};

struct keeper_local_request {
    struct keeper_call call;
    struct keeper_local *local;       /* not for fenced */
    const char *name;                 /* open, fenced: borrowed until the reply */
    enum keeper_fence fence;          /* open */
    const char *address;              /* open, fenced: peer_describe's text of who asks; borrowed
                                         until the reply */
    bool resume;                      /* open: as the run of this token */
    uint8_t token[KEEPER_TOKEN_SIZE]; /* open: in with resume, else out */
    bool closed; /* close: its socket is seen to be closed; else the connection is merely lost */
    /* The keeper's. */
    struct loop_msg ask;
    struct keeper *keeper;
};
/* NFS4ERR_NOENT: nothing to resume, see why. After resuming, what it had is asked for again by
 * keeper_hold, and keeper_local_resumed ends the rest. */
void keeper_local_open(struct keeper *keeper, struct keeper_local_request *request);
void keeper_local_resumed(struct keeper *keeper, struct keeper_local_request *request);
void keeper_local_close(struct keeper *keeper, struct keeper_local_request *request);
/* The operator says that programs of this name that are not connected, or clients of this address,
 * owner or client id that are lost, cannot touch the disk. NFS4ERR_NOENT: there are none.
 * NFS4ERR_PERM: it is there. */
void keeper_local_fenced(struct keeper *keeper, struct keeper_local_request *request);

struct keeper_hold {
    struct keeper_call call;
    struct keeper_local *local;
    struct file *file;
    bool write;
    /* out; the caller's references */
    struct seal_map *map;
    struct device *device;
    stateid4 stateid;
};
void keeper_hold(struct keeper *keeper, struct keeper_hold *hold);

/*
 * The operator's view as JSON text (malloc'ed, the caller's): what = "status", "grants", "holders",
 * "devices", "exports", "explain". file may be NULL for all. With NFS4_OK, why is a warning that
 * concerns every file (the journal cannot be written, a file system is in doubt), or empty.
 *
 * "status" and "grants" of all come in pieces, so that nobody waits for them: while `more` is set
 * the same view is asked again for the next, or keeper_view_end says that it is not wanted.
 */
struct keeper_view {
    struct keeper_call call;
    const char *what;
    struct file *file;
    const char *path;         /* with file NULL: of a seal on record; borrowed until the reply */
    char *json;               /* out */
    bool more;                /* out */
    struct engine_walk *walk; /* the keeper's */
};
void keeper_view(struct keeper *keeper, struct keeper_view *view);
void keeper_view_end(struct keeper *keeper, struct keeper_view *view);

#endif
