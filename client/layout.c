/*
 * Getting layouts and doing I/O under them (RFC 8881 sections 12.5.2 to 12.5.4, RFC 5663). See
 * layout.h. Any thread.
 */
#include "client/layout.h"

#include "client/file_impl.h"
#include "client/net/transport.h"
#include "proto/nfs4/attr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* After a refusal the server is left alone for so long; a missing disk does not turn up in a
 * moment. */
enum { REFUSED_MS = 10000, BUSY_MS = 1000, NO_DEVICE_MS = 60000 };

/* The lease is looked at before each piece of I/O: pieces are bounded, so that none goes on long
 * past it. */
enum { PIECE_MAX = 16 << 20 };

struct sealio_layout *sealio_layout_share_locked(struct sealio_session *session, const nfs_fh4 *fh)
{
    struct sealio_layout *layout = session->layouts;
    while (layout && (layout->fh_len != fh->len || memcmp(layout->fh, fh->data, fh->len) != 0))
        layout = layout->next;
    if (!layout) {
        layout = calloc(1, sizeof(*layout));
        if (!layout || fh->len > sizeof(layout->fh)) {
            free(layout);
            return NULL;
        }
        memcpy(layout->fh, fh->data, fh->len);
        layout->fh_len = fh->len;
        layout->next = session->layouts;
        session->layouts = layout;
    }
    layout->files++;
    return layout;
}

void sealio_layout_release_locked(struct sealio_session *session, struct sealio_layout *layout)
{
    if (--layout->files > 0)
        return;
    struct sealio_layout **at = &session->layouts;
    while (*at != layout)
        at = &(*at)->next;
    *at = layout->next;
    sealio_map_free(layout->map);
    free(layout);
}

void sealio_layouts_free(struct sealio_session *session)
{
    while (session->layouts) {
        session->layouts->files = 1;
        sealio_layout_release_locked(session, session->layouts);
    }
}

void sealio_layouts_forget(struct sealio_session *session)
{
    for (struct sealio_layout *layout = session->layouts; layout; layout = layout->next) {
        layout->epoch++;
        layout->held = layout->recalled = layout->trim = layout->recall_early = false;
        sealio_map_free(layout->map);
        layout->map = NULL;
    }
    pthread_cond_broadcast(&session->changed);
}

static layouttype4 type_of(enum sealio_layout_kind kind)
{
    return kind == SEALIO_KIND_MEMORY ? LAYOUT4_SEALNFS_RDMA : LAYOUT4_BLOCK_VOLUME;
}

layouttype4 sealio_layout_type(const struct sealio_layout *layout)
{
    return type_of(layout->kind);
}

bool sealio_layout_possible(const struct sealio_layout *layout)
{
    return layout->offered[SEALIO_KIND_MEMORY] || layout->offered[SEALIO_KIND_DISK];
}

/* ---- LAYOUTGET ---- */

/* A layout on its way in. */
struct incoming {
    enum sealio_layout_kind kind;
    layoutiomode4 iomode;
    struct sealio_map *map;
    stateid4 stateid;
    bool by_layout_stateid; /* stateid is the layout's, not an open's */
    uint64_t size;          /* of the file, as far as it is known */
    uint64_t wanted;        /* where the write ends that it is for; 0: none */
    uint32_t room;          /* for a layout in a reply */
    bool cut_short;         /* the last reply may have left out what had no room */
    nfsstat4 status;        /* of a refusal */
};

static int take_segment(struct incoming *in, const layout4 *segment, struct arena *arena)
{
    const struct xdr_bytes body = segment->lo_content.loc_body;
    pnfs_block_layout4 block;
    rdma_layout4 memory;
    if (segment->lo_content.loc_type != type_of(in->kind))
        return -EBADMSG;
    if (in->kind == SEALIO_KIND_MEMORY) {
        int rc = rdma_layout_decode(body, arena, &memory);
        return rc < 0 ? rc : sealio_map_add_memory(in->map, segment, &memory);
    }
    int rc = block_layout_decode(body, arena, &block);
    return rc < 0 ? rc : sealio_map_add(in->map, segment->lo_iomode, &block);
}

