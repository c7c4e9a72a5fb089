/*
 * Sessions: the one way in which every call goes out (RFC 8881 section 2.10). Any thread.
 *
 * A call keeps its slot until it has its reply, so that after a lost connection the same bytes go
 * out again on the same slot and the server's reply cache makes them happen once (section 2.10.6).
 */
#include "client/layout.h"
#include "client/net/status.h"
#include "client/net/transport.h"
#include "client/session_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int sealio_fail(struct sealio_session *session, int rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&session->error_lock);
    vsnprintf(session->error, sizeof(session->error), format, args);
    pthread_mutex_unlock(&session->error_lock);
    va_end(args);
    return rc;
}

void sealio_session_error(struct sealio_session *session, char *text, size_t size)
{
    if (size == 0)
        return;
    pthread_mutex_lock(&session->error_lock);
    snprintf(text, size, "%s", session->error);
    pthread_mutex_unlock(&session->error_lock);
}

bool sealio_session_is_pnfs(struct sealio_session *session)
{
    pthread_mutex_lock(&session->lock);
    const bool is = session->exchange_flags & EXCHGID4_FLAG_USE_PNFS_MDS;
    pthread_mutex_unlock(&session->lock);
    return is;
}

void sealio_session_counters(struct sealio_session *session, struct sealio_counters *out)
{
    const struct session_counters *from = &session->counters;
#define COPY(name) out->name = atomic_load(&from->name)
    COPY(reads_direct);
    COPY(bytes_read_direct);
    COPY(reads_server);
    COPY(bytes_read_server);
    COPY(bytes_read_holes);
    COPY(writes_direct);
    COPY(bytes_written_direct);
    COPY(writes_server);
    COPY(bytes_written_server);
    COPY(bytes_read_rdma);
    COPY(bytes_written_rdma);
    COPY(layoutgets);
    COPY(layoutgets_refused);
    COPY(layoutcommits);
    COPY(layoutreturns);
    COPY(getdeviceinfos);
    COPY(recalls);
    COPY(calls);
    COPY(reconnects);
    COPY(recoveries);
#undef COPY
}

bool sealio_backoff(unsigned attempt, uint64_t deadline_ms)
{
    const uint64_t now = sealio_now_ms();
    uint64_t pause = attempt > 7 ? 1000 : UINT64_C(5) << attempt;
    if (now >= deadline_ms)
        return false;
    if (pause > deadline_ms - now)
        pause = deadline_ms - now;
    const struct timespec rest = {.tv_sec = (time_t)(pause / 1000),
                                  .tv_nsec = (long)(pause % 1000) * 1000000};
    nanosleep(&rest, NULL);
    return true;
}

struct session_limits sealio_session_limits(struct sealio_session *session)
{
    pthread_mutex_lock(&session->lock);
    const struct session_limits limits = session->limits;
    pthread_mutex_unlock(&session->lock);
    return limits;
}

bool sealio_session_lease_holds(struct sealio_session *session)
{
    pthread_mutex_lock(&session->lock);
    const bool holds = sealio_now_ms() < session->lease_until;
    pthread_mutex_unlock(&session->lock);
    return holds;
}

void sealio_session_begin(struct sealio_session *session, struct sealio_call *call, void *buf,
                          size_t size, enum sealio_call_kind kind)
{
    sealio_call_begin(call, buf, size, &session->cred, kind);
}

static int take_slot(struct sealio_session *session)
{
    for (uint32_t i = 0; i < session->slot_count; i++) {
        if (!session->slots[i].busy) {
            session->slots[i].busy = true;
            return (int)i;
        }
    }
    return -1;
}

static void give_slot(struct sealio_session *session, int slot)
{
    if (slot < 0)
        return;
    pthread_mutex_lock(&session->lock);
    session->slots[slot].busy = false;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
}

/* Restores the session; called and returns with the lock held, drops it meanwhile. */
static int restore_locked(struct sealio_session *session, uint64_t deadline_ms)
{
    session->state = SESSION_RECOVERING;
    pthread_mutex_unlock(&session->lock);
    int rc = sealio_session_restore(session, deadline_ms);
    pthread_mutex_lock(&session->lock);
    if (session->state == SESSION_RECOVERING)
        session->state = rc == 0 ? SESSION_READY : SESSION_BROKEN;
    pthread_cond_broadcast(&session->changed);
    return rc;
}

