/*
 * Getting a session back (RFC 8881 sections 2.10.13 and 8.4.2): a new connection is bound to the
 * session; if the server knows the session no more, a new one is made; if it knows the client no
 * more (it restarted), a new client id, and opens are reclaimed. Layouts are never reclaimed: they
 * are gone with the client id.
 *
 * On the one thread that set SESSION_RECOVERING; everybody else waits in enter() (session.c).
 */
#include "client/file_impl.h"
#include "client/layout.h"
#include "client/net/status.h"
#include "client/net/transport.h"
#include "client/session_impl.h"

#include "proto/nfs4/attr.h"

#include <errno.h>
#include <string.h>

enum { CONNECT_MS = 10000, STEP_MS = 30000, SHORT_MS = 1000, SHORT_LIVED_MAX = 3, REST_MAX = 5 };

static uint64_t earlier_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void drop_channel(struct sealio_session *session)
{
    pthread_mutex_lock(&session->lock);
    struct sealio_channel *channel = session->channel;
    session->channel = NULL;
    pthread_mutex_unlock(&session->lock);
    if (!channel)
        return;
    sealio_channel_close(channel);
    sealio_channel_unref(channel);
}

static int make_channel(struct sealio_session *session, uint64_t deadline_ms)
{
    struct sealio_channel *channel;
    int fd;
    int rc = sealio_connect(session->host, session->port,
                            earlier_of(deadline_ms, sealio_now_ms() + CONNECT_MS), &fd);
    if (rc < 0)
        return sealio_fail(session, rc, "cannot connect to %s port %u: %s", session->host,
                           (unsigned)session->port, strerror(-rc));
    const bool is_here = sealio_is_local(fd);
    const uint32_t max_record =
        session->limits.max_response ? session->limits.max_response + 4096 : 64 << 10;
    const struct sealio_channel_owner owner = {sealio_session_serve, sealio_session_broken,
                                               session};
    rc = sealio_channel_create(fd, max_record, &owner, &channel);
    if (rc < 0)
        return sealio_fail(session, rc, "cannot start a thread for the connection: %s",
                           strerror(-rc));
    pthread_mutex_lock(&session->lock);
    session->channel = channel;
    session->server_is_here = is_here;
    session->restored_at = sealio_now_ms();
    session->status_flags = 0;
    pthread_mutex_unlock(&session->lock);
    return 0;
}

/* Under the lock, although only this thread decides it: the reader of the new connection may mark
 * that broken at any time. */
static void set_needs(struct sealio_session *session, bool need_session, bool need_client)
{
    pthread_mutex_lock(&session->lock);
    session->need_session = need_session;
    session->need_client = need_client;
    pthread_mutex_unlock(&session->lock);
}

/* -EAGAIN: something was learned, go round again. */
static int bind_connection(struct sealio_session *session, uint64_t deadline_ms)
{
    nfsstat4 status;
    int rc = sealio_wire_bind(session, deadline_ms, &status);
    if (rc < 0 || status == NFS4_OK)
        return rc;
    set_needs(session, true, false);
    return -EAGAIN;
}

static int make_session(struct sealio_session *session, uint64_t deadline_ms)
{
    nfsstat4 status;
    int rc = sealio_wire_create_session(session, deadline_ms, &status);
    if (rc < 0)
        return rc;
    switch (status) {
    case NFS4_OK:
        set_needs(session, false, false);
        return 0;
    case NFS4ERR_STALE_CLIENTID:
    case NFS4ERR_SEQ_MISORDERED: /* our count of CREATE_SESSIONs is off: EXCHANGE_ID tells the right
                                    one */
        set_needs(session, true, true);
        return -EAGAIN;
    case NFS4ERR_DELAY:
    case NFS4ERR_GRACE:
        return -EAGAIN;
    default:
        return sealio_fail(session, sealio_status_errno(status),
                           "CREATE_SESSION: the server answers %s", nfs4_status_name(status));
    }
}

