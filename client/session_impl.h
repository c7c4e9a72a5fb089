/*
 * The inside of a session, shared by session*.c, file*.c and layout*.c.
 *
 * One mutex, `lock`, guards everything that is not marked otherwise, for memory operations only: it
 * is never held across I/O or a callback. `changed` is signalled whenever a state, a slot or a
 * layout changes; whoever waits looks again.
 */
#ifndef CLIENT_SESSION_IMPL_H
#define CLIENT_SESSION_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/net/backchannel.h"
#include "client/net/call.h"
#include "client/net/channel.h"
#include "client/sealio.h"

enum {
    SEALIO_SLOTS = 64,
    SEALIO_MAX_IO = 1 << 20, /* of one READ or WRITE */
    SEALIO_MAX_MESSAGE = SEALIO_MAX_IO + 4096,
    SEALIO_CALL_SIZE =
        8192, /* buffer for the calls the library builds; WRITE data is by reference */
    SEALIO_DEFAULT_TIMEOUT_MS = 120000,
    SEALIO_DEFAULT_LEASE_MS = 90000,
    SEALIO_DEFAULT_DIRECT_MS = 10000,
};

enum session_state {
    SESSION_READY,
    SESSION_BROKEN,     /* the connection is gone; somebody who needs it restores it */
    SESSION_RECOVERING, /* somebody does */
    SESSION_CLOSED,
};

struct session_slot {
    uint32_t sequence; /* of the last request that the server took */
    bool busy;
};

/* What the server granted; a session that takes another's place may bring other values. */
struct session_limits {
    uint32_t max_request, max_response, max_ops;
};

struct session_counters {
    atomic_uint_fast64_t reads_direct, bytes_read_direct, reads_server, bytes_read_server,
        bytes_read_holes, writes_direct, bytes_written_direct, writes_server, bytes_written_server,
        layoutgets, bytes_read_rdma, bytes_written_rdma, layoutgets_refused, layoutcommits,
        layoutreturns, getdeviceinfos, recalls, calls, reconnects, recoveries;
};
#define SESSION_COUNT(session, name, n) atomic_fetch_add(&(session)->counters.name, (uint64_t)(n))

/* Memory of the program that is used often. */
struct sealio_buffer {
    struct sealio_buffer *next;
    struct sealio_session *session;
    void *memory;
    size_t size;
};

struct sealio_session {
    /* set by open, then constant */
    char host[256];
    uint16_t port;
    enum sealio_layouts layouts_wanted;
    uint32_t timeout_ms, direct_timeout_ms;
    const struct sealio_verbs *verbs; /* of RDMA; NULL: the libraries */
    char **devices;
    size_t device_count;
    void (*on_recall)(void *arg, const struct sealio_recall *recall);
    void *on_recall_arg;
    uint8_t owner[64];
    uint32_t owner_len;
    verifier4 verifier;
    uint8_t cred_body[RPC_MAX_AUTH_BYTES];
    struct rpc_auth cred;
    struct sealio_backchannel
        *backchannel; /* locks itself out: used on the reader only, reset between readers */
    pthread_t upkeep;
    bool upkeep_runs;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum session_state state;
    bool need_session, need_client; /* what recovery must make besides the connection */
    bool reclaim_due;               /* a new client id has not had its RECLAIM_COMPLETE */
    pthread_t recoverer;            /* while is_recovering */
    bool is_recovering;
    struct sealio_channel *channel;
    bool server_is_here; /* its address is this machine's */
    clientid4 clientid;
    sequenceid4 create_sequence;
    uint32_t exchange_flags;
    sessionid4 sessionid;
    struct session_limits limits;
    uint32_t slot_count;
    struct session_slot slots[SEALIO_SLOTS];
    unsigned generation; /* counts client ids: state of an earlier one is gone */
    uint64_t lease_ms;
    uint64_t lease_until;  /* sealio_now_ms() up to which the lease surely holds; 0: not known to */
    uint64_t restored_at;  /* when the connection was made */
    unsigned short_lived;  /* connections in a row; of who restores */
    uint32_t status_flags; /* of the last SEQUENCE */
    uint64_t next_owner;   /* open owners */
    bool stopping;         /* the upkeep thread is to end */
    bool bulk_due; /* a recall of a file system or of everything has not been acknowledged yet */
    CB_LAYOUTRECALL4args bulk_recall;
    struct sealio_file *files;
    struct sealio_layout *layouts;
    struct sealio_volume_entry *volumes; /* device.c */