static int take_segments(struct incoming *in, const LAYOUTGET4resok *ok, struct arena *arena)
{
    in->cut_short = false;
    for (uint32_t i = 0; i < ok->logr_layout_count; i++) {
        int rc = take_segment(in, &ok->logr_layout[i], arena);
        if (rc < 0)
            return rc;
        in->iomode = ok->logr_layout[i].lo_iomode;
        in->cut_short |= ok->logr_layout[i].lo_content.loc_body.len > in->room / 2;
    }
    in->stateid = ok->logr_stateid;
    in->by_layout_stateid = true;
    return 0;
}

/* What a LAYOUTGET must bring, or it is of no use: for a write past the end all that it needs, so
 * that a file that grows is made ready up to there. */
static uint64_t least_length(const struct incoming *in)
{
    const uint64_t end = sealio_map_end(in->map);
    return in->wanted > in->size && in->wanted > end ? in->wanted - end : 1;
}

static int take_size(struct sealio_reply *reply, uint64_t *size)
{
    union nfs4_res res;
    struct nfs4_attrs attrs;
    if (sealio_reply_next(reply, OP_GETATTR, &res) < 0 || res.status != NFS4_OK ||
        nfs4_attrs_unpack(&res.getattr.resok4.obj_attributes, &attrs) < 0 ||
        !bitmap4_isset(&attrs.present, FATTR4_SIZE))
        return -EBADMSG;
    *size = attrs.size;
    return 0;
}

static int take_layout(struct incoming *in, struct sealio_reply *reply)
{
    union nfs4_res res;
    int rc = sealio_reply_next(reply, OP_PUTFH, &res);
    if (rc == 0 && res.status == NFS4_OK)
        rc = sealio_reply_next(reply, OP_LAYOUTGET, &res);
    if (rc < 0)
        return rc;
    in->status = res.status;
    if (res.status != NFS4_OK)
        return 0;
    rc = take_segments(in, &res.layoutget.logr_resok4, &reply->arena);
    return rc < 0 ? rc : take_size(reply, &in->size);
}

/* One LAYOUTGET from where the map ends. 0: see in->status. */
static int ask_once(struct sealio_file *file, struct incoming *in)
{
    struct sealio_session *session = file->session;
    uint8_t buf[1024];
    struct sealio_call call;
    struct sealio_reply reply;
    const union nfs4_args put = {.putfh = {sealio_file_fh(file)}};
    const union nfs4_args getattr = {.getattr = {BITMAP4(FATTR4_SIZE)}};
    union nfs4_args args = {.layoutget = {.loga_layout_type = type_of(in->kind),
                                          .loga_iomode = in->iomode,
                                          .loga_offset = sealio_map_end(in->map),
                                          .loga_length = NFS4_UINT64_MAX,
                                          .loga_minlength = least_length(in),
                                          .loga_stateid = in->stateid,
                                          .loga_maxcount = in->room}};
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE);
    call.no_retry = true;
    sealio_call_add(&call, OP_PUTFH, &put);
    sealio_call_add(&call, OP_LAYOUTGET, &args);
    sealio_call_add(&call, OP_GETATTR, &getattr);
    SESSION_COUNT(session, layoutgets, 1);
    int rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = take_layout(in, &reply);
    if (rc == -EBADMSG || rc == -ENOTSUP || rc == -EPROTONOSUPPORT)
        sealio_fail(session, rc, "LAYOUTGET: the server's layout of %s makes no sense", file->path);
    sealio_reply_free(&reply);
    return rc;
}

static bool is_busy(nfsstat4 status)
{
    return status == NFS4ERR_LAYOUTTRYLATER || status == NFS4ERR_RECALLCONFLICT ||
           status == NFS4ERR_DELAY || status == NFS4ERR_GRACE;
}

/* The stateid for the first LAYOUTGET: the layout's own if there is one, else the open's (RFC 8881
 * section 12.5.2). */
static int first_stateid(struct sealio_file *file, struct incoming *in)
{
    struct sealio_session *session = file->session;
    pthread_mutex_lock(&session->lock);
    in->by_layout_stateid = file->layout->held;
    in->stateid = file->layout->stateid;
    pthread_mutex_unlock(&session->lock);
    return in->by_layout_stateid ? 0 : sealio_file_stateid(file, &in->stateid);
}

/* To be read is all of the file; of one that grows others may write parts. */
static bool is_enough(const struct incoming *in)
{
    const uint64_t end = sealio_map_end(in->map);
    if (in->iomode == LAYOUTIOMODE4_RW && !in->cut_short)
        return end >= in->wanted || in->wanted <= in->size;
    return end >= in->size;
}

