/*
 * SETATTR (RFC 8881 section 18.30). The stateid is checked on the loop, the rest happens on a
 * worker. A seal's flag forbids every change: an at-rest seal gives way first; of a pinned file the
 * modification time is kept by the keeper until the release, nothing else changes.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "layout/container_of.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/file/fs_access.h"
#include "server/file/fs_cred.h"
#include "server/file/fs_status.h"
#include "server/file/permission.h"
#include "server/keeper/keeper.h"
#include "server/nfs/attr.h"
#include "server/nfs/commit.h"
#include "server/nfs/op_io.h"
#include "server/nfs/seal_wait.h"
#include "server/server.h"

enum stage {
    START,     /* loop */
    APPLY,     /* worker */
    UNSEAL,    /* loop: the file turned out to be sealed */
    RELEASED,  /* loop: the keeper has answered */
    TELL_TIME, /* loop: the new mtime goes to the keeper */
    TOLD,      /* loop: the keeper has answered */
    TELL_SIZE, /* loop: so does the new size of a growing file */
    SIZED,     /* loop: the keeper has answered */
    COMMITTED, /* what cannot be flushed alone has been flushed with others */
};

struct setattr {
    struct seal_wait wait;
    struct keeper_wrote wrote;
    struct keeper_resize resize;
    struct commit_wait commit;
    struct attr_set set;
    struct compound *compound;
    nfsstat4 status; /* of the changes, before they are durable */
    bool opener;     /* opened for writing with this identity: need not be asked for permission */
    bool waited;
};

static bool wants_size(const struct compound *c)
{
    return bitmap4_isset(&c->args.setattr.obj_attributes.attrmask, FATTR4_SIZE);
}

static nfsstat4 set_size(struct compound *c, struct setattr *work)
{
    struct file *file = c->current.file;
    int rc = work->opener ? 0 : permission_check_io(&c->cred, &c->current, W_OK, c->on_worker);

    if (!rc)
        rc = attr_set_size_as(c, file, work->set.size);
    if (!rc)
        bitmap4_set(&c->res.setattr.attrsset, FATTR4_SIZE);
    return fs_status(rc);
}

static nfsstat4 set_others(struct compound *c, struct setattr *work)
{
    int rc = fs_cred_enter(&c->cred, c->current.export);

    if (rc)
        return fs_status(rc);
    rc = attr_set_apply(c->current.file, &work->set, &c->res.setattr.attrsset);
    fs_cred_leave();
    return fs_status(rc);
}

/* mtime alone (perhaps with atime, which nobody keeps for a sealed file): what a pinned seal can
 * take. */
static bool only_times(const struct attr_set *set)
{
    const bitmap4 times = BITMAP4(FATTR4_TIME_ACCESS_SET, FATTR4_TIME_MODIFY_SET);
    const bitmap4 others = bitmap4_minus(&set->want, &times);

    return bitmap4_empty(&others) && bitmap4_isset(&set->want, FATTR4_TIME_MODIFY_SET);
}

/* Only the owner may set a time of his choice (utimensat(2)); who may write may say "now". */
static bool asks_owner(const struct attr_set *set)
{
    const bitmap4 writers = BITMAP4(FATTR4_SIZE, FATTR4_TIME_ACCESS_SET, FATTR4_TIME_MODIFY_SET);
    const bitmap4 others = bitmap4_minus(&set->want, &writers);
    const bool atime =
        bitmap4_isset(&set->want, FATTR4_TIME_ACCESS_SET) && set->atime.tv_nsec != UTIME_NOW;
    const bool mtime =
        bitmap4_isset(&set->want, FATTR4_TIME_MODIFY_SET) && set->mtime.tv_nsec != UTIME_NOW;

    return atime || mtime || !bitmap4_empty(&others);
}

/* The size alone (perhaps with times of now, which it has anyhow): what a growing seal can take. */
static bool only_size(const struct attr_set *set)
{
    const bitmap4 size = BITMAP4(FATTR4_SIZE, FATTR4_TIME_ACCESS_SET, FATTR4_TIME_MODIFY_SET);
    const bitmap4 others = bitmap4_minus(&set->want, &size);

    return bitmap4_empty(&others) && bitmap4_isset(&set->want, FATTR4_SIZE) && !asks_owner(set) &&
           set->size <= INT64_MAX;
}