    pthread_mutex_t
        buffers_lock; /* guards buffers, also while one is registered; taken before the others */
    struct sealio_buffer *buffers;

    pthread_mutex_t error_lock;
    char error[SEALIO_ERROR_MAX];

    struct session_counters counters;
};

/* Remembers the sentence, returns rc. Not under lock. */
int sealio_fail(struct sealio_session *session, int rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- session.c: calls ---- */

/* Starts a call with SEQUENCE in buf, with the session's credential. */
void sealio_session_begin(struct sealio_session *session, struct sealio_call *call, void *buf,
                          size_t size, enum sealio_call_kind kind);
/*
 * Sends the (ended) call and waits, over reconnects and recoveries, and again while the server says
 * NFS4ERR_DELAY or GRACE. 0: the reply's SEQUENCE result is taken and was NFS4_OK; free the reply.
 * The sentence is set on error. On the thread that recovers the session it uses the unfinished
 * session, and -EAGAIN means that the recovery has to start over.
 */
int sealio_session_execute(struct sealio_session *session, struct sealio_call *call,
                           struct sealio_reply *reply);
/* End and execute, for those who only want the results. */
int sealio_session_run(struct sealio_session *session, struct sealio_call *call,
                       struct sealio_reply *reply);
/* Takes the lock: for those who build a call while somebody else may recover the session. */
struct session_limits sealio_session_limits(struct sealio_session *session);
/* False: the lease may have run out, nothing may be done on layouts. Takes the lock. */
bool sealio_session_lease_holds(struct sealio_session *session);
/* Sleeps as long as the attempt deserves (5 ms doubling to 1 s) or to the deadline. False when it
 * has passed. */
bool sealio_backoff(unsigned attempt, uint64_t deadline_ms);

/* AGAIN: after the session has been restored; LATER: the server said NFS4ERR_DELAY. */
enum sequence_verdict { SEQUENCE_FINE, SEQUENCE_AGAIN, SEQUENCE_LATER, SEQUENCE_FAILED };
/* One exchange on a slot: send, wait, judge the SEQUENCE. For execute and recovery. *rc with
 * SEQUENCE_FAILED.
 */
enum sequence_verdict sealio_session_transact(struct sealio_session *session,
                                              struct sealio_channel *channel,
                                              struct sealio_call *call, uint32_t slot,
                                              uint64_t deadline_ms, struct sealio_reply *reply,
                                              int *rc);

/* The channel's owner functions (channel.h); arg is the session. */
size_t sealio_session_serve(void *arg, const uint8_t *message, size_t len, uint8_t *reply,
                            size_t size);
void sealio_session_broken(void *arg, const struct sealio_channel *channel);

/* ---- session_wire.c: the operations that make and end sessions; on s->channel, which the caller
 * alone uses then ---- */

int sealio_wire_exchange_id(struct sealio_session *session, uint64_t deadline_ms, bool *known);
int sealio_wire_create_session(struct sealio_session *session, uint64_t deadline_ms,
                               nfsstat4 *status);
int sealio_wire_bind(struct sealio_session *session, uint64_t deadline_ms, nfsstat4 *status);
int sealio_wire_reclaim_complete(struct sealio_session *session);
/* Best effort, for close. */
void sealio_wire_destroy(struct sealio_session *session, uint64_t deadline_ms);

/* ---- session_recover.c ---- */

/* Makes the connection, and session and client id as far as needed. By the one thread that set
 * SESSION_RECOVERING, or by open. */
int sealio_session_restore(struct sealio_session *session, uint64_t deadline_ms);

/* ---- session_upkeep.c: lease renewal, recalled layouts ---- */

int sealio_upkeep_start(struct sealio_session *session);
void sealio_upkeep_stop(struct sealio_session *session);

#endif
