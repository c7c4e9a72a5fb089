/*
 * Opening and closing files (RFC 8881 sections 18.16, 18.2, 9.1), and getting opens back after a
 * restart. See sealio.h and file_impl.h. Any thread.
 */
#include "client/file_impl.h"

#include "client/path.h"
#include "proto/nfs4/attr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A number that nobody else in the session has makes each open its own, so that a CLOSE closes only
 * that one.
 */
enum { OWNER_SIZE = 8, DEFAULT_BLOCK = 4096 };

nfs_fh4 sealio_file_fh(const struct sealio_file *file)
{
    return (nfs_fh4){file->layout->fh, file->layout->fh_len};
}

static open_owner4 owner_of(struct sealio_session *session, uint64_t number,
                            uint8_t buf[OWNER_SIZE])
{
    memcpy(buf, &number, OWNER_SIZE);
    pthread_mutex_lock(&session->lock);
    const clientid4 clientid = session->clientid;
    pthread_mutex_unlock(&session->lock);
    return (open_owner4){.clientid = clientid, .owner = {buf, OWNER_SIZE}};
}

/* What an OPEN of a path brought. */
struct opened {
    stateid4 stateid;
    struct sealio_fh fh;
    struct nfs4_attrs attrs;
};

static int take_open(struct sealio_session *session, struct sealio_reply *reply, const char *path,
                     struct opened *out)
{
    union nfs4_res res;
    int rc = sealio_expect(session, reply, OP_PUTFH, path, &res);
    if (rc == 0)
        rc = sealio_expect(session, reply, OP_OPEN, path, &res);
    if (rc < 0)
        return rc;
    out->stateid = res.open.resok4.stateid;
    rc = sealio_expect(session, reply, OP_GETFH, path, &res);
    if (rc < 0)
        return rc;
    out->fh.len = res.getfh.resok4.object.len;
    memcpy(out->fh.data, res.getfh.resok4.object.data, out->fh.len);
    rc = sealio_expect(session, reply, OP_GETATTR, path, &res);
    if (rc == 0 && nfs4_attrs_unpack(&res.getattr.resok4.obj_attributes, &out->attrs) < 0)
        rc = sealio_fail(session, -EBADMSG, "%s: the server's attributes make no sense", path);
    return rc;
}

static uint32_t share_of(unsigned flags)
{
    return (flags & SEALIO_READ ? OPEN4_SHARE_ACCESS_READ : 0) |
           (flags & SEALIO_WRITE ? OPEN4_SHARE_ACCESS_WRITE : 0);
}

static int send_open(struct sealio_session *session, const char *path, unsigned flags,
                     uint32_t mode, uint64_t number, struct opened *out)
{
    uint8_t buf[SEALIO_CALL_SIZE], owner[OWNER_SIZE];
    uint64_t arena_first[64];
    struct sealio_call call;
    struct sealio_reply reply;
    struct sealio_fh dir;
    struct arena arena;
    union nfs4_args args = {
        .open = {.share_access = share_of(flags) | OPEN4_SHARE_ACCESS_WANT_NO_DELEG}};
    const union nfs4_args getattr = {
        .getattr = {BITMAP4(FATTR4_TYPE, FATTR4_SIZE, FATTR4_FSID, FATTR4_FS_LAYOUT_TYPES,
                            FATTR4_LAYOUT_BLKSIZE)}};
    struct nfs4_attrs set = {.mode = mode & 07777, .size = 0};
    int rc = sealio_path_parent(session, path, &dir, &args.open.claim.file);
    if (rc == 0 && args.open.claim.file.len == 0)
        rc = sealio_fail(session, -EISDIR, "%s: is a directory", path);
    if (rc < 0)
        return rc;
    args.open.claim.claim = CLAIM_NULL;
    args.open.owner = owner_of(session, number, owner);
    arena_init_with(&arena, 4096, arena_first, sizeof(arena_first));
    if (flags & SEALIO_CREATE) {
        const bitmap4 want =
            flags & SEALIO_TRUNCATE ? BITMAP4(FATTR4_SIZE, FATTR4_MODE) : BITMAP4(FATTR4_MODE);
        set.present = want;
        args.open.openhow.opentype = OPEN4_CREATE;
        args.open.openhow.how.mode = UNCHECKED4;
        rc = nfs4_attrs_pack(&set, &want, NULL, &arena, &args.open.openhow.how.createattrs);
    }
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE_CACHED);
    sealio_call_put_fh(&call, sealio_fh_view(&dir));
    sealio_call_add(&call, OP_OPEN, &args);
    sealio_call_add(&call, OP_GETFH, NULL);
    sealio_call_add(&call, OP_GETATTR, &getattr);
    reply = (struct sealio_reply){.data = NULL};
    if (rc == 0)
        rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = take_open(session, &reply, path, out);
    sealio_reply_free(&reply);
    arena_free(&arena);
    return rc;
}

