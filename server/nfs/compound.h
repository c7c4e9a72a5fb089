/*
 * compound.h - one COMPOUND on its way through the server.
 *
 * A compound is resumable. The dispatcher decodes one operation after another (RFC 8881
 * section 15.2), calls its handler, encodes its result. A handler that would block says so and is
 * called again on a worker thread; one that waits for a message (the keeper, a lock's owner, a
 * recall) says so and is resumed on its loop. Nothing else on the loop waits.
 *
 * Where a handler runs: first on the loop (on_worker false). After OP_BLOCK it is called again on a
 * worker (on_worker true) and must not touch client, session or stateid tables there; after OP_LOOP
 * it is called again on the loop. `stage` is 0 at the first call and is the handler's own to
 * advance; op_state is its own scratch (arena memory), NULL at the start. The dispatcher may keep
 * running the following operations on the worker until one of them asks for the loop.
 */
#ifndef SEALNFS_SERVER_NFS_COMPOUND_H
#define SEALNFS_SERVER_NFS_COMPOUND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/arena.h"
#include "proto/nfs4/nfs4.h"
#include "proto/nfs4/ops.h"
#include "proto/nfs4/types.h"
#include "proto/rpc.h"
#include "proto/xdr.h"
#include "server/base/loop.h"
#include "server/base/peer_address.h"
#include "server/base/place.h"
#include "server/base/worker.h"
#include "server/export/lookup.h"
#include "server/net/conn.h"

struct buffer;
struct client;
struct export;
struct file;
struct server;
struct session;
struct session_slot;

enum op_next {
    OP_DONE,  /* c->res is filled, its status included */
    OP_BLOCK, /* call me again on a worker */
    OP_LOOP,  /* call me again on the loop */
    OP_WAIT,  /* somebody will call compound_resume, once */
};

struct compound {
    struct server *server;
    struct conn *conn; /* holds a reference; replies go there */
    struct loop *loop; /* the client's loop, where it lives */
    uint32_t xid;
    uint32_t minor;
    struct cred cred;
    struct lookup_answer *groups; /* a reference to what cred.known is of */
    bool groups_late, names_late; /* patience has run out */
    unsigned name_waits;
    struct lookup_wait wait;
    struct peer_address peer;

    struct client
        *client; /* set by SEQUENCE (NULL before, and in sessionless compounds); loop only */
    struct session *session;   /* loop only */
    struct session_slot *slot; /* loop only */
    uint64_t client_id;        /* copies that workers may read */
    bool no_layouts;           /* its client was told EXCHGID4_FLAG_USE_NON_PNFS */
    uint32_t max_reply;        /* bytes the whole reply may have, from the session */
    bool cache_this;

    struct place current, saved;   /* `file` holds a reference */
    const struct export *admitted; /* of the sender, last looked at */
    stateid4 current_stateid,
        saved_stateid; /* RFC 8881 section 16.2.3.1.2; see compound_set_stateid */
    bool has_current_stateid, has_saved_stateid;

    unsigned op_index; /* of the operation under way */
    unsigned op_count; /* results in the reply */
    uint32_t op;       /* the operation under way */
    union nfs4_args args;
    union nfs4_res res;
    bool on_worker;
    unsigned stage;
    void *op_state;

    struct arena arena; /* lives as long as the compound; bounded */
    struct xdr_in in;
    struct xdr_out out;

    /* What SEQUENCE leaves for the dispatcher */
    struct xdr_bytes replay; /* data set: the cached reply, to be sent instead */
    bool retry_uncached;     /* a retry whose reply was not kept: the next operation gets
                                NFS4ERR_RETRY_UNCACHED_REP */
    uint32_t max_cached;     /* bytes the reply may have when it is cached */
    uint64_t digest;         /* of the request's body, to know a false retry */

    /* The dispatcher's */
    struct buffer *memory;  /* where this compound lies */
    struct buffer *request; /* where the request lies */
    struct buffer *larger;  /* the reply, when it outgrew the compound's own memory */
    uint32_t request_len;   /* the whole RPC message */
    struct nfs4_compound_head head;
    size_t body_at;                                 /* where COMPOUND4res begins in the reply */
    size_t charged, arena_charged, payload_charged; /* of the first, for these */
    bool op_decoded, op_ready, ended;
    bool looked, op_over;  /* the disks are looked at before the operation's result is told */
    uint64_t op_began;     /* loop_fine_ns */
    nfsstat4 op_status;    /* of decoding it */
    uint32_t numops;       /* as the head said */
    nfsstat4 first_status; /* of decoding the first operation */
    struct loop
        *home; /* while an operation visits the loop of another client: where it came from */
    bool visited;
    struct conn_out send;
    struct loop_msg msg;
    struct work work;
};

/* Start the COMPOUND call whose arguments `in` shows; `request` is referenced. The connection's
 * loop. False: the connection has been given to another loop. */
bool compound_start(struct server *server, struct conn *conn, struct buffer *request,
                    uint32_t request_len, const struct rpc_call *call, const struct cred *cred,
                    const struct xdr_in *in);

/* Resume after OP_WAIT: the handler is called again on the compound's loop. Any thread. */
void compound_resume(struct compound *c);

/* For handlers about a client that may live on another loop than the compound's: carries the
 * compound to `target`, runs body there as a handler, and comes home. */
enum op_next compound_visit(struct compound *c, struct loop *target,
                            enum op_next (*body)(struct compound *c));

