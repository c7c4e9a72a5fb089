/*
 * Reading, writing and syncing files: piece by piece, directly where a layout maps the piece, else
 * through the server. See sealio.h. Any thread.
 */
#include "client/disk/align.h"
#include "client/file_impl.h"
#include "client/net/transport.h"
#include "client/path.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* READ and WRITE leave room for the other operations of their message. */
enum { MESSAGE_ROOM = 1024 };

static uint32_t io_size(size_t len, uint32_t message)
{
    const uint32_t most =
        message - MESSAGE_ROOM < SEALIO_MAX_IO ? message - MESSAGE_ROOM : SEALIO_MAX_IO;
    return len < most ? (uint32_t)len : most;
}

static int refuse_server(struct sealio_file *file)
{
    struct sealio_session *session = file->session;
    if (session->layouts_wanted != SEALIO_LAYOUTS_REQUIRE)
        return 0;
    if (!sealio_layout_possible(file->layout))
        sealio_fail(session, -ENODATA, "%s: the server offers no layouts for it", file->path);
    return -ENODATA;
}

/* ---- reading ---- */

/* One READ. The count, 0 at the end of the file. */
static ssize_t read_server(struct sealio_file *file, void *buf, size_t len, uint64_t offset,
                           const stateid4 *stateid, nfsstat4 *status)
{
    struct sealio_session *session = file->session;
    uint8_t message[512];
    struct sealio_call call;
    struct sealio_reply reply;
    union nfs4_res res;
    const uint32_t room = sealio_session_limits(session).max_response;
    const union nfs4_args args = {
        .read = {.stateid = *stateid, .offset = offset, .count = io_size(len, room)}};
    sealio_session_begin(session, &call, message, sizeof(message), SEALIO_CALL_SEQUENCE);
    sealio_call_put_fh(&call, sealio_file_fh(file));
    sealio_call_add(&call, OP_READ, &args);
    SESSION_COUNT(session, reads_server, 1);
    ssize_t rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_PUTFH, file->path, &res);
    if (rc == 0) {
        rc = sealio_expect(session, &reply, OP_READ, file->path, &res);
        *status = rc < 0 ? res.status : NFS4_OK;
    }
    if (rc == 0) {
        const struct xdr_bytes *data = &res.read.resok4.data;
        rc = data->len <= len ? (ssize_t)data->len : -EBADMSG;
        if (rc > 0)
            memcpy(buf, data->data, data->len);
        SESSION_COUNT(session, bytes_read_server, data->len);
    }
    sealio_reply_free(&reply);
    return rc;
}

static ssize_t read_through_server(struct sealio_file *file, void *buf, size_t len, uint64_t offset)
{
    unsigned tries = 0;
    ssize_t rc = refuse_server(file);
    if (rc < 0)
        return rc;
    for (;;) {
        stateid4 stateid;
        nfsstat4 status = NFS4_OK;
        rc = sealio_file_stateid(file, &stateid);
        if (rc < 0)
            return rc;
        rc = read_server(file, buf, len, offset, &stateid, &status);
        if (rc >= 0 || !sealio_file_retry_stateid(file, status, &tries))
            return rc;
    }
}

/* Moves the front of what was pinned from or to the server's memory. The count. */
static ssize_t move_memory(struct sealio_file *file, bool write, void *buf,
                           const struct sealio_pin *pin)
{
    struct sealio_session *session = file->session;
    const struct sealio_target *target = &pin->target;
    struct sealio_rdma_op op = {
        .write = write,
        .memory = buf,
        .length = sealio_rdma_limit(target->memory, buf, pin->length, target->offset),
        .remote = target->offset,
        .key = target->key,
        .deadline_ms = sealio_now_ms() + session->direct_timeout_ms};
    int rc = sealio_rdma_run(target->memory, &op);
    if (rc < 0)
        return rc;
    if (write)
        SESSION_COUNT(session, bytes_written_rdma, op.length);
    else
        SESSION_COUNT(session, bytes_read_rdma, op.length);
    return (ssize_t)op.length;
}

/* Reads the front of what was pinned: from the disk or the memory, or zeros. */
static ssize_t read_pinned(struct sealio_file *file, void *buf, const struct sealio_pin *pin)
{
    struct sealio_session *session = file->session;
    ssize_t n = (ssize_t)pin->length;
    if (pin->length == 0)
        return 0;
    if (pin->target.memory) {
        n = move_memory(file, false, buf, pin);
    } else if (pin->target.disk) {
        const int rc = sealio_disk_read(pin->target.disk, buf, pin->length, pin->target.offset);
        n = rc < 0 ? rc : n;
    } else {
        memset(buf, 0, pin->length);
        SESSION_COUNT(session, bytes_read_holes, pin->length);
        return n;
    }
    if (n < 0)
        return sealio_fail(session, (int)n, "%s: reading from %s: %s", file->path,
                           sealio_target_name(&pin->target), strerror((int)-n));
    SESSION_COUNT(session, reads_direct, 1);
    SESSION_COUNT(session, bytes_read_direct, n);
    return n;
}

