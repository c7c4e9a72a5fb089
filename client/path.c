/*
 * Path lookup. See path.h. Paths are cut into batches, so that a COMPOUND stays below the session's
 * ca_maxoperations.
 */
#include "client/path.h"

#include "client/net/status.h"

#include <errno.h>
#include <string.h>

enum { MAX_BATCH = 12, OVERHEAD_OPS = 3 }; /* SEQUENCE, PUTFH, GETFH */

struct xdr_bytes sealio_fh_view(const struct sealio_fh *fh)
{
    return (struct xdr_bytes){fh->data, fh->len};
}

void sealio_call_put_fh(struct sealio_call *call, struct xdr_bytes fh)
{
    const union nfs4_args args = {.putfh = {fh}};
    sealio_call_add(call, OP_PUTFH, &args);
}

int sealio_expect(struct sealio_session *session, struct sealio_reply *reply, uint32_t op,
                  const char *what, union nfs4_res *res)
{
    int rc = sealio_reply_next(reply, op, res);
    if (rc < 0)
        return sealio_fail(session, -EBADMSG, "%s: the server's answer makes no sense",
                           nfs4_op_name(op));
    if (res->status != NFS4_OK)
        return sealio_fail(session, sealio_status_errno(res->status), "%s: %s (%s)", what,
                           nfs4_status_name(res->status), nfs4_op_name(op));
    return 0;
}

/* The next component of *path, which moves past it. Empty at the end. */
static struct xdr_bytes next_component(const char **path)
{
    while (**path == '/')
        (*path)++;
    const char *start = *path;
    while (**path && **path != '/')
        (*path)++;
    return (struct xdr_bytes){(const uint8_t *)start, (uint32_t)(*path - start)};
}

static int take_fh(struct sealio_session *session, struct sealio_reply *reply, const char *what,
                   struct sealio_fh *fh)
{
    union nfs4_res res;
    int rc = sealio_expect(session, reply, OP_GETFH, what, &res);
    if (rc < 0)
        return rc;
    fh->len = res.getfh.resok4.object.len;
    memcpy(fh->data, res.getfh.resok4.object.data, fh->len);
    return 0;
}

/* Looks up to MAX_BATCH components before `end` from dir (or the root when it is empty) on; *path
 * moves. */
static int walk_batch(struct sealio_session *session, const char **path, const char *end,
                      const char *what, struct sealio_fh *dir)
{
    uint8_t buf[SEALIO_CALL_SIZE];
    struct sealio_call call;
    struct sealio_reply reply;
    union nfs4_res res;
    const uint32_t first = dir->len ? OP_PUTFH : OP_PUTROOTFH;
    uint32_t batch = sealio_session_limits(session).max_ops - OVERHEAD_OPS, count = 0;
    if (batch > MAX_BATCH)
        batch = MAX_BATCH;
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE);
    if (dir->len)
        sealio_call_put_fh(&call, sealio_fh_view(dir));
    else
        sealio_call_add(&call, OP_PUTROOTFH, NULL);
    for (; count < batch; count++) {
        const struct xdr_bytes name = next_component(path);
        if (name.len == 0 || (const char *)name.data >= end) {
            *path = end;
            break;
        }
        const union nfs4_args args = {.lookup = {name}};
        sealio_call_add(&call, OP_LOOKUP, &args);
    }
    sealio_call_add(&call, OP_GETFH, NULL);
    int rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = sealio_expect(session, &reply, first, what, &res);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = sealio_expect(session, &reply, OP_LOOKUP, what, &res);
    if (rc == 0)
        rc = take_fh(session, &reply, what, dir);
    sealio_reply_free(&reply);
    return rc;
}

static int walk_path(struct sealio_session *session, const char *path, const char *end,
                     struct sealio_fh *fh)
{
    const char *at = path;
    int rc;
    if (*path != '/')
        return sealio_fail(session, -EINVAL, "%s: a path begins with '/'", path);
    fh->len = 0;
    do {
        rc = walk_batch(session, &at, end, path, fh);
    } while (rc == 0 && at < end);
    return rc;
}

int sealio_path_parent(struct sealio_session *session, const char *path, struct sealio_fh *dir,
                       struct xdr_bytes *name)
{
    const char *end = path + strlen(path);
    while (end > path && end[-1] == '/')
        end--;
    const char *start = end;
    while (start > path && start[-1] != '/')
        start--;
    *name = (struct xdr_bytes){(const uint8_t *)start, (uint32_t)(end - start)};
    return walk_path(session, path, start, dir);
}

int sealio_path_find(struct sealio_session *session, const char *path, struct sealio_fh *fh)
{
    return walk_path(session, path, path + strlen(path), fh);
}
