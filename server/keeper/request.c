/*
 * request.c - what the server's other parts ask of the keeper (keeper.h): each request
 * becomes a message to its loop, there an event of the engine, and in the end a reply. The
 * protocol's words for the engine's results are chosen here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "layout/container_of.h"
#include "layout/seal/map.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/file/at_rest.h"
#include "server/keeper/growth.h"
#include "server/keeper/request.h"
#include "server/state/state.h"

enum { DESCRIPTION_MAX = 16384, STATEIDS = 4096 /* judged at once: about a millisecond */ };

#define OF(request, type) container_of((request)->of, struct type, call)

static nfsstat4 to_status(enum engine_result result)
{
    static const nfsstat4 words[] = {
        [ENGINE_OK] = NFS4_OK,
        [ENGINE_BAD_STATEID] = NFS4ERR_BAD_STATEID,
        [ENGINE_OLD_STATEID] = NFS4ERR_OLD_STATEID,
        [ENGINE_RECALL_CONFLICT] = NFS4ERR_RECALLCONFLICT,
        [ENGINE_TRY_LATER] = NFS4ERR_LAYOUTTRYLATER,
        [ENGINE_UNAVAILABLE] = NFS4ERR_LAYOUTUNAVAILABLE,
        [ENGINE_UNKNOWN_TYPE] = NFS4ERR_UNKNOWN_LAYOUTTYPE,
        [ENGINE_BAD_IOMODE] = NFS4ERR_BADIOMODE,
        [ENGINE_BAD_LAYOUT] = NFS4ERR_BADLAYOUT,
        [ENGINE_TOO_SMALL] = NFS4ERR_TOOSMALL,
        [ENGINE_INVALID] = NFS4ERR_INVAL,
        [ENGINE_BAD_XDR] = NFS4ERR_BADXDR,
        [ENGINE_NO_GRACE] = NFS4ERR_NO_GRACE,
        [ENGINE_RECLAIM_BAD] = NFS4ERR_RECLAIM_BAD,
        [ENGINE_UNDER_WAY] = NFS4ERR_DELAY,
        [ENGINE_NOT_ALLOWED] = NFS4ERR_PERM,
        [ENGINE_STUCK] = NFS4ERR_PERM,
        [ENGINE_REFUSED] = NFS4ERR_INVAL,
        [ENGINE_NO_MEMORY] = NFS4ERR_DELAY,
        [ENGINE_NEEDS_MEMORY] = NFS4ERR_LAYOUTTRYLATER,
    };
    return (size_t)result < sizeof words / sizeof words[0] ? words[result] : NFS4ERR_SERVERFAULT;
}

void keeper_reply(struct keeper_call *call, nfsstat4 status, const char *why)
{
    call->status = status;
    snprintf(call->why, sizeof call->why, "%s", why);
    loop_post(call->reply_loop, &call->reply);
}

void request_finish(struct request *request, nfsstat4 status, const char *why)
{
    struct keeper_call *of = request->of;
    char text[ENGINE_WHY_MAX];
    snprintf(text, sizeof text, "%s", why);
    free(request);
    keeper_reply(of, status, text);
}

struct request *request_make(struct keeper *keeper, enum request_kind kind, struct keeper_call *of,
                             void (*run)(struct loop_msg *msg))
{
    struct request *request = calloc(1, sizeof *request);
    if (!request) {
        keeper_reply(of, NFS4ERR_DELAY, "out of memory");
        return NULL;
    }
    request->keeper = keeper;
    request->kind = kind;
    request->of = of;
    request->msg.run = run;
    return request;
}

void request_post(struct request *request)
{
    loop_post(request->keeper->loop, &request->msg);
}

/* What is nothing but an event of the engine. */
static void run_event(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    const struct engine_event event = request->event; /* the request may be gone meanwhile */
    keeper_feed(request->keeper, &event);
}

void keeper_rdma_post(struct rdma_call *call)
{
    request_post(container_of(call, struct request, rdma));
}

void keeper_rdma_finish(struct rdma_call *call, nfsstat4 status, const char *why)
{
    request_finish(container_of(call, struct request, rdma), status, why);
}

