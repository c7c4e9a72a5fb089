/*
 * op_open.c - OPEN (RFC 8881 section 18.16): the claims but delegations, share reservations, and a
 * seal that is in the way. Names and creation are in nfs/op_open_name.c; OPEN_DOWNGRADE and CLOSE
 * are at the end.
 *
 * The stages of OPEN: arguments and grace on the loop; the file and permission (FIND), on the loop
 * too when all of it is in memory, else, and for creation, on a worker; a new file's name made
 * durable (COMMITTED); share reservation and stateid on the loop (SHARE). A truncation holds a
 * reservation while a worker does it (TRUNCATE). A writer who meets an at-rest seal waits for the
 * keeper to release it (RELEASED) and tries again.
 *
 * An open holds no descriptor: the file's O_PATH descriptor keeps it alive, removed or not, and
 * READ and WRITE open what they need when they need it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "server/client/client.h"
#include "server/client/recovery.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/file/fs_access.h"
#include "server/file/fs_status.h"
#include "server/keeper/keeper.h"
#include "server/nfs/op_open.h"
#include "server/nfs/seal_wait.h"
#include "server/server.h"
#include "server/state/state.h"

enum open_stage {
    OPEN_START,
    OPEN_FIND,
    OPEN_COMMITTED,
    OPEN_SHARE,
    OPEN_RELEASED,
    OPEN_TRUNCATE,
    OPEN_TRUNCATED
};

static enum op_next next_stage(struct compound *c, enum open_stage stage, enum op_next where)
{
    c->stage = stage;
    return where;
}

static enum op_next finish_open(struct compound *c, struct open_work *work, nfsstat4 status)
{
    if (work->charged)
        state_open_discharge(client_state(c->client));
    file_unref(work->at.file);
    return op_done(c, status);
}

static bool is_by_name(const OPEN4args *args)
{
    return args->claim.claim == CLAIM_NULL;
}

nfsstat4 open_check_type(mode_t type)
{
    switch (type & S_IFMT) {
    case S_IFREG:
        return NFS4_OK;
    case S_IFDIR:
        return NFS4ERR_ISDIR;
    case S_IFLNK:
        return NFS4ERR_SYMLINK;
    default:
        return NFS4ERR_WRONG_TYPE;
    }
}

void open_refused_share(struct compound *c, enum state_lack lack, const char *what)
{
    if (lack == STATE_LACKS_ALL)
        clients_yield_expired(c->server->clients, NULL);
    else if (lack == STATE_LACKS_SHARE)
        clients_yield_expired(c->server->clients, c->client);
    client_note_share(c->client, what);
}

/* What is wrong with the arguments whatever the file is. */
static nfsstat4 check_args(const struct compound *c, const OPEN4args *args)
{
    bool creates = args->openhow.opentype == OPEN4_CREATE;

    if (args->openhow.opentype > OPEN4_CREATE)
        return NFS4ERR_BADXDR; /* no value of the enumeration (15.1.1.1) */
    if (share_access_mode(args->share_access) == 0 || !share_deny_is_valid(args->share_deny))
        return NFS4ERR_INVAL;
    switch (args->claim.claim) {
    case CLAIM_NULL:
        break;
    case CLAIM_FH:
        if (creates)
            return NFS4ERR_INVAL;
        break;
    case CLAIM_PREVIOUS:
        if (creates)
            return NFS4ERR_INVAL;
        if (args->claim.delegate_type > OPEN_DELEGATE_NONE_EXT)
            return NFS4ERR_BADXDR;
        /* No delegation was ever granted, so none can be reclaimed. */
        return args->claim.delegate_type == OPEN_DELEGATE_NONE ? NFS4_OK : NFS4ERR_RECLAIM_BAD;
    case CLAIM_DELEGATE_CUR:
    case CLAIM_DELEG_CUR_FH:
        return NFS4ERR_BAD_STATEID;
    case CLAIM_DELEGATE_PREV: /* nothing of before is kept for a client; NOTSUPP is not allowed */
    case CLAIM_DELEG_PREV_FH:
        return NFS4ERR_RECLAIM_BAD;
    default:
        return NFS4ERR_INVAL;
    }
    /* EXCLUSIVE4 is for who was told of no layouts, and only for him (table 18). */
    return creates && args->openhow.how.mode == EXCLUSIVE4 && !c->no_layouts ? NFS4ERR_INVAL
                                                                             : NFS4_OK;
}

