/*
 * EXCHANGE_ID, CREATE_SESSION, BIND_CONN_TO_SESSION, RECLAIM_COMPLETE and their undoing (RFC 8881
 * sections 18.34 to 18.37, 18.50, 18.51). On the thread that opens, recovers or closes the session;
 * nobody else uses the channel meanwhile.
 */
#include "client/net/status.h"
#include "client/session_impl.h"

#include <errno.h>
#include <string.h>

enum { BARE_SIZE = 2048 };

/* Sends a call without SEQUENCE, once. 0: res is the result of its only operation; views in it live
 * in reply.
 */
static int call_bare(struct sealio_session *session, uint32_t op, const union nfs4_args *args,
                     uint64_t deadline_ms, struct sealio_reply *reply, union nfs4_res *res)
{
    uint8_t buf[BARE_SIZE];
    struct sealio_call call;
    struct iovec iov[XDR_OUT_MAX_IOV];
    uint8_t *data;
    size_t len;
    *reply = (struct sealio_reply){.data = NULL};
    sealio_call_begin(&call, buf, sizeof(buf), &session->cred, SEALIO_CALL_BARE);
    sealio_call_add(&call, op, args);
    int rc = sealio_call_end(&call);
    if (rc < 0)
        return rc;
    const uint32_t xid = sealio_channel_xid(session->channel);
    sealio_call_set_xid(&call, xid);
    const unsigned count = xdr_out_iov(&call.out, iov, XDR_OUT_MAX_IOV);
    SESSION_COUNT(session, calls, 1);
    rc = sealio_channel_call(session->channel, xid, iov, count, deadline_ms, &data, &len);
    if (rc < 0)
        return sealio_fail(session, rc, "%s: the connection to %s was lost before the answer",
                           nfs4_op_name(op), session->host);
    rc = sealio_reply_init(reply, data, len);
    if (rc == 0)
        rc = sealio_reply_next(reply, op, res);
    if (rc == -ENODATA &&
        reply->status != NFS4_OK) /* refused as a whole, e.g. MINOR_VERS_MISMATCH */
        return sealio_fail(session, sealio_status_errno(reply->status),
                           "%s: the server at %s answers %s", nfs4_op_name(op), session->host,
                           nfs4_status_name(reply->status));
    if (rc < 0)
        return sealio_fail(session, rc, "%s: the server at %s gave no usable answer",
                           nfs4_op_name(op), session->host);
    return 0;
}

int sealio_wire_exchange_id(struct sealio_session *session, uint64_t deadline_ms, bool *known)
{
    union nfs4_args args = {.exchange_id = {.eia_flags = EXCHGID4_FLAG_USE_PNFS_MDS}};
    union nfs4_res res;
    struct sealio_reply reply;
    client_owner4 *owner = &args.exchange_id.eia_clientowner;
    memcpy(owner->co_verifier, session->verifier, NFS4_VERIFIER_SIZE);
    owner->co_ownerid = (struct xdr_bytes){session->owner, session->owner_len};
    int rc = call_bare(session, OP_EXCHANGE_ID, &args, deadline_ms, &reply, &res);
    if (rc == 0 && res.status != NFS4_OK)
        rc = sealio_fail(session, sealio_status_errno(res.status),
                         "EXCHANGE_ID: the server answers %s", nfs4_status_name(res.status));
    if (rc == 0) {
        const EXCHANGE_ID4resok *ok = &res.exchange_id.eir_resok4;
        pthread_mutex_lock(&session->lock);
        session->clientid = ok->eir_clientid;
        session->create_sequence = ok->eir_sequenceid;
        session->exchange_flags = ok->eir_flags;
        pthread_mutex_unlock(&session->lock);
        *known = ok->eir_flags & EXCHGID4_FLAG_CONFIRMED_R;
    }
    sealio_reply_free(&reply);
    return rc;
}

static uint32_t smaller_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void adopt_session(struct sealio_session *session, const CREATE_SESSION4resok *ok)
{
    const channel_attrs4 *fore = &ok->csr_fore_chan_attrs;
    memcpy(session->sessionid, ok->csr_sessionid, NFS4_SESSIONID_SIZE);
    session->create_sequence++;
    session->limits = (struct session_limits){
        .max_request = smaller_of(fore->ca_maxrequestsize, SEALIO_MAX_MESSAGE),
        .max_response = smaller_of(fore->ca_maxresponsesize, SEALIO_MAX_MESSAGE),
        .max_ops = fore->ca_maxoperations,
    };
    session->slot_count = smaller_of(fore->ca_maxrequests, SEALIO_SLOTS);
    for (unsigned i = 0; i < SEALIO_SLOTS; i++)
        session->slots[i].sequence = 0;
    sealio_backchannel_reset(session->backchannel, session->sessionid,
                             ok->csr_back_chan_attrs.ca_maxrequests);
    sealio_channel_set_max_record(session->channel, session->limits.max_response + 4096);
}