static void copy_results(struct request *request)
{
    switch (request->kind) {
    case REQUEST_LAYOUTGET: {
        struct keeper_layoutget *get = OF(request, keeper_layoutget);
        get->layout_stateid = request->get.granted_stateid;
        get->granted_offset = request->get.cover.offset;
        get->granted_length = request->get.cover.length;
        get->granted_iomode = request->get.want.iomode;
        get->body_len = request->get.cover.body_len;
        return;
    }
    case REQUEST_LAYOUTRETURN: {
        struct keeper_layoutreturn *ret = OF(request, keeper_layoutreturn);
        ret->stateid_present = request->ret.stateid_present;
        ret->layout_stateid = request->ret.new_stateid;
        return;
    }
    case REQUEST_LAYOUTCOMMIT: {
        struct keeper_layoutcommit *commit = OF(request, keeper_layoutcommit);
        commit->size_changed = request->commit.call.moved;
        commit->size = request->commit.call.size;
        return;
    }
    case REQUEST_HOLD:
        keeper_hold_granted(request);
        return;
    default:
        return;
    }
}

static void prepare_memory(struct keeper *keeper, struct request *request)
{
    if (keeper->rdma)
        keeper_rdma_ops->prepare(keeper->rdma, &request->rdma, &request->get,
                                 OF(request, keeper_layoutget)->file);
    else
        request_finish(request, NFS4ERR_LAYOUTUNAVAILABLE,
                       keeper_rdma_ops ? "this server gives no RDMA layouts (rdma_listen)"
                                       : "this sealnfsd was built without RDMA");
}

/* It is used again for what becomes of the write, which the engine waits for. */
static void give_promise(struct request *request)
{
    struct keeper_room *room = OF(request, keeper_room);
    room->promise = request;
    keeper_reply(&room->call, NFS4_OK, "");
}

void keeper_answer(struct keeper *keeper, struct engine_call *call)
{
    struct request *request = container_of(call, struct request, call);
    if (request->kind == REQUEST_LAYOUTGET && call->result == ENGINE_NEEDS_MEMORY) {
        prepare_memory(keeper, request);
        return;
    }
    if (request->kind == REQUEST_ROOM && call->result == ENGINE_OK) {
        give_promise(request);
        return;
    }
    if (request->kind == REQUEST_LAYOUTGET && keeper->rdma)
        keeper_rdma_ops->answered(&request->rdma, call->result == ENGINE_OK);
    if (call->result == ENGINE_OK)
        copy_results(request);
    if (request->kind == REQUEST_LAYOUTRETURN && call->result == ENGINE_OK && keeper->rdma &&
        keeper_rdma_ops->returns(keeper->rdma, &request->rdma, &request->ret))
        return;
    request_finish(request, to_status(call->result), call->why);
}

/* A client gets its key with the device, so it is known by one before its first grant. */
static bool may_reach_the_disks(struct request *request)
{
    const struct keeper_layoutget *get = OF(request, keeper_layoutget);
    const struct export *export = get->export ? get->export : file_export(get->file);
    const char *why = "";
    int err = get->type == LAYOUT4_SCSI ? keeper_san_prepare(request->keeper->san, get->client_id,
                                                             export_device(export), &why)
                                        : 0;
    if (!err)
        return true;
    request_finish(request, err == -EAGAIN ? NFS4ERR_LAYOUTTRYLATER : NFS4ERR_LAYOUTUNAVAILABLE,
                   why);
    return false;
}

static void run_layoutget(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    if (!may_reach_the_disks(request))
        return;
    if (request->keeper->rdma)
        keeper_rdma_ops->offer(request->keeper->rdma, &request->rdma, &request->get);
    keeper_feed(request->keeper,
                &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &request->get});
}

static void describe(struct request *request, const struct file *file)
{
    file_describe(file, request->path, sizeof request->path);
}

/* Policy at-rest: a quiet file that is large enough. What is not known here the sealing finds out.
 */
static bool may_seal(struct file *file, const struct export *export)
{
    const struct config_export *config = export_config(export);
    struct file_stat stat;
    return config->policy == POLICY_AT_REST && file_type(file) == S_IFREG &&
           file_stat(file, &stat) == 0 && stat.stx.stx_size >= config->at_rest_min_size &&
           !state_file_has_writer(file) && at_rest_is_wanted(export, file);
}

