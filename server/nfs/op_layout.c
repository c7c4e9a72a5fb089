/*
 * op_layout.c - LAYOUTGET, LAYOUTCOMMIT, LAYOUTRETURN (RFC 8881 sections 18.42 to 18.44). What can
 * be said without the layout engine is said on the loop; the rest is the keeper's answer, put on
 * the wire here. Devices are in nfs/op_device.c.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "layout/container_of.h"
#include "server/base/log.h"
#include "server/client/client.h"
#include "server/client/recovery.h"
#include "server/client/session.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/keeper/keeper.h"
#include "server/nfs/op_io.h"
#include "server/nfs/op_open.h"
#include "server/server.h"
#include "server/state/state.h"

/* LAYOUTGET_OVERHEAD: what is around loc_body in the reply, and room for the next operation's
 * error. */
enum { LAYOUT_BODY_MAX = 1 << 20, LAYOUTGET_OVERHEAD = 128, FILE_TEXT = 512 };

/* One of the three calls, with the way back from the keeper's reply. */
struct layout_work {
    struct compound *compound;
    struct keeper_call *call;
    uint8_t *body; /* malloc'ed */
    union {
        struct keeper_layoutget get;
        struct keeper_layoutreturn ret;
        struct keeper_layoutcommit commit;
    };
};

/* In all three, the call is the first member. */
_Static_assert(offsetof(struct keeper_layoutget, call) == 0, "call comes first");
_Static_assert(offsetof(struct keeper_layoutreturn, call) == 0, "call comes first");
_Static_assert(offsetof(struct keeper_layoutcommit, call) == 0, "call comes first");

static void on_answer(struct loop_msg *msg)
{
    struct keeper_call *call = container_of(msg, struct keeper_call, reply);
    struct layout_work *work = container_of(call, struct layout_work, get);

    compound_resume(work->compound);
}

static struct keeper_call keeper_call_of(const struct compound *c)
{
    return (struct keeper_call){.reply.run = on_answer, .reply_loop = c->loop};
}

static struct layout_work *begin_work(struct compound *c)
{
    struct layout_work *work = arena_alloc(&c->arena, sizeof *work);

    if (work)
        work->compound = c;
    c->op_state = work;
    return work;
}

static bool range_is_valid(uint64_t offset, uint64_t length)
{
    return length == UINT64_MAX || length <= UINT64_MAX - offset;
}

static nfsstat4 check_type(const struct compound *c, layouttype4 type)
{
    const char *why_not;

    if (!c->current.export || !export_has_layouts(c->current.export, &why_not))
        return NFS4ERR_LAYOUTUNAVAILABLE;
    return export_offers(c->current.export, type) ? NFS4_OK : NFS4ERR_UNKNOWN_LAYOUTTYPE;
}

static nfsstat4 layoutget_check(const struct compound *c, const LAYOUTGET4args *args)
{
    nfsstat4 status = open_check_type(file_type(c->current.file));

    if (status != NFS4_OK)
        return NFS4ERR_WRONG_TYPE; /* for directories and symbolic links too (15.2) */
    if (args->loga_iomode != LAYOUTIOMODE4_READ && args->loga_iomode != LAYOUTIOMODE4_RW)
        return NFS4ERR_BADIOMODE;
    status = check_type(c, args->loga_layout_type);
    if (status != NFS4_OK)
        return status;
    if (args->loga_length < args->loga_minlength ||
        !range_is_valid(args->loga_offset, args->loga_length) ||
        !range_is_valid(args->loga_offset, args->loga_minlength))
        return NFS4ERR_INVAL;
    if (args->loga_iomode == LAYOUTIOMODE4_RW && !export_is_writable(c->current.export))
        return NFS4ERR_LAYOUTUNAVAILABLE;
    if (recovery_in_grace(c->server->recovery))
        return NFS4ERR_GRACE;
    /* Who cannot be asked for it gets none. */
    return client_is_recallable(c->client) ? NFS4_OK : NFS4ERR_LAYOUTUNAVAILABLE;
}

/* Room for loc_body: what the client can take, what the reply can hold. */
static uint32_t body_room(const struct compound *c, uint32_t maxcount)
{
    uint64_t used = xdr_out_len(&c->out) + LAYOUTGET_OVERHEAD;
    uint64_t limit = c->cache_this && c->max_cached < c->max_reply ? c->max_cached : c->max_reply;
    uint64_t room = limit > used ? limit - used : 0;

    if (room > LAYOUT_BODY_MAX)
        room = LAYOUT_BODY_MAX;
    return room < maxcount ? (uint32_t)room : maxcount;
}