/* Asks until the whole file is covered or the server refuses. */
static int ask_for_all(struct sealio_file *file, struct incoming *in)
{
    struct sealio_session *session = file->session;
    const uint32_t patience =
        session->layouts_wanted == SEALIO_LAYOUTS_REQUIRE ? session->timeout_ms : BUSY_MS;
    const uint64_t began_ms = sealio_now_ms(), deadline_ms = began_ms + patience;
    unsigned attempt = 0, tries = 0;
    int rc = first_stateid(file, in);
    in->room = sealio_session_limits(session).max_response - 1024;
    while (rc == 0) {
        const uint64_t before = sealio_map_end(in->map);
        rc = ask_once(file, in);
        if (rc < 0)
            break;
        if (is_busy(in->status)) {
            if (!sealio_backoff(attempt++, deadline_ms))
                break;
        } else if (in->status != NFS4_OK) {
            if (in->by_layout_stateid || !sealio_file_retry_stateid(file, in->status, &tries))
                break;
            rc = sealio_file_stateid(file, &in->stateid);
        } else if (is_enough(in) || sealio_map_end(in->map) == before ||
                   sealio_now_ms() - began_ms >= session->timeout_ms) {
            break; /* the last: a server may give it in pieces without end */
        }
    }
    if (rc == 0 && in->status == NFS4_OK && !is_enough(in))
        rc = sealio_fail(session, -EBADMSG, "LAYOUTGET: the layout of %s ends before the file",
                         file->path);
    return rc;
}

static int find_devices(struct sealio_session *session, const struct incoming *in)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < sealio_map_volumes(in->map); i++)
        rc = sealio_volumes_ensure(session, type_of(in->kind), sealio_map_volume_id(in->map, i));
    return rc;
}

/* Under the lock: what ask() brought becomes the layout, even if it is useless: then it is
 * returned. */
static void install_locked(struct sealio_layout *layout, struct incoming *in)
{
    const bool extend = layout->held;
    layout->held = true;
    layout->kind = in->kind;
    layout->stateid = in->stateid;
    layout->iomode = in->iomode;
    layout->size = in->size;
    layout->grows = sealio_map_data_end(in->map) >= in->size + layout->block;
    sealio_map_free(layout->map);
    layout->map = in->map;
    in->map = NULL;
    if (!extend) {
        layout->recalled = layout->announced = layout->trim = false;
        layout->recall_length = NFS4_UINT64_MAX;
        layout->recall_offset = 0;
    }
    if (layout->recall_early) {
        layout->recalled = true;
        layout->recall_early = false;
        layout->recall_seqid = in->stateid.seqid;
    }
}

/* Under the lock, dropped meanwhile: the layout is of no use here. */
static void give_up_locked(struct sealio_session *session, struct sealio_layout *layout,
                           uint32_t pause_ms)
{
    uint64_t *const until = layout->refused_until[layout->kind];
    until[layout->iomode == LAYOUTIOMODE4_RW ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ] =
        until[LAYOUTIOMODE4_RW] = sealio_now_ms() + pause_ms;
    if (layout->held && !layout->returning) {
        layout->returning = true;
        sealio_layout_give_back_locked(session, layout);
    }
}

static int finish_locked(struct sealio_file *file, struct incoming *in, layoutiomode4 wanted,
                         unsigned epoch, int rc)
{
    struct sealio_session *session = file->session;
    struct sealio_layout *layout = file->layout;
    if (epoch != layout->epoch)
        return -ENODATA; /* revoked, or the server restarted, while it was under way */
    if (in->by_layout_stateid && (rc < 0 || in->status == NFS4_OK || layout->held))
        install_locked(layout, in);
    if (rc == 0 && in->status != NFS4_OK) {
        SESSION_COUNT(session, layoutgets_refused, 1);
        layout->refused_until[in->kind][wanted] =
            sealio_now_ms() + (is_busy(in->status) ? BUSY_MS : REFUSED_MS);
        pthread_mutex_unlock(&session->lock);
        sealio_fail(session, -ENODATA, "the server gives no layout of %s for %s: %s", file->path,
                    wanted == LAYOUTIOMODE4_RW ? "writing" : "reading",
                    nfs4_status_name(in->status));
        pthread_mutex_lock(&session->lock);
        return -ENODATA;
    }
    if (rc < 0) {
        const bool no_disk = in->kind == SEALIO_KIND_DISK && (rc == -ENODEV || rc == -ENOTUNIQ);
        give_up_locked(session, layout, no_disk ? NO_DEVICE_MS : REFUSED_MS);
        return rc == -ENOMEM || rc == -ETIMEDOUT || rc == -ESHUTDOWN ? rc : -ENODATA;
    }
    if (layout->recalled) {
        pthread_cond_broadcast(&session->changed);
        return -ENODATA;
    }
    return 0;
}

