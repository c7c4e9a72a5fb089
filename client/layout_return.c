/*
 * LAYOUTCOMMIT, LAYOUTRETURN and what recalls do (RFC 8881 sections 12.5.4
 * and 12.5.5, 18.42, 18.44, 20.3). See layout.h. The decisions are in recall.c. Recalls arrive on
 * the reader; the returning is done by the upkeep thread.
 */
#include "client/file_impl.h"
#include "client/net/status.h"
#include "client/recall.h"

#include <errno.h>
#include <string.h>

/* PUTFH and one more operation on the layout's file. 0: res is its result, without views that
 * matter. */
static int run_on_layout(struct sealio_session *session, const struct sealio_layout *layout,
                         uint32_t op, const union nfs4_args *args, union nfs4_res *res)
{
    uint8_t buf[1024];
    struct sealio_call call;
    struct sealio_reply reply;
    const union nfs4_args put = {.putfh = {{layout->fh, layout->fh_len}}};
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE_CACHED);
    sealio_call_add(&call, OP_PUTFH, &put);
    sealio_call_add(&call, op, args);
    int rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = sealio_reply_next(&reply, OP_PUTFH, res);
    if (rc == 0 && res->status == NFS4_OK)
        rc = sealio_reply_next(&reply, op, res);
    sealio_reply_free(&reply);
    return rc;
}

/* Unless more was written meanwhile: then the whole range stays to be committed. */
static void note_committed(struct sealio_session *session, struct sealio_layout *layout,
                           unsigned writes)
{
    pthread_mutex_lock(&session->lock);
    if (layout->writes == writes)
        layout->dirty.count = 0;
    pthread_mutex_unlock(&session->lock);
}

enum { UPDATE_SIZE = 8 + 16 * SEALIO_RANGES_MAX };

/* What the layout type wants to know of a commit: blocks were written where they are; memory names
 * them. */
static layoutupdate4 make_update(enum sealio_layout_kind kind, const struct sealio_ranges *dirty,
                                 uint8_t buf[UPDATE_SIZE])
{
    static const uint8_t no_extents[4];
    rdma_range4 written[SEALIO_RANGES_MAX];
    const rdma_layoutupdate4 update = {RDMA_LAYOUT_VERSION, dirty->count, written};
    struct xdr_out out;
    if (kind == SEALIO_KIND_DISK)
        return (layoutupdate4){LAYOUT4_BLOCK_VOLUME, {no_extents, sizeof(no_extents)}};
    for (unsigned i = 0; i < dirty->count; i++)
        written[i] = (rdma_range4){dirty->at[i].start, dirty->at[i].end - dirty->at[i].start};
    xdr_out_init(&out, buf, UPDATE_SIZE);
    (void)rdma_layoutupdate_encode(&out, &update); /* it has the buffer's size */
    return (layoutupdate4){LAYOUT4_SEALNFS_RDMA, {buf, (uint32_t)xdr_out_len(&out)}};
}

/* What was written directly, at one moment. */
struct commit {
    struct sealio_ranges dirty;
    unsigned writes;
    bool held;
    enum sealio_layout_kind kind;
    stateid4 stateid;
};

static struct commit snapshot_commit(struct sealio_session *session,
                                     const struct sealio_layout *layout)
{
    pthread_mutex_lock(&session->lock);
    const struct commit commit = {layout->dirty, layout->writes, layout->held, layout->kind,
                                  layout->stateid};
    pthread_mutex_unlock(&session->lock);
    return commit;
}

static int send_commit(struct sealio_session *session, struct sealio_layout *layout,
                       const struct commit *commit, bool reclaim)
{
    uint8_t update[UPDATE_SIZE];
    union nfs4_res res;
    const uint64_t start = commit->dirty.at[0].start,
                   end = commit->dirty.at[commit->dirty.count - 1].end;
    const union nfs4_args args = {
        .layoutcommit = {.loca_offset = start,
                         .loca_length = end - start,
                         .loca_reclaim = reclaim,
                         .loca_stateid =
                             commit->stateid, /* section 18.42.3: in a reclaim the old one */
                         .loca_last_write_offset = {true, end - 1},
                         .loca_layoutupdate = make_update(commit->kind, &commit->dirty, update)}};
    SESSION_COUNT(session, layoutcommits, 1);
    int rc = run_on_layout(session, layout, OP_LAYOUTCOMMIT, &args, &res);
    if (rc == 0 && res.status != NFS4_OK)
        rc = sealio_fail(session, sealio_status_errno(res.status),
                         "LAYOUTCOMMIT: the server answers %s", nfs4_status_name(res.status));
    return rc;
}

