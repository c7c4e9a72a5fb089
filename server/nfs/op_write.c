/*
 * op_write.c - WRITE (RFC 8881 section 18.32).
 *
 * An ordinary file: on a worker, also into the page cache. As the client, so that the kernel takes
 * setuid bits off as for any user's write.
 *
 * A file with an at-rest seal: waits for its release, then as above. A pinned file: to the disk at
 * the map's blocks, with the map fetched from the keeper between state_file_pinned_begin and _end,
 * so that the seal cannot be released meanwhile; the new times go into the keeper's journal before
 * the reply. Such writes are always stable. One to a file that grows under its seal asks the keeper
 * first whether it may make it longer; if not, an at-rest seal gives way, as above. Whoever may not
 * write to a sealed file is refused before any of this: he ends no seal, and holds nobody up.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "layout/container_of.h"
#include "layout/seal/map.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/file/fs_cred.h"
#include "server/file/fs_status.h"
#include "server/file/permission.h"
#include "server/file/pinned_cache.h"
#include "server/keeper/keeper.h"
#include "server/nfs/op_io.h"
#include "server/nfs/op_open.h"
#include "server/nfs/seal_wait.h"
#include "server/server.h"
#include "server/state/state.h"

enum write_stage {
    WRITE_START,
    WRITE_FILE,
    WRITE_RELEASED,
    WRITE_ALLOWED,
    WRITE_SEALED,
    WRITE_MAPPED,
    WRITE_ROOMED,
    WRITE_BLOCKS,
    WRITE_TOLD,
    WRITE_NOTED
};

struct write_work {
    bool opener; /* need not be asked for permission, or has been */
    struct compound *compound;
    uint32_t done;           /* bytes written */
    nfsstat4 status;         /* of the blocks of a pinned file */
    bool pinned;             /* between state_file_pinned_begin and _end */
    bool released;           /* an at-rest seal gave way */
    struct request *promise; /* the keeper waits for what becomes of it; NULL: it does not */
    struct seal_map *map;
    union {
        struct seal_wait release;
        struct keeper_map mapping;
        struct keeper_room room;
        struct keeper_wrote wrote;
    };
};

static enum op_next next_stage(struct compound *c, enum write_stage stage, enum op_next where)
{
    c->stage = stage;
    return where;
}

static enum op_next finish_write(struct compound *c, struct write_work *work, nfsstat4 status,
                                 stable_how4 committed)
{
    WRITE4resok *res = &c->res.write.resok4;

    map_free(work->map);
    if (work->pinned)
        state_file_pinned_end(c->current.file);
    if (status == NFS4ERR_PERM) /* not among WRITE's errors (15.2) */
        status = NFS4ERR_ACCESS;
    c->res.status = status;
    res->count = work->done;
    res->committed = committed;
    write_verifier(c, res->writeverf);
    return OP_DONE;
}

static nfsstat4 check_range(const struct compound *c)
{
    const WRITE4args *args = &c->args.write;
    uint64_t limit = export_max_file_size(c->current.export);

    return args->data.len > 0 && (args->offset > limit || args->data.len > limit - args->offset)
               ? NFS4ERR_FBIG
               : NFS4_OK;
}

/* One system call as the client. The number written, or -errno. */
static ssize_t write_some(struct compound *c, struct write_work *work, int fd)
{
    const WRITE4args *args = &c->args.write;
    ssize_t n = fs_cred_enter(&c->cred, c->current.export);

    if (n < 0)
        return n;
    n = pwrite(fd, args->data.data + work->done, args->data.len - work->done,
               (off_t)(args->offset + work->done));
    if (n < 0)
        n = -errno;
    fs_cred_leave();
    return n;
}

/* Has the file's map made by the keeper while the seal is held. */
static void on_mapped(struct loop_msg *msg)
{
    struct keeper_map *mapping = container_of(msg, struct keeper_map, call.reply);

    compound_resume(container_of(mapping, struct write_work, mapping)->compound);
}

static enum op_next start_pinned(struct compound *c, struct write_work *work)
{
    if (!state_file_pinned_begin(c->current.file))
        return finish_write(c, work, NFS4ERR_DELAY, UNSTABLE4);
    work->pinned = true;
    work->mapping = (struct keeper_map){
        .call = {.reply.run = on_mapped, .reply_loop = c->loop},
        .file = c->current.file,
    };
    keeper_map(c->server->keeper, &work->mapping);
    return next_stage(c, WRITE_MAPPED, OP_WAIT);
}

static enum op_next ask_permission(struct compound *c, struct write_work *work)
{
    int error = permission_check_io(&c->cred, &c->current, W_OK, c->on_worker);