static enum op_next layoutget_start(struct compound *c)
{
    const LAYOUTGET4args *args = &c->args.layoutget;
    struct layout_work *work;
    stateid4 stateid;
    bool is_layout;
    uint32_t room = body_room(c, args->loga_maxcount);
    nfsstat4 status = layoutget_check(c, args);

    if (status == NFS4_OK)
        status = compound_resolve_latest(c, &args->loga_stateid, &stateid);
    if (status == NFS4_OK) {
        const struct state_io io = io_state_of(c);

        status = state_check_layoutget(&io, &stateid, args->loga_iomode, &is_layout);
    }
    if (status != NFS4_OK)
        return op_done(c, status);
    work = begin_work(c);
    if (!work || !(work->body = malloc(room ? room : 1)))
        return op_done(c, NFS4ERR_DELAY);
    work->get = (struct keeper_layoutget){
        .call = keeper_call_of(c),
        .file = c->current.file,
        .export = c->current.export,
        .client_id = c->client_id,
        .type = args->loga_layout_type,
        .iomode = args->loga_iomode,
        .offset = args->loga_offset,
        .length = args->loga_length,
        .minlength = args->loga_minlength,
        .maxcount = args->loga_maxcount,
        .has_layout_stateid = is_layout,
        .stateid = stateid,
        .body_buffer = work->body,
        .body_room = room,
    };
    session_current_call(c->session, c->slot, work->get.session, &work->get.slot,
                         &work->get.sequence);
    keeper_layoutget(c->server->keeper, &work->get);
    return OP_WAIT;
}

static void layoutget_log(const struct compound *c, const struct keeper_layoutget *get)
{
    char text[FILE_TEXT];

    if (get->call.status == NFS4_OK || log_threshold < LOG_LEVEL_DEBUG)
        return;
    file_describe(c->current.file, text, sizeof text);
    log_debug("client %s gets no layout of %s: %s (%s)",
              c->client ? client_describe(c->client) : "?", text, get->call.why,
              nfs4_status_name(get->call.status));
}

static enum op_next layoutget_finish(struct compound *c, struct layout_work *work)
{
    LAYOUTGET4resok *res = &c->res.layoutget.logr_resok4;
    const struct keeper_layoutget *get = &work->get;
    layout4 *layout = NULL;
    uint8_t *body = NULL;

    layoutget_log(c, get);
    if (get->call.status == NFS4_OK) {
        layout = arena_alloc(&c->arena, sizeof *layout);
        body = arena_dup(&c->arena, work->body, get->body_len);
    }
    free(work->body);
    if (get->call.status != NFS4_OK) {
        c->res.layoutget.logr_will_signal_layout_avail = false;
        return op_done(c, get->call.status);
    }
    if (!layout || !body)
        return op_done(c, NFS4ERR_DELAY);
    *layout = (layout4){
        .lo_offset = get->granted_offset,
        .lo_length = get->granted_length,
        .lo_iomode = get->granted_iomode,
        .lo_content = {.loc_type = get->type, .loc_body = {.data = body, .len = get->body_len}},
    };
    /* Nothing is returned on close: Linux returns like that and has it still (engine/leave.c). */
    *res = (LAYOUTGET4resok){
        .logr_stateid = get->layout_stateid, .logr_layout_count = 1, .logr_layout = layout};
    compound_set_stateid(c, &res->logr_stateid);
    return op_done(c, NFS4_OK);
}

enum op_next op_layoutget(struct compound *c)
{
    if (!c->op_state)
        return c->on_worker ? OP_LOOP : layoutget_start(c);
    return layoutget_finish(c, c->op_state);
}

static nfsstat4 layoutreturn_check(const struct compound *c, const LAYOUTRETURN4args *args)
{
    const layoutreturn_file4 *file = &args->lora_layoutreturn.lr_layout;
    bool by_file = args->lora_layoutreturn.lr_returntype == LAYOUTRETURN4_FILE;

    if (args->lora_layoutreturn.lr_returntype < LAYOUTRETURN4_FILE ||
        args->lora_layoutreturn.lr_returntype > LAYOUTRETURN4_ALL)
        return NFS4ERR_BADXDR; /* no value of the enumeration (15.1.1.1) */
    if (!export_knows_type(args->lora_layout_type))
        return NFS4ERR_UNKNOWN_LAYOUTTYPE;
    if (args->lora_layoutreturn.lr_returntype != LAYOUTRETURN4_ALL && !c->current.file)
        return NFS4ERR_NOFILEHANDLE;
    if (args->lora_iomode < LAYOUTIOMODE4_READ || args->lora_iomode > LAYOUTIOMODE4_ANY)
        return NFS4ERR_INVAL;
    if (args->lora_reclaim && !by_file)
        return NFS4ERR_INVAL;
    if (args->lora_reclaim && !recovery_in_grace(c->server->recovery))
        return NFS4ERR_NO_GRACE;
    return by_file && !range_is_valid(file->lrf_offset, file->lrf_length) ? NFS4ERR_INVAL : NFS4_OK;
}