/* Makes *slot one of the session's slots that is the caller's; keeps the one it has if it still
 * counts. */
static bool claim_slot(struct sealio_session *session, int *slot)
{
    if (*slot >= (int)session->slot_count) {
        session->slots[*slot].busy = false;
        *slot = -1;
    }
    if (*slot < 0)
        *slot = take_slot(session);
    return *slot >= 0;
}

static int wait_changed(struct sealio_session *session, uint64_t deadline_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                                   .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    int rc = pthread_cond_clockwait(&session->changed, &session->lock, CLOCK_MONOTONIC, &until);
    return rc == ETIMEDOUT ? -ETIMEDOUT : 0;
}

/* Waits until the session works and the caller has a slot. *channel gets a reference. */
static int enter_slot(struct sealio_session *session, uint64_t deadline_ms, int *slot,
                      struct sealio_channel **channel)
{
    int rc = 0;
    pthread_mutex_lock(&session->lock);
    while (rc == 0) {
        if (session->state == SESSION_CLOSED) {
            rc = -ESHUTDOWN;
        } else if (session->state == SESSION_BROKEN) {
            rc = restore_locked(session, deadline_ms);
        } else if (session->state == SESSION_READY && claim_slot(session, slot)) {
            *channel = sealio_channel_ref(session->channel);
            break;
        } else {
            rc = wait_changed(session, deadline_ms);
        }
    }
    pthread_mutex_unlock(&session->lock);
    return rc;
}

/* The connection (and, if so marked, the session) is no good: whoever comes next restores it. */
static void mark_broken(struct sealio_session *session, const struct sealio_channel *channel,
                        bool need_session, bool need_client)
{
    pthread_mutex_lock(&session->lock);
    if (session->channel == channel) {
        session->need_session |= need_session;
        session->need_client |= need_client;
        if (session->state == SESSION_READY)
            session->state = SESSION_BROKEN;
        pthread_cond_broadcast(&session->changed);
    }
    pthread_mutex_unlock(&session->lock);
}

/* Told by the reader: without a connection no recall can come, so the upkeep thread makes one at
 * once. */
void sealio_session_broken(void *arg, const struct sealio_channel *channel)
{
    mark_broken(arg, channel, false, false);
}

size_t sealio_session_serve(void *arg, const uint8_t *message, size_t len, uint8_t *reply,
                            size_t size)
{
    struct sealio_session *session = arg;
    return sealio_backchannel_serve(session->backchannel, message, len, reply, size);
}

enum { REBIND_PAUSE_MS = 10000 };
#define FLAGS_BACKCHANNEL                                                                          \
    (SEQ4_STATUS_CB_PATH_DOWN | SEQ4_STATUS_CB_PATH_DOWN_SESSION | SEQ4_STATUS_BACKCHANNEL_FAULT)
#define FLAGS_REVOKED                                                                              \
    (SEQ4_STATUS_EXPIRED_ALL_STATE_REVOKED | SEQ4_STATUS_EXPIRED_SOME_STATE_REVOKED |              \
     SEQ4_STATUS_ADMIN_STATE_REVOKED | SEQ4_STATUS_RECALLABLE_STATE_REVOKED)

/* SEQUENCE succeeded: the slot moves on, the lease is good from when the request was sent, and the
 * server's flags are heeded. */
static void account_reply(struct sealio_session *session, const struct sealio_channel *channel,
                          uint32_t slot, uint64_t sent_ms, const SEQUENCE4resok *ok)
{
    pthread_mutex_lock(&session->lock);
    if (memcmp(ok->sr_sessionid, session->sessionid, NFS4_SESSIONID_SIZE) != 0) {
        pthread_mutex_unlock(&session->lock);
        return;
    }
    session->slots[slot].sequence++;
    if (session->lease_until < sent_ms + session->lease_ms)
        session->lease_until = sent_ms + session->lease_ms;
    const uint32_t news = ok->sr_status_flags & ~session->status_flags;
    session->status_flags = ok->sr_status_flags;
    if (news & FLAGS_REVOKED) {
        sealio_layouts_forget(session);
        if (news & ~SEQ4_STATUS_RECALLABLE_STATE_REVOKED & FLAGS_REVOKED)
            session->generation++;
    }
    if ((ok->sr_status_flags & FLAGS_BACKCHANNEL) &&
        sent_ms > session->restored_at + REBIND_PAUSE_MS && session->channel == channel &&
        session->state == SESSION_READY)
        session->state = SESSION_BROKEN;
    pthread_mutex_unlock(&session->lock);
}