nfsstat4 reclaim_check(const struct compound *c, bool reclaim)
{
    bool grace = recovery_in_grace(c->server->recovery);

    if (!reclaim)
        return grace || !client_reclaim_is_complete(c->client) ? NFS4ERR_GRACE : NFS4_OK;
    if (!grace || client_reclaim_is_complete(c->client))
        return NFS4ERR_NO_GRACE;
    if (!client_may_reclaim(c->client))
        return NFS4ERR_RECLAIM_BAD;
    recovery_reclaim_seen(c->server->recovery);
    return NFS4_OK;
}

static nfsstat4 check_place(const struct compound *c, const OPEN4args *args, struct open_work *work)
{
    if (is_by_name(args)) {
        nfsstat4 status = name_check(args->claim.file, c->server->config->utf8_names, work->name);

        if (status != NFS4_OK)
            return status;
        return S_ISDIR(file_type(c->current.file)) ? NFS4_OK : NFS4ERR_NOTDIR;
    }
    return open_check_type(file_type(c->current.file));
}

static nfsstat4 check_permission(const struct compound *c, struct open_work *work)
{
    int mode = 0, error;

    if (work->created)
        return NFS4_OK; /* who creates a file may open it, whatever its mode */
    if (work->access & OPEN4_SHARE_ACCESS_READ)
        mode |= R_OK;
    if ((work->access & OPEN4_SHARE_ACCESS_WRITE) || work->truncate)
        mode |= W_OK;
    if ((mode & W_OK) && !export_is_writable(work->at.export))
        return NFS4ERR_ROFS;
    error = fs_access_check(&c->cred, &work->at, mode, c->on_worker);
    if (error == -EACCES && mode == R_OK)
        error = fs_access_check(&c->cred, &work->at, X_OK,
                                c->on_worker); /* to run it, a client has to read it */
    work->blocks = !c->on_worker && error == -EAGAIN;
    return error == -EPERM && file_seal(work->at.file) != SEAL_NONE ? NFS4ERR_DELAY
                                                                    : fs_status(error);
}

static nfsstat4 find_file(struct compound *c, struct open_work *work)
{
    if (is_by_name(&c->args.open))
        return open_by_name(c, work);
    work->at = (struct place){.file = file_ref(c->current.file), .export = c->current.export};
    return NFS4_OK;
}

/* What this OPEN has created is durable, or is not. */
static enum op_next open_committed(struct compound *c, struct open_work *work)
{
    if (work->commit.error)
        return finish_open(c, work, fs_status(work->commit.error));
    return next_stage(c, OPEN_SHARE, OP_LOOP);
}

static enum op_next find_target(struct compound *c, struct open_work *work)
{
    nfsstat4 status = find_file(c, work);

    if (status == NFS4_OK)
        status = open_check_type(file_type(work->at.file));
    if (status == NFS4_OK)
        status = check_permission(c, work);
    if (work->blocks) {
        file_unref(work->at.file);
        work->at.file = NULL;
        work->blocks = false;
        return next_stage(c, OPEN_FIND, OP_BLOCK);
    }
    if (status != NFS4_OK)
        return finish_open(c, work, status);
    c->stage = OPEN_COMMITTED;
    if (work->to_commit && commit_dirs(c, &work->commit, work->to_commit, NULL) == OP_WAIT)
        return OP_WAIT;
    return open_committed(c, work);
}

static enum op_next start_open(struct compound *c)
{
    const OPEN4args *args = &c->args.open;
    struct open_work *work = arena_alloc(&c->arena, sizeof *work);
    nfsstat4 status = NFS4ERR_DELAY;