    if (error != 0)
        return finish_write(c, work, fs_status_write(error), UNSTABLE4);
    work->opener = true;
    return next_stage(c, WRITE_SEALED, OP_LOOP);
}

/* By what the seal is at this moment. */
static enum op_next start_by_seal(struct compound *c, struct write_work *work)
{
    const uint32_t kind = seal_kind(file_seal(c->current.file));
    nfsstat4 status;

    if (kind != SEAL_NONE && !work->opener)
        return next_stage(c, WRITE_ALLOWED, OP_BLOCK);
    switch (kind) {
    case SEAL_NONE:
        /* Also into the page cache: a write to a frozen file system waits even with RWF_NOWAIT. */
        return next_stage(c, WRITE_FILE, OP_BLOCK);
    case SEAL_PINNED:
        return start_pinned(c, work);
    default:
        if (work->released)
            return finish_write(c, work, NFS4ERR_DELAY, UNSTABLE4);
        status = seal_wait_start(c, &work->release, c->current.file);
        if (status != NFS4_OK)
            return finish_write(c, work, status, UNSTABLE4);
        return next_stage(c, WRITE_RELEASED, OP_WAIT);
    }
}

static enum op_next start_write(struct compound *c)
{
    struct write_work *work = arena_alloc(&c->arena, sizeof *work);
    nfsstat4 status = open_check_type(file_type(c->current.file));

    if (status == NFS4_OK && !work)
        status = NFS4ERR_DELAY;
    if (c->args.write.stable > FILE_SYNC4) /* no value of the enumeration (15.1.1.1) */
        status = NFS4ERR_BADXDR;
    if (status == NFS4_OK && !export_is_writable(c->current.export))
        status = NFS4ERR_ROFS;
    if (status == NFS4_OK)
        status = check_range(c);
    if (status == NFS4_OK)
        status = io_state_find(c, &c->args.write.stateid, FILE_WRITE, &work->opener);
    if (status != NFS4_OK)
        return op_done(c, status);
    work->compound = c;
    c->op_state = work;
    return start_by_seal(c, work);
}

static enum op_next seal_released(struct compound *c, struct write_work *work)
{
    nfsstat4 status = seal_wait_status(&work->release, c->current.file);

    /* It wants more than the reserve, and a fence is missing. The data is the client's only: an
     * error would be its end. The operator is told what to do. */
    if (status == NFS4ERR_PERM && file_is_growing(c->current.file))
        status = NFS4ERR_DELAY;
    if (status != NFS4_OK)
        return finish_write(c, work, status, UNSTABLE4);
    work->released = true;
    return start_by_seal(c, work);
}

/* Bytes that were written, however many, or the error that came before the first. */
static int write_bytes(struct compound *c, struct write_work *work, int fd)
{
    uint32_t before = work->done;
    bool settled = false;
    ssize_t n = 0;

    while (work->done < c->args.write.data.len) {
        n = write_some(c, work, fd);
        if (n == -EINTR)
            continue;
        if (!settled && file_table_settle(c->server->files, c->current.export, (int)n)) {
            settled = true;
            continue;
        }
        if (n <= 0)
            break;
        work->done += (uint32_t)n;
    }
    if (work->done > before)
        file_changed(c->current.file);
    return n < 0 && work->done == 0 ? (int)n : 0;
}

/* What was written counts, and the client comes again for the rest (18.32.4). The write and the
 * flush are two calls of the kernel, not one with RWF_SYNC: an error of the first concerns this
 * client alone, whatever it is, and may be of his making (his identity, a quota, a full disk); any
 * error of the second is a loss of what others believe written too. */
static int write_all(struct compound *c, struct write_work *work, int fd)
{
    stable_how4 stable = c->args.write.stable;
    int error = write_bytes(c, work, fd);

    if (error == 0 && work->done > 0 && stable != UNSTABLE4)
        error = file_flush(c->current.file, fd, stable == DATA_SYNC4);
    return error;
}

static enum op_next write_file(struct compound *c, struct write_work *work)
{
    int fd, error = 0;

    if (!work->opener)
        error = permission_check_io(&c->cred, &c->current, W_OK, c->on_worker);
    if (error == 0 && c->args.write.data.len > 0) {
        error = file_data_open(c->current.file, FILE_WRITE, &fd);
        if (error == -EPERM && file_seal(c->current.file) != SEAL_NONE)
            return finish_write(c, work, NFS4ERR_DELAY, UNSTABLE4); /* sealed in this moment */
        if (error == 0) {
            error = write_all(c, work, fd);
            file_data_close(c->current.file, FILE_WRITE);
        }
    }
    return finish_write(c, work, fs_status_write(error), c->args.write.stable);
}