/* Under the lock. */
static void take_offer_locked(struct sealio_session *session, const struct nfs4_attrs *attrs,
                              bool offered[SEALIO_KINDS])
{
    offered[SEALIO_KIND_MEMORY] = offered[SEALIO_KIND_DISK] = false;
    if (!(session->exchange_flags & EXCHGID4_FLAG_USE_PNFS_MDS) ||
        !bitmap4_isset(&attrs->present, FATTR4_FS_LAYOUT_TYPES))
        return;
    for (uint32_t i = 0; i < attrs->fs_layout_types_count && i < NFS4_LAYOUT_TYPES_MAX; i++) {
        if (attrs->fs_layout_types[i] == LAYOUT4_BLOCK_VOLUME)
            offered[SEALIO_KIND_DISK] = true;
        if (attrs->fs_layout_types[i] == LAYOUT4_SEALNFS_RDMA)
            offered[SEALIO_KIND_MEMORY] = sealio_rdma_supported();
    }
}

/* Under the lock: the open file becomes one of the session's. */
static int adopt_locked(struct sealio_session *session, struct sealio_file *file,
                        const struct opened *opened, unsigned generation)
{
    const nfs_fh4 fh = {opened->fh.data, opened->fh.len};
    file->layout = sealio_layout_share_locked(session, &fh);
    if (!file->layout)
        return -ENOMEM;
    take_offer_locked(session, &opened->attrs, file->layout->offered);
    file->layout->fsid = opened->attrs.fsid;
    if (!file->layout->held)
        file->layout->size = opened->attrs.size;
    file->layout->block = opened->attrs.layout_blksize;
    if (file->layout->block < 512 || (file->layout->block & (file->layout->block - 1)))
        file->layout->block = DEFAULT_BLOCK;
    file->stateid = opened->stateid;
    file->generation = generation;
    file->next = session->files;
    session->files = file;
    return 0;
}

static void close_stateid(struct sealio_session *session, nfs_fh4 fh, const stateid4 *stateid)
{
    uint8_t buf[512];
    struct sealio_call call;
    struct sealio_reply reply;
    const union nfs4_args args = {.close = {.open_stateid = *stateid}};
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE_CACHED);
    sealio_call_put_fh(&call, fh);
    sealio_call_add(&call, OP_CLOSE, &args);
    if (sealio_session_run(session, &call, &reply) == 0)
        sealio_reply_free(&reply);
}

static int truncate_file(struct sealio_file *file)
{
    uint8_t buf[1024];
    uint64_t arena_first[64];
    struct arena arena;
    struct sealio_call call;
    struct sealio_reply reply = {.data = NULL};
    union nfs4_res res;
    union nfs4_args args = {.setattr = {.stateid = file->stateid}};
    const bitmap4 want = BITMAP4(FATTR4_SIZE);
    const struct nfs4_attrs set = {.present = want};
    arena_init_with(&arena, 4096, arena_first, sizeof(arena_first));
    int rc = nfs4_attrs_pack(&set, &want, NULL, &arena, &args.setattr.obj_attributes);
    sealio_session_begin(file->session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE_CACHED);
    sealio_call_put_fh(&call, sealio_file_fh(file));
    sealio_call_add(&call, OP_SETATTR, &args);
    if (rc == 0)
        rc = sealio_session_run(file->session, &call, &reply);
    if (rc == 0)
        rc = sealio_expect(file->session, &reply, OP_PUTFH, file->path, &res);
    if (rc == 0)
        rc = sealio_expect(file->session, &reply, OP_SETATTR, file->path, &res);
    if (rc == 0) {
        pthread_mutex_lock(&file->session->lock);
        file->layout->size = 0;
        pthread_mutex_unlock(&file->session->lock);
    }
    sealio_reply_free(&reply);
    arena_free(&arena);
    return rc;
}

static void free_file(struct sealio_file *file)
{
    free(file->path);
    free(file);
}

int sealio_file_open(struct sealio_session *session, const char *path, unsigned flags,
                     uint32_t mode, struct sealio_file **out)
{
    struct opened opened = {.fh.len = 0};
    if (!(flags & (SEALIO_READ | SEALIO_WRITE)))
        return sealio_fail(session, -EINVAL, "%s: open for reading, writing or both", path);
    struct sealio_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    file->session = session;
    file->share = share_of(flags);
    file->path = strdup(path);
    pthread_mutex_lock(&session->lock);
    file->owner = session->next_owner++;
    const unsigned generation = session->generation;
    pthread_mutex_unlock(&session->lock);
    int rc = file->path ? send_open(session, path, flags, mode, file->owner, &opened) : -ENOMEM;
    if (rc == 0) {
        pthread_mutex_lock(&session->lock);
        rc = adopt_locked(session, file, &opened, generation);
        pthread_mutex_unlock(&session->lock);
        if (rc < 0)
            close_stateid(session, sealio_fh_view(&opened.fh), &opened.stateid);
    }
    if (rc < 0) {
        free_file(file);
        return rc;
    }
    if ((flags & SEALIO_TRUNCATE) && !(flags & SEALIO_CREATE))
        rc = truncate_file(file);
    if (rc < 0) {
        sealio_file_close(file);
        return rc;
    }
    *out = file;
    return 0;
}