static nfsstat4 layoutreturn_stateid_of(struct compound *c, const LAYOUTRETURN4args *args,
                                        stateid4 *stateid)
{
    const stateid4 *named = &args->lora_layoutreturn.lr_layout.lrf_stateid;
    nfsstat4 status = compound_resolve_stateid(c, named, stateid);

    if (status == NFS4_OK && (stateid->other[0] != STATEID_LAYOUT || stateid->seqid == 0))
        status = NFS4ERR_BAD_STATEID;
    return status;
}

/* A layout of before the restart (18.44.3): taken note of, but it ends nothing here. Who lost his
 * state may still have I/O under way and gives layouts back without waiting for it (beliefs.md), so
 * what he was granted before stays until he is fenced or unmounts. */
static enum op_next layoutreturn_of_before(struct compound *c)
{
    static const stateid4 none;

    compound_set_stateid(c, &none);
    return op_done(c, NFS4_OK);
}

static enum op_next layoutreturn_start(struct compound *c)
{
    const LAYOUTRETURN4args *args = &c->args.layoutreturn;
    const layoutreturn_file4 *file = &args->lora_layoutreturn.lr_layout;
    layoutreturn_type4 scope = args->lora_layoutreturn.lr_returntype;
    struct layout_work *work = begin_work(c);
    nfsstat4 status = layoutreturn_check(c, args);
    stateid4 stateid = {0};

    if (status == NFS4_OK && args->lora_reclaim)
        return layoutreturn_of_before(c);
    if (status == NFS4_OK && !work)
        status = NFS4ERR_DELAY;
    if (status == NFS4_OK && scope == LAYOUTRETURN4_FILE)
        status = layoutreturn_stateid_of(c, args, &stateid);
    if (status == NFS4_OK && scope == LAYOUTRETURN4_FSID && !c->current.export)
        return op_done(c, NFS4_OK); /* no layouts on the pseudo root */
    if (status != NFS4_OK)
        return op_done(c, status);
    work->ret = (struct keeper_layoutreturn){
        .call = keeper_call_of(c),
        .scope = scope,
        .client_id = c->client_id,
        .type = args->lora_layout_type,
        .iomode = args->lora_iomode,
        .length = UINT64_MAX,
    };
    if (scope == LAYOUTRETURN4_FSID)
        memcpy(work->ret.fs_uuid, export_fs_uuid(c->current.export), sizeof work->ret.fs_uuid);
    if (scope == LAYOUTRETURN4_FILE) {
        work->ret.file = c->current.file;
        work->ret.offset = file->lrf_offset;
        work->ret.length = file->lrf_length;
        work->ret.stateid = stateid;
    }
    keeper_layoutreturn(c->server->keeper, &work->ret);
    return OP_WAIT;
}

static enum op_next layoutreturn_finish(struct compound *c, struct layout_work *work)
{
    const struct keeper_layoutreturn *ret = &work->ret;
    static const stateid4 none;

    if (ret->call.status != NFS4_OK)
        return op_done(c, ret->call.status);
    c->res.layoutreturn.lorr_stateid.lrs_present = ret->stateid_present;
    c->res.layoutreturn.lorr_stateid.lrs_stateid = ret->layout_stateid;
    if (ret->scope == LAYOUTRETURN4_FILE)
        compound_set_stateid(c, ret->stateid_present ? &ret->layout_stateid : &none);
    return op_done(c, NFS4_OK);
}

enum op_next op_layoutreturn(struct compound *c)
{
    if (!c->op_state)
        return c->on_worker ? OP_LOOP : layoutreturn_start(c);
    return layoutreturn_finish(c, c->op_state);
}

static nfsstat4 layoutcommit_check(const struct compound *c, const LAYOUTCOMMIT4args *args)
{
    const newoffset4 *last = &args->loca_last_write_offset;
    bool grace = recovery_in_grace(c->server->recovery);
    nfsstat4 status = open_check_type(file_type(c->current.file));

    if (status != NFS4_OK)
        return status == NFS4ERR_WRONG_TYPE ? NFS4ERR_INVAL : status;
    if (!c->current.export ||
        !export_device(c->current.export)) /* layouts of a device that is away are layouts */
        return NFS4ERR_BADLAYOUT;
    if (!export_knows_type(args->loca_layoutupdate.lou_type))
        return NFS4ERR_UNKNOWN_LAYOUTTYPE;
    if (args->loca_length == 0 || !range_is_valid(args->loca_offset, args->loca_length))
        return NFS4ERR_INVAL;
    if (last->no_newoffset && (last->no_offset < args->loca_offset ||
                               (args->loca_length != UINT64_MAX &&
                                last->no_offset - args->loca_offset >= args->loca_length)))
        return NFS4ERR_INVAL;
    if (args->loca_time_modify.nt_timechanged &&
        args->loca_time_modify.nt_time.nseconds >= 1000000000)
        return NFS4ERR_INVAL;
    if (args->loca_reclaim)
        return grace ? NFS4_OK : NFS4ERR_NO_GRACE;
    /* Linux never reclaims, and takes GRACE for success: what it wrote past the end of a growing
     * file would be lost. */
    return grace && !file_is_growing(c->current.file) ? NFS4ERR_GRACE : NFS4_OK;
}