static enum sequence_verdict judge_sequence(struct sealio_session *session,
                                            const struct sealio_channel *channel, nfsstat4 status,
                                            int *rc)
{
    switch (status) {
    case NFS4ERR_DELAY:
        *rc = 0;
        return SEQUENCE_LATER;
    case NFS4ERR_CONN_NOT_BOUND_TO_SESSION:
        mark_broken(session, channel, false, false);
        return SEQUENCE_AGAIN;
    case NFS4ERR_BADSESSION:
    case NFS4ERR_DEADSESSION:
    case NFS4ERR_BADSLOT:
    case NFS4ERR_BAD_HIGH_SLOT:
    case NFS4ERR_SEQ_MISORDERED:
    case NFS4ERR_SEQ_FALSE_RETRY:
    case NFS4ERR_RETRY_UNCACHED_REP:
        mark_broken(session, channel, true, false);
        return SEQUENCE_AGAIN;
    case NFS4ERR_STALE_CLIENTID:
        mark_broken(session, channel, true, true);
        return SEQUENCE_AGAIN;
    default:
        *rc = sealio_fail(session, sealio_status_errno(status), "SEQUENCE: the server answers %s",
                          nfs4_status_name(status));
        return SEQUENCE_FAILED;
    }
}

static uint32_t highest_busy(const struct sealio_session *session)
{
    uint32_t highest = 0;
    for (uint32_t i = 0; i < session->slot_count; i++) {
        if (session->slots[i].busy)
            highest = i;
    }
    return highest;
}

static int exchange_messages(struct sealio_session *session, struct sealio_channel *channel,
                             struct sealio_call *call, uint32_t slot, uint64_t deadline_ms,
                             struct sealio_reply *reply)
{
    struct iovec iov[XDR_OUT_MAX_IOV];
    uint8_t *data;
    size_t len;
    const uint32_t xid = sealio_channel_xid(channel);
    pthread_mutex_lock(&session->lock);
    sealio_call_set_sequence(call, session->sessionid, slot, session->slots[slot].sequence + 1,
                             highest_busy(session));
    pthread_mutex_unlock(&session->lock);
    sealio_call_set_xid(call, xid);
    const unsigned count = xdr_out_iov(&call->out, iov, XDR_OUT_MAX_IOV);
    SESSION_COUNT(session, calls, 1);
    int rc = sealio_channel_call(channel, xid, iov, count, deadline_ms, &data, &len);
    if (rc <
        0) /* after a timeout nobody knows whether the slot was used: only a new session can tell */
        mark_broken(session, channel, rc == -ETIMEDOUT, false);
    else if ((rc = sealio_reply_init(reply, data, len)) == -ECONNRESET)
        rc = -EIO;
    return rc;
}

enum sequence_verdict sealio_session_transact(struct sealio_session *session,
                                              struct sealio_channel *channel,
                                              struct sealio_call *call, uint32_t slot,
                                              uint64_t deadline_ms, struct sealio_reply *reply,
                                              int *rc)
{
    union nfs4_res res;
    *reply = (struct sealio_reply){.data = NULL};
    const uint64_t sent_ms = sealio_now_ms();
    *rc = exchange_messages(session, channel, call, slot, deadline_ms, reply);
    if (*rc == -ECONNRESET || *rc == -EPIPE)
        return SEQUENCE_AGAIN;
    if (*rc == -ETIMEDOUT) {
        sealio_fail(session, *rc, "no answer from %s in time", session->host);
        return SEQUENCE_FAILED;
    }
    if (*rc == 0)
        *rc = sealio_reply_next(reply, OP_SEQUENCE, &res);
    enum sequence_verdict verdict = SEQUENCE_FINE;
    if (*rc < 0) {
        sealio_fail(session, *rc, "the server at %s gave no usable answer", session->host);
        verdict = SEQUENCE_FAILED;
    } else if (res.status != NFS4_OK) {
        verdict = judge_sequence(session, channel, res.status, rc);
    } else {
        account_reply(session, channel, slot, sent_ms, &res.sequence.sr_resok4);
    }
    if (verdict != SEQUENCE_FINE)
        sealio_reply_free(reply);
    return verdict;
}