/* What the kernel would say if there were no seal, which is not disturbed for who may not. NFS4_OK,
 * PERM or ACCESS. */
static nfsstat4 may_change(const struct compound *c, const struct setattr *work)
{
    struct file_stat stat;
    struct cred cred;
    int rc = file_stat(c->current.file, &stat);

    if (rc)
        return fs_status(rc);
    export_cred(c->current.export, &c->cred, &cred);
    if (cred.uid == 0 || cred.uid == stat.stx.stx_uid)
        return NFS4_OK;
    if (asks_owner(&work->set))
        return NFS4ERR_PERM;
    return wants_size(c) && work->opener
               ? NFS4_OK
               : fs_status(fs_access_check(&c->cred, &c->current, W_OK, c->on_worker));
}

static enum op_next apply_sealed(struct compound *c, struct setattr *work)
{
    nfsstat4 status = may_change(c, work);

    if (status)
        return op_done(c, status);
    if (seal_kind(file_seal(c->current.file)) == SEAL_PINNED && only_size(&work->set) &&
        file_is_growing(c->current.file))
        c->stage = TELL_SIZE;
    else if (seal_kind(file_seal(c->current.file)) == SEAL_PINNED && only_times(&work->set))
        c->stage = TELL_TIME;
    else
        c->stage = UNSEAL;
    return OP_LOOP;
}

static enum op_next attrs_committed(struct compound *c, struct setattr *work)
{
    if (!work->status && work->commit.error)
        work->status = fs_status(work->commit.error);
    return op_done(c, work->status);
}

/* A flush of the whole file system serves all that wait for one. */
static enum op_next commit_attrs(struct compound *c, struct setattr *work)
{
    if (!attr_commits_all(c->current.file)) {
        work->commit.error = attr_commit(c->server, c->current.file);
        return attrs_committed(c, work);
    }
    c->stage = COMMITTED;
    if (commit_dirs(c, &work->commit, c->current.file, NULL) == OP_WAIT)
        return OP_WAIT;
    return attrs_committed(c, work);
}

static enum op_next apply_attrs(struct compound *c, struct setattr *work)
{
    const bitmap4 size = BITMAP4(FATTR4_SIZE);
    nfsstat4 status = attr_set_decode(c, &c->args.setattr.obj_attributes, &work->set);
    bitmap4 others;

    if (status)
        return op_done(c, status);
    if (bitmap4_empty(&work->set.want))
        return op_done(c, NFS4_OK);
    if (file_seal(c->current.file) != SEAL_NONE)
        return apply_sealed(c, work);
    if (wants_size(c))
        status = set_size(c, work);
    others = bitmap4_minus(&work->set.want, &size);
    if (!status && !bitmap4_empty(&others))
        status = set_others(c, work);
    if (status == NFS4ERR_PERM &&
        file_seal(c->current.file) != SEAL_NONE) /* sealed while we were at it */
        return apply_sealed(c, work);
    if (bitmap4_empty(&c->res.setattr.attrsset))
        return op_done(c, status);
    work->status = status;
    return commit_attrs(c, work);
}

static enum op_next start_setattr(struct compound *c, struct setattr *work)
{
    const stateid4 *stateid = &c->args.setattr.stateid;
    nfsstat4 status;

    if (!export_is_writable(c->current.export))
        return op_done(c, NFS4ERR_ROFS);
    if (wants_size(c) && c->on_worker) /* stateids belong to the loop */
        return OP_LOOP;
    if (wants_size(c)) {
        mode_t type = file_type(c->current.file);

        if (!S_ISREG(type))
            return op_done(c, S_ISDIR(type) ? NFS4ERR_WRONG_TYPE : NFS4ERR_INVAL);
        status = io_state_find(c, stateid, FILE_WRITE, &work->opener);
        if (status)
            return op_done(c, status);
    }
    c->stage = APPLY;
    return c->on_worker ? apply_attrs(c, work) : OP_BLOCK;
}