static int get_layout(struct sealio_file *file, enum sealio_layout_kind kind, layoutiomode4 wanted,
                      uint64_t end)
{
    struct sealio_session *session = file->session;
    struct sealio_layout *layout = file->layout;
    struct incoming in = {.kind = kind, .iomode = wanted, .wanted = end, .size = layout->size};
    const unsigned epoch = layout->epoch;
    layout->kind = kind;
    layout->getting = true;
    pthread_mutex_unlock(&session->lock);
    int rc = sealio_map_create(&in.map);
    if (rc == 0)
        rc = ask_for_all(file, &in);
    if (rc == 0 && in.status == NFS4_OK)
        rc = find_devices(session, &in);
    pthread_mutex_lock(&session->lock);
    rc = finish_locked(file, &in, wanted, epoch, rc);
    layout->getting = false;
    layout->recall_early = false;
    pthread_cond_broadcast(&session->changed);
    sealio_map_free(in.map);
    return rc;
}

static bool at_hand(const struct sealio_layout *layout, layoutiomode4 iomode)
{
    return layout->held && !layout->recalled && !layout->trim && !layout->getting &&
           !layout->returning && (layout->iomode == LAYOUTIOMODE4_RW || iomode == layout->iomode);
}

/* Under the lock. The best that the file system offers and that can be had; of one kind at a time.
 * end: of the write that it is for; 0: none. */
static int have_locked(struct sealio_file *file, layoutiomode4 iomode, uint64_t end)
{
    struct sealio_session *session = file->session;
    struct sealio_layout *layout = file->layout;
    for (unsigned kind = 0; kind < SEALIO_KINDS; kind++) {
        while (layout->getting || layout->returning)
            pthread_cond_wait(&session->changed, &session->lock);
        if (at_hand(layout, iomode))
            return 0;
        if (session->layouts_wanted == SEALIO_LAYOUTS_NEVER ||
            (layout->held && (layout->recalled || layout->trim)))
            return -ENODATA;
        if (!layout->offered[kind] || (layout->held && layout->kind != kind) ||
            sealio_now_ms() < layout->refused_until[kind][iomode])
            continue;
        const int rc = get_layout(file, kind, iomode, end);
        if (rc != -ENODATA)
            return rc;
    }
    return -ENODATA;
}

int sealio_layout_have(struct sealio_file *file, layoutiomode4 iomode)
{
    pthread_mutex_lock(&file->session->lock);
    int rc = have_locked(file, iomode, 0);
    pthread_mutex_unlock(&file->session->lock);
    return rc;
}

/* ---- use ---- */

/* Under the lock: what [offset, ...) of a held layout comes down to. */
static int pin_locked(struct sealio_file *file, uint64_t offset, uint64_t length, bool writing,
                      struct sealio_pin *pin)
{
    struct sealio_session *session = file->session;
    struct sealio_layout *layout = file->layout;
    struct sealio_run run;
    *pin = (struct sealio_pin){.layout = layout, .epoch = layout->epoch};
    if (!writing && offset >= layout->size && layout->grows &&
        session->layouts_wanted != SEALIO_LAYOUTS_REQUIRE)
        return -ENODATA; /* where it ends by now the server knows */
    const bool longer = writing && layout->grows;
    if (longer || offset < layout->size) {
        if (!longer && length > layout->size - offset)
            length = layout->size - offset;
        if (!sealio_map_find(layout->map, offset, &run))
            return -ENODATA;
        if (length > run.length)
            length = run.length;
        if (writing && run.state != PNFS_BLOCK_READ_WRITE_DATA)
            return -ENODATA;
        pin->length = length;
        if (run.state == PNFS_BLOCK_READ_WRITE_DATA || run.state == PNFS_BLOCK_READ_DATA) {
            run.length = length;
            int rc = sealio_volumes_resolve_locked(session, layout->map, &run, &pin->target);
            if (rc < 0)
                return -ENODATA;
            pin->length = pin->target.length;
        }
    }
    layout->inflight++;
    return 0;
}