/* One call that reached the server's operations: 0. */
static int execute_once(struct sealio_session *session, struct sealio_call *call,
                        uint64_t deadline_ms, struct sealio_reply *reply)
{
    struct sealio_channel *channel = NULL;
    enum sequence_verdict verdict;
    int slot = -1, rc;
    unsigned attempt = 0;
    do {
        rc = enter_slot(session, deadline_ms, &slot, &channel);
        if (rc == -ETIMEDOUT)
            sealio_fail(session, rc, "no session with %s in time", session->host);
        if (rc < 0)
            break;
        verdict = sealio_session_transact(session, channel, call, (uint32_t)slot, deadline_ms,
                                          reply, &rc);
        sealio_channel_unref(channel);
        if (verdict == SEQUENCE_LATER && !sealio_backoff(attempt++, deadline_ms))
            rc = sealio_fail(session, -ETIMEDOUT,
                             "SEQUENCE: the server keeps answering NFS4ERR_DELAY");
        if (verdict == SEQUENCE_AGAIN)
            rc = sealio_now_ms() < deadline_ms
                     ? 0
                     : sealio_fail(session, -ETIMEDOUT, "no answer from %s in time", session->host);
    } while (rc == 0 && verdict != SEQUENCE_FINE);
    give_slot(session, slot);
    return rc;
}

static bool recovers_here(struct sealio_session *session)
{
    pthread_mutex_lock(&session->lock);
    const bool here = session->is_recovering && pthread_equal(session->recoverer, pthread_self());
    pthread_mutex_unlock(&session->lock);
    return here;
}

/* The recovery's own calls: everybody else waits, so slot 0 is free to use even if a waiting call
 * has it. */
static int execute_recovering(struct sealio_session *session, struct sealio_call *call,
                              uint64_t deadline_ms, struct sealio_reply *reply)
{
    int rc;
    for (unsigned attempt = 0;; attempt++) {
        switch (
            sealio_session_transact(session, session->channel, call, 0, deadline_ms, reply, &rc)) {
        case SEQUENCE_FINE:
            return 0;
        case SEQUENCE_LATER:
            if (sealio_backoff(attempt, deadline_ms))
                continue;
            return -ETIMEDOUT;
        case SEQUENCE_AGAIN:
            return -EAGAIN;
        default:
            return rc;
        }
    }
}

enum { RECOVERY_CALL_MS = 30000 };

int sealio_session_execute(struct sealio_session *session, struct sealio_call *call,
                           struct sealio_reply *reply)
{
    const bool recovering = recovers_here(session);
    const uint64_t deadline_ms =
        sealio_now_ms() + (recovering ? RECOVERY_CALL_MS : session->timeout_ms);
    for (unsigned attempt = 0;; attempt++) {
        int rc = recovering ? execute_recovering(session, call, deadline_ms, reply)
                            : execute_once(session, call, deadline_ms, reply);
        if (rc < 0 || call->no_retry)
            return rc;
        if (reply->status != NFS4ERR_DELAY && reply->status != NFS4ERR_GRACE)
            return 0;
        if (!sealio_backoff(attempt, deadline_ms))
            return 0;
        sealio_reply_free(reply);
    }
}

int sealio_session_run(struct sealio_session *session, struct sealio_call *call,
                       struct sealio_reply *reply)
{
    *reply = (struct sealio_reply){.data = NULL};
    int rc = sealio_call_end(call);
    if (rc < 0)
        return sealio_fail(session, rc, "the request is too long");
    return sealio_session_execute(session, call, reply);
}