static ssize_t read_piece(struct sealio_file *file, void *buf, size_t len, uint64_t offset)
{
    struct sealio_session *session = file->session;
    struct sealio_pin pin;
    int rc = sealio_layout_pin(file, offset, len, false, &pin);
    if (rc == -ENODATA)
        return read_through_server(file, buf, len, offset);
    if (rc < 0)
        return rc;
    ssize_t n = read_pinned(file, buf, &pin);
    if (n < 0 && pin.target.memory)
        sealio_layout_doubt(session, &pin);
    sealio_layout_unpin(session, &pin, offset, 0);
    if (n >= 0 || session->layouts_wanted == SEALIO_LAYOUTS_REQUIRE)
        return n;
    /* What fails here may still work for the server. */
    return read_through_server(file, buf, pin.length, offset);
}

ssize_t sealio_file_read(struct sealio_file *file, void *buf, size_t len, uint64_t offset)
{
    size_t done = 0;
    if (len > SSIZE_MAX || offset > INT64_MAX || len > INT64_MAX - offset)
        return -EINVAL;
    while (done < len) {
        ssize_t n = read_piece(file, (uint8_t *)buf + done, len - done, offset + done);
        if (n < 0)
            return done > 0 ? (ssize_t)done : n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* ---- writing ---- */

/* Remembers what was answered UNSTABLE4; another verifier means that earlier ones are lost (RFC
 * 8881 section 18.3.3). */
static void note_verifier(struct sealio_file *file, const verifier4 verifier, bool unstable)
{
    struct sealio_session *session = file->session;
    pthread_mutex_lock(&session->lock);
    if (file->unstable != file->committed && file->has_verifier &&
        memcmp(file->verifier, verifier, NFS4_VERIFIER_SIZE) != 0)
        file->lost_writes = true;
    memcpy(file->verifier, verifier, NFS4_VERIFIER_SIZE);
    file->has_verifier = true;
    file->unstable += unstable;
    pthread_mutex_unlock(&session->lock);
}

static ssize_t write_server(struct sealio_file *file, const void *buf, size_t len, uint64_t offset,
                            const stateid4 *stateid, nfsstat4 *status)
{
    struct sealio_session *session = file->session;
    uint8_t message[1024];
    struct sealio_call call;
    struct sealio_reply reply;
    union nfs4_res res;
    const uint32_t n = io_size(len, sealio_session_limits(session).max_request);
    const union nfs4_args args = {.write = {.stateid = *stateid,
                                            .offset = offset,
                                            .stable = UNSTABLE4,
                                            .data = {buf, n},
                                            .data_owner = file}};
    sealio_session_begin(session, &call, message, sizeof(message), SEALIO_CALL_SEQUENCE_CACHED);
    sealio_call_put_fh(&call, sealio_file_fh(file));
    sealio_call_add(&call, OP_WRITE, &args);
    SESSION_COUNT(session, writes_server, 1);
    ssize_t rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_PUTFH, file->path, &res);
    if (rc == 0) {
        rc = sealio_expect(session, &reply, OP_WRITE, file->path, &res);
        *status = rc < 0 ? res.status : NFS4_OK;
    }
    if (rc == 0) {
        const WRITE4resok *ok = &res.write.resok4;
        note_verifier(file, ok->writeverf, ok->committed == UNSTABLE4);
        rc = ok->count > 0 && ok->count <= n ? (ssize_t)ok->count : -EIO;
        SESSION_COUNT(session, bytes_written_server, ok->count);
    }
    sealio_reply_free(&reply);
    return rc;
}

static ssize_t write_through_server(struct sealio_file *file, const void *buf, size_t len,
                                    uint64_t offset)
{
    unsigned tries = 0;
    ssize_t rc = refuse_server(file);
    if (rc < 0)
        return rc;
    for (;;) {
        stateid4 stateid;
        nfsstat4 status = NFS4_OK;
        rc = sealio_file_stateid(file, &stateid);
        if (rc < 0)
            return rc;
        rc = write_server(file, buf, len, offset, &stateid, &status);
        if (rc >= 0 || !sealio_file_retry_stateid(file, status, &tries))
            return rc;
    }
}

static ssize_t write_disk(struct sealio_file *file, const void *buf, uint64_t offset,
                          const struct sealio_pin *pin)
{
    uint64_t start, end;
    if (!pin->target.disk ||
        !sealio_align_write(offset, pin->length, file->layout->block, &start, &end) ||
        start != offset)
        return -ENODATA;
    const int rc =
        sealio_disk_write(pin->target.disk, buf, (size_t)(end - start), pin->target.offset);
    return rc < 0 ? rc : (ssize_t)(end - start);
}

/* What must go through the server: up to the next whole block, if there is one in the range. */
static size_t server_part(const struct sealio_file *file, size_t len, uint64_t offset)
{
    uint64_t start, end;
    if (!sealio_align_write(offset, len, file->layout->block, &start, &end) || start == offset)
        return len;
    return (size_t)(start - offset);
}

/* Writes the front of the range: directly, if it begins where a layout lets us write. -ENODATA: not
 * so, and the first *by_server bytes are for the server. */
static ssize_t write_direct(struct sealio_file *file, const void *buf, size_t len, uint64_t offset,
                            size_t *by_server)
{
    struct sealio_session *session = file->session;
    struct sealio_pin pin;
    *by_server = server_part(file, len, offset);
    int rc = sealio_layout_pin(file, offset, len, true, &pin);
    if (rc < 0)
        return rc;
    ssize_t n = -ENODATA;
    if (pin.target.memory) {
        const uint64_t misfit = sealio_rdma_misfit(pin.target.memory, pin.target.offset);
        *by_server = misfit > 0 && misfit < pin.length ? (size_t)misfit : (size_t)pin.length;
        if (misfit == 0)
            n = move_memory(file, true, (void *)(uintptr_t)buf, &pin);
    } else {
        n = write_disk(file, buf, offset, &pin);
    }
    if (n < 0 && n != -ENODATA) {
        sealio_fail(session, (int)n, "%s: writing to %s: %s", file->path,
                    sealio_target_name(&pin.target), strerror((int)-n));
        if (pin.target.memory) {
            sealio_layout_doubt(session, &pin);
            n = -ENODATA; /* the server may still reach it */
        }
    }
    if (n > 0) {
        SESSION_COUNT(session, writes_direct, 1);
        SESSION_COUNT(session, bytes_written_direct, n);
    }
    sealio_layout_unpin(session, &pin, offset, n > 0 ? (uint64_t)n : 0);
    return n;
}

ssize_t sealio_file_write(struct sealio_file *file, const void *buf, size_t len, uint64_t offset)
{
    const uint8_t *from = buf;
    size_t done = 0;
    if (len > SSIZE_MAX || offset > INT64_MAX || len > INT64_MAX - offset)
        return -EINVAL;
    while (done < len) {
        ssize_t n = -ENODATA;
        size_t rest = len - done;
        if (sealio_layout_possible(file->layout))
            n = write_direct(file, from + done, len - done, offset + done, &rest);
        if (n == -ENODATA)
            n = write_through_server(file, from + done, rest, offset + done);
        if (n < 0)
            return n;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* ---- making it stable ---- */

static int commit_server(struct sealio_file *file)
{
    struct sealio_session *session = file->session;
    uint8_t message[512];
    struct sealio_call call;
    struct sealio_reply reply;
    union nfs4_res res;
    const union nfs4_args args = {.commit = {.offset = 0, .count = 0}};
    sealio_session_begin(session, &call, message, sizeof(message), SEALIO_CALL_SEQUENCE_CACHED);
    sealio_call_put_fh(&call, sealio_file_fh(file));
    sealio_call_add(&call, OP_COMMIT, &args);
    int rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_PUTFH, file->path, &res);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_COMMIT, file->path, &res);
    if (rc == 0)
        note_verifier(file, res.commit.resok4.writeverf, false);
    sealio_reply_free(&reply);
    return rc;
}

int sealio_file_sync(struct sealio_file *file)
{
    struct sealio_session *session = file->session;
    pthread_mutex_lock(&session->lock);
    const unsigned unstable = file->unstable; /* others may write meanwhile */
    const unsigned committed_before = file->committed;
    pthread_mutex_unlock(&session->lock);
    int rc = sealio_layout_commit(session, file->layout, false);
    if (unstable != committed_before) {
        const int committed = commit_server(file);
        if (rc == 0)
            rc = committed;
    }
    pthread_mutex_lock(&session->lock);
    const bool lost = file->lost_writes;
    file->lost_writes = false;
    if (rc == 0 && (int)(unstable - file->committed) > 0)
        file->committed = unstable;
    pthread_mutex_unlock(&session->lock);
    if (lost && rc == 0)
        rc = sealio_fail(session, -EAGAIN,
                         "%s: the server restarted and lost writes that were not synced",
                         file->path);
    return rc;
}
