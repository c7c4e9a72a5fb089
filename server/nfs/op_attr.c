/*
 * GETATTR, VERIFY, NVERIFY, ACCESS (RFC 8881 sections 18.7, 18.31, 18.15, 18.1): answered on the
 * loop where the inode in memory is enough. SETATTR is in nfs/op_setattr.c.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "server/export/export.h"
#include "server/file/file.h"
#include "server/file/fs_access.h"
#include "server/file/fs_status.h"
#include "server/nfs/attr.h"
#include "server/server.h"

/* The current file's attributes as a fattr4 in the arena. 0, -EAGAIN on the loop, or -errno. */
static int current_attrs(struct compound *c, const bitmap4 *want, fattr4 *out)
{
    struct attr_names *names = arena_alloc(&c->arena, sizeof(*names));
    struct nfs4_attrs attrs;
    int rc;

    if (!names)
        return -ENOMEM;
    rc = attr_of_place(c->server, &c->current, want, c->on_worker, names, &attrs);
    return rc ? rc : nfs4_attrs_pack(&attrs, want, NULL, &c->arena, out);
}

static bool asks_write_only(const bitmap4 *want)
{
    const bitmap4 write_only = attr_write_only(), both = bitmap4_and(want, &write_only);

    return !bitmap4_empty(&both);
}

enum op_next op_getattr(struct compound *c)
{
    const bitmap4 *want = &c->args.getattr.attr_request;
    int rc;

    if (asks_write_only(want)) /* RFC 8881 section 5.6 */
        return op_done(c, NFS4ERR_INVAL);
    rc = current_attrs(c, want, &c->res.getattr.resok4.obj_attributes);
    if (rc == -EAGAIN && !c->on_worker)
        return OP_BLOCK;
    return op_done(c, fs_status(rc));
}

/* NFS4ERR_SAME or NFS4ERR_NOT_SAME, or what is wrong with the request. Values are compared as
 * encoded. */
static enum op_next compare_attrs(struct compound *c, const fattr4 *given, nfsstat4 *verdict)
{
    const bitmap4 supported = attr_supported(c->current.export);
    const bitmap4 unknown = bitmap4_minus(&given->attrmask, &supported);
    fattr4 ours;
    int rc;

    if (!bitmap4_empty(&unknown)) {
        *verdict = NFS4ERR_ATTRNOTSUPP;
        return OP_DONE;
    }
    if (asks_write_only(&given->attrmask) || bitmap4_isset(&given->attrmask, FATTR4_RDATTR_ERROR)) {
        *verdict = NFS4ERR_INVAL;
        return OP_DONE;
    }
    rc = current_attrs(c, &given->attrmask, &ours);
    if (rc == -EAGAIN && !c->on_worker)
        return OP_BLOCK;
    if (rc)
        *verdict = fs_status(rc);
    else
        *verdict =
            xdr_bytes_equal(ours.attr_vals, given->attr_vals) ? NFS4ERR_SAME : NFS4ERR_NOT_SAME;
    return OP_DONE;
}

enum op_next op_verify(struct compound *c)
{
    nfsstat4 verdict;

    if (compare_attrs(c, &c->args.verify.obj_attributes, &verdict) == OP_BLOCK)
        return OP_BLOCK;
    return op_done(c, verdict == NFS4ERR_SAME ? NFS4_OK : verdict);
}

enum op_next op_nverify(struct compound *c)
{
    nfsstat4 verdict;

    if (compare_attrs(c, &c->args.nverify.obj_attributes, &verdict) == OP_BLOCK)
        return OP_BLOCK;
    return op_done(c, verdict == NFS4ERR_NOT_SAME ? NFS4_OK : verdict);
}

/* The access(2) bit behind each ACCESS4 bit that makes sense for the type. */
static int mode_behind(uint32_t bit, bool directory)
{
    switch (bit) {
    case ACCESS4_READ:
        return R_OK;
    case ACCESS4_LOOKUP:
        return directory ? X_OK : 0;
    case ACCESS4_MODIFY:
    case ACCESS4_EXTEND:
        return W_OK;
    case ACCESS4_DELETE:
        return directory ? W_OK : 0;
    case ACCESS4_EXECUTE:
        return directory ? 0 : X_OK;
    default:
        return 0;
    }
}

static uint32_t pseudo_access(uint32_t asked)
{
    return asked & (ACCESS4_READ | ACCESS4_LOOKUP);
}

/* Each access(2) bit is asked for once at most. 0, or -EAGAIN on the loop. */
static int judge_access(const struct compound *c, uint32_t supported, uint32_t *out)
{
    static const int modes[] = {R_OK, W_OK, X_OK};
    const bool directory = S_ISDIR(file_type(c->current.file));
    uint32_t granted = 0;

    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        uint32_t bits = 0;
        int rc;

        for (uint32_t bit = ACCESS4_READ; bit <= ACCESS4_EXECUTE; bit <<= 1)
            if (supported & bit && mode_behind(bit, directory) == modes[i])
                bits |= bit;
        if (!bits || (modes[i] == W_OK && !export_is_writable(c->current.export)))
            continue;
        rc = fs_access_check(&c->cred, &c->current, modes[i], c->on_worker);
        if (rc == -EAGAIN)
            return rc;
        if (rc == 0)
            granted |= bits;
    }
    *out = granted;
    return 0;
}

enum op_next op_access(struct compound *c)
{
    const bool directory = S_ISDIR(file_type(c->current.file));
    const uint32_t asked = c->args.access.access;
    ACCESS4resok *ok = &c->res.access.resok4;
    uint32_t supported = 0;

    if (file_is_pseudo(c->current.file)) {
        ok->supported = asked & (ACCESS4_READ | ACCESS4_LOOKUP | ACCESS4_MODIFY | ACCESS4_EXTEND |
                                 ACCESS4_DELETE);
        ok->access = pseudo_access(asked);
        return op_done(c, NFS4_OK);
    }
    for (uint32_t bit = ACCESS4_READ; bit <= ACCESS4_EXECUTE; bit <<= 1)
        if (asked & bit && mode_behind(bit, directory))
            supported |= bit;
    ok->supported = supported;
    if (judge_access(c, supported, &ok->access) == 0)
        return op_done(c, NFS4_OK);
    return c->on_worker ? op_done(c, NFS4ERR_DELAY) : OP_BLOCK;
}
