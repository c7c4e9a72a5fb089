/*
 * LOOKUP, LOOKUPP, READLINK (RFC 8881 sections 18.13, 18.14, 18.24). LOOKUP is answered on the loop
 * when the kernel's name cache has it (openat2 with RESOLVE_CACHED), else on a worker. READDIR is
 * in nfs/op_readdir.c.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "server/export/export.h"
#include "server/export/pseudo.h"
#include "server/file/file.h"
#include "server/file/fs_access.h"
#include "server/file/fs_cred.h"
#include "server/file/fs_status.h"
#include "server/nfs/op_fs.h"
#include "server/server.h"

nfsstat4 op_check_directory(const struct place *dir)
{
    mode_t type = file_type(dir->file);

    if (S_ISLNK(type))
        return NFS4ERR_SYMLINK;
    return S_ISDIR(type) ? NFS4_OK : NFS4ERR_NOTDIR;
}

nfsstat4 op_check_plain_directory(const struct place *dir)
{
    return S_ISDIR(file_type(dir->file)) ? NFS4_OK : NFS4ERR_NOTDIR;
}

static int find_from(const struct place *dir, const char *name, bool may_block, struct place *out)
{
    return name ? file_lookup(dir, name, may_block, out) : file_parent(dir, may_block, out);
}

/* On the loop, which cannot act as the client (base/confine.h): permission from memory, the name
 * from the kernel's cache. */
static int find_quick(const struct compound *c, const char *name, struct place *out)
{
    struct cred cred;
    int rc = 0;

    export_cred(c->current.export, &c->cred, &cred);
    if (cred.uid != 0 && !file_is_pseudo(c->current.file))
        rc = fs_access_quick(&cred, c->current.file, X_OK);
    return rc ? rc : find_from(&c->current, name, false, out);
}

static int find_blocking(const struct compound *c, const char *name, struct place *out)
{
    int rc = fs_cred_enter(&c->cred, c->current.export);

    if (rc)
        return rc;
    rc = find_from(&c->current, name, true, out);
    fs_cred_leave();
    if (!file_is_pseudo(c->current.file))
        fs_access_learn(c->current.file);
    return rc;
}

int op_find_name(const struct compound *c, const char *name, struct place *out)
{
    return c->on_worker ? find_blocking(c, name, out) : find_quick(c, name, out);
}

enum op_next op_lookup(struct compound *c)
{
    char name[NAME_SIZE];
    struct place place;
    nfsstat4 status = op_check_directory(&c->current);
    int rc;

    if (!status)
        status = name_check(c->args.lookup.objname, c->server->config->utf8_names, name);
    if (status)
        return op_done(c, status);
    rc = op_find_name(c, name, &place);
    if (rc == -EAGAIN && !c->on_worker)
        return OP_BLOCK;
    return op_done(c, rc ? fs_status(rc) : op_enter_place(c, &place));
}

enum op_next op_lookupp(struct compound *c)
{
    struct place place;
    nfsstat4 status = op_check_directory(&c->current);
    int rc;

    if (status)
        return op_done(c, status);
    if (!c->on_worker && !file_junctions(&c->current))
        return OP_BLOCK;
    rc = op_find_name(c, NULL, &place);
    if (rc == -EAGAIN && !c->on_worker)
        return OP_BLOCK;
    if (rc)
        return op_done(c, fs_status(rc));
    rc = c->on_worker ? file_check_inside(&place) : 0;
    if (rc) {
        file_unref(place.file);
        return op_done(c, fs_status(rc));
    }
    return op_done(c, op_enter_place(c, &place));
}

enum op_next op_readlink(struct compound *c)
{
    char *target;
    ssize_t len;

    if (!S_ISLNK(file_type(c->current.file)))
        return op_done(c, NFS4ERR_WRONG_TYPE);
    if (!c->on_worker)
        return OP_BLOCK;
    target = arena_alloc(&c->arena, PATH_MAX);
    if (!target)
        return op_done(c, NFS4ERR_DELAY);
    len = readlinkat(file_path_fd(c->current.file), "", target, PATH_MAX);
    if (len < 0)
        return op_done(c, fs_status(-errno));
    c->res.readlink.resok4.link =
        (struct xdr_bytes){.data = (uint8_t *)target, .len = (uint32_t)len};
    return op_done(c, NFS4_OK);
}