bool request_for_layout(struct request *request, struct file *file, const struct export *export,
                        uint64_t reserve)
{
    const struct config_export *config = export ? export_config(export) : NULL;
    const char *why_not = NULL;
    if (!export || !export_has_layouts(export, &why_not)) {
        request_finish(request, NFS4ERR_LAYOUTUNAVAILABLE, why_not ? why_not : "no layouts here");
        return false;
    }
    bool sealable = may_seal(file, export);
    if (file_seal(file) == SEAL_NONE && !sealable && !reserve) {
        request_finish(request, NFS4ERR_LAYOUTUNAVAILABLE,
                       "the file is not sealed (sealctl explain says why)");
        return false;
    }
    describe(request, file);
    request->get = (struct engine_layoutget){
        .key = *file_key(file),
        .place = export_id(export),
        .may_seal = sealable,
        .min_size = config->at_rest_min_size,
        .reserve = reserve,
        .path = request->path,
    };
    return true;
}

/* Policy direct_writes; 0: it is not for this file. */
static uint64_t reserve_for(const struct keeper_layoutget *get, const struct export *export)
{
    const struct config_export *config = export ? export_config(export) : NULL;
    struct file_stat stat;
    if (!config || !config->direct_writes || get->iomode != LAYOUTIOMODE4_RW ||
        get->type == LAYOUT4_SEALNFS_RDMA || file_type(get->file) != S_IFREG ||
        file_stat(get->file, &stat))
        return 0;
    const struct growth growth = {.size = stat.stx.stx_size,
                                  .offset = get->offset,
                                  .length = get->length,
                                  .minlength = get->minlength,
                                  .min_size = config->direct_writes_min_size,
                                  .reserve = config->direct_writes_reserve};
    return growth_reserve(&growth);
}

void keeper_layoutget(struct keeper *keeper, struct keeper_layoutget *get)
{
    struct request *request = request_make(keeper, REQUEST_LAYOUTGET, &get->call, run_layoutget);
    const struct export *export = get->export ? get->export : file_export(get->file);
    if (!request || !request_for_layout(request, get->file, export, reserve_for(get, export)))
        return;
    struct engine_layoutget *want = &request->get;
    want->client_id = get->client_id;
    want->type = get->type;
    want->want = (struct layout_request){.iomode = get->iomode,
                                         .offset = get->offset,
                                         .length = get->length,
                                         .minlength = get->minlength,
                                         .maxcount = get->maxcount};
    want->has_stateid = get->has_layout_stateid;
    want->stateid = get->stateid;
    want->referral = (struct engine_referral){
        .present = get->sequence != 0, .slot = get->slot, .sequence = get->sequence};
    memcpy(want->referral.session, get->session, sizeof get->session);
    want->body = get->body_buffer;
    want->body_room = get->body_room;
    request_post(request);
}

void keeper_layoutreturn(struct keeper *keeper, struct keeper_layoutreturn *ret)
{
    struct request *request = request_make(keeper, REQUEST_LAYOUTRETURN, &ret->call, run_event);
    if (!request)
        return;
    request->event =
        (struct engine_event){.type = ENGINE_EV_LAYOUTRETURN, .layoutreturn = &request->ret};
    request->ret = (struct engine_layoutreturn){
        .scope = ret->scope,
        .client_id = ret->client_id,
        .type = ret->type,
        .iomode = ret->iomode,
        .offset = ret->offset,
        .length = ret->length,
        .stateid = ret->stateid,
    };
    if (ret->file)
        request->ret.key = *file_key(ret->file);
    memcpy(request->ret.fs_uuid, ret->fs_uuid, sizeof ret->fs_uuid);
    request_post(request);
}

static uint64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void run_layoutcommit(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    keeper_look_at_grace(request->keeper);
    if (request->keeper->rdma &&
        keeper_rdma_ops->commits(request->keeper->rdma, &request->rdma, &request->commit))
        return;
    keeper_feed(request->keeper, &(struct engine_event){.type = ENGINE_EV_LAYOUTCOMMIT,
                                                        .layoutcommit = &request->commit});
}