int sealio_layout_commit(struct sealio_session *session, struct sealio_layout *layout, bool reclaim)
{
    const struct commit commit = snapshot_commit(session, layout);
    if (commit.dirty.count == 0)
        return 0;
    int rc = sealio_volumes_flush(session);
    if (rc < 0)
        return sealio_fail(session, rc, "cannot flush the disk: %s", strerror(-rc));
    if (!commit.held && !reclaim) {
        note_committed(session, layout, commit.writes); /* told once, as a failed fsync is */
        return sealio_fail(session, -EIO,
                           "the layout was lost before what was written on it could be committed");
    }
    rc = send_commit(session, layout, &commit, reclaim);
    if (rc == 0)
        note_committed(session, layout, commit.writes);
    return rc;
}

static int send_return(struct sealio_session *session, struct sealio_layout *layout,
                       const stateid4 *stateid)
{
    union nfs4_res res;
    const union nfs4_args args = {
        .layoutreturn = {.lora_layout_type = sealio_layout_type(layout),
                         .lora_iomode = LAYOUTIOMODE4_ANY,
                         .lora_layoutreturn = {.lr_returntype = LAYOUTRETURN4_FILE,
                                               .lr_layout = {.lrf_length = NFS4_UINT64_MAX,
                                                             .lrf_stateid = *stateid}}}};
    SESSION_COUNT(session, layoutreturns, 1);
    int rc = run_on_layout(session, layout, OP_LAYOUTRETURN, &args, &res);
    if (rc < 0)
        return rc;
    switch (res.status) {
    case NFS4_OK:
    case NFS4ERR_BAD_STATEID: /* the server knows it no more: as good as returned */
    case NFS4ERR_EXPIRED:
    case NFS4ERR_STALE_STATEID:
        return 0;
    default:
        return sealio_fail(session, sealio_status_errno(res.status),
                           "LAYOUTRETURN: the server answers %s", nfs4_status_name(res.status));
    }
}

int sealio_layout_give_back_locked(struct sealio_session *session, struct sealio_layout *layout)
{
    const unsigned epoch = layout->epoch;
    while (layout->inflight > 0 && layout->epoch == epoch)
        pthread_cond_wait(&session->changed, &session->lock);
    int rc = 0, committed = 0;
    if (layout->held && layout->epoch == epoch) {
        pthread_mutex_unlock(&session->lock);
        committed = sealio_layout_commit(session, layout, false);
        pthread_mutex_lock(&session->lock);
        const stateid4 stateid = layout->stateid;
        pthread_mutex_unlock(&session->lock);
        rc = send_return(session, layout, &stateid);
        pthread_mutex_lock(&session->lock);
    }
    if (layout->epoch == epoch) {
        layout->held = layout->recalled = layout->trim = false;
        sealio_map_free(layout->map);
        layout->map = NULL;
    }
    layout->returning = false;
    pthread_cond_broadcast(&session->changed);
    return committed < 0 ? committed : rc;
}

/* ---- recalls ---- */

static struct sealio_recall_facts facts_of(const struct sealio_layout *layout)
{
    return (struct sealio_recall_facts){
        .held = layout->held,
        .getting = layout->getting,
        .recalled = layout->recalled,
        .type = sealio_layout_type(layout),
        .iomode = layout->iomode,
        .stateid = layout->stateid,
        .recall_seqid = layout->recall_seqid,
        .length = layout->map ? sealio_map_end(layout->map) : 0,
    };
}

static void begin_return(struct sealio_session *session, struct sealio_layout *layout)
{
    SESSION_COUNT(session, recalls, 1);
    layout->recalls++;
    if (!layout->held) {
        layout->recall_early = true;
        return;
    }
    layout->recalled = true;
    layout->announced = false;
}