/* One row per operation: the dispatcher reads this table and nothing else about an operation. */
enum op_needs {
    OP_NEEDS_FH = 1u << 0,       /* NOFILEHANDLE without a current file handle */
    OP_NEEDS_SAVED_FH = 1u << 1, /* NOFILEHANDLE without a saved one */
    OP_FIRST_ONLY = 1u << 2, /* may start a COMPOUND without SEQUENCE, and is then alone in it */
    OP_MODIFIES = 1u << 3,   /* not idempotent: whether the reply fits is decided before it runs */
    OP_ROFS = 1u << 4,       /* changes the current export: refused where that is read-only */
    OP_PNFS = 1u << 5,       /* NOTSUPP to a client that was told of no layouts */
    OP_OF_MINOR_0 = 1u << 6, /* of NFSv4.0 only */
};
/* What an operation asks of who sends it. That requests of a session come from an address of its
 * client, SEQUENCE has seen to; to others there is no such session. */
enum op_who {
    WHO_NOBODY,    /* not implemented */
    WHO_ADMITTED,  /* an address that some export admits */
    WHO_PRINCIPAL, /* the principal that made the client id, from an address of that client: the
                      handler sees to it */
    WHO_SESSION,   /* anybody in a session: what names a file and asks nothing of it, what only
                      gives back, what asks of one's own stateids; SEQUENCE itself */
    WHO_EXPORT,    /* an address that the exports of the file handles admit */
};

struct op_entry {
    const char *name;
    enum op_who who;
    nfsstat4 unwelcome; /* the answer to others, where the dispatcher sees to it; 0: ACCESS */
    enum op_next (*handler)(struct compound *c);       /* NULL: legal in 4.1 but not implemented */
    nfsstat4 absent;                                   /* then the answer */
    uint32_t needs;                                    /* enum op_needs */
    uint32_t (*reply_bound)(const struct compound *c); /* bytes, args decoded; NULL: reply_max */
    uint32_t reply_max;
};
extern const struct op_entry op_table[]; /* indexed by opcode, 0..OP_TABLE_SIZE-1; op_table.c */
#define OP_TABLE_SIZE 59

enum { OP_IMPL_TEXT_MAX = 64 }; /* of each text of the implementation id in EXCHANGE_ID's result */

/* Replace the current file handle; takes over the reference (file may be NULL). Clears the current
 * stateid.
 */
void compound_set_fh(struct compound *c, struct file *file, struct export *export);
/* The operation produced this stateid; it becomes current. */
void compound_set_stateid(struct compound *c, const stateid4 *stateid);
/* Substitute the special "current stateid" {1, 0} if `stateid` is it (RFC 8881 section 8.2.3).
 * NFS4_OK or BAD_STATEID. */
nfsstat4 compound_resolve_stateid(struct compound *c, const stateid4 *stateid, stateid4 *out);
/* The same where open or lock state may stand: of the current one the latest seqid is meant, and a
 * special one does not count. */
nfsstat4 compound_resolve_latest(struct compound *c, const stateid4 *stateid, stateid4 *out);

/* Who sent it, as far as the operation that is about to run has to know (caller.c). */
enum caller {
    CALLER_KNOWN,
    CALLER_ON_LOOP, /* to be asked again there */
    CALLER_WAITED,  /* compound_resume comes, and then to be asked again */
    CALLER_LATER,   /* not to be had for now: NFS4ERR_DELAY */
};
/* Whether names in `clients` admit the address: KNOWN, or WAITED. What is not known in time, or on
 * a worker, export_admit answers with DELAY. */
enum caller caller_names_settle(struct compound *c);
/* The user's groups, where the export goes by what this machine knows of them. */
enum caller caller_groups_get(struct compound *c);
void caller_groups_drop(struct compound *c); /* with the compound */

/* How a handler ends. */
static inline enum op_next op_done(struct compound *c, nfsstat4 status)
{
    c->res.status = status;
    return OP_DONE;
}

/* Handlers, by family (file): nfs/op_session.c, nfs/op_fh.c, nfs/op_attr.c, nfs/op_dir.c,
 * nfs/op_open.c, nfs/op_lock.c, nfs/op_io.c, nfs/op_layout.c */
#define OP_HANDLER(name) enum op_next op_##name(struct compound *c)
OP_HANDLER(access);
OP_HANDLER(backchannel_ctl);
OP_HANDLER(bind_conn_to_session);
OP_HANDLER(close);
OP_HANDLER(commit);
OP_HANDLER(create);
OP_HANDLER(create_session);
OP_HANDLER(destroy_clientid);
OP_HANDLER(destroy_session);
OP_HANDLER(exchange_id);
OP_HANDLER(free_stateid);
OP_HANDLER(getattr);
OP_HANDLER(getdeviceinfo);
OP_HANDLER(getdevicelist);
OP_HANDLER(getfh);
OP_HANDLER(layoutcommit);
OP_HANDLER(layoutget);
OP_HANDLER(layoutreturn);
OP_HANDLER(link);
OP_HANDLER(lock);
OP_HANDLER(lockt);
OP_HANDLER(locku);
OP_HANDLER(lookup);
OP_HANDLER(lookupp);
OP_HANDLER(nverify);
OP_HANDLER(open);
OP_HANDLER(open_downgrade);
OP_HANDLER(putfh);
OP_HANDLER(putpubfh);
OP_HANDLER(putrootfh);
OP_HANDLER(read);
OP_HANDLER(readdir);
OP_HANDLER(readlink);
OP_HANDLER(reclaim_complete);
OP_HANDLER(remove);
OP_HANDLER(rename);
OP_HANDLER(restorefh);
OP_HANDLER(savefh);
OP_HANDLER(secinfo);
OP_HANDLER(secinfo_no_name);
OP_HANDLER(sequence);
OP_HANDLER(setattr);
OP_HANDLER(test_stateid);
OP_HANDLER(verify);
OP_HANDLER(write);

#endif