void keeper_layoutcommit(struct keeper *keeper, struct keeper_layoutcommit *commit)
{
    struct request *request =
        request_make(keeper, REQUEST_LAYOUTCOMMIT, &commit->call, run_layoutcommit);
    if (!request)
        return;
    request->commit = (struct engine_layoutcommit){
        .key = *file_key(commit->file),
        .client_id = commit->client_id,
        .reclaim = commit->reclaim,
        .type = commit->type,
        .offset = commit->offset,
        .length = commit->length,
        .stateid = commit->stateid,
        .has_last_write = commit->has_last_write,
        .last_write = commit->last_write,
        .has_mtime = commit->has_mtime,
        .mtime_ns = commit->mtime_ns,
        .wall_ns = wall_ns(),
        .update = commit->update,
        .update_len = commit->update_len,
    };
    request_post(request);
}

static void run_seal(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    if (!file_key_equal(&request->seal.key, file_key(OF(request, keeper_seal)->file))) {
        request_finish(request, NFS4ERR_INVAL,
                       "has a seal of before its file system's UUID was changed; unseal it first");
        return;
    }
    keeper_feed(request->keeper,
                &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &request->seal});
}

void keeper_seal(struct keeper *keeper, struct keeper_seal *seal)
{
    struct request *request = request_make(keeper, REQUEST_SEAL, &seal->call, run_seal);
    if (!request)
        return;
    describe(request, seal->file);
    request->seal = (struct engine_seal){
        .key = *file_key(seal->file),
        .path = request->path,
        .kind = seal->pinned ? SEAL_KIND_PINNED : SEAL_KIND_FROZEN,
        .fill = seal->fill,
        .sparse = seal->sparse,
        .at_rest = seal->at_rest,
        .reserve = seal->reserve,
        .least = seal->reserve,
    };
    keeper_recognize(keeper, seal->file, &request->seal.key, &request->msg);
}

#define NO_SUCH_SEAL "there is no such file, and no seal on record by this name (sealctl status)"

/* Of a file that is gone only its seal's record is left, which bears its path; another file may
 * have that by now. */
static bool find_by_path(struct request *request, struct file_key *key, bool broken_only)
{
    return engine_find_path(request->keeper->engine, request->path, broken_only, key) == 0;
}

static void run_release(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    const struct keeper_release *release = OF(request, keeper_release);
    struct engine_seal_view view;
    if (!release->file && !find_by_path(request, &request->release.key, false)) {
        request_finish(request, NFS4ERR_NOENT, NO_SUCH_SEAL);
        return;
    }
    if (release->file && release->by_operator &&
        engine_seal_view(request->keeper->engine, &request->release.key, &view) != 0)
        (void)find_by_path(request, &request->release.key, true);
    keeper_feed(request->keeper,
                &(struct engine_event){.type = ENGINE_EV_RELEASE, .release = &request->release});
}

void keeper_release(struct keeper *keeper, struct keeper_release *release)
{
    struct request *request = request_make(keeper, REQUEST_RELEASE, &release->call, run_release);
    if (!request)
        return;
    request->release = (struct engine_release){
        .by_operator = release->by_operator,
        .patience = (uint64_t)release->timeout_ms * 1000000,
    };
    if (!release->file) {
        snprintf(request->path, sizeof request->path, "%s", release->path);
        request_post(request);
        return;
    }
    request->release.key = *file_key(release->file);
    if (!release->by_operator) {
        request_post(request);
        return;
    }
    describe(request, release->file);
    keeper_recognize(keeper, release->file, &request->release.key, &request->msg);
}

static void have_looked(struct san_wait *wait)
{
    request_finish(container_of(wait, struct request, look), NFS4_OK, "");
}

static void run_look(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    request->look.done = have_looked;
    keeper_san_look_then(request->keeper->san, &request->look);
}

void keeper_look(struct keeper *keeper, struct keeper_call *call)
{
    struct request *request = request_make(keeper, REQUEST_LOOK, call, run_look);
    if (request)
        request_post(request);
}