static void on_roomed(struct loop_msg *msg)
{
    struct keeper_room *room = container_of(msg, struct keeper_room, call.reply);

    compound_resume(container_of(room, struct write_work, room)->compound);
}

static enum op_next write_mapped(struct compound *c, struct write_work *work)
{
    const WRITE4args *args = &c->args.write;

    if (work->mapping.call.status != NFS4_OK)
        return finish_write(c, work, work->mapping.call.status, UNSTABLE4);
    work->map = work->mapping.map;
    if (!args->data.len || !file_is_growing(c->current.file))
        return next_stage(c, WRITE_BLOCKS, OP_BLOCK);
    work->room = (struct keeper_room){
        .call = {.reply.run = on_roomed, .reply_loop = c->loop},
        .file = c->current.file,
        .client_id = c->client_id,
        .end = args->offset + args->data.len,
    };
    keeper_room(c->server->keeper, &work->room);
    return next_stage(c, WRITE_ROOMED, OP_WAIT);
}

/* Not under this seal: it goes, if it gives way by itself. */
static enum op_next give_way(struct compound *c, struct write_work *work)
{
    nfsstat4 status;

    map_free(work->map);
    work->map = NULL;
    state_file_pinned_end(c->current.file);
    work->pinned = false;
    status = work->released ? NFS4ERR_DELAY : seal_wait_start(c, &work->release, c->current.file);
    if (status != NFS4_OK)
        return finish_write(c, work, status, UNSTABLE4);
    return next_stage(c, WRITE_RELEASED, OP_WAIT);
}

static enum op_next write_roomed(struct compound *c, struct write_work *work)
{
    nfsstat4 status = work->room.call.status;

    if (status == NFS4ERR_RECALLCONFLICT)
        return give_way(c, work);
    if (status != NFS4_OK)
        return finish_write(c, work, NFS4ERR_DELAY, UNSTABLE4);
    work->promise = work->room.promise;
    return next_stage(c, WRITE_BLOCKS, OP_BLOCK);
}

static enum op_next write_blocks(struct compound *c, struct write_work *work)
{
    const WRITE4args *args = &c->args.write;
    int error = 0;

    if (args->data.len > 0)
        error = pinned_cache_write(c->current.file, work->map, args->offset, args->data.data,
                                   args->data.len);
    work->status = fs_status_write(error);
    if (!work->promise && (error < 0 || args->data.len == 0))
        return finish_write(c, work, work->status, FILE_SYNC4);
    work->done = error < 0 ? 0 : args->data.len;
    return next_stage(c, WRITE_TOLD, OP_LOOP);
}

static void on_noted(struct loop_msg *msg)
{
    struct keeper_wrote *wrote = container_of(msg, struct keeper_wrote, call.reply);

    compound_resume(container_of(wrote, struct write_work, wrote)->compound);
}

static enum op_next tell_keeper(struct compound *c, struct write_work *work)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    work->wrote = (struct keeper_wrote){
        .call = {.reply.run = on_noted, .reply_loop = c->loop},
        .file = c->current.file,
        .mtime_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
        .promise = work->promise,
        .client_id = c->client_id,
        .room = c->args.write.offset + c->args.write.data.len,
        .end = work->done ? c->args.write.offset + work->done : 0,
    };
    keeper_wrote(c->server->keeper, &work->wrote);
    return next_stage(c, WRITE_NOTED, OP_WAIT);
}

enum op_next op_write(struct compound *c)
{
    struct write_work *work = c->op_state;

    switch ((enum write_stage)c->stage) {
    case WRITE_START:
        return c->on_worker ? OP_LOOP : start_write(c);
    case WRITE_FILE:
        return write_file(c, work);
    case WRITE_RELEASED:
        return seal_released(c, work);
    case WRITE_ALLOWED:
        return ask_permission(c, work);
    case WRITE_SEALED:
        return start_by_seal(c, work);
    case WRITE_MAPPED:
        return write_mapped(c, work);
    case WRITE_ROOMED:
        return write_roomed(c, work);
    case WRITE_BLOCKS:
        return write_blocks(c, work);
    case WRITE_TOLD:
        return tell_keeper(c, work);
    case WRITE_NOTED:
        return finish_write(
            c, work, work->status != NFS4_OK ? work->status : work->wrote.call.status, FILE_SYNC4);
    }
    return op_done(c, NFS4ERR_SERVERFAULT);
}
