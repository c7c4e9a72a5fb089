/*
 * op_io.c - READ and COMMIT (RFC 8881 sections 18.22, 18.3).
 *
 * READ is tried at once on the loop, from the page cache; what is not there is read on a worker.
 * The payload goes from the kernel into a pooled buffer and from there to the socket. A pinned
 * file's page cache is stale for what clients write to the disk, so it is read with O_DIRECT, in
 * whole blocks, of which the reply shows a part.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server/base/buffer.h"
#include "server/client/client.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/file/fs_status.h"
#include "server/file/permission.h"
#include "server/nfs/op_io.h"
#include "server/nfs/op_open.h"
#include "server/server.h"

/* READ_REPLY_OVERHEAD: the result around the data, and room for the next operation's error.
 * DIRECT_ALIGN: at least the logical block size of any disk and not above the page size. */
enum { READ_REPLY_OVERHEAD = 64, DIRECT_ALIGN = 4096 };

void write_verifier(const struct compound *c, verifier4 verifier)
{
    uint64_t value = c->server->boot_verifier + export_losses(c->current.export);

    memcpy(verifier, &value, sizeof value);
}

struct state_io io_state_of(const struct compound *c)
{
    return (struct state_io){
        .client = client_state(c->client),
        .clients = c->server->clients,
        .recovery = c->server->recovery,
        .file = c->current.file,
        .export = c->current.export,
        .cred = &c->cred,
    };
}

nfsstat4 io_state_find(struct compound *c, const stateid4 *stateid, unsigned access, bool *opener)
{
    const struct state_io io = io_state_of(c);
    stateid4 resolved;
    nfsstat4 status = compound_resolve_latest(c, stateid, &resolved);

    *opener = false;
    return status == NFS4_OK ? state_find_io(&io, &resolved, access, opener) : status;
}

struct read_work {
    bool opener; /* need not be asked for permission */
    struct buffer *buffer;
    uint32_t count; /* wanted */
    uint32_t skip;  /* where the payload begins in the buffer */
    uint32_t got;
};

/* What fits into the reply, the largest READ there is, and the largest file there can be. */
static uint32_t clamp_count(const struct compound *c, uint64_t offset, uint32_t count)
{
    uint64_t used = xdr_out_len(&c->out) + READ_REPLY_OVERHEAD;
    uint64_t room = c->max_reply > used ? c->max_reply - used : 0;

    if (count > c->server->config->max_io_size)
        count = c->server->config->max_io_size;
    if (count > room)
        count = (uint32_t)room;
    if (offset > INT64_MAX)
        return 0;
    return count > INT64_MAX - offset ? (uint32_t)(INT64_MAX - offset) : count;
}

static bool reads_direct(const struct file *file)
{
    enum seal_word word = seal_kind(file_seal(file));

    return word == SEAL_PINNED || word == SEAL_RELEASING || word == SEAL_BROKEN;
}

static enum op_next read_finish(struct compound *c, struct read_work *work, nfsstat4 status)
{
    READ4resok *res = &c->res.read.resok4;
    struct file_stat stat;
    uint64_t end = c->args.read.offset + work->got;

    if (status == NFS4_OK)
        status = fs_status_io(file_stat_basic(c->current.file, &stat));
    if (status == NFS4_OK && end > stat.stx.stx_size) /* a growing file is longer on disk */
        work->got = c->args.read.offset < stat.stx.stx_size
                        ? (uint32_t)(stat.stx.stx_size - c->args.read.offset)
                        : 0;
    if (status == NFS4_OK)
        res->eof = end >= stat.stx.stx_size;
    c->res.status = status;
    if (status != NFS4_OK || work->got == 0) {
        buffer_unref(work->buffer);
        res->data = (struct xdr_bytes){0};
        res->data_owner = NULL;
        return OP_DONE;
    }
    res->data = (struct xdr_bytes){.data = work->buffer->data + work->skip, .len = work->got};
    res->data_owner = work->buffer;
    return OP_DONE;
}

/* From the page cache, if all of it is there. True: done, with work->got. */
static bool read_cached(struct compound *c, struct read_work *work)
{
    struct iovec iov = {.iov_base = work->buffer->data, .iov_len = work->count};
    struct file_stat stat;
    ssize_t got;
    int fd;

    if (reads_direct(c->current.file) ||
        (!work->opener && permission_check_io(&c->cred, &c->current, R_OK, c->on_worker) != 0))
        return false;
    work->opener = true;
    if (file_data_try(c->current.file, FILE_READ, &fd) < 0)
        return false;
    got = preadv2(fd, &iov, 1, (off_t)c->args.read.offset, RWF_NOWAIT);
    file_data_leave(c->current.file, FILE_READ);
    if (got < 0)
        return false;
    work->got = (uint32_t)got;
    if (work->got == work->count)
        return true;
    return file_stat_basic(c->current.file, &stat) == 0 &&
           c->args.read.offset + work->got >= stat.stx.stx_size;
}