static uint64_t time_ns(const nfstime4 *time)
{
    if (time->seconds < 0 || (uint64_t)time->seconds > UINT64_MAX / 1000000000 - 1)
        return 0;
    return (uint64_t)time->seconds * 1000000000u + time->nseconds;
}

/*
 * Where files grow, what was written by a layout is the file's only once it was committed (12.5.4):
 * else it is cut off or zeroed when the layout is lost, and whoever made the file longer since did
 * so over zeros. Linux takes these refusals (18.42.3) for success, and the program has to hear of
 * it: so they are IO, which is among the operation's errors (15.2) and says that what was written
 * could not be kept (15.1.4.6). A pinned file that does not grow keeps its blocks and its size, and
 * loses nothing.
 */
static bool loses_data(const struct compound *c, nfsstat4 status)
{
    struct file *file = c->current.file;

    if (status != NFS4ERR_BADLAYOUT && status != NFS4ERR_BADIOMODE && status != NFS4ERR_GRACE)
        return false;
    if (!c->current.export || !export_config(c->current.export)->direct_writes)
        return false;
    return c->args.layoutcommit.loca_last_write_offset.no_newoffset &&
           (seal_kind(file_seal(file)) != SEAL_PINNED || file_is_growing(file));
}

/* A stateid that is no layout's, or not any more: that there is no such layout is said by BADLAYOUT
 * (18.42.3); errors about stateids are not among the operation's (15.2). */
static enum op_next layoutcommit_done(struct compound *c, nfsstat4 status)
{
    bool unknown = status == NFS4ERR_BAD_STATEID || status == NFS4ERR_OLD_STATEID;

    if (unknown)
        status = NFS4ERR_BADLAYOUT;
    return op_done(c, loses_data(c, status) ? NFS4ERR_IO : status);
}

static enum op_next layoutcommit_start(struct compound *c)
{
    const LAYOUTCOMMIT4args *args = &c->args.layoutcommit;
    struct layout_work *work = begin_work(c);
    nfsstat4 status = layoutcommit_check(c, args);
    stateid4 stateid = args->loca_stateid;

    if (status == NFS4_OK && !work)
        status = NFS4ERR_DELAY;
    if (status == NFS4_OK && !args->loca_reclaim)
        status = compound_resolve_stateid(c, &args->loca_stateid, &stateid);
    if (status == NFS4_OK && !args->loca_reclaim && stateid.other[0] != STATEID_LAYOUT)
        status = NFS4ERR_BAD_STATEID;
    if (status != NFS4_OK)
        return layoutcommit_done(c, status);
    work->commit = (struct keeper_layoutcommit){
        .call = keeper_call_of(c),
        .file = c->current.file,
        .client_id = c->client_id,
        .reclaim = args->loca_reclaim,
        .type = args->loca_layoutupdate.lou_type,
        .offset = args->loca_offset,
        .length = args->loca_length,
        .stateid = stateid,
        .has_last_write = args->loca_last_write_offset.no_newoffset,
        .last_write = args->loca_last_write_offset.no_offset,
        .has_mtime = args->loca_time_modify.nt_timechanged,
        .mtime_ns = time_ns(&args->loca_time_modify.nt_time),
        .update = args->loca_layoutupdate.lou_body.data,
        .update_len = args->loca_layoutupdate.lou_body.len,
    };
    keeper_layoutcommit(c->server->keeper, &work->commit);
    return OP_WAIT;
}

enum op_next op_layoutcommit(struct compound *c)
{
    struct layout_work *work = c->op_state;

    if (!work)
        return c->on_worker ? OP_LOOP : layoutcommit_start(c);
    /* A sealed file never changes its size, unless it grows. */
    c->res.layoutcommit.locr_resok4.locr_newsize =
        (newsize4){.ns_sizechanged = work->commit.size_changed, .ns_size = work->commit.size};
    return layoutcommit_done(c, work->commit.call.status);
}