    if (!work)
        goto fail;
    c->op_state = work;
    status = check_args(c, args);
    if (status == NFS4_OK)
        status = reclaim_check(c, args->claim.claim == CLAIM_PREVIOUS);
    if (status == NFS4_OK)
        status = check_place(c, args, work);
    if (status != NFS4_OK)
        goto fail;
    work->access = share_access_mode(args->share_access);
    if (args->openhow.opentype == OPEN4_CREATE) {
        /* Before the file is made: who is told DELAY comes again, and a GUARDED4 must not find what
         * it made itself. */
        enum state_lack lack = state_open_charge(client_state(c->client));

        work->charged = lack == STATE_LACKS_NOTHING;
        if (work->charged)
            return next_stage(c, OPEN_FIND, OP_BLOCK);
        open_refused_share(c, lack, "open files");
        status = NFS4ERR_DELAY;
        goto fail;
    }
    return find_target(c, work);
fail:
    return op_done(c, status);
}

static void put_delegation(uint32_t share_access, open_delegation4 *delegation)
{
    uint32_t wish = share_access & OPEN4_SHARE_ACCESS_WANT_DELEG_MASK;

    delegation->delegation_type = wish ? OPEN_DELEGATE_NONE_EXT : OPEN_DELEGATE_NONE;
    if (wish == OPEN4_SHARE_ACCESS_WANT_NO_DELEG)
        delegation->od_whynone.ond_why = WND4_NOT_WANTED;
    else if (wish == OPEN4_SHARE_ACCESS_WANT_CANCEL)
        delegation->od_whynone.ond_why = WND4_CANCELLED;
    else
        delegation->od_whynone.ond_why = WND4_NOT_SUPP_FTYPE;
}

static enum op_next open_succeeded(struct compound *c, struct open_work *work,
                                   const stateid4 *stateid)
{
    OPEN4resok *res = &c->res.open.resok4;

    res->stateid = *stateid;
    res->cinfo = work->cinfo;
    /* Not PRESERVE_UNLINKED: a removed file does not outlive a restart. Not MAY_NOTIFY_LOCK:
     * waiting lockers poll. */
    res->rflags = OPEN4_RESULT_LOCKTYPE_POSIX;
    res->attrset = work->attrset;
    put_delegation(c->args.open.share_access, &res->delegation);
    if (is_by_name(&c->args.open))
        compound_set_fh(c, file_ref(work->at.file), work->at.export);
    compound_set_stateid(c, stateid);
    if (work->access & OPEN4_SHARE_ACCESS_WRITE && file_is_growing(work->at.file))
        keeper_writer(c->server->keeper, work->at.file, c->client_id, true);
    return finish_open(c, work, NFS4_OK);
}

/* A share reservation or the seal said no. */
static enum op_next open_refused(struct compound *c, struct open_work *work, nfsstat4 status,
                                 uint64_t conflict)
{
    if (status == NFS4ERR_SHARE_DENIED && conflict && conflict != c->client_id &&
        client_yield_expired(c->server->clients, conflict))
        status = NFS4ERR_DELAY;
    if (status == NFS4ERR_SHARE_DENIED && c->args.open.claim.claim == CLAIM_PREVIOUS)
        status = NFS4ERR_RECLAIM_CONFLICT;
    if (status != NFS4ERR_FILE_OPEN || work->released)
        return finish_open(c, work, status == NFS4ERR_FILE_OPEN ? NFS4ERR_DELAY : status);
    status = seal_wait_start(c, &work->release, work->at.file);
    if (status != NFS4_OK)
        return finish_open(c, work, status);
    return next_stage(c, OPEN_RELEASED, OP_WAIT);
}

static enum op_next take_share(struct compound *c, struct open_work *work, bool reserved)
{
    struct cred cred = {0};
    struct state_open open = {
        .file = work->at.file,
        .export = work->at.export,
        .owner = c->args.open.owner.owner,
        .cred = &cred,
        .access = work->access,
        .deny = c->args.open.share_deny,
        .reserved = reserved,
        .charged = work->charged,
    };
    stateid4 stateid;
    uint64_t conflict = 0;
    nfsstat4 status;

    export_cred(work->at.export, &c->cred, &cred);
    status = state_open(client_state(c->client), &open, &stateid, &conflict);
    work->charged = open.charged;
    if (open.lack)
        open_refused_share(c, open.lack, "open files");
    if (status != NFS4_OK)
        return open_refused(c, work, status, conflict);
    return open_succeeded(c, work, &stateid);
}