static enum op_next read_start(struct compound *c)
{
    const READ4args *args = &c->args.read;
    struct read_work *work = arena_alloc(&c->arena, sizeof *work);
    nfsstat4 status = open_check_type(file_type(c->current.file));

    if (status == NFS4_OK && !work)
        status = NFS4ERR_DELAY;
    if (status == NFS4_OK)
        status = io_state_find(c, &args->stateid, FILE_READ, &work->opener);
    if (status != NFS4_OK)
        return op_done(c, status);
    c->op_state = work;
    work->count = clamp_count(c, args->offset, args->count);
    work->buffer =
        buffer_get(work->count + (reads_direct(c->current.file) ? 2 * (size_t)DIRECT_ALIGN : 0));
    if (!work->buffer)
        return read_finish(c, work, NFS4ERR_DELAY);
    if (work->count > 0 && read_cached(c, work))
        return read_finish(c, work, NFS4_OK);
    return OP_BLOCK;
}

/* Fill [from, from + len) of the buffer from the file; what was read until the end of the file, or
 * -errno if nothing was. */
static ssize_t read_all(int fd, uint8_t *buffer, size_t len, uint64_t offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t got = pread(fd, buffer + done, len - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return done > 0 ? (ssize_t)done : -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int read_buffered(struct compound *c, struct read_work *work)
{
    ssize_t got;
    int fd, error = file_data_open(c->current.file, FILE_READ, &fd);

    if (error < 0)
        return error;
    got = read_all(fd, work->buffer->data + work->got, work->count - work->got,
                   c->args.read.offset + work->got);
    file_data_close(c->current.file, FILE_READ);
    if (got < 0 && work->got == 0)
        return (int)got;
    work->got += got > 0 ? (uint32_t)got : 0;
    return 0;
}

static int read_direct(struct compound *c, struct read_work *work)
{
    uint64_t offset = c->args.read.offset, start = offset & ~(uint64_t)(DIRECT_ALIGN - 1);
    size_t len = (size_t)(offset - start) + work->count;
    ssize_t got;
    int fd, error = file_data_open(c->current.file, FILE_READ | FILE_DIRECT, &fd);

    if (error < 0)
        return error;
    len = (len + DIRECT_ALIGN - 1) & ~(size_t)(DIRECT_ALIGN - 1);
    if (len > work->buffer->size) /* pinned since READ began: a short answer does */
        len = work->buffer->size & ~(size_t)(DIRECT_ALIGN - 1);
    got = pread(fd, work->buffer->data, len, (off_t)start);
    error = got < 0 ? -errno : 0;
    file_data_close(c->current.file, FILE_READ | FILE_DIRECT);
    if (error < 0)
        return error;
    work->skip = (uint32_t)(offset - start);
    work->got = got > (ssize_t)work->skip ? (uint32_t)((size_t)got - work->skip) : 0;
    if (work->got > work->count)
        work->got = work->count;
    return 0;
}

static enum op_next read_blocking(struct compound *c, struct read_work *work)
{
    int error = 0;

    if (!work->opener)
        error = permission_check_io(&c->cred, &c->current, R_OK, c->on_worker);
    if (error == 0 && work->count > 0)
        error = reads_direct(c->current.file) ? read_direct(c, work) : read_buffered(c, work);
    return read_finish(c, work, fs_status_io(error));
}

enum op_next op_read(struct compound *c)
{
    if (!c->op_state)
        return c->on_worker ? OP_LOOP : read_start(c);
    return read_blocking(c, c->op_state);
}

static int sync_file(struct compound *c)
{
    unsigned access = file_seal(c->current.file) == SEAL_NONE ? FILE_WRITE : FILE_READ;
    int fd, error = file_data_open(c->current.file, access, &fd);

    if (error == -EPERM && access == FILE_WRITE) {
        /* Immutable in this moment, and so written back already; the reading descriptor will do. */
        access = FILE_READ;
        error = file_data_open(c->current.file, access, &fd);
    }
    if (error < 0)
        return error;
    error = file_flush(c->current.file, fd, false);
    file_data_close(c->current.file, access);
    return error;
}

enum op_next op_commit(struct compound *c)
{
    nfsstat4 status = open_check_type(file_type(c->current.file));

    /* The whole file is flushed, wherever the range ends: INVAL is not among COMMIT's errors. */
    if (status == NFS4_OK && !c->on_worker)
        return OP_BLOCK;
    if (status == NFS4_OK)
        status = fs_status_io(permission_check_io(&c->cred, &c->current, W_OK, c->on_worker));
    if (status == NFS4_OK)
        status = fs_status_io(sync_file(c));
    if (status == NFS4_OK)
        write_verifier(c, c->res.commit.resok4.writeverf);
    return op_done(c, status);
}