static nfsstat4 recall_file(struct sealio_session *session, const CB_LAYOUTRECALL4args *args)
{
    const layoutrecall_file4 *recall = &args->clora_recall.lor_layout;
    struct sealio_layout *layout = session->layouts;
    while (layout && (layout->fh_len != recall->lor_fh.len ||
                      memcmp(layout->fh, recall->lor_fh.data, layout->fh_len) != 0))
        layout = layout->next;
    if (!layout)
        return NFS4ERR_NOMATCHING_LAYOUT;
    const struct sealio_recall_facts facts = facts_of(layout);
    const struct sealio_recall_answer answer = sealio_recall_file(&facts, args);
    if (answer.obey) {
        begin_return(session, layout);
        layout->recall_offset = recall->lor_offset;
        layout->recall_length = recall->lor_length;
        layout->recall_seqid = recall->lor_stateid.seqid;
        if (answer.status ==
            NFS4_OK) /* the server counted the recall; the return carries it (section 12.5.5.2.1) */
            layout->stateid.seqid = recall->lor_stateid.seqid;
    }
    return answer.status;
}

static nfsstat4 recall_bulk(struct sealio_session *session, const CB_LAYOUTRECALL4args *args)
{
    nfsstat4 status = NFS4ERR_NOMATCHING_LAYOUT;
    const bool by_fsid = args->clora_recall.lor_recalltype == LAYOUTRECALL4_FSID;
    for (struct sealio_layout *layout = session->layouts; layout; layout = layout->next) {
        if (by_fsid && (layout->fsid.major != args->clora_recall.lor_fsid.major ||
                        layout->fsid.minor != args->clora_recall.lor_fsid.minor))
            continue;
        const struct sealio_recall_facts facts = facts_of(layout);
        const struct sealio_recall_answer answer = sealio_recall_bulk(&facts, args);
        if (answer.obey && !layout->recalled)
            begin_return(session, layout);
        if (answer.status == NFS4ERR_DELAY ||
            (answer.status == NFS4_OK && status == NFS4ERR_NOMATCHING_LAYOUT))
            status = answer.status;
    }
    if (status == NFS4_OK) {
        session->bulk_recall = *args;
        session->bulk_due = true;
    }
    return status;
}

nfsstat4 sealio_layouts_recall(struct sealio_session *session, const CB_LAYOUTRECALL4args *args)
{
    nfsstat4 status = NFS4ERR_NOMATCHING_LAYOUT;
    pthread_mutex_lock(&session->lock);
    if (args->clora_recall.lor_recalltype == LAYOUTRECALL4_FILE)
        status = recall_file(session, args);
    else
        status = recall_bulk(session, args);
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    return status;
}

void sealio_layouts_trim(struct sealio_session *session, uint32_t keep)
{
    pthread_mutex_lock(&session->lock);
    for (struct sealio_layout *layout = session->layouts; layout; layout = layout->next) {
        if (!layout->held || layout->recalled)
            continue;
        if (keep > 0)
            keep--;
        else
            layout->trim = true;
    }
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
}

int sealio_layouts_bulk_done(struct sealio_session *session, const CB_LAYOUTRECALL4args *args)
{
    const bool by_fsid = args->clora_recall.lor_recalltype == LAYOUTRECALL4_FSID;
    struct sealio_layout any = {.fh_len = 0};
    union nfs4_res res;
    const union nfs4_args ret = {
        .layoutreturn = {.lora_layout_type = args->clora_type,
                         .lora_iomode = args->clora_iomode,
                         .lora_layoutreturn = {.lr_returntype = by_fsid ? LAYOUTRETURN4_FSID
                                                                        : LAYOUTRETURN4_ALL}}};
    pthread_mutex_lock(&session->lock);
    for (struct sealio_layout *layout = session->layouts; layout; layout = layout->next) {
        if (!by_fsid || (layout->fsid.major == args->clora_recall.lor_fsid.major &&
                         layout->fsid.minor == args->clora_recall.lor_fsid.minor)) {
            memcpy(any.fh, layout->fh, layout->fh_len);
            any.fh_len = layout->fh_len;
        }
    }
    pthread_mutex_unlock(&session->lock);
    if (any.fh_len == 0)
        return 0;
    SESSION_COUNT(session, layoutreturns, 1);
    return run_on_layout(session, &any, OP_LAYOUTRETURN, &ret, &res);
}