/* An idle client's lease is renewed by the upkeep thread; if that has not worked, nothing may touch
 * the disk before a SEQUENCE has. */
static bool renew_if_needed(struct sealio_session *session)
{
    uint8_t buf[512];
    struct sealio_call call;
    struct sealio_reply reply;
    if (sealio_session_lease_holds(session))
        return true;
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE);
    if (sealio_session_run(session, &call, &reply) == 0)
        sealio_reply_free(&reply);
    return sealio_session_lease_holds(session);
}

/* Under the lock, dropped meanwhile. Whose layout ends before what is to be written gives it back
 * first: the server makes a longer one when nobody has the shorter one. */
static int have_for_write_locked(struct sealio_file *file, uint64_t offset, uint64_t end)
{
    struct sealio_session *session = file->session;
    struct sealio_layout *layout = file->layout;
    int rc = have_locked(file, LAYOUTIOMODE4_RW, end);
    if (rc < 0 || !layout->grows || offset < sealio_map_end(layout->map))
        return rc;
    layout->returning = true;
    rc = sealio_layout_give_back_locked(session, layout);
    return rc < 0 ? rc : have_locked(file, LAYOUTIOMODE4_RW, end);
}

int sealio_layout_pin(struct sealio_file *file, uint64_t offset, uint64_t length, bool writing,
                      struct sealio_pin *pin)
{
    struct sealio_session *session = file->session;
    const bool may_write = file->share & OPEN4_SHARE_ACCESS_WRITE;
    if (session->layouts_wanted == SEALIO_LAYOUTS_NEVER)
        return -ENODATA;
    if (!renew_if_needed(session))
        return -ENODATA;
    if (length > PIECE_MAX)
        length = PIECE_MAX;
    pthread_mutex_lock(&session->lock);
    int rc = writing ? have_for_write_locked(file, offset, offset + length)
                     : have_locked(file, may_write ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ, 0);
    if (rc == -ENODATA && may_write && !writing)
        rc = have_locked(file, LAYOUTIOMODE4_READ, 0);
    if (rc == 0)
        rc = pin_locked(file, offset, length, writing, pin);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

int sealio_layout_pin_now(struct sealio_file *file, uint64_t offset, uint64_t length, bool writing,
                          struct sealio_pin *pin)
{
    struct sealio_session *session = file->session;
    int rc = -EAGAIN;
    if (!sealio_session_lease_holds(session))
        return rc;
    pthread_mutex_lock(&session->lock);
    if (at_hand(file->layout, writing ? LAYOUTIOMODE4_RW : file->layout->iomode))
        rc = pin_locked(file, offset, length < PIECE_MAX ? length : PIECE_MAX, writing, pin);
    pthread_mutex_unlock(&session->lock);
    return rc < 0 ? -EAGAIN : 0;
}

void sealio_layout_doubt(struct sealio_session *session, const struct sealio_pin *pin)
{
    struct sealio_layout *layout = pin->layout;
    pthread_mutex_lock(&session->lock);
    if (layout->epoch == pin->epoch && layout->held) {
        layout->trim = true;
        /* Of no kind: a layout over the disk, once held, would keep the better one away. */
        for (unsigned kind = 0; kind < SEALIO_KINDS; kind++)
            layout->refused_until[kind][LAYOUTIOMODE4_READ] =
                layout->refused_until[kind][LAYOUTIOMODE4_RW] = sealio_now_ms() + BUSY_MS;
        pthread_cond_broadcast(&session->changed);
    }
    pthread_mutex_unlock(&session->lock);
}

void sealio_layout_unpin(struct sealio_session *session, struct sealio_pin *pin, uint64_t offset,
                         uint64_t written)
{
    struct sealio_layout *layout = pin->layout;
    pthread_mutex_lock(&session->lock);
    if (written > 0) {
        layout->writes++;
        sealio_ranges_add(&layout->dirty, offset, offset + written);
        if (layout->size < offset + written)
            layout->size = offset + written;
    }
    if (--layout->inflight == 0)
        pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
}