static enum op_next release_seal(struct compound *c, struct setattr *work)
{
    nfsstat4 status;

    if (file_seal(c->current.file) == SEAL_NONE) {
        c->stage = APPLY;
        return OP_BLOCK;
    }
    if (work->waited) /* sealed again under our hands */
        return op_done(c, NFS4ERR_DELAY);
    work->waited = true;
    status = seal_wait_start(c, &work->wait, c->current.file);
    if (status)
        return op_done(c, status);
    c->stage = RELEASED;
    return OP_WAIT;
}

static enum op_next seal_released(struct compound *c, struct setattr *work)
{
    nfsstat4 status = seal_wait_status(&work->wait, c->current.file);

    if (status)
        return op_done(c, status);
    c->stage = APPLY;
    return OP_BLOCK;
}

static void time_told(struct loop_msg *msg)
{
    struct setattr *work = container_of(msg, struct setattr, wrote.call.reply);

    compound_resume(work->compound);
}

static uint64_t wanted_mtime_ns(const struct attr_set *set)
{
    struct timespec time = set->mtime;

    if (time.tv_nsec == UTIME_NOW)
        clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

static enum op_next tell_time(struct compound *c, struct setattr *work)
{
    /* The keeper's times begin in 1970 and are nanoseconds in 64 bits: they end in 2554. */
    if (work->set.mtime.tv_sec < 0 ||
        (uint64_t)work->set.mtime.tv_sec >= UINT64_MAX / UINT64_C(1000000000))
        return op_done(c, NFS4ERR_INVAL);
    work->compound = c;
    work->wrote = (struct keeper_wrote){
        .call = {.reply.run = time_told, .reply_loop = c->loop},
        .file = c->current.file,
        .mtime_ns = wanted_mtime_ns(&work->set),
    };
    c->stage = TOLD;
    keeper_wrote(c->server->keeper, &work->wrote);
    return OP_WAIT;
}

static enum op_next told_time(struct compound *c, struct setattr *work)
{
    if (work->wrote.call.status == NFS4_OK)
        bitmap4_set(&c->res.setattr.attrsset, FATTR4_TIME_MODIFY_SET);
    return op_done(c, work->wrote.call.status);
}

static void size_told(struct loop_msg *msg)
{
    struct setattr *work = container_of(msg, struct setattr, resize.call.reply);

    compound_resume(work->compound);
}

static enum op_next tell_size(struct compound *c, struct setattr *work)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    work->compound = c;
    work->resize = (struct keeper_resize){
        .call = {.reply.run = size_told, .reply_loop = c->loop},
        .file = c->current.file,
        .client_id = c->client_id,
        .size = work->set.size,
        .mtime_ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec,
    };
    c->stage = SIZED;
    keeper_resize(c->server->keeper, &work->resize);
    return OP_WAIT;
}

static enum op_next told_size(struct compound *c, struct setattr *work)
{
    nfsstat4 status = work->resize.call.status;

    if (status == NFS4ERR_RECALLCONFLICT)
        return release_seal(c, work);
    if (status == NFS4_OK)
        c->res.setattr.attrsset = work->set.want;
    return op_done(c, status == NFS4_OK ? status : NFS4ERR_DELAY);
}

enum op_next op_setattr(struct compound *c)
{
    static enum op_next (*const stages[])(struct compound * c, struct setattr * work) = {
        [START] = start_setattr,    [APPLY] = apply_attrs,   [UNSEAL] = release_seal,
        [RELEASED] = seal_released, [TELL_TIME] = tell_time, [TOLD] = told_time,
        [TELL_SIZE] = tell_size,    [SIZED] = told_size,     [COMMITTED] = attrs_committed,
    };

    if (!c->op_state)
        c->op_state = arena_alloc(&c->arena, sizeof(struct setattr));
    if (!c->op_state)
        return op_done(c, NFS4ERR_DELAY);
    return stages[c->stage](c, c->op_state);
}