int sealio_file_close(struct sealio_file *file)
{
    if (!file)
        return 0;
    struct sealio_session *session = file->session;
    struct sealio_layout *layout = file->layout;
    int rc = sealio_file_sync(file);
    pthread_mutex_lock(&session->lock);
    while (file->busy > 0 || (layout->files == 1 && (layout->getting || layout->returning)))
        pthread_cond_wait(&session->changed, &session->lock);
    if (layout->files == 1 && layout->held) {
        layout->returning = true;
        const int returned = sealio_layout_give_back_locked(session, layout);
        if (rc == 0)
            rc = returned;
    }
    struct sealio_file **at = &session->files;
    while (*at != file)
        at = &(*at)->next;
    *at = file->next;
    const bool open = file->generation == session->generation;
    pthread_mutex_unlock(&session->lock);
    if (open)
        close_stateid(session, sealio_file_fh(file), &file->stateid);
    pthread_mutex_lock(&session->lock);
    sealio_layout_release_locked(session, layout);
    pthread_mutex_unlock(&session->lock);
    free_file(file);
    return rc;
}

/* ---- opens after a restart ---- */

/* Opens the handle itself: CLAIM_PREVIOUS in grace, CLAIM_FH otherwise. */
static int open_again(struct sealio_file *file, open_claim_type4 claim, unsigned generation)
{
    struct sealio_session *session = file->session;
    uint8_t buf[1024], owner[OWNER_SIZE];
    struct sealio_call call;
    struct sealio_reply reply;
    union nfs4_res res;
    union nfs4_args args = {.open = {.share_access = file->share, .claim = {.claim = claim}}};
    if (claim == CLAIM_FH)
        args.open.share_access |= OPEN4_SHARE_ACCESS_WANT_NO_DELEG;
    args.open.owner = owner_of(session, file->owner, owner);
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE_CACHED);
    sealio_call_put_fh(&call, sealio_file_fh(file));
    sealio_call_add(&call, OP_OPEN, &args);
    int rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_PUTFH, file->path, &res);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_OPEN, file->path, &res);
    if (rc == 0) {
        pthread_mutex_lock(&session->lock);
        file->stateid = res.open.resok4.stateid;
        file->generation = generation;
        pthread_mutex_unlock(&session->lock);
    }
    sealio_reply_free(&reply);
    return rc;
}

int sealio_file_stateid(struct sealio_file *file, stateid4 *out)
{
    struct sealio_session *session = file->session;
    int rc = 0;
    pthread_mutex_lock(&session->lock);
    if (file->generation != session->generation) {
        const unsigned generation = session->generation;
        pthread_mutex_unlock(&session->lock);
        rc = open_again(file, CLAIM_FH, generation);
        pthread_mutex_lock(&session->lock);
    }
    if (rc == 0)
        *out = file->stateid;
    pthread_mutex_unlock(&session->lock);
    return rc;
}

bool sealio_file_retry_stateid(struct sealio_file *file, nfsstat4 status, unsigned *tries)
{
    if (status != NFS4ERR_BAD_STATEID && status != NFS4ERR_STALE_STATEID &&
        status != NFS4ERR_EXPIRED && status != NFS4ERR_ADMIN_REVOKED)
        return false;
    if ((*tries)++ > 1)
        return false;
    pthread_mutex_lock(&file->session->lock);
    file->generation = file->session->generation - 1;
    pthread_mutex_unlock(&file->session->lock);
    return true;
}

/* Under the lock: a file whose open is of an earlier client id, made busy. */
static struct sealio_file *next_stale_locked(struct sealio_session *session,
                                             struct sealio_file *after)
{
    struct sealio_file *file = after ? after->next : session->files;
    while (file && file->generation == session->generation)
        file = file->next;
    if (file)
        file->busy++;
    if (after)
        after->busy--;
    return file;
}

void sealio_files_reclaim(struct sealio_session *session)
{
    struct sealio_file *file = NULL;
    for (;;) {
        pthread_mutex_lock(&session->lock);
        file = next_stale_locked(session, file);
        const unsigned generation = session->generation;
        pthread_cond_broadcast(&session->changed);
        pthread_mutex_unlock(&session->lock);
        if (!file)
            return;
        /* If it cannot be reclaimed, the next use opens it anew; what was written is committed or
         * told by sync. */
        if (open_again(file, CLAIM_PREVIOUS, generation) == 0)
            sealio_layout_commit(session, file->layout, true);
    }
}