static enum op_next reserve_share(struct compound *c, struct open_work *work)
{
    uint64_t conflict = 0;
    nfsstat4 status =
        state_reserve(work->at.file, work->access, c->args.open.share_deny, &conflict);

    if (status != NFS4_OK)
        return open_refused(c, work, status, conflict);
    return next_stage(c, OPEN_TRUNCATE, OP_BLOCK);
}

/* The at-rest seal is gone, or is not. */
static enum op_next open_released(struct compound *c, struct open_work *work)
{
    nfsstat4 status = seal_wait_status(&work->release, work->at.file);

    if (status != NFS4_OK)
        return finish_open(c, work, status);
    work->released = true;
    return next_stage(c, OPEN_SHARE, OP_LOOP);
}

static enum op_next truncate_file(struct compound *c, struct open_work *work)
{
    int error = attr_set_size_as(c, work->at.file, 0); /* set-id bits go, as for any open */

    if (error < 0) {
        state_unreserve(work->at.file, work->access, c->args.open.share_deny);
        return finish_open(c, work,
                           error == -EPERM && file_seal(work->at.file) != SEAL_NONE
                               ? NFS4ERR_DELAY
                               : fs_status(error));
    }
    file_changed(work->at.file);
    bitmap4_set(&work->attrset, FATTR4_SIZE);
    return next_stage(c, OPEN_TRUNCATED, OP_LOOP);
}

enum op_next op_open(struct compound *c)
{
    struct open_work *work = c->op_state;

    switch ((enum open_stage)c->stage) {
    case OPEN_START:
        return c->on_worker ? OP_LOOP : start_open(c);
    case OPEN_FIND:
        return find_target(c, work);
    case OPEN_COMMITTED:
        return open_committed(c, work);
    case OPEN_SHARE:
        return work->truncate ? reserve_share(c, work) : take_share(c, work, false);
    case OPEN_RELEASED:
        return open_released(c, work);
    case OPEN_TRUNCATE:
        return truncate_file(c, work);
    case OPEN_TRUNCATED:
        return take_share(c, work, true);
    }
    return op_done(c, NFS4ERR_SERVERFAULT);
}

/* It may have been the client's last that could write. */
static void note_closed(const struct compound *c)
{
    if (file_is_growing(c->current.file) &&
        !state_client_writes(client_state(c->client), c->current.file))
        keeper_writer(c->server->keeper, c->current.file, c->client_id, false);
}

enum op_next op_open_downgrade(struct compound *c)
{
    const OPEN_DOWNGRADE4args *args = &c->args.open_downgrade;
    uint32_t access = share_access_mode(args->share_access);
    stateid4 resolved, *out = &c->res.open_downgrade.resok4.open_stateid;
    nfsstat4 status = compound_resolve_stateid(c, &args->open_stateid, &resolved);

    if (c->on_worker)
        return OP_LOOP;
    if (status == NFS4_OK && (access == 0 || !share_deny_is_valid(args->share_deny)))
        status = NFS4ERR_INVAL;
    if (status == NFS4_OK)
        status = state_open_downgrade(client_state(c->client), c->current.file, &resolved, access,
                                      args->share_deny, out);
    if (status == NFS4_OK) {
        compound_set_stateid(c, out);
        note_closed(c);
    }
    return op_done(c, status);
}

enum op_next op_close(struct compound *c)
{
    stateid4 resolved, *out = &c->res.close.open_stateid;
    nfsstat4 status = compound_resolve_stateid(c, &c->args.close.open_stateid, &resolved);

    if (c->on_worker)
        return OP_LOOP;
    if (status == NFS4_OK)
        status = state_close(client_state(c->client), c->current.file, &resolved);
    if (status == NFS4_OK) {
        /* The invalid special stateid, so that its use is found out (18.2.4). */
        *out = (stateid4){.seqid = UINT32_MAX};
        compound_set_stateid(c, out);
        note_closed(c);
    }
    return op_done(c, status);
}