static int fetch_lease_time(struct sealio_session *session)
{
    uint8_t buf[1024];
    struct sealio_call call;
    struct sealio_reply reply;
    struct nfs4_attrs attrs;
    union nfs4_res res;
    const union nfs4_args args = {.getattr = {BITMAP4(FATTR4_LEASE_TIME)}};
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE);
    sealio_call_add(&call, OP_PUTROOTFH, NULL);
    sealio_call_add(&call, OP_GETATTR, &args);
    int rc = sealio_session_run(session, &call, &reply);
    if (rc == 0 && sealio_reply_next(&reply, OP_PUTROOTFH, &res) == 0 && res.status == NFS4_OK &&
        sealio_reply_next(&reply, OP_GETATTR, &res) == 0 && res.status == NFS4_OK &&
        nfs4_attrs_unpack(&res.getattr.resok4.obj_attributes, &attrs) == 0 &&
        bitmap4_isset(&attrs.present, FATTR4_LEASE_TIME) && attrs.lease_time > 0) {
        pthread_mutex_lock(&session->lock);
        session->lease_ms = (uint64_t)attrs.lease_time * 1000;
        session->lease_until = sealio_now_ms(); /* what was assumed so far may have been too long */
        pthread_mutex_unlock(&session->lock);
    }
    sealio_reply_free(&reply);
    return rc;
}

/* A client id that the server had not known before: everything of the earlier one is gone. */
static int begin_anew(struct sealio_session *session)
{
    pthread_mutex_lock(&session->lock);
    session->generation++;
    sealio_layouts_forget(session);
    pthread_mutex_unlock(&session->lock);
    sealio_files_reclaim(session);
    int rc = sealio_wire_reclaim_complete(session);
    return rc < 0 ? rc : fetch_lease_time(session);
}

/* One try, from a connection upwards. */
static int attempt_recovery(struct sealio_session *session, uint64_t deadline_ms)
{
    bool known = true;
    const bool first = session->clientid == 0;
    int rc = make_channel(session, deadline_ms);
    pthread_mutex_lock(&session->lock);
    const bool need_session = session->need_session, need_client = session->need_client;
    pthread_mutex_unlock(&session->lock);
    if (rc == 0 && !need_session && !need_client)
        return bind_connection(session, deadline_ms);
    if (rc == 0 && need_client)
        rc = sealio_wire_exchange_id(session, deadline_ms, &known);
    if (rc == 0)
        set_needs(session, true, false);
    session->reclaim_due |= !known;
    if (rc == 0)
        rc = make_session(session, deadline_ms);
    if (rc == 0 && session->reclaim_due) {
        rc = begin_anew(session);
        session->reclaim_due = rc < 0;
    }
    if (rc == 0 && !first)
        SESSION_COUNT(session, recoveries, 1);
    return rc;
}

static bool is_passing(int rc)
{
    return rc == -EAGAIN || rc == -ECONNRESET || rc == -ECONNREFUSED || rc == -ETIMEDOUT ||
           rc == -EPIPE || rc == -ENETUNREACH || rc == -EHOSTUNREACH || rc == -ECONNABORTED;
}

static void set_recovering(struct sealio_session *session, bool on)
{
    pthread_mutex_lock(&session->lock);
    session->is_recovering = on;
    session->recoverer = pthread_self();
    pthread_mutex_unlock(&session->lock);
}

/* A server that takes us, and at once knows us no more or hangs up, is not to be stormed. */
static void rest_of_short_lived(struct sealio_session *session, uint64_t deadline_ms)
{
    pthread_mutex_lock(&session->lock);
    const bool lasted = sealio_now_ms() >= session->restored_at + SHORT_MS;
    pthread_mutex_unlock(&session->lock);
    if (lasted)
        session->short_lived = 0;
    else if (session->short_lived < SHORT_LIVED_MAX + REST_MAX)
        session->short_lived++;
    if (session->short_lived > SHORT_LIVED_MAX)
        (void)sealio_backoff(session->short_lived - SHORT_LIVED_MAX, deadline_ms);
}

int sealio_session_restore(struct sealio_session *session, uint64_t deadline_ms)
{
    const bool first = session->clientid == 0;
    int rc;
    rest_of_short_lived(session, deadline_ms);
    SESSION_COUNT(session, reconnects, !first);
    set_recovering(session, true);
    for (unsigned tries = 0;; tries++) {
        drop_channel(session);
        rc = attempt_recovery(session, earlier_of(deadline_ms, sealio_now_ms() + STEP_MS));
        if (rc == 0 || !is_passing(rc))
            break;
        /* A server that is not there at all is told at once when the session is first opened. */
        if (first && rc != -EAGAIN)
            break;
        if (rc != -EAGAIN || tries > 3) {
            if (!sealio_backoff(tries, deadline_ms))
                break;
        }
    }
    set_recovering(session, false);
    return rc == -EAGAIN ? -ETIMEDOUT : rc;
}