static void run_forget(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    if (keeper_scan_is_running(request->keeper))
        request_finish(request, NFS4ERR_DELAY,
                       "the file systems are still being searched for seals that the journal does "
                       "not know; try again "
                       "when the log says that this is over");
    else {
        keeper_san_forgive(request->keeper->san, request->forget.fs_uuid);
        keeper_feed(request->keeper,
                    &(struct engine_event){.type = ENGINE_EV_FORGET, .forget = &request->forget});
    }
}

void keeper_forget_holders(struct keeper *keeper, struct keeper_forget *forget)
{
    struct request *request = request_make(keeper, REQUEST_FORGET, &forget->call, run_forget);
    if (!request)
        return;
    memcpy(request->forget.fs_uuid, file_key(forget->file)->data, FILE_KEY_UUID_SIZE);
    request_post(request);
}

void keeper_expel(struct keeper *keeper, struct keeper_expel *expel)
{
    struct request *request = request_make(keeper, REQUEST_EXPEL, &expel->call, run_event);
    if (!request)
        return;
    request->event = (struct engine_event){.type = ENGINE_EV_EXPEL, .expel = &request->expel};
    request->expel.client_id = expel->client_id;
    request_post(request);
}

static struct request *keep_promise(struct keeper_wrote *wrote)
{
    struct request *request = wrote->promise;
    request->kind = REQUEST_WROTE;
    request->of = &wrote->call;
    return request;
}

void keeper_wrote(struct keeper *keeper, struct keeper_wrote *wrote)
{
    struct request *request = wrote->promise
                                  ? keep_promise(wrote)
                                  : request_make(keeper, REQUEST_WROTE, &wrote->call, run_event);
    if (!request)
        return;
    request->event = (struct engine_event){.type = ENGINE_EV_WROTE, .wrote = &request->wrote};
    request->wrote = (struct engine_wrote){.key = *file_key(wrote->file),
                                           .mtime_ns = wrote->mtime_ns,
                                           .roomed = wrote->promise != NULL,
                                           .client_id = wrote->client_id,
                                           .room = wrote->room,
                                           .end = wrote->end};
    request_post(request);
}

void keeper_room(struct keeper *keeper, struct keeper_room *room)
{
    struct request *request = request_make(keeper, REQUEST_ROOM, &room->call, run_event);
    if (!request)
        return;
    request->event = (struct engine_event){.type = ENGINE_EV_ROOM, .room = &request->room};
    request->room = (struct engine_room){
        .key = *file_key(room->file), .client_id = room->client_id, .end = room->end};
    request_post(request);
}

void keeper_resize(struct keeper *keeper, struct keeper_resize *resize)
{
    struct request *request = request_make(keeper, REQUEST_RESIZE, &resize->call, run_event);
    if (!request)
        return;
    request->event = (struct engine_event){.type = ENGINE_EV_RESIZE, .resize = &request->resize};
    request->resize = (struct engine_resize){.key = *file_key(resize->file),
                                             .client_id = resize->client_id,
                                             .size = resize->size,
                                             .mtime_ns = resize->mtime_ns};
    request_post(request);
}

struct writer_note {
    struct loop_msg msg;
    struct keeper *keeper;
    struct engine_event event;
};

static void run_writer(struct loop_msg *msg)
{
    struct writer_note *note = container_of(msg, struct writer_note, msg);
    keeper_feed(note->keeper, &note->event);
    free(note);
}

void keeper_writer(struct keeper *keeper, const struct file *file, uint64_t client_id, bool writes)
{
    struct writer_note *note = malloc(sizeof *note);
    if (!note)
        return;
    *note = (struct writer_note){
        .msg.run = run_writer,
        .keeper = keeper,
        .event = {.type = ENGINE_EV_WRITER,
                  .writer = {.key = *file_key(file), .client_id = client_id, .writes = writes}}};
    loop_post(keeper->loop, &note->msg);
}

static void run_map(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    struct keeper_map *map = OF(request, keeper_map);
    struct engine_seal_view view;
    if (engine_seal_view(request->keeper->engine, file_key(map->file), &view) || !view.map ||
        view.broken) {
        request_finish(request, NFS4ERR_DELAY, "the file is not sealed");
        return;
    }
    if (!view.map_seen) { /* a clone may have its blocks too, or another file */
        request_finish(request, NFS4ERR_DELAY, "its map was not seen since the start");
        return;
    }
    map->map = map_ref(view.map);
    request_finish(request, NFS4_OK, "");
}

