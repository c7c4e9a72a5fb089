/*
 * op_lock.c - LOCK, LOCKT, LOCKU (RFC 8881 sections 18.10 to 18.12). On the client's loop; nothing
 * waits: a client polls for a lock it was denied (9.6).
 */
#include "server/client/client.h"
#include "server/client/recovery.h"
#include "server/file/file.h"
#include "server/nfs/compound.h"
#include "server/nfs/op_open.h"
#include "server/server.h"
#include "server/state/lock_range.h"
#include "server/state/state.h"

static bool type_is_known(nfs_lock_type4 type)
{
    return type == READ_LT || type == WRITE_LT || type == READW_LT || type == WRITEW_LT;
}

static bool type_is_exclusive(nfs_lock_type4 type)
{
    return type == WRITE_LT || type == WRITEW_LT;
}

static nfsstat4 make_request(const struct compound *c, nfs_lock_type4 type, offset4 offset,
                             length4 length, struct state_lock *request)
{
    if (!type_is_known(type))
        return NFS4ERR_BADXDR; /* no value of the enumeration (15.1.1.1) */
    request->file = c->current.file;
    request->exclusive = type_is_exclusive(type);
    return lock_range_from_wire(offset, length, &request->first, &request->last) ? NFS4_OK
                                                                                 : NFS4ERR_INVAL;
}

/* LOCKU has no error for what is not a file: no lock stateid is of such a thing. */
static nfsstat4 make_file_request(const struct compound *c, nfs_lock_type4 type, offset4 offset,
                                  length4 length, struct state_lock *request)
{
    nfsstat4 status = open_check_type(file_type(c->current.file));

    return status != NFS4_OK ? status : make_request(c, type, offset, length, request);
}

/* A lock that an expired client left behind goes, and where there are too few, what such clients
 * left. */
static nfsstat4 judge_denied(struct compound *c, nfsstat4 status, const struct state_lock *request,
                             const LOCK4denied *denied)
{
    uint64_t holder = denied->owner.clientid;

    if (request->lack)
        open_refused_share(c, request->lack, "locks");
    if (status == NFS4ERR_DENIED && holder != c->client_id &&
        client_yield_expired(c->server->clients, holder))
        return NFS4ERR_DELAY;
    return status;
}

enum op_next op_lock(struct compound *c)
{
    const LOCK4args *args = &c->args.lock;
    const locker4 *locker = &args->locker;
    const stateid4 *named = locker->new_lock_owner ? &locker->open_owner.open_stateid
                                                   : &locker->lock_owner.lock_stateid;
    const struct xdr_bytes *owner =
        locker->new_lock_owner ? &locker->open_owner.lock_owner.owner : NULL;
    struct state_lock request = {0};
    LOCK4denied conflict = {0};
    stateid4 stateid, out;
    nfsstat4 status = make_file_request(c, args->locktype, args->offset, args->length, &request);

    if (c->on_worker)
        return OP_LOOP;
    if (status == NFS4_OK)
        status = reclaim_check(c, args->reclaim);
    if (status == NFS4_OK)
        status = compound_resolve_latest(c, named, &stateid);
    if (status == NFS4_OK)
        status = state_lock_set(client_state(c->client), &request, &stateid, owner, &c->arena, &out,
                                &conflict);
    status = judge_denied(c, status, &request, &conflict);
    if (status == NFS4ERR_DENIED && args->reclaim)
        status = NFS4ERR_RECLAIM_CONFLICT;
    c->res.status = status;
    if (status == NFS4_OK) {
        c->res.lock.resok4.lock_stateid = out;
        compound_set_stateid(c, &out);
    } else if (status == NFS4ERR_DENIED) {
        c->res.lock.denied = conflict;
    }
    return OP_DONE;
}

enum op_next op_lockt(struct compound *c)
{
    const LOCKT4args *args = &c->args.lockt;
    struct state_lock request = {0};
    LOCK4denied conflict = {0};
    nfsstat4 status = make_file_request(c, args->locktype, args->offset, args->length, &request);

    if (c->on_worker)
        return OP_LOOP;
    if (status == NFS4_OK && recovery_in_grace(c->server->recovery))
        status = NFS4ERR_GRACE;
    if (status == NFS4_OK)
        status = state_lock_test(client_state(c->client), &request, args->owner.owner, &c->arena,
                                 &conflict);
    status = judge_denied(c, status, &request, &conflict);
    c->res.status = status;
    if (status == NFS4ERR_DENIED)
        c->res.lockt.denied = conflict;
    return OP_DONE;
}

enum op_next op_locku(struct compound *c)
{
    const LOCKU4args *args = &c->args.locku;
    struct state_lock request = {0};
    stateid4 stateid, out;
    nfsstat4 status = make_request(c, args->locktype, args->offset, args->length, &request);

    if (c->on_worker)
        return OP_LOOP;
    if (status == NFS4_OK)
        status = compound_resolve_latest(c, &args->lock_stateid, &stateid);
    if (status == NFS4_OK)
        status = state_lock_clear(client_state(c->client), &request, &stateid, &out);
    if (status != NFS4_OK && request.lack)
        open_refused_share(c, request.lack, "locks");
    c->res.status = status;
    if (status == NFS4_OK) {
        c->res.locku.lock_stateid = out;
        compound_set_stateid(c, &out);
    }
    return OP_DONE;
}