int sealio_wire_create_session(struct sealio_session *session, uint64_t deadline_ms,
                               nfsstat4 *status)
{
    callback_sec_parms4 security[] = {{.cb_secflavor = RPC_AUTH_NONE}};
    union nfs4_args args = {
        .create_session = {
            .csa_clientid = session->clientid,
            .csa_sequence = session->create_sequence,
            .csa_flags = CREATE_SESSION4_FLAG_CONN_BACK_CHAN,
            .csa_fore_chan_attrs = {.ca_maxrequestsize = SEALIO_MAX_MESSAGE,
                                    .ca_maxresponsesize = SEALIO_MAX_MESSAGE,
                                    .ca_maxresponsesize_cached = 4096,
                                    .ca_maxoperations = 16,
                                    .ca_maxrequests = SEALIO_SLOTS},
            .csa_back_chan_attrs = {.ca_maxrequestsize = 4096,
                                    .ca_maxresponsesize = SEALIO_CB_MAX_REPLY,
                                    .ca_maxresponsesize_cached = SEALIO_CB_MAX_REPLY,
                                    .ca_maxoperations = 4,
                                    .ca_maxrequests = SEALIO_CB_SLOTS},
            .csa_cb_program = SEALIO_CB_PROGRAM,
            .csa_sec_parms_count = 1,
            .csa_sec_parms = security,
        }};
    union nfs4_res res;
    struct sealio_reply reply;
    int rc = call_bare(session, OP_CREATE_SESSION, &args, deadline_ms, &reply, &res);
    if (rc == 0) {
        const CREATE_SESSION4resok *ok = &res.create_session.csr_resok4;
        *status = res.status;
        if (res.status == NFS4_OK && (ok->csr_fore_chan_attrs.ca_maxrequests == 0 ||
                                      ok->csr_fore_chan_attrs.ca_maxoperations < 8 ||
                                      ok->csr_fore_chan_attrs.ca_maxresponsesize < 8192 ||
                                      ok->csr_fore_chan_attrs.ca_maxrequestsize < 8192))
            rc = sealio_fail(session, -EPROTO,
                             "CREATE_SESSION: the server grants too little to work with");
        else if (res.status == NFS4_OK) {
            pthread_mutex_lock(&session->lock);
            adopt_session(session, ok);
            pthread_mutex_unlock(&session->lock);
        }
    }
    sealio_reply_free(&reply);
    return rc;
}

int sealio_wire_bind(struct sealio_session *session, uint64_t deadline_ms, nfsstat4 *status)
{
    union nfs4_args args = {.bind_conn_to_session = {.bctsa_dir = CDFC4_FORE_OR_BOTH}};
    union nfs4_res res;
    struct sealio_reply reply;
    memcpy(args.bind_conn_to_session.bctsa_sessid, session->sessionid, NFS4_SESSIONID_SIZE);
    int rc = call_bare(session, OP_BIND_CONN_TO_SESSION, &args, deadline_ms, &reply, &res);
    if (rc == 0)
        *status = res.status;
    sealio_reply_free(&reply);
    return rc;
}

int sealio_wire_reclaim_complete(struct sealio_session *session)
{
    uint8_t buf[BARE_SIZE];
    struct sealio_call call;
    struct sealio_reply reply;
    union nfs4_res res;
    const union nfs4_args args = {.reclaim_complete = {.rca_one_fs = false}};
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE_CACHED);
    sealio_call_add(&call, OP_RECLAIM_COMPLETE, &args);
    int rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = sealio_reply_next(&reply, OP_RECLAIM_COMPLETE, &res);
    if (rc == 0 && res.status != NFS4_OK && res.status != NFS4ERR_COMPLETE_ALREADY)
        rc = sealio_fail(session, sealio_status_errno(res.status),
                         "RECLAIM_COMPLETE: the server answers %s", nfs4_status_name(res.status));
    sealio_reply_free(&reply);
    return rc;
}

void sealio_wire_destroy(struct sealio_session *session, uint64_t deadline_ms)
{
    union nfs4_args args = {.destroy_session = {{0}}};
    union nfs4_res res;
    struct sealio_reply reply;
    memcpy(args.destroy_session.dsa_sessionid, session->sessionid, NFS4_SESSIONID_SIZE);
    int rc = call_bare(session, OP_DESTROY_SESSION, &args, deadline_ms, &reply, &res);
    sealio_reply_free(&reply);
    if (rc < 0)
        return;
    args = (union nfs4_args){.destroy_clientid = {session->clientid}};
    call_bare(session, OP_DESTROY_CLIENTID, &args, deadline_ms, &reply, &res);
    sealio_reply_free(&reply);
}