void keeper_map(struct keeper *keeper, struct keeper_map *map)
{
    struct request *request = request_make(keeper, REQUEST_MAP, &map->call, run_map);
    map->map = NULL;
    if (request)
        request_post(request);
}

/* Local programs do not ask this way. */
static const struct layout_type *type_of(struct keeper *keeper, layouttype4 number)
{
    struct engine_options options;
    keeper_options(keeper, &options);
    for (const struct layout_type *const *type = options.types; *type; type++) {
        if ((*type)->number == number && (*type)->fence != LAYOUT_FENCE_DECLARED)
            return *type;
    }
    return NULL;
}

/* How the client reaches the device. *later: the request is run again when that is known. */
static nfsstat4 find_access(struct request *request, const struct layout_type *type,
                            const struct device *device, rdma_deviceaddr4 *addr,
                            struct layout_access *access, bool *later)
{
    const struct keeper_deviceinfo *info = OF(request, keeper_deviceinfo);
    if (type->fence == LAYOUT_FENCE_KEY)
        return keeper_san_key(request->keeper->san, info->client_id, device, &access->key);
    if (type->fence != LAYOUT_FENCE_DEREGISTER)
        return NFS4_OK;
    access->rdma = addr;
    return request->keeper->rdma ? keeper_rdma_ops->describe(request->keeper->rdma, &request->rdma,
                                                             info->client_id, device, addr, later)
                                 : NFS4ERR_NOENT;
}

static nfsstat4 describe_device(struct request *request, struct keeper_deviceinfo *info,
                                bool *later)
{
    struct keeper *keeper = request->keeper;
    struct layout_access access = {0};
    rdma_deviceaddr4 addr;
    const struct device *device = engine_device(keeper->engine, info->device);
    const struct layout_type *type = type_of(keeper, info->type);
    size_t len = 0;
    if (!type)
        return NFS4ERR_UNKNOWN_LAYOUTTYPE;
    if (!device)
        return NFS4ERR_NOENT;
    nfsstat4 status = find_access(request, type, device, &addr, &access, later);
    if (status != NFS4_OK || *later)
        return status;
    uint8_t *body = malloc(DESCRIPTION_MAX);
    if (!body || type->describe_device(device, &access, body, DESCRIPTION_MAX, &len)) {
        free(body);
        return NFS4ERR_DELAY;
    }
    info->body = body;
    info->body_len = (uint32_t)len;
    return NFS4_OK;
}

static void run_deviceinfo(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    struct keeper_deviceinfo *info = OF(request, keeper_deviceinfo);
    bool later = false;
    nfsstat4 status = describe_device(request, info, &later);
    if (later)
        return;
    if (status == NFS4_OK)
        info->notify = keeper_notify_promise(request->keeper, info->client_id, info->type,
                                             info->device, info->notify);
    request_finish(request, status,
                   status == NFS4_OK ? "" : "the device is not known to this client, or away");
}

void keeper_deviceinfo(struct keeper *keeper, struct keeper_deviceinfo *info)
{
    struct request *request = request_make(keeper, REQUEST_DEVICEINFO, &info->call, run_deviceinfo);
    info->body = NULL;
    if (request)
        request_post(request);
}

/* No more of them at once than others may wait for: there may be tens of thousands. */
static void run_test_stateids(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    struct keeper_stateids *test = OF(request, keeper_stateids);
    uint32_t left = test->count - test->judged, n = left < STATEIDS ? left : STATEIDS;
    for (uint32_t end = test->judged + n; test->judged < end; test->judged++) {
        const stateid4 *stateid = &test->stateids[test->judged];
        if (stateid->other[0] == ENGINE_STATEID_KIND)
            test->codes[test->judged] =
                to_status(engine_test_stateid(request->keeper->engine, test->client_id, stateid));
    }
    if (test->judged < test->count)
        request_post(request);
    else
        request_finish(request, NFS4_OK, "");
}

void keeper_test_stateids(struct keeper *keeper, struct keeper_stateids *test)
{
    struct request *request =
        request_make(keeper, REQUEST_TEST_STATEIDS, &test->call, run_test_stateids);
    test->judged = 0;
    if (request)
        request_post(request);
}

static void run_client_query(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    const struct keeper_client_query *query = OF(request, keeper_client_query);
    bool holds = engine_client_holds(request->keeper->engine, query->client_id);
    request_finish(request, holds ? NFS4ERR_CLIENTID_BUSY : NFS4_OK,
                   holds ? "the client holds layouts" : "");
}

void keeper_client_query(struct keeper *keeper, struct keeper_client_query *query)
{
    struct request *request =
        request_make(keeper, REQUEST_CLIENT_QUERY, &query->call, run_client_query);
    if (request)
        request_post(request);
}

static bool is_of_all(const struct keeper_view *view)
{
    return !view->file && !view->path &&
           (strcmp(view->what, "status") == 0 || strcmp(view->what, "grants") == 0);
}

static void run_view(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    struct keeper_view *view = OF(request, keeper_view);
    if (view->path && !view->file) {
        snprintf(request->path, sizeof request->path, "%s", view->path);
        if (!find_by_path(request, &request->key, false)) {
            request_finish(request, NFS4ERR_NOENT, NO_SUCH_SEAL);
            return;
        }
    }
    if (is_of_all(view))
        view->json = keeper_view_piece(request->keeper, view);
    else
        view->json = keeper_view_json(request->keeper, view->what, view->file,
                                      view->file || view->path ? &request->key : NULL);
    char warning[KEEPER_WHY_MAX] = "";
    keeper_view_warning(request->keeper, warning, sizeof warning);
    request_finish(request, view->json ? NFS4_OK : NFS4ERR_DELAY,
                   view->json ? warning : "out of memory");
}

void keeper_view(struct keeper *keeper, struct keeper_view *view)
{
    struct request *request = request_make(keeper, REQUEST_VIEW, &view->call, run_view);
    view->json = NULL;
    view->more = false;
    if (!request)
        return;
    if (view->file)
        keeper_recognize(keeper, view->file, &request->key, &request->msg);
    else
        request_post(request);
}

struct view_end {
    struct loop_msg msg;
    struct keeper *keeper;
    struct engine_walk *walk;
};

static void run_view_end(struct loop_msg *msg)
{
    struct view_end *end = container_of(msg, struct view_end, msg);
    engine_walk_end(end->keeper->engine, end->walk);
    free(end);
}

/* Without memory for it the walk stands until the server ends: a few words. */
void keeper_view_end(struct keeper *keeper, struct keeper_view *view)
{
    struct view_end *end = view->walk ? calloc(1, sizeof *end) : NULL;
    if (!end)
        return;
    *end = (struct view_end){.msg.run = run_view_end, .keeper = keeper, .walk = view->walk};
    view->walk = NULL;
    loop_post(keeper->loop, &end->msg);
}

static void run_figures(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    const struct keeper *keeper = request->keeper;
    struct keeper_figures *figures = OF(request, keeper_figures);
    engine_figures(keeper->engine, figures->engine);
    figures->records = keeper->commit.records;
    figures->commits = keeper->commit.commits;
    figures->commit_ns = keeper->commit.commit_ns;
    figures->broken = keeper->failing[0] != '\0';
    figures->rdma = (struct keeper_rdma_figures){.configured = false};
    if (keeper->rdma)
        keeper_rdma_ops->figures(keeper->rdma, &figures->rdma);
    request_finish(request, NFS4_OK, "");
}

void keeper_figures(struct keeper *keeper, struct keeper_figures *figures)
{
    struct request *request = request_make(keeper, REQUEST_FIGURES, &figures->call, run_figures);
    if (request)
        request_post(request);
}

struct client_news {
    struct loop_msg msg;
    struct keeper *keeper;
    enum engine_client_event what;
    uint64_t client_id, replaces;
    uint8_t verifier[JOURNAL_VERIFIER_SIZE];
    char address[JOURNAL_ADDRESS_MAX];
    uint32_t owner_len;
    uint8_t owner[];
};

/* A run that confirms another client id has lost what it was granted under the one before. */
static void began_anew(struct keeper *keeper, const struct client_news *news)
{
    struct key_run name = {.owner = news->owner, .owner_len = news->owner_len};
    memcpy(name.verifier, news->verifier, sizeof name.verifier);
    keeper_san_forgot(keeper->san, &name);
}

static void run_client(struct loop_msg *msg)
{
    struct client_news *news = container_of(msg, struct client_news, msg);
    struct keeper *keeper = news->keeper;
    struct engine_event event = {.type = ENGINE_EV_CLIENT,
                                 .client = {.what = news->what,
                                            .client_id = news->client_id,
                                            .replaces = news->replaces,
                                            .owner = news->owner,
                                            .owner_len = news->owner_len,
                                            .address = news->address}};
    memcpy(event.client.verifier, news->verifier, sizeof news->verifier);
    struct san_farewell *farewell = news->what == ENGINE_CLIENT_DESTROYED
                                        ? keeper_san_farewell_begin(keeper->san, news->client_id)
                                        : NULL;
    keeper_feed(keeper, &event);
    keeper_san_farewell_end(keeper->san, farewell);
    if (news->what == ENGINE_CLIENT_CONFIRMED)
        began_anew(keeper, news);
    if (news->what == ENGINE_CLIENT_SHAKEN) {
        keeper_san_shaken(keeper->san, news->client_id);
        keeper->shakes++;
    }
    if (keeper->rdma)
        keeper_rdma_ops->client(keeper->rdma, news->what, news->client_id);
    if (news->what == ENGINE_CLIENT_RESTARTED)
        keeper_notify_forget(keeper, news->replaces);
    if (news->what == ENGINE_CLIENT_CALLABLE)
        keeper_notify_due(keeper, news->client_id);
    if (news->what == ENGINE_CLIENT_FORGOTTEN || news->what == ENGINE_CLIENT_DESTROYED) {
        keeper_forget_fenced(keeper, news->client_id);
        keeper_notify_forget(keeper, news->client_id);
    } else if (engine_client_was_fenced(keeper->engine, news->client_id))
        keeper_note_fenced(keeper, news->client_id);
    free(news);
}

void keeper_client(struct keeper *keeper, enum keeper_client_event event, uint64_t client_id,
                   uint64_t replaces, const uint8_t *owner, uint32_t owner_len,
                   const uint8_t verifier[8], const char *address)
{
    static const enum engine_client_event events[] = {
        [KEEPER_CLIENT_CONFIRMED] = ENGINE_CLIENT_CONFIRMED,
        [KEEPER_CLIENT_RESTARTED] = ENGINE_CLIENT_RESTARTED,
        [KEEPER_CLIENT_MOVED] = ENGINE_CLIENT_MOVED,
        [KEEPER_CLIENT_SHAKEN] = ENGINE_CLIENT_SHAKEN,
        [KEEPER_CLIENT_LAPSED] = ENGINE_CLIENT_LAPSED,
        [KEEPER_CLIENT_RENEWED] = ENGINE_CLIENT_RENEWED,
        [KEEPER_CLIENT_HEARD] = ENGINE_CLIENT_HEARD,
        [KEEPER_CLIENT_CALLABLE] = ENGINE_CLIENT_CALLABLE,
        [KEEPER_CLIENT_FORGOTTEN] = ENGINE_CLIENT_FORGOTTEN,
        [KEEPER_CLIENT_DESTROYED] = ENGINE_CLIENT_DESTROYED,
    };
    if (!owner)
        owner_len = 0;
    struct client_news *news = calloc(1, sizeof *news + owner_len);
    if (!news) {
        log_error("out of memory: the layout engine does not hear of client %s",
                  address ? address : "?");
        return;
    }
    news->keeper = keeper;
    news->what = events[event];
    news->client_id = client_id;
    news->replaces = replaces;
    if (verifier)
        memcpy(news->verifier, verifier, sizeof news->verifier);
    snprintf(news->address, sizeof news->address, "%s", address ? address : "");
    news->owner_len = owner_len;
    if (owner_len)
        memcpy(news->owner, owner, owner_len);
    news->msg.run = run_client;
    loop_post(keeper->loop, &news->msg);
}
